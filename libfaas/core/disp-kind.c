/*
 * disp-kind.c - which workers can run which tasks: classes of tasks, kinds of workers, and their
 * lines
 *
 * Tasks of one function wait in one queue, and workers with the same functions stand in one line,
 * so that a hand-out looks at lines and queues, however many tasks and workers there are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/disp-private.h"

/* FNV-1a.  Who makes names that collide makes the search for these names longer. */
static unsigned bucket(struct fa_slice name) {
        uint32_t h = 2166136261u;

        for (size_t i = 0; i < name.len; i++)
                h = (h ^ name.p[i]) * 16777619u;
        return (h ^ h >> 16) % FA_ARRAY_SIZE(((struct fa_disp *)NULL)->classes_of);
}

struct class *fa_disp_class(struct fa_disp *d, struct fa_slice name) {
        struct class **first = &d->classes_of[bucket(name)];
        struct class *c;

        for (c = *first; c; c = c->next)
                if (c->name_len == name.len && memcmp(c->name, name.p, name.len) == 0)
                        return c;
        if (d->n_classes == FA_ARRAY_SIZE(d->class_at))
                return NULL; /* names come from peers: bounded */
        c = calloc(1, sizeof(*c));
        if (!c)
                return NULL;
        c->index = d->n_classes++;
        d->class_at[c->index] = c;
        c->name_len = (uint8_t)name.len;
        memcpy(c->name, name.p, name.len);
        fa_list_init(&c->queue);
        fa_list_init(&c->busy);
        c->next = *first;
        *first = c;
        return c;
}

void fa_disp_classes_free(struct fa_disp *d) {
        for (uint32_t i = 0; i < d->n_classes; i++)
                free(d->class_at[i]);
}

static bool offers(const struct kind *k, const struct class *c) {
        return c->index / 64 < k->n_words && (k->functions[c->index / 64] >> (c->index % 64)) & 1;
}

struct task *fa_disp_oldest_for(struct fa_disp *d, const struct kind *k) {
        struct task *best = NULL;
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &d->busy) {
                const struct class *c = fa_list_entry(it, struct class, busy);
                struct fa_list *first = fa_list_first(&c->queue);
                if (!first) {
                        fa_list_remove(it);
                        continue;
                }
                if (!offers(k, c))
                        continue;
                struct task *t = fa_list_entry(first, struct task, link);
                if (!best || *fa_disp_when(t) < *fa_disp_when(best))
                        best = t;
        }
        return best;
}

/* ---- kinds ---- */

/* The functions of a REGISTER as a bit set. 0 or -ENOMEM. */
static int
functions_of(struct fa_disp *d, const struct fa_msg *m, uint64_t **ret, uint32_t *ret_n) {
        uint64_t *bits = NULL;
        uint32_t n_words = 0;

        for (uint32_t i = 0; i < m->n_names; i++) {
                const struct class *c = fa_disp_class(d, m->names[i]);
                if (!c)
                        continue; /* too many functions in all: those have no tasks either */
                if (c->index / 64 >= n_words) {
                        uint32_t n = c->index / 64 + 1;
                        uint64_t *v = realloc(bits, n * sizeof(*v));
                        if (!v) {
                                free(bits);
                                return -ENOMEM;
                        }
                        memset(v + n_words, 0, (n - n_words) * sizeof(*v));
                        bits = v;
                        n_words = n;
                }
                bits[c->index / 64] |= UINT64_C(1) << (c->index % 64);
        }
        *ret = bits;
        *ret_n = n_words;
        return 0;
}

static struct kind *kind_find(const struct fa_disp *d, const uint64_t *bits, uint32_t n_words) {
        struct fa_list *it;

        fa_list_for_each (it, &d->kinds) {
                struct kind *k = fa_list_entry(it, struct kind, link);
                if (k->n_words == n_words &&
                    (n_words == 0 || memcmp(k->functions, bits, n_words * sizeof(*bits)) == 0))
                        return k;
        }
        return NULL;
}

void fa_disp_kind_leave(struct peer *p) {
        struct kind *k = p->kind;

        fa_list_remove(&p->ready);
        p->kind = NULL;
        if (!k || --k->n_workers)
                return;
        fa_list_remove(&k->link);
        free(k->functions);
        free(k);
}

/* The worker says what it can run.  It stands in no line then. 0 or -ENOMEM. */
int fa_disp_kind(struct fa_disp *d, struct peer *p, const struct fa_msg *m) {
        uint64_t *bits;
        uint32_t n_words;
        struct kind *k;

        if (functions_of(d, m, &bits, &n_words))
                return -ENOMEM;
        k = kind_find(d, bits, n_words);
        if (k) {
                free(bits);
        } else {
                k = calloc(1, sizeof(*k));
                if (!k) {
                        free(bits);
                        return -ENOMEM;
                }
                k->functions = bits;
                k->n_words = n_words;
                fa_list_init(&k->ready);
                fa_list_init(&k->ahead);
                fa_list_push_back(&d->kinds, &k->link);
        }
        k->n_workers++;
        fa_disp_kind_leave(p);
        p->kind = k;
        return 0;
}

/* It can take a task: in the line, unless it stands there; else out of it.  Those with slots that
 * have nothing stand in a line of their own. */
void fa_disp_ready(struct peer *p) {
        bool can = p->registered && p->kind && p->n_held < p->grant;
        bool ahead = p->n_held >= p->n_slots;

        if (!can || ahead != p->ahead)
                fa_list_remove(&p->ready);
        if (can && fa_list_empty(&p->ready))
                fa_list_push_back(ahead ? &p->kind->ahead : &p->kind->ready, &p->ready);
        p->ahead = ahead;
}
