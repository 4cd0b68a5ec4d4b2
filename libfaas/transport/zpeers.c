/*
 * zpeers.c - the peers of a ROUTER
 *
 * A descriptor is used again by the next connection as soon as it is closed, and its end is heard
 * of later than that; so several peers may be known under one, and each is asked for.
 */
#include "transport/zpeers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <faas/error.h>

#include "base/limits.h"

#define FDS_FIRST 64u

static struct faas_id key_of(uint64_t number) {
        struct faas_id key = {0};

        memcpy(key.b, &number, sizeof(number));
        return key;
}

void fa_zpeers_init(struct fa_zpeers *p) {
        uint64_t seed = 0;

        /* Numbers are counted up by libzmq, nobody can choose them: a weak seed does no harm. */
        (void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
        *p = (struct fa_zpeers){0};
        fa_map_init(&p->map, seed, sizeof(struct fa_zpeer));
        fa_list_init(&p->suspects);
        fa_list_init(&p->near);
        fa_list_init(&p->gone);
        fa_list_init(&p->told);
}

void fa_zpeers_deinit(struct fa_zpeers *p) {
        fa_map_deinit(&p->map);
        free(p->by_fd);
}

struct fa_zpeer *fa_zpeers_find(const struct fa_zpeers *p, uint64_t number) {
        const struct faas_id key = key_of(number);

        return fa_map_find(&p->map, &key);
}

static int make_fd(struct fa_zpeers *p, size_t fd) {
        size_t n = p->n_fd ? p->n_fd : FDS_FIRST;

        if (fd < p->n_fd)
                return 0;
        while (n <= fd)
                n *= 2;
        struct fa_zpeer **v = realloc(p->by_fd, n * sizeof(struct fa_zpeer *));
        if (!v)
                return -ENOMEM;
        memset(v + p->n_fd, 0, (n - p->n_fd) * sizeof(struct fa_zpeer *));
        p->by_fd = v;
        p->n_fd = n;
        return 0;
}

/*
 * Nothing tells when a peer inside this process ends.  With each that comes two others are asked,
 * in turn, so that never many more are kept than there are.
 */
static void suspect_near(struct fa_zpeers *p, uint64_t now_ns) {
        for (unsigned i = 0; i < 2; i++) {
                struct fa_list *l = fa_list_pop_front(&p->near);
                struct fa_zpeer *peer;

                if (!l)
                        return;
                peer = fa_list_entry(l, struct fa_zpeer, link);
                peer->probes = FA_ZPEER_PROBES - 1; /* one will do */
                peer->probe_ns = now_ns;
                fa_list_push_back(&p->suspects, l);
        }
}

int fa_zpeers_add(struct fa_zpeers *p, uint64_t number, int fd, uint64_t now_ns) {
        const struct faas_id key = key_of(number);
        struct fa_zpeer *peer;

        if (p->map.n >= FA_PEERS_MAX)
                return FAAS_E_LIMIT;
        if (fd >= 0 && make_fd(p, (size_t)fd))
                return -ENOMEM;
        peer = fa_map_add(&p->map, &key);
        if (!peer)
                return -ENOMEM;
        peer->number = number;
        peer->fd = fd;
        fa_list_init(&peer->link);
        if (fd >= 0) {
                peer->next_fd = p->by_fd[fd];
                p->by_fd[fd] = peer;
        } else {
                suspect_near(p, now_ns);
                fa_list_push_back(&p->near, &peer->link);
        }
        return 0;
}

void fa_zpeers_suspect(struct fa_zpeers *p, int fd, uint64_t now_ns) {
        if (fd < 0 || (size_t)fd >= p->n_fd)
                return;
        for (struct fa_zpeer *peer = p->by_fd[fd]; peer; peer = peer->next_fd) {
                peer->probes = 0;
                peer->probe_ns = now_ns;
                fa_list_remove(&peer->link);
                fa_list_push_front(&p->suspects, &peer->link);
        }
}

void fa_zpeers_clear(struct fa_zpeers *p, struct fa_zpeer *peer) {
        fa_list_remove(&peer->link);
        if (peer->fd < 0)
                fa_list_push_back(&p->near, &peer->link);
}

void fa_zpeers_lost(struct fa_zpeers *p, struct fa_zpeer *peer, uint64_t now_ns) {
        if (peer->fd >= 0) {
                struct fa_zpeer **at = &p->by_fd[peer->fd];
                while (*at != peer)
                        at = &(*at)->next_fd;
                *at = peer->next_fd;
        }
        peer->state = FA_ZPEER_GONE;
        peer->gone_ns = now_ns;
        fa_list_remove(&peer->link);
        fa_list_push_back(&p->gone, &peer->link);
}

struct fa_zpeer *fa_zpeers_gone(const struct fa_zpeers *p) {
        struct fa_list *first = fa_list_first(&p->gone);

        return first ? fa_list_entry(first, struct fa_zpeer, link) : NULL;
}

void fa_zpeers_told(struct fa_zpeers *p, struct fa_zpeer *peer) {
        peer->state = FA_ZPEER_TOLD;
        fa_list_remove(&peer->link);
        fa_list_push_back(&p->told, &peer->link);
}

void fa_zpeers_forget(struct fa_zpeers *p) {
        struct fa_list *l;

        while ((l = fa_list_pop_front(&p->told))) {
                struct fa_zpeer *peer = fa_list_entry(l, struct fa_zpeer, link);
                fa_map_remove(&p->map, &peer->node);
        }
}
