/* th-redis.c - a redis-server of the test's own */
#include "th.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
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
                     (memcmp(answer, "+PONG\r\n", sizeof(answer)) == 0 ||
                      memcmp(answer, "-NOAUTH", sizeof(answer)) == 0);
        close(fd);
        return ok || th_gone(r->pid, 0);
}

void th_redis_start(struct th_redis *r, bool append_only) {
        th_redis_start_with(r, append_only, NULL);
}

void th_redis_start_with(struct th_redis *r, bool append_only, const char *const extra[]) {
        char log[96], port[16];
        const char *argv[64];
        size_t n = 0;

        if (!r->dir[0]) {
                snprintf(r->dir, sizeof(r->dir), "%s", th_temp_dir());
                snprintf(r->socket, sizeof(r->socket), "%s/redis.sock", r->dir);
        }
        snprintf(log, sizeof(log), "%s/log", r->dir);
        snprintf(port, sizeof(port), "%d", r->port);
        r->append_only = append_only;
        const char *const usual[] = {"redis-server",
                                     "--bind",
                                     "127.0.0.1",
                                     "--port",
                                     port,
                                     "--unixsocket",
                                     r->socket,
                                     "--dir",
                                     r->dir,
                                     "--logfile",
                                     log,
                                     "--save",
                                     "",
                                     "--appendonly",
                                     append_only ? "yes" : "no"};
        for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
                argv[n++] = usual[i];
        for (size_t i = 0; extra && extra[i]; i++) {
                cr_assert_lt(n + 1, sizeof(argv) / sizeof(argv[0]), "too many arguments");
                argv[n++] = extra[i];
        }
        argv[n] = NULL;
        /* A socket left by a killed server refuses connections, so an answer is the new one's. */
        r->pid = th_spawn(argv, -1);
        cr_assert(th_until(answers, r, START_MS), "redis-server does not answer");
        cr_assert_not(th_gone(r->pid, 0), "redis-server ended, see %s", log);
}

int th_free_port(void) {
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(addr);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        cr_assert_geq(fd, 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
        close(fd);
        return ntohs(addr.sin_port);
}

void th_redis_kill(struct th_redis *r) {
        th_kill(r->pid);
        r->pid = 0;
}

void th_redis_stop(struct th_redis *r) {
        cr_assert_eq(kill(r->pid, SIGSTOP), 0);
}

void th_redis_cont(struct th_redis *r) {
        cr_assert_eq(kill(r->pid, SIGCONT), 0);
}
