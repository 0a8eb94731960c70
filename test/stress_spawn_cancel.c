/* test/stress_spawn_cancel.c -- children are started while all is cancelled
 *
 * Several fibers start children in one nursery, each with an argument from the
 * heap, while a fiber or a thread cancels it. Each argument is freed once: by
 * the child if it was accepted, by the starter if it was refused; after a
 * refusal nothing is accepted any more. Every task that was started or refused
 * is done in the end, and has called back once. */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { STARTERS = 4, STARTS = 60, TASKS = 30 };

static _Atomic uint64_t accepted, refused, ran;

static struct stress_clock stress;

struct round {
    coir_nursery nursery;
    uint64_t seed;
    coir_task tasks[STARTERS][TASKS];
    int tried[STARTERS]; /* of its tasks */
    _Atomic int called[STARTERS][TASKS];
};

struct starter {
    struct round *round;
    int number;
};

/* ---- A thread that cancels what it is shown ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    coir_nursery *nursery;
    bool over;
} shown = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .changed = PTHREAD_COND_INITIALIZER};

static void show(coir_nursery *nursery, bool over)
{
    pthread_mutex_lock(&shown.lock);
    shown.nursery = nursery;
    shown.over = over;
    pthread_cond_signal(&shown.changed);
    pthread_mutex_unlock(&shown.lock);
}

static void *cancel_what_is_shown(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&shown.lock);
    while (!shown.over) {
        if (shown.nursery)
            coir_nursery_cancel(shown.nursery);
        shown.nursery = NULL;
        pthread_cond_wait(&shown.changed, &shown.lock);
    }
    pthread_mutex_unlock(&shown.lock);
    return NULL;
}

/* ---- Children ---- */

static int be_child(void *arg)
{
    uint64_t *mine = arg;
    uint64_t state = *mine;
    free(mine);
    ran++;
    int rc = 0;
    for (uint64_t i = test_random_below(&state, 3); i > 0 && rc == 0; i--)
        rc = test_random_below(&state, 3) ? coir_yield()
                                          : coir_sleep(COIR_US(5));
    return rc;
}

static void count_call(coir_task *task, void *data)
{
    _Atomic int *called = data;
    must_not(!coir_task_done(task));
    ++*called;
}

/* What became of a start, and of its argument. */
static void settle(int rc, uint64_t *argument, bool *closed)
{
    must_not(rc != 0 && rc != -ECANCELED);
    must_not(rc == 0 && *closed); /* it was refused before */
    accepted += rc == 0;
    if (rc < 0) {
        free(argument);
        refused++;
        *closed = true;
    }
}

/* One start, with a handle or without. */
static int start_one(struct starter *starter, uint64_t *argument, int *tasks)
{
    struct round *round = starter->round;
    int number = starter->number;
    if (*argument % 3 || *tasks == TASKS)
        return coir_go(&round->nursery, be_child, argument);
    coir_task *task = &round->tasks[number][*tasks];
    int rc = coir_spawn(&round->nursery, task, be_child, argument);
    coir_task_on_done(task, count_call, &round->called[number][*tasks]);
    ++*tasks;
    return rc;
}

static int start_children(void *arg)
{
    struct starter *starter = arg;
    struct round *round = starter->round;
    int number = starter->number, tasks = 0;
    uint64_t state = round->seed + (uint64_t)number * 7919;
    uint64_t stop = test_random_below(&state, STARTS);
    bool closed = false;
    for (uint64_t i = 0; i < STARTS; i++) {
        uint64_t *argument = malloc(sizeof *argument);
        *argument = test_random(&state);
        settle(start_one(starter, argument, &tasks), argument, &closed);
        if (tasks > 0 && test_random_below(&state, 8) == 0) {
            uint64_t which = test_random_below(&state, (uint64_t)tasks);
            coir_task_cancel(&round->tasks[number][which]);
        }
        if (number == 0 && i == stop && round->seed % 2)
            coir_nursery_cancel(&round->nursery);
        if (test_random_below(&state, 16) == 0)
            COIR_IGNORE(coir_yield());
    }
    round->tried[number] = tasks;
    return 0;
}

static int play_round(uint64_t seed)
{
    struct round *round = calloc(1, sizeof *round);
    round->seed = seed;
    coir_nursery_open(&round->nursery);
    if (seed % 2 == 0)
        show(&round->nursery, false);
    coir_nursery starters;
    coir_nursery_open(&starters);
    int rc = 0;
    for (int i = 0; i < STARTERS && rc == 0; i++) {
        struct starter starter = {round, i};
        rc = coir_go_copy(&starters, start_children, &starter, sizeof starter);
        must_not(rc != 0 && rc != -ECANCELED);
    }
    COIR_IGNORE(coir_nursery_close(&starters)); /* inside what is cancelled */
    show(NULL, false);
    rc = coir_nursery_close(&round->nursery);
    for (int i = 0; i < STARTERS; i++)
        for (int k = 0; k < round->tried[i]; k++)
            must_not(round->called[i][k] != 1);
    free(round);
    return rc;
}

static int play_rounds(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    int rc = 0;
    while (stress_goes_on(&stress) && rc == 0 && happened.count == 0)
        rc = play_round(test_random(&state));
    return rc;
}

START_TEST(children_are_accepted_or_refused_but_never_lost)
{
    stress = stress_clock_start();
    accepted = refused = ran = 0;
    show(NULL, false);
    pthread_t thread;
    uint64_t seed = test_seed(1);
    int rc = pthread_create(&thread, NULL, cancel_what_is_shown, NULL);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(coir_run(play_rounds, &seed), 0);
    show(NULL, true);
    pthread_join(thread, NULL);
    assert_nothing_happened();
    ck_assert_uint_eq(ran, accepted);
    ck_assert_uint_gt(refused, 0);
}
END_TEST

COIR_SUITE(spawn_cancel, TEST_STRESS | TEST_WORKERS | TEST_SEEDED)
{
    TCase *both = test_case(suite, "both at once");
    tcase_add_test(both, children_are_accepted_or_refused_but_never_lost);
}
