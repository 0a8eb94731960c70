/* test/test_process_each.c -- coir_process_pool_each */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/processes.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/processes.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MANY = 40, WORKERS = 3 };

/* ---- Results ---- */

static ssize_t square(const void *arg, size_t size, void *result,
                      size_t capacity)
{
    int number = *(const int *)arg;
    if (size != sizeof number || capacity < sizeof number)
        return -EINVAL;
    number *= number;
    memcpy(result, &number, sizeof number);
    return sizeof number;
}

static int square_all(coir_process_pool *pool)
{
    int numbers[MANY], squares[MANY] = {0}, wrong = 0;
    ssize_t sizes[MANY];
    for (int i = 0; i < MANY; i++)
        numbers[i] = i;
    ck_assert_int_eq(coir_process_pool_each(pool, square, numbers, sizeof(int),
                                            squares, sizeof(int), NULL, MANY),
                     0);
    for (int i = 0; i < MANY; i++)
        wrong += squares[i] != i * i;
    ck_assert_int_eq(wrong, 0);
    memset(squares, 0, sizeof squares);
    ck_assert_int_eq(coir_process_pool_each(pool, square, numbers, sizeof(int),
                                            squares, sizeof(int), sizes, MANY),
                     0);
    for (int i = 0; i < MANY; i++)
        wrong += squares[i] != i * i || sizes[i] != sizeof(int);
    ck_assert_int_eq(wrong, 0);
    return 0;
}

START_TEST(each_puts_every_result_in_its_place)
{
    run_on(WORKERS, square_all);
}
END_TEST

static ssize_t expect_nothing(const void *arg, size_t size, void *result,
                              size_t capacity)
{
    atomic_fetch_add(&notes->begun, 1);
    return arg || size || result || capacity ? -EIO : 0;
}

static int pass_nothing(coir_process_pool *pool)
{
    ssize_t sizes[MANY];
    ck_assert_int_eq(
        coir_process_pool_each(pool, expect_nothing, NULL, 0, NULL, 0, NULL, 0),
        0);
    ck_assert_int_eq(notes->begun, 0);
    ck_assert_int_eq(coir_process_pool_each(pool, expect_nothing, NULL, 0, NULL,
                                            0, sizes, MANY),
                     0);
    ck_assert_int_eq(notes->begun, MANY);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(sizes[i], 0);
    return 0;
}

START_TEST(each_passes_null_and_nothing)
{
    run_on(WORKERS, pass_nothing);
}
END_TEST

static int misuse(coir_process_pool *pool)
{
    int number = 1;
    ck_assert_int_eq(
        coir_process_pool_each(NULL, square, &number, 4, &number, 4, NULL, 1),
        -EINVAL);
    ck_assert_int_eq(
        coir_process_pool_each(pool, NULL, &number, 4, &number, 4, NULL, 1),
        -EINVAL);
    ck_assert_int_eq(
        coir_process_pool_each(pool, square, NULL, 4, &number, 4, NULL, 1),
        -EINVAL);
    /* Also those whose second and further addresses are not NULL. */
    ssize_t sizes[2] = {7, 7};
    ck_assert_int_eq(
        coir_process_pool_each(pool, square, NULL, 4, &number, 4, sizes, 2),
        -EINVAL);
    ck_assert_int_eq(
        coir_process_pool_each(pool, square, &number, 4, NULL, 4, sizes, 2),
        -EINVAL);
    ck_assert_int_eq(sizes[0], -ECANCELED);
    ck_assert_int_eq(sizes[1], -ECANCELED);
    return 0;
}

START_TEST(each_refuses_what_run_refuses)
{
    coir_process_pool *pool;
    int number = 1;
    ck_assert_int_eq(coir_process_pool_new(&pool, NULL), 0);
    ck_assert_int_eq(
        coir_process_pool_each(pool, square, &number, 4, &number, 4, NULL, 1),
        -EPERM);
    coir_process_pool_free(pool);
    run_on(1, misuse);
}
END_TEST

/* ---- Failure ---- */

/* The second is to fail when the first has begun to hang. */
static ssize_t hang_or_fail(const void *arg, size_t size, void *result,
                            size_t capacity)
{
    (void)size, (void)result, (void)capacity;
    if (*(const int *)arg == 0) {
        atomic_store(&notes->pid, getpid());
        atomic_store(&notes->go, true);
        for (;;)
            pause();
    }
    while (!atomic_load(&notes->go))
        usleep(100);
    atomic_fetch_add(&notes->begun, 1);
    return *(const int *)arg;
}

static int fail_second(coir_process_pool *pool)
{
    int results[] = {0, -ENODEV, 0, 0, 0, 0};
    ck_assert_int_eq(coir_process_pool_each(pool, hang_or_fail, results,
                                            sizeof(int), NULL, 0, NULL, 6),
                     -ENODEV);
    ck_assert_int_eq(notes->begun, 1);
    ck_assert(is_gone(notes->pid));
    return 0;
}

START_TEST(each_ends_at_the_first_failure)
{
    run_on(2, fail_second);
}
END_TEST

static int die_second(coir_process_pool *pool)
{
    enum act acts[] = {RETURN, KILL, HANG, HANG};
    ck_assert_int_eq(
        coir_process_pool_each(pool, act, acts, sizeof *acts, NULL, 0, NULL, 4),
        -EOWNERDEAD);
    ck_assert_ptr_nonnull(strstr(coir_message(), "killed by SIGKILL"));
    return 0;
}

START_TEST(each_ends_at_the_first_death)
{
    run_on(2, die_second);
}
END_TEST

static ssize_t return_number(const void *arg, size_t size, void *result,
                             size_t capacity)
{
    (void)size, (void)result, (void)capacity;
    return *(const int *)arg;
}

static int refuse_itself(coir_process_pool *pool)
{
    int numbers[] = {0, -ECANCELED, 0, 0};
    ssize_t sizes[4];
    ck_assert_int_eq(coir_process_pool_each(pool, return_number, numbers, 4,
                                            NULL, 0, NULL, 4),
                     -ECANCELED);
    ck_assert_int_eq(coir_process_pool_each(pool, return_number, numbers, 4,
                                            NULL, 0, sizes, 4),
                     0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(sizes[i], numbers[i]);
    return 0;
}

START_TEST(each_takes_a_job_that_says_canceled_at_its_word)
{
    run_on(1, refuse_itself);
}
END_TEST

static int come_to_everything(coir_process_pool *pool)
{
    enum act acts[] = {RETURN, ABORT, RETURN, EXIT_3, KILL, CLOSE_ALL, RETURN};
    enum { ACTS = sizeof acts / sizeof *acts };
    const ssize_t expected[] = {0,           -EOWNERDEAD, 0, -EOWNERDEAD,
                                -EOWNERDEAD, 0,           0};
    ssize_t sizes[ACTS];
    ck_assert_int_eq(coir_process_pool_each(pool, act, acts, sizeof *acts, NULL,
                                            0, sizes, ACTS),
                     0);
    for (int i = 0; i < ACTS; i++)
        ck_assert_int_eq(sizes[i], expected[i]);
    ck_assert_int_eq(notes->begun, ACTS);
    return 0;
}

START_TEST(each_that_tells_sizes_runs_all)
{
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    run_on(WORKERS, come_to_everything);
}
END_TEST

/* ---- Cancelling ---- */

static int hang_at_last(void *arg)
{
    enum act acts[] = {RETURN, RETURN, HANG, RETURN};
    return coir_process_pool_each(shared_pool, act, acts, sizeof *acts, NULL, 0,
                                  arg, 4);
}

static int cancel_hanging(coir_process_pool *pool)
{
    ssize_t sizes[4];
    coir_task task;
    coir_nursery nursery;
    shared_pool = pool;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, hang_at_last, sizes), 0);
    await_begun(3);
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&task), -ECANCELED);
    ck_assert_int_eq(sizes[0], 0);
    ck_assert_int_eq(sizes[1], 0);
    ck_assert_int_eq(sizes[2], -ECANCELED);
    ck_assert_int_eq(sizes[3], -ECANCELED);
    ck_assert(is_gone(notes->pid));
    return 0;
}

START_TEST(each_that_is_cancelled_kills_what_runs)
{
    run_on(1, cancel_hanging);
}
END_TEST

COIR_SUITE(process_each, TEST_WORKERS)
{
    if (!has_process_pools())
        return;
    TCase *result = test_case(suite, "result");
    tcase_add_test(result, each_puts_every_result_in_its_place);
    tcase_add_test(result, each_passes_null_and_nothing);
    tcase_add_test(result, each_refuses_what_run_refuses);

    TCase *failure = test_case(suite, "failure");
    tcase_add_test(failure, each_ends_at_the_first_failure);
    tcase_add_test(failure, each_ends_at_the_first_death);
    tcase_add_test(failure, each_takes_a_job_that_says_canceled_at_its_word);
    tcase_add_test(failure, each_that_tells_sizes_runs_all);

    TCase *cancel = test_case(suite, "cancel");
    tcase_add_test(cancel, each_that_is_cancelled_kills_what_runs);
}
