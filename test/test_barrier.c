/* test/test_barrier.c -- fibers that wait until all of them are there */
#include <coir/barrier.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/must.h"
#include "test/sync.h"

#include <errno.h>
#include <stdlib.h>

static int wait_and_tell(int number, void *arg)
{
    int rc = coir_barrier_wait(arg);
    tell("%d:%d", number, rc);
    return rc;
}

static int wait_silently(int number, void *arg)
{
    (void)number;
    return coir_barrier_wait(arg);
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* How many members have come to that. */
static int count(struct crew *crew, int members, int result)
{
    int n = 0;
    for (int i = 0; i < members; i++)
        n += coir_task_result(&crew->task[i]) == result;
    return n;
}

/* ---- Generations ---- */

static int wait_for_three(void *arg)
{
    (void)arg;
    coir_barrier barrier;
    struct crew crew;
    coir_barrier_init(&barrier, 3);
    crew_start(&crew, 2, wait_silently, &barrier);
    ck_assert_int_eq(count(&crew, 2, -EINPROGRESS), 2);
    ck_assert_int_eq(coir_barrier_wait(&barrier), 1);
    settle();
    ck_assert_int_eq(count(&crew, 2, 0), 2);
    return crew_end(&crew);
}

START_TEST(all_go_on_when_the_last_has_come_and_one_is_told)
{
    run_body(wait_for_three);
}
END_TEST

static int wait_in_generations(void *arg)
{
    (void)arg;
    coir_barrier barrier;
    struct crew crew;
    coir_barrier_init(&barrier, 2);
    for (int i = 0; i < 3; i++) {
        crew_start(&crew, 4, wait_silently, &barrier);
        ck_assert_int_eq(count(&crew, 4, 1), 2);
        ck_assert_int_eq(count(&crew, 4, 0), 2);
        ck_assert_int_eq(crew_end(&crew), 0);
    }
    crew_start(&crew, 3, wait_silently, &barrier);
    ck_assert_int_eq(count(&crew, 3, -EINPROGRESS), 1);
    ck_assert_int_eq(coir_barrier_wait(&barrier), 1);
    return crew_end(&crew);
}

START_TEST(barrier_begins_anew_each_time)
{
    run_body(wait_in_generations);
}
END_TEST

static int wait_alone(void *arg)
{
    (void)arg;
    coir_barrier barrier;
    coir_barrier_init(&barrier, 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_barrier_wait(&barrier), 1);
    return 0;
}

START_TEST(barrier_for_one_holds_up_nobody)
{
    run_body(wait_alone);
}
END_TEST

START_TEST(barrier_is_for_fibers)
{
    coir_barrier barrier;
    coir_barrier_init(&barrier, 1);
    ck_assert_int_eq(coir_barrier_wait(&barrier), -EPERM);
}
END_TEST

/* ---- Cancelled ---- */

static int cancel_one(void *arg)
{
    (void)arg;
    coir_barrier barrier;
    struct crew crew;
    coir_barrier_init(&barrier, 3);
    crew_start(&crew, 2, wait_silently, &barrier);
    coir_task_cancel(&crew.task[0]);
    settle();
    ck_assert_int_eq(coir_task_result(&crew.task[0]), -ECANCELED);
    ck_assert_int_eq(coir_task_result(&crew.task[1]), -EINPROGRESS);
    struct crew more;
    crew_start(&more, 1, wait_silently, &barrier);
    ck_assert_int_eq(coir_task_result(&more.task[0]), -EINPROGRESS);
    ck_assert_int_eq(coir_barrier_wait(&barrier), 1);
    ck_assert_int_eq(crew_end(&more), 0);
    return crew_end(&crew);
}

START_TEST(cancelled_waiter_only_lowers_the_count)
{
    run_body(cancel_one);
}
END_TEST

/* Whether the last one still found it there or not: if it did, all pass; if
 * not, all wait for one more. */
static int cancel_at_the_end(void *arg)
{
    (void)arg;
    coir_barrier barrier;
    struct crew crew, last;
    coir_barrier_init(&barrier, 3);
    crew_start(&crew, 2, wait_silently, &barrier);
    coir_task_cancel(&crew.task[0]);
    crew_start_paced(&last, 0, 1, wait_silently, &barrier);
    settle();
    if (coir_task_result(&crew.task[0]) == 0) {
        ck_assert_int_eq(coir_task_result(&crew.task[1]), 0);
        ck_assert_int_eq(coir_task_result(&last.task[0]), 1);
    } else {
        ck_assert_int_eq(coir_task_result(&crew.task[0]), -ECANCELED);
        ck_assert_int_eq(coir_task_result(&crew.task[1]), -EINPROGRESS);
        ck_assert_int_eq(coir_task_result(&last.task[0]), -EINPROGRESS);
        ck_assert_int_eq(coir_barrier_wait(&barrier), 1);
    }
    ck_assert_int_eq(crew_end(&last), 0);
    return crew_end(&crew);
}

static int cancel_then_come(void *arg)
{
    (void)arg;
    coir_barrier barrier;
    struct crew crew;
    coir_barrier_init(&barrier, 2);
    crew_start(&crew, 1, wait_and_tell, &barrier);
    coir_task_cancel(&crew.task[0]);
    /* With one worker it is still in the queue: it has come, and passes. */
    ck_assert_int_eq(coir_barrier_wait(&barrier), 1);
    return crew_end(&crew);
}

START_TEST(who_is_cancelled_when_the_last_comes_passes_or_was_never_there)
{
    run_body(cancel_at_the_end);
    ck_assert_int_eq(run_story(1, cancel_then_come, NULL), 0);
    ck_assert_str_eq(story(), "0:0");
}
END_TEST

static int cancel_after_the_last(void *arg)
{
    (void)arg;
    coir_barrier barrier;
    struct crew crew;
    coir_barrier_init(&barrier, 2);
    crew_start(&crew, 1, wait_and_tell, &barrier);
    ck_assert_int_eq(coir_barrier_wait(&barrier), 1);
    coir_task_cancel(&crew.task[0]);
    return crew_end(&crew);
}

START_TEST(last_before_the_cancel_wins)
{
    run_body(cancel_after_the_last);
    ck_assert_str_eq(story(), "0:0");
}
END_TEST

static int wait_cancelled(void *arg)
{
    (void)arg;
    coir_barrier barrier;
    coir_scope scope;
    coir_barrier_init(&barrier, 1);
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_barrier_wait(&barrier), -ECANCELED);
    return coir_scope_close(&scope, 0);
}

START_TEST(wait_is_a_cancellation_point_for_the_last_too)
{
    run_body(wait_cancelled);
}
END_TEST

/* ---- Races ---- */

enum { PARTIES = 4 };

struct phases {
    coir_barrier barrier;
    uint64_t rounds;
    uint64_t done[PARTIES]; /* not atomic: TSan sees who is ordered */
    _Atomic(uint64_t) told;
};

struct party {
    struct phases *phases;
    int number;
};

static int go_through_phases(void *arg)
{
    const struct party *party = arg;
    struct phases *phases = party->phases;
    for (uint64_t i = 1; i <= phases->rounds; i++) {
        phases->done[party->number] = i;
        int rc = coir_barrier_wait(&phases->barrier);
        must_not(rc != 0 && rc != 1);
        phases->told += rc == 1;
        for (int k = 0; k < PARTIES; k++)
            must_not(phases->done[k] != i);
        rc = coir_barrier_wait(&phases->barrier);
        must_not(rc != 0 && rc != 1);
    }
    return 0;
}

static int compute_in_phases(void *arg)
{
    (void)arg;
    struct phases phases = {.rounds = test_scaled(5000)};
    coir_nursery nursery;
    int rc = 0;
    coir_barrier_init(&phases.barrier, PARTIES);
    coir_nursery_open(&nursery);
    for (int i = 0; i < PARTIES && rc == 0; i++) {
        struct party party = {&phases, i};
        rc = coir_go_copy(&nursery, go_through_phases, &party, sizeof party);
    }
    rc = coir_nursery_close_with(&nursery, rc);
    must_not(phases.told != phases.rounds);
    return rc;
}

START_TEST(nobody_is_a_phase_ahead)
{
    ck_assert_int_eq(coir_run(compute_in_phases, NULL), 0);
    assert_nothing_happened();
}
END_TEST

static int meet(void *arg)
{
    int rc = coir_barrier_wait(arg);
    must_not(rc < 0);
    return 0;
}

/* Only the last one leaves without having been woken: if that is not us, it may
 * still be inside when we go on. */
static int meet_and_free(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (uint64_t i = test_scaled(20000); i > 0; i--) {
        coir_barrier *barrier = malloc(sizeof *barrier);
        coir_barrier_init(barrier, 2);
        coir_task task;
        must_not(coir_spawn(&nursery, &task, meet, barrier) != 0);
        int rc = coir_barrier_wait(barrier);
        must_not(rc < 0);
        must_not(coir_join(&task, NULL) != 0);
        bury(barrier, sizeof *barrier);
    }
    bury(NULL, sizeof(coir_barrier));
    return coir_nursery_close(&nursery);
}

START_TEST(barrier_may_go_when_all_have_returned)
{
    ck_assert_int_eq(coir_run(meet_and_free, NULL), 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(barrier, TEST_WORKERS | TEST_SEEDED)
{
    TCase *generations = test_case(suite, "generations");
    tcase_add_test(generations,
                   all_go_on_when_the_last_has_come_and_one_is_told);
    tcase_add_test(generations, barrier_begins_anew_each_time);
    tcase_add_test(generations, barrier_for_one_holds_up_nobody);
    tcase_add_test(generations, barrier_is_for_fibers);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, cancelled_waiter_only_lowers_the_count);
    tcase_add_test(
        cancelled,
        who_is_cancelled_when_the_last_comes_passes_or_was_never_there);
    tcase_add_test(cancelled, last_before_the_cancel_wins);
    tcase_add_test(cancelled, wait_is_a_cancellation_point_for_the_last_too);

    TCase *races = test_case(suite, "races");
    tcase_add_test(races, nobody_is_a_phase_ahead);
    tcase_add_test(races, barrier_may_go_when_all_have_returned);
}
