/*
 * mark.c - a page that is empty in a fork
 *
 * getpid() is a system call, and a dispatcher or worker that is stepped for each message would make
 * one for each.
 */
#include "api/mark.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"

int fa_mark_new(const uint64_t **ret) {
        const size_t page = (size_t)sysconf(_SC_PAGESIZE);
        uint64_t *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return fa_errno(errno, "mmap");
        *p = FA_MARK;
        if (madvise(p, page, MADV_WIPEONFORK)) {
                const int error = errno;
                (void)munmap(p, page);
                return fa_errno(error, "madvise(MADV_WIPEONFORK)");
        }
        *ret = p;
        return 0;
}

void fa_mark_free(const uint64_t *mark) {
        if (mark)
                (void)munmap(fa_unconst(mark), (size_t)sysconf(_SC_PAGESIZE));
}
