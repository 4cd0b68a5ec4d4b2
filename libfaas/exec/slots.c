/*
 * slots.c - a pool of slots: tasks in, events out
 *
 * Driven by run/, from one thread.  It turns what pool.c and chan.c see into events, one at a time
 * and without a queue of its own: the bytes of the last read are the queue.  After fa_slots_open()
 * nothing here waits.
 */
#include "exec/slots.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/macros.h"
#include "exec/pool.h"

#define OPEN_WAIT_NS                                                                               \
        (10 * FA_NS_PER_S) /* for modules' constructors; the rest takes milliseconds               \
                            */

#define RESTART_MS 10000 /* the same without anybody who waits for it */

static int check_cfg(const struct fa_slots_cfg *cfg) {
        if (cfg->n_slots < 1 || cfg->n_slots > FA_SLOTS_MAX)
                return fa_error(-EINVAL, "a pool of %u slots; expected 1 to %d", cfg->n_slots,
                                FA_SLOTS_MAX);
        if (!(cfg->functions && cfg->functions->name) && !(cfg->modules && *cfg->modules) &&
            !cfg->builtins)
                return fa_error(-EINVAL, "there is no function to run; expected a table with one, "
                                         "a module, or the built-in ones");
        return 0;
}

static void init(struct fa_slots *s, const struct fa_slots_cfg *cfg) {
        bool functions = cfg->functions && cfg->functions->name;

        s->cfg = (struct fa_zygote_cfg){.n_slots = cfg->n_slots,
                                        .functions = functions ? cfg->functions : NULL,
                                        .modules = cfg->modules,
                                        .builtins = cfg->builtins};
        s->first_seq = cfg->first_seq ? cfg->first_seq : 1;
        s->restart_ms = cfg->restart_ms ? cfg->restart_ms : RESTART_MS;
        s->owner = getpid();
        s->epoll = s->sock = s->pidfd = -1;
        fa_list_init(&s->dirty);
        fa_list_init(&s->want_spawn);
        fa_list_init(&s->want_kill);
        fa_list_init(&s->dying);
        s->notes_end = &s->notes;
}

/*
 * A path of ours, to be freed: from the root, because a name without a slash is not looked for here
 * but where libraries are, and because the host may be elsewhere when the zygote is started anew.
 */
static char *module_path(const char *path) {
        char full[PATH_MAX];

        return strdup(realpath(path, full) ? full
                                           : path); /* if it is not there: dlopen() says so */
}

/* The module paths are needed again when the zygote has to be started anew. */
static int keep_modules(struct fa_slots *s) {
        size_t n = 0;

        while (s->cfg.modules && s->cfg.modules[n])
                n++;
        char **v = calloc(n + 1, sizeof(*v));
        if (!v)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                v[i] = module_path(s->cfg.modules[i]);
                if (!v[i]) {
                        while (i > 0)
                                free(v[--i]);
                        free(v);
                        return -ENOMEM;
                }
        }
        s->modules = v;
        s->cfg.modules = (const char *const *)v;
        return 0;
}

static int allocate(struct fa_slots *s) {
        s->slots = calloc(s->cfg.n_slots, sizeof(*s->slots));
        s->input.p = malloc(FA_CHAN_SCRATCH);
        if (!s->slots || !s->input.p || keep_modules(s) < 0)
                return fa_error(-ENOMEM, "no memory for %u slots", s->cfg.n_slots);
        s->n = s->cfg.n_slots;
        for (unsigned i = 0; i < s->n; i++) {
                struct fa_pool_slot *slot = &s->slots[i];

                fa_chan_init(&slot->chan);
                fa_list_init(&slot->dirty);
                fa_list_init(&slot->want_kill);
                fa_list_init(&slot->dying);
                fa_list_init(&slot->want_spawn);
                fa_list_push_back(&s->want_spawn, &slot->want_spawn);
        }
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
        return s->epoll < 0 ? fa_errno(errno, "cannot make the pool's epoll") : 0;
}

/* The zygote did not get as far as READY: was it a module that kept it from that? */
static int blame(const struct fa_slots *s, int r, const char *module_did, const char *else_text) {
        if (s->loading < 0)
                return fa_error(r, "%s", else_text);
        return fa_error(r, "module %s %s", s->modules[s->loading], module_did);
}

/* Until the zygote has loaded everything and has taken all our wishes. */
static int wait_until_asked(struct fa_slots *s) {
        uint64_t until_ns = fa_now() + OPEN_WAIT_NS;
        uint64_t now_ns;

        while ((now_ns = fa_now()) < until_ns) {
                int r = fa_pool_mail(s);

                if (r == 0 && s->state == FA_ZYGOTE_NONE)
                        r = blame(s, -ECHILD,
                                  "ended the slots' parent process while it was being loaded",
                                  "the slots' parent process ended at once");
                if (r != 0)
                        return r;
                struct pollfd p = {s->sock, POLLIN, 0};
                int wait_ms = fa_poll_ms(until_ns, now_ns);
                if (s->state == FA_ZYGOTE_READY) {
                        r = fa_pool_service(s);
                        p.events |= POLLOUT;
                        /* Descriptors on their way count as well, and get fewer by themselves. */
                        if (r == -ETOOMANYREFS)
                                wait_ms = 1;
                        else if (r != FAAS_E_AGAIN)
                                return r;
                }
                (void)poll(&p, 1, wait_ms);
        }
        return blame(s, -ETIMEDOUT, "took over 10 s to load",
                     "the slots' parent process did not answer in 10 s");
}

int fa_slots_open(struct fa_slots **ret, const struct fa_slots_cfg *cfg) {
        int r = check_cfg(cfg);
        if (r < 0)
                return r;
        struct fa_slots *s = calloc(1, sizeof(*s));
        if (!s)
                return fa_error(-ENOMEM, "no memory for %u slots", cfg->n_slots);
        init(s, cfg);

        r = allocate(s);
        if (r == 0)
                r = fa_pool_launch(s);
        if (r == 0)
                r = wait_until_asked(s);
        if (r != 0) {
                fa_slots_close(s);
                return r;
        }
        *ret = s;
        return 0;
}

static int take_note(struct fa_slots *s, struct fa_slot_event *ev) {
        struct fa_pool_note *note = s->notes;

        s->notes = note->next;
        if (!s->notes)
                s->notes_end = &s->notes;
        *ev = note->event;
        free(note);
        return 0;
}

struct fa_slots *fa_slots_close(struct fa_slots *s) {
        if (!s)
                return NULL;
        fa_pool_end(s);
        while (s->notes) {
                struct fa_slot_event ev;
                (void)take_note(s, &ev); /* holds nothing */
        }
        if (s->epoll >= 0)
                close(s->epoll);
        for (size_t i = 0; s->modules && s->modules[i]; i++)
                free(s->modules[i]);
        free(s->modules);
        free(s->slots);
        free(s->input.p);
        free(s->names);
        free(s->functions);
        free(s);
        return NULL;
}

const char *const *fa_slots_functions(const struct fa_slots *s, size_t *ret_n) {
        *ret_n = s->n_functions;
        return s->functions;
}

static bool takes_tasks(const struct fa_pool_slot *slot) {
        return slot->up && !slot->dead && !slot->bad;
}

int fa_slots_run(struct fa_slots *s, unsigned n, const struct fa_slot_task *t, uint32_t *ret_seq) {
        struct fa_pool_slot *slot = &s->slots[n];

        assert(n < s->n);
        if (!takes_tasks(slot))
                return FAAS_E_GONE;
        int r = fa_chan_queue(&slot->chan, t);
        if (r < 0)
                return r;
        if (fa_list_empty(&slot->dirty))
                fa_list_push_back(&s->dirty, &slot->dirty);
        *ret_seq = slot->chan.last_seq;
        return 0;
}

void fa_slots_flush(struct fa_slots *s) {
        for (struct fa_list *it; (it = fa_list_pop_front(&s->dirty));) {
                struct fa_pool_slot *slot = fa_list_entry(it, struct fa_pool_slot, dirty);

                /* One that waits for room goes on by itself. */
                if (!slot->writing)
                        fa_pool_write(s, slot);
        }
}

int fa_slots_recall(struct fa_slots *s, unsigned n) {
        struct fa_pool_slot *slot = &s->slots[n];

        assert(n < s->n);
        if (!takes_tasks(slot))
                return FAAS_E_GONE;
        struct fa_pool_note *note = calloc(1, sizeof(*note));
        if (!note)
                return -ENOMEM;
        int r = fa_chan_recall(&slot->chan, &note->event.seq);
        if (r != 0) {
                free(note);
                if (r < 0)
                        return r;
                fa_pool_kill(s, slot, "it wrote over its slot's control page");
                (void)fa_pool_service(s);
                return FAAS_E_GONE;
        }
        note->event.kind = FA_SLOT_RETURNED;
        note->event.slot = n;
        *s->notes_end = note;
        s->notes_end = &note->next;
        return 0;
}

void fa_slots_kill(struct fa_slots *s, unsigned n) {
        assert(n < s->n);
        fa_pool_kill(s, &s->slots[n], NULL);
        (void)fa_pool_service(s);
}

/* What became of the task that a dead slot was running. */
static void judge(const struct fa_pool_slot *slot, struct fa_outcome *o) {
        char text[256]; /* our words, a number, and a signal's name */
        enum faas_failure failure = FAAS_FAILURE_CRASHED;
        int code = 0;

        if (slot->bad) {
                (void)snprintf(text, sizeof(text), "%s", slot->bad);
                code = SIGKILL;
        } else if (slot->timed_out) {
                failure = FAAS_FAILURE_TIMEOUT;
                (void)snprintf(text, sizeof(text), "it ran longer than its time-out");
        } else if (WIFSIGNALED(slot->status)) {
                code = WTERMSIG(slot->status);
                const char *name = sigdescr_np(code);
                (void)snprintf(text, sizeof(text), "its process was ended by signal %d (%s)", code,
                               name ? name : "no name");
        } else {
                failure = FAAS_FAILURE_EXITED;
                code = WEXITSTATUS(slot->status);
                uint64_t ended = atomic_load(&slot->control->ended);
                const char *why = ended != (uint64_t)code        ? "" /* the function's own */
                                  : code == FA_SLOT_EXIT_CHANNEL ? ": its slot's channel was closed"
                                  : code == FA_SLOT_EXIT_MEMORY  ? ": out of memory, or its slot's "
                                                                   "control page was written over"
                                                                 : "";
                (void)snprintf(text, sizeof(text), "its process ended itself with status %d%s",
                               code, why);
        }
        fa_outcome_fail(o, failure, code, text);
}

/* The slot's last byte is read.  True: there is an event. */
static bool take_down(struct fa_slots *s, struct fa_pool_slot *slot, struct fa_slot_event *ev) {
        bool was_up = slot->up;

        if (was_up) {
                *ev = (struct fa_slot_event){.kind = FA_SLOT_DOWN,
                                             .slot = (unsigned)(slot - s->slots)};
                ev->started = fa_chan_culprit(&slot->chan, slot->bad, &ev->seq);
                if (ev->started) {
                        judge(slot, &ev->outcome);
                        ev->outcome.log = fa_steal(slot->log);
                }
        }
        fa_pool_bury(s, slot);
        return was_up;
}

/* An event from the bytes at hand; FAAS_E_AGAIN: none. */
static int take_input(struct fa_slots *s, struct fa_slot_event *ev) {
        struct fa_pool_slot *slot = s->current;
        *ev = (struct fa_slot_event){.slot = (unsigned)(slot - s->slots)};
        int r = slot->bad ? FAAS_E_AGAIN : fa_chan_next(&slot->chan, &s->input, ev);
        if (r == 0) {
                if (ev->kind == FA_SLOT_UP) {
                        slot->up = true;
                        slot->pid = (pid_t)ev->seq;
                        ev->seq = 0;
                        s->pause_ms = 0;
                }
                return 0;
        }
        if (r != FAAS_E_AGAIN)
                fa_pool_kill(s, slot,
                             r < 0 ? "no memory for its result"
                                   : "it wrote rubbish to its channel");
        s->current = NULL;
        return FAAS_E_AGAIN;
}

static int read_slot(struct fa_slots *s, struct fa_pool_slot *slot) {
        int r = slot->chan.fd < 0 ? FAAS_E_GONE : fa_chan_read(&slot->chan, &s->input);

        if (r == 0)
                s->current = slot;
        return r;
}

static void take_ready(struct fa_slots *s, const struct epoll_event *e) {
        if (e->data.u32 == FA_POOL_ZYGOTE) {
                int r = fa_pool_mail(s);
                if (r != 0)
                        s->broken = r < 0 ? r : -ENOEXEC;
                return;
        }

        struct fa_pool_slot *slot = &s->slots[e->data.u32];
        if (slot->chan.fd < 0 || slot->dead)
                return;
        if (e->events & EPOLLOUT)
                fa_pool_write(s, slot);
        /* The end of the socket is not the end of the process: that the zygote will tell. */
        if (e->events & ~(uint32_t)EPOLLOUT && read_slot(s, slot) == FAAS_E_GONE)
                fa_pool_unwatch(s, slot);
}

static void wait_ready(struct fa_slots *s, int timeout_ms) {
        int n = epoll_wait(s->epoll, s->ready, FA_POOL_READY_MAX, timeout_ms);

        s->ready_done = 0;
        s->n_ready = n > 0 ? n : 0;
}

/* Looks outside; true: there is something to take.  Not again when all that was ready before has
 * just been taken: what came since shows at the next call. */
static bool look(struct fa_slots *s) {
        bool was_all = s->n_ready > 0 && s->n_ready < FA_POOL_READY_MAX;

        s->ready_done = s->n_ready = 0;
        if (s->state != FA_ZYGOTE_READY || !fa_list_empty(&s->want_kill) ||
            !fa_list_empty(&s->want_spawn))
                (void)fa_pool_service(s);
        else if (was_all)
                return false;
        wait_ready(s, 0);
        return s->n_ready > 0;
}

void fa_slots_wait(struct fa_slots *s, int timeout_ms) {
        if (s->ready_done == s->n_ready)
                wait_ready(s, timeout_ms);
}

/* True: there is more of the slot to take, from its socket or from what was fetched. */
static bool take_more(struct fa_slots *s, struct fa_pool_slot *slot) {
        if (slot->bad)
                return false;
        if (read_slot(s, slot) == 0)
                return true;
        if (!fa_chan_has_rescued(&slot->chan))
                return false;
        s->input.pos = s->input.len = 0;
        s->current = slot;
        return true;
}

/* The answer to a recall stands behind all results that there were then, wherever they were. */
static int take_returned(struct fa_slots *s, struct fa_slot_event *ev) {
        struct fa_pool_slot *slot = &s->slots[s->notes->event.slot];

        return take_more(s, slot) ? FAAS_E_AGAIN : take_note(s, ev);
}

/* Reads on what a dead slot has written, takes what it has not written any more, and ends it. */
static int take_dying(struct fa_slots *s, struct fa_slot_event *ev) {
        struct fa_pool_slot *slot =
                fa_list_entry(fa_list_first(&s->dying), struct fa_pool_slot, dying);

        if (take_more(s, slot))
                return FAAS_E_AGAIN;
        fa_chan_rescue(&slot->chan);
        if (take_more(s, slot))
                return FAAS_E_AGAIN;
        return take_down(s, slot, ev) ? 0 : FAAS_E_AGAIN;
}

int fa_slots_next(struct fa_slots *s, struct fa_slot_event *ret) {
        while (!s->broken) {
                int r = FAAS_E_AGAIN;

                if (s->current)
                        r = take_input(s, ret);
                else if (s->notes)
                        r = take_returned(s, ret);
                else if (!fa_list_empty(&s->dying))
                        r = take_dying(s, ret);
                else if (s->ready_done < s->n_ready)
                        take_ready(s, &s->ready[s->ready_done++]);
                else if (!look(s))
                        return FAAS_E_AGAIN;
                if (r == 0)
                        return 0;
        }
        return s->broken;
}

int fa_slots_fd(const struct fa_slots *s) {
        return s->epoll;
}

uint64_t fa_slots_deadline(const struct fa_slots *s) {
        if (s->current || s->notes || !fa_list_empty(&s->dying))
                return 0;
        if (s->state == FA_ZYGOTE_NONE ||
            (s->state == FA_ZYGOTE_READY && !fa_list_empty(&s->want_spawn) && !s->mail_blocked))
                return s->retry_ns;
        return s->state == FA_ZYGOTE_STARTING ? s->start_by_ns : FA_NEVER;
}

int fa_slots_pid(const struct fa_slots *s, unsigned slot) {
        assert(slot < s->n);
        return s->slots[slot].up && !s->slots[slot].dead ? s->slots[slot].pid : 0;
}

int fa_slots_zygote_pid(const struct fa_slots *s) {
        return s->zygote;
}
