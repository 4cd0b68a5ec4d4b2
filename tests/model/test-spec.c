#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "model/spec.h"
#include "th-alloc.h"

#define S(text)                                                                                    \
        { (const uint8_t *)(text), sizeof(text) - 1 }

#define DIGEST "0123456789abcdef0123456789abcdef"

/* An item with everything in it; its payload is the caller's to drop. */
static struct fa_item item_new(const char *payload) {
        struct fa_item it = {
                .function = S("shout"),
                .queue = S("slow"),
                .digest = S(DIGEST),
                .timeout_ms = 1000,
                .max_strikes = 5,
                .max_retries = 2,
                .priority = 9,
        };

        cr_assert_eq(fa_blob_new(&it.payload, payload, strlen(payload)), 0);
        return it;
}

static struct fa_spec *spec_of(const struct fa_item *it) {
        struct fa_spec *s = NULL;

        cr_assert_eq(fa_spec_new(&s, it), 0);
        return s;
}

Test(spec, gives_back_what_it_was_made_from) {
        int64_t live = th_alloc_live();
        struct fa_item it = item_new("payload"), out = {.code = 0};
        struct fa_spec *s = spec_of(&it);

        fa_spec_fill(s, &out);
        cr_assert(fa_slice_eq(out.function, it.function));
        cr_assert(fa_slice_eq(out.queue, it.queue));
        cr_assert(fa_slice_eq(out.digest, it.digest));
        cr_assert_eq(out.timeout_ms, 1000);
        cr_assert_eq(out.max_strikes, 5);
        cr_assert_eq(out.max_retries, 2);
        cr_assert_eq(out.priority, 9);
        cr_assert_eq(out.payload, fa_spec_payload(s));
        cr_assert_eq(fa_blob_len(out.payload), strlen("payload"));
        cr_assert_eq(memcmp(fa_blob_ptr(out.payload), "payload", strlen("payload")), 0);
        cr_assert(fa_slice_eq(fa_spec_function(s), it.function));
        cr_assert_str_eq(s->text, "shout", "the name can be used as a string");
        cr_assert_geq(fa_spec_size(s), strlen("payload") + strlen("shout") + strlen(DIGEST));
        fa_blob_unref(out.payload);
        fa_blob_unref(it.payload);
        out.drop_owner(out.owner);
        cr_assert_null(fa_spec_unref(s));
        cr_assert_null(fa_spec_unref(NULL));
        cr_assert_eq(th_alloc_live(), live);
}

Test(spec, lives_as_long_as_a_message_that_was_filled_from_it) {
        int64_t live = th_alloc_live();
        struct fa_item it = item_new("payload");
        struct fa_spec *s = spec_of(&it);
        struct fa_msg *m = NULL;
        struct fa_item *out;

        cr_assert_eq(fa_msg_new(&m, FA_MSG_TASK), 0);
        out = fa_msg_add(m);
        cr_assert(out);
        fa_spec_fill(s, out);
        cr_assert_eq(s->refs, 3, "its payload, which is inside, counts too");
        fa_spec_unref(s);
        cr_assert(fa_slice_eq(out->function, it.function));
        fa_msg_free(m);
        fa_blob_unref(it.payload);
        cr_assert_eq(th_alloc_live(), live);
}

Test(spec, fills_in_the_strikes_that_were_left_0) {
        struct fa_item it = {.function = S("f")};
        struct fa_spec *s = spec_of(&it);

        cr_assert_eq(fa_spec_limits(s).max_strikes, 0);
        fa_spec_unref(s);
}

/* Are they equal, from both sides, and the hashes too? */
static bool same(const struct fa_item *x, const struct fa_item *y) {
        struct fa_spec *a = spec_of(x), *b = spec_of(y);
        bool equal = fa_spec_equal(a, b);

        cr_assert_eq(fa_spec_equal(b, a), equal);
        cr_assert_eq(fa_spec_hash(a, 1) == fa_spec_hash(b, 1), equal);
        cr_assert_neq(fa_spec_hash(a, 1), fa_spec_hash(a, 2));
        fa_spec_unref(a);
        fa_spec_unref(b);
        return equal;
}

Test(spec, equals_another_with_the_same_bytes_and_no_other) {
        struct fa_item a = item_new("payload"), b = item_new("payload"), c;

        cr_assert(same(&a, &a));
        cr_assert(same(&a, &b));
        c = b, c.function = (struct fa_slice)S("shoot");
        cr_assert(!same(&a, &c));
        c = b, c.function = (struct fa_slice)S("shouts");
        cr_assert(!same(&a, &c));
        c = b, c.queue.len = 0;
        cr_assert(!same(&a, &c));
        c = b, c.digest = (struct fa_slice){NULL, 0};
        cr_assert(!same(&a, &c));
        c = b, c.timeout_ms++;
        cr_assert(!same(&a, &c));
        c = b, c.max_strikes++;
        cr_assert(!same(&a, &c));
        c = b, c.max_retries++;
        cr_assert(!same(&a, &c));
        c = b, c.priority++;
        cr_assert(!same(&a, &c));
        fa_blob_unref(a.payload);
        fa_blob_unref(b.payload);
}

Test(spec, payloads_are_compared_to_their_last_byte) {
        char bytes[64];

        for (size_t len = 0; len < 40; len++) {
                memset(bytes, 'a', len);
                bytes[len] = 0;
                struct fa_item a = item_new(bytes), longer, other;
                bytes[len] = 'a';
                bytes[len + 1] = 0;
                longer = item_new(bytes);
                cr_assert(!same(&a, &longer), "%zu bytes", len);
                bytes[len] = 0;
                if (len)
                        bytes[len - 1] = 'b';
                other = item_new(bytes);
                cr_assert_eq(same(&a, &other), len == 0, "%zu bytes", len);
                fa_blob_unref(a.payload);
                fa_blob_unref(longer.payload);
                fa_blob_unref(other.payload);
        }
}

Test(spec, the_same_letters_in_other_fields_are_other_bytes) {
        struct fa_item a = {.function = S("ab"), .queue = S("c")};
        struct fa_item b = {.function = S("a"), .queue = S("bc")};

        cr_assert(!same(&a, &b));
}

Test(spec, a_small_payload_is_inside_and_outlives_it) {
        const size_t lens[] = {1, 16, 64, 65};
        int64_t live = th_alloc_live();

        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
                uint8_t bytes[65];
                struct fa_item it = {.function = S("shout")};
                struct fa_blob *payload;
                struct fa_spec *s;
                memset(bytes, 'a', sizeof(bytes));
                cr_assert_eq(fa_blob_new(&it.payload, bytes, lens[i]), 0);
                s = spec_of(&it);
                cr_assert_eq(fa_spec_payload(s) != it.payload, lens[i] <= 64);
                fa_blob_unref(it.payload);
                payload = fa_blob_ref(fa_spec_payload(s));
                fa_spec_unref(s);
                cr_assert_eq(fa_blob_len(payload), lens[i]);
                cr_assert_eq(memcmp(fa_blob_ptr(payload), bytes, lens[i]), 0);
                cr_assert_eq(fa_blob_ptr(payload)[lens[i]], 0);
                fa_blob_unref(payload);
        }
        cr_assert_eq(th_alloc_live(), live);
}
