/* fn.c - what slots do for the tests, from good to evil */
#undef NDEBUG
#include "fn.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "th.h"

static int upper(struct faas_call *call) {
        size_t len;
        const char *in = faas_call_payload(call, &len);
        char *out = faas_call_reserve(call, len);

        for (size_t i = 0; out && i < len; i++)
                out[i] = (char)toupper((unsigned char)in[i]);
        return out ? 0 : 1;
}

static int fails(struct faas_call *call) {
        return faas_call_fail(call, "no such luck: %s",
                              (const char *)faas_call_payload(call, NULL)) +
               6;
}

static int crash(struct faas_call *call) {
        (void)!write(STDERR_FILENO, "last words\n", 11);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)raise(SIGSEGV);
        return 0;
}

static int leave(struct faas_call *call) {
        _exit(5);
}

static int loop(struct faas_call *call) {
        for (volatile unsigned i = 0;; i++)
                ;
        return 0;
}

static int close_fds(struct faas_call *call) {
        (void)close_range(0, ~0u, 0);
        return 0;
}

/* Leaves a process behind that would live for ever; its pid is the result. */
static int forks(struct faas_call *call) {
        pid_t pid = fork();

        if (pid == 0)
                for (;;)
                        pause();
        pid_t *out = faas_call_reserve(call, sizeof(pid));
        if (!out || pid < 0)
                return 1;
        *out = pid;
        return 0;
}

/* Over all that it shares with its host, which it wakes. */
static int rubbish(struct faas_call *call) {
        char line[512];
        FILE *f = fopen("/proc/self/maps", "r");
        unsigned long from, to;

        while (f && fgets(line, sizeof(line), f))
                if (strstr(line, "memfd:faas-slot") && sscanf(line, "%lx-%lx", &from, &to) == 2)
                        memset((void *)(uintptr_t)from, 0xa5, to - from);
        for (int fd = 3; fd < 65536; fd++) {
                struct stat st;
                if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
                        (void)!write(fd, line, 1);
        }
        for (;;)
                pause();
        return 0;
}

static int too_much(struct faas_call *call) {
        (void)faas_call_reserve(call, (size_t)FAAS_PAYLOAD_MAX + 1);
        return 0;
}

static int largest(struct faas_call *call) {
        char *out = faas_call_reserve(call, FAAS_PAYLOAD_MAX);

        if (!out)
                return 1;
        memset(out, 'x', FAAS_PAYLOAD_MAX);
        return 0;
}

static int gate(struct faas_call *call) {
        int fd = open(faas_call_payload(call, NULL), O_RDONLY | O_CLOEXEC);
        char byte;

        while (fd >= 0 && read(fd, &byte, 1) > 0)
                ;
        (void)close(fd);
        return fd < 0 ? faas_call_fail(call, "no gate") : 0;
}

/* Adds a byte to the file named, and fails the first time. */
static int second_time(struct faas_call *call) {
        int fd = open(faas_call_payload(call, NULL), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
                      0600);
        struct stat st;

        if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &st))
                return 2;
        return st.st_size < 2;
}

const struct faas_function fn_table[] = {
        {"upper", upper},       {"fails", fails},     {"crashes", crash}, {"leave", leave},
        {"loop", loop},         {"close", close_fds}, {"forks", forks},   {"rubbish", rubbish},
        {"too-much", too_much}, {"largest", largest}, {"gate", gate},     {"second", second_time},
        {NULL, NULL},
};

struct faas_client *fn_open(unsigned n_slots, const struct faas_client_cfg *cfg) {
        struct faas_client *c = NULL;
        char url[32]; /* "local:" and at most 10 digits */

        (void)snprintf(url, sizeof(url), "local:%u", n_slots);
        cr_assert_eq(faas_client_open(&c, url, fn_table, cfg), 0, "%s", faas_error_text());
        return c;
}

struct faas_id fn_submit(struct faas_client *c, const char *function, const char *payload) {
        const struct faas_task t = {.function = function,
                                    .payload = payload,
                                    .payload_len = payload ? strlen(payload) : 0};
        struct faas_id id;

        cr_assert_eq(faas_submit(c, &t, &id), 0, "%s", faas_error_text());
        return id;
}

void fn_run(struct faas_client *c,
            const char *function,
            const char *payload,
            struct faas_result *ret) {
        struct faas_id id = fn_submit(c, function, payload);

        cr_assert_eq(faas_wait(c, &id, -1, ret), 0, "%s", faas_error_text());
}

void fn_works(struct faas_client *c) {
        struct faas_result r = FAAS_RESULT_INIT;

        fn_run(c, "upper", "next", &r);
        cr_assert_eq(r.status, FAAS_COMPLETED, "%s", r.text);
        cr_assert_str_eq(r.payload, "NEXT");
        faas_result_clear(&r);
}

void fn_gate_make(struct fn_gate *g, const char *name) {
        (void)snprintf(g->path, sizeof(g->path), "%s/%s", th_temp_dir(), name);
        cr_assert_eq(mkfifo(g->path, 0600), 0);
        g->fd = -1;
}

static bool has_reader(void *arg) {
        struct fn_gate *g = arg;

        (void)faas_client_process(g->client);
        g->fd = open(g->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        return g->fd >= 0;
}

void fn_gate_reached(struct fn_gate *g, struct faas_client *c) {
        g->client = c;
        cr_assert(th_until(has_reader, g, 20000), "nobody came to the gate");
}

void fn_gate_open(struct fn_gate *g, struct faas_client *c) {
        if (g->fd < 0)
                fn_gate_reached(g, c);
        close(g->fd);
        g->fd = -1;
}
