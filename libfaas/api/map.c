/*
 * map.c - faas_map(): inputs into chunks, chunks into tasks, results to the caller in order
 *
 * Written with the public calls, one window of chunks at a time: those that are done are handed
 * out from the oldest on, and when half of the window is free it is filled in one trip.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/map.h>

#include "api/client-private.h"
#include "base/error.h"
#include "base/macros.h"
#include "wire/chunk.h"

#define WINDOW_MIN ((size_t)256)
#define WINDOW_BYTES ((size_t)64 << 20) /* of chunks on their way, about */
#define CHUNK_BYTES ((size_t)1 << 20)   /* no more inputs in one then */
#define CHUNK_INPUTS 1024               /* of a default chunk: more is not faster */

struct chunk {
        size_t first, n; /* its inputs */
        size_t bytes;
        bool accepted, done;
        struct faas_result result; /* its id from accepted on, the rest when done */
};

struct map {
        struct faas_client *c;
        const struct faas_task *task;
        const struct faas_input *inputs;
        size_t n, per_chunk;
        faas_map_fn *fn;
        void *userdata;
        char function[FA_NAME_MAX + 1]; /* NAME.map */

        struct chunk *chunks;    /* a ring of window */
        struct faas_task *tasks; /* to be submitted now */
        struct faas_id *ids;
        size_t window;
        size_t head, cut;       /* chunks handed out up to here; made */
        size_t next;            /* input that is in no chunk yet */
        size_t bytes;           /* of chunks [head, cut) */
        size_t unsent, running; /* of them: not accepted; accepted and not done */
        size_t low;             /* submit when so few are running */
        uint8_t *arena;         /* their payloads, until they are accepted */
        size_t arena_cap;
        char *text; /* an input's result, with a NUL behind it */
        size_t text_cap;
};

static struct chunk *chunk_at(const struct map *m, size_t i) {
        return &m->chunks[i % m->window];
}

/* ---- before anything is submitted ---- */

static int check(const struct map *m, size_t chunk) {
        const struct faas_task *t = m->task;
        size_t len;

        if (!t || !t->function || !m->fn || (m->n && !m->inputs))
                return fa_error(-EINVAL,
                                "faas_map: task, its function, inputs and fn must not be NULL");
        len = strlen(t->function);
        if (len == 0 || len + FA_MAP_SUFFIX_LEN > FA_NAME_MAX)
                return fa_error(-EINVAL, "faas_map: \"%.80s\": a name of 1 to %zu bytes expected",
                                t->function, FA_NAME_MAX - FA_MAP_SUFFIX_LEN);
        if (t->payload || t->payload_len || t->id || t->max_retries)
                return fa_error(-EINVAL, "faas_map: task.payload, task.id and task.max_retries "
                                         "must be 0: inputs have none");
        if (chunk > FAAS_CHUNK_MAX)
                return fa_error(-EINVAL, "faas_map: chunks of %zu; expected at most %u", chunk,
                                FAAS_CHUNK_MAX);
        for (size_t i = 0; i < m->n; i++) {
                if (m->inputs[i].len > FAAS_INPUT_MAX)
                        return fa_error(FAAS_E_LIMIT,
                                        "faas_map: input %zu has %zu bytes; at most %u", i,
                                        m->inputs[i].len, FAAS_INPUT_MAX);
                if (m->inputs[i].len && !m->inputs[i].payload)
                        return fa_error(-EINVAL, "faas_map: input %zu is NULL", i);
        }
        return 0;
}

static int get_ready(struct map *m, size_t chunk) {
        struct faas_stats stats = {.slots = 1};
        int r = check(m, chunk);

        if (r == 0 && m->n)
                r = faas_client_stats(m->c, &stats);
        if (r)
                return r;
        (void)snprintf(m->function, sizeof(m->function), "%s" FA_MAP_SUFFIX, m->task->function);
        size_t quarters = 4 * FA_MAX((size_t)stats.slots, (size_t)1);
        size_t even = FA_MAX((m->n + quarters - 1) / quarters, (size_t)1);
        m->per_chunk = chunk ? chunk : FA_MIN(even, (size_t)CHUNK_INPUTS);
        m->window = FA_MAX(quarters, WINDOW_MIN);
        m->low = m->window / 2;
        m->chunks = calloc(m->window, sizeof(*m->chunks));
        m->tasks = calloc(m->window, sizeof(*m->tasks));
        m->ids = calloc(m->window, sizeof(*m->ids));
        if (!m->chunks || !m->tasks || !m->ids)
                return fa_error(-ENOMEM, "faas_map: no memory for %zu chunks", m->window);
        return 0;
}

/* ---- there ---- */

/* The next inputs that are to be one task. */
static void cut_one(struct map *m) {
        struct chunk *k = chunk_at(m, m->cut++);

        *k = (struct chunk){.first = m->next, .bytes = FA_CHUNK_HEAD, .result = FAAS_RESULT_INIT};
        do {
                k->bytes += FA_CHUNK_BIN + m->inputs[m->next++].len;
                k->n++;
        } while (m->next < m->n && k->n < m->per_chunk && k->bytes < CHUNK_BYTES &&
                 k->bytes + FA_CHUNK_BIN + m->inputs[m->next].len <= FAAS_PAYLOAD_MAX);
        m->bytes += k->bytes;
        m->unsent++;
}

/* The payload of a chunk, where p has room for it: how long it is. */
static size_t encode(const struct map *m, const struct chunk *k, uint8_t *p) {
        struct fa_mp_writer w = {.p = p, .end = p + k->bytes};

        fa_mp_put_array(&w, k->n);
        for (size_t i = k->first; i < k->first + k->n; i++)
                fa_mp_put_bin(&w, m->inputs[i].payload, m->inputs[i].len);
        return (size_t)(w.p - p);
}

/* A task of each chunk that is not accepted: 0; -ENOMEM. */
static int make_tasks(struct map *m) {
        struct faas_task *t = m->tasks;
        size_t need = 0;

        for (size_t i = m->head; i < m->cut; i++)
                if (!chunk_at(m, i)->accepted)
                        need += chunk_at(m, i)->bytes;
        if (need > m->arena_cap) {
                free(m->arena);
                m->arena = malloc(need);
                m->arena_cap = m->arena ? need : 0;
                if (!m->arena)
                        return fa_error(-ENOMEM, "faas_map: no memory for %zu bytes", need);
        }
        uint8_t *p = m->arena;
        for (size_t i = m->head; i < m->cut; i++) {
                const struct chunk *k = chunk_at(m, i);

                if (k->accepted)
                        continue;
                *t = *m->task;
                t->function = m->function;
                t->payload = p;
                t->payload_len = encode(m, k, p);
                p += t++->payload_len;
        }
        return 0;
}

/*
 * Fills the window and submits. What has no room now is tried again when half of ours that run
 * have ended; if none do, the caller hears of it.
 */
static int submit(struct map *m) {
        static const struct faas_id none;
        size_t at = 0;
        int r;

        while (m->next < m->n && m->cut - m->head < m->window &&
               (m->bytes < WINDOW_BYTES || m->cut == m->head))
                cut_one(m);
        r = m->unsent ? make_tasks(m) : 0;
        if (r || !m->unsent)
                return r;
        r = faas_submit_many(m->c, m->tasks, m->unsent, m->ids, NULL);
        for (size_t i = m->head; i < m->cut; i++) {
                struct chunk *k = chunk_at(m, i);
                const struct faas_id *id;

                if (k->accepted)
                        continue;
                id = &m->ids[at++];
                if (memcmp(id, &none, sizeof(none)) == 0)
                        continue;
                k->result.id = *id;
                k->accepted = true;
                m->unsent--;
                m->running++;
        }
        m->low = FA_MIN(m->window, m->running) / 2;
        return (r == FAAS_E_AGAIN || r == FAAS_E_LIMIT) && m->running ? 0 : r;
}

/* ---- and back ---- */

/* Waits for the oldest that runs. */
static int wait_for_one(struct map *m) {
        size_t i = m->head;
        int r;

        while (!chunk_at(m, i)->accepted || chunk_at(m, i)->done)
                i++;
        struct chunk *k = chunk_at(m, i);
        r = faas_wait(m->c, &k->result.id, -1, &k->result);
        if (r == 0) {
                k->done = true;
                m->running--;
        }
        return r;
}

/* What fn gets of one input's bytes: a copy, with a NUL behind it. */
static const char *keep(struct map *m, struct fa_slice s) {
        if (s.len >= m->text_cap) {
                size_t cap = FA_MAX(2 * s.len, (size_t)256);

                free(m->text);
                m->text = malloc(cap);
                m->text_cap = m->text ? cap : 0;
        }
        if (m->text) {
                memcpy(m->text, s.len ? s.p : (const uint8_t *)"", s.len);
                m->text[s.len] = '\0';
        }
        return m->text;
}

/* Calls the caller's function, as a callback of the client. */
static int give(struct map *m, size_t index, const struct faas_result *r) {
        int ret;

        m->c->in_callback = true;
        ret = m->fn(m->userdata, index, r);
        m->c->in_callback = false;
        return ret;
}

/* All inputs of a chunk have the same end. */
static int give_failed(struct map *m, const struct chunk *k, const struct faas_result *r) {
        int ret = 0;

        for (size_t i = 0; i < k->n && ret == 0; i++)
                ret = give(m, k->first + i, r);
        return ret;
}

static int give_results(struct map *m, const struct chunk *k) {
        struct faas_result each = k->result;
        struct fa_chunk_result got;
        struct fa_mp_reader r;
        int ret = 0;

        fa_mp_read(&r, k->result.payload, k->result.payload_len);
        uint32_t n = fa_mp_open(&r);
        for (size_t i = 0; i < k->n && ret == 0; i++) {
                if (n != k->n || !fa_chunk_next(&r, &got)) {
                        char text[FA_NAME_MAX + 64];

                        each.status = FAAS_FAILED;
                        each.failure = FAAS_FAILURE_FUNCTION;
                        each.payload_len = 0;
                        each.payload = "";
                        each.text = text;
                        each.text_len = (size_t)snprintf(text, sizeof(text),
                                                         "%s gave no array of %zu results",
                                                         m->function, k->n);
                        return give_failed(m, &(struct chunk){.first = k->first + i, .n = k->n - i},
                                           &each);
                }
                const char *bytes = keep(m, got.bytes);
                if (!bytes)
                        return fa_error(-ENOMEM, "faas_map: no memory for a result");
                each.status = got.failure ? FAAS_FAILED : FAAS_COMPLETED;
                each.failure = (enum faas_failure)got.failure;
                each.code = got.code;
                each.payload = got.failure ? "" : bytes;
                each.payload_len = got.failure ? 0 : got.bytes.len;
                each.text = got.failure ? bytes : "";
                each.text_len = got.failure ? got.bytes.len : 0;
                ret = give(m, k->first + i, &each);
        }
        return ret;
}

/* Hands out what is done, from the oldest on. */
static int hand_out(struct map *m) {
        int r = 0;

        while (r == 0 && m->head < m->cut && chunk_at(m, m->head)->done) {
                struct chunk *k = chunk_at(m, m->head);

                r = k->result.status == FAAS_COMPLETED ? give_results(m, k)
                                                       : give_failed(m, k, &k->result);
                faas_result_clear(&k->result);
                m->bytes -= k->bytes;
                m->head++;
        }
        return r;
}

/* Takes back what is on its way; who is not there to be told is not waited for again. */
static void abandon(struct map *m) {
        bool there = true;

        for (size_t i = m->head; i < m->cut; i++) {
                struct chunk *k = chunk_at(m, i);
                struct faas_id id = k->result.id;

                if (k->accepted && !k->done && there) {
                        int r = faas_cancel(m->c, &id);

                        there = r == 0 || r == FAAS_E_EXISTS || r == FAAS_E_GONE;
                        if (there)
                                (void)faas_wait(m->c, &id, (int)m->c->submit_timeout_ms,
                                                &k->result);
                }
                faas_result_clear(&k->result);
        }
}

static int run(struct map *m) {
        int r = 0;

        while (r == 0 && (m->head < m->cut || m->next < m->n)) {
                if (m->running <= m->low && (m->unsent || m->next < m->n))
                        r = submit(m);
                if (r == 0 && m->running)
                        r = wait_for_one(m);
                if (r == 0)
                        r = hand_out(m);
        }
        return r;
}

/* NOLINTNEXTLINE(readability-function-size): what each of them is, is seen in its call */
FA_PUBLIC int faas_map(struct faas_client *c,
                       const struct faas_task *task,
                       const struct faas_input *inputs,
                       size_t n,
                       size_t chunk,
                       faas_map_fn *fn,
                       void *userdata) {
        struct map m = {
                .c = c, .task = task, .inputs = inputs, .n = n, .fn = fn, .userdata = userdata};
        int r = fa_client_enter_alone(c, "faas_map");

        if (r)
                return r;
        void (*on_done)(struct faas_client *, struct faas_result *, void *) = c->on_done;
        c->on_done = NULL; /* the chunks' results are ours */
        r = get_ready(&m, chunk);
        if (r == 0)
                r = run(&m);
        if (r && m.chunks) {
                char text[512];

                (void)snprintf(text, sizeof(text), "%s", faas_error_text());
                abandon(&m);
                (void)fa_error(r, "%s", text);
        }
        c->on_done = on_done;
        fa_client_leave(c);
        free(m.chunks);
        free(m.tasks);
        free(m.ids);
        free(m.arena);
        free(m.text);
        return r;
}
