/* functions.c - the module that the workers of these tests load */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cluster.h"

static struct board *board(void) {
        static struct board *b;
        int fd;

        if (b)
                return b;
        fd = open(getenv("FAAS_E2E_BOARD"), O_RDWR | O_CLOEXEC);
        b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        return b;
}

static int same(struct faas_call *call) {
        size_t len;
        const void *in = faas_call_payload(call, &len);
        void *out = faas_call_reserve(call, len);

        if (!out)
                return 1;
        memcpy(out, in, len);
        return 0;
}

static int work(struct faas_call *call) {
        struct answer *out = faas_call_reserve(call, sizeof(*out));
        uint32_t i;

        memcpy(&i, faas_call_payload(call, NULL), sizeof(i));
        board()->executed[i]++;
        for (volatile unsigned spin = 0; spin < i % 20000; spin++)
                ; /* up to some ten microseconds: kills shall find running tasks */
        *out = (struct answer){right(i), i};
        return 0;
}

static void nap_ms(long ms) {
        nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* Runs until the board says go. */
static int hold(struct faas_call *call) {
        board()->begun++;
        while (!board()->go)
                nap_ms(1);
        return 0;
}

/* The first one never ends. */
static int first(struct faas_call *call) {
        if (board()->begun++ == 0)
                for (;;)
                        pause();
        return 0;
}

/* As many ms as the payload says. */
static int nap(struct faas_call *call) {
        nap_ms(strtol(faas_call_payload(call, NULL), NULL, 10));
        return 0;
}

/* Kills its own worker, whichever it is. */
static int murder(struct faas_call *call) {
        for (;;) {
                for (unsigned i = 0; i < WORKERS_MAX; i++)
                        if (board()->victims[i] > 0)
                                kill(board()->victims[i], SIGKILL);
                nap_ms(1);
        }
        return 0;
}

static const struct faas_function functions[] = {
        {"same", same}, {"work", work},     {"hold", hold}, {"first", first},
        {"nap", nap},   {"murder", murder}, {NULL, NULL},
};

FAAS_MODULE(functions);
