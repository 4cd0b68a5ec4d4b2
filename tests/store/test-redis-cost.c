/*
 * test-redis-cost.c - what a task costs in Redis: commands, bytes on the wire and on disk, memory
 *
 * Fails where docs/STORE.md would be wrong; with --verbose it tells the figures that stand there.
 */
#undef NDEBUG
#include "redis-bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

const struct bed_ops bed_under_test = RB_REAL;

struct cost {
        double calls, in, out, memory, journal;
};

/* The number behind "name:" in what INFO said. */
static double field(const char *info, const char *name) {
        const char *at = strstr(info, name);

        cr_assert_not_null(at, "%s", name);
        return strtod(at + strlen(name), NULL);
}

static double all_calls(const char *info) {
        double n = 0;

        for (const char *p = info; (p = strstr(p, "cmdstat_")); p++) {
                bool script = strncmp(p, "cmdstat_evalsha", 15) == 0;
                bool ours = strncmp(p, "cmdstat_info", 12) == 0;
                if (!script && !ours)
                        n += strtod(strstr(p, "calls=") + 6, NULL);
        }
        return n;
}

static struct cost now(void) {
        redisReply *r = rb_ask("INFO everything");
        struct cost c = {
                .calls = all_calls(r->str),
                .in = field(r->str, "total_net_input_bytes:"),
                .out = field(r->str, "total_net_output_bytes:"),
                .memory = field(r->str, "used_memory:"),
                .journal = field(r->str, "aof_current_size:"),
        };

        freeReplyObject(r);
        return c;
}

/* Per task, and without what asking costs itself. */
static struct cost since(const struct cost *a, unsigned n) {
        const struct cost b = now(), c = now();

        return (struct cost){
                .calls = (b.calls - a->calls) / n,
                .in = (b.in - a->in - (c.in - b.in)) / n,
                .out = (b.out - a->out - (c.out - b.out)) / n,
                .memory = (b.memory - a->memory) / n,
                .journal = (b.journal - a->journal) / n,
        };
}

static struct fa_spec *accepted[16384];

static void
run_groups(struct ep *e, enum fa_op_kind kind, unsigned from, unsigned n, unsigned size) {
        static const char bytes[] = "sixteen bytes...";

        for (unsigned id = from; id < from + n; id += size) {
                struct fa_group *g = ep_group(e);
                for (unsigned k = id; k < id + size; k++) {
                        if (kind == FA_OP_ACCEPT)
                                accepted[k - from] =
                                        fa_spec_ref(put_accept(g, e->epoch, k, bytes)->spec);
                        else if (kind == FA_OP_FINISH)
                                put_finish(g, e->epoch, k, bytes)->spec = accepted[k - from];
                        else
                                put(g, kind, e->epoch, k);
                }
                cr_assert_eq(ep_run(e, g), 0);
                cr_assert_eq(g->ops[0].r, 0);
                fa_group_free(g);
        }
}

static void tell(const char *what, unsigned size, const struct cost *c) {
        cr_log_info(
                "%-7s %3u: %6.2f commands, %5.0f bytes in, %4.0f out, %5.0f in the journal, %5.0f "
                "of memory",
                what, size, c->calls, c->in, c->out, c->journal, c->memory);
}

Test(redis_cost, a_task_costs_what_the_documents_say) {
        static const char *const everysec[] = {"--appendfsync", "everysec",
                                               "--auto-aof-rewrite-percentage", "0", NULL};
        static const unsigned sizes[] = {1, 32, 128, 512};
        unsigned id = 1;
        struct bed b;

        rb_append_only = true;
        rb_server_args = everysec;
        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (size_t i = 0; i < FA_ARRAY_SIZE(sizes); i++) {
                static const struct {
                        enum fa_op_kind kind;
                        const char *name;
                } phases[] = {{FA_OP_ACCEPT, "ACCEPT"},
                              {FA_OP_HINT, "HINT"},
                              {FA_OP_FINISH, "FINISH"},
                              {FA_OP_FORGET, "FORGET"}};
                const unsigned n = sizes[i] == 1 ? 2048 : 16384;
                double total = 0;
                for (size_t k = 0; k < FA_ARRAY_SIZE(phases); k++) {
                        struct cost a = now();
                        run_groups(&e, phases[k].kind, id, n, sizes[i]);
                        struct cost c = since(&a, n);
                        tell(phases[k].name, sizes[i], &c);
                        total += c.calls;
                        if (phases[k].kind == FA_OP_ACCEPT && n > 10000)
                                cr_assert_lt(c.memory, 300, "%.0f bytes a queued task", c.memory);
                }
                cr_assert_lt(total, 50. / sizes[i] + 0.2, "%.2f commands a task", total);
                id += n;
        }
        rb_books(rb_prefix());
        bed_close(&b);
}
