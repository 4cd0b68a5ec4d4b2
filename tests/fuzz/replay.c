/* Runs a fuzz target over the files of a folder, without libFuzzer: the corpus as a plain test. */
#undef NDEBUG
#include <assert.h>
#include <dirent.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

/* In memory of exactly its length, so that a read too far is seen. */
static void run_file(const char *path) {
        FILE *file = fopen(path, "re");
        uint8_t *p;
        long len;

        if (!file || fseek(file, 0, SEEK_END) || (len = ftell(file)) < 0)
                err(1, "%s", path);
        rewind(file);
        p = malloc(len > 0 ? (size_t)len : 1);
        assert(p);
        assert(fread(p, 1, (size_t)len, file) == (size_t)len);
        fclose(file);
        LLVMFuzzerTestOneInput(p, (size_t)len);
        free(p);
}

int main(int argc, char **argv) {
        unsigned n = 0;
        struct dirent *e;
        DIR *dir;

        assert(argc == 2);
        dir = opendir(argv[1]);
        if (!dir)
                err(1, "%s", argv[1]);
        while ((e = readdir(dir))) {
                char path[4096];

                if (e->d_name[0] == '.')
                        continue;
                assert((size_t)snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name) <
                       sizeof(path));
                run_file(path);
                n++;
        }
        closedir(dir);
        printf("%u inputs\n", n);
        return n > 0 ? 0 : 1; /* an empty corpus must not look green */
}
