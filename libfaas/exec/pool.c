/*
 * pool.c - the processes of a pool as the host sees them
 *
 * Driven by slots.c.  Keeps the zygote alive and asks it for slots; a fork that is refused, a
 * missing descriptor or a slot that dies before it can speak leads to a pause that grows, never to
 * a busy loop.  It waits only in fa_pool_end().
 */
#include "exec/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "exec/launch.h"

#define PAUSE_MIN_MS 10u
#define PAUSE_MAX_MS 1000u
#define BELL_RINGS 64    /* a socket takes some hundred messages */
#define END_WAIT_MS 2000 /* for a zygote to end in good order: it only has to kill */

static void watch_fd(struct fa_slots *s, int op, int fd, uint32_t number, uint32_t events) {
        struct epoll_event ev = {.events = events, .data.u32 = number};

        (void)epoll_ctl(s->epoll, op, fd, &ev);
}

void fa_pool_watch(struct fa_slots *s, struct fa_pool_slot *slot) {
        if (!fa_list_empty(&slot->watched))
                return;
        fa_list_push_back(&s->watched, &slot->watched);
        s->n_watched++;
}

void fa_pool_unwatch(struct fa_slots *s, struct fa_pool_slot *slot) {
        if (fa_list_empty(&slot->watched))
                return;
        fa_list_remove(&slot->watched);
        s->n_watched--;
}

/* There is always room in it, and to be told that again is an edge. */
void fa_pool_poke(struct fa_slots *s, const struct fa_pool_slot *slot) {
        watch_fd(s, EPOLL_CTL_MOD, slot->bell, (uint32_t)(slot - s->slots),
                 EPOLLIN | EPOLLOUT | EPOLLET);
}

void fa_pool_arm(struct fa_pool_slot *slot) {
        /* Also if it is armed: it may have rung since. */
        slot->n_rings++;
        fa_chan_arm(&slot->chan);
}

/*
 * The epoll is edge-triggered, so a bell need not be read to be heard again; but it must not get
 * full, or its slot could not ring it any more.  What is read may be a ring that the epoll has not
 * told of, and tells no more: whoever calls this looks at the slot afterwards.
 */
void fa_pool_empty_bell(struct fa_pool_slot *slot) {
        char drop[4 * BELL_RINGS];

        if (slot->n_rings < BELL_RINGS)
                return;
        (void)recv(slot->bell, drop, sizeof(drop), MSG_DONTWAIT);
        slot->n_rings = 0;
}

static void pause_forks(struct fa_slots *s) {
        s->pause_ms = FA_MIN(FA_MAX(s->pause_ms * 2, PAUSE_MIN_MS), PAUSE_MAX_MS);
        s->retry_ns = fa_now() + s->pause_ms * FA_NS_PER_MS;
}

int fa_pool_launch(struct fa_slots *s) {
        int r = fa_launch(&s->sock, &s->cfg);

        if (r < 0)
                return r;
        struct epoll_event ev = {.events = EPOLLIN, .data.u32 = FA_POOL_ZYGOTE};
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->sock, &ev) < 0) {
                r = fa_errno(errno, "cannot watch the slots' parent");
                close(s->sock);
                s->sock = -1;
                return r;
        }
        s->state = FA_ZYGOTE_STARTING;
        s->start_by_ns = fa_now() + s->restart_ms * FA_NS_PER_MS;
        s->loading = -1;
        return 0;
}

static void mark_dead(struct fa_slots *s, struct fa_pool_slot *slot, int status) {
        slot->dead = true;
        slot->status = status;
        fa_list_remove(&slot->want_kill);
        fa_list_remove(&slot->dirty);
        fa_pool_unwatch(s, slot);
        fa_list_push_back(&s->dying, &slot->dying);
}

/* It is gone, and with it, by PR_SET_PDEATHSIG, its slots. */
static void lose_zygote(struct fa_slots *s) {
        if (s->state == FA_ZYGOTE_STARTING)
                pause_forks(s);
        close(s->sock);
        if (s->pidfd >= 0)
                close(s->pidfd);
        s->sock = s->pidfd = -1;
        s->zygote = 0;
        s->mail_blocked = false;
        s->state = FA_ZYGOTE_NONE;
        fa_log(FAAS_LOG_WARNING, "the slots' parent process is gone, starting it anew");
        for (unsigned i = 0; i < s->n; i++)
                if (s->slots[i].asked && !s->slots[i].dead)
                        mark_dead(s, &s->slots[i], SIGKILL);
}

/* Stopped, or stuck in the constructor of a module: that one may be as good as ever next time. */
static void give_up_start(struct fa_slots *s) {
        fa_log(FAAS_LOG_WARNING, "the slots' parent process did not start in %u ms", s->restart_ms);
        /* Before it has said who it is it has no more than its end of the socket to notice. */
        if (s->pidfd >= 0)
                (void)pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
        lose_zygote(s);
}

static int take_names(struct fa_slots *s, const struct fa_mail *m) {
        size_t n = 0;

        /* A zygote started anew tells the same; the owner has pointers to what the first one said.
         */
        if (s->functions)
                return 0;
        for (uint32_t i = 0; i < m->len; i++)
                n += m->data[i] == '\0';
        char *names = malloc(m->len + 1u);
        const char **functions = calloc(n + 1, sizeof(*functions));
        if (!names || !functions) {
                free(names);
                free(functions);
                return fa_error(-ENOMEM, "no memory for the names of %zu functions", n);
        }
        memcpy(names, m->data, m->len);
        names[m->len] = '\0';
        for (size_t i = 0, at = 0; i < n; at += strlen(names + at) + 1)
                functions[i++] = names + at;
        s->names = names;
        s->functions = functions;
        s->n_functions = n;
        return 0;
}

static void take_death(struct fa_slots *s, const struct fa_mail *m) {
        struct fa_pool_slot *slot = &s->slots[m->slot];

        slot->timed_out = m->flags & FA_MAIL_TIMED_OUT;
        /* Without memory for it the task has no log: that is all. */
        (void)fa_blob_new(&slot->log, m->data, FA_MIN(m->len, FA_LOG_MAX));
        mark_dead(s, slot, m->value);
}

static int take_mail(struct fa_slots *s, const struct fa_mail *m) {
        switch ((enum fa_mail_type)m->type) {
        case FA_MAIL_HELLO:
                s->zygote = m->value;
                s->pidfd = pidfd_open(s->zygote, 0);
                return 0;
        case FA_MAIL_LOADING:
                s->loading = m->value;
                return 0;
        case FA_MAIL_READY:
                s->state = FA_ZYGOTE_READY;
                return take_names(s, m);
        case FA_MAIL_REFUSED:
                return fa_error(m->value, "%.*s", (int)m->len, m->data);
        case FA_MAIL_NOFORK:
                if (s->state == FA_ZYGOTE_STARTING)
                        return fa_errno(m->value, "cannot fork the slots' parent");
                if (m->slot >= s->n || s->slots[m->slot].gen != m->gen || s->slots[m->slot].dead)
                        return 0;
                fa_log(FAAS_LOG_WARNING, "cannot fork slot %u: %s", m->slot,
                       faas_strerror(-m->value));
                fa_pool_bury(s, &s->slots[m->slot]);
                return 0;
        case FA_MAIL_DOWN:
                if (m->slot < s->n && s->slots[m->slot].gen == m->gen && s->slots[m->slot].asked &&
                    !s->slots[m->slot].dead)
                        take_death(s, m);
                return 0;
        case FA_MAIL_SPAWN:
        case FA_MAIL_KILL:
                break;
        }
        return 0;
}

int fa_pool_mail(struct fa_slots *s) {
        while (s->sock >= 0) {
                int r = fa_mail_recv(s->sock, &s->mail, NULL);

                if (r == FAAS_E_AGAIN)
                        return 0;
                if (r == FAAS_E_GONE) {
                        lose_zygote(s);
                        return 0;
                }
                bool again = s->state == FA_ZYGOTE_STARTING && s->mail.type == FA_MAIL_NOFORK &&
                             s->n_functions > 0;
                r = take_mail(s, &s->mail);
                /* At open a refused fork is the answer; later it is one more try. */
                if (r != 0 && !again)
                        return r;
        }
        return 0;
}

/*
 * By hand, because a close() is not enough when a fork of the host has the same socket.  The fork
 * itself must not: the epoll is the parent's too.
 */
static void close_bell(struct fa_slots *s, struct fa_pool_slot *slot) {
        if (slot->bell < 0)
                return;
        if (getpid() == s->owner)
                (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, slot->bell, NULL);
        close(slot->bell);
        slot->bell = -1;
}

static void forget_life(struct fa_slots *s, struct fa_pool_slot *slot) {
        close_bell(s, slot);
        fa_pool_unwatch(s, slot);
        fa_chan_close(&slot->chan);
        slot->log = fa_blob_unref(slot->log);
        slot->asked = slot->up = slot->dead = slot->spent = slot->timed_out = false;
        slot->bad = NULL;
        slot->pid = 0;
        slot->n_rings = 0;
        fa_list_remove(&slot->dirty);
        fa_list_remove(&slot->want_kill);
        fa_list_remove(&slot->want_spawn);
        fa_list_remove(&slot->dying);
}

/* Makes bell and memory; fds: what the slot gets. 0 or a negated errno. */
static int prepare(struct fa_slots *s, struct fa_pool_slot *slot, int fds[2]) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLET,
                                 .data.u32 = (uint32_t)(slot - s->slots)};
        int sv[2];
        int r = fa_channel_new(&fds[1]);

        if (r < 0)
                return fa_errno(-r, "cannot make a slot's memory");
        r = fa_chan_open(&slot->chan, fds[1], s->first_seq);
        if (r < 0) {
                close(fds[1]);
                return fa_errno(-r, "cannot map a slot's memory");
        }
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
                r = fa_errno(errno, "cannot make a slot's bell");
        } else if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, sv[0], &ev) < 0) {
                r = fa_errno(errno, "cannot watch a slot's bell");
                close(sv[0]);
                close(sv[1]);
        }
        if (r < 0) {
                fa_chan_close(&slot->chan);
                close(fds[1]);
                return r;
        }
        slot->bell = sv[0];
        fds[0] = sv[1];
        fa_pool_arm(slot); /* for its first word */
        return 0;
}

static int tell(struct fa_slots *s,
                const struct fa_pool_slot *slot,
                enum fa_mail_type type,
                const int fds[2]) {
        struct fa_mail *m = &s->mail;

        m->type = type;
        m->slot = (uint32_t)(slot - s->slots);
        m->gen = slot->gen;
        m->flags = 0;
        m->value = 0;
        m->len = 0;
        return fa_mail_send(s->sock, m, fds);
}

/* 0; FAAS_E_AGAIN the zygote's socket is full; < 0 no resources. */
static int ask_for(struct fa_slots *s, struct fa_pool_slot *slot) {
        int fds[2] = {-1, -1};
        int r = prepare(s, slot, fds);

        if (r != 0)
                return r;
        slot->gen++;
        r = tell(s, slot, FA_MAIL_SPAWN, fds);
        close(fds[0]);
        close(fds[1]);
        if (r < 0) {
                forget_life(s, slot);
                fa_list_push_front(&s->want_spawn, &slot->want_spawn);
                if (r == -EAGAIN)
                        return FAAS_E_AGAIN;
                /* A zygote that has just died is lost by its own event; until then wait. */
                return fa_errno(-r, "cannot ask for a slot");
        }
        fa_list_remove(&slot->want_spawn);
        slot->asked = true;
        fa_pool_watch(s, slot);
        return 0;
}

static int send_kills(struct fa_slots *s) {
        for (struct fa_list *it; (it = fa_list_first(&s->want_kill));) {
                struct fa_pool_slot *slot = fa_list_entry(it, struct fa_pool_slot, want_kill);

                int r = tell(s, slot, FA_MAIL_KILL, NULL);
                if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
                        return FAAS_E_AGAIN; /* it has to be killed, however long that takes */
                fa_list_remove(it);
        }
        return 0;
}

static int send_spawns(struct fa_slots *s) {
        if (s->pause_ms && fa_now() < s->retry_ns)
                return FAAS_E_AGAIN;
        while (!fa_list_empty(&s->want_spawn)) {
                struct fa_list *first = fa_list_first(&s->want_spawn);
                int r = ask_for(s, fa_list_entry(first, struct fa_pool_slot, want_spawn));

                if (r < 0)
                        pause_forks(s);
                if (r != 0)
                        return r;
        }
        return 0;
}

int fa_pool_service(struct fa_slots *s) {
        if (s->state == FA_ZYGOTE_STARTING && fa_now() >= s->start_by_ns)
                give_up_start(s);
        if (s->state == FA_ZYGOTE_NONE && fa_now() >= s->retry_ns && fa_pool_launch(s) < 0)
                pause_forks(s);
        if (s->state != FA_ZYGOTE_READY)
                return FAAS_E_AGAIN;

        int r = send_kills(s);
        bool blocked = r == FAAS_E_AGAIN;
        if (r == 0 && !fa_list_empty(&s->want_spawn)) {
                r = send_spawns(s);
                blocked = r == FAAS_E_AGAIN && fa_now() >= s->retry_ns;
        }
        if (blocked != s->mail_blocked) {
                watch_fd(s, EPOLL_CTL_MOD, s->sock, FA_POOL_ZYGOTE,
                         blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
                s->mail_blocked = blocked;
        }
        return r;
}

void fa_pool_kill(struct fa_slots *s, struct fa_pool_slot *slot, const char *why) {
        if (!slot->asked || slot->dead)
                return;
        if (why && !slot->bad) {
                slot->bad = why;
                fa_pool_unwatch(s, slot);
                fa_list_remove(&slot->dirty);
        }
        fa_list_remove(&slot->want_kill);
        fa_list_push_back(&s->want_kill, &slot->want_kill);
}

void fa_pool_bury(struct fa_slots *s, struct fa_pool_slot *slot) {
        /* Died before it could speak: whatever hinders it may hinder the next one. */
        if (!slot->up)
                pause_forks(s);
        forget_life(s, slot);
        fa_list_push_back(&s->want_spawn, &slot->want_spawn);
}

void fa_pool_flush(struct fa_slots *s, struct fa_pool_slot *slot) {
        /* Before it can see a task: then it cannot miss that we sleep. */
        if (s->armed)
                fa_pool_arm(slot);
        fa_pool_watch(s, slot);
        int r = fa_chan_flush(&slot->chan);
        slot->n_rings += r == FAAS_E_AGAIN; /* for room */
        if (r == FAAS_E_PROTO)
                fa_pool_kill(s, slot, "it wrote over its slot's control page");
}

static bool ended(const struct fa_slots *s, int wait_ms) {
        struct pollfd p = {s->pidfd, POLLIN, 0};
        uint64_t until_ns = fa_now() + (uint64_t)wait_ms * FA_NS_PER_MS;
        int n;

        do {
                n = poll(&p, 1, fa_poll_ms(until_ns, fa_now()));
        } while (n < 0 && errno == EINTR);
        return n > 0;
}

void fa_pool_end(struct fa_slots *s) {
        bool mine = getpid() == s->owner;

        if (s->sock >= 0 && mine) {
                /* The end of the socket is the zygote's end; by force if it is stopped or stuck. */
                (void)shutdown(s->sock, SHUT_RDWR);
                if (s->pidfd >= 0 && !ended(s, END_WAIT_MS)) {
                        (void)pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
                        (void)ended(s, END_WAIT_MS);
                }
        }
        if (!mine && s->epoll >= 0) {
                /* The fork shares the epoll with the owner, and has never had the memory. */
                close(s->epoll);
                s->epoll = -1;
                for (unsigned i = 0; i < s->n; i++)
                        fa_chan_forget(&s->slots[i].chan);
        }
        for (unsigned i = 0; i < s->n; i++) {
                forget_life(s, &s->slots[i]);
                fa_chan_deinit(&s->slots[i].chan);
        }
        if (s->sock >= 0)
                close(s->sock);
        if (s->pidfd >= 0)
                close(s->pidfd);
}
