/* test/test_cond.c -- waiting for what a mutex guards to change
 *
 * Several at once, and in a hurry, are in test_cond_races.c. */
#include <coir/cond.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/stats.h>
#include <coir/time.h>

#include "test/sync.h"

#include <errno.h>
#include <stdlib.h>

struct shared {
    coir_mutex mutex;
    coir_cond cond;
};

static void lock(struct shared *shared)
{
    ck_assert_int_eq(coir_mutex_lock(&shared->mutex), 0);
}

static void unlock(struct shared *shared)
{
    coir_mutex_unlock(&shared->mutex);
}

/* Whatever the wait returns, the mutex is unlocked after it: by a stranger the
 * program would end. */
static int wait_and_tell(int number, void *arg)
{
    struct shared *shared = arg;
    lock(shared);
    int rc = coir_cond_wait(&shared->cond, &shared->mutex);
    tell("%d:%d", number, rc);
    unlock(shared);
    return rc;
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* ---- Signals ---- */

static int signal_one_by_one(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    crew_start(&crew, 4, wait_and_tell, &shared);
    for (int i = 0; i < 4; i++) {
        tell("signal");
        coir_cond_signal(&shared.cond);
        settle();
    }
    return crew_end(&crew);
}

START_TEST(signal_wakes_the_first_that_waits)
{
    run_body(signal_one_by_one);
    ck_assert_str_eq(story(), "signal 0:0 signal 1:0 signal 2:0 signal 3:0");
}
END_TEST

static int signal_before(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    coir_cond_signal(&shared.cond);
    coir_cond_broadcast(&shared.cond);
    crew_start(&crew, 1, wait_and_tell, &shared);
    tell("signal");
    coir_cond_signal(&shared.cond);
    return crew_end(&crew);
}

START_TEST(signal_is_not_kept_for_who_comes_later)
{
    run_body(signal_before);
    ck_assert_str_eq(story(), "signal 0:0");
}
END_TEST

static int broadcast(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew, late;
    crew_start(&crew, 4, wait_and_tell, &shared);
    lock(&shared);
    coir_cond_broadcast(&shared.cond);
    tell("broadcast");
    unlock(&shared);
    settle();
    crew_start(&late, 1, wait_and_tell, &shared);
    tell("late");
    coir_cond_broadcast(&shared.cond);
    ck_assert_int_eq(crew_end(&late), 0);
    return crew_end(&crew);
}

START_TEST(broadcast_wakes_all_who_wait_in_order)
{
    run_body(broadcast);
    ck_assert_str_eq(story(), "broadcast 0:0 1:0 2:0 3:0 late 0:0");
}
END_TEST

/* Each waiter is woken when the mutex is free for it, and so need not park a
 * second time. */
static int count_parks(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    coir_stats before, after;
    crew_start(&crew, CREW, wait_and_tell, &shared);
    lock(&shared);
    coir_stats_get(&before);
    coir_cond_signal(&shared.cond);
    coir_cond_broadcast(&shared.cond);
    coir_stats_get(&after);
    ck_assert_uint_eq(after.wakes - before.wakes, 0);
    settle(); /* we park once here, and once in the close */
    tell("unlock");
    unlock(&shared);
    int rc = crew_end(&crew);
    coir_stats_get(&after);
    ck_assert_uint_le(after.parks - before.parks, 2);
    return rc;
}

START_TEST(broadcast_under_the_mutex_wakes_nobody_in_vain)
{
    run_body(count_parks);
    ck_assert_str_eq(story(), "unlock 0:0 1:0 2:0 3:0 4:0 5:0 6:0 7:0");
}
END_TEST

static void *signal_cond(void *cond)
{
    coir_cond_signal(cond);
    return NULL;
}

static void *broadcast_cond(void *cond)
{
    coir_cond_broadcast(cond);
    return NULL;
}

static int signal_by_thread(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    crew_start(&crew, 3, wait_and_tell, &shared);
    on_a_thread(signal_cond, &shared.cond);
    settle();
    tell("all");
    on_a_thread(broadcast_cond, &shared.cond);
    return crew_end(&crew);
}

START_TEST(any_thread_may_signal)
{
    run_body(signal_by_thread);
    ck_assert_str_eq(story(), "0:0 all 1:0 2:0");
}
END_TEST

START_TEST(wait_is_for_fibers)
{
    struct shared shared = {0};
    ck_assert_int_eq(coir_cond_wait(&shared.cond, &shared.mutex), -EPERM);
    coir_cond_signal(&shared.cond);
    coir_cond_broadcast(&shared.cond);
}
END_TEST

/* Two mutexes, one condition: members wait with the one or the other. */
struct two {
    coir_mutex mutex[2];
    coir_cond cond;
};

static int wait_with_either(int number, void *arg)
{
    struct two *two = arg;
    coir_mutex *mutex = &two->mutex[number / 2 % 2];
    ck_assert_int_eq(coir_mutex_lock(mutex), 0);
    int rc = coir_cond_wait(&two->cond, mutex);
    tell("%d:%d", number, rc);
    coir_mutex_unlock(mutex);
    return rc;
}

static int broadcast_to_two(void *arg)
{
    (void)arg;
    struct two two = {0};
    struct crew crew;
    crew_start(&crew, 6, wait_with_either, &two);
    ck_assert_int_eq(coir_mutex_lock(&two.mutex[0]), 0);
    coir_cond_broadcast(&two.cond);
    settle();
    tell("unlock");
    coir_mutex_unlock(&two.mutex[0]);
    return crew_end(&crew);
}

START_TEST(each_gets_the_mutex_that_it_waits_with)
{
    run_body(broadcast_to_two);
    ck_assert_str_eq(story(), "2:0 3:0 unlock 0:0 1:0 4:0 5:0");
}
END_TEST

/* ---- Cancelled ---- */

static int cancel_before_signal(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    crew_start(&crew, 3, wait_and_tell, &shared);
    coir_task_cancel(&crew.task[0]);
    settle();
    tell("signal");
    coir_cond_signal(&shared.cond);
    settle();
    tell("signal");
    coir_cond_signal(&shared.cond);
    return crew_end(&crew);
}

START_TEST(signal_goes_past_who_was_cancelled)
{
    run_body(cancel_before_signal);
    ck_assert_str_eq(story(), "0:-125 signal 1:0 signal 2:0");
}
END_TEST

/* Cancelled and signalled at once, in either order, under the mutex or not:
 * the one signal wakes one waiter. */
static int cancel_and_signal(void *arg)
{
    const bool *how = arg;
    struct shared shared = {0};
    struct crew crew;
    crew_start(&crew, 2, wait_and_tell, &shared);
    if (how[0])
        lock(&shared);
    if (how[1])
        coir_task_cancel(&crew.task[0]);
    coir_cond_signal(&shared.cond);
    if (!how[1])
        coir_task_cancel(&crew.task[0]);
    if (how[0])
        unlock(&shared);
    settle();
    int woken = (coir_task_result(&crew.task[0]) == 0) +
                (coir_task_result(&crew.task[1]) == 0);
    ck_assert_int_eq(woken, 1);
    if (!how[1]) /* success wins */
        ck_assert_int_eq(coir_task_result(&crew.task[0]), 0);
    coir_cond_broadcast(&shared.cond);
    return crew_end(&crew);
}

START_TEST(signal_is_not_lost_with_who_is_cancelled)
{
    for (unsigned i = 0; i < 4; i++) {
        bool how[2] = {i & 1, i & 2};
        ck_assert_int_eq(run_story(0, cancel_and_signal, how), 0);
    }
}
END_TEST

/* Who is signalled stands in the mutex's queue, and when it is cancelled there
 * it keeps its place. */
static int cancel_in_line(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    crew_start(&crew, 4, wait_and_tell, &shared);
    lock(&shared);
    coir_cond_broadcast(&shared.cond);
    coir_task_cancel(&crew.task[1]);
    settle();
    tell("unlock");
    unlock(&shared);
    return crew_end(&crew);
}

START_TEST(who_was_signalled_gets_the_mutex_in_order_cancelled_or_not)
{
    run_body(cancel_in_line);
    ck_assert_str_eq(story(), "unlock 0:0 1:0 2:0 3:0");
}
END_TEST

/* All at once: the unlock finds them in the queue, and cancelled. */
static int cancel_and_unlock(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    crew_start(&crew, 4, wait_and_tell, &shared);
    lock(&shared);
    coir_cond_broadcast(&shared.cond);
    for (int i = 0; i < 3; i++)
        coir_task_cancel(&crew.task[i]);
    unlock(&shared);
    settle();
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(coir_task_result(&crew.task[i]), 0);
    lock(&shared);
    unlock(&shared);
    return crew_end(&crew);
}

START_TEST(who_was_signalled_succeeds_though_the_unlock_finds_it_cancelled)
{
    run_body(cancel_and_unlock);
}
END_TEST

static int wait_long(int number, void *arg)
{
    struct shared *shared = arg;
    coir_scope scope;
    lock(shared);
    coir_timeout_open(&scope, MINUTES(10));
    int rc = coir_cond_wait(&shared->cond, &shared->mutex);
    rc = coir_scope_close(&scope, rc);
    tell("%d:%d", number, rc);
    unlock(shared);
    return 0;
}

static int hold_over_timeouts(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    crew_start(&crew, 2, wait_long, &shared);
    lock(&shared);
    ck_assert_int_eq(coir_sleep(HOURS(1)), 0);
    tell("unlock");
    unlock(&shared);
    return crew_end(&crew);
}

START_TEST(wait_that_timed_out_returns_when_it_has_the_mutex)
{
    run_body(hold_over_timeouts);
    ck_assert_str_eq(story(), "unlock 0:-110 1:-110");
}
END_TEST

static int wait_cancelled(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    coir_scope scope;
    lock(&shared);
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    int rc = coir_cond_wait(&shared.cond, &shared.mutex);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_mutex_try_lock(&shared.mutex), -EBUSY);
    unlock(&shared);
    return coir_scope_close(&scope, 0);
}

START_TEST(wait_of_a_cancelled_fiber_keeps_the_mutex)
{
    run_body(wait_cancelled);
}
END_TEST

COIR_SUITE(cond, TEST_WORKERS | TEST_SEEDED)
{
    TCase *signals = test_case(suite, "signals");
    tcase_add_test(signals, signal_wakes_the_first_that_waits);
    tcase_add_test(signals, signal_is_not_kept_for_who_comes_later);
    tcase_add_test(signals, broadcast_wakes_all_who_wait_in_order);
    tcase_add_test(signals, broadcast_under_the_mutex_wakes_nobody_in_vain);
    tcase_add_test(signals, any_thread_may_signal);
    tcase_add_test(signals, wait_is_for_fibers);
    tcase_add_test(signals, each_gets_the_mutex_that_it_waits_with);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, signal_goes_past_who_was_cancelled);
    tcase_add_test(cancelled, signal_is_not_lost_with_who_is_cancelled);
    tcase_add_test(cancelled,
                   who_was_signalled_gets_the_mutex_in_order_cancelled_or_not);
    tcase_add_test(
        cancelled,
        who_was_signalled_succeeds_though_the_unlock_finds_it_cancelled);
    tcase_add_test(cancelled,
                   wait_that_timed_out_returns_when_it_has_the_mutex);
    tcase_add_test(cancelled, wait_of_a_cancelled_fiber_keeps_the_mutex);
}
