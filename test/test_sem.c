/* test/test_sem.c -- a number of permits, taken in order */
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/sem.h>
#include <coir/time.h>

#include "test/must.h"
#include "test/sync.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int take_and_tell(int number, void *arg)
{
    int rc = coir_sem_acquire(arg);
    tell("%d:%d", number, rc);
    return rc;
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* ---- Permits ---- */

static int take_three(void *arg)
{
    (void)arg;
    coir_sem sem;
    coir_sem_init(&sem, 2);
    ck_assert_int_eq(coir_sem_acquire(&sem), 0);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), 0);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), -EAGAIN);
    coir_sem_release(&sem);
    ck_assert_int_eq(coir_sem_acquire(&sem), 0);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), -EAGAIN);
    return 0;
}

START_TEST(semaphore_has_as_many_permits_as_it_was_given)
{
    run_body(take_three);
}
END_TEST

static int fill_zeroed(void *arg)
{
    (void)arg;
    coir_sem sem = {0};
    ck_assert_int_eq(coir_sem_try_acquire(&sem), -EAGAIN);
    coir_sem_release(&sem);
    ck_assert_int_eq(coir_sem_acquire(&sem), 0);
    return 0;
}

START_TEST(semaphore_of_zeroes_has_none)
{
    run_body(fill_zeroed);
}
END_TEST

static int fill_up(void *arg)
{
    (void)arg;
    coir_sem sem;
    coir_sem_init(&sem, UINT_MAX);
    ck_assert_int_eq(coir_sem_acquire(&sem), 0);
    ck_assert_int_eq(coir_sem_acquire(&sem), 0);
    coir_sem_release(&sem);
    coir_sem_release(&sem);
    return 0;
}

START_TEST(semaphore_may_have_uint_max)
{
    run_body(fill_up);
}
END_TEST

START_TEST(permits_may_be_tried_for_and_given_back_outside_a_runtime)
{
    coir_sem sem;
    coir_sem_init(&sem, 1);
    ck_assert_int_eq(coir_sem_acquire(&sem), -EPERM);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), 0);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), -EAGAIN);
    coir_sem_release(&sem);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), 0);
}
END_TEST

/* ---- Order ---- */

static int give_one_by_one(void *arg)
{
    (void)arg;
    coir_sem sem = {0};
    struct crew crew;
    crew_start(&crew, 4, take_and_tell, &sem);
    for (int i = 0; i < 4; i++) {
        tell("give");
        coir_sem_release(&sem);
        settle();
    }
    return crew_end(&crew);
}

START_TEST(permits_are_given_in_order)
{
    run_body(give_one_by_one);
    ck_assert_str_eq(story(), "give 0:0 give 1:0 give 2:0 give 3:0");
}
END_TEST

static int try_between(void *arg)
{
    (void)arg;
    coir_sem sem = {0};
    struct crew crew;
    crew_start(&crew, 2, take_and_tell, &sem);
    coir_sem_release(
        &sem); /* it is the first waiter's, though it has not run */
    ck_assert_int_eq(coir_sem_try_acquire(&sem), -EAGAIN);
    coir_sem_release(&sem);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), -EAGAIN);
    coir_sem_release(&sem);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), 0);
    return crew_end(&crew);
}

START_TEST(newcomer_does_not_overtake_who_waits)
{
    run_body(try_between);
}
END_TEST

static void *give_two(void *sem)
{
    coir_sem_release(sem);
    coir_sem_release(sem);
    return NULL;
}

static int give_by_thread(void *arg)
{
    (void)arg;
    coir_sem sem = {0};
    struct crew crew;
    crew_start(&crew, 2, take_and_tell, &sem);
    on_a_thread(give_two, &sem);
    return crew_end(&crew);
}

START_TEST(permit_may_be_given_by_any_thread)
{
    run_body(give_by_thread);
    ck_assert_int_eq((int)strlen(story()), (int)strlen("0:0 1:0"));
}
END_TEST

/* ---- Cancelled ---- */

static int cancel_first(void *arg)
{
    (void)arg;
    coir_sem sem = {0};
    struct crew crew;
    crew_start(&crew, 3, take_and_tell, &sem);
    coir_task_cancel(&crew.task[0]);
    coir_sem_release(&sem); /* member 0 may still be in the queue */
    settle();
    ck_assert_int_eq(coir_task_result(&crew.task[0]), -ECANCELED);
    ck_assert_int_eq(coir_task_result(&crew.task[1]), 0);
    ck_assert_int_eq(coir_task_result(&crew.task[2]), -EINPROGRESS);
    coir_sem_release(&sem);
    return crew_end(&crew);
}

START_TEST(permit_goes_past_who_was_cancelled)
{
    run_body(cancel_first);
}
END_TEST

static int cancel_all(void *arg)
{
    (void)arg;
    coir_sem sem = {0};
    struct crew crew;
    crew_start(&crew, 3, take_and_tell, &sem);
    for (int i = 0; i < 3; i++)
        coir_task_cancel(&crew.task[i]);
    coir_sem_release(&sem);
    settle();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_task_result(&crew.task[i]), -ECANCELED);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), 0);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), -EAGAIN);
    return crew_end(&crew);
}

START_TEST(permit_stays_where_all_were_cancelled)
{
    run_body(cancel_all);
}
END_TEST

static int take_twice(int number, void *arg)
{
    int first = coir_sem_acquire(arg);
    int second = coir_sem_acquire(arg);
    tell("%d:%d:%d", number, first, second);
    return 0;
}

static int cancel_after_release(void *arg)
{
    (void)arg;
    coir_sem sem = {0};
    struct crew crew;
    crew_start(&crew, 1, take_twice, &sem);
    coir_sem_release(&sem);
    coir_task_cancel(&crew.task[0]);
    coir_sem_release(&sem);
    ck_assert_int_eq(crew_end(&crew), 0);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), 0);
    return 0;
}

START_TEST(release_before_the_cancel_wins_and_the_next_call_reports)
{
    run_body(cancel_after_release);
    ck_assert_str_eq(story(), "0:0:-125");
}
END_TEST

static int acquire_cancelled(void *arg)
{
    (void)arg;
    coir_sem sem;
    coir_scope scope;
    coir_sem_init(&sem, 1);
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_sem_acquire(&sem), -ECANCELED);
    ck_assert_int_eq(coir_sem_try_acquire(&sem), 0);
    ck_assert_int_eq(coir_sem_acquire(&sem), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ECANCELED);
    coir_timeout_open(&scope, MINUTES(1));
    int rc = coir_sem_acquire(&sem);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
    return 0;
}

START_TEST(acquire_is_a_cancellation_point_though_permits_are_there)
{
    run_body(acquire_cancelled);
}
END_TEST

/* ---- Races ---- */

static int release_for_parent(void *sem)
{
    coir_sem_release(sem);
    return 0;
}

static void release_as_giver(void *sem)
{
    coir_sem_release(sem);
}

static int free_when_woken(void *arg)
{
    struct giver *giver = arg; /* or a child does it */
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (uint64_t i = test_scaled(giver ? 5000 : 20000); i > 0; i--) {
        coir_sem *sem = calloc(1, sizeof *sem);
        if (giver)
            giver_pass(giver, sem);
        else
            must_not(coir_go(&nursery, release_for_parent, sem) != 0);
        must_not(coir_sem_acquire(sem) != 0);
        bury(sem, sizeof *sem);
    }
    bury(NULL, sizeof(coir_sem));
    if (giver)
        giver_stop(giver);
    return coir_nursery_close(&nursery);
}

START_TEST(waiter_may_free_the_semaphore_when_its_acquire_returns)
{
    struct giver giver;
    giver_start(&giver, release_as_giver);
    ck_assert_int_eq(coir_run(free_when_woken, &giver), 0);
    ck_assert_int_eq(coir_run(free_when_woken, NULL), 0);
    assert_nothing_happened();
}
END_TEST

/* One permit is a lock: TSan sees whether it orders who has it. */
struct shared {
    coir_sem sem;
    uint64_t count, rounds; /* not atomic */
};

static int count_up(void *arg)
{
    struct shared *shared = arg;
    for (uint64_t i = 0; i < shared->rounds; i++) {
        must_not(coir_sem_acquire(&shared->sem) != 0);
        shared->count++;
        if (i % 16 == 0)
            must_not(coir_yield() != 0);
        coir_sem_release(&shared->sem);
    }
    return 0;
}

static int count_together(void *arg)
{
    (void)arg;
    struct shared shared = {.rounds = test_scaled(5000)};
    coir_nursery nursery;
    coir_sem_init(&shared.sem, 1);
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < 8 && rc == 0; i++)
        rc = coir_go(&nursery, count_up, &shared);
    rc = coir_nursery_close_with(&nursery, rc);
    must_not(shared.count != 8 * shared.rounds);
    return rc;
}

START_TEST(one_permit_keeps_out_all_but_one)
{
    ck_assert_int_eq(coir_run(count_together, NULL), 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(sem, TEST_WORKERS | TEST_SEEDED)
{
    TCase *permits = test_case(suite, "permits");
    tcase_add_test(permits, semaphore_has_as_many_permits_as_it_was_given);
    tcase_add_test(permits, semaphore_of_zeroes_has_none);
    tcase_add_test(permits, semaphore_may_have_uint_max);
    tcase_add_test(permits,
                   permits_may_be_tried_for_and_given_back_outside_a_runtime);

    TCase *order = test_case(suite, "order");
    tcase_add_test(order, permits_are_given_in_order);
    tcase_add_test(order, newcomer_does_not_overtake_who_waits);
    tcase_add_test(order, permit_may_be_given_by_any_thread);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, permit_goes_past_who_was_cancelled);
    tcase_add_test(cancelled, permit_stays_where_all_were_cancelled);
    tcase_add_test(cancelled,
                   release_before_the_cancel_wins_and_the_next_call_reports);
    tcase_add_test(cancelled,
                   acquire_is_a_cancellation_point_though_permits_are_there);

    TCase *races = test_case(suite, "races");
    tcase_add_test(races,
                   waiter_may_free_the_semaphore_when_its_acquire_returns);
    tcase_add_test(races, one_permit_keeps_out_all_but_one);
}
