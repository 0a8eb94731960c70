/* test/test_interrupt.c -- pools that interrupt the calls of cancelled callers
 */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/threads.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static coir_thread_pool *pool;

static void make_pool(unsigned max, bool interrupt)
{
    const coir_thread_pool_config config = {.max_threads = max,
                                            .interrupt = interrupt};
    ck_assert_int_eq(coir_thread_pool_new(&pool, &config), 0);
}

/* Run body() in a runtime, with a pool that interrupts. */
static int with_pool(void *arg)
{
    coir_fn *body = *(coir_fn **)arg;
    int rc = body(NULL);
    coir_thread_pool_free(pool);
    return rc;
}

static void run_body(coir_fn *body, unsigned max)
{
    make_pool(max, true);
    ck_assert_int_eq(coir_run(with_pool, &body), 0);
}

/* ---- What blocks ---- */

/* An hour, or until a signal. */
static int wait_for_hours(void *arg)
{
    const struct timespec hour = {3600, 0};
    (void)arg;
    return nanosleep(&hour, NULL) < 0 ? -errno : 0;
}

static _Atomic(bool) begun;

/* fn has begun before its caller is cancelled. */
static int begin(void *arg)
{
    coir_fn *fn = *(coir_fn **)arg;
    atomic_store(&begun, true);
    return fn(NULL);
}

static int run_begin(void *arg)
{
    return coir_thread_pool_run(pool, begin, arg);
}

/* What fn comes to when its caller is cancelled that long after it began. */
static int cancel_after(coir_time length, coir_fn *fn)
{
    coir_task task;
    coir_nursery nursery;
    atomic_store(&begun, false);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, run_begin, &fn), 0);
    while (!atomic_load(&begun))
        ck_assert_int_eq(coir_yield(), 0);
    if (length > 0)
        ck_assert_int_eq(coir_sleep(length), 0);
    coir_task_cancel(&task);
    COIR_IGNORE(coir_nursery_close(&nursery)); /* the same */
    return coir_task_result(&task);
}

/* ---- It is interrupted ---- */

static int interrupt_sleeps(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(cancel_after(COIR_MS(1), wait_for_hours), -ECANCELED);
    return 0;
}

static int run_for_hours(void *arg)
{
    return coir_thread_pool_run(pool, wait_for_hours, arg);
}

static int time_out(void *arg)
{
    (void)arg;
    ck_assert_int_eq(coir_timeout(COIR_MS(5), run_for_hours, NULL), -ETIMEDOUT);
    return 0;
}

START_TEST(call_that_a_timeout_interrupts_is_etimedout)
{
    run_body(time_out, 1);
}
END_TEST

static int say_eintr(void *arg)
{
    (void)arg;
    return -EINTR;
}

static int take_at_its_word(void *arg)
{
    (void)arg;
    ck_assert_int_eq(coir_thread_pool_run(pool, say_eintr, NULL), -EINTR);
    return 0;
}

START_TEST(eintr_of_a_call_that_is_not_cancelled_stays)
{
    run_body(take_at_its_word, 1);
}
END_TEST

START_TEST(cancelled_call_is_interrupted)
{
    run_body(interrupt_sleeps, 1);
}
END_TEST

static int wait_four_times(void *arg)
{
    int rc = 0, times = 0;
    while (times < 4 && (rc = wait_for_hours(arg)) == -EINTR)
        times++;
    return times;
}

static int interrupt_again(void *arg)
{
    (void)arg;
    ck_assert_int_eq(cancel_after(COIR_MS(1), wait_four_times), 4);
    return 0;
}

START_TEST(call_is_interrupted_until_it_returns)
{
    run_body(interrupt_again, 1);
}
END_TEST

/* The first signal comes before it waits. */
static int compute_and_wait(void *arg)
{
    while (!coir_blocking_cancelled())
        continue;
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec -
                 begin.tv_nsec <
             2000000);
    return wait_for_hours(arg);
}

static int interrupt_late(void *arg)
{
    (void)arg;
    ck_assert_int_eq(cancel_after(0, compute_and_wait), -ECANCELED);
    return 0;
}

START_TEST(signal_that_came_too_early_is_sent_again)
{
    run_body(interrupt_late, 1);
}
END_TEST

static int each_for_hours(void *arg)
{
    char items[4];
    (void)arg;
    return coir_thread_pool_each(pool, wait_for_hours, items, 4, 1);
}

static int interrupt_each(void *arg)
{
    (void)arg;
    int rc = coir_timeout(COIR_MS(5), each_for_hours, NULL);
    ck_assert_int_eq(rc, -ETIMEDOUT);
    return 0;
}

START_TEST(each_is_interrupted_wherever_it_runs)
{
    run_body(interrupt_each, 4);
}
END_TEST

/* Its clock stands still while a call is out. */
static int interrupt_virtually(void *arg)
{
    (void)arg;
    ck_assert_int_eq(cancel_after(0, wait_four_times), 4);
    return 0;
}

START_TEST(call_is_interrupted_on_the_virtual_clock)
{
    const coir_config config = {.virtual_clock = true};
    coir_fn *body = interrupt_virtually;
    make_pool(1, true);
    ck_assert_int_eq(coir_run_with(&config, with_pool, &body), 0);
}
END_TEST

/* ---- Nothing else is ---- */

static int doze(void *arg)
{
    const struct timespec moment = {0, 30000000};
    (void)arg;
    return nanosleep(&moment, NULL) < 0 ? -errno : 0;
}

static int run_doze(void *arg)
{
    return coir_thread_pool_run(pool, doze, arg);
}

static int interrupt_beside(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_go(&nursery, run_doze, NULL), 0);
    ck_assert_int_eq(cancel_after(COIR_MS(1), wait_four_times), 4);
    return coir_nursery_close(&nursery);
}

START_TEST(other_calls_of_the_pool_are_not_interrupted)
{
    run_body(interrupt_beside, 8);
}
END_TEST

static int doze_shortly(void *arg)
{
    const struct timespec moment = {0, 50000};
    (void)arg;
    return nanosleep(&moment, NULL) < 0 ? -errno : 0;
}

/* On one thread: a call that is cancelled when it is about to end, and then one
 * that must hear nothing of it. */
static int interrupt_at_the_end(void *arg)
{
    uint64_t random = test_seed(1);
    int interrupted = 0;
    (void)arg;
    for (uint64_t i = 0; i < test_scaled(2000); i++) {
        coir_time moment = (coir_time)test_random_below(&random, 250000);
        coir_scope scope;
        coir_timeout_open(&scope, moment);
        int rc = coir_thread_pool_run(pool, doze_shortly, NULL);
        must_not(rc != 0 && rc != -ECANCELED);
        rc = coir_scope_close(&scope, rc);
        must_not(rc != 0 && rc != -ETIMEDOUT);
        /* Now and then for longer than it takes to be sent again. */
        bool longer = rc == -ETIMEDOUT && interrupted++ < 20;
        rc = coir_thread_pool_run(pool, longer ? doze : doze_shortly, NULL);
        must_not(rc != 0);
    }
    return 0;
}

START_TEST(next_call_of_the_thread_hears_nothing)
{
    run_body(interrupt_at_the_end, 1);
    assert_nothing_happened();
}
END_TEST

static int doze_while_cancelled(void)
{
    ck_assert_int_eq(cancel_after(COIR_MS(1), doze), 0);
    return 0;
}

static int doze_plainly(void *arg)
{
    (void)arg;
    make_pool(1, false);
    int rc = doze_while_cancelled();
    coir_thread_pool_free(pool);
    return rc;
}

START_TEST(plain_pool_interrupts_nothing)
{
    ck_assert_int_eq(coir_run(doze_plainly, NULL), 0);
}
END_TEST

/* ---- The signal ---- */

static bool is_handled(int signal)
{
    struct sigaction now;
    return sigaction(signal, NULL, &now) == 0 && now.sa_handler != SIG_DFL;
}

static int count_handled(void)
{
    int handled = 0;
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        handled += is_handled(s);
    return handled;
}

static void refuse_signal(int number)
{
    (void)number;
    abort();
}

START_TEST(signal_is_one_that_nobody_uses)
{
    coir_thread_pool *second;
    const coir_thread_pool_config config = {.interrupt = true};
    int before = count_handled(), top = SIGRTMAX;
    struct sigaction ours = {.sa_handler = refuse_signal}, now;
    while (sigaction(top, &ours, NULL) < 0)
        top--; /* Valgrind's own */
    make_pool(1, true);
    ck_assert_int_eq(coir_thread_pool_new(&second, &config), 0);
    ck_assert_int_eq(count_handled(), before + 2);
    coir_thread_pool_free(pool);
    ck_assert_int_eq(count_handled(), before + 2);
    coir_thread_pool_free(second);
    ck_assert_int_eq(count_handled(), before + 1);
    sigaction(top, NULL, &now);
    ck_assert(now.sa_handler == refuse_signal);
}
END_TEST

START_TEST(pool_says_so_where_no_signal_is_free)
{
    const coir_thread_pool_config config = {.interrupt = true};
    struct sigaction ours = {.sa_handler = refuse_signal};
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        sigaction(s, &ours, NULL);
    ck_assert_int_eq(coir_thread_pool_new(&pool, &config), -EBUSY);
}
END_TEST

START_TEST(signal_is_none_that_the_caller_blocks)
{
    sigset_t own;
    int top = SIGRTMAX;
    make_pool(1, true);
    while (!is_handled(top)) /* which it takes */
        top--;
    coir_thread_pool_free(pool);
    sigemptyset(&own);
    sigaddset(&own, top);
    pthread_sigmask(SIG_BLOCK, &own, NULL);
    make_pool(1, true);
    ck_assert(!is_handled(top));
    ck_assert(is_handled(top - 1));
    coir_thread_pool_free(pool);
}
END_TEST

static int make_in_pool(void *arg)
{
    const coir_thread_pool_config config = {.interrupt = true};
    return coir_thread_pool_new(arg, &config);
}

static int make_in_thread(void *arg)
{
    (void)arg;
    ck_assert_int_eq(coir_blocking(make_in_pool, &pool), 0);
    coir_thread_pool_free(pool);
    return 0;
}

START_TEST(pool_is_made_by_a_thread_of_a_pool)
{
    ck_assert_int_eq(coir_run(make_in_thread, NULL), 0);
}
END_TEST

static int fork_in_pool(void *arg)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(count_handled());
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -EIO;
    return status == *(const int *)arg << 8 ? 0 : -EBADMSG;
}

static int fork_beside_signal(void *arg)
{
    ck_assert_int_eq(coir_thread_pool_run(pool, fork_in_pool, arg), 0);
    return 0;
}

static int run_fork_in_pool(void *arg)
{
    int before = count_handled();
    (void)arg;
    make_pool(1, true);
    int rc = fork_beside_signal(&before);
    coir_thread_pool_free(pool);
    return rc;
}

/* The locks of ASan's own allocator may be held by another thread at a fork,
 * and stay so in the child. */
#ifdef __SANITIZE_ADDRESS__
enum { CAN_FORK = false };
#else
enum { CAN_FORK = true };
#endif

START_TEST(child_of_a_fork_has_no_handler)
{
    if (!CAN_FORK)
        return;
    ck_assert_int_eq(coir_run(run_fork_in_pool, NULL), 0);
}
END_TEST

static int call_without_timers(void *arg)
{
    struct rlimit before, none;
    (void)arg;
    getrlimit(RLIMIT_SIGPENDING, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_SIGPENDING, &none);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_thread_pool_run(pool, doze, NULL), -EAGAIN);
    setrlimit(RLIMIT_SIGPENDING, &before);
    ck_assert_int_eq(coir_thread_pool_run(pool, doze, NULL), 0);
    return 0;
}

START_TEST(pool_without_timers_says_so)
{
    run_body(call_without_timers, 4);
}
END_TEST

COIR_SUITE(interrupt, TEST_WORKERS)
{
    TCase *interrupted = test_case(suite, "interrupted");
    tcase_add_test(interrupted, cancelled_call_is_interrupted);
    tcase_add_test(interrupted, call_that_a_timeout_interrupts_is_etimedout);
    tcase_add_test(interrupted, eintr_of_a_call_that_is_not_cancelled_stays);
    tcase_add_test(interrupted, call_is_interrupted_until_it_returns);
    tcase_add_test(interrupted, signal_that_came_too_early_is_sent_again);
    tcase_add_test(interrupted, each_is_interrupted_wherever_it_runs);
    tcase_add_test(interrupted, call_is_interrupted_on_the_virtual_clock);

    TCase *others = test_case(suite, "others");
    tcase_add_test(others, other_calls_of_the_pool_are_not_interrupted);
    tcase_add_test(others, next_call_of_the_thread_hears_nothing);
    tcase_add_test(others, plain_pool_interrupts_nothing);

    TCase *which = test_case(suite, "signal");
    tcase_add_test(which, signal_is_one_that_nobody_uses);
    tcase_add_test(which, signal_is_none_that_the_caller_blocks);
    tcase_add_test(which, pool_is_made_by_a_thread_of_a_pool);
    tcase_add_test(which, pool_says_so_where_no_signal_is_free);
    tcase_add_test(which, child_of_a_fork_has_no_handler);

    TCase *out = test_case(suite, "out of timers");
    tcase_set_tags(out, "limits");
    tcase_add_test(out, pool_without_timers_says_so);
}
