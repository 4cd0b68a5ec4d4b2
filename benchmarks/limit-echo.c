/*
 * limit-echo.c - the raw limit of push and pull: ZeroMQ from a client to a broker, to a worker, and
 * back
 *
 *   limit-echo [--smoke] [--one-core] [--durable] [--batch N] [--in-flight N] [--bytes N]
 *              [--tasks N] [--single N]
 *
 * Three processes over ipc, DEALER to ROUTER to DEALER, that look at nothing: the broker passes
 * each message to the other side.  --batch: tasks in a message.  --durable: before it passes one on
 * it writes it into a Redis (a field of a hash, unix socket, file synced each second) and waits for
 * the answer, both ways.  One JSON line: tasks a second with so many messages in flight, and the
 * time of one task alone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#if FA_WITH_REDIS
#include <hiredis/hiredis.h>

#include "redis-server.h"
#endif

#include "limit.h"

struct options {
        unsigned batch, in_flight, bytes, tasks, single;
        int one_core, durable;
};

static const char *redis_socket; /* NULL: nothing is written */

static void must(int ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "limit-echo: %s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
}

static void *open_socket(void *ctx, int type, const char *url, int bind) {
        void *s = zmq_socket(ctx, type);
        int none = 0;

        must(s != NULL, "socket");
        (void)zmq_setsockopt(s, ZMQ_SNDHWM, &none, sizeof(none));
        (void)zmq_setsockopt(s, ZMQ_RCVHWM, &none, sizeof(none));
        (void)zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof(none));
        must((bind ? zmq_bind(s, url) : zmq_connect(s, url)) == 0, url);
        return s;
}

#if FA_WITH_REDIS
/* One connection and one command at a time: nothing else is under way. */
static void keep(zmq_msg_t *m) {
        static redisContext *redis;
        redisReply *reply;

        if (!redis)
                redis = redisConnectUnix(redis_socket);
        reply = redis && !redis->err ? redisCommand(redis, "HSET tasks 0123456789abcdef %b",
                                                    zmq_msg_data(m), zmq_msg_size(m))
                                     : NULL;
        must(reply && reply->type == REDIS_REPLY_INTEGER, "Redis");
        freeReplyObject(reply);
}
#else
static void keep(zmq_msg_t *m) {
        (void)m;
}
#endif

/* Passes a part on with all that belongs to it. */
static void pass(void *s, const zmq_msg_t *to) {
        zmq_msg_t part, id;
        int more = 1;

        zmq_msg_init(&id);
        must(zmq_msg_copy(&id, (zmq_msg_t *)(uintptr_t)to) == 0,
             "copy"); /* it does not write there */
        must(zmq_msg_send(&id, s, ZMQ_SNDMORE) >= 0, "send");
        while (more) {
                zmq_msg_init(&part);
                must(zmq_msg_recv(&part, s, 0) >= 0, "receive");
                more = zmq_msg_more(&part);
                if (redis_socket)
                        keep(&part);
                must(zmq_msg_send(&part, s, more ? ZMQ_SNDMORE : 0) >= 0, "send");
        }
}

/* The first message of each says who it is: "W" or "C". */
static void broker(const char *url) {
        void *s = open_socket(zmq_ctx_new(), ZMQ_ROUTER, url, 1);
        zmq_msg_t client, worker, from, hello;
        int known = 0;

        zmq_msg_init(&client);
        zmq_msg_init(&worker);
        while (known < 2) {
                zmq_msg_init(&from);
                zmq_msg_init(&hello);
                must(zmq_msg_recv(&from, s, 0) >= 0 && zmq_msg_recv(&hello, s, 0) == 1, "hello");
                zmq_msg_move(*(char *)zmq_msg_data(&hello) == 'W' ? &worker : &client, &from);
                known++;
        }
        must(zmq_msg_copy(&from, &client) == 0 && zmq_msg_send(&from, s, ZMQ_SNDMORE) >= 0 &&
                     zmq_send(s, "G", 1, 0) == 1,
             "go");
        for (;;) {
                zmq_msg_init(&from);
                must(zmq_msg_recv(&from, s, 0) >= 0, "receive");
                int is_client = zmq_msg_size(&from) == zmq_msg_size(&client) &&
                                memcmp(zmq_msg_data(&from), zmq_msg_data(&client),
                                       zmq_msg_size(&from)) == 0;
                pass(s, is_client ? &worker : &client);
                zmq_msg_close(&from);
        }
}

static void worker(const char *url) {
        void *s = open_socket(zmq_ctx_new(), ZMQ_DEALER, url, 0);
        zmq_msg_t m;

        must(zmq_send(s, "W", 1, 0) == 1, "hello");
        for (;;) {
                zmq_msg_init(&m);
                must(zmq_msg_recv(&m, s, 0) >= 0 && zmq_msg_send(&m, s, 0) >= 0, "echo");
        }
}

static pid_t start(void (*role)(const char *), const char *url) {
        pid_t parent = getpid(), pid = fork();

        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() == parent)
                        role(url);
                _exit(1);
        }
        must(pid > 0, "fork");
        return pid;
}

static void send_one(void *s, const char *bytes, size_t len) {
        must(zmq_send(s, bytes, len, 0) == (int)len, "send");
}

static void receive_one(void *s, size_t len) {
        zmq_msg_t m;

        zmq_msg_init(&m);
        must(zmq_msg_recv(&m, s, 0) == (int)len, "receive");
        zmq_msg_close(&m);
}

static double many(void *s, const struct options *o, const char *bytes) {
        unsigned messages = (o->tasks + o->batch - 1) / o->batch, sent = 0, got = 0;
        size_t len = (size_t)o->bytes * o->batch;
        double start_s = limit_now();

        while (got < messages) {
                while (sent < messages && sent - got < o->in_flight) {
                        send_one(s, bytes, len);
                        sent++;
                }
                receive_one(s, len);
                got++;
        }
        return (double)messages * o->batch / (limit_now() - start_s);
}

static double single(void *s, const struct options *o, const char *bytes, double *v) {
        for (unsigned i = 0; i < o->single; i++) {
                double t = limit_now();
                send_one(s, bytes, o->bytes);
                receive_one(s, o->bytes);
                v[i] = limit_now() - t;
        }
        return limit_rank(v, o->single, 50);
}

static void measure(const struct options *o, const char *url) {
        void *s = open_socket(zmq_ctx_new(), ZMQ_DEALER, url, 0);
        char *bytes = calloc(o->bytes, o->batch);
        double *v = calloc(o->single, sizeof(*v));
        double p50, rate;
        char go;

        must(bytes && v, "memory");
        must(zmq_send(s, "C", 1, 0) == 1 && zmq_recv(s, &go, 1, 0) == 1, "hello");
        p50 = single(s, o, bytes, v);
        rate = many(s, o, bytes);
        printf("{\"benchmark\":\"limit-echo\",\"over\":\"ipc\",\"one_core\":%s,\"durable\":%s,"
               "\"batch\":%u,"
               "\"in_flight\":%u,\"bytes\":%u,\"tasks\":%u,\"tasks_per_s\":%.0f,\"single\":%u,"
               "\"single_p50_us\":%.1f,\"single_p99_us\":%.1f}\n",
               o->one_core ? "true" : "false", o->durable ? "true" : "false", o->batch,
               o->in_flight, o->bytes, o->tasks, rate, o->single, p50 * 1e6,
               limit_rank(v, o->single, 99) * 1e6);
        free(bytes);
        free(v);
}

static void parse(struct options *o, int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
                const char *next = i + 1 < argc ? argv[i + 1] : "";

                if (strcmp(argv[i], "--smoke") == 0) {
                        o->tasks = 2000;
                        o->single = 50;
                        continue;
                }
                if (strcmp(argv[i], "--one-core") == 0) {
                        o->one_core = 1;
                        continue;
                }
                if (strcmp(argv[i], "--durable") == 0) {
                        o->durable = 1;
                        continue;
                }
                i++;
                if (strcmp(argv[i - 1], "--batch") == 0)
                        o->batch = limit_number("--batch", next, 4096);
                else if (strcmp(argv[i - 1], "--in-flight") == 0)
                        o->in_flight = limit_number("--in-flight", next, 1000000);
                else if (strcmp(argv[i - 1], "--bytes") == 0)
                        o->bytes = limit_number("--bytes", next, 1 << 24);
                else if (strcmp(argv[i - 1], "--tasks") == 0)
                        o->tasks = limit_number("--tasks", next, 1000000000);
                else if (strcmp(argv[i - 1], "--single") == 0)
                        o->single = limit_number("--single", next, 1000000);
                else {
                        fprintf(stderr,
                                "usage: limit-echo [--smoke] [--one-core] [--durable] [--batch N] "
                                "[--in-flight N] [--bytes N] [--tasks N] [--single N]\n");
                        exit(2);
                }
        }
}

int main(int argc, char **argv) {
        struct options o = {
                .batch = 32, .in_flight = 64, .bytes = 16, .tasks = 1000000, .single = 5000};
        char dir[] = "/tmp/faas-bench-XXXXXX", url[64], path[48];
        pid_t pids[2];
#if FA_WITH_REDIS
        struct redis_server redis = {0};
#endif

        parse(&o, argc, argv);
        if (o.one_core && limit_one_core())
                return 1;
#if FA_WITH_REDIS
        if (o.durable && redis_server_new(&redis, "everysec"))
                return 1;
        if (o.durable)
                redis_socket = redis.socket;
#else
        must(!o.durable, "--durable: built without Redis");
#endif
        must(mkdtemp(dir) != NULL, dir);
        (void)snprintf(path, sizeof(path), "%s/door", dir);
        (void)snprintf(url, sizeof(url), "ipc://%s", path);
        pids[0] = start(broker, url);
        pids[1] = start(worker, url);
        measure(&o, url);
        for (int i = 0; i < 2; i++) {
                (void)kill(pids[i], SIGKILL);
                (void)waitpid(pids[i], NULL, 0);
        }
        (void)unlink(path);
        (void)rmdir(dir);
#if FA_WITH_REDIS
        redis_server_kill(&redis);
#endif
        return 0;
}
