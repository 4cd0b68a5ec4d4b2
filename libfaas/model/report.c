/* report.c - what a dispatcher tells of itself: its life */
#include "model/report.h"

#include <stdlib.h>

void fa_report_deinit(struct fa_report *r) {
        free(r->workers);
        *r = (struct fa_report)FA_REPORT_NULL;
}
