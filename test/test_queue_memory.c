/* test/test_queue_memory.c -- queues, channels and select where memory lacks
 *
 * What is refused is refused clearly, and nothing is lost. */
#include <coir/chan.h>
#include <coir/queue.h>
#include <coir/run.h>

#include "test/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Address space, for the rest of this process. */
static void lower_limit(void)
{
    const struct rlimit limit = {64UL << 20, 64UL << 20};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

static int compare(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void fill_and_drain(enum coir_order order)
{
    coir_queue *q;
    int64_t count = 0, item, wrong = 0;
    int rc;
    ck_assert_int_eq(coir_queue_new(&q, sizeof count, 0, order, compare), 0);
    while ((rc = coir_queue_try_put(q, &count)) == 0)
        count++;
    ck_assert_int_eq(rc, -ENOMEM);
    ck_assert_int_gt(count, 100000);
    ck_assert_uint_eq(coir_queue_length(q), (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        wrong += coir_queue_try_get(q, &item) != 0;
        wrong += item != (order == COIR_LIFO ? count - 1 - i : i);
        if (i == count / 2) /* it gives memory back, and takes it again */
            wrong += coir_queue_try_put(q, &count) != 0;
        if (i == count / 2 && order == COIR_LIFO)
            wrong += coir_queue_try_get(q, &item) != 0;
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_uint_eq(coir_queue_length(q), order == COIR_LIFO ? 0 : 1);
    ck_assert_int_eq(coir_queue_free(q), 0);
}

START_TEST(put_is_refused_and_loses_nothing)
{
    lower_limit();
    for (int order = COIR_FIFO; order <= COIR_PRIORITY; order++)
        fill_and_drain((enum coir_order)order);
}
END_TEST

START_TEST(queue_with_too_great_a_bound_is_refused)
{
    coir_queue *q;
    lower_limit();
    for (int order = COIR_FIFO; order <= COIR_PRIORITY; order++)
        ck_assert_int_eq(
            coir_queue_new(&q, 8, 1 << 24, (enum coir_order)order, compare),
            -ENOMEM);
}
END_TEST

/* What a queue with a bound needs it has: no put is refused. */
START_TEST(queue_with_a_bound_needs_no_more)
{
    for (int order = COIR_FIFO; order <= COIR_PRIORITY; order++) {
        coir_queue *q;
        int64_t item = 0, wrong = 0;
        int rc = coir_queue_new(&q, sizeof item, 100000, (enum coir_order)order,
                                compare);
        ck_assert_int_eq(rc, 0);
        void *hog = NULL; /* all the rest */
        lower_limit();
        for (size_t size = 64 << 20; size >= 64; size /= 2)
            for (void **more; (more = malloc(size)); hog = more)
                *more = hog;
        for (int i = 0; i < 250000; i++) {
            wrong += coir_queue_try_put(q, &item) != 0;
            if (i >= 99999)
                wrong += coir_queue_try_get(q, &item) != 0;
        }
        for (void *next; hog; hog = next) {
            next = *(void **)hog;
            free(hog);
        }
        ck_assert_int_eq(wrong, 0);
        ck_assert_int_eq(coir_queue_free(q), 0);
    }
}
END_TEST

START_TEST(channel_is_refused)
{
    coir_chan *c = NULL;
    lower_limit();
    ck_assert_int_eq(coir_chan_new(&c, 1 << 20, 1 << 10), -ENOMEM);
    ck_assert_ptr_null(c);
}
END_TEST

START_TEST(select_is_refused_and_takes_nothing)
{
    enum { CASES = 1000000 };
    coir_chan *c;
    int item = 5;
    ck_assert_int_eq(coir_chan_new(&c, sizeof item, 1), 0);
    ck_assert_int_eq(coir_chan_try_send(c, &item), 0);
    coir_case *cases = calloc(CASES, sizeof *cases);
    ck_assert_ptr_nonnull(cases);
    cases[77] = (coir_case){c, COIR_RECV, &item, 1};
    item = 0;
    lower_limit();
    ck_assert_int_eq(coir_try_select(cases, CASES), -ENOMEM);
    ck_assert_int_eq(item, 0);
    ck_assert_int_eq(coir_try_select(cases, 100), 77);
    ck_assert_int_eq(item, 5);
    free(cases);
    ck_assert_int_eq(coir_chan_free(c), 0);
}
END_TEST

COIR_SUITE(queue_memory, TEST_ONCE)
{
    if (test_scaled(1000) < 1000) /* a sanitizer's memory is not ours */
        return;
    TCase *lacks = test_case(suite, "memory lacks");
    tcase_add_test(lacks, put_is_refused_and_loses_nothing);
    tcase_add_test(lacks, queue_with_too_great_a_bound_is_refused);
    tcase_add_test(lacks, queue_with_a_bound_needs_no_more);
    tcase_add_test(lacks, channel_is_refused);
    tcase_add_test(lacks, select_is_refused_and_takes_nothing);
}
