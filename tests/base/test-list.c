#undef NDEBUG
#include <criterion/criterion.h>

#include "base/list.h"

struct item {
        int n;
        struct fa_list link;
};

static int pop(struct fa_list *l) {
        struct fa_list *node = fa_list_pop_front(l);

        return node ? fa_list_entry(node, struct item, link)->n : -1;
}

Test(list, items_come_in_the_order_of_pushing) {
        struct fa_list l = FA_LIST_INIT(l);
        struct item a = {.n = 1}, b = {.n = 2}, c = {.n = 3};

        cr_assert(fa_list_empty(&l));
        fa_list_push_back(&l, &b.link);
        fa_list_push_back(&l, &c.link);
        fa_list_push_front(&l, &a.link);
        cr_assert_not(fa_list_empty(&l));
        cr_assert_eq(pop(&l), 1);
        cr_assert_eq(pop(&l), 2);
        cr_assert_eq(pop(&l), 3);
        cr_assert_eq(pop(&l), -1);
        cr_assert_null(fa_list_first(&l));
}

Test(list, a_node_in_no_list_can_be_removed) {
        struct fa_list l = FA_LIST_INIT(l);
        struct item a = {.n = 1};

        fa_list_init(&a.link);
        fa_list_remove(&a.link);
        fa_list_push_back(&l, &a.link);
        fa_list_remove(&a.link);
        fa_list_remove(&a.link);
        cr_assert(fa_list_empty(&l));
}

Test(list, nodes_may_leave_during_a_safe_walk) {
        struct fa_list l = FA_LIST_INIT(l), *it, *tmp;
        struct item items[10];
        int sum = 0;

        for (int i = 0; i < 10; i++) {
                items[i].n = i;
                fa_list_push_back(&l, &items[i].link);
        }
        fa_list_for_each_safe (it, tmp, &l) {
                if (fa_list_entry(it, struct item, link)->n % 2)
                        fa_list_remove(it);
        }
        fa_list_for_each (it, &l) {
                sum += fa_list_entry(it, struct item, link)->n;
        }
        cr_assert_eq(sum, 0 + 2 + 4 + 6 + 8);
}
