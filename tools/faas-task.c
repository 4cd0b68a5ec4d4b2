/*
 * faas-task.c - the commands about one task, and what they share with map: how results and errors
 * are shown
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <faas/error.h>

#include "faas.h"
#include "json.h"
#include "say.h"

/* "wait" asks again and again, because only a task's own submitter is told: soon at first, for
 * short tasks, and twice a second for long ones. */
enum { FIRST_PAUSE_MS = 5, LAST_PAUSE_MS = 500 };

static const char *const failures[] = {
        [FAAS_FAILURE_NONE] = "NONE",       [FAAS_FAILURE_FUNCTION] = "FUNCTION",
        [FAAS_FAILURE_CRASHED] = "CRASHED", [FAAS_FAILURE_EXITED] = "EXITED",
        [FAAS_FAILURE_TIMEOUT] = "TIMEOUT", [FAAS_FAILURE_WORKER_LOST] = "WORKER_LOST",
        [FAAS_FAILURE_LIMIT] = "LIMIT",     [FAAS_FAILURE_NO_FUNCTION] = "NO_FUNCTION",
        [FAAS_FAILURE_LOST] = "LOST",
};

static const char *failure_name(enum faas_failure f) {
        return f < sizeof(failures) / sizeof(failures[0]) ? failures[f] : "UNKNOWN";
}

const char *fa_status_name(enum faas_status s) {
        static const char *const names[] = {
                [FAAS_QUEUED] = "QUEUED",       [FAAS_RUNNING] = "RUNNING",
                [FAAS_COMPLETED] = "COMPLETED", [FAAS_FAILED] = "FAILED",
                [FAAS_CANCELLED] = "CANCELLED",
        };

        return s < sizeof(names) / sizeof(names[0]) ? names[s] : "UNKNOWN";
}

const char *fa_reason(const struct faas_result *r) {
        if (r->status == FAAS_CANCELLED)
                return "cancelled";
        return r->text_len ? r->text : failure_name(r->failure);
}

int fa_explain(int r, const char *task) {
        if (task && r == FAAS_E_NOENT) {
                fa_say_error("no such task: %s", task);
                return FA_EXIT_NO_TASK;
        }
        if (task && r == FAAS_E_GONE) {
                fa_say_error("task %s is done, and its result was collected or has expired", task);
                return FA_EXIT_NO_TASK;
        }
        fa_say_error("%s", *faas_error_text() ? faas_error_text() : faas_strerror(r));
        switch (r) {
        case FAAS_E_TIMEOUT:
        case FAAS_E_UNAVAILABLE:
        case FAAS_E_UNKNOWN:
                return FA_EXIT_NO_DISPATCHER;
        default:
                return FA_EXIT_ERROR;
        }
}

int fa_probe(const struct fa_command_line *l) {
        struct faas_stats stats;
        int r = l->local ? 0 : faas_client_stats(l->client, &stats);

        return r ? fa_explain(r, NULL) : FA_EXIT_OK;
}

void fa_json_result(FILE *f, const struct faas_result *r) {
        char id[FAAS_ID_TEXT_LEN + 1];

        fprintf(f, "\"id\":\"%s\",\"status\":\"%s\"", faas_id_format(&r->id, id),
                fa_status_name(r->status));
        if (r->status == FAAS_FAILED)
                fprintf(f, ",\"failure\":\"%s\",\"code\":%d", failure_name(r->failure), r->code);
        if (r->strikes > 0)
                fprintf(f, ",\"strikes\":%" PRIu32, r->strikes);
        putc(',', f);
        fa_json_bytes(f, "result", r->payload, r->payload_len);
        if (r->text_len > 0) {
                putc(',', f);
                fa_json_bytes(f, "text", r->text, r->text_len);
        }
        if (r->log_len > 0) {
                putc(',', f);
                fa_json_bytes(f, "log", r->log, r->log_len);
        }
}

/* ---- submit, run ---- */

/* All of standard input, up to the limit and one byte, so that too much is seen. */
static int read_payload(char **ret, size_t *ret_len) {
        size_t cap = (size_t)FAAS_PAYLOAD_MAX + 1;
        char *buf = malloc(cap);
        size_t len = 0;
        ssize_t n = 1;

        if (!buf) {
                fa_say_error("no memory for the payload");
                return FA_EXIT_ERROR;
        }
        while (len < cap && n != 0) {
                n = read(STDIN_FILENO, buf + len, cap - len);
                if (n < 0 && errno != EINTR) {
                        fa_say_error("cannot read the payload from standard input: %s",
                                     fa_errno_text(errno));
                        free(buf);
                        return FA_EXIT_ERROR;
                }
                len += n > 0 ? (size_t)n : 0;
        }
        *ret = buf;
        *ret_len = len;
        return FA_EXIT_OK;
}

/* Queues the task that the arguments describe. */
static int submit(const struct fa_command_line *l, struct faas_id *ret_id) {
        struct faas_task t = {.function = l->argv[0]};
        char text[FAAS_ID_TEXT_LEN + 1];
        char *buf = NULL;
        int r;

        if (l->argc > 1 && strcmp(l->argv[1], "-") == 0) {
                r = read_payload(&buf, &t.payload_len);
                if (r)
                        return r;
                t.payload = buf;
        } else if (l->argc > 1) {
                t.payload = l->argv[1];
                t.payload_len = strlen(l->argv[1]);
        }
        r = faas_submit(l->client, &t, ret_id);
        free(buf);
        if (r == 0)
                return FA_EXIT_OK;
        if (r == FAAS_E_UNKNOWN)
                fa_say_error("it is not known whether task %s was accepted",
                             faas_id_format(ret_id, text));
        /* Nothing of mine fills a window: there is none, because nobody has granted one. */
        if (r == FAAS_E_AGAIN)
                r = FAAS_E_TIMEOUT;
        return fa_explain(r, NULL);
}

static void print_id(const struct fa_command_line *l, const struct faas_id *id) {
        char text[FAAS_ID_TEXT_LEN + 1];

        printf(l->json ? "{\"id\":\"%s\"}\n" : "%s\n", faas_id_format(id, text));
}

int fa_submit(const struct fa_command_line *l) {
        struct faas_id id;
        int status = submit(l, &id);

        if (status == FA_EXIT_OK)
                print_id(l, &id);
        return status;
}

/* A final result: its bytes as they are, or why there are none. */
static int show(const struct fa_command_line *l, const struct faas_result *r) {
        if (l->json) {
                putchar('{');
                fa_json_result(stdout, r);
                fputs("}\n", stdout);
        } else if (r->status == FAAS_COMPLETED) {
                const char *bytes = r->payload_len ? r->payload : "";

                (void)fwrite(bytes, 1, r->payload_len, stdout);
                /* Else the prompt would stand behind it. */
                if (r->payload_len && bytes[r->payload_len - 1] != '\n' && isatty(STDOUT_FILENO))
                        putchar('\n');
        } else {
                fa_say_error("the task %s: %s",
                             r->status == FAAS_CANCELLED ? "was cancelled" : "failed",
                             fa_reason(r));
        }
        return r->status == FAAS_COMPLETED ? FA_EXIT_OK : FA_EXIT_FAILED;
}

int fa_run(const struct fa_command_line *l) {
        struct faas_result result = FAAS_RESULT_INIT;
        struct faas_id id;
        int status = submit(l, &id);
        char text[FAAS_ID_TEXT_LEN + 1];
        int r = FAAS_E_AGAIN;

        while (status == FA_EXIT_OK && r == FAAS_E_AGAIN) {
                r = faas_wait(l->client, &id, (int)l->timeout_ms, &result);
                if (r == FAAS_E_AGAIN)
                        status = fa_probe(l);
                else if (r)
                        status = fa_explain(r, faas_id_format(&id, text));
                else
                        status = show(l, &result);
        }
        faas_result_clear(&result);
        return status;
}

/* ---- status, result, wait, cancel ---- */

/* main() has seen that it is one. */
static struct faas_id id_of(const struct fa_command_line *l) {
        struct faas_id id = {{0}};

        (void)faas_id_parse(&id, l->argv[0]);
        return id;
}

static void
print_status(const struct fa_command_line *l, const struct faas_id *id, enum faas_status s) {
        char text[FAAS_ID_TEXT_LEN + 1];

        if (l->json)
                printf("{\"id\":\"%s\",\"status\":\"%s\"}\n", faas_id_format(id, text),
                       fa_status_name(s));
        else
                puts(fa_status_name(s));
}

int fa_status(const struct fa_command_line *l) {
        struct faas_id id = id_of(l);
        enum faas_status s;
        int r = faas_status(l->client, &id, &s);

        if (r)
                return fa_explain(r, l->argv[0]);
        print_status(l, &id, s);
        return FA_EXIT_OK;
}

int fa_result(const struct fa_command_line *l) {
        struct faas_result result = FAAS_RESULT_INIT;
        struct faas_id id = id_of(l);
        int r = faas_result(l->client, &id, &result);
        int status;

        if (r == FAAS_E_AGAIN) {
                fa_say_error("task %s is not done yet", l->argv[0]);
                return FA_EXIT_NOT_DONE;
        }
        status = r ? fa_explain(r, l->argv[0]) : show(l, &result);
        faas_result_clear(&result);
        return status;
}

static void pause_ms(unsigned ms) {
        struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

        (void)nanosleep(&t, NULL);
}

int fa_wait(const struct fa_command_line *l) {
        struct faas_result result = FAAS_RESULT_INIT;
        struct faas_id id = id_of(l);
        unsigned pause = FIRST_PAUSE_MS;
        int status;
        int r;

        while ((r = faas_result(l->client, &id, &result)) == FAAS_E_AGAIN) {
                pause_ms(pause);
                pause = pause * 3 / 2 < LAST_PAUSE_MS ? pause * 3 / 2 : LAST_PAUSE_MS;
        }
        status = r ? fa_explain(r, l->argv[0]) : show(l, &result);
        faas_result_clear(&result);
        return status;
}

int fa_cancel(const struct fa_command_line *l) {
        struct faas_id id = id_of(l);
        int r = faas_cancel(l->client, &id);

        if (r == FAAS_E_EXISTS) {
                fa_say_error("task %s ended before", l->argv[0]);
                return FA_EXIT_ERROR;
        }
        if (r)
                return fa_explain(r, l->argv[0]);
        print_status(l, &id, FAAS_CANCELLED);
        return FA_EXIT_OK;
}
