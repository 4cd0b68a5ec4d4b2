/*
 * proxy.c - stands between two ends of a byte stream and is as bad a network as it is told to be
 *
 *   chaos-proxy LISTEN TARGET     /path of a unix socket, or tcp:PORT of 127.0.0.1; tcp:0: a free
 * one
 *
 * First it prints where it listens.  Then each line on standard input is a command, answered by
 * "ok":
 *
 *   cut          all connections, now            cut N      one, when N more bytes came from TARGET
 *   delay MS     every chunk, each way           rate N     bytes a second, each way
 *   hole         nothing moves any more          hole up, hole down    to TARGET, from TARGET
 *   clear        a good network again            count      "ok" and how many connections there are
 *   left         "ok" and how many bytes there are until the cut; -1: none is to come
 *
 * What a hole holds back moves on after "clear", as TCP does it.  It ends with its standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { UP, DOWN }; /* to the target, from the target */
#define CONNECTIONS_MAX 512
#define CHUNK 16384u
#define QUEUE_MAX (64u * CHUNK) /* beyond it the sender waits */

struct chunk {
        struct chunk *next;
        long ready_ms;
        size_t from, len;
        char bytes[CHUNK];
};

struct connection {
        int fd[2]; /* the one that bytes of this way come from: UP is the client's */
        struct chunk *head[2], *tail[2];
        size_t queued[2];
        bool ended[2];
};

static struct connection connections[CONNECTIONS_MAX];
static int n_connections;
static const char *target;
static long delay_ms, rate; /* 0: none */
static long cut_after = -1; /* -1: never */
static bool hole[2];
static double credit[2]; /* bytes that may pass at once */

static long now_ms(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int die(const char *what) {
        perror(what);
        exit(1);
}

/* A socket that listens or is connected; -1. */
static int open_end(const char *name, bool listening) {
        struct sockaddr_un u = {.sun_family = AF_UNIX};
        struct sockaddr_in t = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        bool tcp = strncmp(name, "tcp:", 4) == 0;
        struct sockaddr *a = tcp ? (struct sockaddr *)&t : (struct sockaddr *)&u;
        socklen_t len = tcp ? sizeof(t) : sizeof(u);
        int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int one = 1;

        (void)snprintf(u.sun_path, sizeof(u.sun_path), "%s", name);
        if (tcp) {
                t.sin_port = htons((uint16_t)atoi(name + 4));
                (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        }
        if (fd >= 0 && (listening ? bind(fd, a, len) || listen(fd, 128) : connect(fd, a, len))) {
                close(fd);
                return -1;
        }
        if (listening && tcp) {
                (void)getsockname(fd, a, &len);
                printf("tcp:%d\n", ntohs(t.sin_port));
        } else if (listening) {
                puts(name);
        }
        return fd;
}

static void end_connection(int i) {
        struct connection *c = &connections[i];

        for (int way = UP; way <= DOWN; way++) {
                close(c->fd[way]);
                for (struct chunk *k = c->head[way], *next; k; k = next) {
                        next = k->next;
                        free(k);
                }
        }
        *c = connections[--n_connections];
}

static void accept_one(int listener) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int one = 1;
        int other;

        if (fd < 0)
                return;
        other = n_connections < CONNECTIONS_MAX ? open_end(target, false) : -1;
        if (other < 0) { /* nobody there: that is what the client sees, too */
                close(fd);
                return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        connections[n_connections++] = (struct connection){.fd = {fd, other}};
}

static void take(struct connection *c, int way) {
        struct chunk *k = malloc(sizeof(*k));
        ssize_t n;

        if (!k)
                die("chaos-proxy");
        n = recv(c->fd[way], k->bytes, CHUNK, MSG_DONTWAIT);
        if (n <= 0) {
                if (n == 0 || (errno != EAGAIN && errno != EINTR))
                        c->ended[way] = true;
                free(k);
                return;
        }
        k->next = NULL;
        k->ready_ms = now_ms() + delay_ms;
        k->from = 0;
        k->len = (size_t)n;
        if (c->head[way])
                c->tail[way]->next = k;
        else
                c->head[way] = k;
        c->tail[way] = k;
        c->queued[way] += k->len;
}

static size_t may_pass(size_t n, int way) {
        if (rate && n > (size_t)credit[way])
                n = (size_t)credit[way];
        if (way == DOWN && cut_after >= 0 && n > (size_t)cut_after)
                n = (size_t)cut_after;
        return n;
}

/* False: the connection is to be cut here. */
static bool give(struct connection *c, int way) {
        struct chunk *k;

        while ((k = c->head[way]) && !hole[way] && k->ready_ms <= now_ms()) {
                size_t n = may_pass(k->len, way);
                ssize_t sent =
                        n ? send(c->fd[!way], k->bytes + k->from, n, MSG_DONTWAIT | MSG_NOSIGNAL)
                          : 0;

                if (sent < 0)
                        return errno == EAGAIN || errno == EINTR;
                if (sent == 0 && cut_after != 0)
                        break;
                k->from += (size_t)sent;
                k->len -= (size_t)sent;
                c->queued[way] -= (size_t)sent;
                if (rate)
                        credit[way] -= (double)sent;
                if (way == DOWN && cut_after >= 0) {
                        cut_after -= sent;
                        if (cut_after == 0) {
                                cut_after = -1;
                                return false;
                        }
                }
                if (k->len)
                        break;
                c->head[way] = k->next;
                free(k);
        }
        return c->head[way] || !c->ended[way];
}

static void obey(char *line) {
        long n = 0;
        char word[16] = "", arg[16] = "";

        if (sscanf(line, "%15s %15s", word, arg) == 2)
                n = atol(arg);
        if (strcmp(word, "cut") == 0 && *arg) {
                cut_after = n > 0 ? n : 1;
        } else if (strcmp(word, "cut") == 0) {
                while (n_connections)
                        end_connection(n_connections - 1);
        } else if (strcmp(word, "delay") == 0) {
                delay_ms = n;
        } else if (strcmp(word, "rate") == 0) {
                rate = n;
                credit[UP] = credit[DOWN] = 0;
        } else if (strcmp(word, "hole") == 0) {
                hole[UP] = strcmp(arg, "down") != 0;
                hole[DOWN] = strcmp(arg, "up") != 0;
        } else if (strcmp(word, "clear") == 0) {
                delay_ms = rate = 0;
                cut_after = -1;
                hole[UP] = hole[DOWN] = false;
        } else if (strcmp(word, "count") == 0) {
                printf("ok %d\n", n_connections);
                return;
        } else if (strcmp(word, "left") == 0) {
                printf("ok %ld\n", cut_after);
                return;
        }
        puts("ok");
}

static void read_commands(void) {
        static char line[256];
        static size_t len;
        ssize_t n = read(0, line + len, sizeof(line) - 1 - len);
        char *end;

        if (n <= 0)
                exit(0);
        len += (size_t)n;
        line[len] = '\0';
        while ((end = strchr(line, '\n'))) {
                *end = '\0';
                obey(line);
                len -= (size_t)(end + 1 - line);
                memmove(line, end + 1, len + 1);
        }
        if (len == sizeof(line) - 1) /* nobody says so much */
                len = 0;
        (void)fflush(stdout);
}

static void refill(void) {
        static long last_ms;
        long now = now_ms();

        for (int way = UP; rate && way <= DOWN; way++) {
                credit[way] += (double)(now - last_ms) * (double)rate / 1000;
                if (credit[way] > (double)rate / 10)
                        credit[way] = (double)rate / 10 + 1;
        }
        last_ms = now;
}

/* What is waited for, in connections' order, behind the commands and the door. */
static void prepare(struct pollfd *p) {
        for (int i = 0; i < n_connections; i++)
                for (int way = UP; way <= DOWN; way++) {
                        const struct connection *c = &connections[i];
                        bool reads = !hole[way] && !c->ended[way] && c->queued[way] < QUEUE_MAX;
                        bool writes = c->head[!way] && !hole[!way] && !delay_ms && !rate;

                        /* A negative one is left alone: an end that hung up would never sleep. */
                        p[2 * i + way].fd = reads || writes ? c->fd[way] : -1;
                        p[2 * i + way].events =
                                (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
                }
}

int main(int argc, char **argv) {
        static struct pollfd p[2 + 2 * CONNECTIONS_MAX];
        int listener;

        if (argc != 3)
                return 2;
        target = argv[2];
        listener = open_end(argv[1], true);
        if (listener < 0)
                die(argv[1]);
        (void)fflush(stdout);
        p[0] = (struct pollfd){.fd = 0, .events = POLLIN};
        for (;;) {
                int n = n_connections;

                p[1] = (struct pollfd){.fd = hole[UP] && hole[DOWN] ? -1 : listener,
                                       .events = POLLIN};
                prepare(p + 2);
                if (poll(p, 2 + 2 * (nfds_t)n, delay_ms || rate ? 1 : 50) < 0)
                        die("poll");
                refill();
                for (int i = n - 1; i >= 0; i--) {
                        struct connection *c = &connections[i];
                        bool up, down;

                        for (int way = UP; way <= DOWN; way++)
                                if (p[2 + 2 * i + way].revents & (POLLIN | POLLHUP | POLLERR) &&
                                    !c->ended[way] && !hole[way])
                                        take(c, way);
                        up = give(c, UP);
                        down = give(c, DOWN);
                        if (!up || !down)
                                end_connection(i);
                }
                if (p[1].revents)
                        accept_one(listener);
                if (p[0].revents)
                        read_commands();
        }
}
