/*
 * slots.c - a pool of slots: its life, and tasks in
 *
 * Driven by run/, from one thread.  After fa_slots_open() nothing here waits.
 */
#include "exec/slots.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
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
        s->spins = fa_channel_spins();
        s->epoll = s->sock = s->pidfd = -1;
        fa_list_init(&s->dirty);
        fa_list_init(&s->watched);
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
        if (!s->slots || keep_modules(s) < 0)
                return fa_error(-ENOMEM, "no memory for %u slots", s->cfg.n_slots);
        s->n = s->cfg.n_slots;
        for (unsigned i = 0; i < s->n; i++) {
                struct fa_pool_slot *slot = &s->slots[i];

                fa_chan_init(&slot->chan);
                slot->bell = -1;
                fa_list_init(&slot->dirty);
                fa_list_init(&slot->watched);
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

struct fa_slots *fa_slots_close(struct fa_slots *s) {
        if (!s)
                return NULL;
        fa_pool_end(s);
        for (struct fa_pool_note *note; (note = s->notes);) {
                s->notes = note->next;
                free(note); /* its event holds nothing */
        }
        if (s->epoll >= 0)
                close(s->epoll);
        for (size_t i = 0; s->modules && s->modules[i]; i++)
                free(s->modules[i]);
        free(s->modules);
        free(s->slots);
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

                fa_pool_flush(s, slot);
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

int fa_slots_fd(struct fa_slots *s) {
        /* The first time: whoever came before may have found nothing to be told by. */
        if (!s->polled && s->n_watched)
                fa_pool_poke(
                        s, fa_list_entry(fa_list_first(&s->watched), struct fa_pool_slot, watched));
        s->polled = true;
        return s->epoll;
}

uint64_t fa_slots_deadline(const struct fa_slots *s) {
        if (s->asked || s->notes || !fa_list_empty(&s->dying))
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
