/*
 * Messages: every type's round trip, the rights, sizes and limits that the golden vectors cannot
 * show in a file, and damage: every truncation of every vector, and random mutations.
 */
#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <faas/error.h>

#include "base/macros.h"
#include "fill.h"
#include "vector-file.h"
#include "wire/table.h"

static struct fa_slice slice(const char *s) {
        return (struct fa_slice){(const uint8_t *)s, strlen(s)};
}

static bool same_frames(const struct fa_frames *a, const struct fa_frames *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++) {
                if (fa_blob_len(a->v[i]) != fa_blob_len(b->v[i]) ||
                    memcmp(fa_blob_ptr(a->v[i]), fa_blob_ptr(b->v[i]), fa_blob_len(a->v[i])) != 0)
                        return false;
        }
        return true;
}

static bool same_blob(const struct fa_blob *a, const struct fa_blob *b) {
        return fa_blob_len(a) == fa_blob_len(b) &&
               memcmp(fa_blob_ptr(a), fa_blob_ptr(b), fa_blob_len(a)) == 0;
}

/* ret_len: of the envelope. */
static void check_comes_back(const struct fa_msg *m, size_t *ret_len) {
        const unsigned type = m->type;
        FA_CLEANUP(fa_msg_freep) struct fa_msg *back = NULL;
        FA_CLEANUP(fa_frames_deinit) struct fa_frames a = FA_FRAMES_NULL;
        FA_CLEANUP(fa_frames_deinit) struct fa_frames b = FA_FRAMES_NULL;

        cr_assert_eq(fa_msg_encode(m, &a), 0, "%s: %s", fa_msg_name(type), faas_error_text());
        cr_assert_eq(fa_msg_decode(&back, &a, fill_sender(type), NULL), 0, "%s", faas_error_text());
        cr_assert_eq(fa_msg_encode(back, &b), 0);
        cr_assert(same_frames(&a, &b));
        cr_assert_eq(back->type, type);
        cr_assert_eq(back->epoch, m->epoch);
        cr_assert_eq(back->n_items, m->n_items);
        cr_assert_eq(back->session, m->session);
        cr_assert_eq(back->n_names, m->n_names);
        cr_assert_eq(back->n_values, m->n_values);
        for (uint32_t i = 0; i < m->n_values; i++)
                cr_assert_eq(back->values[i], m->values[i]);
        for (uint32_t i = 0; i < m->n_items; i++) {
                const struct fa_item *x = &m->items[i], *y = &back->items[i];

                cr_assert_eq(memcmp(&x->id, &y->id, sizeof(x->id)), 0);
                cr_assert_eq(x->fence.partition, y->fence.partition);
                cr_assert_eq(x->fence.gen, y->fence.gen);
                cr_assert_eq(x->fence.n, y->fence.n);
                cr_assert(fa_slice_eq(x->function, y->function));
                cr_assert(fa_slice_eq(x->queue, y->queue));
                cr_assert(fa_slice_eq(x->digest, y->digest));
                cr_assert_eq(x->timeout_ms, y->timeout_ms);
                cr_assert_eq(x->max_strikes, y->max_strikes);
                cr_assert_eq(x->max_retries, y->max_retries);
                cr_assert_eq(x->strikes, y->strikes);
                cr_assert_eq(x->code, y->code);
                cr_assert_eq(x->priority, y->priority);
                cr_assert_eq(x->state, y->state);
                cr_assert_eq(x->failure, y->failure);
                cr_assert_eq(x->final, y->final);
                cr_assert(same_blob(x->payload, y->payload));
                cr_assert(same_blob(x->text, y->text));
                cr_assert(same_blob(x->log, y->log));
        }
        *ret_len = fa_blob_len(a.v[0]);
}

static void check_round_trip(unsigned type, uint32_t n_items, bool max) {
        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(type, n_items, max);
        size_t len;

        check_comes_back(m, &len);
}

Test(msg, every_type_comes_back_as_it_went) {
        for (unsigned type = 1; type < _FA_MSG_N; type++) {
                if (!fa_desc_of(type))
                        continue;
                check_round_trip(type, 0, false);
                check_round_trip(type, 1, false);
                check_round_trip(type, 200, false);
                check_round_trip(type, 3, true);
        }
}

static bool has_rows(unsigned type) {
        const struct fa_desc *d = fa_desc_of(type);

        return d && d->item && d->item->kind == FA_KIND_ID;
}

Test(msg, items_that_follow_each_other_take_no_room) {
        for (unsigned type = 1; type < _FA_MSG_N; type++) {
                size_t len[2];

                if (!has_rows(type))
                        continue;
                for (int row = 0; row < 2; row++) {
                        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(type, 1, false);

                        for (uint32_t i = 1; row && i < FA_BATCH_MAX; i++) {
                                cr_assert(fa_msg_add(m));
                                fill_next(m, i);
                        }
                        check_comes_back(m, &len[row]);
                }
                cr_assert_eq(len[1], len[0] + 2, "%s", fa_msg_name(type)); /* cc ff */
        }
}

/* Whatever differs keeps an item out of a row. */
Test(msg, an_item_that_differs_in_any_field_comes_back_as_it_was) {
        for (unsigned type = 1; type < _FA_MSG_N; type++) {
                const struct fa_field *f = has_rows(type) ? fa_desc_of(type)->item : NULL;
                size_t len;

                for (; f && f->name; f++) {
                        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(type, 4, false);
                        struct fa_item *it = &m->items[1];

                        for (uint32_t i = 1; i < 4; i++)
                                fill_next(m, i);
                        if (f->kind == FA_KIND_PAYLOAD)
                                fa_blob_unref(it->payload);
                        fill_field(f, it, true, 0);
                        if (fa_desc_of(type)->has_outcome)
                                it->failure = it->state == FAAS_FAILED ? FAAS_FAILURE_LIMIT
                                                                       : FAAS_FAILURE_NONE;
                        check_comes_back(m, &len);
                }
        }
}

Test(msg, ids_and_fences_count_on_in_their_last_part_only) {
        for (int what = 0; what < 3; what++) {
                FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(FA_MSG_ACK, 3, false);
                size_t len;

                fill_next(m, 1);
                fill_next(m, 2);
                m->items[2].id.b[7] ^= what == 0;
                m->items[2].fence.gen += what == 1;
                m->items[2].fence.partition += what == 2;
                check_comes_back(m, &len);
        }
}

Test(msg, rows_and_other_items_mix) {
        unsigned seed = 1;

        for (unsigned round = 0; round < 2000; round++) {
                const unsigned type = 1 + (unsigned)rand_r(&seed) % (_FA_MSG_N - 1);

                if (!has_rows(type))
                        continue;
                FA_CLEANUP(fa_msg_freep)
                struct fa_msg *m = filled(type, 1 + (uint32_t)rand_r(&seed) % 40, false);
                size_t len;
                for (uint32_t i = 1; i < m->n_items; i++) {
                        const int what = rand_r(&seed) % 8;

                        if (what < 6)
                                fill_next(m, i);
                        if (what == 5 && fa_desc_of(type)->has_payload) {
                                fa_blob_unref(m->items[i].payload);
                                m->items[i].payload = blob_of((size_t)rand_r(&seed) % 9000, 'x');
                        }
                }
                check_comes_back(m, &len);
        }
}

/* So nobody who counts with fa_item_size() ever meets FAAS_E_LIMIT. */
Test(msg, an_item_takes_no_more_than_its_size_says) {
        for (unsigned type = 1; type < _FA_MSG_N; type++) {
                size_t len[2], size = 0, names = 0;

                if (!fa_desc_of(type))
                        continue;
                for (uint32_t n = 0; n < 2; n++) {
                        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(type, n * 5, true);
                        FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;

                        cr_assert_eq(fa_msg_encode(m, &f), 0);
                        len[n] = fa_blob_len(f.v[0]);
                        if (m->n_items > 0)
                                size = fa_item_size(&m->items[0]);
                        for (uint32_t i = 0; i < m->n_names; i++)
                                names += m->names[i].len + 3;
                        names += m->n_values * 9u;
                        if (n == 0)
                                cr_assert_leq(len[0] + 2, FA_HEADER_SIZE + names + m->text.len +
                                                                  m->principal.len);
                }
                cr_assert_leq(len[1] - len[0], 5 * size, "%s", fa_msg_name(type));
        }
}

Test(msg, a_full_batch_with_the_longest_names_fits_an_envelope) {
        static const unsigned types[] = {FA_MSG_TASK, FA_MSG_SUBMIT, FA_MSG_REGISTER};

        for (size_t i = 0; i < FA_ARRAY_SIZE(types); i++) {
                FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(types[i], FA_BATCH_MAX, true);
                FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;
                size_t sum = 0;

                for (uint32_t k = 0; k < m->n_items; k++)
                        sum += fa_item_size(&m->items[k]);
                cr_assert_leq(sum, FA_ENVELOPE_ROOM);
                cr_assert_eq(fa_msg_encode(m, &f), 0);
        }
}

Test(msg, an_envelope_that_would_be_too_long_is_a_limit) {
        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(FA_MSG_RESULT, 13, true);
        FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;

        cr_assert_eq(fa_msg_encode(m, &f), FAAS_E_LIMIT);
        cr_assert_eq(f.n, 0);
        fa_blob_unref(m->items[--m->n_items].payload);
        fa_blob_unref(m->items[m->n_items].text);
        fa_blob_unref(m->items[m->n_items].log);
        cr_assert_eq(fa_msg_encode(m, &f), 0);
}

Test(msg, blobs_over_their_limit_are_a_limit) {
        static const size_t limits[] = {FA_PAYLOAD_MAX, FA_TEXT_MAX, FA_LOG_MAX};

        for (size_t i = 0; i < FA_ARRAY_SIZE(limits); i++) {
                for (size_t over = 0; over < 2; over++) {
                        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(FA_MSG_RESULT, 1, false);
                        FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;
                        struct fa_item *it = &m->items[0];
                        struct fa_blob **at = i == 0 ? &it->payload : i == 1 ? &it->text : &it->log;

                        fa_blob_unref(*at);
                        *at = blob_of(limits[i] + over, 'x');
                        cr_assert_eq(fa_msg_encode(m, &f), over ? FAAS_E_LIMIT : 0);
                }
        }
}

Test(msg, roles_may_send_what_the_table_says_and_nothing_else) {
        static const char *const rights[_FA_MSG_N] = {
                /* client, worker, dispatcher */
                [0] = "---",
                [FA_MSG_HELLO] = "cw-",
                [FA_MSG_WELCOME] = "--d",
                [FA_MSG_REGISTER] = "-w-",
                [FA_MSG_REQUEST] = "-w-",
                [FA_MSG_TASK] = "--d",
                [FA_MSG_STARTED] = "-w-",
                [FA_MSG_RESULT] = "-w-",
                [FA_MSG_ACK] = "--d",
                [FA_MSG_STALE] = "--d",
                [FA_MSG_NOT_MINE] = "--d",
                [FA_MSG_RETURN] = "-w-",
                [FA_MSG_BEAT] = "cwd",
                [FA_MSG_DISCONNECT] = "cwd",
                [FA_MSG_SUBMIT] = "c--",
                [FA_MSG_ACCEPTED] = "--d",
                [FA_MSG_WAIT] = "c--",
                [FA_MSG_DONE] = "--d",
                [FA_MSG_STATUS] = "c--",
                [FA_MSG_CANCEL] = "c-d",
                [FA_MSG_COLLECTED] = "c--",
                [FA_MSG_PROGRESS] = "---",
                [FA_MSG_ADOPT] = "--d",
                [FA_MSG_QUERY] = "c--",
                [FA_MSG_REPORT] = "--d",
        };

        for (unsigned type = 0; type < _FA_MSG_N; type++) {
                for (unsigned role = 0; role < _FA_ROLE_N; role++) {
                        const bool right = rights[type][role] != '-';

                        cr_assert_eq(fa_msg_authorise((enum fa_role)role, (enum fa_msg_type)type),
                                     right, "%s %s", fa_role_name(role), fa_msg_name(type));
                        if (!fa_desc_of(type))
                                continue;
                        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(type, 1, false);
                        FA_CLEANUP(fa_msg_freep) struct fa_msg *back = NULL;
                        FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;

                        cr_assert_eq(fa_msg_encode(m, &f), 0);
                        cr_assert_eq(fa_msg_decode(&back, &f, (enum fa_role)role, NULL),
                                     right ? 0 : FAAS_E_PROTO);
                }
        }
        cr_assert_not(fa_msg_authorise(_FA_ROLE_N, FA_MSG_BEAT));
        cr_assert_not(fa_msg_authorise(FA_ROLE_CLIENT, (enum fa_msg_type)1000));
}

Test(msg, every_type_and_role_has_a_name) {
        for (unsigned type = 1; type < _FA_MSG_N; type++)
                cr_assert_str_neq(fa_msg_name(type), "?");
        cr_assert_str_eq(fa_msg_name(0), "?");
        cr_assert_str_eq(fa_msg_name(_FA_MSG_N), "?");
        cr_assert_str_eq(fa_msg_name(FA_MSG_NOT_MINE), "NOT_MINE");
        cr_assert_str_eq(fa_role_name(FA_ROLE_WORKER), "worker");
        cr_assert_str_eq(fa_role_name(_FA_ROLE_N), "?");
}

Test(msg, names_are_of_the_allowed_letters_and_length) {
        char longest[FA_NAME_MAX + 2];

        memset(longest, 'a', sizeof(longest));
        longest[FA_NAME_MAX + 1] = '\0';
        cr_assert_not(fa_name_valid(slice(longest)));
        longest[FA_NAME_MAX] = '\0';
        cr_assert(fa_name_valid(slice(longest)));
        cr_assert_not(fa_name_valid(slice("")));
        cr_assert_not(fa_name_valid((struct fa_slice){NULL, 0}));
        for (unsigned c = 0; c < 256; c++) {
                const uint8_t b = (uint8_t)c;
                const bool legal =
                        c && strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", (int)c) != NULL;

                cr_assert_eq(fa_name_valid((struct fa_slice){&b, 1}), legal, "%u", c);
        }
}

Test(msg, an_error_names_the_type_the_item_and_the_field) {
        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(FA_MSG_TASK, 5, false);
        FA_CLEANUP(fa_msg_freep) struct fa_msg *back = NULL;
        FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;
        uint8_t *bad;

        for (uint32_t i = 0; i < m->n_items; i++)
                m->items[i].function = i == 3 ? slice("here") : slice("echo");
        cr_assert_eq(fa_msg_encode(m, &f), 0);
        bad = memmem((uint8_t *)(uintptr_t)f.v[0]->p, f.v[0]->len, "here", 4);
        bad[0] = 'H';
        cr_assert_eq(fa_msg_decode(&back, &f, FA_ROLE_DISPATCHER, NULL), FAAS_E_PROTO);
        cr_assert_str_eq(faas_error_text(), "TASK: item 3: function: not a valid name");
        cr_assert_null(back);
}

Test(msg, small_payloads_are_copied_and_large_ones_refer_to_their_frame) {
        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(FA_MSG_TASK, 2, false);
        FA_CLEANUP(fa_msg_freep) struct fa_msg *back = NULL;
        FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;

        m->items[0].function = m->items[1].function = slice("echo");
        fa_blob_unref(m->items[0].payload);
        m->items[0].payload = blob_of(FA_INLINE_MAX, 's');
        fa_blob_unref(m->items[1].payload);
        m->items[1].payload = blob_of(FA_INLINE_MAX + 1, 'l');
        cr_assert_eq(fa_msg_encode(m, &f), 0);
        cr_assert_eq(f.n, 3);
        cr_assert_eq(f.v[1], m->items[0].payload); /* alone in its frame: nothing to join */
        cr_assert_eq(f.v[2], m->items[1].payload);
        cr_assert_eq(fa_msg_decode(&back, &f, FA_ROLE_DISPATCHER, NULL), 0);
        cr_assert_neq(back->items[0].payload, f.v[1]);
        cr_assert_eq(back->items[1].payload, f.v[2]);
        m = fa_msg_free(m);
        fa_frames_deinit(&f);
        cr_assert_eq(back->items[0].payload->refs, 1);
        cr_assert_eq(back->items[1].payload->refs, 1);
        cr_assert_eq(back->items[1].payload->p[FA_INLINE_MAX], 'l');
        cr_assert(fa_slice_eq(back->items[1].function, slice("echo")));
}

Test(msg, encoding_uses_the_vector_of_frames_again) {
        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = filled(FA_MSG_TASK, 3, true);
        FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;
        struct fa_blob **v;

        cr_assert_eq(fa_msg_encode(m, &f), 0);
        v = f.v;
        fa_frames_clear(&f);
        cr_assert_eq(fa_msg_encode(m, &f), 0);
        cr_assert_eq(f.v, v);
        cr_assert_eq(f.n, 4);
}

Test(msg, no_frames_at_all_are_refused) {
        struct fa_frames none = FA_FRAMES_NULL;
        struct fa_msg *m = NULL;

        cr_assert_eq(fa_msg_decode(&m, &none, FA_ROLE_WORKER, NULL), FAAS_E_PROTO);
}

Test(msg, another_version_is_told_with_both_numbers) {
        static const uint8_t bytes[] = {0x92, 0x07, 0x80};
        FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;
        struct fa_msg *m = NULL;
        struct fa_blob *b = NULL;
        unsigned version = 0;

        cr_assert_eq(fa_blob_new(&b, bytes, sizeof(bytes)), 0);
        cr_assert_eq(fa_frames_push(&f, b), 0);
        cr_assert_eq(fa_msg_decode(&m, &f, FA_ROLE_WORKER, &version), FAAS_E_VERSION);
        cr_assert_eq(version, 7);
        cr_assert_str_eq(faas_error_text(),
                         "the peer speaks protocol version 7, this side version 2");
}

/* ---- damage --------------------------------------------------------------------------------- */

/* A copy of the vector's frames whose first one is these bytes. */
static void
with_envelope(struct fa_frames *ret, const struct fa_frames *like, const uint8_t *p, size_t len) {
        struct fa_blob *b = NULL;

        assert(fa_blob_new(&b, p, len) == 0);
        assert(fa_frames_push(ret, b) == 0);
        for (size_t i = 1; i < like->n; i++)
                assert(fa_frames_push(ret, fa_blob_ref(like->v[i])) == 0);
}

static void truncate_vector(const char *name, const struct vector *v) {
        const struct fa_blob *whole = v->in.v[0];

        for (size_t len = 0; len<whole->len; len += whole->len> 8192 ? 97 : 1) {
                FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;
                struct fa_msg *m = NULL;

                with_envelope(&f, &v->in, whole->p, len);
                cr_assert_eq(fa_msg_decode(&m, &f, v->role, NULL), FAAS_E_PROTO, "%s cut to %zu",
                             name, len);
                cr_assert_null(m);
        }
        for (size_t n = 1; n < v->in.n; n++) {
                FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;
                struct fa_msg *m = NULL;

                for (size_t i = 0; i < n; i++)
                        assert(fa_frames_push(&f, fa_blob_ref(v->in.v[i])) == 0);
                cr_assert_eq(fa_msg_decode(&m, &f, v->role, NULL), FAAS_E_PROTO, "%s: %zu frames",
                             name, n);
        }
}

Test(msg, every_truncation_of_a_valid_message_is_refused) {
        cr_assert_gt(vector_each("y_", truncate_vector), 40);
}

static uint64_t random_state = 20240607;
static unsigned n_passed, n_refused;

static uint32_t random_below(uint32_t n) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(random_state >> 33) % n;
}

/* What passes must be a message: it encodes, and decodes to itself. */
static void mutate_vector(const char *name, const struct vector *v) {
        static uint8_t b[4096];
        const size_t len = fa_blob_len(v->in.v[0]);

        if (len == 0 || len > sizeof(b))
                return;
        for (int i = 0; i < 1000; i++) {
                FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;
                FA_CLEANUP(fa_frames_deinit) struct fa_frames a = FA_FRAMES_NULL;
                FA_CLEANUP(fa_frames_deinit) struct fa_frames again = FA_FRAMES_NULL;
                FA_CLEANUP(fa_msg_freep) struct fa_msg *m = NULL;
                FA_CLEANUP(fa_msg_freep) struct fa_msg *back = NULL;
                int r;

                memcpy(b, v->in.v[0]->p, len);
                for (uint32_t k = 1 + random_below(3); k > 0; k--)
                        b[random_below((uint32_t)len)] = (uint8_t)random_below(256);
                with_envelope(&f, &v->in, b, len);
                r = fa_msg_decode(&m, &f, v->role, NULL);
                cr_assert(r == 0 || r == FAAS_E_PROTO || r == FAAS_E_VERSION);
                if (r) {
                        n_refused++;
                        continue;
                }
                n_passed++;
                cr_assert_eq(fa_msg_encode(m, &a), 0, "%s: %s", name, faas_error_text());
                cr_assert_eq(fa_msg_decode(&back, &a, v->role, NULL), 0);
                cr_assert_eq(fa_msg_encode(back, &again), 0);
                cr_assert(same_frames(&a, &again));
        }
}

Test(msg, mutated_messages_are_refused_or_are_messages) {
        vector_each("y_", mutate_vector);
        cr_assert_gt(n_passed, 1000);
        cr_assert_gt(n_refused, 1000);
}
