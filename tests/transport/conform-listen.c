/* conform-listen.c - a LISTEN end alone */
#undef NDEBUG
#include "conformance.h"

Test(conform_listen, opening_and_closing_leaves_nothing_behind) {
        struct bed b;

        bed_open(&b);
        bed_close(&b);
}

static bool quiet(void *arg) {
        struct bed *b = arg;

        bed_pump(b);
        return !end_calls(b, b->near);
}

Test(conform_listen, who_has_nothing_to_do_is_quiet) {
        struct bed b;

        bed_open(&b);
        cr_assert(th_until(quiet, &b, WAIT_MS));
        bed_close(&b);
}

Test(conform_listen, a_message_to_nobody_is_gone_and_stays_its_senders) {
        struct bed b;
        struct fa_msg *m = message(1, 1, 10);

        bed_open(&b);
        cr_assert_eq(end_try(&b, b.near, 424242, m), FAAS_E_GONE);
        bed_close(&b);
        cr_assert_eq(m->seq, 1);
        fa_msg_free(m);
}
