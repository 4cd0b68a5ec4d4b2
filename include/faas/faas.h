/* faas/faas.h - all of libfaas: run your functions in other processes and on other machines */
#ifndef FAAS_FAAS_H
#define FAAS_FAAS_H

#include <faas/client.h>
#include <faas/dispatcher.h>
#include <faas/error.h>
#include <faas/function.h>
#include <faas/log.h>
#include <faas/map.h>
#include <faas/stats.h>
#include <faas/task.h>
#include <faas/transport.h>
#include <faas/version.h>
#include <faas/worker.h>

#endif
