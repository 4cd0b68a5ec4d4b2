/* test-local.c - what only shows when the parts behind "local:" are set up by hand */
#undef NDEBUG
#include <poll.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/clock.h"
#include "run/local.h"

static uint16_t last_id;

static void submit(struct fa_local *l, const char *seconds) {
        struct fa_item it = {.function = {(const uint8_t *)"sleep", 5}};

        last_id++;
        memcpy(it.id.b, &last_id, sizeof(last_id));
        cr_assert_eq(fa_blob_new(&it.payload, seconds, strlen(seconds)), 0);
        cr_assert_eq(fa_cli_submit(fa_local_cli(l), &it, fa_now()), 0);
        fa_blob_unref(it.payload);
}

static void collect(struct fa_local *l, unsigned n) {
        uint64_t until_ns = fa_now() + 10 * FA_NS_PER_S;

        while (n) {
                struct fa_cli_done done;
                struct pollfd p = {.fd = fa_local_fd(l), .events = POLLIN};

                cr_assert_geq(fa_local_turn(l, fa_now()), 0);
                for (; n && fa_cli_take(fa_local_cli(l), NULL, &done) == 0; n--) {
                        cr_assert_eq(done.outcome.status, FAAS_COMPLETED);
                        cr_assert_eq(done.strikes, 0);
                        fa_outcome_deinit(&done.outcome);
                }
                uint64_t now_ns = fa_now();
                cr_assert_lt(now_ns, until_ns, "%u have no end", n);
                if (n)
                        (void)poll(&p, 1,
                                   fa_poll_ms(FA_MIN(until_ns, fa_local_deadline(l)), now_ns));
        }
}

static void recall_behind_number(uint32_t number) {
        const struct fa_local_cfg cfg = {
                .slots = {.n_slots = 1, .builtins = true, .first_seq = number - 300},
                .window_tasks = 1000,
                .window_bytes = 1 << 20,
                .queue_tasks = 1000,
                .queue_bytes = 1 << 20,
                .result_ttl_ns = FA_NS_PER_S * 60,
        };
        struct fa_local *l = NULL;

        cr_assert_eq(fa_local_open(&l, &cfg, fa_now()), 0);
        for (int i = 0; i < 30; i++) {
                /* Together, so that each seems to take no time: then many are put into the slot. */
                for (int k = 0; k < 10; k++)
                        submit(l, "0");
                collect(l, 10);
        }
        submit(l, "0.02");
        for (int i = 0; i < 5; i++)
                submit(l, "0");
        collect(l, 6);
        fa_local_close(l);
}

/* The numbers of a slot's tasks wrap; those behind a long one are taken back all the same. */
Test(local, tasks_are_recalled_across_the_wrap_of_their_numbers) {
        for (uint32_t i = 0; i < 16; i++)
                recall_behind_number((uint32_t)-1 - i % 2);
}
