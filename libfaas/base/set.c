/*
 * set.c - set of ids, each kept as a number of 64 bits
 *
 * The numbers are spread already, so their low bits choose the place.
 */
#include "base/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <faas/error.h>

#include "base/macros.h"

#define CAPACITY_MIN 16

/* Both halves are mixed in one after the other; for one value of the first, the second decides. */
uint64_t fa_set_key(uint64_t seed, const struct faas_id *id) {
        uint64_t w[2];
        uint64_t h = seed;

        memcpy(w, id->b, sizeof(w));
        for (unsigned i = 0; i < 2; i++) {
                h = (h ^ w[i]) * UINT64_C(0x9fb21c651e98df25);
                h ^= h >> 32;
                h *= UINT64_C(0x9fb21c651e98df25);
                h ^= h >> 29;
        }
        return h ? h : 1;
}

/* Where it is, or the free place where it would be. */
static size_t place(const struct fa_set *s, uint64_t key) {
        size_t i = key & s->mask;

        while (s->v[i] && s->v[i] != key)
                i = (i + 1) & s->mask;
        return i;
}

static int resize(struct fa_set *s, size_t capacity) {
        struct fa_set to = {.n = s->n, .mask = capacity - 1};

        to.v = calloc(capacity, sizeof(*to.v));
        if (!to.v)
                return -ENOMEM;
        for (size_t i = 0; s->v && i <= s->mask; i++)
                if (s->v[i])
                        to.v[place(&to, s->v[i])] = s->v[i];
        free(s->v);
        *s = to;
        return 0;
}

int fa_set_add(struct fa_set *s, uint64_t key) {
        size_t capacity = s->v ? s->mask + 1 : 0;
        size_t i;

        if (!s->v || s->n + 1 > capacity / 4 * 3) {
                int r = resize(s, FA_MAX(capacity * 2, (size_t)CAPACITY_MIN));
                if (r)
                        return r;
        }
        i = place(s, key);
        if (s->v[i])
                return FAAS_E_EXISTS;
        s->v[i] = key;
        s->n++;
        return 0;
}

bool fa_set_has(const struct fa_set *s, uint64_t key) {
        return s->n && s->v[place(s, key)];
}

bool fa_set_remove(struct fa_set *s, uint64_t key) {
        size_t hole;

        if (!fa_set_has(s, key))
                return false;
        hole = place(s, key);
        /* Of those behind, whoever would no longer be found past the hole moves into it. */
        for (size_t i = (hole + 1) & s->mask; s->v[i]; i = (i + 1) & s->mask) {
                size_t from_home = (i - (size_t)s->v[i]) & s->mask;
                size_t from_hole = (i - hole) & s->mask;

                if (from_home < from_hole)
                        continue;
                s->v[hole] = s->v[i];
                hole = i;
        }
        s->v[hole] = 0;
        s->n--;
        if (!s->n)
                fa_set_deinit(s);
        else if (s->n < (s->mask + 1) / 8 && s->mask + 1 > CAPACITY_MIN)
                (void)resize(s, (s->mask + 1) / 2); /* without memory it stays as it is */
        return true;
}

void fa_set_deinit(struct fa_set *s) {
        free(s->v);
        *s = (struct fa_set){0};
}
