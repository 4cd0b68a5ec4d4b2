/* test-map.c - faas_map(): every input's result once and in order, whatever becomes of some */
#undef NDEBUG
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "far.h"
#include "fn.h"
#include "th.h"

#define MANY 5000

/* "x" fails, "crash" crashes, "large" gives 3 MB, "fork" comes back from a child too; the rest
 * comes out in upper case, if it is as it should be. */
static int work(struct faas_call *call) {
        size_t len;
        const char *in = faas_call_payload(call, &len);

        if (in[len] != '\0' || ((uintptr_t)in & 15) != 0)
                return faas_call_fail(call, "an input that is not as promised");
        if (strcmp(in, "x") == 0)
                return faas_call_fail(call, "no luck with %s", in) + 6;
        if (strcmp(in, "silent") == 0)
                return -3;
        if (strcmp(in, "crash") == 0)
                abort();
        if (strcmp(in, "hang") == 0)
                pause();
        if (strcmp(in, "large") == 0) {
                char *p = faas_call_reserve(call, 3000000);
                if (p)
                        memset(p, 'L', 3000000);
                return !p;
        }
        if (strcmp(in, "fork") == 0) {
                pid_t pid = fork();
                if (pid > 0)
                        (void)waitpid(pid, NULL, 0);
        }
        if (in[0] == '/') { /* a file gets a byte longer */
                int fd = open(in, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
                return write(fd, "x", 1) != 1 || close(fd);
        }
        char *out = faas_call_reserve(call, len);
        for (size_t i = 0; out && i < len; i++)
                out[i] = (char)toupper((unsigned char)in[i]);
        return !out;
}

static int rubbish(struct faas_call *call) {
        memcpy(faas_call_reserve(call, 3), "\x92\xc0\xc0", 3);
        return 0;
}

static const struct faas_function functions[] = {{"work", work},
                                                 {"own", work},
                                                 {"own.map", rubbish},
                                                 {NULL, NULL}};

static const struct faas_task work_task = {.function = "work", .max_strikes = 1};

/* What the callback saw. */
struct seen {
        const struct faas_input *inputs;
        size_t n, failed, stop_at;
        enum faas_failure failure;
        int code;
        char text[128];
        size_t first_failed;
};

static int see(void *userdata, size_t index, const struct faas_result *r) {
        struct seen *s = userdata;
        const struct faas_input *in = &s->inputs[index];

        cr_assert_eq(index, s->n, "input %zu after %zu", index, s->n);
        s->n++;
        if (r->status == FAAS_COMPLETED) {
                const char *out = r->payload, *from = in->payload;
                cr_assert_str_eq(r->text, "");
                if (r->payload_len == in->len && in->len > 0 && in->len < 40)
                        for (size_t i = 0; i < in->len; i++)
                                cr_assert_eq(out[i], toupper((unsigned char)from[i]));
                cr_assert_eq(out[r->payload_len], '\0');
        } else {
                cr_assert_eq(r->status, FAAS_FAILED);
                cr_assert_eq(r->payload_len, 0);
                if (!s->failed++)
                        s->first_failed = index;
                s->failure = r->failure;
                s->code = r->code;
                (void)snprintf(s->text, sizeof(s->text), "%s", r->text);
        }
        return s->stop_at && s->n == s->stop_at ? 77 : 0;
}

static struct faas_input *numbers(size_t n) {
        struct faas_input *in = calloc(n, sizeof(*in));
        char *text = malloc(n * 16);

        cr_assert(in && text);
        for (size_t i = 0; i < n; i++) {
                in[i].payload = text + 16 * i;
                in[i].len = i % 17 == 3
                                    ? 0
                                    : (size_t)snprintf(text + 16 * i, 16, "input %zu", i % 10000);
        }
        return in;
}

static void free_numbers(struct faas_input *in) {
        free((void *)(uintptr_t)in[0].payload);
        free(in);
}

static struct faas_input input(const char *text) {
        return (struct faas_input){text, strlen(text)};
}

static struct faas_client *open_local(const struct faas_client_cfg *cfg) {
        struct faas_client *c = NULL;

        cr_assert_eq(faas_client_open(&c, "local:2", functions, cfg), 0, "%s", faas_error_text());
        return c;
}

/* Maps, and all of it is well; nothing is left open. */
static void all_well(struct faas_client *c,
                     const char *function,
                     const struct faas_input *in,
                     size_t n,
                     size_t chunk) {
        struct seen s = {.inputs = in};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_task t = {.function = function};

        cr_assert_eq(faas_map(c, &t, in, n, chunk, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.n, n, "%zu of %zu with chunks of %zu", s.n, n, chunk);
        cr_assert_eq(s.failed, 0, "%s", s.text);
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT);
}

Test(map, every_result_comes_in_order_with_any_chunk) {
        struct faas_client *c = open_local(NULL);
        struct faas_input *in = numbers(MANY);
        static const size_t chunks[] = {0, 1, 7, 1000, MANY, FAAS_CHUNK_MAX};

        for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++)
                all_well(c, "work", in, MANY, chunks[i]);
        all_well(c, "work", in, 1, 0);
        all_well(c, "work", NULL, 0, 0);
        free_numbers(in);
        faas_client_close(c);
}

Test(map, an_input_that_fails_fails_alone) {
        struct faas_client *c = open_local(NULL);
        struct faas_input in[] = {input("a"), input("x"), input("b")};
        struct seen s = {.inputs = in};

        cr_assert_eq(faas_map(c, &work_task, in, 3, 3, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.n, 3);
        cr_assert_eq(s.failed, 1);
        cr_assert_eq(s.first_failed, 1);
        cr_assert_eq(s.failure, FAAS_FAILURE_FUNCTION);
        cr_assert_eq(s.code, 7);
        cr_assert_str_eq(s.text, "no luck with x");

        in[1] = input("silent");
        s = (struct seen){.inputs = in};
        cr_assert_eq(faas_map(c, &work_task, in, 3, 3, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.code, -3);
        cr_assert_str_eq(s.text, "the function returned -3");
        faas_client_close(c);
}

Test(map, a_crash_fails_its_chunk_and_no_other) {
        struct faas_client *c = open_local(NULL);
        struct faas_input in[] = {input("a"),     input("b"), input("c"),
                                  input("crash"), input("d"), input("e")};
        struct seen s = {.inputs = in};

        cr_assert_eq(faas_map(c, &work_task, in, 6, 2, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.n, 6);
        cr_assert_eq(s.failed, 2);
        cr_assert_eq(s.first_failed, 2);
        cr_assert_eq(s.failure, FAAS_FAILURE_CRASHED);
        faas_client_close(c);
}

Test(map, a_chunk_that_takes_too_long_fails_and_no_other) {
        struct faas_client *c = open_local(NULL);
        struct faas_input in[] = {input("a"), input("hang"), input("b"), input("c")};
        struct seen s = {.inputs = in};
        struct faas_task t = work_task;

        t.timeout_ms = 100;
        cr_assert_eq(faas_map(c, &t, in, 4, 2, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.n, 4);
        cr_assert_eq(s.failed, 2);
        cr_assert_eq(s.first_failed, 0);
        cr_assert_eq(s.failure, FAAS_FAILURE_TIMEOUT);
        faas_client_close(c);
}

Test(map, a_result_that_has_no_room_fails_alone) {
        struct faas_client *c = open_local(NULL);
        struct faas_input in[] = {input("large"), input("large"), input("c")};
        struct seen s = {.inputs = in};

        cr_assert_eq(faas_map(c, &work_task, in, 3, 3, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.n, 3);
        cr_assert_eq(s.failed, 1);
        cr_assert_eq(s.first_failed, 1);
        cr_assert_eq(s.failure, FAAS_FAILURE_LIMIT);
        s = (struct seen){.inputs = in};
        cr_assert_eq(faas_map(c, &work_task, in, 3, 1, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.failed, 0);
        faas_client_close(c);
}

Test(map, inputs_of_any_length_go_through) {
        struct faas_client *c = open_local(NULL);
        char *large = malloc(FAAS_INPUT_MAX + 1u);
        struct faas_input in[40];

        cr_assert(large);
        memset(large, 'a', FAAS_INPUT_MAX + 1u);
        for (size_t i = 0; i < 40; i++)
                in[i] = (struct faas_input){large, i % 10 == 9 ? 2000000 : i * 30000};
        all_well(c, "work", in, 40, 40);
        in[0].len = FAAS_INPUT_MAX;
        all_well(c, "work", in, 1, 1);
        in[0].len = FAAS_INPUT_MAX + 1u;
        struct seen s = {.inputs = in};
        cr_assert_eq(faas_map(c, &work_task, in, 1, 1, see, &s), FAAS_E_LIMIT);
        cr_assert(strstr(faas_error_text(), "input 0 has 4194289 bytes"), "%s", faas_error_text());
        cr_assert_eq(s.n, 0);
        free(large);
        faas_client_close(c);
}

Test(map, the_caller_can_stop_it_and_nothing_is_left) {
        struct faas_client *c = open_local(NULL);
        struct faas_input *in = numbers(MANY);
        struct seen s = {.inputs = in, .stop_at = 100};
        struct faas_result r = FAAS_RESULT_INIT;

        cr_assert_eq(faas_map(c, &work_task, in, MANY, 10, see, &s), 77);
        cr_assert_eq(s.n, 100);
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT, "%s", faas_error_text());
        all_well(c, "work", in, MANY, 10);
        free_numbers(in);
        faas_client_close(c);
}

Test(map, a_window_or_a_queue_that_is_full_only_slows_it_down) {
        struct faas_input *in = numbers(MANY);
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_client *c;

        cfg.window_tasks = 3;
        c = open_local(&cfg);
        all_well(c, "work", in, MANY, 3);
        faas_client_close(c);
        cfg = (struct faas_client_cfg)FAAS_CLIENT_CFG_INIT;
        cfg.queue_tasks = 5;
        c = open_local(&cfg);
        all_well(c, "work", in, MANY, 3);
        faas_client_close(c);
        free_numbers(in);
}

static void count_done(struct faas_client *c, struct faas_result *result, void *userdata) {
        (*(unsigned *)userdata)++;
}

Test(map, other_tasks_keep_their_results) {
        struct faas_client *c = open_local(NULL);
        struct faas_input *in = numbers(100);
        struct faas_task t = {.function = "work", .payload = "me", .payload_len = 2};
        struct faas_result r = FAAS_RESULT_INIT;
        struct seen s = {.inputs = in};
        struct faas_id id;
        unsigned n = 0;

        cr_assert_eq(faas_submit(c, &t, &id), 0);
        cr_assert_eq(faas_map(c, &work_task, in, 100, 10, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(faas_wait(c, &id, -1, &r), 0, "%s", faas_error_text());
        cr_assert_str_eq(r.payload, "ME");

        faas_client_on_done(c, count_done, &n);
        s = (struct seen){.inputs = in};
        cr_assert_eq(faas_submit(c, &t, &id), 0);
        cr_assert_eq(faas_map(c, &work_task, in, 100, 10, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.n, 100);
        cr_assert_eq(n, 0);
        cr_assert_eq(faas_wait(c, &id, -1, &r), FAAS_E_GONE);
        cr_assert_eq(n, 1);
        faas_result_clear(&r);
        free_numbers(in);
        faas_client_close(c);
}

Test(map, a_child_of_the_function_runs_no_other_inputs) {
        struct faas_client *c = open_local(NULL);
        struct faas_input in[2] = {input("fork")};
        struct seen s = {.inputs = in};
        struct stat st;
        char path[200];

        (void)snprintf(path, sizeof(path), "%s/count", th_temp_dir());
        in[1] = input(path);
        cr_assert_eq(faas_map(c, &work_task, in, 2, 2, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.failed, 0, "%s", s.text);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(st.st_size, 1, "%lld", (long long)st.st_size);
        faas_client_close(c);
}

static void wrong(struct faas_client *c,
                  const struct faas_task *t,
                  const struct faas_input *in,
                  size_t chunk,
                  int expected,
                  const char *words) {
        struct seen s = {.inputs = in};
        int r = faas_map(c, t, in, 1, chunk, see, &s);

        cr_assert_eq(r, expected, "%d: %s", r, faas_error_text());
        cr_assert(strstr(faas_error_text(), words), "\"%s\" in: %s", words, faas_error_text());
        cr_assert_eq(s.n, 0);
}

Test(map, what_is_wrong_is_named) {
        struct faas_client *c = open_local(NULL);
        const struct faas_input in = input("a");
        struct faas_task t = work_task;

        wrong(c, NULL, &in, 1, -EINVAL, "task");
        wrong(c, &t, NULL, 1, -EINVAL, "inputs");
        wrong(c, &t, &in, FAAS_CHUNK_MAX + 1, -EINVAL, "chunks of 65536");
        wrong(c, &t, &(struct faas_input){NULL, 3}, 1, -EINVAL, "input 0");
        t.max_retries = 1;
        wrong(c, &t, &in, 1, -EINVAL, "max_retries");
        t = (struct faas_task){.function = "none"};
        wrong(c, &t, &in, 1, FAAS_E_NOENT, "no function \"none.map\"");
        t.function = "a-name-that-has-sixty-one-bytes-which-is-one-too-many-for-map";
        wrong(c, &t, &in, 1, -EINVAL, "1 to 60 bytes");
        cr_assert_eq(faas_map(c, &work_task, &in, 1, 1, NULL, NULL), -EINVAL);
        cr_assert_eq(faas_map(NULL, &work_task, &in, 1, 1, see, NULL), -EINVAL);
        all_well(c, "work", &in, 1, 1);
        faas_client_close(c);
}

Test(map, what_gives_no_results_of_a_chunk_has_failed) {
        struct faas_client *c = open_local(NULL);
        struct faas_input in[] = {input("a"), input("b"), input("c")};
        struct seen s = {.inputs = in};
        struct faas_task t = {.function = "own"};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id id;

        cr_assert_eq(faas_map(c, &t, in, 3, 2, see, &s), 0, "%s", faas_error_text());
        cr_assert_eq(s.failed, 3);
        cr_assert_eq(s.failure, FAAS_FAILURE_FUNCTION);
        cr_assert_str_eq(s.text, "own.map gave no array of 1 results");

        t = (struct faas_task){.function = "work.map",
                               .payload = "\x92\xc4\x01"
                                          "a",
                               .payload_len = 4};
        for (size_t len = 0; len <= 4; len++) { /* cut short, everywhere */
                t.payload_len = len;
                cr_assert_eq(faas_submit(c, &t, &id), 0);
                cr_assert_eq(faas_wait(c, &id, -1, &r), 0);
                cr_assert_eq(r.status, FAAS_FAILED, "%zu bytes", len);
                cr_assert_eq(r.failure, FAAS_FAILURE_FUNCTION);
        }
        t.payload = "\x91\xc4\x01xy";
        t.payload_len = 5;
        cr_assert_eq(faas_submit(c, &t, &id), 0);
        cr_assert_eq(faas_wait(c, &id, -1, &r), 0);
        cr_assert_str_eq(r.text, "bytes behind the 1 inputs of the chunk");
        faas_result_clear(&r);
        faas_client_close(c);
}

static int closes(void *userdata, size_t index, const struct faas_result *r) {
        struct faas_client *c = userdata;
        struct faas_result mine = FAAS_RESULT_INIT;

        cr_assert_eq(faas_client_close(c), c);
        cr_assert_lt(faas_wait_any(c, 0, &mine), 0);
        return 0;
}

Test(map, its_callback_may_not_close_nor_wait) {
        struct faas_client *c = open_local(NULL);
        const struct faas_input in = input("a");

        cr_assert_eq(faas_map(c, &work_task, &in, 1, 1, closes, c), 0, "%s", faas_error_text());
        all_well(c, "work", &in, 1, 1);
        faas_client_close(c);
}

Test(map, who_finds_no_dispatcher_is_told) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        const struct faas_input in = input("a");
        struct faas_client *c;
        struct far f;

        cfg.submit_timeout_ms = 50;
        far_place(&f, "ipc");
        c = far_open(f.url, &cfg);
        wrong(c, &work_task, &in, 1, FAAS_E_TIMEOUT, "dispatcher");
        faas_client_close(c);
}

Test(map, it_works_with_dispatchers) {
        struct faas_input *in = numbers(MANY);

        for (size_t i = 0; far_schemes[i]; i++) {
                struct far f;
                struct faas_client *c;

                far_start(&f, far_schemes[i]);
                c = far_open(f.url, NULL);
                all_well(c, "upper", in, MANY, 0);
                all_well(c, "upper", in, MANY, 1);
                all_well(c, "upper", in, MANY, 600);
                faas_client_close(c);
                far_end(&f);
        }
        free_numbers(in);
}

Test(map, a_full_dispatcher_only_slows_it_down) {
        struct faas_input *in = numbers(MANY);
        struct faas_dispatcher_cfg cfg = FAAS_DISPATCHER_CFG_INIT;
        struct faas_client *c;
        struct far f;

        cfg.queue_tasks = 7;
        far_place(&f, "ipc");
        far_dispatcher(&f, "ipc", &cfg);
        far_worker(&f, 2);
        c = far_open(f.url, NULL);
        all_well(c, "upper", in, MANY, 20);
        faas_client_close(c);
        far_end(&f);
        free_numbers(in);
}

/* Its dispatcher is killed when the first result is there, and another one takes its place. */
struct dying {
        struct seen seen;
        struct far far;
};

static int see_and_kill(void *userdata, size_t index, const struct faas_result *r) {
        struct dying *d = userdata;

        if (index == 0) {
                far_kill(&d->far.disp);
                far_dispatcher(&d->far, NULL, NULL);
        }
        return see(&d->seen, index, r);
}

/* What it had accepted in memory may be lost, and is told so; all else goes on. */
Test(map, a_dispatcher_that_dies_takes_no_more_than_it_had_accepted) {
        const struct faas_task t = {.function = "upper"};
        struct faas_input *in = numbers(MANY);
        struct dying d = {.seen = {.inputs = in}, .far = {.url = ""}};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;

        far_dispatcher(&d.far, "ipc", NULL);
        far_worker(&d.far, 2);
        c = far_open(d.far.url, NULL);
        cr_assert_eq(faas_map(c, &t, in, MANY, 10, see_and_kill, &d), 0, "%s", faas_error_text());
        cr_assert_eq(d.seen.n, MANY);
        cr_assert(d.seen.failed == 0 || d.seen.failure == FAAS_FAILURE_LOST, "%s", d.seen.text);
        cr_assert_leq(d.seen.failed, 256 * 10, "what was on its way");
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT);
        all_well(c, "upper", in, MANY, 10);
        faas_client_close(c);
        far_end(&d.far);
        free_numbers(in);
}
