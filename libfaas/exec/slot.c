/*
 * slot.c - the child that runs functions: reads tasks, calls, writes results
 *
 * One thread, no event loop: it reads whatever has gathered, runs it in order, and writes what has
 * gathered in turn.  It never waits to gather more, and writes what is finished before it starts
 * something that took long before; if it is mistaken there, the host fetches the results from the
 * shelf.  User code runs in this address space and may break anything; all this file promises then
 * is to end the process and to leave the judgement to the host, which checks every byte.
 */
#include "exec/slot.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "exec/call.h"

#define IN_SIZE ((size_t)256 * 1024) /* some 3,000 small tasks in one read */
#define MINE_SIZE ((size_t)4096)     /* a page for one byte: forks get an empty one */
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
        uint8_t *in; /* aligned; frames begin at multiples of 16 */
        size_t in_len, in_cap;
        uint64_t filled;        /* bytes that were ever put on the shelf */
        uint64_t held_since_ns; /* when the oldest result there was made */
        uint64_t now_ns;        /* read once per task: the end of one is the start of the next */
        volatile uint8_t *mine; /* 1 in this process, 0 in whatever it forks */
        struct faas_call call;
        struct history history[FA_FUNCTIONS_MAX];
};

/* Says on the page that it is we who end, and not the function by chance with the same status. */
static _Noreturn void end(const struct fa_slot_env *env, int status) {
        atomic_store(&env->control->ended, (uint64_t)status);
        _exit(status);
}

static _Noreturn void lost_channel(const struct slot *s) {
        end(s->env, FA_SLOT_EXIT_CHANNEL);
}

static struct fa_shelf *shelf(const struct slot *s) {
        return &s->env->control->shelf;
}

/*
 * send() and not write(): a function may have closed our socket and opened a file of its own under
 * the same number, and that file must not get our frames.
 */
static void send_all(struct slot *s, struct iovec *iov, size_t n) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};

        while (msg.msg_iovlen > 0) {
                ssize_t sent = sendmsg(s->env->sock, &msg, MSG_NOSIGNAL);

                if (sent < 0) {
                        if (errno == EINTR)
                                continue;
                        lost_channel(s);
                }
                size_t left = (size_t)sent;
                while (msg.msg_iovlen > 0 && left >= msg.msg_iov->iov_len) {
                        left -= msg.msg_iov->iov_len;
                        msg.msg_iov++;
                        msg.msg_iovlen--;
                }
                if (msg.msg_iovlen > 0) {
                        msg.msg_iov->iov_base = (uint8_t *)msg.msg_iov->iov_base + left;
                        msg.msg_iov->iov_len -= left;
                }
        }
}

/* Writes what is on the shelf, and then these n pieces; iov has two free places before them. */
static void flush_with(struct slot *s, struct iovec *iov, size_t n) {
        struct iovec held[2];
        size_t n_held;

        if (fa_shelf_claim(shelf(s), s->filled, held, &n_held) != 0)
                end(s->env, FA_SLOT_EXIT_MEMORY);
        iov += 2 - n_held;
        for (size_t i = 0; i < n_held; i++)
                iov[i] = held[i];
        if (n_held + n > 0)
                send_all(s, iov, n_held + n);
}

static void flush(struct slot *s) {
        struct iovec iov[2];

        flush_with(s, iov, 0);
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
        uint64_t held = fa_shelf_held(shelf(s), s->filled);

        fa_frame_put(head, &f);
        if (held == 0)
                s->held_since_ns = s->now_ns;
        if (held <= FA_SHELF_LEN && FA_FRAME_LEN + len <= FA_SHELF_LEN - held) {
                fa_shelf_put(shelf(s), &s->filled, head, sizeof(head), body, len);
                return;
        }
        struct iovec iov[4] = {[2] = {head, sizeof(head)}, [3] = {fa_unconst(body), len}};
        flush_with(s, iov, 2);
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
        struct fa_control *c = s->env->control;
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
        if (atomic_exchange(&s->env->control->deadline_ns, 0) == FA_DEADLINE_EXPIRED)
                for (;;)
                        (void)raise(SIGKILL);
}

static void end_call(struct slot *s, uint32_t seq, int code) {
        struct faas_call *call = &s->call;

        if (code != 0) {
                if (call->text_len == 0)
                        (void)faas_call_fail(call, "the function returned %d", code);
                put_result(s, seq, FAAS_FAILURE_FUNCTION, code, call->text, call->text_len);
        } else if (call->refused && call->refused_errno == ENOMEM) {
                put_failure(s, seq, FAAS_FAILURE_LIMIT, "no memory for a result of %zu bytes",
                            call->refused_len);
        } else if (call->refused) {
                put_failure(s, seq, FAAS_FAILURE_LIMIT,
                            "a result of %zu bytes is over the limit of %u", call->refused_len,
                            FA_PAYLOAD_MAX);
        } else {
                put_result(s, seq, FAAS_FAILURE_NONE, 0, call->result, call->result_len);
        }
}

static void run(struct slot *s, const struct fa_frame *f, const uint8_t *body) {
        const char *name = (const char *)body + 16;
        size_t skip = 16u + FA_TASK_NAME_ROOM(f->aux);
        const struct fa_registry_row *row = fa_registry_find(s->env->registry, name, f->aux);
        struct history *h = row ? &s->history[row - s->env->registry->rows] : NULL;

        if (row && !is_short(s, h) && fa_shelf_held(shelf(s), s->filled) > 0) {
                flush(s);
                s->now_ns = fa_now();
        }
        if (!fa_control_claim(s->env->control, f->seq))
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
        int code = row->fn(&s->call);
        if (!*s->mine)
                _exit(0); /* a child of the function came back from it: it is no slot */
        if (f->arg)
                disarm(s);
        /* Whoever wrote all over the page cannot be recalled or timed any more. */
        if (fa_claim_claimed(atomic_load(&s->env->control->claim)) != f->seq)
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

/* Runs all complete frames; returns how many bytes the one that is not complete has in all. */
static size_t run_batch(struct slot *s) {
        size_t pos = 0;
        size_t need = FA_FRAME_LEN;

        while (s->in_len - pos >= FA_FRAME_LEN) {
                struct fa_frame f;

                fa_frame_get(&f, s->in + pos);
                if (!is_task(&f))
                        lost_channel(s);
                need = FA_FRAME_LEN + f.len + FA_TASK_PAD(f.len);
                if (s->in_len - pos < need)
                        break;
                run(s, &f, s->in + pos + FA_FRAME_LEN);
                pos += need;
                need = FA_FRAME_LEN;
        }
        s->in_len -= pos;
        if (s->in_len > 0 && pos > 0)
                memmove(s->in, s->in + pos, s->in_len);
        return need;
}

static void read_more(struct slot *s, size_t need) {
        if (need > s->in_cap) {
                /* Once, for the largest task there can be; untouched pages cost nothing. */
                uint8_t *p = aligned_alloc(64, (FA_TASK_MAX + 63u) & ~63u);

                if (!p)
                        end(s->env, FA_SLOT_EXIT_MEMORY);
                memcpy(p, s->in, s->in_len);
                free(s->in);
                s->in = p;
                s->in_cap = FA_TASK_MAX;
        }

        ssize_t n;
        do {
                n = recv(s->env->sock, s->in + s->in_len, s->in_cap - s->in_len, 0);
        } while (n < 0 && errno == EINTR);
        if (n == 0)
                _exit(0);
        if (n < 0)
                lost_channel(s);
        s->in_len += (size_t)n;
}

_Noreturn void fa_slot_main(const struct fa_slot_env *env) {
        struct slot *s = calloc(1, sizeof(*s));
        uint8_t *mine =
                mmap(NULL, MINE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (!s || mine == MAP_FAILED || madvise(mine, MINE_SIZE, MADV_WIPEONFORK) < 0)
                end(env, FA_SLOT_EXIT_MEMORY);
        *mine = 1;
        s->env = env;
        s->mine = mine;
        s->in = aligned_alloc(64, IN_SIZE);
        s->in_cap = IN_SIZE;
        if (!s->in)
                end(env, FA_SLOT_EXIT_MEMORY);

        struct fa_frame hello = {
                .type = FA_FRAME_HELLO, .seq = FA_CHANNEL_VERSION, .arg = (uint32_t)getpid()};
        uint8_t head[FA_FRAME_LEN];
        fa_frame_put(head, &hello);
        send_all(s, &(struct iovec){head, sizeof(head)}, 1);

        for (size_t need = FA_FRAME_LEN;;) {
                flush(s);
                read_more(s, need);
                s->now_ns = fa_now();
                need = run_batch(s);
        }
}
