/* test-zmq.c - what is ZeroMQ's own: addresses, files, descriptors, forks, hostile peers */
#undef NDEBUG
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <criterion/criterion.h>
#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "th.h"
#include "transport/transport.h"

#define WAIT_MS 20000

static const struct faas_transport_ops *const z = &fa_transport_push;

static int open_end(struct faas_transport **ret, enum faas_transport_end end, const char *url) {
        struct faas_transport_cfg cfg = {.struct_size = sizeof(cfg), .end = end, .url = url};

        return z->open(ret, &cfg);
}

static struct faas_transport *listen_at(const char *url) {
        struct faas_transport *t = NULL;

        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_LISTEN, url), 0, "%s", faas_error_text());
        return t;
}

static struct faas_transport *connect_to(const char *url) {
        struct faas_transport *t = NULL;

        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_CONNECT, url), 0, "%s", faas_error_text());
        return t;
}

/* The next event of one end, while another is still saying something, or NULL. */
static struct faas_transport_event next_from(struct faas_transport *t, struct faas_transport *far) {
        const uint64_t end = fa_now() + WAIT_MS * FA_NS_PER_MS;
        struct faas_transport_event ev = {0};
        struct pollfd p[] = {{.fd = z->fd(t), .events = POLLIN},
                             {.fd = far ? z->fd(far) : -1, .events = POLLIN}};
        int r;

        while ((r = z->recv(t, &ev)) == FAAS_E_AGAIN) {
                cr_assert_lt(fa_now(), end, "nothing came");
                poll(p, 2, fa_poll_ms(FA_MIN(z->deadline(t), end), fa_now()));
                if (far)
                        cr_assert_eq(z->recv(far, &ev), FAAS_E_AGAIN);
        }
        cr_assert_eq(r, 0);
        return ev;
}

/* The same, while the others need nothing. */
static struct faas_transport_event next(struct faas_transport *t) {
        return next_from(t, NULL);
}

static void say(struct faas_transport *t, uint64_t peer) {
        struct fa_msg *m = NULL;

        cr_assert_eq(fa_msg_new(&m, FA_MSG_BEAT), 0);
        cr_assert_eq(z->send(t, peer, fa_message_of(m)), 0);
        z->flush(t);
}

/* Connects, speaks and is heard. */
static struct faas_transport *meet(struct faas_transport *door, uint64_t *ret_peer) {
        struct faas_transport *t = connect_to(z->url(door));
        struct faas_transport_event ev = next(t);

        cr_assert_eq(ev.kind, FAAS_TRANSPORT_UP);
        say(t, 0);
        ev = next_from(door, t);
        cr_assert_eq(ev.kind, FAAS_TRANSPORT_MESSAGE);
        *ret_peer = ev.peer;
        return t;
}

static void in_dir(char *ret, size_t size, const char *dir, const char *name) {
        cr_assert_lt((size_t)snprintf(ret, size, "ipc://%s/%s", dir, name), size);
}

Test(zmq, malformed_urls_are_refused_with_a_text) {
        static const char *const bad[] = {
                "",           "tcp",        "tcp:/x",         "udp://127.0.0.1:5", "tcp://",
                "tcp://:5",   "tcp://x",    "tcp://x:",       "tcp://x:port",      "tcp://x:65536",
                "ipc://",     "ipc://*",    "inproc://",      "tcp://::1:5555",    "tcp://[::1]",
                "tcp://x:5,", ",tcp://x:5", "tcp://x:555555", "tcp://[::1:55",     "ipc://@",
        };
        struct faas_transport *t = NULL;

        for (size_t i = 0; i < FA_ARRAY_SIZE(bad); i++) {
                fa_error(0, "%s", "");
                cr_assert_eq(open_end(&t, FAAS_TRANSPORT_LISTEN, bad[i]), -EINVAL, "%s", bad[i]);
                cr_assert_neq(faas_error_text()[0], '\0', "%s", bad[i]);
                cr_assert_eq(open_end(&t, FAAS_TRANSPORT_CONNECT, bad[i]), -EINVAL, "%s", bad[i]);
        }
        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_CONNECT, "tcp://127.0.0.1:*"), -EINVAL);
        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_CONNECT, "tcp://*:5555"), -EINVAL);
        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_CONNECT, "tcp://127.0.0.1:0"), -EINVAL);
        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_LISTEN, NULL), -EINVAL);
        cr_assert_null(t);
}

Test(zmq, a_path_that_is_too_long_is_refused) {
        char url[200] = "ipc:///tmp/";
        struct faas_transport *t = NULL;

        memset(url + strlen(url), 'x', 120);
        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_LISTEN, url), -EINVAL);
        cr_assert_not_null(strstr(faas_error_text(), "107"), "%s", faas_error_text());
}

Test(zmq, addresses_that_are_not_of_this_machine_are_refused_by_name) {
        struct faas_transport *t = NULL;

        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_LISTEN, "tcp://192.0.2.1:*"), -EADDRNOTAVAIL);
        cr_assert_not_null(strstr(faas_error_text(), "192.0.2.1"), "%s", faas_error_text());
        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_LISTEN, "tcp://nosuchif0:5555"), -EADDRNOTAVAIL);
        cr_assert_not_null(strstr(faas_error_text(), "nosuchif0"), "%s", faas_error_text());
        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_LISTEN, "ipc:///nosuchdir/x"), -ENOENT);
        cr_assert_not_null(strstr(faas_error_text(), "nosuchdir"), "%s", faas_error_text());
        cr_assert_null(t);
}

Test(zmq, a_chosen_port_is_told_and_several_doors_can_be_open) {
        char urls[256], one[200];
        struct faas_transport *t, *far;

        in_dir(one, sizeof(one), th_temp_dir(), "door");
        snprintf(urls, sizeof(urls), "tcp://127.0.0.1:*,%s,inproc://several", one);
        t = listen_at(urls);
        cr_assert_eq(strncmp(z->url(t), "tcp://127.0.0.1:", 16), 0, "%s", z->url(t));
        cr_assert_gt(atoi(z->url(t) + 16), 0);
        cr_assert_not_null(strstr(z->url(t), one));
        snprintf(urls, sizeof(urls), "%s", z->url(t));
        for (char *rest = NULL, *u = strtok_r(urls, ",", &rest); u;
             u = strtok_r(NULL, ",", &rest)) {
                far = connect_to(u);
                cr_assert_eq(next(far).kind, FAAS_TRANSPORT_UP);
                say(far, 0);
                while (next_from(t, far).kind != FAAS_TRANSPORT_MESSAGE)
                        continue;
                z->close(far);
        }
        z->close(t);
}

Test(zmq, both_kinds_of_addresses_reach_a_door_for_all) {
        struct faas_transport *t = listen_at("tcp://*:*"), *far;
        char url[64];

        snprintf(url, sizeof(url), "tcp://127.0.0.1:%s", strrchr(z->url(t), ':') + 1);
        far = connect_to(url);
        cr_assert_eq(next(far).kind, FAAS_TRANSPORT_UP);
        z->close(far);
        far = connect_to(z->url(t));
        cr_assert_eq(next(far).kind, FAAS_TRANSPORT_UP);
        z->close(far);
        z->close(t);
}

/* What is left when a process is killed. */
static void leave_socket(const char *path) {
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        cr_assert_geq(fd, 0);
        cr_assert_lt(strlen(path), sizeof(sa.sun_path));
        strcpy(sa.sun_path, path);
        cr_assert_eq(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
        close(fd);
}

Test(zmq, the_socket_that_a_dead_process_left_is_replaced) {
        struct faas_transport *t, *far;
        uint64_t peer;
        char url[200];

        in_dir(url, sizeof(url), th_temp_dir(), "door");
        leave_socket(url + 6);
        t = listen_at(url);
        far = meet(t, &peer);
        z->close(far);
        z->close(t);
        cr_assert_neq(access(url + 6, F_OK), 0);
}

Test(zmq, a_file_that_is_no_socket_stays) {
        struct faas_transport *t = NULL;
        char url[200], text[8] = "";
        FILE *f;

        in_dir(url, sizeof(url), th_temp_dir(), "precious");
        f = fopen(url + 6, "w");
        cr_assert_not_null(f);
        fputs("mine", f);
        fclose(f);
        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_LISTEN, url), -EADDRINUSE);
        f = fopen(url + 6, "r");
        cr_assert_not_null(f);
        cr_assert_not_null(fgets(text, sizeof(text), f));
        fclose(f);
        cr_assert_str_eq(text, "mine");
}

Test(zmq, a_socket_that_is_somebody_elses_now_stays) {
        struct faas_transport *t;
        char url[200];

        in_dir(url, sizeof(url), th_temp_dir(), "door");
        t = listen_at(url);
        unlink(url + 6);
        leave_socket(url + 6);
        z->close(t);
        cr_assert_eq(access(url + 6, F_OK), 0);
}

Test(zmq, a_failed_open_leaves_nothing_behind) {
        struct faas_transport *t = NULL;
        const int fds = th_count_fds();
        char url[200], both[300];

        in_dir(url, sizeof(url), th_temp_dir(), "door");
        snprintf(both, sizeof(both), "%s,tcp://192.0.2.1:*", url);
        cr_assert_eq(open_end(&t, FAAS_TRANSPORT_LISTEN, both), -EADDRNOTAVAIL);
        cr_assert_null(t);
        cr_assert_neq(access(url + 6, F_OK), 0);
        cr_assert_eq(th_count_fds(), fds);
}

/* libzmq aborts where it cannot have a descriptor. */
Test(zmq, without_free_descriptors_opening_fails_and_nothing_more) {
        struct rlimit had, low;
        struct faas_transport *t = NULL;
        unsigned failed = 0, opened = 0;

        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &had), 0);
        low = had;
        for (rlim_t n = 3; n < 64; n++) {
                low.rlim_cur = n;
                cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
                const int r = open_end(&t, FAAS_TRANSPORT_LISTEN, "tcp://127.0.0.1:*");
                if (r == 0) {
                        z->close(t);
                        opened++;
                        continue;
                }
                cr_assert_eq(r, -EMFILE, "%s", faas_error_text());
                failed++;
        }
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &had), 0);
        cr_assert(failed > 0 && opened > 0);
}

Test(zmq, no_descriptor_survives_exec) {
        struct faas_transport *t, *far;
        const int before = th_count_fds();
        uint64_t peer;
        int n = 0;

        t = listen_at("tcp://127.0.0.1:*");
        far = meet(t, &peer);
        for (int fd = 3; fd < 256; fd++) {
                const int flags = fcntl(fd, F_GETFD);
                if (flags >= 0 && !(flags & FD_CLOEXEC))
                        n++;
        }
        cr_assert_gt(th_count_fds(), before + 4);
        z->close(far);
        z->close(t);
        for (int fd = 3; fd < 256; fd++) {
                const int flags = fcntl(fd, F_GETFD);
                if (flags >= 0 && !(flags & FD_CLOEXEC))
                        n--;
        }
        cr_assert_eq(n, 0);
}

Test(zmq, a_fork_closes_what_it_inherited_and_has_sockets_of_its_own) {
        struct faas_transport *t = listen_at("tcp://127.0.0.1:*"), *far;
        uint64_t peer;
        int status = -1;

        far = meet(t, &peer);
        const pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                struct faas_transport *own, *own_far;
                uint64_t p;

                alarm(WAIT_MS / 1000);
                z->close(far);
                own = listen_at("inproc://in-the-child");
                own_far = meet(own, &p);
                z->close(own_far);
                z->close(t);
                z->close(own);
                _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
        /* The parent's still work. */
        say(far, 0);
        cr_assert_eq(next(t).peer, peer);
        z->close(far);
        z->close(t);
}

Test(zmq, a_peer_that_set_a_routing_id_is_not_heard) {
        struct faas_transport *t = listen_at("tcp://127.0.0.1:*"), *far;
        void *ctx = zmq_ctx_new(), *dealer = zmq_socket(ctx, ZMQ_DEALER);
        const int none = 0; /* what is not heard may still wait to be sent */
        uint64_t peer;

        cr_assert_eq(zmq_setsockopt(dealer, ZMQ_LINGER, &none, sizeof(none)), 0);
        cr_assert_eq(zmq_setsockopt(dealer, ZMQ_ROUTING_ID, "me", 2), 0);
        cr_assert_eq(zmq_connect(dealer, z->url(t)), 0);
        cr_assert_eq(zmq_send(dealer, "x", 1, 0), 1);
        far = meet(t, &peer);
        for (unsigned i = 0; i < 200; i++) {
                cr_assert_eq(zmq_send(dealer, "x", 1, 0), 1);
                say(far, 0);
                cr_assert_eq(next(t).peer, peer);
        }
        zmq_close(dealer);
        zmq_ctx_term(ctx);
        z->close(far);
        z->close(t);
}

static struct faas_transport_event next_message(struct faas_transport *t) {
        struct faas_transport_event ev;

        do
                ev = next(t);
        while (ev.kind != FAAS_TRANSPORT_MESSAGE);
        return ev;
}

Test(zmq, any_frames_arrive_and_too_many_are_seen_to_be_too_many) {
        struct faas_transport *t = listen_at("tcp://127.0.0.1:*");
        void *ctx = zmq_ctx_new(), *dealer = zmq_socket(ctx, ZMQ_DEALER);
        struct faas_transport_event ev;

        cr_assert_eq(zmq_connect(dealer, z->url(t)), 0);
        cr_assert_eq(zmq_send(dealer, "", 0, 0), 0); /* a probe: nobody hears it */
        for (int i = 0; i < 999; i++)
                cr_assert_eq(zmq_send(dealer, "junk", 4, ZMQ_SNDMORE), 4);
        cr_assert_eq(zmq_send(dealer, "junk", 4, 0), 4);
        ev = next_message(t);
        cr_assert_gt(ev.n_frames, FAAS_FRAMES_MAX);
        cr_assert_eq(zmq_send(dealer, "", 0, ZMQ_SNDMORE), 0);
        cr_assert_eq(zmq_send(dealer, "abc", 3, 0), 3);
        ev = next_message(t);
        cr_assert_eq(ev.n_frames, 2);
        cr_assert_eq(ev.frames[0].len, 0);
        cr_assert_eq(ev.frames[1].len, 3);
        cr_assert_eq(memcmp(ev.frames[1].p, "abc", 3), 0);
        zmq_close(dealer);
        zmq_ctx_term(ctx);
        z->close(t);
}

/* Breaks off a frame that is over the limit before it is in memory. */
Test(zmq, a_frame_over_the_limit_ends_the_connection) {
        struct faas_transport *t = listen_at("tcp://127.0.0.1:*");
        void *ctx = zmq_ctx_new(), *dealer = zmq_socket(ctx, ZMQ_DEALER);
        const size_t len = FA_PAYLOAD_MAX + 2 * FA_ENVELOPE_MAX;
        int linger = 0;
        char *big = calloc(1, len);
        struct faas_transport_event ev;

        cr_assert_not_null(big);
        cr_assert_eq(zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof(linger)), 0);
        cr_assert_eq(zmq_connect(dealer, z->url(t)), 0);
        cr_assert_eq(zmq_send(dealer, "x", 1, 0), 1);
        ev = next(t);
        cr_assert_eq(ev.kind, FAAS_TRANSPORT_MESSAGE);
        const uint64_t peer = ev.peer;
        cr_assert_eq(zmq_send(dealer, big, len, 0), (int)len);
        ev = next(t);
        cr_assert_eq(ev.kind, FAAS_TRANSPORT_DOWN);
        cr_assert_eq(ev.peer, peer);
        free(big);
        zmq_close(dealer);
        zmq_ctx_term(ctx);
        z->close(t);
}

struct count {
        struct faas_transport *t;
        unsigned down, wanted;
};

static bool all_down(void *arg) {
        struct count *c = arg;
        struct faas_transport_event ev;

        while (z->recv(c->t, &ev) == 0)
                c->down += ev.kind == FAAS_TRANSPORT_DOWN;
        return c->down >= c->wanted;
}

/* Nothing tells of their ends, and they are found all the same. */
Test(zmq, peers_inside_the_process_that_ended_are_not_kept_for_ever) {
        enum { N = 500, KEPT = 200 };
        struct count c = {.t = listen_at("inproc://many"), .wanted = N - KEPT};

        for (unsigned i = 0; i < N; i++) {
                struct faas_transport *far = connect_to("inproc://many");
                struct faas_transport_event ev;

                cr_assert_eq(next(far).kind, FAAS_TRANSPORT_UP);
                say(far, 0);
                while ((ev = next(c.t)).kind == FAAS_TRANSPORT_DOWN)
                        c.down++;
                z->close(far);
        }
        cr_assert(th_until(all_down, &c, WAIT_MS), "%u of %u", c.down, N);
        z->close(c.t);
}
