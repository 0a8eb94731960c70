/* test/test_each.c -- coir_each and coir_parallel */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { ITEMS = 12 };

/* Three ints, so that an item has no size that is a power of two. */
struct item {
    int number;
    int result;
    int visits;
};

static _Atomic int running, most; /* at the same time */

static void enter(void)
{
    int now = ++running;
    int seen = most;
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
        ;
}

static int visit(void *arg)
{
    struct item *item = arg;
    enter();
    item->visits++;
    int rc = coir_sleep(MINUTES(1));
    running--;
    return rc < 0 ? rc : item->result;
}

static int tell_and_visit(void *arg)
{
    tell("%d", ((const struct item *)arg)->number);
    return visit(arg);
}

struct task {
    coir_fn *fn;
    struct item items[ITEMS];
    size_t count;
    unsigned limit;
};

static struct task twelve(coir_fn *fn, unsigned limit)
{
    struct task task = {.fn = fn, .count = ITEMS, .limit = limit};
    for (int i = 0; i < ITEMS; i++)
        task.items[i].number = i;
    running = most = 0;
    return task;
}

static int call_each(void *arg)
{
    struct task *task = arg;
    return coir_each(task->fn, task->items, task->count, sizeof *task->items,
                     task->limit);
}

static int call_parallel(void *arg)
{
    struct task *task = arg;
    return coir_parallel(task->fn, task->items, task->count,
                         sizeof *task->items);
}

static int sum_of_visits(const struct task *task)
{
    int sum = 0;
    for (int i = 0; i < ITEMS; i++)
        sum += task->items[i].visits;
    return sum;
}

/* ---- each ---- */

static void check_limit(unsigned limit, int expected)
{
    struct task task = twelve(visit, limit);
    ck_assert_int_eq(run_story(0, call_each, &task), 0);
    for (int i = 0; i < ITEMS; i++)
        ck_assert_int_eq(task.items[i].visits, 1);
    ck_assert_int_eq(most, expected);
}

START_TEST(each_runs_all_at_a_time_without_a_limit)
{
    check_limit(0, ITEMS);
}
END_TEST

START_TEST(each_runs_one_at_a_time_with_a_limit_of_one)
{
    check_limit(1, 1);
}
END_TEST

START_TEST(each_runs_as_many_at_a_time_as_its_limit)
{
    check_limit(3, 3);
    check_limit(5, 5);
    check_limit(ITEMS, ITEMS);
    check_limit(1000, ITEMS);
}
END_TEST

static void check_order(unsigned workers, unsigned limit)
{
    struct task task = twelve(tell_and_visit, limit);
    ck_assert_int_eq(run_story(workers, call_each, &task), 0);
    ck_assert_str_eq(story(), "0 1 2 3 4 5 6 7 8 9 10 11");
}

START_TEST(each_begins_the_items_in_order)
{
    check_order(0, 1);
    check_order(1, 0);
    check_order(1, 3);
}
END_TEST

static int take_ten_minutes(void *arg)
{
    struct item *item = arg;
    item->visits++;
    return coir_sleep(MINUTES(item->number == 0 ? 100 : 10));
}

static int time_each(void *arg)
{
    coir_time start = coir_now();
    int rc = call_each(arg);
    return rc < 0 ? rc : (int)((coir_now() - start) / MINUTES(1));
}

START_TEST(each_goes_on_beside_a_slow_item)
{
    /* One of the two does the slow one, the other does all the rest. */
    struct task task = twelve(take_ten_minutes, 2);
    ck_assert_int_eq(run_story(0, time_each, &task), 110);
    ck_assert_int_eq(sum_of_visits(&task), ITEMS);
}
END_TEST

START_TEST(each_of_no_item_succeeds)
{
    struct task task = twelve(visit, 0);
    task.count = 0;
    ck_assert_int_eq(run_story(0, call_each, &task), 0);
    task.limit = 3;
    ck_assert_int_eq(run_story(0, call_each, &task), 0);
    ck_assert_int_eq(run_story(0, call_parallel, &task), 0);
    ck_assert_int_eq(sum_of_visits(&task), 0);
}
END_TEST

START_TEST(each_gives_0_whatever_its_items_succeed_with)
{
    struct task task = twelve(visit, 2);
    task.items[5].result = 9;
    ck_assert_int_eq(run_story(0, call_each, &task), 0);
    ck_assert_int_eq(sum_of_visits(&task), ITEMS);
}
END_TEST

START_TEST(each_stops_at_the_first_failure)
{
    struct task task = twelve(visit, 1);
    task.items[4].result = -EIO;
    ck_assert_int_eq(run_story(0, call_each, &task), -EIO);
    ck_assert_int_eq(sum_of_visits(&task), 5); /* 0 to 4 */

    task = twelve(visit, 3);
    task.items[4].result = -EIO; /* in the second minute, with 3 and 5 */
    ck_assert_int_eq(run_story(0, call_each, &task), -EIO);
    ck_assert_int_lt(sum_of_visits(&task), 9);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(task.items[i].visits, 1);
}
END_TEST

static int fail_with_message(void *arg)
{
    return coir_fail(-EIO, "item %d", ((const struct item *)arg)->number);
}

static int call_and_check_message(void *arg)
{
    int rc = call_each(arg);
    ck_assert_str_eq(coir_message(), "item 0");
    rc = call_parallel(arg);
    ck_assert_str_eq(coir_message(), "item 0");
    return rc;
}

START_TEST(each_gives_the_message_of_the_failure)
{
    struct task task = twelve(fail_with_message, 1);
    task.count = 1;
    ck_assert_int_eq(run_story(0, call_and_check_message, &task), -EIO);
}
END_TEST

static int time_out_each(void *arg)
{
    return coir_timeout(MINUTES(2.5), call_each, arg);
}

START_TEST(each_is_cancelled_with_its_items)
{
    struct task task = twelve(visit, 1);
    ck_assert_int_eq(run_story(0, time_out_each, &task), -ETIMEDOUT);
    ck_assert_int_eq(sum_of_visits(&task), 3);
    ck_assert_int_eq(running, 0);
}
END_TEST

/* ---- parallel ---- */

static int count_visit(void *arg)
{
    ((struct item *)arg)->visits++;
    return 0;
}

static struct item many[100000];

static int visit_many(void *arg)
{
    return coir_parallel(count_visit, many, *(const size_t *)arg, sizeof *many);
}

START_TEST(parallel_visits_each_item_once)
{
    const size_t counts[] = {1, 2, 3, 7, 8, 9, 63, 64, 65, 1000, 99999};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        size_t count = counts[k];
        memset(many, 0, sizeof many);
        ck_assert_int_eq(coir_run(visit_many, &count), 0);
        int wrong = 0;
        for (size_t i = 0; i < sizeof many / sizeof *many; i++)
            wrong += many[i].visits != (i < count);
        ck_assert_int_eq(wrong, 0);
    }
}
END_TEST

static int yield_and_count(void *arg)
{
    int rc = coir_yield();
    count_visit(arg);
    return rc;
}

static int yield_in_many(void *arg)
{
    (void)arg;
    return coir_parallel(yield_and_count, many, 3000, sizeof *many);
}

START_TEST(parallel_bodies_may_park)
{
    memset(many, 0, sizeof many);
    ck_assert_int_eq(coir_run(yield_in_many, NULL), 0);
    int wrong = 0;
    for (int i = 0; i < 3000; i++)
        wrong += many[i].visits != 1;
    ck_assert_int_eq(wrong, 0);
}
END_TEST

enum { ROWS = 30, COLUMNS = 100 };

static int visit_row(void *arg)
{
    return coir_parallel(count_visit, arg, COLUMNS, sizeof *many);
}

static int visit_rows(void *arg)
{
    (void)arg;
    return coir_parallel(visit_row, many, ROWS, COLUMNS * sizeof *many);
}

START_TEST(parallel_nests)
{
    memset(many, 0, sizeof many);
    ck_assert_int_eq(coir_run(visit_rows, NULL), 0);
    int wrong = 0;
    for (int i = 0; i < ROWS * COLUMNS; i++)
        wrong += many[i].visits != 1;
    ck_assert_int_eq(wrong, 0);
}
END_TEST

START_TEST(parallel_gives_the_failure_of_an_item)
{
    struct task task = twelve(visit, 0);
    task.items[7].result = -EPIPE;
    ck_assert_int_eq(run_story(0, call_parallel, &task), -EPIPE);
    for (int i = 0; i < ITEMS; i++)
        ck_assert_int_le(task.items[i].visits, 1);
    ck_assert_int_eq(task.items[7].visits, 1);
    ck_assert_int_eq(running, 0);
}
END_TEST

static int time_out_parallel(void *arg)
{
    return coir_timeout(MINUTES(0.5), call_parallel, arg);
}

START_TEST(parallel_is_cancelled_with_its_items)
{
    struct task task = twelve(visit, 0);
    ck_assert_int_eq(run_story(0, time_out_parallel, &task), -ETIMEDOUT);
    for (int i = 0; i < ITEMS; i++)
        ck_assert_int_le(task.items[i].visits, 1);
    ck_assert_int_eq(running, 0);
}
END_TEST

COIR_SUITE(each, TEST_WORKERS)
{
    TCase *each = test_case(suite, "each");
    tcase_add_test(each, each_runs_all_at_a_time_without_a_limit);
    tcase_add_test(each, each_runs_one_at_a_time_with_a_limit_of_one);
    tcase_add_test(each, each_runs_as_many_at_a_time_as_its_limit);
    tcase_add_test(each, each_begins_the_items_in_order);
    tcase_add_test(each, each_goes_on_beside_a_slow_item);
    tcase_add_test(each, each_of_no_item_succeeds);
    tcase_add_test(each, each_gives_0_whatever_its_items_succeed_with);
    tcase_add_test(each, each_stops_at_the_first_failure);
    tcase_add_test(each, each_gives_the_message_of_the_failure);
    tcase_add_test(each, each_is_cancelled_with_its_items);

    TCase *parallel = test_case(suite, "parallel");
    tcase_add_test(parallel, parallel_visits_each_item_once);
    tcase_add_test(parallel, parallel_bodies_may_park);
    tcase_add_test(parallel, parallel_nests);
    tcase_add_test(parallel, parallel_gives_the_failure_of_an_item);
    tcase_add_test(parallel, parallel_is_cancelled_with_its_items);
}
