/*
 * builtins.c - the functions that every faas-worker brings: to try things, to measure, to break
 *
 * Ordinary functions, called in a slot like any other; they use the public header only.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "exec/module.h"

#define SLEEP_MAX_S 1000000000u

static int noop(struct faas_call *call) {
        return 0;
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

/*
 * Seconds as decimal text, fractions allowed.  By hand, because strtod() takes "inf", "0x10" and
 * what the locale calls a decimal point.
 */
static int parse_seconds(const char *text, size_t len, struct timespec *ret) {
        uint64_t s = 0;
        uint64_t ns = 0;
        size_t i = 0;
        size_t digits = 0;

        for (; i < len && text[i] >= '0' && text[i] <= '9'; i++, digits++) {
                s = s * 10 + (uint64_t)(text[i] - '0');
                if (s > SLEEP_MAX_S)
                        return -ERANGE;
        }
        if (i < len && text[i] == '.') {
                uint64_t unit = 100000000;

                for (i++; i < len && text[i] >= '0' && text[i] <= '9'; i++, digits++) {
                        ns += unit * (uint64_t)(text[i] - '0');
                        unit /= 10;
                }
        }
        if (digits == 0 || i != len)
                return -EINVAL;
        *ret = (struct timespec){.tv_sec = (time_t)s, .tv_nsec = (long)ns};
        return 0;
}

static void sleep_for(struct timespec left) {
        while (nanosleep(&left, &left) < 0 && errno == EINTR)
                ;
}

static int sleep_(struct faas_call *call) {
        struct timespec time = {.tv_sec = 1};
        size_t len;
        const char *text = faas_call_payload(call, &len);

        if (len > 0 && parse_seconds(text, len, &time) < 0)
                return faas_call_fail(call,
                                      "\"%.40s\" are no seconds: want a decimal number up to %u",
                                      text, SLEEP_MAX_S);
        sleep_for(time);
        return 0;
}

static int heavy(struct faas_call *call) {
        /* Volatile: a compiler that knows the closed form would compute it in no time. */
        volatile uint64_t sum = 0;
        char text[24]; /* 20 digits of 2^64 - 1 and a NUL */

        for (uint64_t i = 0; i < 1000000; i++)
                sum += i * i;
        int len = snprintf(text, sizeof(text), "%" PRIu64, sum);
        void *out = faas_call_reserve(call, (size_t)len);
        if (!out)
                return faas_call_fail(call, "no memory for %d bytes", len);
        memcpy(out, text, (size_t)len);
        return 0;
}

static int xheavy(struct faas_call *call) {
        sleep_for((struct timespec){.tv_sec = 10});
        return 0;
}

static int fail(struct faas_call *call) {
        return faas_call_fail(call, "%s", (const char *)faas_call_payload(call, NULL));
}

/* The payload "abort" chooses the other signal. */
static int crash(struct faas_call *call) {
        /* On purpose, so nobody wants the core file. */
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        if (strcmp(faas_call_payload(call, NULL), "abort") == 0)
                abort();
        (void)raise(SIGSEGV);
        return faas_call_fail(call, "survived a segmentation fault");
}

const struct faas_function fa_builtins[] = {
        {"noop", noop},     {"echo", echo}, {"sleep", sleep_}, {"heavy", heavy},
        {"xheavy", xheavy}, {"fail", fail}, {"crash", crash},  {NULL, NULL},
};
