/* test/test_spare_bench.c -- spare workers that come, and sit down again */
#include <coir.h>

#include "sched/spare.h"
#include "test/stuck.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static unsigned count_active(void)
{
    return coir_i_idle_active(coir_i_idle_state);
}

static int wait_for_fewer(unsigned active)
{
    int rc = 0;
    while (count_active() > active && rc == 0)
        rc = coir_sleep(COIR_MS(1));
    return rc;
}

/* ---- Afterwards ---- */

static struct {
    coir_stats stats;
    bool takes_signals;
} seen;

static int look_at_mask(void *arg)
{
    sigset_t mask;
    (void)arg;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    seen.takes_signals = !sigismember(&mask, SIGTERM);
    return 0;
}

static int get_stuck_and_recover(void *arg)
{
    struct other other = {look_at_mask, NULL};
    int rc = run_beside_stuck(&other);
    if (rc == 0)
        rc = wait_for_fewer(test_workers());
    coir_stats_get(&seen.stats);
    return rc < 0 || !arg ? rc : coir_sleep(COIR_SECONDS(3600));
}

START_TEST(spares_are_counted_and_sit_down_again)
{
    make_stuck(_i, (int)test_workers());
    ck_assert_int_eq(coir_run(get_stuck_and_recover, NULL), 0);
    drop_stuck();
    ck_assert_uint_ge(seen.stats.handoffs, 1);
    ck_assert(seen.takes_signals);
}
END_TEST

/* Who is on the spare never parks while it is one too many. */
static int sit_down_busy(void *arg)
{
    struct other other = {look_at_mask, NULL};
    _Atomic bool *over = arg;
    int rc = run_beside_stuck(&other);
    while (count_active() > test_workers() && rc == 0)
        rc = coir_yield();
    *over = true;
    return rc;
}

static int yield_until_over(void *arg)
{
    int rc = 0;
    while (!*(_Atomic bool *)arg && rc == 0)
        rc = coir_yield();
    return rc;
}

static int sit_down_beside_busy(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < 20 && rc == 0; i++)
        rc = coir_go(&nursery, yield_until_over, arg);
    if (rc == 0)
        rc = coir_go(&nursery, sit_down_busy, arg);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(a_spare_that_always_has_work_sits_down)
{
    _Atomic bool over = false;
    make_stuck(_i, (int)test_workers());
    ck_assert_int_eq(coir_run(sit_down_beside_busy, &over), 0);
    drop_stuck();
    ck_assert(over);
}
END_TEST

START_TEST(virtual_time_goes_on_when_the_spares_sit)
{
    const coir_config config = {.virtual_clock = true};
    make_stuck(_i, (int)test_workers());
    ck_assert_int_eq(coir_run_with(&config, get_stuck_and_recover, &seen), 0);
    drop_stuck();
}
END_TEST

#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define UNDER_TSAN
#    endif
#endif

static int never_end(void *arg)
{
    int rc = get_stuck_and_recover(NULL);
    (void)arg;
    return rc < 0 ? rc : coir_sleep(COIR_NEVER);
}

START_TEST(a_deadlock_is_seen_when_the_spares_sit)
{
#ifdef UNDER_TSAN /* its threads, one or two, are taken for the program's */
    (void)never_end;
#else
    make_stuck(_i, (int)test_workers());
    ck_assert_int_eq(coir_run(never_end, NULL), -EDEADLK);
    drop_stuck();
#endif
}
END_TEST

static int run_long(void *arg)
{
    int rc = 0;
    (void)arg;
    for (int i = 0; i < 50 && rc == 0; i++)
        rc = coir_sleep(COIR_MS(1));
    coir_stats_get(&seen.stats);
    return rc;
}

START_TEST(nobody_stands_in_where_nobody_is_stuck)
{
    ck_assert_int_eq(coir_run(run_long, NULL), 0);
    ck_assert_uint_eq(seen.stats.handoffs, 0);
}
END_TEST

/* ---- fork(2) ---- */

/* See test_run.c. */
#ifdef __SANITIZE_ADDRESS__
enum { CAN_FORK = false };
#else
enum { CAN_FORK = true };
#endif

static int be_the_child(void)
{
    struct other other = {sleep_often, NULL};
    stuck.count = 1;
    stuck.begun = stuck.ended = 0;
    stuck.released = false;
    return run_workers(1, run_beside_stuck, &other) == 0 ? 7 : 8;
}

static int fork_beside_stuck(void *arg)
{
    pid_t child = fork();
    if (child == 0)
        _exit(be_the_child());
    return child > 0 && waitpid(child, arg, 0) == child ? 0 : -ECHILD;
}

START_TEST(the_child_of_a_fork_has_spares_of_its_own)
{
    int status = -1;
    if (!CAN_FORK)
        return;
    run_beside(COMPUTES, fork_beside_stuck, &status);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 7);
}
END_TEST

/* ---- Limits ---- */

static void *release_when_no_more_come(void *arg)
{
    int most = COIR_I_SPARES + (int)test_workers();
    while (stuck.begun < most)
        usleep(1000);
    usleep(50000); /* so that one more could come */
    *(int *)arg = stuck.begun;
    return release(0) == 0 ? NULL : arg;
}

static int be_stuck_all(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    return coir_nursery_close_with(&nursery, go_stuck(&nursery));
}

START_TEST(beyond_the_last_spare_fibers_wait)
{
    pthread_t thread;
    void *failed;
    int begun = 0;
    make_stuck(BLOCKS, COIR_I_SPARES + (int)test_workers() + 10);
    ck_assert_int_eq(
        pthread_create(&thread, NULL, release_when_no_more_come, &begun), 0);
    ck_assert_int_eq(coir_run(be_stuck_all, NULL), 0);
    pthread_join(thread, &failed);
    ck_assert_ptr_null(failed);
    ck_assert_int_eq(begun, COIR_I_SPARES + (int)test_workers());
    drop_stuck();
}
END_TEST

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    defined(__clang__)
enum { CAN_LIMIT_MEMORY = false }; /* a sanitizer needs it all */
#else
enum { CAN_LIMIT_MEMORY = true };
#endif

static struct rlimit memory;

static void limit_memory(rlim_t bytes)
{
    struct rlimit limit = {bytes, memory.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
}

static void *give_memory_back(void *arg)
{
    (void)arg;
    while (stuck.begun < stuck.count)
        usleep(1000);
    usleep(50000); /* some ticks of the monitor */
    limit_memory(memory.rlim_cur);
    return NULL;
}

static int be_stuck_without_memory(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = go_stuck(&nursery);
    if (rc == 0)
        rc = coir_go(&nursery, run_other, arg);
    limit_memory(1);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(a_spare_that_cannot_be_started_is_started_later)
{
    pthread_t thread;
    struct other other = {sleep_often, NULL};
    if (!CAN_LIMIT_MEMORY)
        return;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &memory), 0);
    make_stuck(_i, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, give_memory_back, NULL), 0);
    ck_assert_int_eq(run_workers(1, be_stuck_without_memory, &other), 0);
    pthread_join(thread, NULL);
    drop_stuck();
}
END_TEST

COIR_SUITE(spare_bench, TEST_WORKERS)
{
    TCase *after = test_case(suite, "afterwards");
    tcase_add_loop_test(after, spares_are_counted_and_sit_down_again, 0, KINDS);
    tcase_add_loop_test(after, a_spare_that_always_has_work_sits_down, 0,
                        KINDS);
    tcase_add_loop_test(after, virtual_time_goes_on_when_the_spares_sit, 0,
                        KINDS);
    tcase_add_loop_test(after, a_deadlock_is_seen_when_the_spares_sit, 0,
                        KINDS);
    tcase_add_test(after, nobody_stands_in_where_nobody_is_stuck);
    tcase_add_test(after, the_child_of_a_fork_has_spares_of_its_own);

    TCase *limits = test_case(suite, "limits");
    tcase_set_tags(limits, "limits");
    tcase_add_test(limits, beyond_the_last_spare_fibers_wait);
    tcase_add_loop_test(limits, a_spare_that_cannot_be_started_is_started_later,
                        0, KINDS);
}
