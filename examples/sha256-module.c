/*
 * sha256-module.c - a module with one function, for faas-worker --load
 *
 *   faas-worker --load sha256-module.so &
 *   find /usr/include -type f | faas map sha256
 *
 * sha256: the payload is a file's name, as the worker sees it; the result is "digest  name", as
 * sha256sum prints it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <faas/function.h>
#include <sodium.h>

enum { HEX = 2 * crypto_hash_sha256_BYTES };

static int hash_file(const char *path, unsigned char *digest) {
        static unsigned char block[1 << 16];
        crypto_hash_sha256_state state;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = -1;

        crypto_hash_sha256_init(&state);
        while (fd >= 0 && (n = read(fd, block, sizeof(block))) > 0)
                crypto_hash_sha256_update(&state, block, (unsigned long long)n);
        int error = n < 0 ? errno : 0;
        if (fd >= 0)
                close(fd);
        crypto_hash_sha256_final(&state, digest);
        return error;
}

/* sha256sum escapes what would break its line, and says so by a backslash in front of the line. */
static size_t escape(char *out, const char *name, size_t len) {
        size_t n = 0;

        for (size_t i = 0; i < len; i++) {
                char c = name[i];

                if (c == '\\' || c == '\n' || c == '\r')
                        out[n++] = '\\';
                out[n++] = c;
                if (c == '\n' || c == '\r')
                        out[n - 1] = c == '\n' ? 'n' : 'r';
        }
        return n;
}

static int sha256(struct faas_call *call) {
        unsigned char digest[crypto_hash_sha256_BYTES];
        char hex[HEX + 1];
        size_t len;
        size_t n = 0;
        const char *name = faas_call_payload(call, &len);

        if (memchr(name, '\0', len))
                return faas_call_fail(call, "a NUL is in the file's name");
        int error = hash_file(name, digest);
        if (error)
                return faas_call_fail(call, "%s: %s", name, strerror(error));
        /* Each character of the name may be escaped; what is too much is given back below. */
        char *out = faas_call_reserve(call, 1 + HEX + 2 + 2 * len);
        if (!out)
                return faas_call_fail(call, "no memory");
        if (strpbrk(name, "\\\n\r"))
                out[n++] = '\\';
        sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
        memcpy(out + n, hex, HEX);
        n += HEX;
        out[n++] = ' ';
        out[n++] = ' ';
        n += escape(out + n, name, len);
        (void)faas_call_reserve(call, n);
        return 0;
}

static const struct faas_function functions[] = {{"sha256", sha256}, {NULL, NULL}};

FAAS_MODULE(functions);
