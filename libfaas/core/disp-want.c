/*
 * disp-want.c - what is to be done with a task that is mine, but only in the store
 *
 * A worker says that it holds it or has its result, or somebody wants it cancelled.  Its record is
 * read into a stub, which remembers what for.  Only hand-outs of earlier owners of its partition
 * are looked for in this way: what I have handed out myself is in memory until it has ended.
 */
#include <stdlib.h>

#include "core/disp-private.h"

#define WANTS_MAX 65536 /* at a time: beyond that it counts as lost on the way */

bool fa_disp_unknown(const struct part *part, const struct task *t, const struct fa_fence *fence) {
        return fa_rule(LOOK_UP) && !part->whole && (!t || t->state == TASK_ELSEWHERE) &&
               fence->gen < part->gen;
}

/* The stub, with room for what is wanted of it; NULL: no memory. */
static struct want *want(struct fa_disp *d, const struct faas_id *id) {
        struct task *t = fa_disp_task_find(d, id);

        if (d->n_wants == WANTS_MAX)
                return NULL;
        if (!t)
                t = fa_disp_task_new(d, id, TASK_ELSEWHERE);
        if (!t)
                return NULL;
        if (!fa_disp_run_of(t)->want) {
                struct want *w = fa_disp_run(d, t) ? calloc(1, sizeof(*w)) : NULL;
                if (!w) {
                        (void)fa_disp_stub_drop(d, t);
                        return NULL;
                }
                fa_disp_run_of(t)->want = w;
                d->n_wants++;
        }
        fa_disp_read_record(d, t);
        return fa_disp_run_of(t)->want;
}

void fa_disp_want_free(struct fa_disp *d, struct task *t) {
        if (!fa_disp_run_of(t)->want)
                return;
        d->n_wants--;
        free(fa_disp_run_of(t)->want);
        fa_disp_run_of(t)->want = NULL;
}

void fa_disp_want_cancelled(struct fa_disp *d, const struct faas_id *id) {
        struct want *w = want(d, id);

        if (w)
                w->cancel = true;
}

static struct peer *who(struct fa_disp *d, const struct want *w) {
        return w->held || w->result ? fa_disp_peer(d, w->key, false, 0) : NULL;
}

/*
 * Of two hand-outs the older one is void: its owner has made the other after it.
 */
void fa_disp_want_held(struct fa_disp *d, struct peer *p, const struct fa_item *it, bool result) {
        struct want *w = want(d, &it->id);
        struct peer *old = w ? who(d, w) : NULL;
        int order = old ? fa_fence_cmp(&it->fence, &w->fence) : 0;

        if (!w)
                return;
        if (order < 0) {
                fa_disp_answer(d, p, FA_MSG_STALE, &it->id, &it->fence);
                return;
        }
        if (order > 0)
                fa_disp_answer(d, old, FA_MSG_STALE, &it->id, &w->fence);
        w->key = p->lane.to;
        w->session = p->session;
        w->fence = it->fence;
        w->held = !result;
        w->result = result;
        w->started = it->state != FA_HELD_WAITING;
}

/*
 * The record is in memory, INHERITED: what was wanted of it happens.  true: it is where it belongs;
 * false: it waits as if nobody had asked.
 */
bool fa_disp_wanted(struct fa_disp *d, struct task *t, uint64_t now_ns) {
        const struct fa_outcome cancelled = {.status = FAAS_CANCELLED};
        const struct want w = *fa_disp_run_of(t)->want;
        const struct fa_fence fence = fa_disp_run_of(t)->fence;
        struct peer *p = who(d, &w);
        bool good = p && !w.cancel && fa_disp_adoptable(t, &w.fence);

        fa_disp_want_free(d, t);
        if (p && !good)
                fa_disp_answer(d, p, FA_MSG_STALE, &t->node.key, &w.fence);
        if (w.cancel) {
                fa_disp_finish(d, t, &fence, &cancelled, NULL);
                return t->state == TASK_FINISHING;
        }
        if (!good || w.result)
                return good; /* the result comes again */
        if (p->session != w.session)
                return false; /* it has told since that it does not hold it */
        if (!fa_disp_hold(d, p, t, &w.fence, now_ns))
                return true; /* it waits */
        fa_disp_run_of(t)->listed = p->session;
        fa_disp_run_of(t)->started = w.started;
        fa_disp_answer(d, p, FA_MSG_ADOPT, &t->node.key, &w.fence);
        fa_disp_ready(p);
        return true;
}

/* It has ended (rec), is somebody else's, or is not there (rec NULL). */
void fa_disp_unwanted(struct fa_disp *d, struct task *t, const struct fa_record *rec) {
        struct peer *p = fa_disp_run_of(t)->want ? who(d, fa_disp_run_of(t)->want) : NULL;

        if (p)
                fa_disp_answer(
                        d, p,
                        rec && fa_state_final(rec->state) &&
                                        fa_fence_eq(&rec->fence, &fa_disp_run_of(t)->want->fence)
                                ? FA_MSG_ACK
                                : FA_MSG_STALE,
                        &t->node.key, &fa_disp_run_of(t)->want->fence);
        fa_disp_want_free(d, t);
}
