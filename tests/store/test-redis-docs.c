/* test-redis-docs.c - what docs/STORE.md tells operators to type works */
#undef NDEBUG
#include "redis-bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/client.h>

#include "base/macros.h"

const struct bed_ops bed_under_test = RB_REAL;

/* The line of the document that begins so, without its indent. */
static char *line_of(const char *begin) {
        static char text[64 << 10];
        FILE *f = fopen(STORE_MD, "re");

        cr_assert_not_null(f);
        text[fread(text, 1, sizeof(text) - 1, f)] = 0;
        fclose(f);
        for (char *line = text; *line; line += strcspn(line, "\n") + 1) {
                char *at = line + strspn(line, " ");
                if (at == line || strncmp(at, begin, strlen(begin)) != 0)
                        continue;
                at[strcspn(at, "\n")] = 0;
                return at;
        }
        cr_assert_fail("no line %s in %s", begin, STORE_MD);
        return NULL;
}

/* What the command prints about a task: as one text. */
static void read_task(unsigned n, char *ret, size_t size) {
        struct faas_id id = id_of(n);
        char text[FAAS_ID_TEXT_LEN + 1];
        char *line = line_of("redis-cli EVAL '");
        char *script = strchr(line, '\'') + 1;

        *strchr(script, '\'') = 0;
        faas_id_format(&id, text);
        redisReply *r = rb_ask("EVAL %s 1 {%s}:meta %s", script, rb_prefix(), text);
        cr_assert_eq(r->type, REDIS_REPLY_ARRAY);
        *ret = 0;
        for (size_t i = 0; i < r->elements; i++)
                (void)snprintf(ret + strlen(ret), size - strlen(ret), "%s; ", r->element[i]->str);
        freeReplyObject(r);
}

Test(redis_docs, the_line_that_reads_a_task_reads_it) {
        char want[400], text[400];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        read_task(1, text, sizeof(text));
        cr_assert_str_eq(text, "not there; ");
        cr_assert_eq(do_accept(&e, 1, "bytes"), 0);
        cr_assert_eq(do_requeue(&e, 1, 2, 3), 0);
        cr_assert_eq(do_hint(&e, 1), 0);
        read_task(1, text, sizeof(text));
        (void)snprintf(want, sizeof(want),
                       "state 0; partition %llu; part 1; handed out 1; retries 3; strikes 2; "
                       "timeout 0; priority 0; function echo; queue ; payload of 5; ",
                       (unsigned long long)e.epoch);
        cr_assert_str_eq(text, want);
        struct fa_group *g = ep_group(&e);
        struct fa_op *op = put_finish(g, e.epoch, 1, "result");
        op->strikes = 3;
        op->outcome.status = FAAS_FAILED;
        op->outcome.failure = 1;
        op->outcome.code = -7;
        op->outcome.text = blob_of("why");
        cr_assert_eq(ep_run(&e, g), 0);
        fa_group_free(g);
        read_task(1, text, sizeof(text));
        (void)snprintf(want, sizeof(want),
                       "state 3; partition %llu; part 0; handed out 1; retries 3; strikes 3; "
                       "failure 1; code -7; text why; result of 6; ",
                       (unsigned long long)e.epoch);
        cr_assert_str_eq(text, want);
        cr_assert_eq(do_forget(&e, 1), 0);
        read_task(1, text, sizeof(text));
        cr_assert_str_eq(text, "collected; ");
        bed_close(&b);
}

Test(redis_docs, the_user_has_the_rights_that_it_needs) {
        const struct fa_store_cfg cfg = {.tick_ns = TICK_NS, .lease_ticks = LEASE_TICKS};
        struct bed b = {.ops = &bed_under_test};
        char *line = line_of("ACL SETUSER ");
        char url[160];
        unsigned ids[4];

        rb_start();
        rb_do(line);
        (void)snprintf(url, sizeof(url), "redis+unix://faas:PASSWORD@%s?db=1", rb_server.socket);
        rb_open_url(&b, &cfg, url);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 3; id++)
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
        cr_assert_eq(do_hint(&e, 1), 0);
        cr_assert_eq(do_requeue(&e, 1, 1, 1), 0);
        cr_assert_eq(do_finish(&e, 1, "result"), 0);
        cr_assert_eq(do_forget(&e, 1), 0);
        cr_assert_eq(do_tick(&e), 0);
        cr_assert_eq(do_restore(&e, 2, FAAS_QUEUED, "bytes"), 0);
        cr_assert_eq(load_all(&e, e.epoch, ids, 4), 2);
        struct ep next = ep_start(&b, "a");
        cr_assert_eq(do_take(&next, e.epoch, next.epoch, NULL), 0);
        redisReply *log = rb_ask("ACL LOG");
        for (size_t i = 0; i < log->elements; i++)
                cr_assert_str_eq(log->element[i]->element[7]->str, "config|get");
        freeReplyObject(log);
        rb_close(&b);
}
