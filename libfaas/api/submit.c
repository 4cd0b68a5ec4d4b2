/*
 * submit.c - faas_submit(), faas_submit_many()
 *
 * Tasks are checked one by one and go to the client machine in batches, each with one turn, so that
 * the slots work on the first while the next are being made.
 *
 * Local: the turn brings the answers too, and a batch must not be refused in its middle: "those
 * after it were not looked at" is a promise there.  So a task that may be refused (an id of the
 * caller's own, a queue that is nearly full) is the last of its batch.
 *
 * Remote: to wait for each batch would cost a round trip each, so several are on their way at a
 * time, and a task behind a refused one can be accepted.  The ids that go back to the caller tell.
 */
#include <errno.h>
#include <string.h>

#include "api/client-private.h"
#include "base/clock.h"
#include "base/error.h"
#include "model/spec.h"

/* What the store counts for a task beside its payload, at most: record and spec. */
#define RECORD_BYTES (sizeof(struct fa_spec) + FA_NAME_MAX + 512)

#define SENT_BYTES (UINT64_C(16) << 20) /* of payloads on their way: what sockets take quickly */

/* One call: tasks [head, tail) are in c->sent, those before are answered. */
struct batch {
        struct fa_patience patience;
        uint64_t wall_ms;
        const char *what;        /* the call's name */
        struct faas_id *ret_ids; /* NULL, or of all tasks: zeros are none */
        size_t head, tail;
        uint64_t bytes; /* of payloads in [head, tail) */
        size_t n;       /* of the newest that have had no turn yet */
        size_t accepted;
        int r;        /* why the first one was not accepted; its text is set */
        bool unknown; /* some may be accepted or not */
};

static struct fa_slice name_of(const char *name) {
        return (struct fa_slice){(const uint8_t *)name, strnlen(name, FA_NAME_MAX + 1)};
}

/* A list of functions as "a, b, c, ...", for the message about one that is missing. */
static int unknown(const struct faas_client *c, const char *name) {
        char list[256] = "none";
        size_t len = 0;

        if (!fa_name_valid(name_of(name)))
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
        if (c->local)
                return find_function(c, t->function);
        /* A worker that has it may come later. */
        if (fa_name_valid(name_of(t->function)))
                return 0;
        return fa_error(-EINVAL, "\"%s\" is no function name; expected [a-z0-9._-]{1,64}",
                        t->function);
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
                if (c->remote)
                        return fa_error(r, "the queue of the dispatcher at \"%s\" is full", c->url);
                return fa_error(r, "the queue is full: cfg.queue_tasks %llu, cfg.queue_bytes %llu",
                                (unsigned long long)c->queue_tasks,
                                (unsigned long long)c->queue_bytes);
        default:
                if (c->remote)
                        return fa_error(FAAS_E_UNAVAILABLE,
                                        "the dispatcher at \"%s\" takes no task now: %s", c->url,
                                        faas_strerror(r));
                return fa_error(-ENOMEM, "no memory for the task");
        }
}

/* The answer to the oldest: 0 accepted; r: it is not queued. */
static void answered(struct faas_client *c, struct batch *b, int r) {
        if (r == 0)
                b->accepted++;
        else if (!b->r)
                b->r = r;
        if (r && b->ret_ids)
                b->ret_ids[b->head] = (struct faas_id){{0}};
        b->bytes -= c->sent[b->head % c->n_sent].len;
        b->head++;
}

/* Takes the answers that have come: each one shows that to go on waiting makes sense. */
static void settle(struct faas_client *c, struct batch *b) {
        size_t head = b->head;

        if (fa_cli_unanswered(c->cli) == 0) { /* the usual case */
                b->accepted += b->tail - b->head;
                b->head = b->tail;
                b->bytes = 0;
        }
        while (b->head < b->tail) {
                int r = fa_cli_accepted(c->cli, &c->sent[b->head % c->n_sent].id);

                if (r == FAAS_E_AGAIN)
                        break;
                answered(c, b, r && !b->r ? refused(c, r) : r);
        }
        if (c->remote && b->head != head)
                b->patience.until_ns = c->now_ns + c->submit_timeout_ms * FA_NS_PER_MS;
}

/* There will be no answer in time, because of r: what has not been sent is taken back. */
static void give_up(struct faas_client *c, struct batch *b, int r) {
        if (r < 0 && !b->r)
                b->r = r;
        for (settle(c, b); b->head < b->tail; settle(c, b)) {
                struct fa_sent *s = &c->sent[b->head % c->n_sent];

                if (fa_cli_withdraw(c->cli, &s->id) == 0) {
                        answered(c, b, r == FAAS_E_TIMEOUT ? FAAS_E_UNAVAILABLE : r);
                        continue;
                }
                b->unknown = true;
                b->bytes -= s->len;
                b->head++;
        }
}

/*
 * Lets what was handed over be sent, and waits until at most so many are without an answer. 0, or
 * why the call shall end: all is answered, or given up.
 */
static int flush(struct faas_client *c, struct batch *b, size_t n_left, uint64_t bytes_left) {
        b->n = 0;
        if (b->head == b->tail)
                return b->r;
        for (;;) {
                int r = fa_client_turn(c);

                if (r == 0) {
                        settle(c, b);
                        if (b->r)
                                n_left = 0; /* nothing follows */
                        if (b->tail - b->head <= n_left && b->bytes <= bytes_left)
                                return b->r;
                        r = fa_client_await(c, b->what, &b->patience);
                }
                if (r) {
                        give_up(c, b, r);
                        return b->r ? b->r : r;
                }
        }
}

/* The window was full when this task came. */
static int wait_for_room(struct faas_client *c, const struct batch *b) {
        bool hopeless = c->in_callback || fa_cli_full(c->cli) || !fa_cli_open_count(c->cli);

        if (hopeless || c->now_ns >= b->patience.until_ns)
                return fa_error(FAAS_E_AGAIN, "the window is full (cfg.window_tasks, "
                                              "cfg.window_bytes): collect results");
        fa_client_sleep(c, b->patience.until_ns);
        return fa_client_turn(c);
}

/* Notes that it was handed over. */
static void sent(struct faas_client *c, struct batch *b, const struct fa_item *it) {
        struct fa_sent *s = &c->sent[b->tail % c->n_sent];

        s->id = it->id;
        s->len = (uint32_t)fa_blob_len(it->payload);
        if (b->ret_ids)
                b->ret_ids[b->tail] = it->id;
        b->bytes += s->len;
        b->tail++;
        b->n++;
}

/* A payload that will be copied again need not be copied here: *small stands for it. */
static int payload_of(const struct faas_task *t, struct fa_blob *small, struct fa_blob **ret) {
        if (t->payload_len == 0 || t->payload_len > FA_SPEC_INSIDE_MAX) {
                if (fa_blob_new(ret, t->payload, t->payload_len))
                        return fa_error(-ENOMEM, "no memory for a payload of %zu bytes",
                                        t->payload_len);
                return 0;
        }
        *small = (struct fa_blob){.refs = 1, .len = (uint32_t)t->payload_len, .p = t->payload};
        *ret = small;
        return 0;
}

static int add(struct faas_client *c, struct batch *b, const struct faas_task *t) {
        struct fa_blob small;
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
        r = payload_of(t, &small, &it.payload);
        if (r)
                return r;
        while ((r = fa_cli_submit(c->cli, &it, c->now_ns)) == FAAS_E_AGAIN) {
                r = flush(c, b, 0, 0); /* they may be what fills the window */
                if (r == 0)
                        r = wait_for_room(c, b);
                if (r)
                        break;
        }
        if (r == 0)
                sent(c, b, &it);
        if (it.payload != &small)
                fa_blob_unref(it.payload);
        return r == FAAS_E_EXISTS ? refused(c, r) : r;
}

/* After each task: is it time for a turn, and for answers? */
static int keep_up(struct faas_client *c, struct batch *b, const struct faas_task *t) {
        if (c->remote && (b->n == FA_BATCH_MAX || b->bytes > SENT_BYTES))
                return flush(c, b, c->n_sent - FA_BATCH_MAX, SENT_BYTES);
        if (c->local && (b->n == FA_BATCH_MAX || t->id || nearly_full(c, t->payload_len)))
                return flush(c, b, 0, 0);
        return 0;
}

/* The first failure, in the order of the tasks, is what the caller hears of, unless something worse
 * happened: an outcome that nobody knows. */
static int submit(struct faas_client *c, struct batch *b, const struct faas_task *tasks, size_t n) {
        int r = 0;

        b->wall_ms = fa_wall_ms();
        b->patience = fa_client_patience(c);
        for (size_t i = 0; i < n && r == 0; i++) {
                r = check(c, &tasks[i]);
                if (r == 0)
                        r = add(c, b, &tasks[i]);
                if (r == 0)
                        r = keep_up(c, b, &tasks[i]);
        }
        int last = flush(c, b, 0, 0);
        if (b->unknown && last >= 0)
                return fa_error(FAAS_E_UNKNOWN, "%zu accepted, but not all answered: %s",
                                b->accepted, faas_error_text());
        return last ? last : r;
}

FA_PUBLIC int faas_submit_many(struct faas_client *c,
                               const struct faas_task *tasks,
                               size_t n,
                               struct faas_id *ret_ids,
                               size_t *ret_n) {
        struct batch b = {.what = "faas_submit_many", .ret_ids = ret_ids};
        int r = fa_client_enter(c, b.what);

        if (ret_n)
                *ret_n = 0;
        if (r)
                return r;
        if (n && !tasks)
                return fa_error(-EINVAL, "%s: tasks must not be NULL", b.what);
        if (ret_ids && n)
                memset(ret_ids, 0, n * sizeof(*ret_ids));
        r = submit(c, &b, tasks, n);
        fa_client_leave(c);
        if (ret_n)
                *ret_n = b.accepted;
        return r;
}

FA_PUBLIC int
faas_submit(struct faas_client *c, const struct faas_task *task, struct faas_id *ret_id) {
        struct faas_id id = {{0}};
        struct batch b = {.what = "faas_submit", .ret_ids = &id};
        int r = fa_client_enter(c, b.what);

        if (r)
                return r;
        if (!task)
                return fa_error(-EINVAL, "%s: no task", b.what);
        r = submit(c, &b, task, 1);
        fa_client_leave(c);
        if (ret_id && (r == 0 || r == FAAS_E_UNKNOWN))
                *ret_id = id;
        return r;
}
