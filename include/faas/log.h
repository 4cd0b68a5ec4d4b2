/* faas/log.h - where the library's messages go: nowhere, unless the program asks for them */
#ifndef FAAS_LOG_H
#define FAAS_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

enum faas_log_level { FAAS_LOG_ERROR, FAAS_LOG_WARNING, FAAS_LOG_INFO, FAAS_LOG_DEBUG };

/**
 * faas_set_log() - say where messages go
 * @fn:        called with one line, without a newline, valid during the call; NULL: nowhere, which
 *             is the default
 * @userdata:  handed to @fn
 * @level:     the chattiest level that is wanted
 *
 * There is one sink in the process.  @fn runs inside other faas_ calls, in their thread, and must
 * not call the library.
 *
 * Threads: not safe while other threads are inside the library: set it at the start.
 */
void faas_set_log(void (*fn)(void *userdata, enum faas_log_level level, const char *line),
                  void *userdata,
                  enum faas_log_level level);

#ifdef __cplusplus
}
#endif

#endif
