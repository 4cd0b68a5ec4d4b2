/* conform-remote.c - ends in different processes, that come and go */
#undef NDEBUG
#include "conformance.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

Test(conform_remote, the_end_of_a_peer_is_told_without_asking) {
        struct bed b;
        uint64_t first, second;
        struct got *g;

        bed_open(&b);
        struct end *a = bed_meet(&b, &first);
        bed_meet(&b, &second);
        bed_end(&b, a);
        g = bed_expect(&b, b.near, FAAS_TRANSPORT_DOWN);
        cr_assert_eq(g->peer, first);
        got_free(g);
        end_send(&b, b.near, second, message(1, 0, 0));
        bed_close(&b);
}

/* Connects, speaks, says so, and waits to be killed. */
static void be_peer(struct bed *b, pid_t parent, int spoken) {
        const char byte = 0;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(1);
        struct end *far = bed_connect(b);
        for (struct end **e = b->ends; e < b->ends + ENDS_MAX; e++)
                if (*e != far)
                        *e = NULL; /* the parent's */
        got_free(bed_expect(b, far, FAAS_TRANSPORT_UP));
        end_send(b, far, 0, message(1, 1, 10));
        bed_pump(b);
        if (write(spoken, &byte, 1) != 1)
                _exit(1);
        /* What it said may wait for the other end's greeting.  No assertions: see start_peer(). */
        for (;;) {
                struct faas_transport_event ev = {0};
                struct pollfd p = {.fd = b->row->fd(far->t), .events = POLLIN};

                (void)b->row->recv(far->t, &ev);
                if (b->row->flush)
                        b->row->flush(far->t);
                poll(&p, 1, 100);
        }
}

/*
 * A process that connects, speaks, and waits to be killed.  Returns when it has spoken: assertions
 * in a fork use the test's own way to its runner, so only one of the two may make any at a time.
 *
 * A sanitizer's allocator does not know of forks: if another thread was in it, the child waits for
 * ever at its first allocation, before it has connected.  Then another one is forked.
 */
static pid_t start_peer(struct bed *b) {
        enum { TRIES = 5, SILENT_MS = 10000 };
        const pid_t parent = getpid();

        for (int i = 0; i < TRIES; i++) {
                int spoken[2];
                char byte = 0;

                cr_assert_eq(pipe(spoken), 0);
                const pid_t pid = fork();
                cr_assert_geq(pid, 0);
                if (pid == 0)
                        be_peer(b, parent, spoken[1]);
                close(spoken[1]);
                struct pollfd p = {.fd = spoken[0], .events = POLLIN};
                bool said = poll(&p, 1, SILENT_MS) == 1 && read(spoken[0], &byte, 1) == 1;
                close(spoken[0]);
                if (said)
                        return pid;
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
        }
        cr_assert_fail("no peer speaks");
        return -1;
}

Test(conform_remote, a_killed_peer_is_told_once_after_what_it_said) {
        struct bed b;

        bed_open(&b);
        for (unsigned i = 0; i < 5; i++) {
                const pid_t pid = start_peer(&b);
                struct got *g = bed_expect(&b, b.near, FAAS_TRANSPORT_MESSAGE);
                const uint64_t peer = g->peer;

                got_free(g);
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                g = bed_expect(&b, b.near, FAAS_TRANSPORT_DOWN);
                cr_assert_eq(g->peer, peer);
                got_free(g);
        }
        bed_close(&b);
}

Test(conform_remote, a_fork_that_closes_its_copies_is_not_seen_elsewhere) {
        struct bed b;
        uint64_t peer, another;
        struct got *g;
        int status = -1;

        bed_open(&b);
        struct end *far = bed_meet(&b, &peer);
        const pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                b.row->close(far->t);
                b.row->close(b.near->t);
                _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
        end_send(&b, far, 0, message(7, 1, 10));
        g = bed_expect(&b, b.near, FAAS_TRANSPORT_MESSAGE);
        cr_assert_eq(g->peer, peer);
        cr_assert_eq(number_of(g), 7);
        got_free(g);
        (void)bed_meet(&b, &another); /* the address still stands */
        cr_assert_neq(another, peer);
        bed_close(&b);
}

Test(conform_remote, a_dispatcher_that_goes_and_comes_back_is_down_and_up) {
        struct bed b;
        uint64_t peer;

        bed_open(&b);
        struct fa_msg *m = message(1, 0, 0);
        struct end *far = bed_meet(&b, &peer);
        for (unsigned i = 0; i < 3; i++) {
                struct got *g;

                bed_end(&b, b.near);
                got_free(bed_expect(&b, far, FAAS_TRANSPORT_DOWN));
                cr_assert_eq(end_try(&b, far, 0, m), FAAS_E_GONE);
                bed_listen(&b);
                got_free(bed_expect(&b, far, FAAS_TRANSPORT_UP));
                end_send(&b, far, 0, message(i, 0, 0));
                g = bed_expect(&b, b.near, FAAS_TRANSPORT_MESSAGE);
                cr_assert_eq(number_of(g), i);
                got_free(g);
        }
        fa_msg_free(m);
        bed_close(&b);
}

Test(conform_remote, what_was_sent_to_one_that_went_is_not_heard_by_the_next) {
        struct bed b;
        uint64_t peer;
        struct got *g;

        bed_open(&b);
        struct end *far = bed_meet(&b, &peer);
        bed_end(&b, b.near);
        for (unsigned i = 0; i < 10; i++) { /* it may not have noticed, or it has */
                struct fa_msg *m = message(i, 1, 10);
                if (end_try(&b, far, 0, m))
                        fa_msg_free(m);
        }
        got_free(bed_expect(&b, far, FAAS_TRANSPORT_DOWN));
        bed_listen(&b);
        got_free(bed_expect(&b, far, FAAS_TRANSPORT_UP));
        end_send(&b, far, 0, message(77, 0, 0));
        g = bed_expect(&b, b.near, FAAS_TRANSPORT_MESSAGE);
        cr_assert_eq(number_of(g), 77);
        got_free(g);
        bed_close(&b);
}

Test(conform_remote, nothing_can_be_sent_before_the_other_end_is_there) {
        struct bed b;

        bed_open(&b);
        struct fa_msg *m = message(1, 0, 0);
        bed_end(&b, b.near);
        struct end *far = bed_connect(&b);
        cr_assert_eq(end_try(&b, far, 0, m), FAAS_E_GONE);
        fa_msg_free(m);
        bed_close(&b);
}

Test(conform_remote, who_speaks_something_else_disturbs_nobody) {
        static const char *const junk[] = {
                "",
                "GET / HTTP/1.0\r\n\r\n",
                "\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377",
                "\1\0\0\0\0\0\0\0\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1",
        };
        struct bed b;
        uint64_t peer;

        bed_open(&b);
        struct end *far = bed_meet(&b, &peer);
        for (size_t i = 0; i < FA_ARRAY_SIZE(junk); i++) {
                const int fd = bed_raw(&b);

                (void)send(fd, junk[i], strlen(junk[i]), MSG_NOSIGNAL);
                end_send(&b, far, 0, message((unsigned)i, 1, 10));
                for (struct got *g = NULL; !g || g->peer != peer;) {
                        if (g)
                                got_free(g);
                        g = bed_next(&b, b.near);
                        if (g->peer == peer) {
                                cr_assert_eq(number_of(g), i);
                                got_free(g);
                                break;
                        }
                }
                close(fd);
        }
        bed_close(&b);
}
