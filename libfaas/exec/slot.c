/*
 * slot.c - the child that runs functions: takes tasks from a ring, calls, puts results into another
 *
 * One thread, no event loop.  Tasks are run where they lie.  A result is told at once, for a host
 * that looks; one that sleeps is woken when there is nothing more to run, and before something that
 * took long before.  If the slot is mistaken there, the host finds the results by itself.  User
 * code runs in this address space and may break anything; all this file promises then is to end the
 * process and to leave the judgement to the host, which checks every byte.
 */
#include "exec/slot.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "exec/call.h"
#include "exec/map.h"

#define MINE_SIZE ((size_t)4096) /* a page for one byte: forks get an empty one */
#define SHORT_NS (50 * FA_NS_PER_US)
#define HELD_NS (100 * FA_NS_PER_US)
#define HISTORY 32 /* runs after which the older half of a function's history is forgotten */

/* The longest of the last 32 to 64 runs of a function, without keeping them all. */
struct history {
        uint64_t max_ns, old_max_ns;
        uint32_t n;
};

struct slot {
        const struct fa_slot_env *env;
        struct fa_control *control;
        struct fa_ring tasks, results;
        uint8_t *big;           /* a task that is longer than a ring; NULL: none has come */
        uint32_t rung;          /* results up to here the host has been woken for */
        uint64_t held_since_ns; /* when the oldest one behind them was made */
        uint64_t now_ns;        /* read once per task: the end of one is the start of the next */
        bool spin;              /* the last sleep was short */
        unsigned spins;         /* how often to look then */
        volatile uint8_t *mine; /* 1 in this process, 0 in whatever it forks */
        struct faas_call call;
        struct fa_map_room map;
        struct history history[FA_FUNCTIONS_MAX];
};

/* Says on the page that it is we who end, and not the function by chance with the same status. */
static _Noreturn void end(const struct fa_slot_env *env, int status) {
        atomic_store(&env->channel.control->ended, (uint64_t)status);
        _exit(status);
}

static _Noreturn void lost_channel(const struct slot *s) {
        end(s->env, FA_SLOT_EXIT_CHANNEL);
}

/*
 * send() and not write(): a function may have closed our socket and opened a file of its own under
 * the same number, and that file must not get our bytes.
 */
static void ring_bell(const struct slot *s) {
        ssize_t n;

        do {
                n = send(s->env->bell, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        } while (n < 0 && errno == EINTR);
        if (n < 0) /* full is as bad as closed: that were not our bytes */
                lost_channel(s);
}

/* Wakes the host, if it sleeps, for the results that are there. */
static void flush(struct slot *s) {
        s->rung = s->results.pos;
        if (fa_ring_wake_reader(&s->results))
                ring_bell(s);
}

/*
 * Gives the room of what was read back, and wakes a host that waits for it: when half of the ring
 * is free, or for sure because all is read.  Else the mark may be missed without its barrier.
 */
static void release(struct slot *s, bool sure) {
        fa_ring_release(&s->tasks);
        if (!sure && (s->tasks.seen - s->tasks.pos > FA_RING_SIZE / 2 ||
                      !atomic_load_explicit(&s->tasks.counts->writer_waits, memory_order_relaxed)))
                return;
        if (fa_ring_wake_writer(&s->tasks))
                ring_bell(s);
}

static void wait_tasks(const struct slot *s) {
        fa_channel_wait(&s->tasks.counts->head, s->tasks.pos, &s->tasks.counts->reader_waits);
}

/* Between two tasks, after a brief look.  Not within a long one: who brings the rest of it is busy
 * copying, and has better use for the processor. */
static void wait_next(struct slot *s) {
        uint64_t start_ns = fa_now();

        for (unsigned i = 0; s->spin && i < s->spins && fa_now() - start_ns < FA_SPIN_NS; i++) {
                if (fa_ring_ready(&s->tasks, 1) > 0)
                        return;
                (void)sched_yield();
        }
        start_ns = fa_now();
        wait_tasks(s);
        s->spin = fa_now() - start_ns < 2 * FA_SPIN_NS;
}

/* Until n bytes of results have room. */
static void wait_room(struct slot *s, uint32_t n) {
        uint32_t room;

        while ((room = fa_ring_room(&s->results, n)) < n) {
                flush(s);
                fa_channel_wait(&s->results.counts->tail, s->results.seen,
                                &s->results.counts->writer_waits);
        }
        if (room > FA_RING_SIZE)
                end(s->env, FA_SLOT_EXIT_MEMORY);
}

static void put_result(struct slot *s,
                       uint32_t seq,
                       enum faas_failure failure,
                       int code,
                       const void *body,
                       size_t len) {
        struct fa_frame f = {.len = (uint32_t)len,
                             .type = FA_FRAME_RESULT,
                             .flags = (uint8_t)failure,
                             .aux = (uint16_t)(failure ? len : 0),
                             .seq = seq,
                             .arg = (uint32_t)code};
        uint8_t head[FA_FRAME_LEN];

        fa_frame_put(head, &f);
        if (s->rung == s->results.pos)
                s->held_since_ns = s->now_ns;
        /* As a whole if it fits, else in pieces, as large as there is room for. */
        wait_room(s, FA_FRAME_LEN + len <= FA_RING_SIZE ? (uint32_t)(FA_FRAME_LEN + len)
                                                        : FA_FRAME_LEN);
        fa_ring_put(&s->results, head, sizeof(head));
        for (size_t done = 0; done < len;) {
                wait_room(s, 1);
                size_t n = FA_MIN(len - done, fa_ring_room(&s->results, 1));
                fa_ring_put(&s->results, (const uint8_t *)body + done, n);
                done += n;
                if (done < len)
                        fa_ring_tell(&s->results);
        }
        fa_ring_tell(&s->results);
}

static FA_PRINTF(4, 5) void put_failure(struct slot *s,
                                        uint32_t seq,
                                        enum faas_failure failure,
                                        const char *fmt,
                                        ...) {
        char text[FA_NAME_MAX + 128]; /* our own formats: a name or two numbers, and some words */
        va_list args;

        va_start(args, fmt);
        int len = vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        put_result(s, seq, failure, 0, text, FA_MIN((size_t)FA_MAX(len, 0), sizeof(text) - 1));
}

/* May the results that have gathered wait for the end of this function? */
static bool is_short(const struct slot *s, const struct history *h) {
        return (h->n > 0 || h->old_max_ns > 0) && FA_MAX(h->max_ns, h->old_max_ns) < SHORT_NS &&
               s->now_ns - s->held_since_ns < HELD_NS;
}

static void note_run(struct history *h, uint64_t ns) {
        h->max_ns = FA_MAX(h->max_ns, FA_MAX(ns, 1));
        if (++h->n >= HISTORY) {
                h->old_max_ns = h->max_ns;
                h->max_ns = 0;
                h->n = 0;
        }
}

static void arm(struct slot *s, uint32_t timeout_ms) {
        struct fa_control *c = s->control;
        uint64_t deadline_ns = s->now_ns + timeout_ms * FA_NS_PER_MS;
        uint64_t one = 1;

        /* Ours first, then its; the zygote does it the other way round: one of us sees the other.
         */
        atomic_store(&c->deadline_ns, deadline_ns);
        if (deadline_ns < atomic_load(&c->watch_at)) {
                /* A full counter says the same; without the zygote nobody is left to tell. */
                ssize_t n = write(s->env->wake, &one, sizeof(one));
                (void)n;
        }
}

static void disarm(struct slot *s) {
        /* The zygote has decided: its kill is on the way, and this task's time is over. */
        if (atomic_exchange(&s->control->deadline_ns, 0) == FA_DEADLINE_EXPIRED)
                for (;;)
                        (void)raise(SIGKILL);
}

static void end_call(struct slot *s, uint32_t seq, int code) {
        struct faas_call *call = &s->call;
        enum faas_failure failure = fa_call_outcome(call, code);

        if (failure)
                put_result(s, seq, failure, failure == FAAS_FAILURE_FUNCTION ? code : 0, call->text,
                           call->text_len);
        else
                put_result(s, seq, FAAS_FAILURE_NONE, 0, call->result, call->result_len);
}

static void run(struct slot *s, const struct fa_frame *f, const uint8_t *body) {
        const char *name = (const char *)body + 16;
        size_t skip = 16u + FA_TASK_NAME_ROOM(f->aux);
        const struct fa_registry_row *row = fa_registry_find(s->env->registry, name, f->aux);
        struct history *h = row ? &s->history[row - s->env->registry->rows] : NULL;

        if (row && !is_short(s, h) && s->rung != s->results.pos) {
                flush(s);
                s->now_ns = fa_now();
        }
        if (!fa_control_claim(s->control, f->seq))
                return;
        if (!row) {
                put_failure(s, f->seq, FAAS_FAILURE_NO_FUNCTION, "no function %s here", name);
                return;
        }

        fa_call_reset(&s->call);
        s->call.payload = body + skip;
        s->call.payload_len = f->len - skip;
        memcpy(s->call.id.b, body, sizeof(s->call.id.b));
        if (f->arg)
                arm(s, f->arg);
        int code = row->map ? fa_call_map(&s->call, row->fn, &s->map, s->mine) : row->fn(&s->call);
        if (!*s->mine)
                _exit(0); /* a child of the function came back from it: it is no slot */
        if (f->arg)
                disarm(s);
        /* Whoever wrote all over the page cannot be recalled or timed any more. */
        if (fa_claim_claimed(atomic_load(&s->control->claim)) != f->seq)
                end(s->env, FA_SLOT_EXIT_MEMORY);

        uint64_t end_ns = fa_now();
        note_run(h, end_ns - s->now_ns);
        s->now_ns = end_ns;
        end_call(s, f->seq, code);
}

/* Is the frame one that run() can take?  The host is trusted, but a function may have read from it.
 */
static bool is_task(const struct fa_frame *f) {
        return f->type == FA_FRAME_TASK && f->aux >= 1 && f->aux <= FA_NAME_MAX &&
               f->len >= 16u + FA_TASK_NAME_ROOM(f->aux) &&
               f->len <= 16u + FA_TASK_NAME_ROOM(f->aux) + FA_PAYLOAD_MAX;
}

/* A task that is longer than the ring, piece by piece, into memory of our own. */
static const uint8_t *read_big(struct slot *s, size_t need) {
        size_t have = 0;

        if (!s->big) /* once, for the largest there can be; untouched pages cost nothing */
                s->big = aligned_alloc(64, (FA_TASK_MAX + 63u) & ~63u);
        if (!s->big)
                end(s->env, FA_SLOT_EXIT_MEMORY);
        while (have < need) {
                uint32_t n = fa_ring_ready(&s->tasks, 1);

                if (n == 0) {
                        wait_tasks(s);
                        continue;
                }
                if (n > FA_RING_SIZE)
                        lost_channel(s);
                n = (uint32_t)FA_MIN(n, need - have);
                fa_ring_get(&s->tasks, s->big + have, n);
                have += n;
                release(s, true);
        }
        return s->big;
}

/* Runs the next task, if there is one. */
static bool run_next(struct slot *s) {
        uint32_t ready = fa_ring_ready(&s->tasks, FA_FRAME_LEN);
        const uint8_t *at = fa_ring_at(&s->tasks);
        struct fa_frame f;
        size_t need;

        if (ready == 0)
                return false;
        if (ready < FA_FRAME_LEN || ready > FA_RING_SIZE)
                lost_channel(s);
        fa_frame_get(&f, at);
        if (!is_task(&f))
                lost_channel(s);
        need = FA_FRAME_LEN + f.len + FA_TASK_PAD(f.len);
        if (need > FA_RING_SIZE) {
                at = read_big(s, need);
                run(s, &f, at + FA_FRAME_LEN);
                return true;
        }
        if (fa_ring_ready(&s->tasks, (uint32_t)need) < need) /* what fits is told as a whole */
                lost_channel(s);
        run(s, &f, at + FA_FRAME_LEN);
        s->tasks.pos += (uint32_t)need;
        release(s, false);
        return true;
}

_Noreturn void fa_slot_main(const struct fa_slot_env *env) {
        struct slot *s = calloc(1, sizeof(*s));
        uint8_t *mine =
                mmap(NULL, MINE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (!s || mine == MAP_FAILED || madvise(mine, MINE_SIZE, MADV_WIPEONFORK) < 0)
                end(env, FA_SLOT_EXIT_MEMORY);
        *mine = 1;
        s->env = env;
        s->control = env->channel.control;
        s->tasks = env->channel.tasks;
        s->results = env->channel.results;
        s->mine = mine;
        s->spins = fa_channel_spins();

        struct fa_frame hello = {
                .type = FA_FRAME_HELLO, .seq = FA_CHANNEL_VERSION, .arg = (uint32_t)getpid()};
        uint8_t head[FA_FRAME_LEN];
        fa_frame_put(head, &hello);
        fa_ring_put(&s->results, head, sizeof(head));
        fa_ring_tell(&s->results);

        for (;;) {
                flush(s);
                release(s, true);
                wait_next(s);
                s->now_ns = fa_now();
                while (run_next(s))
                        ;
        }
}
