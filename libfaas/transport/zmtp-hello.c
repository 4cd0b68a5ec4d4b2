/*
 * zmtp-hello.c - greeting, READY and commands of ZMTP 3.1
 *
 * Mechanism NULL: nobody is authenticated (docs/ARCHITECTURE.md).  All that a stranger sends before
 * he is known passes here.
 */
#include "transport/zmtp-hello.h"

#include <string.h>
#include <strings.h>

#include <faas/error.h>

#include "base/macros.h"

#define MAJOR_AT 10
#define MECHANISM_AT 12
#define MECHANISM_LEN 20
#define PING_CONTEXT_MAX 16

static const uint8_t mechanism[MECHANISM_LEN] = "NULL";

static const uint8_t greeting[FA_ZMTP_GREETING_LEN] = {
        0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'N', 'U', 'L', 'L',
};

static const uint8_t ready_dealer[] =
        "\4\x29\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\0";
static const uint8_t ready_router[] =
        "\4\x29\5READY\13Socket-Type\0\0\0\6ROUTER\10Identity\0\0\0\0";

int fa_zmtp_say_hello(struct fa_zmtp *z) {
        int r = fa_zmtp_gather(z, greeting, sizeof(greeting));

        static_assert(sizeof(ready_dealer) == 2 + 0x29 + 1, "the length that it says");
        static_assert(sizeof(ready_router) == sizeof(ready_dealer), "the same");
        return r ? r
                 : fa_zmtp_gather(z, z->listens ? ready_router : ready_dealer,
                                  sizeof(ready_dealer) - 1);
}

int fa_zmtp_greeting(const uint8_t *p, size_t len) {
        if ((len > 0 && p[0] != 0xff) || (len > 9 && p[9] != 0x7f) ||
            (len > MAJOR_AT && p[MAJOR_AT] < 3))
                return FAAS_E_PROTO;
        if (len < FA_ZMTP_GREETING_LEN)
                return FAAS_E_AGAIN;
        return memcmp(p + MECHANISM_AT, mechanism, MECHANISM_LEN) == 0 ? 0 : FAAS_E_PROTO;
}

/* Does p begin with a byte of length and that name? */
static bool is_named(const uint8_t *p, size_t len, const char *name) {
        const size_t n = strlen(name);

        return len > n && p[0] == n && memcmp(p + 1, name, n) == 0;
}

/* As libzmq has it; REQ sends an empty frame first, which is refused as a message. */
static bool fits(const struct fa_zmtp *z, const uint8_t *type, size_t len) {
        static const char *const dealers[] = {"DEALER", "REQ", "ROUTER"};
        static const char *const routers[] = {"ROUTER", "REP", "DEALER"};
        const char *const *v = z->listens ? dealers : routers;

        for (size_t i = 0; i < FA_ARRAY_SIZE(dealers); i++)
                if (strlen(v[i]) == len && memcmp(v[i], type, len) == 0)
                        return true;
        return false;
}

int fa_zmtp_ready(struct fa_zmtp *z, const uint8_t *p, size_t len) {
        const uint8_t *end = p + len;
        bool typed = false;

        if (!is_named(p, len, "READY"))
                return FAAS_E_PROTO;
        for (p += 6; p < end;) {
                const size_t name_len = *p++;
                const uint8_t *name = p;
                uint64_t n = 0;

                if ((size_t)(end - p) < name_len + 4)
                        return FAAS_E_PROTO;
                p += name_len;
                for (int i = 0; i < 4; i++)
                        n = n << 8 | *p++;
                if ((size_t)(end - p) < n)
                        return FAAS_E_PROTO;
                if (name_len == 11 && strncasecmp((const char *)name, "Socket-Type", 11) == 0)
                        typed = fits(z, p, (size_t)n);
                if (name_len == 8 && strncasecmp((const char *)name, "Identity", 8) == 0)
                        z->named = n > 0;
                p += n;
        }
        return typed ? 0 : FAAS_E_PROTO;
}

int fa_zmtp_command(struct fa_zmtp *z, const uint8_t *p, size_t len) {
        uint8_t pong[2 + 5 + PING_CONTEXT_MAX] = "\4\0\4PONG";
        size_t n;

        if (is_named(p, len, "ERROR"))
                return FAAS_E_PROTO;
        if (!is_named(p, len, "PING") || len < 7 || len - 7 > PING_CONTEXT_MAX)
                return 0; /* one that we need not know */
        n = len - 7;      /* behind the name and a time to live */
        memcpy(pong + 7, p + 7, n);
        pong[1] = (uint8_t)(5 + n);
        if (fa_zmtp_gather(z, pong, 7 + n))
                return 0;       /* no memory: it asks again */
        (void)fa_zmtp_flush(z); /* what finds no room now goes with the next message */
        return 0;
}
