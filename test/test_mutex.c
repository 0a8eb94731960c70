/* test/test_mutex.c -- a lock that parks who waits */
#include <coir/event.h>
#include <coir/mutex.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/stats.h>
#include <coir/time.h>

#include "sched/clock.h"
#include "test/must.h"
#include "test/sync.h"

#include <errno.h>
#include <stdlib.h>

/* Members lock, tell, and hold the mutex until they may go on. */
struct shared {
    coir_mutex mutex;
    coir_event go_on;
};

static int lock_and_hold(int number, void *arg)
{
    struct shared *shared = arg;
    int rc = coir_mutex_lock(&shared->mutex);
    tell("%d:%d", number, rc);
    if (rc < 0)
        return rc;
    if ((rc = coir_event_wait(&shared->go_on)) < 0)
        tell("%d:%d", number, rc);
    coir_mutex_unlock(&shared->mutex);
    return rc;
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* Members who come so fast have not waited for long. */
static void start_quickly(struct crew *crew, int count, struct shared *shared)
{
    crew_start_paced(crew, COIR_US(100), count, lock_and_hold, shared);
}

/* Time goes by while a fiber computes. */
static void compute_for(coir_time length)
{
    coir_i_clock_jump(coir_now() + length);
}

/* ---- Locking ---- */

static int try_as_other(int number, void *arg)
{
    tell("%d:%d", number, coir_mutex_try_lock(arg));
    return 0;
}

static int lock_and_try(void *arg)
{
    (void)arg;
    coir_mutex mutex = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&mutex), 0);
    ck_assert_int_eq(coir_mutex_try_lock(&mutex), -EBUSY);
    crew_start(&crew, 1, try_as_other, &mutex);
    ck_assert_int_eq(crew_end(&crew), 0);
    coir_mutex_unlock(&mutex);
    ck_assert_int_eq(coir_mutex_try_lock(&mutex), 0);
    coir_mutex_unlock(&mutex);
    ck_assert_int_eq(coir_mutex_lock(&mutex), 0);
    coir_mutex_unlock(&mutex);
    return 0;
}

START_TEST(try_lock_takes_what_is_free)
{
    run_body(lock_and_try);
    ck_assert_str_eq(story(), "0:-16");
}
END_TEST

START_TEST(mutex_is_locked_by_fibers_only)
{
    coir_mutex mutex = {0};
    ck_assert_int_eq(coir_mutex_lock(&mutex), -EPERM);
    ck_assert_int_eq(coir_mutex_try_lock(&mutex), -EPERM);
}
END_TEST

static int hold_over_sleep(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    crew_start(&crew, 4, lock_and_hold, &shared);
    tell("unlock");
    coir_event_set(&shared.go_on);
    coir_mutex_unlock(&shared.mutex);
    return crew_end(&crew);
}

START_TEST(who_waits_gets_it_in_order)
{
    run_body(hold_over_sleep);
    ck_assert_str_eq(story(), "unlock 0:0 1:0 2:0 3:0");
}
END_TEST

/* ---- Overtaking ---- */

static int unlock_late(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    start_quickly(&crew, 2, &shared);
    compute_for(COIR_MS(1));
    coir_mutex_unlock(&shared.mutex);
    ck_assert_int_eq(coir_mutex_try_lock(&shared.mutex), -EBUSY);
    coir_event_set(&shared.go_on);
    tell("lock");
    int rc = coir_mutex_lock(&shared.mutex);
    tell("locked:%d", rc);
    coir_mutex_unlock(&shared.mutex);
    return crew_end(&crew);
}

START_TEST(nobody_overtakes_who_has_waited_for_a_millisecond)
{
    run_body(unlock_late);
    ck_assert_str_eq(story(), "lock 0:0 1:0 locked:0");
}
END_TEST

static int wait_on_the_way(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    start_quickly(&crew, 1, &shared);
    coir_mutex_unlock(&shared.mutex);
    compute_for(COIR_MS(1));
    ck_assert_int_eq(coir_mutex_try_lock(&shared.mutex), -EBUSY);
    tell("lock");
    coir_event_set(&shared.go_on);
    int rc = coir_mutex_lock(&shared.mutex);
    tell("locked:%d", rc);
    coir_mutex_unlock(&shared.mutex);
    return crew_end(&crew);
}

START_TEST(nobody_overtakes_who_is_late_on_its_way)
{
    ck_assert_int_eq(run_story(1, wait_on_the_way, NULL), 0);
    ck_assert_str_eq(story(), "lock 0:0 locked:0");
}
END_TEST

/* Who was woken has not run when the mutex is taken again. That is so with one
 * worker. */
static void overtake(struct shared *shared)
{
    coir_mutex_unlock(&shared->mutex);
    ck_assert_int_eq(coir_mutex_try_lock(&shared->mutex), 0);
}

static int overtake_first(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    start_quickly(&crew, 3, &shared);
    coir_event_set(&shared.go_on);
    overtake(&shared);
    settle();
    tell("unlock");
    coir_mutex_unlock(&shared.mutex);
    return crew_end(&crew);
}

START_TEST(who_was_overtaken_is_the_first_again)
{
    ck_assert_int_eq(run_story(1, overtake_first, NULL), 0);
    ck_assert_str_eq(story(), "unlock 0:0 1:0 2:0");
}
END_TEST

static int unlock_often(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    coir_stats before, after;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    start_quickly(&crew, 3, &shared);
    coir_event_set(&shared.go_on);
    coir_stats_get(&before);
    for (int i = 0; i < 8; i++)
        overtake(&shared);
    coir_stats_get(&after);
    ck_assert_uint_eq(after.wakes - before.wakes, 1);
    coir_mutex_unlock(&shared.mutex);
    return crew_end(&crew);
}

START_TEST(one_waiter_is_on_its_way_at_a_time)
{
    ck_assert_int_eq(run_story(1, unlock_often, NULL), 0);
    ck_assert_str_eq(story(), "0:0 1:0 2:0");
}
END_TEST

/* ---- Cancelled ---- */

static int cancel_in_line(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    crew_start(&crew, 4, lock_and_hold, &shared);
    coir_task_cancel(&crew.task[0]);
    coir_task_cancel(&crew.task[2]);
    coir_event_set(&shared.go_on);
    coir_mutex_unlock(&shared.mutex); /* while they may be in the queue */
    settle();
    ck_assert_int_eq(coir_task_result(&crew.task[0]), -ECANCELED);
    ck_assert_int_eq(coir_task_result(&crew.task[1]), 0);
    ck_assert_int_eq(coir_task_result(&crew.task[2]), -ECANCELED);
    ck_assert_int_eq(coir_task_result(&crew.task[3]), 0);
    ck_assert_int_eq(coir_mutex_try_lock(&shared.mutex), 0);
    coir_mutex_unlock(&shared.mutex);
    return crew_end(&crew);
}

START_TEST(mutex_goes_past_who_was_cancelled)
{
    run_body(cancel_in_line);
}
END_TEST

static int cancel_all(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    crew_start(&crew, 3, lock_and_hold, &shared);
    for (int i = 0; i < 3; i++)
        coir_task_cancel(&crew.task[i]);
    coir_mutex_unlock(&shared.mutex);
    settle();
    ck_assert_int_eq(coir_mutex_try_lock(&shared.mutex), 0);
    coir_mutex_unlock(&shared.mutex);
    return crew_end(&crew);
}

START_TEST(mutex_is_free_where_all_were_cancelled)
{
    run_body(cancel_all);
}
END_TEST

static int cancel_owner_to_be(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    crew_start(&crew, 1, lock_and_hold, &shared);
    coir_mutex_unlock(&shared.mutex); /* it is handed over */
    coir_task_cancel(&crew.task[0]);
    return crew_end(&crew);
}

START_TEST(unlock_before_the_cancel_wins_and_the_next_call_reports)
{
    run_body(cancel_owner_to_be);
    ck_assert_str_eq(story(), "0:0 0:-125");
}
END_TEST

static int cancel_overtaken(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    start_quickly(&crew, 2, &shared);
    coir_event_set(&shared.go_on);
    overtake(&shared);
    coir_task_cancel(&crew.task[0]); /* it was woken, and will find it held */
    settle();
    tell("unlock");
    coir_mutex_unlock(&shared.mutex);
    return crew_end(&crew);
}

START_TEST(wake_is_not_lost_with_who_is_cancelled_on_its_way)
{
    ck_assert_int_eq(run_story(1, cancel_overtaken, NULL), 0);
    ck_assert_str_eq(story(), "0:-125 unlock 1:0");
}
END_TEST

static int lock_cancelled(void *arg)
{
    (void)arg;
    coir_mutex mutex = {0};
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_mutex_lock(&mutex), -ECANCELED);
    ck_assert_int_eq(coir_mutex_try_lock(&mutex), 0);
    coir_mutex_unlock(&mutex);
    return coir_scope_close(&scope, 0);
}

START_TEST(lock_is_a_cancellation_point_though_it_is_free)
{
    run_body(lock_cancelled);
}
END_TEST

static int lock_under_timeout(int number, void *arg)
{
    struct shared *shared = arg;
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(10));
    int rc = coir_mutex_lock(&shared->mutex);
    if (rc == 0)
        coir_mutex_unlock(&shared->mutex);
    tell("%d:%d", number, coir_scope_close(&scope, rc));
    return 0;
}

static int hold_for_hours(void *arg)
{
    (void)arg;
    struct shared shared = {0};
    struct crew crew;
    ck_assert_int_eq(coir_mutex_lock(&shared.mutex), 0);
    crew_start(&crew, 2, lock_under_timeout, &shared);
    ck_assert_int_eq(coir_sleep(HOURS(1)), 0);
    coir_mutex_unlock(&shared.mutex);
    return crew_end(&crew);
}

START_TEST(lock_ends_with_a_timeout)
{
    run_body(hold_for_hours);
    ck_assert_str_eq(story(), "0:-110 1:-110");
}
END_TEST

/* ---- Races ---- */

/* The parent holds the mutex, the child waits for it, gets it, and frees it
 * while the parent may still be on its way out of the unlock. */
static int lock_and_free(void *arg)
{
    coir_mutex *mutex = arg;
    must_not(coir_mutex_lock(mutex) != 0);
    bury(mutex, sizeof *mutex);
    return 0;
}

static int unlock_for_child(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (uint64_t i = test_scaled(20000); i > 0; i--) {
        coir_mutex *mutex = calloc(1, sizeof *mutex);
        must_not(coir_mutex_lock(mutex) != 0);
        must_not(coir_go(&nursery, lock_and_free, mutex) != 0);
        if (i % 4)
            must_not(coir_yield() != 0);
        coir_mutex_unlock(mutex);
    }
    int rc = coir_nursery_close(&nursery);
    bury(NULL, sizeof(coir_mutex));
    return rc;
}

START_TEST(who_has_locked_it_may_free_it)
{
    ck_assert_int_eq(coir_run(unlock_for_child, NULL), 0);
    assert_nothing_happened();
}
END_TEST

/* TSan sees whether the mutex orders what is done under it. */
struct counter {
    coir_mutex mutex;
    uint64_t count, rounds; /* not atomic */
    unsigned yield_every;
};

static int count_up(void *arg)
{
    struct counter *counter = arg;
    for (uint64_t i = 0; i < counter->rounds; i++) {
        if (i % 5 != 0 || coir_mutex_try_lock(&counter->mutex) != 0)
            must_not(coir_mutex_lock(&counter->mutex) != 0);
        counter->count++;
        if (i % counter->yield_every == 0)
            must_not(coir_yield() != 0);
        coir_mutex_unlock(&counter->mutex);
    }
    return 0;
}

static int count_together(void *arg)
{
    struct counter counter = {.rounds = test_scaled(5000),
                              .yield_every = *(unsigned *)arg};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < 8 && rc == 0; i++)
        rc = coir_go(&nursery, count_up, &counter);
    rc = coir_nursery_close_with(&nursery, rc);
    must_not(counter.count != 8 * counter.rounds);
    return rc;
}

START_TEST(mutex_keeps_out_all_but_one)
{
    for (unsigned yield_every = 1; yield_every <= 256; yield_every *= 16)
        ck_assert_int_eq(coir_run(count_together, &yield_every), 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(mutex, TEST_WORKERS | TEST_SEEDED)
{
    TCase *locking = test_case(suite, "locking");
    tcase_add_test(locking, try_lock_takes_what_is_free);
    tcase_add_test(locking, mutex_is_locked_by_fibers_only);
    tcase_add_test(locking, who_waits_gets_it_in_order);

    TCase *overtaking = test_case(suite, "overtaking");
    tcase_add_test(overtaking,
                   nobody_overtakes_who_has_waited_for_a_millisecond);
    tcase_add_test(overtaking, nobody_overtakes_who_is_late_on_its_way);
    tcase_add_test(overtaking, who_was_overtaken_is_the_first_again);
    tcase_add_test(overtaking, one_waiter_is_on_its_way_at_a_time);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, mutex_goes_past_who_was_cancelled);
    tcase_add_test(cancelled, mutex_is_free_where_all_were_cancelled);
    tcase_add_test(cancelled,
                   unlock_before_the_cancel_wins_and_the_next_call_reports);
    tcase_add_test(cancelled,
                   wake_is_not_lost_with_who_is_cancelled_on_its_way);
    tcase_add_test(cancelled, lock_is_a_cancellation_point_though_it_is_free);
    tcase_add_test(cancelled, lock_ends_with_a_timeout);

    TCase *races = test_case(suite, "races");
    tcase_add_test(races, who_has_locked_it_may_free_it);
    tcase_add_test(races, mutex_keeps_out_all_but_one);
}
