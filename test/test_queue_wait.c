/* test/test_queue_wait.c -- coir_queue: who waits is served in order; who may
 * call */
#include <coir/queue.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/queue_script.h"
#include "test/story.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Those who wait ---- */

START_TEST(getters_are_served_in_order)
{
    for (int order = COIR_FIFO; order <= COIR_PRIORITY; order++) {
        struct step steps[] = {
            {1, get, .gets = 31, .until = 4}, {2, get, .gets = 22, .until = 5},
            {3, get, .gets = 13, .until = 6}, {4, put, .item = 31},
            {5, try_put, .item = 22},         {6, put, .item = 13},
            {7, try_get, .rc = -EAGAIN},
        };
        make_queue((enum coir_order)order, 0);
        PLAY(steps);
        free_queue();
    }
}
END_TEST

START_TEST(putters_are_let_in_in_order)
{
    struct step steps[] = {
        {1, put, .item = 11},
        {2, put, .item = 12},
        {3, put, .item = 13, .until = 6},
        {4, put, .item = 14, .until = 7},
        {5, try_put, .item = 99, .rc = -EAGAIN},
        {6, get, .gets = 11},
        {7, try_get, .gets = 12},
        {8, try_put, .item = 99, .rc = -EAGAIN},
        {9, get, .gets = 13},
        {10, get, .gets = 14},
        {11, try_get, .rc = -EAGAIN},
    };
    make_queue(COIR_FIFO, 2);
    PLAY(steps);
    free_queue();
}
END_TEST

START_TEST(lifo_lets_putters_in_in_order)
{
    struct step steps[] = {
        {1, put, .item = 11},
        {2, put, .item = 12},
        {3, put, .item = 13, .until = 5},
        {4, put, .item = 14, .until = 6},
        {5, get, .gets = 12}, /* then 13 is in */
        {6, get, .gets = 13}, /* then 14 is in */
        {7, get, .gets = 14},
        {8, get, .gets = 11},
    };
    make_queue(COIR_LIFO, 2);
    PLAY(steps);
    free_queue();
}
END_TEST

START_TEST(priority_lets_putters_in_in_order)
{
    struct step steps[] = {
        {1, put, .item = 21},
        {2, put, .item = 31},
        {3, put, .item = 41, .until = 5},
        {4, put, .item = 11, .until = 6}, /* the least, but not in it yet */
        {5, get, .gets = 21},
        {6, get, .gets = 31},
        {7, get, .gets = 11},
        {8, get, .gets = 41},
    };
    make_queue(COIR_PRIORITY, 2);
    PLAY(steps);
    free_queue();
}
END_TEST

START_TEST(cancelled_put_leaves_no_item)
{
    struct step steps[] = {
        {1, put, .item = 11},
        {2, put, .item = 12, .cancelled = 4, .rc = -ECANCELED, .until = 4},
        {3, put, .item = 13, .until = 5},
        {5, get, .gets = 11},
        {6, get, .gets = 13},
        {7, try_get, .rc = -EAGAIN},
    };
    make_queue(COIR_FIFO, 1);
    PLAY(steps);
    free_queue();
}
END_TEST

START_TEST(cancelled_get_gets_nothing_and_the_next_does)
{
    struct step steps[] = {
        {1, get, .item = 5, .gets = 5, .cancelled = 3, .rc = -ECANCELED,
         .until = 3},
        {2, get, .gets = 11, .until = 4},
        {4, put, .item = 11},
        {5, try_get, .rc = -EAGAIN},
    };
    make_queue(COIR_FIFO, 0);
    PLAY(steps);
    free_queue();
}
END_TEST

static int call_cancelled(void *arg)
{
    (void)arg;
    coir_scope scope;
    int item = 7;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_queue_put(queue, &item), -ECANCELED);
    ck_assert_int_eq(coir_queue_get(queue, &item), -ECANCELED);
    ck_assert_int_eq(coir_queue_join(queue), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, 0), 0);
    ck_assert_uint_eq(coir_queue_length(queue), 0);
    return 0;
}

START_TEST(call_of_a_cancelled_fiber_has_no_effect)
{
    make_queue(COIR_FIFO, 0);
    ck_assert_int_eq(coir_run(call_cancelled, NULL), 0);
    free_queue();
}
END_TEST

START_TEST(free_refuses_while_a_fiber_waits)
{
    struct step steps[] = {
        {1, get, .gets = 7, .until = 3},
        {2, free_it, .rc = -EBUSY},
        {3, put, .item = 7},
        {4, put, .item = 8},
        {5, put, .item = 9, .until = 7},
        {6, free_it, .rc = -EBUSY},
        {7, get, .gets = 8},
        {8, free_it, .rc = 0},
    };
    make_queue(COIR_FIFO, 1);
    PLAY(steps);
    ck_assert_int_eq(coir_queue_free(NULL), 0);
}
END_TEST

/* A cancelled fiber looks at the queue once more, though it is in no line: the
 * item has passed it by. */

static int get_one(void *item)
{
    return coir_queue_get(queue, item);
}

static int free_before_it_runs(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_task task;
    int item = 0, seven = 7;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, get_one, &item), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_queue_try_put(queue, &seven), 0);
    ck_assert_uint_eq(coir_queue_length(queue), 1);
    ck_assert_int_eq(coir_queue_free(queue), -EBUSY);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&task), -ECANCELED);
    ck_assert_int_eq(item, 0);
    return 0;
}

START_TEST(free_waits_for_a_cancelled_fiber_that_will_still_look)
{
    make_queue(COIR_FIFO, 0);
    ck_assert_int_eq(run_story(1, free_before_it_runs, NULL), 0);
    free_queue();
}
END_TEST

/* ---- Refused; from anywhere ---- */

START_TEST(new_refuses_what_cannot_be)
{
    coir_queue *none = NULL;
    ck_assert_int_eq(coir_queue_new(&none, 4, 0, COIR_PRIORITY, NULL), -EINVAL);
    ck_assert_int_eq(coir_queue_new(&none, 4, 0, (enum coir_order)3, NULL),
                     -EINVAL);
    for (int order = COIR_FIFO; order <= COIR_PRIORITY; order++) {
        enum coir_order o = (enum coir_order)order;
        ck_assert_int_eq(
            coir_queue_new(&none, 8, SIZE_MAX / 4, o, compare_tens), -ENOMEM);
        ck_assert_int_eq(coir_queue_new(&none, SIZE_MAX, 0, o, compare_tens),
                         -ENOMEM);
        ck_assert_int_eq(
            coir_queue_new(&none, SIZE_MAX - 8, 1, o, compare_tens), -ENOMEM);
    }
    ck_assert_ptr_null(none);
}
END_TEST

static void *put_from_thread(void *arg)
{
    int *rc = arg;
    for (int i = 1; i <= 100; i++)
        while ((*rc = coir_queue_try_put(queue, &i)) == -EAGAIN)
            sched_yield();
    return NULL;
}

static int get_from_thread(void *arg)
{
    int rc = 0, item, sum = 0;
    pthread_t thread;
    (void)arg;
    ck_assert_int_eq(pthread_create(&thread, NULL, put_from_thread, &rc), 0);
    for (int i = 1; i <= 100; i++) {
        ck_assert_int_eq(coir_queue_get(queue, &item), 0);
        sum += item;
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(sum, 5050);
    return 0;
}

START_TEST(thread_that_is_no_worker_may_put)
{
    make_queue(COIR_FIFO, 3);
    ck_assert_int_eq(coir_run(get_from_thread, NULL), 0);
    free_queue();
}
END_TEST

START_TEST(call_that_parks_needs_a_fiber)
{
    int item = 7;
    make_queue(COIR_FIFO, 0);
    ck_assert_int_eq(coir_queue_put(queue, &item), -EPERM);
    ck_assert_int_eq(coir_queue_get(queue, &item), -EPERM);
    ck_assert_int_eq(coir_queue_join(queue), -EPERM);
    ck_assert_int_eq(coir_queue_try_put(queue, &item), 0);
    ck_assert_int_eq(coir_queue_try_get(queue, &item), 0);
    ck_assert_int_eq(coir_queue_done(queue), 0);
    free_queue();
}
END_TEST

static int use_in_fork(void *arg)
{
    int item = 7, status = 0;
    (void)arg;
    pid_t child = fork();
    if (child == 0) {
        coir_queue *other;
        bool refused =
            coir_queue_put(queue, &item) == -EPERM &&
            coir_queue_try_put(queue, &item) == -EPERM &&
            coir_queue_try_get(queue, &item) == -EPERM &&
            coir_queue_done(queue) == -EPERM &&
            coir_queue_new(&other, 1, 1, COIR_FIFO, NULL) == -EPERM &&
            coir_queue_free(queue) == -EPERM;
        coir_queue_shutdown(queue, true);
        _exit(refused ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    return coir_queue_try_put(queue, &item);
}

START_TEST(child_of_a_fork_is_refused)
{
    make_queue(COIR_FIFO, 0);
    ck_assert_int_eq(run_workers(1, use_in_fork, NULL), 0);
    free_queue();
}
END_TEST

COIR_SUITE(queue_wait, TEST_WORKERS | TEST_SEEDED)
{
    TCase *waiting = test_case(suite, "waiting");
    tcase_add_test(waiting, getters_are_served_in_order);
    tcase_add_test(waiting, putters_are_let_in_in_order);
    tcase_add_test(waiting, lifo_lets_putters_in_in_order);
    tcase_add_test(waiting, priority_lets_putters_in_in_order);
    tcase_add_test(waiting, cancelled_put_leaves_no_item);
    tcase_add_test(waiting, cancelled_get_gets_nothing_and_the_next_does);
    tcase_add_test(waiting, call_of_a_cancelled_fiber_has_no_effect);
    tcase_add_test(waiting, free_refuses_while_a_fiber_waits);
    tcase_add_test(waiting,
                   free_waits_for_a_cancelled_fiber_that_will_still_look);

    TCase *anywhere = test_case(suite, "from anywhere");
    tcase_add_test(anywhere, new_refuses_what_cannot_be);
    tcase_add_test(anywhere, thread_that_is_no_worker_may_put);
    tcase_add_test(anywhere, call_that_parks_needs_a_fiber);
    tcase_add_test(anywhere, child_of_a_fork_is_refused);
}
