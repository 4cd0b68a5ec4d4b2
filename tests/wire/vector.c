/*
 * Runs one golden vector: `vector FILE`.
 *
 * y_*: decodes under its role, and encodes to the bytes that the file says; and does so, or gives
 * -ENOMEM and leaks nothing, when any one allocation fails.
 * n_*: is refused with the error and the text that the file names, and memory stays bounded by the
 * bytes that came, whatever they claim.
 *
 * The program is linked with --wrap for malloc and its kin, to count and to fail.
 */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/error.h>

#include "base/macros.h"
#include "vector-file.h"

/* A message, its items and names: what a full batch needs beside the bytes themselves. */
#define MEMORY_MAX ((size_t)64 * 1024)

static bool counting;
static size_t asked;     /* bytes, since counting began */
static unsigned n_calls; /* allocations, since counting began */
static unsigned fail_at; /* 0: none; else this one fails */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool allowed(size_t n) {
        if (!counting)
                return true;
        asked += n;
        return ++n_calls != fail_at;
}

void *__wrap_malloc(size_t n) {
        return allowed(n) ? __real_malloc(n) : NULL;
}

void *__wrap_calloc(size_t n, size_t size) {
        return allowed(n * size) ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t n) {
        return allowed(n) ? __real_realloc(p, n) : NULL;
}

static void count_from_here(unsigned fail) {
        counting = true;
        asked = 0;
        n_calls = 0;
        fail_at = fail;
}

static size_t bytes_of(const struct fa_frames *f) {
        size_t n = 0;

        for (size_t i = 0; i < f->n; i++)
                n += fa_blob_len(f->v[i]);
        return n;
}

static void check_same(const struct fa_frames *got, const struct fa_frames *want) {
        assert(got->n == want->n);
        for (size_t i = 0; i < got->n; i++) {
                assert(fa_blob_len(got->v[i]) == fa_blob_len(want->v[i]));
                assert(memcmp(fa_blob_ptr(got->v[i]), fa_blob_ptr(want->v[i]),
                              fa_blob_len(want->v[i])) == 0);
        }
}

/* Decodes and encodes; 0, or the -ENOMEM of the allocation that failed. */
static int round_trip(const struct vector *v, unsigned fail) {
        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = NULL;
        FA_CLEANUP(fa_frames_deinit) struct fa_frames out = FA_FRAMES_NULL;
        unsigned version = 0;
        int r;

        count_from_here(fail);
        r = fa_msg_decode(&m, &v->in, v->role, &version);
        if (!r)
                r = fa_msg_encode(m, &out);
        counting = false;
        if (r)
                assert(out.n == 0);
        else
                check_same(&out, vector_out(v));
        return r;
}

static void accepted(const struct vector *v) {
        int r = round_trip(v, 0);

        if (r)
                fprintf(stderr, "%s\n", faas_error_text());
        assert(r == 0);
        const unsigned n = n_calls;
        for (unsigned k = 1; k <= n; k++)
                assert(round_trip(v, k) == -ENOMEM);
}

static void refused(const struct vector *v) {
        struct fa_msg *m = NULL;
        unsigned version = 4711;
        int r;

        count_from_here(0);
        r = fa_msg_decode(&m, &v->in, v->role, &version);
        counting = false;
        fprintf(stderr, "%s\n", faas_error_text());
        assert(r == v->error);
        assert(m == NULL);
        assert(strstr(faas_error_text(), v->text));
        assert(v->text[0]);
        assert((r == FAAS_E_VERSION) == (version != 4711));
        assert(asked <= MEMORY_MAX + bytes_of(&v->in));
}

int main(int argc, char **argv) {
        struct vector v;
        const char *name;

        assert(argc == 2);
        name = strrchr(argv[1], '/');
        name = name ? name + 1 : argv[1];
        vector_read(&v, argv[1]);
        assert(name[0] == 'y' || name[0] == 'n');
        if (name[0] == 'y')
                accepted(&v);
        else
                refused(&v);
        vector_deinit(&v);
        return 0;
}
