/* functions.c - the module of the fault tests' workers: each execution is written down */
#include <stdlib.h>

#include <faas/function.h>

#include "record.h"

static int note(enum what what, const struct faas_id *id) {
        static int fd = -1;
        static uint32_t worker;
        struct record r = {
                .id = *id, .ns = now_ns(), .what = (uint8_t)what, .pid = (int32_t)getpid()};

        if (fd < 0) { /* in the slot: what it inherited was closed */
                fd = record_open(getenv("CHAOS_EXECUTIONS"));
                worker = (uint32_t)strtoul(getenv("CHAOS_WORKER"), NULL, 10);
        }
        r.who = worker;
        return record_write(fd, &r, 1);
}

static void work(uint32_t us) {
        if (us)
                nanosleep(&(struct timespec){us / 1000000, (long)(us % 1000000) * 1000}, NULL);
}

static int chaos(struct faas_call *call) {
        struct answer *out = faas_call_reserve(call, sizeof(*out));
        struct question q;
        size_t len;
        const void *in = faas_call_payload(call, &len);

        if (!out || len != sizeof(q))
                return faas_call_fail(call, "a payload of %zu bytes", len);
        memcpy(&q, in, sizeof(q));
        if (memcmp(&q.id, faas_call_id(call), sizeof(q.id)) != 0)
                return faas_call_fail(call, "the payload is another task's");
        if (note(R_BEGUN, &q.id))
                return faas_call_fail(call, "cannot write down that it begins");
        work(q.work_us);
        out->id = q.id;
        out->value = right_value(&q);
        if (note(R_ENDED, &q.id))
                return faas_call_fail(call, "cannot write down that it ends");
        return 0;
}

static const struct faas_function functions[] = {{"chaos", chaos}, {NULL, NULL}};

FAAS_MODULE(functions);
