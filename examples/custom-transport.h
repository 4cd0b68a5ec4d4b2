/* custom-transport.h - what a program registers: faas_transport_register(&pipes_ops, NULL) */
#ifndef CUSTOM_TRANSPORT_H
#define CUSTOM_TRANSPORT_H

#include <faas/transport.h>

extern const struct faas_transport_ops pipes_ops;

#endif
