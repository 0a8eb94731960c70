/* test/test_monitor.c -- workers stuck in one fiber, sched/monitor.c
 *
 * Both workers sleep, one of them in the poller. A timer wakes that one, and
 * its fiber computes, without a call to coir, until something else has happened
 * that only the other worker can see to. If nobody woke it, no test would end.
 */
#include <coir.h>

#include "test/harness.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static _Atomic bool computes, happened;

static int compute_until_it_happens(void)
{
    computes = true;
    while (!happened)
        ;
    return 0;
}

static int sleep_and_compute(void *arg)
{
    int rc = coir_sleep(COIR_MS(5));
    (void)arg;
    return rc < 0 ? rc : compute_until_it_happens();
}

static int happen(int rc)
{
    if (rc == 0)
        happened = true;
    return rc;
}

/* Two children, which wait for different things. */
static int run_both(coir_fn *one, coir_fn *other, void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, one, arg);
    if (rc == 0)
        rc = coir_go(&nursery, other, arg);
    return coir_nursery_close_with(&nursery, rc);
}

/* ---- A timer ---- */

static int sleep_longer(void *arg)
{
    (void)arg;
    return happen(coir_sleep(COIR_MS(20)));
}

static int compute_beside_a_timer(void *arg)
{
    return run_both(sleep_and_compute, sleep_longer, arg);
}

START_TEST(monitor_has_timers_seen_to)
{
    ck_assert_int_eq(run_workers(2, compute_beside_a_timer, NULL), 0);
}
END_TEST

/* ---- The fiber that was woken last, which others are not told of ---- */

static int wait_for_cancel(void *arg)
{
    coir_scope_open(arg);
    int rc = coir_sleep(COIR_NEVER);
    rc = coir_scope_close(arg, rc);
    return happen(rc == -ECANCELED ? 0 : -EIO);
}

static int cancel_and_compute(void *arg)
{
    int rc = coir_sleep(COIR_MS(5));
    if (rc < 0)
        return rc;
    coir_scope_cancel(arg);
    return compute_until_it_happens();
}

static int compute_after_waking(void *arg)
{
    return run_both(wait_for_cancel, cancel_and_compute, arg);
}

START_TEST(monitor_has_the_woken_run_elsewhere)
{
    coir_scope scope;
    ck_assert_int_eq(run_workers(2, compute_after_waking, &scope), 0);
}
END_TEST

/* ---- Descriptors ---- */

static int read_byte(void *arg)
{
    char byte;
    ssize_t n = coir_read(((int *)arg)[0], &byte, 1);
    return happen(n == 1 ? 0 : -EIO);
}

static void *write_while_it_computes(void *arg)
{
    while (!computes)
        usleep(1000);
    return write(((int *)arg)[1], "x", 1) == 1 ? NULL : arg;
}

static int compute_beside_a_descriptor(void *arg)
{
    return run_both(sleep_and_compute, read_byte, arg);
}

START_TEST(monitor_has_the_poller_looked_at)
{
    int pipes[2];
    pthread_t writer;
    void *failed;
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_int_eq(
        pthread_create(&writer, NULL, write_while_it_computes, pipes), 0);
    ck_assert_int_eq(run_workers(2, compute_beside_a_descriptor, pipes), 0);
    pthread_join(writer, &failed);
    ck_assert_ptr_null(failed);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

COIR_SUITE(monitor, TEST_ONCE)
{
    TCase *stuck = test_case(suite, "a worker is stuck");
    tcase_add_test(stuck, monitor_has_timers_seen_to);
    tcase_add_test(stuck, monitor_has_the_woken_run_elsewhere);
    tcase_add_test(stuck, monitor_has_the_poller_looked_at);
}
