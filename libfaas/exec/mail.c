/*
 * mail.c - messages between host and zygote
 *
 * Driven by slots.c on one end and by zygote.c on the other.  It never waits by itself, never
 * raises SIGPIPE, and closes descriptors that nobody asked for.
 */
#include "exec/mail.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <faas/error.h>

#include "base/macros.h"

union rights {
        char room[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
};

int fa_mail_send(int sock, const struct fa_mail *m, const int fds[2]) {
        union rights rights;
        struct iovec iov = {fa_unconst(m), offsetof(struct fa_mail, data) + m->len};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

        if (fds) {
                memset(&rights, 0, sizeof(rights));
                msg.msg_control = rights.room;
                msg.msg_controllen = sizeof(rights.room);
                struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(2 * sizeof(int));
                memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
        }

        ssize_t n;
        do {
                n = sendmsg(sock, &msg, MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

/* Takes the two descriptors that may have come; anything else that came is closed. */
static void take_fds(struct msghdr *msg, int ret_fds[2]) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
                int fds[2];
                size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || n > 2)
                        continue;
                memcpy(fds, CMSG_DATA(c), n * sizeof(int));
                if (ret_fds && n == 2)
                        memcpy(ret_fds, fds, sizeof(fds));
                else
                        for (size_t i = 0; i < n; i++)
                                close(fds[i]);
        }
}

int fa_mail_recv(int sock, struct fa_mail *m, int ret_fds[2]) {
        union rights rights;
        struct iovec iov = {m, sizeof(*m)};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = rights.room,
                             .msg_controllen = sizeof(rights.room)};

        if (ret_fds)
                ret_fds[0] = ret_fds[1] = -1;
        ssize_t n;
        do {
                n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? FAAS_E_AGAIN : FAAS_E_GONE;
        take_fds(&msg, ret_fds);
        if ((size_t)n < offsetof(struct fa_mail, data) ||
            (size_t)n != offsetof(struct fa_mail, data) + m->len) {
                if (ret_fds && ret_fds[0] >= 0) {
                        close(ret_fds[0]);
                        close(ret_fds[1]);
                        ret_fds[0] = ret_fds[1] = -1;
                }
                return FAAS_E_GONE;
        }
        return 0;
}
