/*
 * worker.c - a worker's shell
 *
 * One turn: the slots' events, the dispatchers' messages, what is due; then what the machine wants
 * sent goes out, and the slots get what gathered for them.
 */
#include "run/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "run/loop.h"
#include "run/port.h"
#include "transport/crew.h"

#define TURN_MESSAGES 256 /* read at a port in one turn */

struct dispatcher {
        struct fa_port *port;
        char *url;
        bool welcome; /* it has said so, and its connection stands */
        struct fa_log_rate log;
};

struct fa_worker {
        struct fa_crew *crew;
        struct dispatcher v[FA_ENDPOINTS_MAX];
        size_t n;
        struct fa_loop loop;
};

/* ---- a turn ---- */

static void tell_goodbye(struct dispatcher *d, const struct fa_msg *m, uint64_t now_ns) {
        const enum faas_log_level level = m->reason ? FAAS_LOG_WARNING : FAAS_LOG_INFO;

        if (fa_log_rate(&d->log, level, now_ns))
                fa_log(level, "%s says goodbye%s%.*s", d->url, m->text.len ? ": " : "",
                       (int)m->text.len, m->text.len ? (const char *)m->text.p : "");
}

/* What an operator wants to see. */
static void tell(struct dispatcher *d, const struct fa_event *ev, uint64_t now_ns) {
        const struct fa_msg *m = ev->kind == FA_EV_MSG ? ev->msg : NULL;
        const bool was = d->welcome;

        if (ev->kind == FA_EV_PEER_DOWN) {
                d->welcome = false;
                if (was && fa_log_rate(&d->log, FAAS_LOG_WARNING, now_ns))
                        fa_log(FAAS_LOG_WARNING, "the connection to %s is lost", d->url);
        } else if (m && m->type == FA_MSG_WELCOME && m->epoch) {
                d->welcome = true;
                if (!was && fa_log_rate(&d->log, FAAS_LOG_INFO, now_ns))
                        fa_log(FAAS_LOG_INFO, "registered with %s", d->url);
        } else if (m && m->type == FA_MSG_DISCONNECT) {
                d->welcome = false;
                tell_goodbye(d, m, now_ns);
        }
}

static int read_port(struct fa_worker *w, struct dispatcher *d, uint64_t now_ns) {
        for (unsigned i = 0; i < TURN_MESSAGES; i++) {
                struct fa_event ev;
                int r = fa_port_recv(d->port, &ev, now_ns);

                if (r == FAAS_E_PROTO)
                        continue;
                if (r)
                        return r == FAAS_E_AGAIN ? 0 : r;
                tell(d, &ev, now_ns);
                fa_crew_input(w->crew, &ev, now_ns);
                if (ev.kind == FA_EV_MSG)
                        fa_msg_free(ev.msg);
        }
        w->loop.more = true;
        return 0;
}

static void send_all(struct fa_worker *w, uint64_t now_ns) {
        struct fa_outbox *o = fa_work_outbox(fa_crew_work(w->crew));
        struct fa_msg *m;
        uint64_t to;

        while (fa_outbox_pop(o, &to, &m))
                fa_port_send(w->v[fa_port_index(to)].port, to, m, now_ns);
        for (size_t i = 0; i < w->n; i++)
                fa_port_flush(w->v[i].port, now_ns);
}

static void wind_down(struct fa_worker *w, uint64_t now_ns) {
        bool empty = w->loop.phase == FA_DRAINING && fa_crew_drain(w->crew, now_ns);
        size_t held = fa_work_held(fa_crew_work(w->crew));

        if (w->loop.phase == FA_STOPPING || empty) {
                if (held)
                        fa_log(FAAS_LOG_WARNING, "%zu tasks are given up%s", held,
                               empty ? ": no dispatcher is there to take their results" : "");
                fa_work_goodbye(fa_crew_work(w->crew));
                w->loop.phase = FA_STOPPED;
        }
}

static int turn(void *shell, uint64_t now_ns) {
        struct fa_worker *w = shell;
        int r = fa_crew_read(w->crew, now_ns);

        if (r < 0)
                return r;
        w->loop.more = r == FAAS_E_AGAIN;
        for (size_t i = 0; i < w->n; i++) {
                r = read_port(w, &w->v[i], now_ns);
                if (r)
                        return r;
        }
        fa_crew_tick(w->crew, now_ns);
        wind_down(w, now_ns);
        send_all(w, now_ns);
        fa_crew_flush(w->crew);
        return 0;
}

static uint64_t deadline(void *shell) {
        const struct fa_worker *w = shell;
        uint64_t at = fa_crew_deadline(w->crew);

        for (size_t i = 0; i < w->n; i++) {
                uint64_t port = fa_port_deadline(w->v[i].port);
                at = FA_MIN(at, port);
        }
        return at;
}

static void drain(void *shell) {
        struct fa_worker *w = shell;

        fa_log(FAAS_LOG_INFO, "draining: %zu tasks are held", fa_work_held(fa_crew_work(w->crew)));
}

static const struct fa_loop_ops ops = {.turn = turn, .deadline = deadline, .drain = drain};

void fa_worker_stop(struct fa_worker *w) {
        fa_loop_stop(&w->loop, &ops, w);
}

int fa_worker_step(struct fa_worker *w, int timeout_ms) {
        return fa_loop_step(&w->loop, &ops, w, timeout_ms);
}

int fa_worker_fd(struct fa_worker *w) {
        return fa_loop_fd(&w->loop, &ops, w);
}

/* ---- its life ---- */

struct fa_worker *fa_worker_close(struct fa_worker *w) {
        if (!w)
                return NULL;
        for (size_t i = 0; i < w->n; i++) {
                fa_port_close(w->v[i].port);
                free(w->v[i].url);
        }
        fa_crew_close(w->crew);
        fa_loop_deinit(&w->loop);
        free(w);
        return NULL;
}

static int add_dispatcher(struct fa_worker *w, const char *url, uint64_t now_ns) {
        const struct faas_transport_cfg cfg = {.end = FAAS_TRANSPORT_CONNECT, .url = url};
        struct dispatcher *d = &w->v[w->n];
        struct fa_transport_row row;
        int r = fa_transport_by_url(&row, url);

        if (r)
                return r;
        d->url = strdup(url);
        if (!d->url)
                return -ENOMEM;
        w->n++;
        r = fa_port_open(&d->port, &row, &cfg, (unsigned)(w->n - 1));
        if (r == 0)
                r = fa_loop_watch(&w->loop, fa_port_fd(d->port));
        if (r == 0)
                r = fa_work_connect(fa_crew_work(w->crew), (uint64_t)w->n << 56, now_ns);
        return r;
}

int fa_worker_open(struct fa_worker **ret, const struct fa_worker_cfg *cfg) {
        const struct fa_crew_cfg crew = {.slots = cfg->slots, .name = cfg->name};
        struct fa_worker *w = calloc(1, sizeof(*w));
        uint64_t now_ns = fa_now();
        int r;

        if (!w)
                return -ENOMEM;
        w->loop = (struct fa_loop)FA_LOOP_NULL;
        /* The slots' parent is forked first, before there are sockets. */
        r = fa_crew_open(&w->crew, &crew);
        if (r == 0)
                r = fa_loop_init(&w->loop, cfg->stop_fd);
        if (r == 0)
                r = fa_loop_watch(&w->loop, fa_crew_fd(w->crew));
        for (size_t i = 0; i < cfg->n_urls && r == 0; i++)
                r = add_dispatcher(w, cfg->urls[i], now_ns);
        if (r) {
                fa_worker_close(w);
                return r;
        }
        *ret = w;
        return 0;
}

void fa_worker_stats(struct fa_worker *w, struct faas_worker_stats *ret) {
        struct fa_work_stats s;

        fa_work_stats(fa_crew_work(w->crew), &s);
        *ret = (struct faas_worker_stats){
                .completed = s.completed,
                .failed = s.failed,
                .held = fa_work_held(fa_crew_work(w->crew)),
                .dispatchers = s.n_open,
                .stale = s.stale,
        };
}
