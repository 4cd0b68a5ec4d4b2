/* Reads golden vectors; used by every test that wants some real messages. */
#undef NDEBUG
#include "vector-file.h"

#include <assert.h>
#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/error.h>

#include "base/macros.h"

/* A frame of no bytes is the NULL blob, as everywhere. */
static void end_frame(struct fa_frames *f, struct fa_buf *bytes) {
        struct fa_blob *b = NULL;

        assert(!bytes->failed);
        assert(fa_blob_new(&b, bytes->p, bytes->len) == 0);
        assert(fa_frames_push(f, b) == 0);
        fa_buf_clear(bytes);
}

static void read_hex(struct fa_buf *bytes, const char *path, char *line) {
        char *save = NULL;

        for (char *t = strtok_r(line, " \t\n", &save); t; t = strtok_r(NULL, " \t\n", &save)) {
                char *end;
                const unsigned long v = strtoul(t, &end, 16);
                const unsigned long n = *end == '*' ? strtoul(end + 1, &end, 10) : 1;

                if (*end || v > 255 || n > (8u << 20))
                        errx(1, "%s: '%s' is not a byte", path, t);
                uint8_t *p = fa_buf_room(bytes, n);
                assert(p);
                memset(p, (int)v, n);
                bytes->len += n;
        }
}

static void read_comment(struct vector *v, const char *path, const char *c) {
        char word[32];

        if (sscanf(c, " role: %31s", word) == 1) {
                for (unsigned i = 0; i < _FA_ROLE_N; i++) {
                        if (strcmp(word, fa_role_name(i)) == 0) {
                                v->role = (enum fa_role)i;
                                return;
                        }
                }
                errx(1, "%s: no such role: %s", path, word);
        }
        if (sscanf(c, " error: %31s", word) == 1) {
                v->error = strcmp(word, "FAAS_E_PROTO") == 0     ? FAAS_E_PROTO
                           : strcmp(word, "FAAS_E_VERSION") == 0 ? FAAS_E_VERSION
                                                                 : 0;
                if (v->error == 0)
                        errx(1, "%s: no such error: %s", path, word);
                return;
        }
        (void)sscanf(c, " text: %127[^\n]", v->text);
}

void vector_read(struct vector *ret, const char *path) {
        struct vector v = {.role = _FA_ROLE_N};
        FA_CLEANUP(fa_buf_deinit) struct fa_buf bytes = FA_BUF_NULL;
        struct fa_frames *to = &v.in;
        char *line = NULL;
        size_t cap = 0;
        FILE *file = fopen(path, "re");

        if (!file)
                err(1, "%s", path);
        while (getline(&line, &cap, file) > 0) {
                char *comment = strchr(line, '#');

                if (comment == line)
                        read_comment(&v, path, comment + 1);
                if (comment)
                        *comment = '\0';
                if (strncmp(line, "--", 2) == 0) {
                        end_frame(to, &bytes);
                } else if (strncmp(line, "==", 2) == 0) {
                        end_frame(to, &bytes);
                        to = &v.out;
                } else {
                        read_hex(&bytes, path, line);
                }
        }
        end_frame(to, &bytes);
        free(line);
        fclose(file);
        if (v.role == _FA_ROLE_N)
                errx(1, "%s: names no role", path);
        *ret = v;
}

void vector_deinit(struct vector *v) {
        fa_frames_deinit(&v->in);
        fa_frames_deinit(&v->out);
}

unsigned vector_each(const char *prefix, void (*fn)(const char *name, const struct vector *v)) {
        DIR *dir = opendir(FA_VECTORS);
        struct dirent *e;
        unsigned n = 0;

        if (!dir)
                err(1, "%s", FA_VECTORS);
        while ((e = readdir(dir))) {
                const size_t len = strlen(e->d_name);
                char path[4096];
                struct vector v;

                if (strncmp(e->d_name, prefix, strlen(prefix)) != 0 || len < 4 ||
                    strcmp(e->d_name + len - 4, ".hex") != 0)
                        continue;
                assert((size_t)snprintf(path, sizeof(path), "%s/%s", FA_VECTORS, e->d_name) <
                       sizeof(path));
                vector_read(&v, path);
                fn(e->d_name, &v);
                vector_deinit(&v);
                n++;
        }
        closedir(dir);
        return n;
}
