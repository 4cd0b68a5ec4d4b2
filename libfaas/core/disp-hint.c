/*
 * disp-hint.c - HINT: the store is told of hand-outs that take long
 *
 * So a later owner of the partition waits for their workers.  Each worker's hand-outs are in the
 * order in which they were made, those with a HINT first.
 */
#include "core/disp-private.h"

static bool hint(struct fa_disp *d, struct task *t) {
        struct fa_op *op = fa_disp_op(d, FA_OP_HINT);

        if (!op)
                return false;
        op->id = t->node.key;
        op->partition = fa_disp_part_of(d, t)->partition;
        fa_disp_run_of(t)->hinted = true;
        return true;
}

/* It is out: is HINT written at once, later, or not at all? */
void fa_disp_hint_plan(struct fa_disp *d, struct peer *p, struct task *t, uint64_t now_ns) {
        fa_disp_run_of(t)->given_ns = now_ns;
        fa_disp_run_of(t)->hinted = d->cfg.hint_after_ns == FA_NEVER;
        if (fa_disp_run_of(t)->hinted || (!d->cfg.hint_after_ns && hint(d, t)))
                return;
        if (!p->unhinted)
                p->unhinted = &t->link;
        if (fa_list_empty(&p->hinting))
                fa_list_push_back(&d->hinting, &p->hinting);
        d->hint_at_ns = FA_MIN(d->hint_at_ns, now_ns + d->cfg.hint_after_ns);
}

/* Those of one worker that are due. */
static void hint_due(struct fa_disp *d, struct peer *p, uint64_t now_ns) {
        while (p->unhinted) {
                struct task *t = fa_list_entry(p->unhinted, struct task, link);
                uint64_t at = fa_disp_run_of(t)->given_ns + d->cfg.hint_after_ns;
                if (!fa_disp_run_of(t)->hinted && (at > now_ns || !hint(d, t))) {
                        d->hint_at_ns = FA_MIN(d->hint_at_ns, at);
                        return;
                }
                p->unhinted = t->link.next == &p->held ? NULL : t->link.next;
        }
        fa_list_remove(&p->hinting);
}

/* Writes the HINTs whose time has come.  Under load this looks at each worker once in
 * .hint_after_ns, and at what is due: most hand-outs have ended by then. */
void fa_disp_hint_tick(struct fa_disp *d, uint64_t now_ns) {
        struct fa_list *it;
        struct fa_list *tmp;

        if (now_ns < d->hint_at_ns)
                return;
        d->hint_at_ns = FA_NEVER;
        fa_list_for_each_safe (it, tmp, &d->hinting)
                hint_due(d, fa_list_entry(it, struct peer, hinting), now_ns);
}
