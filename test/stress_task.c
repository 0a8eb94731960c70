/* test/stress_task.c -- tasks end while threads look at them and cancel them
 *
 * Threads that are no fibers ask tasks how they are, leave callbacks on them
 * and cancel them, before, while and after they end; fibers join them. What a
 * thread sees of a task never goes back, each callback comes once and finds
 * the task done, and each task came to its own number or was cancelled. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS = 16, THREADS = 2 };

static struct stress_clock stress;

struct round {
    coir_task tasks[TASKS];
    int numbers[TASKS];
    _Atomic int left, called; /* callbacks */
};

/* The round in play. Threads use it under the lock, one each, so that it stays
 * until they have let go of it. */
static struct {
    pthread_mutex_t lock[THREADS];
    struct round *round;
    bool over;
} shown;

static void show(struct round *round, bool over)
{
    for (int i = 0; i < THREADS; i++)
        pthread_mutex_lock(&shown.lock[i]);
    shown.round = round;
    shown.over = over;
    for (int i = 0; i < THREADS; i++)
        pthread_mutex_unlock(&shown.lock[i]);
}

/* ---- Threads ---- */

static bool is_right(int number, int result)
{
    return result == number || result == -ECANCELED;
}

static void count_call(coir_task *task, void *data)
{
    struct round *round = data;
    must_not(!coir_task_done(task));
    must_not(coir_task_result(task) == -EINPROGRESS);
    round->called++;
}

static void look_at(struct round *round, int i)
{
    coir_task *task = &round->tasks[i];
    bool done = coir_task_done(task);
    int result = coir_task_result(task);
    must_not(done && !is_right(round->numbers[i], result));
    must_not(result != -EINPROGRESS && !is_right(round->numbers[i], result));
    must_not(result != -EINPROGRESS && !coir_task_done(task));
    must_not(coir_task_id(task) == 0);
    if (done && result < 0 && result != -ECANCELED)
        must_not(strcmp(coir_task_message(task), "on purpose") != 0);
}

static void *meddle(void *arg)
{
    int self = *(const int *)arg;
    uint64_t state = test_seed((uint64_t)self + 50);
    for (bool over = false; !over;) {
        pthread_mutex_lock(&shown.lock[self]);
        struct round *round = shown.round;
        int i = (int)test_random_below(&state, TASKS);
        uint64_t what = test_random_below(&state, 8);
        if (round && what == 0) {
            coir_task_cancel(&round->tasks[i]);
        } else if (round && what == 1) {
            round->left++;
            coir_task_on_done(&round->tasks[i], count_call, round);
        } else if (round) {
            look_at(round, i);
        }
        over = shown.over;
        pthread_mutex_unlock(&shown.lock[self]);
        if (!round)
            sched_yield();
    }
    return NULL;
}

/* ---- Fibers ---- */

static int be_task(void *arg)
{
    int number = *(const int *)arg;
    uint64_t state = (uint64_t)number * 12345;
    int rc = 0;
    for (uint64_t i = test_random_below(&state, 5); i > 0 && rc == 0; i--)
        rc = i == 3 ? coir_sleep(COIR_US(10)) : coir_yield();
    if (rc < 0)
        return rc;
    return number < 0 ? coir_fail(number, "on purpose") : number;
}

static int join_task(struct round *round, int i)
{
    int result = -EINPROGRESS;
    int rc = coir_join(&round->tasks[i], &result);
    must_not(rc == 0 && !is_right(round->numbers[i], result));
    must_not(rc == 0 && !coir_task_done(&round->tasks[i]));
    return rc;
}

static int play_round(uint64_t *state)
{
    struct round *round = calloc(1, sizeof *round);
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_nursery_keep_going(&nursery);
    int rc = 0;
    for (int i = 0; i < TASKS && rc == 0; i++) {
        round->numbers[i] = (int)test_random_below(state, 1000);
        if (test_random_below(state, 4) == 0) /* and no code of coir's own */
            round->numbers[i] = -1000 - round->numbers[i];
        rc =
            coir_spawn(&nursery, &round->tasks[i], be_task, &round->numbers[i]);
    }
    must_not(rc != 0);
    show(round, false);
    for (int i = 0; i < 4 && rc == 0; i++)
        rc = join_task(round, (int)test_random_below(state, TASKS));
    int failed = coir_nursery_close(&nursery);
    must_not(failed == -ECANCELED || failed > 0);
    COIR_IGNORE(coir_yield()); /* and all have ended, but can be asked */
    show(NULL, false);
    must_not(round->called != round->left);
    memset(round, 0xa5, sizeof *round);
    free(round);
    return rc;
}

static int play_rounds(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    int rc = 0;
    while (stress_goes_on(&stress) && rc == 0)
        rc = play_round(&state);
    return rc;
}

START_TEST(tasks_may_be_asked_and_cancelled_by_threads_at_any_time)
{
    pthread_t threads[THREADS];
    int numbers[THREADS] = {0, 1};
    uint64_t seed = test_seed(1);
    stress = stress_clock_start();
    for (int i = 0; i < THREADS; i++)
        pthread_mutex_init(&shown.lock[i], NULL);
    show(NULL, false);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, meddle, &numbers[i]),
                         0);
    int rc = coir_run(play_rounds, &seed);
    show(NULL, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(rc, 0);
    assert_nothing_happened();
}
END_TEST

/* ---- Background starts, while runs come and go ---- */

static _Atomic uint64_t accepted, refused, ran;
static _Atomic bool over;

static int count_run(void *arg)
{
    ran++;
    COIR_IGNORE(coir_yield());
    free(arg);
    return 0;
}

static void *start_in_background(void *arg)
{
    (void)arg;
    while (!over) {
        void *theirs = malloc(8);
        int rc = coir_background(NULL, count_run, theirs);
        must_not(rc != 0 && rc != -EPERM && rc != -ECANCELED);
        accepted += rc == 0;
        refused += rc < 0;
        if (rc < 0) {
            free(theirs);
            sched_yield();
        }
    }
    return NULL;
}

static int run_a_moment(void *arg)
{
    uint64_t *state = arg;
    return coir_sleep((coir_time)test_random_below(state, 200000));
}

START_TEST(background_fibers_that_are_accepted_run_however_late)
{
    pthread_t threads[THREADS];
    uint64_t state = test_seed(2);
    stress = stress_clock_start();
    over = false;
    accepted = refused = ran = 0;
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, start_in_background, NULL), 0);
    while (stress_goes_on(&stress))
        must_not(coir_run(run_a_moment, &state) != 0);
    over = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(ran, accepted);
    ck_assert_uint_gt(accepted, 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(task, TEST_STRESS | TEST_WORKERS | TEST_SEEDED)
{
    TCase *threads = test_case(suite, "threads");
    tcase_add_test(threads,
                   tasks_may_be_asked_and_cancelled_by_threads_at_any_time);
    tcase_add_test(threads,
                   background_fibers_that_are_accepted_run_however_late);
}
