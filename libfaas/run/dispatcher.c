/*
 * dispatcher.c - a dispatcher's shell
 *
 * One turn: read a bounded number of messages, let the machine judge what is due, carry its groups
 * to the store and the answers back, and only then send what it wants sent.  The shell decides
 * nothing about tasks.
 *
 * What waits is read before anybody is judged: peers take turns at a port, so a turn hears everyone
 * who has spoken, unless there are more of them than one turn takes; and the machine looks twice
 * before it believes that a silent peer is dead.
 */
#include "run/dispatcher.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "model/report.h"
#include "run/keep.h"
#include "run/loop.h"
#include "run/port.h"

#define LEASE_TICKS 3      /* what the model was checked with */
#define TURN_MESSAGES 1024 /* read at a port in one turn: about a millisecond */

enum { DOOR, WORKERS, _PORT_N }; /* the second only if workers do not come through the door */

struct fa_dispatcher {
        struct fa_keep keep;
        struct fa_port *ports[_PORT_N];
        struct fa_loop loop;
        const char *transport; /* its name */
        char *url;             /* of the door; the machine borrows it */
        uint64_t start_ns;
        uint64_t lost_workers; /* as last logged */
        uint64_t taken_over;   /* the same */
        struct fa_log_rate log_lost;
        bool ended; /* a peer may be gone since */
};

/* ---- a turn ---- */

/* A worker at a door that is for clients alone; one may come without a HELLO. */
static bool unwanted(const struct fa_dispatcher *d, const struct fa_event *ev) {
        if (!d->ports[WORKERS] || fa_port_index(ev->peer) != DOOR || ev->kind != FA_EV_MSG)
                return false;
        return ev->msg->type == FA_MSG_HELLO ? ev->msg->role == FA_ROLE_WORKER
                                             : !fa_msg_authorise(FA_ROLE_CLIENT, ev->msg->type);
}

static int input(struct fa_dispatcher *d, struct fa_port *p, struct fa_event *ev, uint64_t now_ns) {
        int r = 0;

        if (unwanted(d, ev))
                fa_port_refuse(p, ev->peer, FAAS_E_UNAVAILABLE,
                               "this dispatcher's tasks do not go to workers at its door; start it "
                               "with the transport push or pull",
                               now_ns);
        else
                r = fa_disp_input(d->keep.disp, ev, now_ns);
        /* A worker that starts anew says HELLO, and ends what it was. */
        d->ended |= ev->kind != FA_EV_MSG || ev->msg->type == FA_MSG_HELLO ||
                    ev->msg->type == FA_MSG_DISCONNECT;
        if (ev->kind == FA_EV_MSG)
                fa_msg_free(ev->msg);
        return r;
}

static int read_port(struct fa_dispatcher *d, struct fa_port *p, uint64_t now_ns) {
        for (unsigned i = 0; i < TURN_MESSAGES; i++) {
                struct fa_event ev;
                int r = fa_port_recv(p, &ev, now_ns);

                if (r == FAAS_E_AGAIN)
                        return 0;
                if (r == FAAS_E_PROTO)
                        continue;
                if (r == 0)
                        r = input(d, p, &ev, now_ns);
                if (r)
                        return r;
        }
        d->loop.more = true;
        return 0;
}

static void send_all(struct fa_dispatcher *d, uint64_t now_ns) {
        struct fa_msg *m;
        uint64_t to;

        while (fa_outbox_pop(fa_disp_outbox(d->keep.disp), &to, &m))
                fa_port_send(d->ports[fa_port_index(to)], to, m, now_ns);
        for (unsigned i = 0; i < _PORT_N; i++)
                if (d->ports[i])
                        fa_port_flush(d->ports[i], now_ns);
}

static struct fa_port_stats port_stats(const struct fa_dispatcher *d) {
        struct fa_port_stats all = {0, 0};

        for (unsigned i = 0; i < _PORT_N; i++) {
                struct fa_port_stats one = {0, 0};
                if (d->ports[i])
                        fa_port_stats(d->ports[i], &one);
                all.bad += one.bad;
                all.dropped += one.dropped;
        }
        return all;
}

/* Counting the workers looks at each peer, so it is done only when one may be gone. */
static void note(struct fa_dispatcher *d, uint64_t now_ns) {
        const struct fa_port_stats ports = port_stats(d);
        struct fa_disp_stats stats;

        fa_disp_note(d->keep.disp, ports.bad, ports.dropped);
        if (!d->ended)
                return;
        d->ended = false;
        fa_disp_stats(d->keep.disp, &stats);
        /* A machine that began anew has lost none yet. */
        if (stats.lost_workers > d->lost_workers &&
            fa_log_rate(&d->log_lost, FAAS_LOG_WARNING, now_ns))
                fa_log(FAAS_LOG_WARNING, "a worker was lost; %llu are left",
                       (unsigned long long)stats.n_workers);
        d->lost_workers = stats.lost_workers;
        if (stats.taken_over > d->taken_over)
                fa_log(FAAS_LOG_INFO,
                       "a dispatcher is gone: its tasks are this one's now (partitions: %llu)",
                       (unsigned long long)(stats.taken_over - d->taken_over));
        d->taken_over = stats.taken_over;
}

/* What was read, judged and answered by the store. */
static int judge(struct fa_dispatcher *d, uint64_t now_ns) {
        int r = 0;

        for (unsigned i = 0; i < _PORT_N && r == 0; i++)
                if (d->ports[i])
                        r = read_port(d, d->ports[i], now_ns);
        if (r)
                return r;
        fa_keep_tick(&d->keep, now_ns);
        if (fa_disp_deadline(d->keep.disp) <= now_ns) {
                fa_disp_tick(d->keep.disp, now_ns);
                d->ended = true;
        }
        return fa_keep_commit(&d->keep, now_ns);
}

/* Another dispatcher owns what was this one's.  Peers hear of it when they speak next. */
static int begin_anew(struct fa_dispatcher *d) {
        int r = fa_keep_again(&d->keep);

        d->loop.more = true;
        if (d->loop.phase == FA_DRAINING)
                fa_disp_drain(d->keep.disp);
        return r ? r : fa_loop_watch(&d->loop, fa_store_fd(d->keep.store));
}

static int turn(void *shell, uint64_t now_ns) {
        struct fa_dispatcher *d = shell;
        int r = judge(d, now_ns);

        if (r == FAAS_E_FENCED)
                return begin_anew(d);
        if (r == FAAS_E_EXISTS)
                return fa_error(FAAS_E_FENCED,
                                "another process runs under this dispatcher's name, %s",
                                d->keep.disp_cfg.name);
        if (r)
                return r;
        if (d->loop.phase == FA_STOPPING ||
            (d->loop.phase == FA_DRAINING && fa_disp_idle(d->keep.disp))) {
                fa_disp_goodbye(d->keep.disp);
                d->loop.phase = FA_STOPPED;
        }
        note(d, now_ns);
        send_all(d, now_ns);
        return 0;
}

static uint64_t deadline(void *shell) {
        const struct fa_dispatcher *d = shell;
        uint64_t at = fa_keep_deadline(&d->keep);

        for (unsigned i = 0; i < _PORT_N; i++) {
                uint64_t port = d->ports[i] ? fa_port_deadline(d->ports[i]) : FA_NEVER;
                at = FA_MIN(at, port);
        }
        return at;
}

static void drain(void *shell) {
        struct fa_dispatcher *d = shell;

        fa_log(FAAS_LOG_INFO, "draining: no new tasks are taken");
        fa_disp_drain(d->keep.disp);
}

static const struct fa_loop_ops ops = {.turn = turn, .deadline = deadline, .drain = drain};

void fa_dispatcher_stop(struct fa_dispatcher *d) {
        fa_loop_stop(&d->loop, &ops, d);
}

int fa_dispatcher_step(struct fa_dispatcher *d, int timeout_ms) {
        return fa_loop_step(&d->loop, &ops, d, timeout_ms);
}

int fa_dispatcher_fd(struct fa_dispatcher *d) {
        return fa_loop_fd(&d->loop, &ops, d);
}

/* ---- its life ---- */

struct fa_dispatcher *fa_dispatcher_close(struct fa_dispatcher *d) {
        if (!d)
                return NULL;
        for (unsigned i = 0; i < _PORT_N; i++)
                fa_port_close(d->ports[i]);
        fa_keep_close(&d->keep);
        fa_loop_deinit(&d->loop);
        free(d->url);
        free(d);
        return NULL;
}

static int open_ports(struct fa_dispatcher *d, const struct faas_dispatcher_cfg *cfg) {
        struct faas_transport_cfg door = {.end = FAAS_TRANSPORT_LISTEN, .url = cfg->listen};
        struct faas_transport_cfg workers = {
                .end = FAAS_TRANSPORT_LISTEN,
                .url = cfg->workers,
                .n_slots = cfg->n_slots,
                .functions = cfg->functions,
                .modules = cfg->modules,
                .flags = cfg->flags,
        };
        struct fa_transport_row row;
        struct fa_transport_row chosen;
        const char *url;
        int r = fa_transport_by_name(&chosen, cfg->transport);

        if (r)
                return r;
        d->transport = chosen.ops->name;
        row = chosen;
        /* The slots' parent is forked first: it shall not inherit what the door makes. */
        if (!fa_transport_at_door(chosen.ops)) {
                r = fa_port_open(&d->ports[WORKERS], &chosen, &workers, WORKERS);
                if (r == 0)
                        r = fa_transport_by_name(&row, "push");
        }
        if (r == 0)
                r = fa_port_open(&d->ports[DOOR], &row, &door, DOOR);
        if (r)
                return r;
        url = fa_port_url(d->ports[DOOR]);
        d->url = strdup(url ? url : cfg->listen);
        return d->url ? 0 : -ENOMEM;
}

/* enum of the protocol: 0 local, 1 push, 2 pull; one that is registered is one of the last two. */
static uint8_t mode_of(const char *name) {
        struct fa_transport_row row;

        if (strcmp(name, "local") == 0)
                return 0;
        return fa_transport_by_name(&row, name) == 0 && row.ops->credit == FAAS_CREDIT_ON_REQUEST
                       ? 2
                       : 1;
}

/*
 * Its name among those of one store, unless it was given one: a restart at the same place on the
 * same host is the same dispatcher.
 */
static void default_name(char ret[FA_NAME_MAX + 1], const char *url) {
        char host[HOST_NAME_MAX + 1] = "";
        uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a: RFC draft-eastlake-fnv */

        (void)gethostname(host, sizeof(host) - 1);
        if (snprintf(ret, FA_NAME_MAX + 1, "%s %s", host, url) <= (int)FA_NAME_MAX)
                return;
        for (const char *p = url; *p; p++)
                hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        (void)snprintf(ret, FA_NAME_MAX + 1, "%.40s %016llx", host, (unsigned long long)hash);
}

static int make_machine(struct fa_dispatcher *d, const struct faas_dispatcher_cfg *cfg) {
        uint64_t seeds[2];
        struct fa_disp_cfg *disp = &d->keep.disp_cfg;

        *disp = (struct fa_disp_cfg){
                .mode = mode_of(d->transport),
                .heartbeat_ns = cfg->heartbeat_ms * FA_NS_PER_MS,
                .liveness = cfg->liveness,
                .window_tasks = cfg->window_tasks,
                .window_bytes = cfg->window_bytes,
                .max_strikes = cfg->max_strikes,
        };
        d->keep.store_cfg = (struct fa_store_cfg){
                .max_tasks = cfg->queue_tasks,
                .max_bytes = cfg->queue_bytes,
                .result_bytes = cfg->result_bytes,
                .result_ttl_ns = cfg->result_ttl_ms * FA_NS_PER_MS,
                .tick_ns = cfg->lease_ms * FA_NS_PER_MS / LEASE_TICKS,
                .lease_ticks = LEASE_TICKS,
                .evicting_ok = cfg->flags & FAAS_DISPATCHER_EVICTION_OK,
        };
        d->keep.backlog_bytes = cfg->backlog_bytes;
        if (getrandom(seeds, sizeof(seeds), 0) != (ssize_t)sizeof(seeds))
                return fa_errno(errno, "getrandom");
        disp->seed = seeds[0];
        d->keep.store_cfg.seed = seeds[1];
        if (cfg->name)
                memcpy(disp->name, cfg->name, strnlen(cfg->name, FA_NAME_MAX));
        else
                default_name(disp->name, d->url);
        memcpy(disp->endpoint, d->url, strnlen(d->url, sizeof(disp->endpoint) - 1));
        /* It has its epoch before anybody is heard. */
        int r = fa_keep_open(&d->keep, cfg->store, d->start_ns + cfg->store_wait_ms * FA_NS_PER_MS,
                             cfg->stop_fd);
        if (r == 0) {
                struct fa_disp_stats stats;
                fa_disp_stats(d->keep.disp, &stats);
                d->taken_over = stats.taken_over; /* its own of before: no news */
        }
        return r;
}

static int watch_all(struct fa_dispatcher *d) {
        int r = 0;

        for (unsigned i = 0; i < _PORT_N && r == 0; i++)
                if (d->ports[i])
                        r = fa_loop_watch(&d->loop, fa_port_fd(d->ports[i]));
        if (r == 0 && fa_store_fd(d->keep.store) >= 0)
                r = fa_loop_watch(&d->loop, fa_store_fd(d->keep.store));
        return r;
}

int fa_dispatcher_open(struct fa_dispatcher **ret, const struct faas_dispatcher_cfg *cfg) {
        struct fa_dispatcher *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return -ENOMEM;
        d->loop = (struct fa_loop)FA_LOOP_NULL;
        d->keep = (struct fa_keep)FA_KEEP_NULL;
        d->start_ns = fa_now();
        r = open_ports(d, cfg);
        if (r == 0)
                r = fa_loop_init(&d->loop, cfg->stop_fd);
        if (r == 0)
                r = make_machine(d, cfg);
        if (r == 0)
                r = watch_all(d);
        if (r) {
                fa_dispatcher_close(d);
                return r;
        }
        *ret = d;
        return 0;
}

const char *fa_dispatcher_url(const struct fa_dispatcher *d) {
        return d->url;
}

void fa_dispatcher_stats(const struct fa_dispatcher *d, struct faas_stats *ret) {
        uint64_t values[_FA_STAT_N];

        fa_disp_values(d->keep.disp, values, fa_now());
        fa_report_stats(ret, values);
}
