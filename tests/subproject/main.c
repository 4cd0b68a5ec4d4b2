/*
 * main.c - the smallest user: built with libfaas as a subproject, and against the installed library
 *
 * With an argument: opens a dispatcher with that store, and prints why it could not.
 */
#include <stdio.h>
#include <string.h>

#include <faas/faas.h>

static int twice(struct faas_call *call) {
        size_t len;
        const char *in = faas_call_payload(call, &len);
        char *out = faas_call_reserve(call, 2 * len);

        if (!out)
                return faas_call_fail(call, "no memory");
        memcpy(out, in, len);
        memcpy(out + len, in, len);
        return 0;
}

static int refused(const char *store) {
        struct faas_dispatcher_cfg cfg = FAAS_DISPATCHER_CFG_INIT;
        struct faas_dispatcher *d = NULL;

        cfg.listen = "inproc://main";
        cfg.store = store;
        if (faas_dispatcher_new(&d, &cfg) == 0)
                return 1;
        return puts(faas_error_text()) < 0;
}

int main(int argc, char **argv) {
        static const struct faas_function functions[] = {{"twice", twice}, {NULL, NULL}};
        struct faas_task t = {.function = "twice", .payload = "ab", .payload_len = 2};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c = NULL;
        struct faas_id id;

        if (strcmp(faas_version(), FAAS_VERSION_STRING) != 0)
                return 1;
        if (argc > 1)
                return refused(argv[1]);
        if (faas_client_open(&c, "local:1", functions, NULL) || faas_submit(c, &t, &id) ||
            faas_wait(c, &id, -1, &r))
                return fprintf(stderr, "%s\n", faas_error_text()), 1;
        printf("%.*s\n", (int)r.payload_len, (const char *)r.payload);
        int good = r.payload_len == 4 && memcmp(r.payload, "abab", 4) == 0;
        faas_result_clear(&r);
        faas_client_close(c);
        return !good;
}
