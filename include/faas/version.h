/* faas/version.h - which version this is, when compiled and when running */
#ifndef FAAS_VERSION_H
#define FAAS_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#define FAAS_VERSION_MAJOR 0
#define FAAS_VERSION_MINOR 8
#define FAAS_VERSION_PATCH 0
#define FAAS_VERSION_STRING "0.8.0"

/**
 * faas_version() - the version of the library that is running
 *
 * Threads: safe everywhere.
 * Return:  "MAJOR.MINOR.PATCH", static.
 */
const char *faas_version(void);

#ifdef __cplusplus
}
#endif

#endif
