/* main.c - the smallest user: built with libfaas as a subproject, and against the installed library
 */
#include <stdio.h>
#include <string.h>

#include <faas/faas.h>

int main(void) {
        struct faas_id id;
        char text[FAAS_ID_TEXT_LEN + 1];

        if (strcmp(faas_version(), FAAS_VERSION_STRING) != 0)
                return 1;
        if (faas_id_parse(&id, "018f3c2e-5b6a-7cde-8f01-23456789abcd") != 0)
                return 1;
        return puts(faas_id_format(&id, text)) < 0;
}
