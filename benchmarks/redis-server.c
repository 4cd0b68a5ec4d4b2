/* redis-server.c - see redis-server.h */
#include "redis-server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "programs.h"

#define START_MS 10000
#define END_MS 5000
#define ANSWER_S 30 /* to INFO, by one that is busy */

static int dial(const struct redis_server *r) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        const struct timeval limit = {.tv_sec = ANSWER_S};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(a.sun_path, r->socket, strlen(r->socket) + 1);
        if (fd < 0)
                return -1;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
                return fd;
        close(fd);
        return -1;
}

/* Before its file is read it says -LOADING. */
static int answers(const struct redis_server *r) {
        int fd = dial(r);
        char pong[7];
        int ok = fd >= 0 && send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
                 recv(fd, pong, sizeof(pong), MSG_WAITALL) == sizeof(pong) &&
                 memcmp(pong, "+PONG\r\n", sizeof(pong)) == 0;

        if (fd >= 0)
                close(fd);
        return ok;
}

int redis_server_start(struct redis_server *r, const char *dir, const char *fsync) {
        char log[96]; /* r->dir and a name */
        const char *argv[] = {"/usr/bin/env",
                              "redis-server",
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
                              "yes",
                              "--appendfsync",
                              fsync,
                              "--maxmemory",
                              "6gb",
                              "--daemonize",
                              "no",
                              NULL};

        (void)snprintf(r->dir, sizeof(r->dir), "%s", dir);
        (void)snprintf(r->socket, sizeof(r->socket), "%s/redis", r->dir);
        (void)snprintf(r->url, sizeof(r->url), "redis+unix://%s", r->socket);
        (void)snprintf(log, sizeof(log), "%s/redis.log", r->dir);
        r->pid = programs_run(argv);
        if (r->pid < 0)
                return -1;
        for (int i = 0; i < START_MS; i++) {
                if (answers(r))
                        return 0;
                nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        fprintf(stderr, "redis-server does not answer, see %s\n", log);
        return -1;
}

int redis_server_new(struct redis_server *r, const char *fsync) {
        if (programs_dir(r->own_dir))
                return -1;
        if (redis_server_start(r, r->own_dir, fsync) == 0)
                return 0;
        redis_server_kill(r);
        return -1;
}

void redis_server_kill(struct redis_server *r) {
        /* A child may be writing its file anew; at SIGTERM it takes that with it. */
        for (int i = 0; r->pid > 0 && i < END_MS; i++) {
                if (kill(r->pid, i ? 0 : SIGTERM) || waitpid(r->pid, NULL, WNOHANG) == r->pid)
                        r->pid = 0;
                else
                        programs_sleep(0.001);
        }
        programs_kill(r->pid);
        programs_remove(r->own_dir);
        r->pid = 0;
}

/* INFO is one bulk string: "$4711\r\n", and so many bytes. */
static size_t read_info(int fd, char *to, size_t max) {
        size_t n = 0, want = 0;

        while (n < max - 1 && (!want || n < want)) {
                ssize_t k = recv(fd, to + n, max - 1 - n, 0);
                if (k <= 0)
                        return 0;
                n += (size_t)k;
                to[n] = '\0';
                if (!want && strchr(to, '\n'))
                        want = (size_t)(strchr(to, '\n') - to) + 1 + strtoul(to + 1, NULL, 10) + 2;
        }
        return n;
}

int redis_server_info(const struct redis_server *r, const char *name, unsigned long long *ret) {
        static char text[32768];
        char line[64];
        const char *at = NULL;
        int fd = dial(r);

        if (fd < 0)
                return -1;
        (void)snprintf(line, sizeof(line), "\n%s:", name);
        if (send(fd, "INFO\r\n", 6, MSG_NOSIGNAL) == 6 && read_info(fd, text, sizeof(text)))
                at = strstr(text, line);
        close(fd);
        if (!at)
                return -1;
        *ret = strtoull(at + strlen(line), NULL, 10);
        return 0;
}
