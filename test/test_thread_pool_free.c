/* test/test_thread_pool_free.c -- coir_thread_pool_free */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/threads.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static coir_thread_pool *pool;

static void make_pool(unsigned max)
{
    const coir_thread_pool_config config = {.max_threads = max};
    ck_assert_int_eq(coir_thread_pool_new(&pool, &config), 0);
}

static int return_number(void *arg)
{
    return *(const int *)arg;
}

static int wait_for_post(void *arg)
{
    while (sem_wait(arg) < 0) {
    }
    return 0;
}

static int run_return_number(void *arg)
{
    return coir_thread_pool_run(pool, return_number, arg);
}

static int run_wait_for_post(void *arg)
{
    return coir_thread_pool_run(pool, wait_for_post, arg);
}

static int free_pool(void *arg)
{
    (void)arg;
    coir_thread_pool_free(pool);
    return 0;
}

static _Atomic(int) asked, made;

static int count_call(void *arg)
{
    usleep(*(const useconds_t *)arg);
    atomic_fetch_add(&made, 1);
    return 0;
}

static int run_count_call(void *arg)
{
    atomic_fetch_add(&asked, 1);
    return coir_thread_pool_run(pool, count_call, arg);
}

/* The calls are in the queue, in front of the end. */
static int free_with_queue(void *arg)
{
    enum { CALLS = 20 };
    useconds_t us = 500;
    coir_nursery nursery;
    (void)arg;
    make_pool(1);
    coir_nursery_open(&nursery);
    for (int i = 0; i < CALLS; i++)
        ck_assert_int_eq(coir_go(&nursery, run_count_call, &us), 0);
    while (atomic_load(&asked) < CALLS)
        ck_assert_int_eq(coir_yield(), 0);
    coir_thread_pool_free(pool);
    ck_assert_int_eq(made, CALLS);
    return coir_nursery_close(&nursery);
}

START_TEST(free_runs_what_is_queued)
{
    /* One worker, so that who has asked is in the queue. */
    ck_assert_int_eq(run_workers(1, free_with_queue, NULL), 0);
}
END_TEST

static int run_while_freed(void *arg)
{
    int number = 7;
    sem_t sem;
    coir_task call, freer;
    coir_nursery nursery;
    (void)arg;
    sem_init(&sem, 0, 0);
    make_pool(4);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &call, run_wait_for_post, &sem), 0);
    ck_assert_int_eq(coir_sleep(COIR_MS(2)), 0);
    ck_assert_int_eq(coir_spawn(&nursery, &freer, free_pool, NULL), 0);
    while (run_return_number(&number) == 7)
        ck_assert_int_eq(coir_yield(), 0);
    ck_assert_int_eq(run_return_number(&number), -EPIPE);
    ck_assert_int_eq(
        coir_thread_pool_each(pool, return_number, &number, 1, sizeof number),
        -EPIPE);
    /* Cancelling it changes nothing. */
    coir_task_cancel(&freer);
    ck_assert_int_eq(coir_sleep(COIR_MS(2)), 0);
    ck_assert(!coir_task_done(&freer));
    sem_post(&sem);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&call), 0);
    sem_destroy(&sem);
    return 0;
}

START_TEST(run_on_a_pool_that_is_being_freed_is_refused)
{
    ck_assert_int_eq(coir_run(run_while_freed, NULL), 0);
}
END_TEST

static void *free_from_thread(void *arg)
{
    coir_thread_pool_free(arg);
    return NULL;
}

static int use_while_thread_frees(void *arg)
{
    pthread_t thread;
    sem_t sem;
    coir_nursery nursery;
    (void)arg;
    sem_init(&sem, 0, 0);
    make_pool(2);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, run_wait_for_post, &sem), 0);
    ck_assert_int_eq(coir_sleep(COIR_MS(2)), 0);
    pthread_create(&thread, NULL, free_from_thread, pool);
    ck_assert_int_eq(coir_sleep(COIR_MS(2)), 0);
    sem_post(&sem);
    int rc = coir_nursery_close(&nursery);
    pthread_join(thread, NULL);
    sem_destroy(&sem);
    return rc;
}

START_TEST(free_outside_a_fiber_blocks)
{
    ck_assert_int_eq(coir_run(use_while_thread_frees, NULL), 0);
}
END_TEST

/* Each caller is cancelled at about the time at which its call ends, and the
 * pool is freed at about that time, too. */
static int run_for_a_moment(void *arg)
{
    useconds_t us = 20;
    coir_scope scope;
    coir_timeout_open(&scope, *(const coir_time *)arg);
    int rc = coir_thread_pool_run(pool, count_call, &us);
    must_not(rc != 0 && rc != -ECANCELED && rc != -EPIPE);
    rc = coir_scope_close(&scope, rc);
    must_not(rc != 0 && rc != -ETIMEDOUT && rc != -EPIPE);
    return 0;
}

static int free_beside_the_cancelled(void *arg)
{
    enum { CALLERS = 8 };
    uint64_t random = test_seed(1);
    (void)arg;
    for (uint64_t round = 0; round < test_scaled(300); round++) {
        coir_time moments[CALLERS];
        coir_nursery nursery;
        make_pool(2);
        coir_nursery_open(&nursery);
        for (int i = 0; i < CALLERS; i++) {
            moments[i] = (coir_time)test_random_below(&random, 300000);
            must_not(coir_go(&nursery, run_for_a_moment, &moments[i]) != 0);
        }
        coir_time pause = (coir_time)test_random_below(&random, 300000);
        must_not(coir_sleep(pause) != 0);
        must_not(coir_nursery_close(&nursery) != 0);
        coir_thread_pool_free(pool);
    }
    return 0;
}

START_TEST(free_waits_for_callers_that_were_cancelled)
{
    ck_assert_int_eq(coir_run(free_beside_the_cancelled, NULL), 0);
    assert_nothing_happened();
}
END_TEST

static int free_in_own_call(void *arg)
{
    coir_thread_pool_free(arg);
    return 0;
}

static int misuse_free(void *arg)
{
    (void)arg;
    make_pool(1);
    return coir_thread_pool_run(pool, free_in_own_call, pool);
}

static int run_misuse(void *arg)
{
    return coir_run(misuse_free, arg);
}

START_TEST(free_by_one_of_its_own_calls_is_misuse)
{
    test_dies(SIGABRT, "a thread pool is not freed by one of its own calls",
              run_misuse, NULL);
}
END_TEST

COIR_SUITE(thread_pool_free, TEST_WORKERS)
{
    TCase *end = test_case(suite, "free");
    tcase_add_test(end, free_runs_what_is_queued);
    tcase_add_test(end, run_on_a_pool_that_is_being_freed_is_refused);
    tcase_add_test(end, free_outside_a_fiber_blocks);
    tcase_add_test(end, free_waits_for_callers_that_were_cancelled);
    tcase_add_test(end, free_by_one_of_its_own_calls_is_misuse);
}
