/* functions.c - all that can go wrong in a function, one name each; the payload is often a path */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/channel.h"
#include "pool.h"

static const char *text(const struct faas_call *call) {
        return faas_call_payload(call, NULL);
}

static int echo(struct faas_call *call) {
        size_t len;
        const void *in = faas_call_payload(call, &len);
        void *out = faas_call_reserve(call, len);

        if (!out)
                return faas_call_fail(call, "no memory for %zu bytes", len);
        memcpy(out, in, len);
        return 0;
}

/* What the function sees of its call, for the test to compare. */
static int look(struct faas_call *call) {
        size_t len;
        const char *in = faas_call_payload(call, &len);
        char *out = faas_call_reserve(call, 64);

        if (!out)
                return 1;
        int n = snprintf(out, 64, "%d %d %d", (int)((uintptr_t)in % 16), in[len],
                         faas_call_id(call)->b[15]);
        faas_call_reserve(call, (size_t)n);
        return 0;
}

static int fail_7(struct faas_call *call) {
        (void)faas_call_fail(call, "no luck with %s", text(call));
        return 7;
}

static int silent_3(struct faas_call *call) {
        return 3;
}

static int segv(struct faas_call *call) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        fprintf(stderr, "about to crash\n");
        raise(SIGSEGV);
        return 0;
}

static int chatty(struct faas_call *call) {
        for (int i = 0; i < 5000; i++)
                fprintf(stderr, "line %d\n", i);
        abort();
}

static int exit_3(struct faas_call *call) {
        exit(3);
}

static int exit_124(struct faas_call *call) {
        exit(FA_SLOT_EXIT_MEMORY);
}

static int exit_125(struct faas_call *call) {
        exit(FA_SLOT_EXIT_CHANNEL);
}

static int exit_0(struct faas_call *call) {
        _exit(0);
}

static int loop(struct faas_call *call) {
        for (volatile int i = 0;; i++)
                ;
        return 0;
}

static int put_line(const char *path, long number) {
        char line[32];
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        if (fd < 0)
                return -1;
        int len = snprintf(line, sizeof(line), "%ld\n", number);
        ssize_t n = write(fd, line, (size_t)len);
        close(fd);
        return n == len ? 0 : -1;
}

/* Says its pid, so that the test can kill it or stop its zygote, and waits for that. */
static int announce_loop(struct faas_call *call) {
        put_line(text(call), getpid());
        for (;;)
                pause();
        return 0;
}

static int append(struct faas_call *call) {
        return put_line(text(call), getpid());
}

/* Says that it has begun in PATH.in, and ends when there is a file PATH. */
static int gate(struct faas_call *call) {
        char in[256];

        (void)snprintf(in, sizeof(in), "%s.in", text(call));
        if (put_line(in, getpid()) < 0)
                return faas_call_fail(call, "cannot write %s", in);
        while (access(text(call), F_OK) < 0)
                (void)poll(NULL, 0, 1);
        return 0;
}

/* Short without a payload; else it says so in PATH.in and blocks until there is a file PATH. */
static int gate_or_not(struct faas_call *call) {
        return *text(call) ? gate(call) : 0;
}

static int close_fds(struct faas_call *call) {
        for (int fd = 3; fd < 4096; fd++)
                close(fd);
        /* What stands in the channel's place now must not get its bytes. */
        for (int i = 0; i < 600; i++)
                if (open(text(call), O_WRONLY | O_CREAT, 0600) < 0)
                        break;
        return 0;
}

/* Leaves a grandchild in a session of its own and one in ours; says the first one's pid. */
static int leave_children(struct faas_call *call) {
        if (fork() == 0) {
                if (fork() > 0)
                        _exit(0);
                setsid();
                put_line(text(call), getpid());
                for (;;)
                        pause();
        }
        if (fork() == 0)
                for (;;)
                        pause();
        struct stat st;
        while (stat(text(call), &st) < 0 || st.st_size == 0)
                (void)poll(NULL, 0, 1);
        raise(SIGKILL);
        return 0;
}

static int find_channel(void) {
        for (int fd = 3; fd < 4096; fd++) {
                int type;
                socklen_t len = sizeof(type);

                if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0)
                        return fd;
        }
        return -1;
}

static int close_channel(struct faas_call *call) {
        close(find_channel());
        for (;;)
                pause();
        return 0;
}

/* Where the control page begins, and the range in which the kernel has it, as its maps have it. */
static void *find_page(char *range, size_t len) {
        char line[512];
        void *page = NULL;
        FILE *f = fopen("/proc/self/maps", "r");

        while (f && !page && fgets(line, sizeof(line), f))
                if (strstr(line, "memfd:faas-slot")) {
                        page = (void *)(uintptr_t)strtoull(line, NULL, 16);
                        (void)snprintf(range, len, "%.*s", (int)strcspn(line, " "), line);
                }
        if (f)
                fclose(f);
        return page;
}

/* The rings are in the same file, behind the page. */
static void find_rings(struct fa_channel *c) {
        char range[64];
        uint8_t *page = find_page(range, sizeof(range));

        c->control = (void *)page;
        fa_ring_init(&c->results, &c->control->results,
                     page + FA_CONTROL_SIZE + (size_t)2 * FA_RING_SIZE);
        c->results.pos = atomic_load(&c->control->results.head);
}

/* Told to the host as a slot would. */
static int rubbish(struct faas_call *call) {
        struct fa_channel c;

        find_rings(&c);
        fa_ring_put(&c.results, "this is no frame, is it? surely not.", 36);
        fa_ring_tell(&c.results);
        (void)!send(find_channel(), "", 1, 0);
        for (;;)
                pause();
        return 0;
}

static int scribble(struct faas_call *call) {
        char range[64];
        void *page = find_page(range, sizeof(range));

        if (page)
                memset(page, 0xff, FA_CONTROL_SIZE);
        return 0;
}

static int scribble_and_die(struct faas_call *call) {
        scribble(call);
        _exit(9);
}

static int scribble_and_wait(struct faas_call *call) {
        scribble(call);
        put_line(text(call), getpid());
        for (;;)
                pause();
        return 0;
}

/* PATH and a letter: what is broken about the results. */
static int scribble_results(struct faas_call *call) {
        struct fa_channel c;
        const char *how = text(call) + strlen(text(call)) - 1;

        find_rings(&c);
        struct fa_frame f = {.type = FA_FRAME_RESULT, .seq = fa_claim_claimed(c.control->claim)};
        uint8_t head[FA_FRAME_LEN];

        if (*how == 'l') /* a length that is not there */
                f.len = 1u << 10;
        if (*how == 's') /* somebody else's result */
                f.seq += 1000;
        fa_frame_put(head, &f);
        if (*how == 'b') /* bytes without sense */
                memset(head, 0xff, sizeof(head));
        fa_ring_put(&c.results, head, sizeof(head));
        if (*how == 'm') /* more of them than there can be */
                c.results.pos += 2 * FA_RING_SIZE;
        fa_ring_tell(&c.results);
        put_line(text(call), getpid());
        for (;;)
                pause();
        return 0;
}

/* Privileged processes can open the page again, though the slot has no descriptor of it. */
static int cut_page(struct faas_call *call) {
        char range[64], path[128];

        (void)find_page(range, sizeof(range));
        (void)snprintf(path, sizeof(path), "/proc/self/map_files/%s", range);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0)
                (void)!ftruncate(fd, 0);
        raise(SIGKILL);
        return 0;
}

static void eat_all(void) {
        (void)setrlimit(RLIMIT_AS, &(struct rlimit){1 << 20, 1 << 20});
        void *volatile p; /* or the compiler knows better */

        do {
                p = malloc(1 << 20);
        } while (p);
}

static int hungry(struct faas_call *call) {
        eat_all();
        if (faas_call_reserve(call, FAAS_PAYLOAD_MAX))
                return faas_call_fail(call, "there was memory");
        return faas_call_fail(call, "no memory, as it should be");
}

static int hungry_and_happy(struct faas_call *call) {
        eat_all();
        (void)faas_call_reserve(call, FAAS_PAYLOAD_MAX);
        return 0;
}

static int too_big(struct faas_call *call) {
        return faas_call_reserve(call, FAAS_PAYLOAD_MAX + 1u) ? 1 : 0;
}

static int two_returns(struct faas_call *call) {
        return fork() == 0 ? 0 : echo(call);
}

static int kill_parent(struct faas_call *call) {
        kill(getppid(), SIGKILL);
        for (;;)
                pause();
        return 0;
}

static int noop(struct faas_call *call) {
        return 0;
}

struct pool_mark *pool_marks;

/* The payload is the number of a task: marks its start and its end where the test can see it. */
static int mark(struct faas_call *call) {
        struct pool_mark *m = &pool_marks[strtoul(text(call), NULL, 10)];

        atomic_fetch_add(&m->starts, 1);
        for (volatile int i = 0; i < 1000; i++)
                ;
        atomic_fetch_add(&m->ends, 1);
        return 0;
}

static int count_fds(struct faas_call *call) {
        int n = 0;
        char *out = faas_call_reserve(call, 16);

        for (int fd = 0; fd < 4096; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        faas_call_reserve(call, (size_t)snprintf(out, 16, "%d", n));
        return 0;
}

const struct faas_function bad_functions[] = {
        {"echo", echo},
        {"look", look},
        {"fail-7", fail_7},
        {"silent-3", silent_3},
        {"segv", segv},
        {"chatty", chatty},
        {"exit-3", exit_3},
        {"exit-0", exit_0},
        {"exit-124", exit_124},
        {"exit-125", exit_125},
        {"loop", loop},
        {"announce-loop", announce_loop},
        {"append", append},
        {"gate", gate},
        {"gate-or-not", gate_or_not},
        {"close-fds", close_fds},
        {"leave-children", leave_children},
        {"rubbish", rubbish},
        {"close-channel", close_channel},
        {"scribble", scribble},
        {"scribble-and-die", scribble_and_die},
        {"scribble-and-wait", scribble_and_wait},
        {"scribble-results", scribble_results},
        {"cut-page", cut_page},
        {"hungry", hungry},
        {"hungry-and-happy", hungry_and_happy},
        {"too-big", too_big},
        {"two-returns", two_returns},
        {"kill-parent", kill_parent},
        {"noop", noop},
        {"count-fds", count_fds},
        {"mark", mark},
        {NULL, NULL},
};
