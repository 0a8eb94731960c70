/* test/test_seed.c -- seeded runs: the same seed, the same order of everything
 *
 * A program with fibers that start, yield, sleep, wait for each other, cancel
 * and fail hashes the order in which all that happens. */
#include <coir.h>

#include "sched/choice.h"
#include "test/harness.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIBERS = 40, STEPS = 12, RUNS = 30 };

static uint64_t schedule; /* a seeded run has one thread */

static void note(uint64_t what)
{
    schedule = (schedule ^ what) * 0x100000001b3;
}

static int sleep_a_little(uint64_t i)
{
    return coir_sleep(COIR_MS(1 + i % 5));
}

static int end_at_once(void *arg)
{
    note(7000 + (uint64_t)(uintptr_t)arg);
    return (int)(uintptr_t)arg;
}

static int join_one(uint64_t i)
{
    coir_nursery nursery;
    coir_task task;
    int result = 0;
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &task, end_at_once, (void *)(uintptr_t)i);
    if (rc == 0)
        rc = coir_join(&task, &result);
    note((uint64_t)result);
    return coir_nursery_close_with(&nursery, rc);
}

static int take_steps(void *arg)
{
    uint64_t i = (uint64_t)(uintptr_t)arg;
    int rc = 0;
    for (uint64_t step = 0; step < STEPS && rc >= 0; step++) {
        note(i * STEPS + step);
        switch ((i + step) % 4) {
        case 0:
            rc = coir_yield();
            break;
        case 1:
            rc = sleep_a_little(i + step);
            break;
        case 2:
            rc = join_one(i);
            break;
        default:
            rc = coir_checkpoint();
        }
    }
    note(9000 + i);
    return rc;
}

static int start_all(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (uintptr_t i = 0; i < FIBERS && rc == 0; i++)
        rc = coir_go(&nursery, take_steps, (void *)i);
    return coir_nursery_close_with(&nursery, rc);
}

static uint64_t schedule_of(uint64_t seed)
{
    const coir_config config = {.seed = seed, .virtual_clock = true};
    schedule = 0xcbf29ce484222325;
    ck_assert_int_eq(coir_run_with(&config, start_all, NULL), 0);
    return schedule;
}

START_TEST(the_same_seed_gives_the_same_order_of_everything)
{
    for (uint64_t seed = 1; seed <= RUNS; seed++)
        ck_assert_uint_eq(schedule_of(seed), schedule_of(seed));
}
END_TEST

START_TEST(another_seed_gives_another_order)
{
    unsigned equal = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++)
        equal += schedule_of(seed) == schedule_of(seed + 1);
    ck_assert_uint_eq(equal, 0);
}
END_TEST

START_TEST(the_seed_may_come_from_the_environment)
{
    uint64_t of_77 = schedule_of(77);
    setenv("COIR_SEED", "77", 1);
    ck_assert_uint_eq(schedule_of(0), of_77);
    ck_assert_uint_ne(schedule_of(78), of_77);
}
END_TEST

/* ---- one thread ---- */

static pthread_t runner;

static int is_on_the_runner(void *arg)
{
    int rc = coir_yield();
    *(int *)arg = pthread_equal(pthread_self(), runner);
    return rc;
}

static int ask_where(void *arg)
{
    return coir_each(is_on_the_runner, arg, 100, sizeof(int), 0);
}

START_TEST(one_thread_runs_all_fibers)
{
    static int there[100];
    const coir_config config = {.seed = 3, .workers = 4};
    runner = pthread_self();
    ck_assert_int_eq(coir_run_with(&config, ask_where, there), 0);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(there[i], 1);
}
END_TEST

/* ---- what waits ---- */

static coir_mutex mutex;
static int ends[2]; /* of a pipe */

static int lock_often(void *arg)
{
    int rc = 0;
    for (int i = 0; i < STEPS && rc == 0; i++) {
        if ((rc = coir_mutex_lock(&mutex)) < 0)
            break;
        note(100 * (uint64_t)(uintptr_t)arg + (uint64_t)i);
        rc = coir_yield();
        coir_mutex_unlock(&mutex);
    }
    return rc;
}

static int pass_on(void *arg)
{
    char byte = 0;
    for (int i = 0; i < STEPS; i++) {
        ssize_t n = coir_read(ends[0], &byte, 1);
        note(100 * (uint64_t)(uintptr_t)arg + (uint64_t)i);
        if (n == 1)
            n = coir_write(ends[1], &byte, 1);
        if (n != 1)
            return (int)n;
    }
    return 0;
}

static int run_three(coir_fn *fn)
{
    coir_nursery nursery;
    int rc = 0;
    coir_nursery_open(&nursery);
    for (uintptr_t i = 0; i < 3 && rc == 0; i++)
        rc = coir_go(&nursery, fn, (void *)i);
    return coir_nursery_close_with(&nursery, rc);
}

static int lock_all(void *arg)
{
    (void)arg;
    return run_three(lock_often);
}

static int pass_all(void *arg)
{
    (void)arg;
    ssize_t n = coir_write(ends[1], "x", 1);
    return n == 1 ? run_three(pass_on) : (int)n;
}

static uint64_t order_of(coir_fn *body)
{
    const coir_config config = {.seed = 7};
    ck_assert_int_eq(pipe(ends), 0);
    schedule = 0xcbf29ce484222325;
    ck_assert_int_eq(coir_run_with(&config, body, NULL), 0);
    close(ends[0]);
    close(ends[1]);
    return schedule;
}

START_TEST(a_mutex_is_taken_in_the_same_order)
{
    uint64_t order = order_of(lock_all);
    for (int i = 0; i < RUNS; i++)
        ck_assert_uint_eq(order_of(lock_all), order);
}
END_TEST

START_TEST(a_pipe_is_read_in_the_same_order)
{
    uint64_t order = order_of(pass_all);
    for (int i = 0; i < RUNS; i++)
        ck_assert_uint_eq(order_of(pass_all), order);
}
END_TEST

/* ---- time that stands still ---- */

static bool has_got_it;

static int get_it(void *arg)
{
    int rc = coir_mutex_lock(arg);
    if (rc == 0) {
        has_got_it = true;
        coir_mutex_unlock(arg);
    }
    return rc;
}

static int take_it_again_and_again(void *arg)
{
    coir_mutex contended = {0};
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, get_it, &contended);
    for (bool seen = false; rc == 0 && !seen;) {
        if ((rc = coir_mutex_lock(&contended)) < 0)
            break;
        seen = has_got_it;
        rc = coir_yield();
        coir_mutex_unlock(&contended);
    }
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(who_waits_gets_it_though_time_stands_still)
{
    const coir_config config = {.virtual_clock = true};
    ck_assert_int_eq(coir_run_with(&config, take_it_again_and_again, NULL), 0);
    ck_assert(has_got_it);
}
END_TEST

/* ---- any child may be the first ---- */

static int first;

static int be_first(void *arg)
{
    if (first < 0)
        first = (int)(uintptr_t)arg;
    return 0;
}

static int start_three(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (uintptr_t i = 0; i < 3 && rc == 0; i++)
        rc = coir_go(&nursery, be_first, (void *)i);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(over_many_seeds_each_child_is_the_first_to_begin)
{
    unsigned often[3] = {0};
    for (uint64_t seed = 1; seed <= 200; seed++) {
        const coir_config config = {.seed = seed};
        first = -1;
        ck_assert_int_eq(coir_run_with(&config, start_three, NULL), 0);
        often[first]++;
    }
    for (int i = 0; i < 3; i++)
        ck_assert_uint_gt(often[i], 20);
}
END_TEST

/* ---- an unseeded choice ---- */

static int choose_often(void *arg)
{
    unsigned *often = arg;
    for (int i = 0; i < 30000; i++) {
        unsigned which = coir_i_choose(3);
        if (which >= 3)
            return -ERANGE;
        often[which]++;
    }
    return 0;
}

START_TEST(without_a_seed_choices_are_even_too)
{
    unsigned often[3] = {0};
    ck_assert_int_eq(coir_run(choose_often, often), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_gt(often[i], 9000);
}
END_TEST

COIR_SUITE(seed, TEST_ONCE)
{
    TCase *order = test_case(suite, "order");
    tcase_add_test(order, the_same_seed_gives_the_same_order_of_everything);
    tcase_add_test(order, another_seed_gives_another_order);
    tcase_add_test(order, the_seed_may_come_from_the_environment);
    tcase_add_test(order, over_many_seeds_each_child_is_the_first_to_begin);

    tcase_add_test(order, a_mutex_is_taken_in_the_same_order);
    tcase_add_test(order, a_pipe_is_read_in_the_same_order);

    tcase_add_test(order, who_waits_gets_it_though_time_stands_still);

    TCase *thread = test_case(suite, "thread");
    tcase_add_test(thread, one_thread_runs_all_fibers);
    tcase_add_test(thread, without_a_seed_choices_are_even_too);
}
