/* test/stress_timer.c -- timers under load: none early, none lost
 *
 * On the real clock. Fibers sleep, and work under timeouts that race with the
 * end of what they wait for, while threads put deadlines off or bring them
 * forward. However late things come: nothing ends before its time, and what
 * ends is one of the two that raced. A lost timer hangs the test. */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { FIBERS = 12, LONGEST = 300000 /* ns */ };

static _Atomic uint64_t timeouts, successes;
static _Atomic bool over;

static struct stress_clock stress;

/* ---- Races with a timeout ---- */

static int sleep_for(void *arg)
{
    coir_time length = *(const coir_time *)arg;
    coir_time start = coir_now();
    int rc = coir_sleep(length);
    must_not(rc == 0 && coir_now() - start < length);
    return rc;
}

static coir_time random_length(uint64_t *state)
{
    return (coir_time)test_random_below(state, LONGEST);
}

static void count_end(int rc, coir_time start, coir_time limit)
{
    must_not(rc != 0 && rc != -ETIMEDOUT);
    must_not(rc == -ETIMEDOUT && coir_now() - start < limit);
    timeouts += rc == -ETIMEDOUT;
    successes += rc == 0;
}

static void race_sleep(uint64_t *state)
{
    coir_time length = random_length(state), limit = random_length(state);
    coir_time start = coir_now();
    count_end(coir_timeout(limit, sleep_for, &length), start, limit);
}

static void race_join(uint64_t *state)
{
    coir_time length = random_length(state), limit = random_length(state);
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    must_not(coir_spawn(&nursery, &task, sleep_for, &length) != 0);
    coir_time start = coir_now();
    coir_scope scope;
    coir_timeout_open(&scope, limit);
    int rc = coir_join(&task, NULL);
    count_end(coir_scope_close(&scope, rc), start, limit);
    must_not(coir_nursery_close(&nursery) != 0);
    must_not(coir_now() - start < 0);
}

static void race_nursery(uint64_t *state)
{
    coir_time length = random_length(state), limit = random_length(state);
    coir_nursery nursery;
    coir_time start = coir_now();
    coir_nursery_open(&nursery);
    coir_scope_reschedule(coir_nursery_scope(&nursery), start + limit);
    for (int i = 0; i < 3; i++) {
        int rc = coir_go_copy(&nursery, sleep_for, &length, sizeof length);
        must_not(rc != 0 && rc != -ECANCELED);
    }
    count_end(coir_nursery_close(&nursery), start, limit);
}

/* Under two deadlines, the outer one moved now and then by ourselves. */
static void race_nested(uint64_t *state)
{
    coir_time length = random_length(state), limit = random_length(state);
    coir_time outer_limit = random_length(state);
    coir_scope outer, inner;
    coir_time start = coir_now();
    coir_timeout_open(&outer, outer_limit);
    coir_timeout_open(&inner, limit);
    if (test_random_below(state, 2)) {
        outer_limit += random_length(state);
        coir_time moved = coir_now() - start;
        coir_scope_reschedule(&outer, start + outer_limit);
        if (coir_scope_cancelled(&outer) || moved > outer_limit)
            outer_limit = 0; /* it had come before: nothing is certain */
    }
    int rc = coir_scope_close(&inner, sleep_for(&length));
    must_not(rc == -ETIMEDOUT && coir_now() - start < limit);
    bool by_outer = rc == -ECANCELED;
    rc = coir_scope_close(&outer, rc);
    must_not(rc == -ECANCELED);
    must_not(by_outer && coir_now() - start < outer_limit);
    timeouts += rc == -ETIMEDOUT;
}

static int race_on(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    static void (*const races[])(uint64_t *) = {race_sleep, race_join,
                                                race_nursery, race_nested};
    while (stress_goes_on(&stress))
        races[test_random_below(&state, 4)](&state);
    return coir_yield();
}

static int race_together(void *arg)
{
    return coir_each(race_on, arg, FIBERS, sizeof(uint64_t), 0);
}

START_TEST(timers_never_fire_early)
{
    uint64_t seeds[FIBERS];
    for (int i = 0; i < FIBERS; i++)
        seeds[i] = test_seed((uint64_t)i);
    stress = stress_clock_start();
    timeouts = successes = 0;
    ck_assert_int_eq(coir_run(race_together, seeds), 0);
    assert_nothing_happened();
    ck_assert_uint_gt(timeouts, 0);
    ck_assert_uint_gt(successes, 0);
}
END_TEST

/* ---- Threads that reschedule ---- */

static struct target {
    pthread_mutex_t lock;
    coir_scope *scope;
    coir_time floor; /* before which it must not expire */
    bool came;       /* a deadline of it may have come: nothing is certain */
} targets[FIBERS];

/* Under its lock. Put the deadline off, or bring it forward to now. */
static void move_deadline(struct target *target, uint64_t *state)
{
    coir_time old = coir_scope_deadline(target->scope);
    coir_time to = old + random_length(state) / 4;
    if (test_random_below(state, 8) == 0) {
        target->came = true;
        to = coir_now();
    }
    coir_scope_reschedule(target->scope, to);
    target->floor = to;
    target->came = target->came || coir_now() >= old;
}

static void *move_at_random(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    while (!over) {
        struct target *target = &targets[test_random_below(&state, FIBERS)];
        pthread_mutex_lock(&target->lock);
        if (target->scope)
            move_deadline(target, &state);
        pthread_mutex_unlock(&target->lock);
        sched_yield();
    }
    return NULL;
}

static void show(struct target *target, coir_scope *scope, coir_time floor)
{
    pthread_mutex_lock(&target->lock);
    target->scope = scope;
    target->floor = floor;
    target->came = false;
    pthread_mutex_unlock(&target->lock);
}

static bool hide_and_see_if_early(struct target *target)
{
    pthread_mutex_lock(&target->lock);
    target->scope = NULL;
    bool soon = !target->came && coir_now() < target->floor;
    pthread_mutex_unlock(&target->lock);
    return soon;
}

/* Sleeps under a deadline that is moved by threads, until it comes. */
static int sleep_to_the_end(void *arg)
{
    struct target *target = arg;
    uint64_t state = test_seed((uint64_t)(target - targets) + 100);
    while (stress_goes_on(&stress)) {
        coir_scope scope;
        coir_time at = coir_now() + random_length(&state);
        coir_deadline_open(&scope, at);
        show(target, &scope, at);
        int rc = coir_sleep(COIR_NEVER);
        must_not(hide_and_see_if_early(target));
        must_not(coir_scope_close(&scope, rc) != -ETIMEDOUT);
        memset(&scope, 0xa5, sizeof scope);
        timeouts++;
    }
    return 0;
}

static int sleep_together(void *arg)
{
    return coir_each(sleep_to_the_end, arg, FIBERS, sizeof(struct target), 0);
}

START_TEST(timers_follow_threads_that_reschedule)
{
    stress = stress_clock_start();
    over = false;
    timeouts = 0;
    for (int i = 0; i < FIBERS; i++)
        pthread_mutex_init(&targets[i].lock, NULL);
    pthread_t threads[2];
    uint64_t seeds[2] = {test_seed(200), test_seed(201)};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, move_at_random, &seeds[i]), 0);
    ck_assert_int_eq(coir_run(sleep_together, targets), 0);
    over = true;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_nothing_happened();
    ck_assert_uint_gt(timeouts, 0);
}
END_TEST

COIR_SUITE(timer, TEST_STRESS | TEST_WORKERS | TEST_SEEDED)
{
    TCase *races = test_case(suite, "races");
    tcase_add_test(races, timers_never_fire_early);
    tcase_add_test(races, timers_follow_threads_that_reschedule);
}
