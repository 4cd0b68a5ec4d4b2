/*
 * cli-lane.c - the client's ways to its dispatchers: which one it talks with, and when it goes on
 *
 * It stays with one that answers.  It goes on with the next one when the connection breaks, when
 * the dispatcher says goodbye or refuses it, and after a time of silence; never to one whose
 * connection is known to be broken, rather to one whose connection is known to be there, and not
 * faster than HOP_NS, because dispatchers that end together would else send it round the ring.
 */
#include <string.h>

#include "core/cli-private.h"

#define HOP_NS (100 * FA_NS_PER_MS)

void fa_cli_hello(struct fa_cli *c, uint64_t now_ns) {
        struct fa_msg *m = fa_outbox_msg(&c->outbox, fa_cli_lane(c), FA_MSG_HELLO);

        c->sent_ns = now_ns;
        c->welcome = false;
        if (!m)
                return;
        m->role = FA_ROLE_CLIENT;
        m->from = c->cfg.incarnation;
}

int fa_cli_connect(struct fa_cli *c, uint64_t key, uint64_t now_ns) {
        if (c->n_lanes == FA_ENDPOINTS_MAX)
                return FAAS_E_LIMIT;
        c->lanes[c->n_lanes++] = (struct clane){.lane = {.to = key}};
        if (c->n_lanes == 1) {
                c->interval_ns = FA_NS_PER_S;
                c->liveness = 3;
                c->heard_ns = c->at_ns = now_ns;
                fa_cli_hello(c, now_ns);
        }
        return 0;
}

/* The next one that is there, or else of which nothing was heard; the present one if all the others
 * are known to be broken. */
static unsigned next(const struct fa_cli *c) {
        unsigned found = c->at;

        for (unsigned i = c->n_lanes - 1; i > 0; i--) {
                unsigned at = (c->at + i) % c->n_lanes;
                const struct clane *l = &c->lanes[at];
                if (!l->down && (l->up || !c->lanes[found].up || found == c->at))
                        found = at;
        }
        return found;
}

static void go(struct fa_cli *c, unsigned at, uint64_t now_ns) {
        c->at = at;
        c->leave = false;
        c->hop_ns = now_ns + HOP_NS;
        c->heard_ns = c->at_ns = now_ns;
        fa_cli_hello(c, now_ns);
}

/* When to leave the present one for another; FA_NEVER: not at all. */
static uint64_t leave_at(const struct fa_cli *c) {
        return c->leave && next(c) != c->at ? c->hop_ns : FA_NEVER;
}

void fa_cli_lane_tick(struct fa_cli *c, uint64_t now_ns) {
        if (leave_at(c) <= now_ns)
                go(c, next(c), now_ns);
}

uint64_t fa_cli_lane_deadline(const struct fa_cli *c) {
        return leave_at(c);
}

void fa_cli_silent(struct fa_cli *c, uint64_t now_ns) {
        go(c, next(c), now_ns);
}

static struct clane *find(struct fa_cli *c, uint64_t key) {
        for (unsigned i = 0; i < c->n_lanes; i++)
                if (c->lanes[i].lane.to == key)
                        return &c->lanes[i];
        return NULL;
}

/*
 * There (again): if it is the present one, or the present one cannot be reached, HELLO is said. One
 * that was never there says nothing: it is not waited for as for one that is busy.  But the first
 * of the list is wanted most, so it has a moment to connect.
 */
void fa_cli_up(struct fa_cli *c, uint64_t key, uint64_t now_ns) {
        struct clane *l = find(c, key);

        if (!l)
                return;
        l->up = true;
        l->down = false;
        if (l == &c->lanes[c->at]) {
                go(c, c->at, now_ns);
                return;
        }
        if (!c->lanes[c->at].up && !c->leave) {
                c->leave = true;
                c->hop_ns = FA_MAX(c->hop_ns, c->at_ns + HOP_NS);
        }
        fa_cli_lane_tick(c, now_ns);
}

/* Not to be used any more; with one lane only, HELLO is repeated by the interval. */
static void unusable(struct fa_cli *c, uint64_t not_before_ns, uint64_t now_ns) {
        c->welcome = false;
        c->sent_ns = now_ns;
        c->leave = true;
        c->hop_ns = FA_MAX(c->hop_ns, not_before_ns);
        fa_cli_lane_tick(c, now_ns);
}

void fa_cli_down(struct fa_cli *c, uint64_t key, uint64_t now_ns) {
        struct clane *l = find(c, key);

        if (!l)
                return;
        l->up = false;
        l->down = true;
        if (l == &c->lanes[c->at])
                unusable(c, 0, now_ns);
}

/* A goodbye: another one may be there at once.  A refusal: not before an interval has passed, or
 * two that refuse would be asked ten times a second. */
void fa_cli_disconnected(struct fa_cli *c, const struct fa_msg *m, uint64_t now_ns) {
        size_t len = FA_MIN(m->text.len, sizeof(c->refusal_text) - 1);

        if (m->reason) {
                c->refusal = m->reason;
                if (len)
                        memcpy(c->refusal_text, m->text.p, len);
                c->refusal_text[len] = 0;
        }
        unusable(c, m->reason ? now_ns + c->interval_ns : 0, now_ns);
}

bool fa_cli_ready(const struct fa_cli *c) {
        return c->welcome;
}

int fa_cli_refusal(const struct fa_cli *c, const char **ret_text) {
        if (c->refusal)
                *ret_text = c->refusal_text;
        return c->refusal;
}

void fa_cli_goodbye(struct fa_cli *c) {
        struct fa_msg *m;

        if (!c->welcome)
                return;
        c->welcome = false;
        m = fa_outbox_msg(&c->outbox, fa_cli_lane(c), FA_MSG_DISCONNECT);
        if (m)
                m->epoch = c->epoch;
}
