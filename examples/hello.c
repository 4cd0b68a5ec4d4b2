/* hello.c - one task in another process, and its result */
#include <ctype.h>
#include <stdio.h>

#include <faas/faas.h>

/* Runs in a slot. */
static int shout(struct faas_call *call) {
        size_t len;
        const char *in = faas_call_payload(call, &len);
        char *out = faas_call_reserve(call, len); /* result buffer, grown by the library */

        if (!out)
                return faas_call_fail(call, "no memory for %zu bytes", len);
        for (size_t i = 0; i < len; i++)
                out[i] = (char)toupper((unsigned char)in[i]);
        return 0; /* the reserved bytes are the result */
}

static const struct faas_function functions[] = {{"shout", shout}, {NULL, NULL}};

int main(void) {
        struct faas_client *c = NULL;
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_task t = {.function = "shout", .payload = "hello", .payload_len = 5};
        struct faas_id id;

        if (faas_client_open(&c, "local:4", functions, NULL) || faas_submit(c, &t, &id) ||
            faas_wait(c, &id, -1, &r)) {
                fprintf(stderr, "hello: %s\n", faas_error_text());
                return 1;
        }
        printf("%.*s\n", (int)r.payload_len, (const char *)r.payload); /* HELLO */
        faas_result_clear(&r);
        faas_client_close(c);
        return 0;
}
