#undef NDEBUG
#include <stdlib.h>

#include <criterion/criterion.h>

#include "model/op.h"
#include "th-alloc.h"

static struct fa_spec *spec_new(void) {
        struct fa_item it = {.function = {(const uint8_t *)"echo", 4}};
        struct fa_spec *s = NULL;

        cr_assert_eq(fa_blob_new(&it.payload, "abc", 3), 0);
        cr_assert_eq(fa_spec_new(&s, &it), 0);
        fa_blob_unref(it.payload);
        return s;
}

static struct fa_outcome outcome_new(void) {
        struct fa_outcome o = FA_OUTCOME_NULL;

        fa_outcome_fail(&o, FAAS_FAILURE_CRASHED, 11, "signal 11");
        cr_assert_eq(fa_blob_new(&o.payload, "abc", 3), 0);
        cr_assert_eq(fa_blob_new(&o.log, "log", 3), 0);
        return o;
}

Test(op, a_group_grows_and_keeps_the_order) {
        struct fa_group *g = NULL;
        int64_t live = th_alloc_live();

        cr_assert_eq(fa_group_new(&g), 0);
        for (unsigned i = 0; i < 1000; i++) {
                struct fa_op *op = fa_group_add(g, FA_OP_ACCEPT);
                cr_assert_not_null(op);
                cr_assert_eq(op->r, 0);
                cr_assert_null(op->spec);
                cr_assert_null(op->more);
                op->partition = i;
                op->spec = spec_new();
        }
        cr_assert_eq(g->n, 1000);
        for (unsigned i = 0; i < 1000; i++) {
                cr_assert_eq(g->ops[i].kind, FA_OP_ACCEPT);
                cr_assert_eq(g->ops[i].partition, i);
        }
        cr_assert_null(fa_group_free(g));
        cr_assert_eq(th_alloc_live(), live);
}

Test(op, the_rare_operations_bring_what_they_need) {
        struct fa_group *g = NULL;

        cr_assert_eq(fa_group_new(&g), 0);
        for (unsigned kind = 0; kind < _FA_OP_N; kind++) {
                const struct fa_op *op = fa_group_add(g, (enum fa_op_kind)kind);
                bool rare = kind == FA_OP_START || kind == FA_OP_REBIND || kind == FA_OP_TICK ||
                            kind == FA_OP_LOAD;
                cr_assert_not_null(op);
                cr_assert_eq(op->more != NULL, rare, "kind %u", kind);
        }
        fa_group_free(g);
}

Test(op, the_last_op_can_be_taken_out_again) {
        struct fa_group *g = NULL;
        int64_t live = th_alloc_live();

        cr_assert_eq(fa_group_new(&g), 0);
        fa_group_add(g, FA_OP_HINT)->partition = 1;
        struct fa_op *op = fa_group_add(g, FA_OP_TICK);
        op->more->owned = calloc(1, sizeof(*op->more->owned));
        op->outcome = outcome_new();
        fa_group_drop_last(g);
        cr_assert_eq(g->n, 1);
        op = fa_group_add(g, FA_OP_GET); /* its place is clean */
        cr_assert_null(op->more);
        cr_assert_null(op->outcome.payload);
        cr_assert_eq(g->ops[0].partition, 1);
        fa_group_free(g);
        cr_assert_eq(th_alloc_live(), live);
}

Test(op, a_group_is_freed_with_all_its_answers) {
        struct fa_group *g = NULL;
        int64_t live = th_alloc_live();

        cr_assert_eq(fa_group_new(&g), 0);
        struct fa_op *op = fa_group_add(g, FA_OP_FINISH);
        op->outcome = outcome_new();
        op->rec = calloc(1, sizeof(*op->rec));
        op->rec->spec = spec_new();
        op->rec->outcome = outcome_new();
        op = fa_group_add(g, FA_OP_LOAD);
        op->more->recs = calloc(2, sizeof(*op->more->recs));
        for (op->more->n_recs = 0; op->more->n_recs < 2; op->more->n_recs++)
                op->more->recs[op->more->n_recs].spec = spec_new();
        op = fa_group_add(g, FA_OP_TICK);
        op->more->leases = calloc(3, sizeof(*op->more->leases));
        op->more->owned = calloc(3, sizeof(*op->more->owned));
        fa_group_free(g);
        cr_assert_eq(th_alloc_live(), live);
        cr_assert_null(fa_group_free(NULL));
}

Test(op, a_copied_record_lives_longer_than_the_first) {
        int64_t live = th_alloc_live();
        struct fa_record a = {.state = FAAS_FAILED, .strikes = 3}, b, empty = {.state = 0};

        a.spec = spec_new();
        a.outcome = outcome_new();
        fa_record_copy(&b, &a);
        fa_record_deinit(&a);
        cr_assert_eq(b.strikes, 3);
        cr_assert_eq(fa_blob_len(fa_spec_payload(b.spec)), 3);
        cr_assert_str_eq((const char *)fa_blob_ptr(b.outcome.text), "signal 11");
        fa_record_deinit(&b);
        fa_record_copy(&b, &empty);
        fa_record_deinit(&b);
        cr_assert_eq(th_alloc_live(), live);
}

Test(op, fences_are_ordered_by_generation_and_then_by_number) {
        const struct fa_fence f[] = {{5, 1, 0}, {5, 1, 1}, {5, 1, 9}, {5, 2, 1}, {5, 2, 2}};
        const struct fa_fence other = {6, 1, 1};

        for (int i = 0; i < 5; i++)
                for (int k = 0; k < 5; k++) {
                        cr_assert_eq(fa_fence_cmp(&f[i], &f[k]), (i > k) - (i < k));
                        cr_assert_eq(fa_fence_eq(&f[i], &f[k]), i == k);
                }
        cr_assert(!fa_fence_eq(&f[1], &other));
}

Test(op, three_states_are_final) {
        for (unsigned s = 0; s < 256; s++)
                cr_assert_eq(fa_state_final((uint8_t)s),
                             s == FAAS_COMPLETED || s == FAAS_FAILED || s == FAAS_CANCELLED);
}
