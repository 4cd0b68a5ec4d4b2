/*
 * test-kill.c - slots are killed at random while they work: nothing is lost, little is done twice
 *
 * The killer is a process of its own, forked before the client opens: it knows nothing but the
 * zygote's pid.  Functions count each execution in memory that all processes share.
 */
#undef NDEBUG
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pids.h"

enum { N = 100000, PIDS = 1 << 22, SLOTS = 4, DEPTH = 64 };

static struct {
        _Atomic uint32_t executed[N];
        _Atomic uint32_t started[PIDS]; /* tasks that this process has begun */
        _Atomic uint8_t killed[PIDS];
        _Atomic uint32_t begun; /* tasks, by all of them */
        _Atomic uint32_t kills;
        _Atomic int zygote; /* -1: the killer shall end */
} * shared;

/* A result names its task, so that each can be checked in whatever order they end. */
struct answer {
        uint64_t value;
        uint64_t i;
};

static uint64_t right(uint32_t i) {
        return (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15) ^ i;
}

static int work(struct faas_call *call) {
        struct answer *out = faas_call_reserve(call, sizeof(*out));
        uint32_t i;

        memcpy(&i, faas_call_payload(call, NULL), sizeof(i));
        shared->started[(unsigned)getpid() % PIDS]++;
        shared->begun++;
        shared->executed[i]++;
        for (volatile unsigned spin = 0; spin < i % 20000; spin++)
                ; /* up to some ten microseconds: kills shall find running tasks */
        *out = (struct answer){right(i), i};
        return 0;
}

static const struct faas_function functions[] = {{"work", work}, {NULL, NULL}};

/*
 * Some hundred tasks begin between two kills, whatever time that takes: where a slot comes up
 * slowly (a sanitizer), kills by the clock would leave none alive.  It dies with the test, whatever
 * ends that: one that lived on would kill the children of whoever gets the zygote's number next.
 */
static void killer(pid_t test) {
        unsigned seed = (unsigned)getpid();
        pid_t pids[SLOTS];

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != test)
                _exit(1);
        while (shared->zygote >= 0) {
                uint32_t from = shared->begun, more = (uint32_t)rand_r(&seed) % 600;
                while (shared->zygote >= 0 && shared->begun - from < more)
                        usleep(100);
                size_t n = shared->zygote > 0 ? pids_children(shared->zygote, pids, SLOTS) : 0;
                if (!n) {
                        usleep(100);
                        continue;
                }
                pid_t pid = pids[(unsigned)rand_r(&seed) % n];
                shared->killed[(unsigned)pid % PIDS] = 1;
                if (kill(pid, SIGKILL) == 0)
                        shared->kills++;
        }
        _exit(0);
}

static void submit(struct faas_client *c, uint32_t from, uint32_t n) {
        struct faas_task tasks[250];
        uint32_t numbers[250];

        for (uint32_t i = 0; i < n; i++) {
                numbers[i] = from + i;
                tasks[i] = (struct faas_task){.function = "work",
                                              .payload = &numbers[i],
                                              .payload_len = sizeof(numbers[i]),
                                              .max_strikes = 1000};
        }
        cr_assert_eq(faas_submit_many(c, tasks, n, NULL, NULL), 0, "%s", faas_error_text());
}

/* Right, and for a task that had no result yet. */
static void check(const struct faas_result *r) {
        static bool seen[N];
        struct answer a;

        cr_assert_eq(r->payload_len, sizeof(a));
        memcpy(&a, r->payload, sizeof(a));
        cr_assert_lt(a.i, N);
        cr_assert_eq(a.value, right((uint32_t)a.i));
        cr_assert_not(seen[a.i], "twice");
        seen[a.i] = true;
}

/* What was executed more than once, and what had begun on slots that were killed. */
static void compare_counts(void) {
        uint64_t more = 0, begun = 0;

        for (unsigned i = 0; i < N; i++) {
                cr_assert_geq(shared->executed[i], 1);
                more += shared->executed[i] - 1;
        }
        for (unsigned i = 0; i < PIDS; i++)
                if (shared->killed[i])
                        begun += shared->started[i];
        cr_log_info("%u kills, %llu tasks begun on those slots, %llu executed again", shared->kills,
                    (unsigned long long)begun, (unsigned long long)more);
        cr_assert_leq(more, begun);
        cr_assert_leq(more, (uint64_t)shared->kills * DEPTH, "no more than a slot holds");
}

Test(kill, all_tasks_complete_and_only_those_of_killed_slots_run_again) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c = NULL;
        uint32_t sent = 0;
        int status;

        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
        cr_assert_neq(shared, MAP_FAILED);
        pid_t test = getpid();
        pid_t pid = fork();
        if (pid == 0)
                killer(test);
        cr_assert_eq(faas_client_open(&c, "local:4", functions, NULL), 0, "%s", faas_error_text());
        shared->zygote = pids_zygote(c);
        for (uint32_t got = 0; got < N; got++) {
                for (; sent < N && sent - got < 4000; sent += 250)
                        submit(c, sent, 250);
                cr_assert_eq(faas_wait_any(c, -1, &r), 0, "%s", faas_error_text());
                cr_assert_eq(r.status, FAAS_COMPLETED, "%s", r.text);
                check(&r);
        }
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT);
        shared->zygote = -1;
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_gt(shared->kills, 20, "too few to mean anything: %u", shared->kills);
        compare_counts();
        faas_result_clear(&r);
        faas_client_close(c);
}

/* The same for the zygote: it takes all slots with it, and everything starts anew. */
Test(kill, a_killed_zygote_costs_no_task) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c = NULL;
        struct answer a;
        struct faas_id ids[500];

        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
        cr_assert_neq(shared, MAP_FAILED);
        cr_assert_eq(faas_client_open(&c, "local:4", functions, NULL), 0);
        for (uint32_t i = 0; i < 500; i++) {
                const struct faas_task t = {.function = "work",
                                            .payload = &i,
                                            .payload_len = sizeof(i),
                                            .max_strikes = 1000};
                cr_assert_eq(faas_submit(c, &t, &ids[i]), 0, "%s", faas_error_text());
                if (i % 100 == 50 && pids_zygote(c) > 0)
                        cr_assert_eq(kill(pids_zygote(c), SIGKILL), 0);
        }
        for (uint32_t i = 0; i < 500; i++) {
                cr_assert_eq(faas_wait(c, &ids[i], -1, &r), 0);
                cr_assert_eq(r.status, FAAS_COMPLETED, "%s", r.text);
                memcpy(&a, r.payload, sizeof(a));
                cr_assert_eq(a.i, i);
                cr_assert_eq(a.value, right(i));
        }
        faas_result_clear(&r);
        faas_client_close(c);
}
