/*
 * remote.c - the client machine over ports
 *
 * The client API drives it, one turn at a time: what the dispatchers sent goes to the machine, what
 * the machine wants sent goes to the ports.  It decides nothing and waits for nothing; which
 * dispatcher is talked to is the machine's choice.
 */
#include "run/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "run/port.h"

#define TURN_MESSAGES 1024   /* messages read in one turn */
#define TURN_NS FA_NS_PER_MS /* ... and how long that may take: they may be large */
#define CLOCK_EACH 16        /* messages between two looks at the clock */
#define PEER_OF(index) ((uint64_t)((index) + 1) << 56) /* of a CONNECT port: run/port.h */

struct fa_remote {
        struct fa_cli *cli;
        struct fa_port *ports[FA_ENDPOINTS_MAX];
        unsigned n_ports;
        unsigned first; /* read in the next turn before the others */
        int epoll_fd;   /* over the ports' fds; -1: the one port's own serves */
        pid_t pid;      /* whose sockets these are */
};

/* ---- its turns ---- */

/* 0; FAAS_E_AGAIN: there may be more; < 0. */
static int read_port(struct fa_remote *r, unsigned index, unsigned max, uint64_t now_ns) {
        for (unsigned i = 0; i < max; i++) {
                struct fa_event ev;
                int got = fa_port_recv(r->ports[index], &ev, now_ns);

                if (got == FAAS_E_PROTO)
                        continue;
                if (got)
                        return got == FAAS_E_AGAIN ? 0 : got;
                (void)fa_cli_input(r->cli, &ev, now_ns);
                if (ev.kind == FA_EV_MSG)
                        fa_msg_free(ev.msg);
                if (i % CLOCK_EACH == CLOCK_EACH - 1 && fa_now() - now_ns > TURN_NS)
                        break;
        }
        return FAAS_E_AGAIN;
}

/* Each port has its share, so that one that floods does not keep the others from being heard. */
static int read_all(struct fa_remote *r, uint64_t now_ns) {
        int more = 0;

        assert(r->n_ports > 0);
        for (unsigned i = 0; i < r->n_ports; i++) {
                unsigned index = (r->first + i) % r->n_ports;
                int got = read_port(r, index, TURN_MESSAGES / r->n_ports, now_ns);

                if (got < 0)
                        return got;
                more |= got;
        }
        r->first = (r->first + 1) % r->n_ports;
        return more;
}

static void send_all(struct fa_remote *r, uint64_t now_ns) {
        struct fa_msg *m;
        uint64_t to;

        while (fa_outbox_pop(fa_cli_outbox(r->cli), &to, &m))
                fa_port_send(r->ports[fa_port_index(to)], to, m, now_ns);
        for (unsigned i = 0; i < r->n_ports; i++)
                fa_port_flush(r->ports[i], now_ns);
}

int fa_remote_turn(struct fa_remote *r, uint64_t now_ns) {
        int more = read_all(r, now_ns);

        if (more < 0)
                return more;
        if (fa_cli_deadline(r->cli) <= now_ns)
                fa_cli_tick(r->cli, now_ns);
        send_all(r, now_ns);
        /* Sending can swallow what announces input: then the fd is silent, and only this tells. */
        for (unsigned i = 0; i < r->n_ports && !more; i++)
                if (fa_port_deadline(r->ports[i]) == 0)
                        more = FAAS_E_AGAIN;
        return more;
}

int fa_remote_fd(const struct fa_remote *r) {
        return r->epoll_fd < 0 ? fa_port_fd(r->ports[0]) : r->epoll_fd;
}

uint64_t fa_remote_deadline(const struct fa_remote *r) {
        uint64_t at = fa_cli_deadline(r->cli);

        for (unsigned i = 0; i < r->n_ports; i++)
                at = FA_MIN(at, fa_port_deadline(r->ports[i]));
        return at;
}

struct fa_cli *fa_remote_cli(struct fa_remote *r) {
        return r->cli;
}

/* ---- its life ---- */

static int open_port(struct fa_remote *r, const char *url) {
        const struct faas_transport_cfg cfg = {.end = FAAS_TRANSPORT_CONNECT, .url = url};
        struct fa_transport_row row;
        int e = fa_transport_by_url(&row, url);

        if (e == 0)
                e = fa_port_open(&r->ports[r->n_ports], &row, &cfg, r->n_ports);
        if (e == 0)
                r->n_ports++;
        return e;
}

/* One level less for the usual case: the kernel wakes through few nested ones only. */
static int watch_all(struct fa_remote *r) {
        if (r->n_ports == 1)
                return 0;
        r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (r->epoll_fd < 0)
                return fa_errno(errno, "no descriptors for the client");
        for (unsigned i = 0; i < r->n_ports; i++) {
                struct epoll_event ev = {.events = EPOLLIN, .data = {.u32 = i}};
                if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fa_port_fd(r->ports[i]), &ev))
                        return fa_errno(errno, "epoll_ctl");
        }
        return 0;
}

static int open_all(struct fa_remote *r, const struct fa_remote_cfg *cfg, uint64_t now_ns) {
        uint64_t seeds[2];
        int e = 0;

        for (size_t i = 0; i < cfg->n_urls && e == 0; i++)
                e = open_port(r, cfg->urls[i]);
        if (e == 0)
                e = watch_all(r);
        if (e)
                return e;
        if (getrandom(seeds, sizeof(seeds), 0) != (ssize_t)sizeof(seeds))
                return fa_errno(errno, "getrandom");
        const struct fa_cli_cfg cli_cfg = {
                .incarnation = seeds[0] | 1,
                .window_tasks = cfg->window_tasks,
                .window_bytes = cfg->window_bytes,
                .done_ttl_ns = cfg->result_ttl_ns,
                .seed = seeds[1],
        };
        e = fa_cli_new(&r->cli, &cli_cfg);
        for (unsigned i = 0; i < r->n_ports && e == 0; i++)
                e = fa_cli_connect(r->cli, PEER_OF(i), now_ns);
        if (e)
                return fa_error(-ENOMEM, "no memory for a client");
        send_all(r, now_ns); /* HELLO is on its way while the caller makes its first task */
        return 0;
}

int fa_remote_open(struct fa_remote **ret, const struct fa_remote_cfg *cfg, uint64_t now_ns) {
        struct fa_remote *r = calloc(1, sizeof(*r));
        int e;

        if (!r)
                return fa_error(-ENOMEM, "no memory for a client");
        r->epoll_fd = -1;
        r->pid = getpid();
        e = open_all(r, cfg, now_ns);
        if (e) {
                fa_remote_close(r);
                return e;
        }
        *ret = r;
        return 0;
}

struct fa_remote *fa_remote_close(struct fa_remote *r) {
        if (!r)
                return NULL;
        if (r->cli && r->pid == getpid()) {
                fa_cli_goodbye(r->cli);
                send_all(r, fa_now());
        }
        for (unsigned i = 0; i < r->n_ports; i++)
                fa_port_close(r->ports[i]);
        if (r->epoll_fd >= 0)
                (void)close(r->epoll_fd);
        fa_cli_free(r->cli);
        free(r);
        return NULL;
}
