/*
 * embed.c - a program with an event loop of its own stays responsive while slots compute
 *
 * The loop waits for two things: its own timer, and the client's fd.  It never waits inside the
 * library.  Prints a line per result, and how often the timer ticked meanwhile.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <faas/faas.h>

enum { TASKS = 8 };

/* The number of primes below the number in the payload, the slow way. Runs in a slot. */
static int primes(struct faas_call *call) {
        uint32_t below, *out = faas_call_reserve(call, sizeof(*out));

        memcpy(&below, faas_call_payload(call, NULL), sizeof(below));
        if (!out)
                return faas_call_fail(call, "no memory");
        *out = 0;
        for (uint32_t n = 2; n < below; n++) {
                uint32_t d = 2;
                while (n % d)
                        d++;
                *out += d == n;
        }
        return 0;
}

static const struct faas_function functions[] = {{"primes", primes}, {NULL, NULL}};

static int n_done;

static void on_done(struct faas_client *c, struct faas_result *r, void *userdata) {
        uint32_t n = 0;

        (void)c;
        (void)userdata;
        if (r->status == FAAS_COMPLETED) {
                memcpy(&n, r->payload, sizeof(n));
                printf("%" PRIu32 " primes\n", n);
        } else {
                printf("failed: %s\n", r->text);
        }
        n_done++;
}

static int submit_all(struct faas_client *c) {
        for (uint32_t i = 1; i <= TASKS; i++) {
                uint32_t below = i * 2500;
                struct faas_task t = {
                        .function = "primes", .payload = &below, .payload_len = sizeof(below)};
                if (faas_submit(c, &t, NULL))
                        return -1;
        }
        return 0;
}

int main(void) {
        const struct itimerspec each_ms = {{0, 1000000}, {0, 1000000}};
        struct faas_client *c = NULL;
        uint64_t ticks = 0, n;
        int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

        if (timer < 0 || timerfd_settime(timer, 0, &each_ms, NULL)) {
                perror("embed: timer");
                return 1;
        }
        if (faas_client_open(&c, "local:2", functions, NULL) || submit_all(c)) {
                fprintf(stderr, "embed: %s\n", faas_error_text());
                return 1;
        }
        faas_client_on_done(c, on_done, NULL);
        while (n_done < TASKS) {
                struct pollfd p[] = {{.fd = timer, .events = POLLIN},
                                     {.fd = faas_client_fd(c), .events = POLLIN}};

                if (poll(p, 2, -1) < 0)
                        continue; /* a signal */
                if (p[0].revents && read(timer, &n, sizeof(n)) == (ssize_t)sizeof(n))
                        ticks += n; /* the program's own work */
                if (p[1].revents && faas_client_process(c)) {
                        fprintf(stderr, "embed: %s\n", faas_error_text());
                        return 1;
                }
        }
        printf("%" PRIu64 " ticks meanwhile\n", ticks);
        faas_client_close(c);
        close(timer);
        return 0;
}
