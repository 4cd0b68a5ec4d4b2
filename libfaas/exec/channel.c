/*
 * channel.c - the memory that host, zygote and slot share
 *
 * A memfd: the control page, then the two rings, each mapped twice in a row by whoever uses it.
 */
#include "exec/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAPPED_LEN ((size_t)FA_CONTROL_SIZE + 4 * (size_t)FA_RING_SIZE)

int fa_channel_new(int *ret_fd) {
        int fd = memfd_create("faas-slot", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        /* A function that can get at it and cuts it short would end host and zygote by SIGBUS. */
        if (fd < 0 || ftruncate(fd, FA_CHANNEL_SIZE) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
                int e = errno;
                if (fd >= 0)
                        close(fd);
                return -e;
        }
        *ret_fd = fd;
        return 0;
}

static bool map_at(uint8_t *at, size_t len, int fd, off_t from) {
        return mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, from) !=
               MAP_FAILED;
}

int fa_channel_map(struct fa_channel *c, int fd, bool inherited) {
        uint8_t *p = mmap(NULL, MAPPED_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uint8_t *tasks = p + FA_CONTROL_SIZE;
        uint8_t *results = tasks + (size_t)2 * FA_RING_SIZE;
        const off_t first = FA_CONTROL_SIZE;
        const off_t second = first + FA_RING_SIZE;

        if (p == MAP_FAILED)
                return -errno;
        if (!map_at(p, FA_CONTROL_SIZE, fd, 0) || !map_at(tasks, FA_RING_SIZE, fd, first) ||
            !map_at(tasks + FA_RING_SIZE, FA_RING_SIZE, fd, first) ||
            !map_at(results, FA_RING_SIZE, fd, second) ||
            !map_at(results + FA_RING_SIZE, FA_RING_SIZE, fd, second)) {
                int e = errno;
                (void)munmap(p, MAPPED_LEN);
                return -e;
        }
        if (!inherited)
                (void)madvise(p, MAPPED_LEN, MADV_DONTFORK);
        c->control = (void *)p;
        fa_ring_init(&c->tasks, &c->control->tasks, tasks);
        fa_ring_init(&c->results, &c->control->results, results);
        return 0;
}

void fa_channel_unmap(struct fa_channel *c) {
        if (c->control)
                (void)munmap(c->control, MAPPED_LEN);
        c->control = NULL;
}

unsigned fa_channel_spins(void) {
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1)
                return FA_SPINS_ONE;
        return UINT_MAX; /* FA_SPIN_NS ends it */
}

void fa_channel_wait(_Atomic uint32_t *count, uint32_t seen, _Atomic uint32_t *mark) {
        while (atomic_load(count) == seen) {
                atomic_store(mark, 1);
                atomic_thread_fence(memory_order_seq_cst);
                if (atomic_load(count) == seen)
                        (void)syscall(SYS_futex, mark, FUTEX_WAIT, 1, NULL, NULL, 0);
        }
        atomic_store_explicit(mark, 0, memory_order_relaxed);
}

void fa_channel_wake(_Atomic uint32_t *mark) {
        (void)syscall(SYS_futex, mark, FUTEX_WAKE, 1, NULL, NULL, 0);
}
