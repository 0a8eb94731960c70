/* test/test_threads.c -- coir_blocking
 *
 * How threads come and go is in test_thread_pool.c. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/threads.h>
#include <coir/time.h>

#include "test/harness.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(coir_run(body, NULL), 0);
}

static int return_number(void *arg)
{
    return *(const int *)arg;
}

static int count_call(void *arg)
{
    atomic_fetch_add((_Atomic(int) *)arg, 1);
    return 0;
}

/* ---- Results ---- */

static int call_for_numbers(void *arg)
{
    (void)arg;
    int numbers[] = {0, 7, -EIO, -ECANCELED};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ck_assert_int_eq(coir_blocking(return_number, &numbers[i]), numbers[i]);
    return 0;
}

START_TEST(blocking_returns_what_the_call_returned)
{
    run_body(call_for_numbers);
}
END_TEST

START_TEST(blocking_outside_a_fiber_is_refused)
{
    int number = 7;
    ck_assert_int_eq(coir_blocking(return_number, &number), -EPERM);
    ck_assert(!coir_blocking_cancelled());
}
END_TEST

static int call_and_try(void *arg)
{
    ck_assert_int_eq(coir_blocking(return_number, arg), -EPERM);
    ck_assert_int_eq(coir_yield(), -EPERM);
    ck_assert_uint_eq(coir_id(), 0);
    return 5;
}

static int call_from_a_call(void *arg)
{
    (void)arg;
    int number = 7;
    ck_assert_int_eq(coir_blocking(call_and_try, &number), 5);
    return 0;
}

START_TEST(blocking_call_is_no_fiber)
{
    run_body(call_from_a_call);
}
END_TEST

static int describe_thread(void *arg)
{
    sigset_t mask;
    char *name = arg;
    prctl(PR_GET_NAME, (unsigned long)name, 0UL, 0UL, 0UL);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, SIGINT) && sigismember(&mask, SIGCHLD) &&
           sigismember(&mask, SIGALRM) && !sigismember(&mask, SIGSEGV);
}

static int ask_for_thread(void *arg)
{
    (void)arg;
    char name[17] = "";
    ck_assert_int_eq(coir_blocking(describe_thread, name), 1);
    ck_assert_str_eq(name, "coir-blk-0");
    return 0;
}

START_TEST(blocking_thread_has_a_name_and_takes_no_signals)
{
    run_body(ask_for_thread);
}
END_TEST

/* ---- Many ---- */

enum { MANY = 64 };

static pthread_barrier_t all_there;

static int meet(void *arg)
{
    pthread_barrier_wait(&all_there);
    return *(const int *)arg;
}

static int call_meet(void *arg)
{
    int number = *(const int *)arg;
    return coir_blocking(meet, arg) == number ? 0 : -EIO;
}

static int meet_all(void *arg)
{
    (void)arg;
    int numbers[MANY];
    for (int i = 0; i < MANY; i++)
        numbers[i] = i;
    return coir_each(call_meet, numbers, MANY, sizeof *numbers, 0);
}

START_TEST(blocking_runs_64_calls_at_once)
{
    pthread_barrier_init(&all_there, NULL, MANY);
    run_body(meet_all);
    pthread_barrier_destroy(&all_there);
}
END_TEST

static struct {
    _Atomic(int) now, most, calls;
} crowd;

static int crowd_in(void *arg)
{
    (void)arg;
    int now = atomic_fetch_add(&crowd.now, 1) + 1, most = crowd.most;
    while (now > most &&
           !atomic_compare_exchange_weak(&crowd.most, &most, now)) {
    }
    usleep(100);
    atomic_fetch_sub(&crowd.now, 1);
    atomic_fetch_add(&crowd.calls, 1);
    return 0;
}

static int call_crowd_in(void *arg)
{
    return coir_blocking(crowd_in, arg);
}

static int crowd_all(void *arg)
{
    (void)arg;
    char items[200];
    return coir_each(call_crowd_in, items, sizeof items, 1, 0);
}

START_TEST(blocking_keeps_to_its_number_of_threads)
{
    const coir_config config = {.blocking_threads = 3};
    ck_assert_int_eq(coir_run_with(&config, crowd_all, NULL), 0);
    ck_assert_int_eq(crowd.calls, 200);
    ck_assert_int_le(crowd.most, 3);
}
END_TEST

static struct {
    char text[64];
    size_t length;
} order;

static int note(void *arg)
{
    order.text[order.length++] = *(const char *)arg;
    return 0;
}

static int call_note(void *arg)
{
    return coir_blocking(note, arg);
}

static int note_all(void *arg)
{
    char letters[] = "abcdefghijklmnopqrstuvwxyz";
    (void)arg;
    return coir_each(call_note, letters, 26, 1, 0);
}

START_TEST(blocking_begins_calls_in_order)
{
    const coir_config config = {.workers = 1, .blocking_threads = 1};
    ck_assert_int_eq(coir_run_with(&config, note_all, NULL), 0);
    ck_assert_str_eq(order.text, "abcdefghijklmnopqrstuvwxyz");
}
END_TEST

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int call_often(void *arg)
{
    (void)arg;
    int wrong = 0;
    for (int i = 0; i < (int)test_scaled(5000); i++)
        wrong += coir_blocking(return_number, &i) != i;
    ck_assert_int_eq(wrong, 0);
    return 0;
}

static int call_often_together(void *arg)
{
    char items[16];
    (void)arg;
    return coir_each(call_often, items, sizeof items, 1, 0);
}

START_TEST(blocking_loses_no_call_of_many)
{
    run_body(call_often_together);
}
END_TEST

/* ---- A worker is not held up ---- */

static int wait_for_post(void *arg)
{
    while (sem_wait(arg) < 0) {
    }
    return 0;
}

static int call_wait_for_post(void *arg)
{
    return coir_blocking(wait_for_post, arg);
}

static int post_after_call(void *arg)
{
    (void)arg;
    sem_t sem;
    coir_nursery nursery;
    sem_init(&sem, 0, 0);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, call_wait_for_post, &sem), 0);
    ck_assert_int_eq(coir_sleep(COIR_MS(5)), 0);
    sem_post(&sem);
    int rc = coir_nursery_close(&nursery);
    sem_destroy(&sem);
    return rc;
}

START_TEST(blocking_lets_other_fibers_run)
{
    ck_assert_int_eq(run_workers(1, post_after_call, NULL), 0);
}
END_TEST

static int sleep_for_an_hour(void *arg)
{
    (void)arg;
    return coir_sleep(COIR_SECONDS(3600));
}

static int take_a_moment(void *arg)
{
    (void)arg;
    usleep(5000);
    return 0;
}

static int call_beside_a_sleeper(void *arg)
{
    coir_time begin = coir_now();
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, sleep_for_an_hour, NULL), 0);
    ck_assert_int_eq(coir_yield(), 0);
    ck_assert_int_eq(coir_blocking(take_a_moment, NULL), 0);
    ck_assert_int_eq(coir_now(), begin);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_ge(coir_now() - begin, COIR_SECONDS(3600));
    return 0;
}

START_TEST(blocking_holds_the_virtual_clock)
{
    const coir_config config = {.virtual_clock = true};
    ck_assert_int_eq(coir_run_with(&config, call_beside_a_sleeper, NULL), 0);
}
END_TEST

/* ---- Cancelling ---- */

static int call_cancelled(void *arg)
{
    (void)arg;
    _Atomic(int) calls = 0;
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    int rc = coir_blocking(count_call, &calls);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(calls, 0);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ECANCELED);
    ck_assert_int_eq(coir_blocking(count_call, &calls), 0);
    ck_assert_int_eq(calls, 1);
    return 0;
}

START_TEST(blocking_in_a_cancelled_scope_is_not_made)
{
    run_body(call_cancelled);
}
END_TEST

/* The only thread is busy until `sem` is posted. */
static int drop_queued(void *arg)
{
    (void)arg;
    sem_t sem;
    _Atomic(int) calls = 0;
    coir_nursery nursery;
    coir_scope scope;
    sem_init(&sem, 0, 0);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, call_wait_for_post, &sem), 0);
    ck_assert_int_eq(coir_sleep(COIR_MS(2)), 0);

    coir_timeout_open(&scope, COIR_MS(2));
    int rc = coir_blocking(count_call, &calls);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);

    sem_post(&sem);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_blocking(do_nothing, NULL), 0);
    ck_assert_int_eq(calls, 0);
    sem_destroy(&sem);
    return 0;
}

START_TEST(blocking_call_that_has_not_begun_is_dropped)
{
    const coir_config config = {.blocking_threads = 1};
    ck_assert_int_eq(coir_run_with(&config, drop_queued, NULL), 0);
}
END_TEST

static int wait_to_be_cancelled(void *arg)
{
    sem_post(arg);
    while (!coir_blocking_cancelled())
        usleep(100);
    return 7;
}

static int call_wait_to_be_cancelled(void *arg)
{
    return coir_blocking(wait_to_be_cancelled, arg);
}

static int cancel_begun(void *arg)
{
    (void)arg;
    int result = 0;
    sem_t sem;
    coir_task task;
    coir_nursery nursery;
    sem_init(&sem, 0, 0);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(
        coir_spawn(&nursery, &task, call_wait_to_be_cancelled, &sem), 0);
    ck_assert_int_eq(coir_blocking(wait_for_post, &sem), 0);
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_join(&task, &result), 0);
    ck_assert_int_eq(result, 7);
    int rc = coir_nursery_close(&nursery);
    sem_destroy(&sem);
    return rc;
}

START_TEST(blocking_call_that_has_begun_is_waited_for)
{
    run_body(cancel_begun);
}
END_TEST

static int fail_after_post(void *arg)
{
    ck_assert_int_eq(coir_blocking(wait_for_post, arg), 0);
    return -EIO;
}

static int fail_beside(void *arg)
{
    (void)arg;
    sem_t sem;
    coir_task task;
    coir_nursery nursery;
    sem_init(&sem, 0, 0);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(
        coir_spawn(&nursery, &task, call_wait_to_be_cancelled, &sem), 0);
    ck_assert_int_eq(coir_go(&nursery, fail_after_post, &sem), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), -EIO);
    ck_assert_int_eq(coir_task_result(&task), 7);
    sem_destroy(&sem);
    return 0;
}

START_TEST(blocking_call_is_told_of_a_sibling_that_failed)
{
    run_body(fail_beside);
}
END_TEST

/* Cancelled at every moment of its short life. */
static int cancel_at_random(void *arg)
{
    uint64_t random = test_seed(1);
    _Atomic(int) calls = 0;
    int wrong = 0, made = 0;
    (void)arg;
    for (int i = 0; i < (int)test_scaled(3000); i++) {
        coir_scope scope;
        coir_timeout_open(&scope, (coir_time)test_random_below(&random, 60000));
        int rc = coir_blocking(count_call, &calls);
        wrong += rc != 0 && rc != -ECANCELED;
        made += rc == 0;
        rc = coir_scope_close(&scope, rc);
        wrong += rc != 0 && rc != -ETIMEDOUT;
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_eq(made, calls);
    return 0;
}

START_TEST(blocking_call_was_made_exactly_if_it_says_so)
{
    run_body(cancel_at_random);
}
END_TEST

COIR_SUITE(threads, TEST_WORKERS)
{
    TCase *result = test_case(suite, "result");
    tcase_add_test(result, blocking_returns_what_the_call_returned);
    tcase_add_test(result, blocking_outside_a_fiber_is_refused);
    tcase_add_test(result, blocking_call_is_no_fiber);
    tcase_add_test(result, blocking_thread_has_a_name_and_takes_no_signals);

    TCase *many = test_case(suite, "many");
    tcase_add_test(many, blocking_runs_64_calls_at_once);
    tcase_add_test(many, blocking_keeps_to_its_number_of_threads);
    tcase_add_test(many, blocking_begins_calls_in_order);
    tcase_add_test(many, blocking_loses_no_call_of_many);
    tcase_add_test(many, blocking_lets_other_fibers_run);
    tcase_add_test(many, blocking_holds_the_virtual_clock);

    TCase *cancel = test_case(suite, "cancel");
    tcase_add_test(cancel, blocking_in_a_cancelled_scope_is_not_made);
    tcase_add_test(cancel, blocking_call_that_has_not_begun_is_dropped);
    tcase_add_test(cancel, blocking_call_that_has_begun_is_waited_for);
    tcase_add_test(cancel, blocking_call_is_told_of_a_sibling_that_failed);
    tcase_add_test(cancel, blocking_call_was_made_exactly_if_it_says_so);
}
