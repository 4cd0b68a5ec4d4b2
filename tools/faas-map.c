/*
 * faas-map.c - a task for each line of standard input, results in the order of the lines
 *
 * One turn: submit what is there and has room, take results as they come, print those whose turn it
 * is, and sleep until there is input or a result.  It neither waits to gather nor keeps more than
 * IN_FLIGHT lines and BYTES_MAX bytes, however long the input is and whichever end is slow.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <faas/error.h>

#include "faas.h"
#include "json.h"
#include "lines.h"
#include "progress.h"
#include "say.h"

enum {
        IN_FLIGHT = 4096,
        BATCH = 256,          /* lines in one submit */
        BYTES_MAX = 64 << 20, /* of payloads on their way and of results that wait for their turn */
        REDRAW_MS = 100,
        FULL_PAUSE_MS = 50, /* others have filled the dispatcher's queue: ask again so often */
};

/* A line on its way.  They are in a ring, in the order of the input. */
struct item {
        struct faas_id id; /* refused: that of the item before it, so that ids never fall */
        size_t len;        /* of the payload, until it is done */
        bool done;
        const char *refused; /* never submitted: why */
        char *again;         /* not queued yet, though lines behind it are: its payload */
        struct faas_result result;
};

struct map {
        const struct fa_command_line *l;
        struct fa_lines lines;
        struct fa_line pending[BATCH]; /* read, not submitted: first_pending to n_pending */
        size_t first_pending;
        size_t n_pending;
        struct item *items; /* IN_FLIGHT, number n in items[n % IN_FLIGHT] */
        uint64_t head;      /* the next to be printed */
        uint64_t tail;      /* the next to be submitted; lines are counted from 0 here */
        uint64_t open;      /* submitted, result not taken */
        uint64_t n_again;   /* items with .again */
        uint64_t odd_end;   /* before it there are items whose ids are out of order */
        uint64_t bytes;     /* see BYTES_MAX */
        uint64_t failed;
        uint64_t total;    /* lines in all; 0: not known */
        uint64_t heard_ms; /* when something last came or went */
        bool full;         /* no room there until a result is taken, or for a while */
        int status;        /* FA_EXIT_OK, or why no more is submitted */
};

static uint64_t now_ms(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- in ---- */

static struct item *item_at(struct map *m, uint64_t n) {
        return &m->items[n % IN_FLIGHT];
}

static bool has_room(const struct map *m) {
        return m->status == FA_EXIT_OK && m->tail - m->head < IN_FLIGHT && !m->full &&
               (m->bytes < BYTES_MAX || m->open == 0);
}

static void put_item(struct map *m, const struct faas_id *id, size_t len, const char *refused) {
        struct item *it = item_at(m, m->tail);

        *it = (struct item){.len = len, .refused = refused, .done = refused != NULL};
        it->result = (struct faas_result)FAAS_RESULT_INIT;
        if (id)
                it->id = *id;
        else if (m->tail > m->head)
                it->id = item_at(m, m->tail - 1)->id;
        m->open += !refused;
        m->bytes += len;
        m->tail++;
}

/* Room for all of them is there, if the lines are not too long: see take_lines(). */
static void take_lines(struct map *m) {
        if (m->first_pending < m->n_pending)
                return;
        m->first_pending = m->n_pending = 0;
        while (m->n_pending < BATCH && fa_lines_next(&m->lines, &m->pending[m->n_pending]))
                m->n_pending++;
}

/* What a submit that stopped before its end means for the lines that are left. */
static void refused(struct map *m, int r) {
        switch (r) {
        case FAAS_E_AGAIN:
                /* With nothing of mine on its way it was not I who filled the window: there is
                 * none. */
                m->full = m->open > 0;
                if (!m->full)
                        m->status = fa_explain(FAAS_E_TIMEOUT, NULL);
                return;
        case FAAS_E_LIMIT: /* not the payload: those were looked at */
                m->full = true;
                return;
        default:
                m->status = fa_explain(r, NULL);
        }
}

static bool queued(const struct faas_id *id) {
        static const struct faas_id none;

        return memcmp(id, &none, sizeof(none)) != 0;
}

/* A line without room while one behind it had some, as a shorter one can: it keeps its place. */
static void put_again(struct map *m, const struct faas_task *t) {
        char *copy = malloc(t->payload_len + 1);

        put_item(m, NULL, t->payload_len, copy ? "it was not submitted" : "no memory for the line");
        if (!copy) {
                m->bytes -= t->payload_len;
                return;
        }
        memcpy(copy, t->payload_len ? t->payload : "", t->payload_len);
        item_at(m, m->tail - 1)->again = copy;
        item_at(m, m->tail - 1)->done = false;
        m->n_again++;
}

static void end_again(struct map *m, struct item *it) {
        free(it->again);
        it->again = NULL;
        m->n_again--;
}

/* What put_again() has kept is submitted, or is given up if nothing is submitted any more. */
static void submit_again(struct map *m) {
        for (uint64_t n = m->head; m->n_again > 0 && n < m->tail && !m->full; n++) {
                struct item *it = item_at(m, n);
                int r;

                if (!it->again)
                        continue;
                if (m->status != FA_EXIT_OK) {
                        it->done = true;
                        m->bytes -= it->len;
                        end_again(m, it);
                        continue;
                }
                const struct faas_task t = {
                        .function = m->l->argv[0], .payload = it->again, .payload_len = it->len};
                r = faas_submit(m->l->client, &t, &it->id);
                if (r)
                        refused(m, r);
                if (r && r != FAAS_E_UNKNOWN)
                        continue;
                it->refused = NULL;
                end_again(m, it);
                m->open++;
                m->odd_end = n + 1;
                m->heard_ms = now_ms();
        }
}

/* The next lines up to one that is too long, as far as there is room. */
static void submit_run(struct map *m) {
        struct faas_task tasks[BATCH];
        struct faas_id ids[BATCH];
        size_t room = IN_FLIGHT - (m->tail - m->head);
        size_t bytes = m->bytes;
        size_t n = 0;

        for (size_t i = m->first_pending; i < m->n_pending && n < room; i++) {
                const struct fa_line *line = &m->pending[i];

                if (line->too_long || (n > 0 && bytes >= BYTES_MAX))
                        break;
                bytes += line->len;
                tasks[n++] = (struct faas_task){
                        .function = m->l->argv[0], .payload = line->p, .payload_len = line->len};
        }
        int r = faas_submit_many(m->l->client, tasks, n, ids, NULL);
        while (n > 0 && !queued(&ids[n - 1]))
                n--;
        for (size_t i = 0; i < n; i++) {
                if (queued(&ids[i]))
                        put_item(m, &ids[i], tasks[i].payload_len, NULL);
                else
                        put_again(m, &tasks[i]);
        }
        m->first_pending += n;
        if (n > 0)
                m->heard_ms = now_ms();
        if (r)
                refused(m, r);
}

static void submit_lines(struct map *m) {
        submit_again(m);
        for (take_lines(m); m->first_pending < m->n_pending && has_room(m); take_lines(m)) {
                if (m->pending[m->first_pending].too_long) {
                        put_item(m, NULL, 0, "the line is longer than a payload may be");
                        m->first_pending++;
                } else {
                        submit_run(m);
                }
        }
}

/* ---- out ---- */

static bool is_open(const struct item *it, const struct faas_id *id) {
        return !it->done && !it->again && memcmp(&it->id, id, sizeof(*id)) == 0;
}

/* Ids of one client grow, so the ring is sorted by them, but for what was submitted again. */
static struct item *find_item(struct map *m, const struct faas_id *id) {
        uint64_t low = m->head;
        uint64_t high = m->tail;

        while (low < high) {
                uint64_t middle = low + (high - low) / 2;

                if (memcmp(&item_at(m, middle)->id, id, sizeof(*id)) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low < m->tail && is_open(item_at(m, low), id))
                return item_at(m, low);
        for (low = m->head; m->odd_end > m->head && low < m->tail; low++) {
                if (is_open(item_at(m, low), id))
                        return item_at(m, low);
        }
        return NULL;
}

/* Takes what has come.  FAAS_E_AGAIN: that was all; FAAS_E_NOENT: and nothing is open any more. */
static int take_results(struct map *m) {
        struct faas_result result = FAAS_RESULT_INIT;
        int r = 0;

        for (int i = 0; i < IN_FLIGHT; i++) {
                r = faas_wait_any(m->l->client, 0, &result);
                if (r)
                        break;
                struct item *it = find_item(m, &result.id);
                if (!it)
                        continue;
                m->bytes += result.payload_len + result.text_len + result.log_len - it->len;
                it->result = result;
                it->done = true;
                result = (struct faas_result)FAAS_RESULT_INIT;
                m->open--;
                m->full = false;
                m->heard_ms = now_ms();
        }
        faas_result_clear(&result);
        return r;
}

static void print_json(const struct item *it, uint64_t line) {
        printf("{\"line\":%llu,", (unsigned long long)line);
        if (it->refused) {
                fputs("\"id\":null,\"status\":\"FAILED\",\"failure\":\"LIMIT\",\"code\":0,"
                      "\"result\":\"\",",
                      stdout);
                fa_json_bytes(stdout, "text", it->refused, strlen(it->refused));
        } else {
                fa_json_result(stdout, &it->result);
        }
        fputs("}\n", stdout);
}

static void print_item(struct map *m, struct item *it) {
        const struct faas_result *r = &it->result;
        bool good = !it->refused && r->status == FAAS_COMPLETED;
        uint64_t line = m->head + 1;

        m->failed += !good;
        if (m->l->json) {
                print_json(it, line);
                return;
        }
        if (good)
                (void)fwrite(r->payload_len ? r->payload : "", 1, r->payload_len, stdout);
        else
                fa_say_error("line %llu: %s", (unsigned long long)line,
                             it->refused ? it->refused : fa_reason(r));
        putchar('\n');
}

static void print_ready(struct map *m) {
        for (; m->head < m->tail && item_at(m, m->head)->done; m->head++) {
                struct item *it = item_at(m, m->head);

                print_item(m, it);
                if (!it->refused)
                        m->bytes -=
                                it->result.payload_len + it->result.text_len + it->result.log_len;
                faas_result_clear(&it->result);
        }
}

/* ---- the turns ---- */

static bool wants_input(const struct map *m) {
        return m->first_pending == m->n_pending && !m->lines.eof && has_room(m);
}

static int timeout_of(const struct map *m) {
        if ((m->first_pending < m->n_pending && has_room(m)) || (m->n_again > 0 && !m->full))
                return 0;
        if (m->full)
                return FULL_PAUSE_MS;
        return fa_progress_on() ? REDRAW_MS : m->open > 0 ? (int)m->l->timeout_ms : -1;
}

static int sleep_until_something(struct map *m) {
        struct pollfd fds[] = {
                {.fd = faas_client_fd(m->l->client), .events = POLLIN},
                {.fd = wants_input(m) ? STDIN_FILENO : -1, .events = POLLIN},
        };
        int timeout = timeout_of(m);
        int r;

        /* What is printed is seen before we sleep. */
        if (timeout != 0 && fa_flush())
                return FA_EXIT_ERROR;
        r = poll(fds, sizeof(fds) / sizeof(fds[0]), timeout);
        if (r == 0 && m->full)
                m->full = false;
        if (r > 0 && fds[1].revents) {
                r = fa_lines_fill(&m->lines);
                if (r) {
                        fa_say_error("cannot read standard input: %s", fa_errno_text(-r));
                        return FA_EXIT_ERROR;
                }
                m->heard_ms = m->open > 0 ? m->heard_ms : now_ms();
        }
        return FA_EXIT_OK;
}

/* Tasks may be long: silence alone says nothing, so the dispatcher is asked. */
static int check_dispatcher(struct map *m) {
        if (m->open == 0 || now_ms() - m->heard_ms < m->l->timeout_ms)
                return FA_EXIT_OK;
        m->heard_ms = now_ms();
        return fa_probe(m->l);
}

static bool at_end(const struct map *m) {
        bool no_more = m->lines.eof && m->lines.start == m->lines.end && !m->lines.skipping &&
                       m->first_pending == m->n_pending;

        return m->head == m->tail && (no_more || m->status != FA_EXIT_OK);
}

static int turns(struct map *m) {
        int status = FA_EXIT_OK;

        while (status == FA_EXIT_OK) {
                submit_lines(m);
                int r = take_results(m);
                if (r && r != FAAS_E_AGAIN && (r != FAAS_E_NOENT || m->open > 0))
                        return fa_explain(r, NULL);
                print_ready(m);
                if (at_end(m))
                        break;
                if (m->lines.eof && m->total == 0)
                        m->total = m->tail + m->n_pending - m->first_pending;
                fa_progress_show(m->head, m->total, m->failed);
                status = sleep_until_something(m);
                if (status == FA_EXIT_OK)
                        status = check_dispatcher(m);
        }
        return status ? status : m->status ? m->status : m->failed ? FA_EXIT_FAILED : FA_EXIT_OK;
}

int fa_map(const struct fa_command_line *l) {
        struct map m = {.l = l, .lines = FA_LINES_INIT(STDIN_FILENO), .heard_ms = now_ms()};
        int status;

        m.items = calloc(IN_FLIGHT, sizeof(*m.items));
        if (!m.items) {
                fa_say_error("no memory for %d lines", IN_FLIGHT);
                return FA_EXIT_ERROR;
        }
        fa_progress_start();
        if (fa_progress_on())
                m.total = fa_lines_count(STDIN_FILENO);
        status = turns(&m);
        fa_progress_end();
        for (; m.head < m.tail; m.head++) {
                faas_result_clear(&item_at(&m, m.head)->result);
                free(item_at(&m, m.head)->again);
        }
        free(m.items);
        fa_lines_deinit(&m.lines);
        return status;
}
