/* test/test_queue.c -- coir_queue: in which order items come out
 *
 * Who waits is in test_queue_wait.c; done, join and shutdown are in
 * test_queue_end.c, want of memory is in test_queue_memory.c. */
#include <coir/nursery.h>
#include <coir/queue.h>
#include <coir/run.h>

#include "test/harness.h"
#include "test/queue_script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Orders ---- */

static void put_and_get(const int *in, const int *out, int count)
{
    int item;
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(coir_queue_try_put(queue, &in[i]), 0);
    for (int i = 0; i < count; i++) {
        ck_assert_uint_eq(coir_queue_length(queue), (size_t)(count - i));
        ck_assert_int_eq(coir_queue_try_get(queue, &item), 0);
        ck_assert_int_eq(item, out[i]);
    }
    ck_assert_int_eq(coir_queue_try_get(queue, &item), -EAGAIN);
}

START_TEST(fifo_gives_the_oldest_first)
{
    const int in[] = {11, 12, 5, 14}, out[] = {11, 12, 5, 14};
    make_queue(COIR_FIFO, 0);
    put_and_get(in, out, 4);
    free_queue();
}
END_TEST

START_TEST(lifo_gives_the_youngest_first)
{
    const int in[] = {11, 12, 5, 14}, out[] = {14, 5, 12, 11};
    make_queue(COIR_LIFO, 0);
    put_and_get(in, out, 4);
    free_queue();
}
END_TEST

START_TEST(priority_gives_the_least_first_and_equals_in_order)
{
    const int in[] = {31, 11, 32, 12, 22, 33, 13, 21, 10};
    const int out[] = {11, 12, 13, 10, 22, 21, 31, 32, 33};
    make_queue(COIR_PRIORITY, 0);
    put_and_get(in, out, 9);
    put_and_get(in, out, 9); /* and so it goes on */
    free_queue();
}
END_TEST

/* A model of a queue: what is in it, and in which order it came. */
struct model {
    int items[4000];
    int count;
};

static int take_from_model(struct model *m, enum coir_order order)
{
    int at = order == COIR_LIFO ? m->count - 1 : 0;
    for (int i = 1; order == COIR_PRIORITY && i < m->count; i++)
        if (compare_tens(&m->items[i], &m->items[at]) < 0)
            at = i;
    int item = m->items[at];
    memmove(&m->items[at], &m->items[at + 1],
            (size_t)(m->count - at - 1) * sizeof item);
    m->count--;
    return item;
}

/* At random, up to `most`, filling and emptying it by turns. */
static void play_model(enum coir_order order, size_t capacity, int most)
{
    struct model *m = calloc(1, sizeof *m);
    uint64_t state = test_seed((uint64_t)order + capacity);
    int wrong = 0, item, steps = (int)test_scaled(60000);
    make_queue(order, capacity);
    for (int i = 0; i < steps || m->count > 0; i++) {
        uint64_t bias = i / (3 * most) % 2 || i >= steps ? 1 : 5;
        bool puts = test_random_below(&state, 6) < bias;
        if (puts && m->count < most && i < steps) {
            item = (int)test_random_below(&state, 500);
            wrong += coir_queue_try_put(queue, &item) != 0;
            m->items[m->count++] = item;
        } else if (puts && m->count == (int)capacity && i < steps) {
            wrong += coir_queue_try_put(queue, &item) != -EAGAIN;
        } else if (!puts && m->count > 0) {
            wrong += coir_queue_try_get(queue, &item) != 0;
            wrong += item != take_from_model(m, order);
        }
        wrong += coir_queue_length(queue) != (size_t)m->count;
    }
    wrong += coir_queue_try_get(queue, &item) != -EAGAIN;
    ck_assert_int_eq(wrong, 0);
    free_queue();
    free(m);
}

START_TEST(items_come_in_order_however_many_there_are)
{
    for (int order = COIR_FIFO; order <= COIR_PRIORITY; order++)
        play_model((enum coir_order)order, 0, 3500);
}
END_TEST

START_TEST(items_come_in_order_from_a_queue_with_a_bound)
{
    const int capacities[] = {1, 2, 3, 31, 32, 33, 97, 1007, 1009, 3000};
    for (int order = COIR_FIFO; order <= COIR_PRIORITY; order++)
        for (int i = 0; i < 10; i++)
            play_model((enum coir_order)order, (size_t)capacities[i],
                       capacities[i]);
}
END_TEST

/* ---- Items ---- */

START_TEST(items_of_any_size_arrive_whole)
{
    char in[300], out[300];
    for (size_t size = 0; size < sizeof in; size++) {
        coir_queue *q;
        int rc = coir_queue_new(&q, size, size % 3, COIR_FIFO, NULL);
        ck_assert_int_eq(rc, 0);
        memset(in, 'a', sizeof in);
        memset(out, 'z', sizeof out);
        ck_assert_int_eq(coir_queue_try_put(q, in), 0);
        ck_assert_int_eq(coir_queue_try_get(q, out), 0);
        ck_assert_int_eq(memcmp(in, out, size), 0);
        ck_assert_int_eq(out[size], 'z');
        ck_assert_int_eq(coir_queue_free(q), 0);
    }
}
END_TEST

static int wrong;

struct wide {
    _Alignas(16) long order;
    char rest[24];
};

static int compare_wide(const void *a, const void *b)
{
    const struct wide *left = a, *right = b;
    wrong += (uintptr_t)a % _Alignof(struct wide) != 0;
    wrong += (uintptr_t)b % _Alignof(struct wide) != 0;
    wrong += left->rest[left->order % 24] != (char)left->order;
    return (left->order > right->order) - (left->order < right->order);
}

START_TEST(compare_sees_whole_items_where_they_are_aligned)
{
    coir_queue *q;
    struct wide item;
    ck_assert_int_eq(
        coir_queue_new(&q, sizeof item, 0, COIR_PRIORITY, compare_wide), 0);
    for (long i = 0; i < 500; i++) {
        item.order = i * 7 % 500;
        memset(item.rest, (char)item.order, sizeof item.rest);
        ck_assert_int_eq(coir_queue_try_put(q, &item), 0);
    }
    for (long i = 0; i < 500; i++) {
        ck_assert_int_eq(coir_queue_try_get(q, &item), 0);
        ck_assert_int_eq(item.order, i);
    }
    ck_assert_int_eq(coir_queue_free(q), 0);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

enum { HANDED = 20000 };

struct parcel {
    int number;
};

static int put_parcels(void *arg)
{
    struct parcel *parcels = arg;
    int rc = 0;
    for (int i = 0; i < HANDED && rc == 0; i++) {
        struct parcel *p = &parcels[i];
        p->number = i;
        rc = coir_queue_put(queue, &p);
    }
    coir_queue_shutdown(queue, false);
    return rc;
}

static int get_parcels(void *arg)
{
    (void)arg;
    struct parcel *p;
    int64_t sum = 0;
    int rc;
    while ((rc = coir_queue_get(queue, &p)) == 0)
        sum += p->number++; /* and so writes */
    ck_assert_int_eq(rc, -EPIPE);
    ck_assert_int_eq(sum, (int64_t)HANDED * (HANDED - 1) / 2);
    return 0;
}

static int compare_parcels(const void *a, const void *b)
{
    struct parcel *const *left = a, *const *right = b;
    return (*left)->number - (*right)->number;
}

static int hand_over(void *arg)
{
    static struct parcel parcels[HANDED];
    coir_nursery nursery;
    enum coir_order order = *(enum coir_order *)arg;
    ck_assert_int_eq(coir_queue_new(&queue, sizeof(struct parcel *), 100, order,
                                    compare_parcels),
                     0);
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, get_parcels, NULL);
    if (rc == 0)
        rc = coir_go(&nursery, put_parcels, parcels);
    rc = coir_nursery_close_with(&nursery, rc);
    for (int i = 0; i < HANDED && rc == 0; i++)
        rc = parcels[i].number - (i + 1);
    free_queue();
    return rc;
}

START_TEST(what_an_item_points_to_is_handed_over_with_it)
{
    for (enum coir_order order = COIR_FIFO; order <= COIR_PRIORITY; order++)
        ck_assert_int_eq(coir_run(hand_over, &order), 0);
}
END_TEST

COIR_SUITE(queue, TEST_WORKERS | TEST_SEEDED)
{
    TCase *orders = test_case(suite, "orders");
    tcase_add_test(orders, fifo_gives_the_oldest_first);
    tcase_add_test(orders, lifo_gives_the_youngest_first);
    tcase_add_test(orders, priority_gives_the_least_first_and_equals_in_order);
    tcase_add_test(orders, items_come_in_order_however_many_there_are);
    tcase_add_test(orders, items_come_in_order_from_a_queue_with_a_bound);

    TCase *items = test_case(suite, "items");
    tcase_add_test(items, items_of_any_size_arrive_whole);
    tcase_add_test(items, compare_sees_whole_items_where_they_are_aligned);
    tcase_add_test(items, what_an_item_points_to_is_handed_over_with_it);
}
