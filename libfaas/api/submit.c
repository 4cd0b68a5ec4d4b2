/*
 * submit.c - faas_submit(), faas_submit_many()
 *
 * Tasks are checked one by one and go to the client machine in batches, each with one turn, so that
 * the slots work on the first while the next are being made.  A batch must not be refused in its
 * middle: "those after it were not looked at" is a promise.  So a task that may be refused (an id
 * of the caller's own, a queue that is nearly full) is the last of its batch.
 */
#include <errno.h>
#include <string.h>

#include "api/client-private.h"
#include "base/clock.h"
#include "base/error.h"
#include "model/spec.h"

/* What the store counts for a task beside its payload, at most: record and spec. */
#define RECORD_BYTES (sizeof(struct fa_spec) + FA_NAME_MAX + 512)

struct batch {
        struct faas_id ids[FA_BATCH_MAX];
        size_t n;
        uint64_t wall_ms;
        uint64_t until_ns; /* of the whole call */
};

/* A list of functions as "a, b, c, ...", for the message about one that is missing. */
static int unknown(const struct faas_client *c, const char *name) {
        char list[256] = "none";
        size_t len = 0;

        if (!fa_name_valid(
                    (struct fa_slice){(const uint8_t *)name, strnlen(name, FA_NAME_MAX + 1)}))
                return fa_error(-EINVAL, "\"%s\" is no function name; expected [a-z0-9._-]{1,64}",
                                name);
        /* A name and ", " take at most 66 bytes, "..." and its NUL 4. */
        for (size_t i = 0; i < c->n_functions; i++) {
                if (i == 5 || len + FA_NAME_MAX + 6 > sizeof(list)) {
                        memcpy(list + len, "...", 4);
                        break;
                }
                size_t n = strlen(c->functions[i]);
                memcpy(list + len, c->functions[i], n);
                len += n;
                memcpy(list + len, ", ", 3);
                len += 2;
                if (i + 1 == c->n_functions)
                        list[len - 2] = '\0';
        }
        return fa_error(FAAS_E_NOENT, "no function \"%s\"; there are: %s", name, list);
}

static int find_function(struct faas_client *c, const char *name) {
        if (c->n_functions && strcmp(c->functions[c->last_function], name) == 0)
                return 0;
        for (size_t i = 0; i < c->n_functions; i++) {
                if (strcmp(c->functions[i], name) == 0) {
                        c->last_function = i;
                        return 0;
                }
        }
        return unknown(c, name);
}

static int check(struct faas_client *c, const struct faas_task *t) {
        static const struct faas_id no_id;
        const unsigned payload_max = FA_PAYLOAD_MAX;

        if (!t->function)
                return fa_error(-EINVAL, "task.function is NULL");
        if (!t->payload && t->payload_len)
                return fa_error(-EINVAL, "task.payload is NULL, task.payload_len is %zu",
                                t->payload_len);
        if (t->flags || t->reserved[0] || t->reserved[1] || t->reserved[2] || t->reserved[3])
                return fa_error(-EINVAL, "task.flags and task.reserved must be 0");
        if (t->id && memcmp(t->id, &no_id, sizeof(no_id)) == 0)
                return fa_error(-EINVAL, "task.id is all zeros, which names nothing");
        if (t->timeout_ms > FA_TIMEOUT_MS_MAX)
                return fa_error(-EINVAL, "task.timeout_ms is %u; at most %u", t->timeout_ms,
                                FA_TIMEOUT_MS_MAX);
        if (t->payload_len > payload_max)
                return fa_error(FAAS_E_LIMIT, "a payload of %zu bytes; at most %u", t->payload_len,
                                payload_max);
        return find_function(c, t->function);
}

/* Could the store refuse it, or one after it? */
static bool nearly_full(const struct faas_client *c, size_t len) {
        uint64_t n = fa_cli_open_count(c->cli);

        return n >= c->queue_tasks ||
               fa_cli_bytes(c->cli) + (n + 1) * RECORD_BYTES + len > c->queue_bytes;
}

static int refused(const struct faas_client *c, int r) {
        switch (r) {
        case FAAS_E_EXISTS:
                return fa_error(r, "task.id names another task already");
        case FAAS_E_GONE:
                return fa_error(r, "the task of this id is done, and was collected or has expired");
        case FAAS_E_LIMIT:
                return fa_error(r, "the queue is full: cfg.queue_tasks %llu, cfg.queue_bytes %llu",
                                (unsigned long long)c->queue_tasks,
                                (unsigned long long)c->queue_bytes);
        case FAAS_E_AGAIN:
                return fa_error(FAAS_E_UNKNOWN, "no answer within cfg.submit_timeout_ms");
        default:
                return fa_error(-ENOMEM, "no memory for the task");
        }
}

/* Lets the batch be accepted; *ret_n grows by those that are. */
static int flush(struct faas_client *c, struct batch *b, size_t *ret_n) {
        size_t n = b->n;
        int r = 0;

        b->n = 0;
        if (n == 0)
                return 0;
        for (;;) {
                r = fa_client_turn(c);
                if (r)
                        return r;
                if (fa_cli_unanswered(c->cli) == fa_cli_refused(c->cli) || c->now_ns >= b->until_ns)
                        break; /* the usual case; else memory is short, and it goes on by itself */
                fa_client_sleep(c, b->until_ns);
        }
        if (fa_cli_unanswered(c->cli) == 0) {
                *ret_n += n;
                return 0;
        }
        for (size_t i = 0; i < n; i++) {
                int one = fa_cli_accepted(c->cli, &b->ids[i]);
                if (one == 0 && r == 0)
                        ++*ret_n;
                else if (one && r == 0)
                        r = refused(c, one);
        }
        return r;
}

/* The window was full when this task came. */
static int wait_for_room(struct faas_client *c, const struct batch *b) {
        bool hopeless = c->in_callback || fa_cli_full(c->cli) || !fa_cli_open_count(c->cli);

        if (hopeless || c->now_ns >= b->until_ns)
                return fa_error(FAAS_E_AGAIN, "the window is full (cfg.window_tasks, "
                                              "cfg.window_bytes): collect results");
        fa_client_sleep(c, b->until_ns);
        return fa_client_turn(c);
}

static int add(struct faas_client *c, struct batch *b, const struct faas_task *t, size_t *ret_n) {
        struct fa_item it = {
                .function = {(const uint8_t *)t->function, strlen(t->function)},
                .timeout_ms = t->timeout_ms,
                .max_strikes = t->max_strikes,
                .max_retries = t->max_retries,
        };
        int r;

        if (t->id)
                it.id = *t->id;
        else
                fa_idgen_next(&c->guard->ids, b->wall_ms, &it.id);
        if (fa_blob_new(&it.payload, t->payload, t->payload_len))
                return fa_error(-ENOMEM, "no memory for a payload of %zu bytes", t->payload_len);
        while ((r = fa_cli_submit(c->cli, &it, c->now_ns)) == FAAS_E_AGAIN) {
                r = flush(c, b, ret_n); /* they may be what fills the window */
                if (r == 0)
                        r = wait_for_room(c, b);
                if (r)
                        break;
        }
        fa_blob_unref(it.payload);
        if (r == FAAS_E_EXISTS)
                return refused(c, r);
        if (r == 0)
                b->ids[b->n++] = it.id;
        return r;
}

/* It fills ids as tasks are queued: those of tasks that are refused are of no meaning. */
static int submit(struct faas_client *c,
                  const struct faas_task *tasks,
                  size_t n,
                  struct faas_id *ret_ids,
                  size_t *ret_n) {
        struct batch b;
        int r = 0;

        b.n = 0;
        b.wall_ms = fa_wall_ms();
        b.until_ns = fa_now() + c->submit_timeout_ms * FA_NS_PER_MS;
        for (size_t i = 0; i < n && r == 0; i++) {
                const struct faas_task *t = &tasks[i];

                r = check(c, t);
                if (r == 0)
                        r = add(c, &b, t, ret_n);
                if (r)
                        break;
                if (ret_ids)
                        ret_ids[i] = b.ids[b.n - 1];
                if (b.n == FA_BATCH_MAX || t->id || nearly_full(c, t->payload_len))
                        r = flush(c, &b, ret_n);
        }
        int last = flush(c, &b, ret_n);
        return last ? last : r;
}

FA_PUBLIC int faas_submit_many(struct faas_client *c,
                               const struct faas_task *tasks,
                               size_t n,
                               struct faas_id *ret_ids,
                               size_t *ret_n) {
        size_t accepted = 0;
        int r = fa_client_enter(c, "faas_submit_many");

        if (ret_n)
                *ret_n = 0;
        if (r)
                return r;
        if (n && !tasks)
                return fa_error(-EINVAL, "faas_submit_many: tasks must not be NULL");
        r = submit(c, tasks, n, ret_ids, &accepted);
        fa_client_leave(c);
        if (ret_n)
                *ret_n = accepted;
        return r;
}

FA_PUBLIC int
faas_submit(struct faas_client *c, const struct faas_task *task, struct faas_id *ret_id) {
        struct faas_id id;
        size_t accepted = 0;
        int r = fa_client_enter(c, "faas_submit");

        if (r)
                return r;
        if (!task)
                return fa_error(-EINVAL, "faas_submit: no task");
        r = submit(c, task, 1, &id, &accepted);
        fa_client_leave(c);
        if (ret_id && (r == 0 || r == FAAS_E_UNKNOWN))
                *ret_id = id;
        return r;
}
