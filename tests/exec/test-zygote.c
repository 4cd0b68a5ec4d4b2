/* test-zygote.c - the zygote alone, at the other end of a socket of the test's */
#undef NDEBUG
#include <errno.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "exec/mail.h"
#include "exec/zygote.h"
#include "th.h"

#define WAIT_MS 20000
#define N_SLOTS 200

static struct fa_mail mail;

static bool is_read(void *arg) {
        int unread = -1;

        cr_assert_eq(ioctl(*(int *)arg, SIOCOUTQ, &unread), 0);
        return unread == 0;
}

static bool came(void *arg) {
        int r = fa_mail_recv(*(int *)arg, &mail, NULL);

        cr_assert_neq(r, FAAS_E_GONE);
        return r == 0;
}

static void expect(int sock, enum fa_mail_type type) {
        cr_assert(th_until(came, &sock, WAIT_MS), "no mail");
        cr_assert_eq(mail.type, type, "mail %u, not %u", mail.type, type);
}

Test(zygote, tells_of_every_fork_that_was_refused_however_late_it_is_heard) {
        struct fa_zygote_cfg cfg = {.n_slots = N_SLOTS, .builtins = true};
        int small = 1; /* the kernel makes it a few messages */
        int sv[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv), 0);
        cr_assert_eq(setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
        pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0)
                fa_zygote_main(sv[1], &cfg);
        close(sv[1]);
        expect(sv[0], FA_MAIL_HELLO);
        expect(sv[0], FA_MAIL_READY);

        /* Without a slot's descriptors it cannot fork one. */
        mail = (struct fa_mail){.type = FA_MAIL_SPAWN, .gen = 7};
        for (mail.slot = 0; mail.slot < N_SLOTS; mail.slot++)
                cr_assert_eq(fa_mail_send(sv[0], &mail, NULL), 0);
        cr_assert(th_until(is_read, &sv[0], WAIT_MS));

        bool told[N_SLOTS] = {false};
        for (unsigned i = 0; i < N_SLOTS; i++) {
                expect(sv[0], FA_MAIL_NOFORK);
                cr_assert_lt(mail.slot, N_SLOTS);
                cr_assert_eq(mail.gen, 7);
                cr_assert_eq(mail.value, EMFILE);
                cr_assert_not(told[mail.slot]);
                told[mail.slot] = true;
        }
        close(sv[0]);
        cr_assert(th_gone(pid, WAIT_MS));
}
