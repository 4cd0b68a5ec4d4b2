/* list.h - intrusive doubly linked list; a node that is in no list is linked to itself */
#pragma once

#include <stdbool.h>

#include "base/macros.h"

struct fa_list {
        struct fa_list *prev, *next;
};

#define FA_LIST_INIT(name)                                                                         \
        { &(name), &(name) }
#define fa_list_entry(ptr, type, member) fa_container_of(ptr, type, member)

static inline void fa_list_init(struct fa_list *l) {
        l->prev = l->next = l;
}

static inline bool fa_list_empty(const struct fa_list *l) {
        return l->next == l;
}

static inline void fa_list_insert_(struct fa_list *prev, struct fa_list *node) {
        node->prev = prev;
        node->next = prev->next;
        prev->next->prev = node; /* NOLINT(clang-analyzer-core.NullDereference): a ring */
        prev->next = node;
}

/* The node must be in no list. */
static inline void fa_list_push_back(struct fa_list *l, struct fa_list *node) {
        fa_list_insert_(l->prev, node);
}

static inline void fa_list_push_front(struct fa_list *l, struct fa_list *node) {
        fa_list_insert_(l, node);
}

/* Legal on an initialised node that is in no list. */
static inline void fa_list_remove(struct fa_list *node) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
        fa_list_init(node);
}

static inline struct fa_list *fa_list_first(const struct fa_list *l) {
        return fa_list_empty(l) ? NULL : l->next;
}

/* Takes the first node out; NULL when empty. */
static inline struct fa_list *fa_list_pop_front(struct fa_list *l) {
        struct fa_list *node = fa_list_first(l);
        if (node)
                fa_list_remove(node);
        return node;
}

#define fa_list_for_each(it, head) for ((it) = (head)->next; (it) != (head); (it) = (it)->next)
#define fa_list_for_each_safe(it, tmp, head)                                                       \
        for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head);                              \
             (it) = (tmp), (tmp) = (it)->next)
