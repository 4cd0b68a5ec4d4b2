/*
 * test-redis-damage.c - what somebody else wrote among our keys is set aside or worked around, and
 * the rest goes on
 */
#undef NDEBUG
#include "redis-bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

const struct bed_ops bed_under_test = RB_VIRTUAL;

#define BUCKET "r:26776436736" /* of all ids of id_of() */

static uint64_t random_state = 88172645463325252u;

static unsigned rnd(unsigned below) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return (unsigned)(random_state >> 33) % below;
}

static void put_record(unsigned id, const void *bytes, size_t len) {
        struct faas_id key = id_of(id);

        rb_do("HSET {%s}:" BUCKET " %b %b", rb_prefix(), key.b, sizeof(key.b), bytes, len);
}

/* The record's bytes; 0: there is none. */
static size_t get_record(unsigned id, uint8_t *bytes, size_t size) {
        struct faas_id key = id_of(id);
        redisReply *r = rb_ask("HGET {%s}:" BUCKET " %b", rb_prefix(), key.b, sizeof(key.b));
        size_t len = r->type == REDIS_REPLY_STRING ? FA_MIN(r->len, size) : 0;

        if (len)
                memcpy(bytes, r->str, len);
        freeReplyObject(r);
        return len;
}

static long long n_aside(void) {
        return rb_int("HLEN {%s}:bad", rb_prefix());
}

/* Whatever is due, setting aside too. */
static void pass_time(struct bed *b) {
        b->ops->advance(b, TICK_NS);
}

/* ---- records ---- */

Test(redis_damage, what_is_no_record_is_set_aside_and_its_id_is_free) {
        uint8_t bytes[200] = {0};
        unsigned id = 0;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned len = 0; len < 50; len += 7)
                put_record(++id, bytes, len);
        for (unsigned state = 1; state < 255; state += state == 1 ? 4 : 25) {
                bytes[0] = (uint8_t)state;
                put_record(++id, bytes, sizeof(bytes));
        }
        for (unsigned i = 1; i <= id; i++) {
                switch (i % 6) {
                case 0:
                        cr_assert_eq(do_get(&b, i, NULL), FAAS_E_NOENT);
                        break;
                case 1:
                        cr_assert_eq(do_finish(&e, i, "x"), FAAS_E_NOENT);
                        break;
                case 2:
                        cr_assert_eq(do_forget(&e, i), FAAS_E_NOENT);
                        cr_assert_eq(n_aside(), i);
                        break;
                case 3:
                        cr_assert_eq(do_requeue(&e, i, 1, 1), FAAS_E_NOENT);
                        break;
                case 4:
                        cr_assert_eq(do_hint(&e, i), 0);
                        break;
                default:
                        break;
                }
                cr_assert_eq(do_accept(&e, i, "bytes"), 0, "%u", i);
                expect_open(&b, i);
        }
        cr_assert_eq(n_aside(), id);
        cr_assert_eq(rb_int("HGET {%s}:meta bad", rb_prefix()), id);
        rb_books(rb_prefix());
        bed_close(&b);
}

/* Where a record has the lengths of what follows, and what it must not say there. */
Test(redis_damage, a_record_whose_inside_makes_no_sense_is_set_aside_as_a_whole) {
        static const struct {
                unsigned place, value;
                bool final;
        } wrong[] = {{13, 2, false},  {63, 0, false},  {63, 255, false}, {64, 255, false},
                     {65, 31, false}, {54, 255, true}, {59, 255, true},  {61, 255, true}};
        uint8_t bytes[300];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < FA_ARRAY_SIZE(wrong); i++) {
                unsigned id = i + 1;
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
                if (wrong[i].final)
                        cr_assert_eq(do_finish(&e, id, "result"), 0);
                size_t len = get_record(id, bytes, sizeof(bytes));
                bytes[wrong[i].place] = (uint8_t)wrong[i].value;
                put_record(id, bytes, len);
                cr_assert_eq(do_get(&b, id, NULL), FAAS_E_NOENT, "%u", i);
                pass_time(&b);
                cr_assert_eq(n_aside(), id, "%u", i);
                cr_assert_eq(do_accept(&e, 100 + id, "bytes"), 0);
                rb_books(rb_prefix());
        }
        unsigned ids[20];
        cr_assert_eq(load_all(&e, e.epoch, ids, 20), FA_ARRAY_SIZE(wrong));
        rb_books(rb_prefix());
        bed_close(&b);
}

Test(redis_damage, a_partition_is_loaded_without_the_records_that_make_no_sense) {
        uint8_t bytes[300];
        unsigned ids[20];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 10; id++)
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
        size_t len = get_record(5, bytes, sizeof(bytes));
        put_record(5, bytes, len - 4);
        put_record(6, bytes, 60);
        put_record(7, "?", 1);
        cr_assert_eq(load_all(&e, e.epoch, ids, 20), 8, "one is shorter, and still a record");
        pass_time(&b);
        cr_assert_eq(n_aside(), 2);
        /* One that is damaged can still be finished: what it was is not needed for that. */
        put_record(8, bytes, 52);
        cr_assert_eq(do_finish(&e, 8, "result"), 0);
        expect_final(&b, 8, "result");
        bed_close(&b);
}

/* ---- journals and logs ---- */

Test(redis_damage, bytes_in_a_journal_hide_no_task) {
        char journal[64];
        unsigned ids[20];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        (void)snprintf(journal, sizeof(journal), "{%s}:j:%llu:1", rb_prefix(),
                       (unsigned long long)e.epoch);
        for (unsigned id = 1; id <= 5; id++) {
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
                rb_do("APPEND %s %b", journal, "0123456789abcdefghijk", (size_t)(4 * id + 1));
        }
        cr_assert_eq(load_all(&e, e.epoch, ids, 20), 5);
        for (unsigned id = 1; id <= 5; id++)
                cr_assert_eq(ids[id - 1], id);
        bed_close(&b);
}

Test(redis_damage, a_number_of_those_alive_that_is_gone_is_counted_again) {
        static unsigned ids[5000];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 3; id++)
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
        /* Another part begins, so that the first may go. */
        struct fa_group *g = ep_group(&e);
        for (unsigned id = 10; id < 10 + 4096; id++)
                put_accept(g, e.epoch, id, "");
        cr_assert_eq(ep_run(&e, g), 0);
        fa_group_free(g);
        cr_assert_eq(do_accept(&e, 5000, "bytes"), 0);
        cr_assert_eq(rb_int("EXISTS {%s}:j:%llu:2", rb_prefix(), (unsigned long long)e.epoch), 1);
        rb_do("DEL {%s}:live", rb_prefix());
        cr_assert_eq(do_finish(&e, 1, "result"), 0);
        cr_assert_eq(do_finish(&e, 2, "result"), 0);
        cr_assert_eq(do_forget(&e, 1), 0);
        cr_assert_eq(load_all(&e, e.epoch, ids, FA_ARRAY_SIZE(ids)), 4098);
        cr_assert_eq(ids[0], 3, "its part of the journal stayed");
        bed_close(&b);
}

Test(redis_damage, a_number_of_those_alive_that_is_gone_hides_no_task_from_who_takes_over) {
        static unsigned ids[5000];
        struct bed b;

        bed_open(&b, NULL);
        struct ep old = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&old, 1, "bytes"), 0);
        struct fa_group *g = ep_group(&old);
        for (unsigned id = 10; id < 10 + 4096; id++)
                put_accept(g, old.epoch, id, "");
        rb_do("DEL {%s}:live", rb_prefix());
        cr_assert_eq(ep_run(&old, g), 0);
        fa_group_free(g);
        rb_do("DEL {%s}:live", rb_prefix());
        cr_assert_eq(do_accept(&old, 5000, "bytes"), 0); /* another part begins */
        rb_do("DEL {%s}:live", rb_prefix());
        live(&other, LEASE_TICKS + 1);
        cr_assert_eq(do_take(&other, old.epoch, old.epoch, NULL), 0);
        for (int i = 0; i < 2; i++) {
                cr_assert_eq(load_all(&other, old.epoch, ids, FA_ARRAY_SIZE(ids)), 4098);
                g = ep_group(&other);
                put(g, FA_OP_DROP, old.epoch, 0);
                cr_assert_eq(ep_run(&other, g), 0);
                cr_assert_eq(g->ops[0].r, FAAS_E_STALE, "it has tasks");
                fa_group_free(g);
        }
        bed_close(&b);
}

Test(redis_damage, logs_with_bytes_of_others_still_forget_and_delete_nothing_else) {
        uint8_t entry[24] = {0};
        struct fa_store_cfg cfg = {
                .tick_ns = TICK_NS, .lease_ticks = LEASE_TICKS, .result_ttl_ns = 10 * TICK_NS};
        struct bed b;

        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 6; id++)
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
        /* An open task in the log of collected ones, long ago; times that cannot be. */
        struct faas_id open = id_of(6);
        const double ages[] = {1e9, -1, 1e300, 0, 0.0 / 0.0};
        for (size_t i = 0; i < FA_ARRAY_SIZE(ages); i++) {
                uint64_t bits;
                memcpy(&bits, &ages[i], sizeof(bits));
                bits = __builtin_bswap64(bits);
                memcpy(entry, open.b, 16);
                memcpy(entry + 16, &bits, 8);
                rb_do("APPEND {%s}:t:0 %b", rb_prefix(), entry, sizeof(entry));
                rb_do("APPEND {%s}:x:0 %b", rb_prefix(), entry, sizeof(entry));
        }
        rb_do("APPEND {%s}:t:0 odd", rb_prefix());
        rb_do("APPEND {%s}:x:0 odd", rb_prefix());
        for (unsigned id = 1; id <= 3; id++)
                cr_assert_eq(do_finish(&e, id, "result"), 0);
        cr_assert_eq(do_forget(&e, 1), 0);
        b.ops->advance(&b, 11 * TICK_NS);
        for (unsigned id = 1; id <= 3; id++)
                cr_assert_eq(do_get(&b, id, NULL), FAAS_E_GONE, "%u", id);
        b.ops->advance(&b, 120 * TICK_NS);
        for (unsigned id = 1; id <= 3; id++)
                cr_assert_eq(do_get(&b, id, NULL), FAAS_E_NOENT, "%u", id);
        expect_open(&b, 6);
        bed_close(&b);
}

/* ---- counters ---- */

static const char *const counters[] = {"open",  "obytes", "final", "fbytes", "xhead",  "xat",
                                       "xtail", "xn",     "thead", "tat",    "ttail",  "tn",
                                       "tombs", "other",  "bad",   "tick",   "tickat", "epoch"};

Test(redis_damage, a_counter_that_is_no_number_is_noted_and_begins_again) {
        unsigned id = 1;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (size_t i = 0; i < FA_ARRAY_SIZE(counters); i++) {
                rb_do("HSET {%s}:meta %s %s", rb_prefix(), counters[i], i % 3 ? "much" : "nan");
                cr_assert_eq(do_accept(&e, id, "bytes"), 0, "%s", counters[i]);
                cr_assert_eq(do_finish(&e, id, "result"), 0);
                cr_assert_eq(do_tick(&e), 0);
                cr_assert_eq(do_forget(&e, id++), 0);
                pass_time(&b);
                struct ep other = ep_start(&b, "b");
                cr_assert_gt(other.epoch, e.epoch);
                char text[40];
                rb_text(text, sizeof(text), "HGET {%s}:bad meta:%s", rb_prefix(), counters[i]);
                cr_assert(text[0] || strcmp(counters[i], "tickat") == 0, "%s", counters[i]);
        }
        bed_close(&b);
}

/* So many tasks end: more than a part of the log of results has. */
static void end_many(struct ep *e, unsigned first, unsigned n) {
        for (unsigned from = first; from < first + n; from += 500) {
                struct fa_group *a = ep_group(e), *f = ep_group(e);

                for (unsigned id = from; id < from + 500; id++) {
                        put_accept(a, e->epoch, id, "bytes");
                        put_finish(f, e->epoch, id, "result");
                }
                cr_assert_eq(ep_run(e, a), 0);
                cr_assert_eq(ep_run(e, f), 0);
                fa_group_free(a);
                fa_group_free(f);
        }
}

Test(redis_damage, results_expire_though_the_number_of_the_last_part_is_lost) {
        static const char *const losses[] = {"HDEL {%s}:meta xtail", "HSET {%s}:meta xtail much"};
        struct fa_store_cfg cfg = {
                .tick_ns = TICK_NS, .lease_ticks = LEASE_TICKS, .result_ttl_ns = 10 * TICK_NS};
        unsigned id = 1;
        struct bed b;

        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        for (size_t i = 0; i < FA_ARRAY_SIZE(losses); i++) {
                end_many(&e, id, 5000);
                cr_assert_gt(rb_int("HGET {%s}:meta xtail", rb_prefix()), 0);
                if (i == 0) { /* where the walk has come to is behind where it begins again */
                        b.ops->advance(&b, 11 * TICK_NS);
                        cr_assert_gt(rb_int("HGET {%s}:meta xhead", rb_prefix()), 0);
                }
                rb_do(losses[i], rb_prefix());
                end_many(&e, id + 5000, 500);
                b.ops->advance(&b, 11 * TICK_NS);
                for (unsigned k = id; k < id + 5500; k += 499)
                        cr_assert_eq(do_get(&b, k, NULL), FAAS_E_GONE, "%s: %u", losses[i], k);
                id += 5500;
        }
        bed_close(&b);
}

Test(redis_damage, a_partition_whose_owner_cannot_be_read_is_nobodys) {
        unsigned ids[4];
        uint32_t gen = 0;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&e, 1, "bytes"), 0);
        rb_do("HSET {%s}:meta p:%llu ?", rb_prefix(), (unsigned long long)e.epoch);
        cr_assert_eq(do_accept(&e, 2, "bytes"), FAAS_E_FENCED);
        struct fa_group *g = ep_control(&other);
        put_tick(g, &other.epoch, 1);
        cr_assert_eq(ep_run(&other, g), 0);
        cr_assert_eq(g->ops[0].more->n_owned, 2);
        fa_group_free(g);
        cr_assert_eq(do_take(&other, e.epoch, 0, &gen), 0);
        cr_assert_gt(gen, 1);
        cr_assert_eq(load_all(&other, e.epoch, ids, 4), 1);
        /* A lease without its parts, a place of the journal that is none. */
        rb_do("HDEL {%s}:meta l:%llu:t l:%llu:e", rb_prefix(), (unsigned long long)e.epoch,
              (unsigned long long)other.epoch);
        rb_do("HSET {%s}:meta s:%llu ? f:%llu ?", rb_prefix(), (unsigned long long)e.epoch,
              (unsigned long long)e.epoch);
        cr_assert_eq(do_tick(&other), 0);
        cr_assert_eq(load_all(&other, e.epoch, ids, 4), 1);
        rb_do("HSET {%s}:meta l:%llu:s ?", rb_prefix(), (unsigned long long)other.epoch);
        cr_assert_eq(do_accept(&other, 5, "bytes"), FAAS_E_FENCED);
        struct ep next = ep_start(&b, "b");
        cr_assert_eq(load_all(&next, e.epoch, ids, 4), 1);
        bed_close(&b);
}

/* ---- all at random ---- */

static void damage(struct ep *e) {
        uint8_t bytes[300];
        size_t len = rnd(120);
        unsigned id = 1 + rnd(40);

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)rnd(256);
        switch (rnd(8)) {
        case 0:
                put_record(id, bytes, len);
                break;
        case 1:
                bytes[0] = (uint8_t)rnd(5);
                put_record(id, bytes, len);
                break;
        case 2:
        case 3:
                len = get_record(id, bytes, sizeof(bytes));
                if (len) {
                        bytes[rnd((unsigned)len)] ^= (uint8_t)(1u << rnd(8));
                        put_record(id, bytes, len - (rnd(3) ? 0 : rnd((unsigned)len)));
                }
                break;
        case 4:
                rb_do("APPEND {%s}:j:%llu:1 %b", rb_prefix(), (unsigned long long)e->epoch, bytes,
                      len % 40);
                break;
        case 5:
                rb_do("APPEND {%s}:%s:%d %b", rb_prefix(), rnd(2) ? "x" : "t", (int)rnd(2), bytes,
                      len % 60);
                break;
        case 6:
                rb_do("HSET {%s}:meta %s %b", rb_prefix(), counters[rnd(FA_ARRAY_SIZE(counters))],
                      bytes, len % 9);
                break;
        default:
                rb_do("DEL {%s}:live", rb_prefix());
        }
}

static void put_random(struct ep *e, struct fa_group *g) {
        static const enum fa_op_kind kinds[] = {FA_OP_ACCEPT, FA_OP_ACCEPT, FA_OP_FINISH,
                                                FA_OP_FORGET, FA_OP_HINT,   FA_OP_REQUEUE,
                                                FA_OP_GET,    FA_OP_LOAD};
        unsigned id = 1 + rnd(40);
        enum fa_op_kind kind = kinds[rnd(FA_ARRAY_SIZE(kinds))];

        if (kind == FA_OP_ACCEPT)
                put_accept(g, e->epoch, id, "some bytes");
        else if (kind == FA_OP_FINISH)
                put_finish(g, e->epoch, id, "a result");
        else
                put(g, kind, e->epoch, id);
}

Test(redis_damage, at_random_it_never_stops) {
        struct fa_store_cfg cfg = {
                .tick_ns = TICK_NS, .lease_ticks = LEASE_TICKS, .result_ttl_ns = 5 * TICK_NS};
        struct bed b;

        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < 2000; i++) {
                struct fa_group *g = ep_group(&e);
                damage(&e);
                for (unsigned n = 1 + rnd(5); n; n--)
                        put_random(&e, g);
                cr_assert_eq(ep_run(&e, g), 0, "round %u", i);
                fa_group_free(g);
                if (rnd(4) == 0)
                        pass_time(&b);
        }
        cr_assert_gt(n_aside(), 20); /* of 40 ids */
        cr_assert_eq(do_accept(&e, 1000, "bytes"), 0);
        cr_assert_eq(do_finish(&e, 1000, "result"), 0);
        expect_final(&b, 1000, "result");
        cr_assert_eq(do_forget(&e, 1000), 0);
        bed_close(&b);
}
