/* version.c - which version is running: may differ from the headers that a program was built with
 */
#include <faas/version.h>

#include "base/macros.h"

FA_PUBLIC const char *faas_version(void) {
        return FAAS_VERSION_STRING;
}
