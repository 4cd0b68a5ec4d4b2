/* th-redis.c - a redis-server of the test's own */
#include "th.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define START_MS 10000 /* a loaded machine, and a file to read */

/* It listens, and has read its file: before that the answer is -LOADING. */
static bool answers(void *arg) {
        const struct th_redis *r = arg;
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        char answer[7];
        bool ok = false;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        cr_assert_geq(fd, 0);
        memcpy(addr.sun_path, r->socket, strlen(r->socket) + 1);
        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
            write(fd, "PING\r\n", 6) == 6)
                ok = recv(fd, answer, sizeof(answer), MSG_WAITALL) == sizeof(answer) &&
                     memcmp(answer, "+PONG\r\n", sizeof(answer)) == 0;
        close(fd);
        return ok || th_gone(r->pid, 0);
}

void th_redis_start(struct th_redis *r, bool append_only) {
        char log[96];

        if (!r->dir[0]) {
                snprintf(r->dir, sizeof(r->dir), "%s", th_temp_dir());
                snprintf(r->socket, sizeof(r->socket), "%s/redis.sock", r->dir);
        }
        snprintf(log, sizeof(log), "%s/log", r->dir);
        r->append_only = append_only;
        const char *const argv[] = {"redis-server",
                                    "--port",
                                    "0",
                                    "--unixsocket",
                                    r->socket,
                                    "--dir",
                                    r->dir,
                                    "--logfile",
                                    log,
                                    "--save",
                                    "",
                                    "--appendonly",
                                    append_only ? "yes" : "no",
                                    NULL};
        /* A socket left by a killed server refuses connections, so an answer is the new one's. */
        r->pid = th_spawn(argv, -1);
        cr_assert(th_until(answers, r, START_MS), "redis-server does not answer");
        cr_assert_not(th_gone(r->pid, 0), "redis-server ended, see %s", log);
}

void th_redis_kill(struct th_redis *r) {
        th_kill(r->pid);
        r->pid = 0;
}
