/*
 * slots-next.c - a pool of slots: events out
 *
 * Turns what pool.c and chan.c see into events, one at a time and without a queue of its own: the
 * rings are the queue.  An owner that is awake looks at the rings of those slots that may have
 * something; before it sleeps it arms their bells.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/macros.h"
#include "exec/pool.h"

#define LOOKS 8 /* turns in which the zygote is looked at once by an owner that does not sleep */

/* What became of the task that a dead slot was running. */
static void judge(const struct fa_pool_slot *slot, struct fa_outcome *o) {
        char text[256]; /* our words, a number, and a signal's name */
        enum faas_failure failure = FAAS_FAILURE_CRASHED;
        int code = 0;

        /* We asked for its end; if it came to one of its own before, that one counts. */
        if (slot->bad && WIFSIGNALED(slot->status) && WTERMSIG(slot->status) == SIGKILL) {
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
                uint64_t ended = atomic_load(&slot->chan.channel.control->ended);
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

/* The slot's last result is read.  True: there is an event. */
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

/* Nothing of its own is to come before it gets another task, nor does it wait for the rest of one
 * that was taken back. */
static void check_idle(struct fa_slots *s, struct fa_pool_slot *slot) {
        if (slot->up && slot->chan.n_tasks == 0 && slot->chan.n_pending == 0)
                fa_pool_unwatch(s, slot);
}

/* An event from the ring at hand; FAAS_E_AGAIN: none. */
static int take_input(struct fa_slots *s, struct fa_slot_event *ev) {
        struct fa_pool_slot *slot = s->current;
        *ev = (struct fa_slot_event){.slot = (unsigned)(slot - s->slots)};
        int r = slot->bad ? FAAS_E_AGAIN : fa_chan_next(&slot->chan, ev);
        if (r == 0) {
                if (ev->kind == FA_SLOT_UP) {
                        slot->up = true;
                        slot->pid = (pid_t)ev->seq;
                        ev->seq = 0;
                        s->pause_ms = 0;
                }
                return 0;
        }
        if (r != FAAS_E_AGAIN) {
                slot->spent = true;
                fa_pool_kill(s, slot,
                             r < 0 ? "no memory for its result"
                                   : "it wrote rubbish to its channel");
        }
        check_idle(s, slot);
        s->current = NULL;
        return FAAS_E_AGAIN;
}

/* True: there is something of the slot to take. */
static bool take_more(struct fa_slots *s, struct fa_pool_slot *slot) {
        if (slot->bad || slot->spent || !fa_chan_is_ready(&slot->chan))
                return false;
        s->current = slot;
        return true;
}

/* The next watched slot in turn; one that waits for room gets the rest of its tasks. */
static void scan_one(struct fa_slots *s) {
        struct fa_list *it = fa_list_pop_front(&s->watched);
        struct fa_pool_slot *slot;

        s->to_scan = FA_MIN(s->to_scan, s->n_watched);
        if (!it)
                return;
        s->to_scan--;
        fa_list_push_back(&s->watched, it);
        slot = fa_list_entry(it, struct fa_pool_slot, watched);
        fa_chan_disarm(&slot->chan);
        if (slot->chan.n_pending > 0)
                fa_pool_flush(s, slot);
        if (take_more(s, slot))
                s->look_again = true;
        else
                check_idle(s, slot);
}

static void take_ready(struct fa_slots *s, const struct epoll_event *e) {
        int r;

        s->look_again = true;
        if (e->data.u32 != FA_POOL_ZYGOTE)
                return; /* a bell: all are looked at */
        r = fa_pool_mail(s);
        if (r != 0)
                s->broken = r < 0 ? r : -ENOEXEC;
}

static void wait_ready(struct fa_slots *s, int timeout_ms) {
        int n = epoll_wait(s->epoll, s->ready, FA_POOL_READY_MAX, timeout_ms);

        s->ready_done = 0;
        s->n_ready = n > 0 ? n : 0;
}

/* True: all watched slots will ring, and none has anything yet. */
static bool arm(struct fa_slots *s) {
        struct fa_list *it;

        fa_list_for_each (it, &s->watched) {
                struct fa_pool_slot *slot = fa_list_entry(it, struct fa_pool_slot, watched);
                fa_pool_empty_bell(slot);
                fa_pool_arm(slot);
        }
        s->armed = true;
        atomic_thread_fence(memory_order_seq_cst);
        fa_list_for_each (it, &s->watched) {
                struct fa_chan *c = &fa_list_entry(it, struct fa_pool_slot, watched)->chan;
                if (fa_chan_is_ready(c) || fa_chan_has_room(c))
                        return false;
        }
        return true;
}

static bool scan(struct fa_slots *s) {
        s->look_again = s->armed = false;
        s->to_scan = s->n_watched;
        return s->to_scan > 0;
}

/*
 * Looks outside; true: there is something to take.  The epoll is asked once between one
 * FAAS_E_AGAIN and the next, the rings until there is nothing in them.  Who is not told by the
 * epoll need not ask it each time.
 */
static bool look(struct fa_slots *s) {
        if (s->state != FA_ZYGOTE_READY || !fa_list_empty(&s->want_kill) ||
            !fa_list_empty(&s->want_spawn))
                (void)fa_pool_service(s);
        if (!s->asked) {
                s->asked = true;
                if (s->polled || ++s->n_looks % LOOKS == 0)
                        wait_ready(s, 0);
                return scan(s) || s->n_ready > 0;
        }
        if (s->look_again && scan(s))
                return true;
        if (s->polled && !s->armed && !arm(s))
                return scan(s);
        s->asked = false;
        return false;
}

/* Until something is there, but not for long. */
static bool spin(struct fa_slots *s) {
        uint64_t until_ns = fa_now() + FA_SPIN_NS;
        struct fa_list *it;

        for (unsigned i = 0; i < s->spins && fa_now() < until_ns; i++) {
                fa_list_for_each (it, &s->watched) {
                        struct fa_chan *c = &fa_list_entry(it, struct fa_pool_slot, watched)->chan;
                        if (fa_chan_is_ready(c) || fa_chan_has_room(c))
                                return true;
                }
                (void)sched_yield();
        }
        return false;
}

void fa_slots_wait(struct fa_slots *s, int timeout_ms) {
        uint64_t start_ns;

        if (s->ready_done < s->n_ready || s->asked || timeout_ms == 0)
                return;
        if (s->spin && s->n_watched && spin(s))
                return;
        if (!arm(s))
                return;
        start_ns = fa_now();
        wait_ready(s, timeout_ms);
        s->spin = fa_now() - start_ns < 2 * FA_SPIN_NS;
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

/* The answer to a recall stands behind all results that there were then. */
static int take_returned(struct fa_slots *s, struct fa_slot_event *ev) {
        struct fa_pool_slot *slot = &s->slots[s->notes->event.slot];

        return take_more(s, slot) ? FAAS_E_AGAIN : take_note(s, ev);
}

/* Reads on what a dead slot has written, and ends it. */
static int take_dying(struct fa_slots *s, struct fa_slot_event *ev) {
        struct fa_pool_slot *slot =
                fa_list_entry(fa_list_first(&s->dying), struct fa_pool_slot, dying);

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
                else if (s->to_scan > 0)
                        scan_one(s);
                else if (!look(s))
                        return FAAS_E_AGAIN;
                if (r == 0)
                        return 0;
        }
        return s->broken;
}
