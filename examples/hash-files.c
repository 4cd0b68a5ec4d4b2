/*
 * hash-files.c - SHA-256 of every file named on standard input, computed in slots
 *
 *   find /usr/include -type f | hash-files [SLOTS]
 *
 * Prints "digest  path" as sha256sum does, in the order of the input; on a terminal a progress bar
 * goes to standard error.  A file that cannot be read is named there, the others go on, and the
 * exit code is 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <faas/faas.h>
#include <sodium.h>

enum { IN_FLIGHT = 4096, HEX = 2 * crypto_hash_sha256_BYTES, BAR = 40 };

/* ---- in the slots ---- */

static int hash(struct faas_call *call) {
        const char *path = faas_call_payload(call, NULL);
        static unsigned char block[1 << 16];
        unsigned char digest[crypto_hash_sha256_BYTES];
        crypto_hash_sha256_state state;
        char *out = faas_call_reserve(call, HEX + 1);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = -1;

        crypto_hash_sha256_init(&state);
        while (fd >= 0 && (n = read(fd, block, sizeof(block))) > 0)
                crypto_hash_sha256_update(&state, block, (unsigned long long)n);
        int error = errno;
        if (fd >= 0)
                close(fd);
        if (n < 0)
                return faas_call_fail(call, "%s", strerror(error));
        if (!out)
                return faas_call_fail(call, "no memory");
        crypto_hash_sha256_final(&state, digest);
        sodium_bin2hex(out, HEX + 1, digest, sizeof(digest));
        return 0;
}

static const struct faas_function functions[] = {{"hash", hash}, {NULL, NULL}};

/* ---- in the program ---- */

struct file {
        char *path;
        struct faas_id id;
};

static struct file *files;
static size_t n_files, cap_files;

static int read_names(void) {
        char *line = NULL;
        size_t cap = 0;
        ssize_t n;

        while ((n = getline(&line, &cap, stdin)) > 0) {
                if (line[n - 1] == '\n')
                        line[n - 1] = '\0';
                if (n_files == cap_files) {
                        cap_files = cap_files ? 2 * cap_files : 1024;
                        struct file *v = realloc(files, cap_files * sizeof(*v));
                        if (!v)
                                return -1;
                        files = v;
                }
                files[n_files].path = strdup(line);
                if (!files[n_files++].path)
                        return -1;
        }
        free(line);
        return 0;
}

static void show_progress(size_t done) {
        static bool terminal, asked;
        static int shown = -1;
        int percent = (int)(n_files ? done * 100 / n_files : 100);

        if (!asked)
                terminal = isatty(STDERR_FILENO);
        asked = true;
        if (!terminal || percent == shown)
                return;
        shown = percent;
        int full = percent * BAR / 100;
        fprintf(stderr, "\r[%.*s%*s] %3d %%  %zu of %zu files", full,
                "########################################", BAR - full, "", percent, done, n_files);
        if (done == n_files)
                fputc('\n', stderr);
}

/* One file's line, or what was wrong with it. */
static bool show(const struct file *f, const struct faas_result *r) {
        if (r->status == FAAS_COMPLETED) {
                printf("%.*s  %s\n", HEX, (const char *)r->payload, f->path);
                return true;
        }
        fprintf(stderr, "%shash-files: %s: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", f->path,
                r->text_len ? r->text : "failed");
        return false;
}

static int run(struct faas_client *c) {
        struct faas_result r = FAAS_RESULT_INIT;
        size_t sent = 0;
        bool good = true;

        for (size_t done = 0; done < n_files; done++) {
                for (; sent < n_files && sent - done < IN_FLIGHT; sent++) {
                        struct faas_task t = {.function = "hash",
                                              .payload = files[sent].path,
                                              .payload_len = strlen(files[sent].path)};
                        if (faas_submit(c, &t, &files[sent].id))
                                return -1;
                }
                if (faas_wait(c, &files[done].id, -1, &r))
                        return -1;
                good &= show(&files[done], &r);
                show_progress(done + 1);
        }
        faas_result_clear(&r);
        return good ? 0 : 1;
}

int main(int argc, char **argv) {
        struct faas_client *c = NULL;
        char url[32]; /* "local:" and what is left of it; a number is shorter */
        int r;

        if (sodium_init() < 0 || read_names()) {
                fprintf(stderr, "hash-files: cannot start\n");
                return 2;
        }
        (void)snprintf(url, sizeof(url), "local:%s", argc > 1 ? argv[1] : "");
        if (faas_client_open(&c, url, functions, NULL)) {
                fprintf(stderr, "hash-files: %s\n", faas_error_text());
                return 2;
        }
        r = run(c);
        if (r < 0)
                fprintf(stderr, "hash-files: %s\n", faas_error_text());
        faas_client_close(c);
        for (size_t i = 0; i < n_files; i++)
                free(files[i].path);
        free(files);
        return r < 0 ? 2 : r;
}
