/* test-memory.c - the memory store: the suite of all stores, with virtual time */
#undef NDEBUG
#include "conformance.h"

#include "store/memory.h"

static void open_memory(struct bed *b, const struct fa_store_cfg *cfg) {
        b->now_ns = 1000 * FA_NS_PER_S;
        cr_assert_eq(fa_store_open(&b->store, "memory:", cfg), 0);
}

static void close_memory(struct bed *b) {
        b->store = fa_store_close(b->store);
}

static struct fa_group *drive_memory(struct bed *b) {
        return fa_store_reap(b->store, b->now_ns);
}

/* As the shell does it: tick() is called when it asks to be called, and not before. */
static void advance_memory(struct bed *b, uint64_t ns) {
        uint64_t end = b->now_ns + ns;

        for (uint64_t at; (at = fa_store_deadline(b->store)) <= end;) {
                b->now_ns = at > b->now_ns ? at : b->now_ns;
                fa_store_tick(b->store, b->now_ns);
        }
        b->now_ns = end;
}

static void restart_memory(struct bed *b) {
        fa_memory_restarted(fa_memory_of(b->store));
}

const struct bed_ops bed_under_test = {
        .open = open_memory,
        .close = close_memory,
        .drive = drive_memory,
        .advance = advance_memory,
        .restart = restart_memory,
};
