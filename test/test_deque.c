/* test/test_deque.c -- coir_i_deque: items in a row, taken from either end */
#include "sched/deque.h"
#include "test/harness.h"

#include <stdlib.h>

enum { MOST = 3000 };

struct model {
    int items[MOST * 30];
    int first, last; /* one past it */
};

/* With blocks whenever it wants one, as a queue does it. */
static void put(coir_i_deque *d, int item)
{
    while (!coir_i_deque_has_room(d)) {
        void *block = malloc(coir_i_deque_block_size(d));
        ck_assert_ptr_nonnull(block);
        free(coir_i_deque_give(d, block));
    }
    coir_i_deque_put(d, &item);
}

static void start(coir_i_deque *d, size_t capacity)
{
    coir_i_deque_init(d, sizeof(int), capacity);
    while (!coir_i_deque_is_filled(d))
        ck_assert_ptr_null(
            coir_i_deque_give(d, malloc(coir_i_deque_block_size(d))));
}

/* More is put than taken, then more taken than put, at both ends. */
static int play_model(coir_i_deque *d, int capacity, struct model *m)
{
    uint64_t state = test_seed((uint64_t)capacity);
    int wrong = 0, item;
    m->first = m->last = 0;
    for (int i = 0; i < MOST * 20; i++) {
        bool grows = i / MOST % 2 == 0;
        if (test_random_below(&state, 6) < (grows ? 5 : 1)) {
            if (m->last - m->first == capacity)
                continue;
            m->items[m->last] = i;
            wrong += capacity < MOST && !coir_i_deque_has_room(d);
            put(d, m->items[m->last++]);
        } else if (m->first < m->last) {
            bool first = test_random_below(&state, 2);
            free(first ? coir_i_deque_take_first(d, &item)
                       : coir_i_deque_take_last(d, &item));
            wrong += item != m->items[first ? m->first++ : --m->last];
        }
    }
    return wrong;
}

START_TEST(deque_gives_what_was_put_from_either_end)
{
    const int capacities[] = {1, 2, 9, 1000, 2999, MOST * 20};
    struct model *m = malloc(sizeof *m);
    for (int i = 0; i < 6; i++) {
        coir_i_deque d;
        start(&d, capacities[i] < MOST ? (size_t)capacities[i] : 0);
        ck_assert_int_eq(play_model(&d, capacities[i], m), 0);
        coir_i_deque_end(&d);
    }
    free(m);
}
END_TEST

START_TEST(deque_that_was_cleared_begins_anew)
{
    coir_i_deque d;
    int item;
    start(&d, 0);
    for (int i = 0; i < MOST; i++)
        put(&d, i);
    coir_i_deque_clear(&d);
    for (int i = 0; i < MOST; i++)
        put(&d, i);
    for (int i = 0; i < MOST; i++) {
        free(coir_i_deque_take_first(&d, &item));
        ck_assert_int_eq(item, i);
    }
    coir_i_deque_end(&d);
}
END_TEST

COIR_SUITE(deque, TEST_ONCE)
{
    TCase *ends = test_case(suite, "both ends");
    tcase_add_test(ends, deque_gives_what_was_put_from_either_end);
    tcase_add_test(ends, deque_that_was_cleared_begins_anew);
}
