/* zown.c - what the two ends over sockets of our own share */
#include "transport/zown.h"

#include <poll.h>
#include <sys/socket.h>

#include <faas/error.h>

#include "base/error.h"
#include "base/log.h"
#include "transport/transport.h"

int fa_zown_put(struct fa_zmtp *z,
                struct faas_message *m,
                struct fa_frames *scratch,
                const char *url) {
        int r = fa_msg_encode(fa_message_in(m), scratch);

        if (r < 0)
                return FAAS_E_AGAIN; /* of memory */
        if (r) {
                fa_log(FAAS_LOG_ERROR, "%s: a message is dropped: %s", url, faas_error_text());
                faas_message_free(m);
                return 0;
        }
        r = fa_zmtp_put(z, scratch);
        fa_frames_clear(scratch);
        if (r)
                return FAAS_E_AGAIN;
        faas_message_free(m);
        return 0;
}

void fa_zown_linger(struct fa_zmtp *z, uint64_t until_ns) {
        uint8_t rest[4096];

        while (fa_zmtp_flush(z) == FAAS_E_AGAIN) {
                struct pollfd p = {.fd = z->fd, .events = POLLOUT};
                const uint64_t now_ns = fa_now();

                if (now_ns >= until_ns || poll(&p, 1, fa_poll_ms(until_ns, now_ns)) == 0)
                        break;
        }
        /* TCP would take back what is on its way, if something were left unread. */
        (void)shutdown(z->fd, SHUT_WR);
        for (unsigned i = 0; i < 256 && recv(z->fd, rest, sizeof(rest), MSG_DONTWAIT) > 0; i++)
                continue;
}
