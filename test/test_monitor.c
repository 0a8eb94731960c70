/* test/test_monitor.c -- workers stuck in one fiber, sched/monitor.c
 *
 * A fiber computes, without a call to coir, until something else has happened
 * that another worker has to see to. If nobody did, it would not end. */
#include <coir.h>

#include "test/harness.h"

#include <unistd.h>

static _Atomic bool happened;

static int compute_until_it_happens(void *arg)
{
    (void)arg;
    while (!happened)
        ;
    return 0;
}

static int happen(void *arg)
{
    (void)arg;
    happened = true;
    return 0;
}

/* ---- A timer ---- */

static int sleep_and_happen(void *arg)
{
    int rc = coir_sleep(COIR_MS(5));
    return rc < 0 ? rc : happen(arg);
}

static int compute_beside_a_timer(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, sleep_and_happen, arg);
    coir_yield(); /* until it sleeps */
    compute_until_it_happens(NULL);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(monitor_has_timers_seen_to)
{
    ck_assert_int_eq(run_workers(2, compute_beside_a_timer, NULL), 0);
}
END_TEST

/* ---- The fiber that was woken last, which others are not told of ---- */

static int join_and_happen(void *arg)
{
    int rc = coir_join(arg, NULL);
    return rc < 0 ? rc : happen(NULL);
}

static int end_soon(void *arg)
{
    (void)arg;
    return coir_yield();
}

static int compute_after_waking(void *arg)
{
    coir_nursery nursery;
    coir_task task;
    (void)arg;
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &task, end_soon, NULL);
    if (rc == 0)
        rc = coir_go(&nursery, join_and_happen, &task);
    while (rc == 0 && !coir_task_done(&task))
        rc = coir_yield();
    compute_until_it_happens(NULL);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(monitor_has_the_woken_run_elsewhere)
{
    ck_assert_int_eq(run_workers(2, compute_after_waking, NULL), 0);
}
END_TEST

/* ---- A child ---- */

static int compute_beside_a_child(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, happen, arg);
    compute_until_it_happens(NULL);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(monitor_is_not_needed_for_a_child_that_waits)
{
    ck_assert_int_eq(run_workers(2, compute_beside_a_child, NULL), 0);
}
END_TEST

/* ---- Descriptors: nobody sits in the poller ---- */

static int read_and_happen(void *arg)
{
    char byte;
    ssize_t n = coir_read(*(int *)arg, &byte, 1);
    return n < 0 ? (int)n : happen(NULL);
}

static int write_late(void *arg)
{
    int rc = coir_sleep(COIR_MS(5));
    if (rc == 0)
        rc = coir_write(*(int *)arg, "x", 1) == 1 ? 0 : -1;
    return rc;
}

static int compute_beside_a_descriptor(void *arg)
{
    int *pipes = arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, read_and_happen, &pipes[0]);
    if (rc == 0)
        rc = coir_go(&nursery, write_late, &pipes[1]);
    coir_yield();
    coir_yield();
    compute_until_it_happens(NULL);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(monitor_has_the_poller_looked_at)
{
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_int_eq(run_workers(2, compute_beside_a_descriptor, pipes), 0);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

COIR_SUITE(monitor, TEST_ONCE)
{
    TCase *stuck = test_case(suite, "a worker is stuck");
    tcase_add_test(stuck, monitor_has_timers_seen_to);
    tcase_add_test(stuck, monitor_has_the_woken_run_elsewhere);
    tcase_add_test(stuck, monitor_is_not_needed_for_a_child_that_waits);
    tcase_add_test(stuck, monitor_has_the_poller_looked_at);
}
