/*
 * load.c - a client of the fault tests: offers tasks at a rate, writes down what it was told
 *
 *   chaos-load run URLS LOG NUMBER RATE WINDOW    until SIGTERM; then what is open is waited for
 *   chaos-load ask URLS LOG NUMBER DEAD-LOG       for the tasks of a client that was killed
 *
 * It writes down what it is about to submit, what was acknowledged when the call has said so, and a
 * result before the next call can tell a dispatcher that it was taken.  0: nothing is open.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <faas/client.h>
#include <faas/error.h>

#include "record.h"

#define BATCH 256u          /* tasks of one call */
#define TICK_NS 4000000u    /* between calls: a batch gathers */
#define AGAIN_NS 100000000u /* before what was refused is tried again */
#define CALL_MS 3000        /* longest call */
#define ASKERS 8u           /* processes that ask for a dead client's results */

struct load {
        struct faas_client *client;
        int log;
        uint32_t number;
        uint64_t rate, window;
        uint64_t begin_ns;
        uint64_t n_submitted, n_results;
        uint64_t n_missed;           /* not submitted, because there was no answer or no room */
        struct question todo[BATCH]; /* of one call; what is left over is submitted again */
        size_t n_todo;
        bool again;
};

static volatile sig_atomic_t stopping;

static void stop(int sig) {
        stopping = 1;
}

static void die(const char *what) {
        (void)fprintf(stderr, "chaos-load: %s: %s\n", what, faas_error_text());
        exit(3);
}

static struct record make_record(const struct load *l, enum what what, const struct faas_id *id) {
        return (struct record){.id = *id,
                               .ns = now_ns(),
                               .who = l->number,
                               .pid = (int32_t)getpid(),
                               .what = (uint8_t)what};
}

static void note(const struct load *l, const struct record *r, size_t n) {
        if (n && record_write(l->log, r, n)) {
                perror("chaos-load: log");
                exit(3);
        }
}

/* A call said what it must not say: the checker reports it. */
static void note_error(const struct load *l, const struct faas_id *id, int status) {
        struct record r = make_record(l, R_ERROR, id);

        r.status = status;
        note(l, &r, 1);
        (void)fprintf(stderr, "chaos-load %u: %d: %s\n", l->number, status, faas_error_text());
}

/* A UUIDv7 that tells the client's number in its last bits, and nobody else makes. */
static struct faas_id make_id(uint32_t number, uint64_t seq) {
        struct timespec ts;
        struct faas_id id;
        uint64_t hi, lo;

        clock_gettime(CLOCK_REALTIME, &ts);
        hi = (uint64_t)(ts.tv_sec * 1000 + ts.tv_nsec / 1000000) << 16 | 0x7000u |
             (number & 0xfffu);
        lo = UINT64_C(1) << 63 | (uint64_t)number << 40 | seq;
        for (int i = 0; i < 8; i++) {
                id.b[i] = (unsigned char)(hi >> (56 - 8 * i));
                id.b[8 + i] = (unsigned char)(lo >> (56 - 8 * i));
        }
        return id;
}

/* Most are short; some are long enough to be met by a fault while they run. */
static uint32_t work_us(uint64_t seq) {
        uint64_t lot = seq * UINT64_C(0x9e3779b97f4a7c15) >> 40; /* 24 bits */

        if (lot % 20000 == 0)
                return 3000000;
        if (lot % 2000 == 0)
                return 400000;
        return lot % 100 == 0 ? 20000 : lot % 10 == 0 ? 1000 : 0;
}

static void make_tasks(struct load *l, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t seq = ++l->n_submitted;

                l->todo[i] = (struct question){.id = make_id(l->number, seq),
                                               .work_us = work_us(seq),
                                               .salt = (uint32_t)(seq * 2654435761u)};
        }
        l->n_todo = n;
        l->again = false;
}

/* What is to be submitted again: those without an id, or all those whose fate is unknown. */
static void keep(struct load *l, const struct faas_id *ids, int status) {
        static const struct faas_id none;
        struct record acks[BATCH];
        size_t n_acks = 0, left = 0;

        for (size_t i = 0; i < l->n_todo; i++) {
                bool sent = memcmp(&ids[i], &none, sizeof(none)) != 0;

                if (status == 0 || (sent && status != FAAS_E_UNKNOWN && status > 0))
                        acks[n_acks++] = make_record(l, R_ACKNOWLEDGED, &l->todo[i].id);
                else
                        l->todo[left++] = l->todo[i];
        }
        note(l, acks, n_acks);
        l->n_todo = left;
        l->again = true;
}

static int submit(struct load *l) {
        struct faas_task tasks[BATCH];
        struct faas_id ids[BATCH];
        struct record r[BATCH];
        int status;

        memset(ids, 0, sizeof(ids));
        for (size_t i = 0; i < l->n_todo; i++) {
                tasks[i] = (struct faas_task){.function = "chaos",
                                              .payload = &l->todo[i],
                                              .payload_len = sizeof(l->todo[i]),
                                              .id = &l->todo[i].id,
                                              .max_strikes = 1000};
                r[i] = make_record(l, R_SUBMITTED, &l->todo[i].id);
                r[i].again = l->again;
        }
        note(l, r, l->n_todo);
        status = faas_submit_many(l->client, tasks, l->n_todo, ids, NULL);
        if (status != 0 && status != FAAS_E_UNKNOWN && status != FAAS_E_AGAIN &&
            status != FAAS_E_UNAVAILABLE && status != FAAS_E_LIMIT && status != FAAS_E_TIMEOUT)
                note_error(l, &l->todo[0].id, status);
        keep(l, ids, status);
        return status;
}

static bool is_right(const struct load *l, const struct faas_result *r) {
        struct answer a;
        struct question q = {.id = r->id};
        uint64_t seq = 0;

        for (int i = 11; i < 16; i++)
                seq = seq << 8 | r->id.b[i];
        q.work_us = work_us(seq);
        q.salt = (uint32_t)(seq * 2654435761u);
        if (r->status != FAAS_COMPLETED || r->payload_len != sizeof(a))
                return false;
        memcpy(&a, r->payload, sizeof(a));
        return memcmp(&a.id, &r->id, sizeof(a.id)) == 0 && a.value == right_value(&q);
}

static void note_result(struct load *l, enum what what, const struct faas_result *res) {
        struct record r = make_record(l, what, &res->id);

        r.status = (int32_t)res->status;
        r.failure = (uint8_t)res->failure;
        r.right = is_right(l, res);
        note(l, &r, 1);
        if (!r.right)
                (void)fprintf(stderr, "chaos-load %u: result %d, %d: %s\n", l->number, res->status,
                              res->failure, res->text);
        /* A result before the acknowledgement is one, too. */
        for (size_t i = 0; i < l->n_todo; i++)
                if (memcmp(&l->todo[i].id, &res->id, sizeof(res->id)) == 0)
                        l->todo[i--] = l->todo[--l->n_todo];
        l->n_results++;
}

/* Results, until until_ns or none is open.  FAAS_E_NOENT: so it is. */
static int collect(struct load *l, uint64_t until_ns) {
        struct faas_result r = FAAS_RESULT_INIT;
        uint64_t now;
        int status = FAAS_E_AGAIN;

        while ((now = now_ns()) < until_ns) {
                status = faas_wait_any(l->client, (int)((until_ns - now) / 1000000) + 1, &r);
                if (status)
                        break;
                note_result(l, R_RESULT, &r);
        }
        if (status < 0)
                die("faas_wait_any");
        faas_result_clear(&r);
        return status;
}

static void nap(uint64_t until_ns) {
        uint64_t now = now_ns();

        if (now < until_ns)
                nanosleep(&(struct timespec){.tv_nsec = (long)(until_ns - now)}, NULL);
}

static size_t due(struct load *l) {
        uint64_t wanted = (now_ns() - l->begin_ns) / 1000 * l->rate / 1000000 - l->n_missed;
        uint64_t n = wanted > l->n_submitted ? wanted - l->n_submitted : 0;
        uint64_t room = l->window - (l->n_submitted - l->n_results);

        /* What was not submitted within a second never is: no faults make an overload. */
        if (n > l->rate) {
                l->n_missed += n - l->rate;
                n = l->rate;
        }
        if (n > room)
                n = room;
        return n > BATCH ? BATCH : n;
}

static int run(struct load *l) {
        for (;;) {
                uint64_t next;
                int status = 0;

                if (l->n_todo == 0 && !stopping)
                        make_tasks(l, due(l));
                if (l->n_todo)
                        status = submit(l);
                /* From here on: a call that took long must not leave the results no time. */
                next = now_ns() + (status ? AGAIN_NS : TICK_NS);
                if (collect(l, next) == FAAS_E_NOENT) {
                        if (stopping && l->n_todo == 0)
                                return 0;
                        nap(next);
                }
        }
}

/* The ids of a log that were acknowledged and have no result. */
static size_t open_ids(const char *path, struct faas_id **ret) {
        FILE *f = fopen(path, "re");
        struct faas_id *ids = NULL;
        struct record r;
        size_t n = 0;

        if (!f)
                die(path);
        while (fread(&r, sizeof(r), 1, f) == 1) {
                if (r.what == R_ACKNOWLEDGED) {
                        ids = realloc(ids, (n + 1) * sizeof(*ids));
                        if (!ids)
                                die("memory");
                        ids[n++] = r.id;
                }
                /* Results come in about the order of acknowledgements. */
                for (size_t i = 0; r.what == R_RESULT && i < n; i++)
                        if (memcmp(&ids[i], &r.id, sizeof(r.id)) == 0) {
                                memmove(&ids[i], &ids[i + 1], (--n - i) * sizeof(*ids));
                                break;
                        }
        }
        (void)fclose(f);
        *ret = ids;
        return n;
}

/* Until all are there: one that never comes is for the checker to tell. */
static int ask(struct load *l, struct faas_id *ids, size_t n) {
        struct faas_result r = FAAS_RESULT_INIT;

        while (n) {
                size_t left = 0;

                for (size_t i = 0; i < n; i++) {
                        int status = faas_result(l->client, &ids[i], &r);

                        if (status < 0)
                                die("faas_result");
                        if (status == 0)
                                note_result(l, R_ASKED, &r);
                        else
                                ids[left++] = ids[i];
                }
                n = left;
                nap(now_ns() + AGAIN_NS);
        }
        faas_result_clear(&r);
        return 0;
}

static void open_client(struct load *l, const char *urls) {
        const struct faas_client_cfg cfg = {.struct_size = sizeof(cfg),
                                            .submit_timeout_ms = CALL_MS};

        if (faas_client_open(&l->client, urls, NULL, &cfg))
                die(urls);
}

/* A call asks for one and waits, so there are many processes, which die with their parent. */
static int ask_all(struct load *l, const char *urls, const char *path) {
        struct faas_id *ids;
        size_t n = open_ids(path, &ids);
        size_t share = n / ASKERS + 1;
        int status = 0, one;

        for (size_t i = 0; i < n; i += share) {
                pid_t parent = getpid();
                pid_t pid = fork();

                if (pid < 0)
                        die("fork");
                if (pid == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        if (getppid() != parent)
                                _exit(3);
                        open_client(l, urls);
                        one = ask(l, ids + i, n - i < share ? n - i : share);
                        faas_client_close(l->client);
                        free(ids);
                        exit(one);
                }
        }
        while (wait(&one) > 0)
                status |= one;
        free(ids);
        return status ? 3 : 0;
}

int main(int argc, char **argv) {
        static struct load l;
        int status;

        if (argc < 6)
                return 2;
        (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
        l.log = record_open(argv[3]);
        l.number = (uint32_t)strtoul(argv[4], NULL, 10);
        l.begin_ns = now_ns();
        if (l.log < 0)
                die(argv[3]);
        if (strcmp(argv[1], "ask") == 0) {
                status = ask_all(&l, argv[2], argv[5]);
        } else {
                open_client(&l, argv[2]);
                l.rate = strtoull(argv[5], NULL, 10);
                l.window = argc > 6 ? strtoull(argv[6], NULL, 10) : 10000;
                status = run(&l);
        }
        faas_client_close(l.client);
        return status;
}
