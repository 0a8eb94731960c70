/* test/stress_park.c -- parking loses no wake-up
 *
 * Fibers wait - for tasks, timers, cancelling from other threads, callbacks -
 * while those who wake them come before, during and after the wait. A lost
 * wake-up hangs the test, which then times out; a wrong one shows in a result.
 * Waits that race with a timeout may end either way, but never otherwise. */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"
#include "test/story.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

static struct stress_clock stress;

/* Let some time pass in one of many ways, up to some 20 us. */
static int linger(uint64_t *state)
{
    uint64_t much = test_random_below(state, 100);
    switch (test_random_below(state, 5)) {
    case 0:
        return 0;
    case 1:
        for (uint64_t i = 0; i < much * 20; i++)
            __asm__ volatile("");
        return 0;
    case 2:
        return coir_sleep((coir_time)much * 200);
    default:
        return coir_yield();
    }
}

/* ---- Tasks and those who wait for them ---- */

enum { TASKS = 8, WAITERS = 6 };

struct round {
    coir_task tasks[TASKS];
    _Atomic int called[TASKS];
    uint64_t seed;
};

static int be_task(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    int number = (int)(state % 1000);
    int rc = linger(&state);
    return rc < 0 ? rc : number;
}

static uint64_t seed_of_task(const struct round *round, int i)
{
    uint64_t state = round->seed + (uint64_t)i;
    return test_random(&state);
}

static void count_call(coir_task *task, void *data)
{
    _Atomic int *called = data;
    must_not(!coir_task_done(task));
    ++*called;
}

/* Join one task, for so long at first. */
static int join_one(struct round *round, uint64_t *state)
{
    int which = (int)test_random_below(state, TASKS);
    coir_task *task = &round->tasks[which];
    int result = -1;
    coir_scope scope;
    coir_timeout_open(&scope, (coir_time)test_random_below(state, 30000));
    int rc = coir_scope_close(&scope, coir_join(task, &result));
    must_not(rc != 0 && rc != -ETIMEDOUT);
    if (rc == -ETIMEDOUT)
        rc = coir_join(task, &result);
    must_not(rc != 0);
    must_not(result != (int)(seed_of_task(round, which) % 1000));
    return rc;
}

static int wait_for_some(struct round *round, uint64_t *state)
{
    coir_task *all[TASKS];
    for (int i = 0; i < TASKS; i++)
        all[i] = &round->tasks[i];
    static const enum coir_wait_for whats[] = {COIR_ALL_DONE, COIR_FIRST_DONE,
                                               COIR_FIRST_FAILED};
    enum coir_wait_for what = whats[test_random_below(state, 3)];
    int rc = coir_wait(all, TASKS, what);
    must_not(rc < 1 || (what != COIR_FIRST_DONE && rc != TASKS));
    for (int i = 0; i < rc; i++)
        must_not(!coir_task_done(all[i]));
    return rc < 0 ? rc : 0;
}

static int take_completions(struct round *round, uint64_t *state)
{
    coir_task *all[TASKS], *task = NULL;
    for (int i = 0; i < TASKS; i++)
        all[i] = &round->tasks[i];
    coir_completions c;
    int rc = coir_completions_open(&c, all, TASKS);
    if (rc < 0)
        return rc;
    uint64_t take = test_random_below(state, TASKS + 1);
    for (uint64_t i = 0; i < take && rc == 0; i++) {
        rc = coir_completions_next(&c, &task);
        must_not(rc != 0 || !coir_task_done(task));
    }
    if (take == TASKS)
        must_not(coir_completions_next(&c, &task) != -ENOENT);
    coir_completions_close(&c);
    return rc;
}

struct waiter {
    struct round *round;
    uint64_t state;
};

static int be_waiter(void *arg)
{
    struct waiter *waiter = arg;
    uint64_t *state = &waiter->state;
    int rc = linger(state);
    if (rc < 0)
        return rc;
    switch (test_random_below(state, 4)) {
    case 0:
        return wait_for_some(waiter->round, state);
    case 1:
        return take_completions(waiter->round, state);
    default:
        return join_one(waiter->round, state);
    }
}

static int play_round(uint64_t seed)
{
    struct round round = {.seed = seed};
    uint64_t state = seed;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < TASKS && rc == 0; i++) {
        uint64_t of_task = seed_of_task(&round, i);
        const coir_spawn_options options = {.copy = sizeof of_task};
        rc = coir_spawn_with(&nursery, &round.tasks[i], &options, be_task,
                             &of_task);
    }
    for (int i = 0; i < WAITERS && rc == 0; i++) {
        struct waiter waiter = {&round, test_random(&state)};
        rc = coir_go_copy(&nursery, be_waiter, &waiter, sizeof waiter);
        if (rc == 0)
            rc = linger(&state);
    }
    for (int i = 0; i < TASKS; i++)
        coir_task_on_done(&round.tasks[i], count_call, &round.called[i]);
    rc = coir_nursery_close_with(&nursery, rc);
    for (int i = 0; i < TASKS; i++)
        must_not(round.called[i] != 1);
    memset(&round, 0xa5, sizeof round); /* nobody looks at it any more */
    return rc;
}

static int play_rounds(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    int rc = 0;
    while (stress_goes_on(&stress) && rc == 0)
        rc = play_round(test_random(&state));
    return rc;
}

static int play_side_by_side(void *arg)
{
    return coir_each(play_rounds, arg, 3, sizeof(uint64_t), 0);
}

START_TEST(parked_fibers_are_woken_by_the_end_of_tasks)
{
    uint64_t seeds[] = {test_seed(1), test_seed(2), test_seed(3)};
    stress = stress_clock_start();
    ck_assert_int_eq(coir_run(play_side_by_side, seeds), 0);
    assert_nothing_happened();
}
END_TEST

/* ---- Failures, which wake who waits for them in two ways at once ---- */

enum { GROUPS = 4, SIBLINGS = 4 };

static int fail_in_a_minute(void *arg)
{
    (void)arg;
    int rc = coir_sleep(MINUTES(1));
    return rc < 0 ? rc : -EIO;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return coir_sleep(COIR_NEVER);
}

/* Between the failure and the end of the task. */
static void take_long(coir_task *task, void *data)
{
    (void)task, (void)data;
    for (int i = 0; i < 20000; i++)
        __asm__ volatile("");
}

static int wait_for_failure(coir_task *task, uint64_t how)
{
    coir_task *all[] = {task}, *ended = NULL;
    coir_completions c;
    int result = 0;
    if (how == 0)
        return coir_join(task, &result) == 0 ? result : -EDOM;
    if (how == 1)
        return coir_wait(all, 1, COIR_FIRST_FAILED) == 1 ? -EIO : -EDOM;
    int rc = coir_completions_open(&c, all, 1);
    if (rc == 0)
        rc = coir_completions_next(&c, &ended);
    coir_completions_close(&c);
    return rc == 0 && ended == task ? coir_task_result(task) : -EDOM;
}

/* On the virtual clock the child fails when all wait. So the wait for it had
 * begun and gets the failure, though the same failure cancels it. */
static int wait_for_failures(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    while (stress_goes_on(&stress)) {
        coir_task task;
        coir_nursery nursery;
        coir_nursery_open(&nursery);
        for (int i = 0; i < SIBLINGS; i++)
            must_not(coir_go(&nursery, sleep_for_ever, NULL) != 0);
        must_not(coir_spawn(&nursery, &task, fail_in_a_minute, NULL) != 0);
        coir_task_on_done(&task, take_long, NULL);
        uint64_t how = test_random_below(&state, 3);
        must_not(wait_for_failure(&task, how) != -EIO);
        must_not(coir_yield() != -ECANCELED);
        must_not(coir_nursery_close(&nursery) != -EIO);
    }
    return 0;
}

static int wait_in_groups(void *arg)
{
    return coir_each(wait_for_failures, arg, GROUPS, sizeof(uint64_t), 0);
}

START_TEST(parked_fibers_get_the_failure_that_cancels_them)
{
    uint64_t seeds[GROUPS];
    for (int i = 0; i < GROUPS; i++)
        seeds[i] = test_seed((uint64_t)i + 30);
    stress = stress_clock_start();
    ck_assert_int_eq(run_story(0, wait_in_groups, seeds), 0);
    assert_nothing_happened();
}
END_TEST

/* ---- Threads that cancel ---- */

enum { SLEEPERS = 4 };

/* The scope in which each of them sleeps for ever. Whoever takes it from here
 * cancels it; nobody else does, so it stays open until then. */
static coir_scope *_Atomic shown[SLEEPERS];
static _Atomic bool over;

static void *cancel_at_random(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    while (!over) {
        uint64_t which = test_random_below(&state, SLEEPERS);
        coir_scope *scope = atomic_exchange(&shown[which], NULL);
        if (scope)
            coir_scope_cancel(scope);
        if (test_random_below(&state, 4) == 0)
            sched_yield();
    }
    return NULL;
}

/* Nobody but us has to do with it any more. */
static bool is_untouched(const void *object, size_t size)
{
    const unsigned char *bytes = object;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0xa5)
            return false;
    return true;
}

/* Waits for ever each time: only a thread can end it. The cancel may still be
 * under way when we wake; close waits for it. */
static int sleep_until_cancelled(void *arg)
{
    coir_scope *_Atomic *mine = arg;
    uint64_t state = test_seed((uint64_t)(mine - shown) + 10);
    while (stress_goes_on(&stress)) {
        coir_scope scope;
        coir_scope_open(&scope);
        *mine = &scope;
        for (uint64_t i = test_random_below(&state, 50); i > 0; i--)
            __asm__ volatile("");
        int rc = coir_sleep(COIR_NEVER);
        must_not(rc != -ECANCELED);
        must_not(*mine != NULL);
        must_not(coir_scope_close(&scope, rc) != -ECANCELED);
        memset(&scope, 0xa5, sizeof scope);
        for (int i = 0; i < 10; i++)
            must_not(coir_yield() != 0);
        must_not(!is_untouched(&scope, sizeof scope));
    }
    return 0;
}

static int sleep_in_all(void *arg)
{
    return coir_each(sleep_until_cancelled, arg, SLEEPERS, sizeof *shown, 0);
}

START_TEST(parked_fibers_are_woken_by_threads_that_cancel)
{
    stress = stress_clock_start();
    over = false;
    pthread_t threads[2];
    uint64_t seeds[2] = {test_seed(20), test_seed(21)};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, cancel_at_random, &seeds[i]), 0);
    ck_assert_int_eq(coir_run(sleep_in_all, shown), 0);
    over = true;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(park, TEST_STRESS | TEST_WORKERS | TEST_SEEDED)
{
    TCase *woken = test_case(suite, "woken");
    tcase_add_test(woken, parked_fibers_are_woken_by_the_end_of_tasks);
    tcase_add_test(woken, parked_fibers_get_the_failure_that_cancels_them);
    tcase_add_test(woken, parked_fibers_are_woken_by_threads_that_cancel);
}
