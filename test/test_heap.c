/* test/test_heap.c -- coir_i_heap: how it grows and shrinks
 *
 * In which order items come out is in test_queue.c. */
#include "sched/heap.h"
#include "test/harness.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static size_t give(coir_i_heap *h)
{
    size_t size = coir_i_heap_segment_size(h);
    ck_assert_ptr_null(coir_i_heap_give(h, malloc(size), size));
    return size;
}

START_TEST(segment_that_comes_second_is_given_back)
{
    coir_i_heap h;
    coir_i_heap_init(&h, sizeof(int), 0, compare);
    size_t size = coir_i_heap_segment_size(&h);
    void *first = malloc(size), *second = malloc(size);
    ck_assert_ptr_null(coir_i_heap_give(&h, first, size));
    ck_assert_ptr_eq(coir_i_heap_give(&h, second, size), second);
    free(second);
    coir_i_heap_end(&h);
}
END_TEST

START_TEST(heap_with_a_bound_has_just_the_room_that_it_needs)
{
    for (size_t capacity = 1; capacity < 300; capacity++) {
        coir_i_heap h;
        size_t bytes = 0, item = 0;
        coir_i_heap_init(&h, sizeof item, capacity, compare);
        while (!coir_i_heap_is_filled(&h))
            bytes += give(&h);
        ck_assert_uint_eq(bytes, capacity * h.stride);
        for (size_t i = 0; i < capacity; i++) {
            ck_assert(coir_i_heap_has_room(&h));
            coir_i_heap_put(&h, &item);
        }
        for (size_t i = 0; i < capacity; i++)
            ck_assert_ptr_null(coir_i_heap_take(&h, &item));
        coir_i_heap_end(&h);
    }
}
END_TEST

START_TEST(heap_without_a_bound_gives_back_what_it_does_not_need)
{
    enum { MANY = 100000 };
    coir_i_heap h;
    int given = 0, back = 0, item;
    coir_i_heap_init(&h, sizeof item, 0, compare);
    for (int i = 0; i < MANY; i++) {
        while (!coir_i_heap_has_room(&h)) {
            give(&h);
            given++;
        }
        coir_i_heap_put(&h, &i);
    }
    for (int i = 0; i < MANY; i++) {
        void *segment = coir_i_heap_take(&h, &item);
        ck_assert_int_eq(item, i);
        back += segment != NULL;
        free(segment);
    }
    ck_assert_int_eq(back, given - 1);
    /* It does not ask for one and give it back by turns. */
    for (int i = 0; i < 100; i++) {
        ck_assert(coir_i_heap_has_room(&h));
        coir_i_heap_put(&h, &i);
        ck_assert_ptr_null(coir_i_heap_take(&h, &item));
    }
    coir_i_heap_end(&h);
}
END_TEST

COIR_SUITE(heap, TEST_ONCE)
{
    TCase *room = test_case(suite, "room");
    tcase_add_test(room, segment_that_comes_second_is_given_back);
    tcase_add_test(room, heap_with_a_bound_has_just_the_room_that_it_needs);
    tcase_add_test(room, heap_without_a_bound_gives_back_what_it_does_not_need);
}
