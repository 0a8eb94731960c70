/* test/test_run.c -- coir_run: its result, its configuration, its borders */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/refuse.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* TSan ends the child of a fork that starts threads, unless it is told. */
const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static int return_number(void *arg)
{
    return *(const int *)arg;
}

static int return_zero(void *arg)
{
    (void)arg;
    return 0;
}

static int run_number(int number)
{
    return coir_run(return_number, &number);
}

/* ---- Result ---- */

START_TEST(run_returns_what_its_body_returned)
{
    ck_assert_int_eq(run_number(0), 0);
    ck_assert_int_eq(run_number(7), 7);
    ck_assert_int_eq(run_number(-EIO), -EIO);
    ck_assert_int_eq(run_number(-ECANCELED), -ECANCELED);
}
END_TEST

static int sleep_a_moment(void *arg)
{
    int rc = coir_sleep(COIR_US(50));
    return rc < 0 ? rc : *(const int *)arg;
}

START_TEST(run_can_follow_run)
{
    int wrong = 0;
    for (int i = 0; i < 50; i++)
        wrong += coir_run(sleep_a_moment, &i) != i;
    ck_assert_int_eq(wrong, 0);
}
END_TEST

static int tell_id(void *arg)
{
    *(uint64_t *)arg = coir_id();
    return 0;
}

START_TEST(run_uses_no_id_of_an_earlier_run)
{
    uint64_t first = 0, second = 0;
    ck_assert_int_eq(coir_run(tell_id, &first), 0);
    ck_assert_int_eq(coir_run(tell_id, &second), 0);
    ck_assert_uint_ne(first, 0);
    ck_assert_uint_ne(second, 0);
    ck_assert_uint_ne(first, second);
}
END_TEST

static void *run_on_thread(void *arg)
{
    *(int *)arg = run_number(9);
    return NULL;
}

START_TEST(run_may_be_called_on_any_thread)
{
    int result = 0;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_on_thread, &result), 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(result, 9);
}
END_TEST

/* ---- One at a time ---- */

static int run_in_run(void *arg)
{
    int from_thread = 0;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_on_thread, &from_thread) != 0)
        return -EAGAIN;
    pthread_join(thread, NULL);
    *(int *)arg = from_thread;
    return coir_run(return_zero, NULL);
}

START_TEST(run_inside_a_run_is_busy)
{
    int from_thread = 0;
    ck_assert_int_eq(coir_run(run_in_run, &from_thread), -EBUSY);
    ck_assert_int_eq(from_thread, -EBUSY);
    ck_assert_int_eq(run_number(3), 3);
}
END_TEST

/* ---- Outside ---- */

/* The first call that parks whose result is not `code`; NULL: all are. */
static const char *call_that_differs(int code)
{
    static coir_task task;
    static coir_completions completions;
    coir_task *tasks[] = {&task}, *next = NULL;
    int item = 0;
    const struct {
        const char *name;
        int result;
    } calls[] = {
        {"coir_sleep", coir_sleep(0)},
        {"coir_sleep_until", coir_sleep_until(0)},
        {"coir_yield", coir_yield()},
        {"coir_checkpoint", coir_checkpoint()},
        {"coir_join", coir_join(&task, NULL)},
        {"coir_wait", coir_wait(tasks, 1, COIR_ALL_DONE)},
        {"coir_wait, now", coir_wait(tasks, 1, COIR_NOW)},
        {"coir_completions_next", coir_completions_next(&completions, &next)},
        {"coir_each", coir_each(return_number, &item, 1, sizeof item, 0)},
        {"coir_parallel", coir_parallel(return_number, &item, 1, sizeof item)},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].result != code)
            return calls[i].name;
    return NULL;
}

START_TEST(run_is_needed_by_every_call_that_parks)
{
    ck_assert_ptr_null(call_that_differs(-EPERM));
    ck_assert_int_eq(run_number(0), 0);
    ck_assert_ptr_null(call_that_differs(-EPERM));
}
END_TEST

static void *call_from_thread(void *arg)
{
    *(const char **)arg = call_that_differs(-EPERM);
    return NULL;
}

static int start_thread_that_calls(void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, call_from_thread, arg) != 0)
        return -EAGAIN;
    pthread_join(thread, NULL);
    return 0;
}

START_TEST(run_makes_no_fiber_of_another_thread)
{
    const char *differs = "none was made";
    ck_assert_int_eq(coir_run(start_thread_that_calls, &differs), 0);
    ck_assert_ptr_null(differs);
}
END_TEST

START_TEST(run_is_needed_to_start_a_background_fiber)
{
    coir_task task;
    int number = 1;
    ck_assert_int_eq(coir_background(NULL, return_number, &number), -EPERM);
    ck_assert_int_eq(coir_background(&task, return_number, &number), -EPERM);
    ck_assert(coir_task_done(&task));
    ck_assert_int_eq(coir_task_result(&task), -EPERM);
}
END_TEST

START_TEST(run_leaves_no_identity_behind)
{
    ck_assert_uint_eq(coir_id(), 0);
    ck_assert_str_eq(coir_name(), "");
    ck_assert_int_eq(run_number(0), 0);
    ck_assert_uint_eq(coir_id(), 0);
    ck_assert_str_eq(coir_name(), "");
}
END_TEST

/* ---- Workers ---- */

static _Atomic int begun;

/* Ends only if as many threads as *arg run fibers at the same time. */
static int wait_for_the_others(void *arg)
{
    begun++;
    while (begun < *(const int *)arg)
        sched_yield();
    return 0;
}

static int start_as_many(void *arg)
{
    int count = *(const int *)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < count && rc == 0; i++)
        rc = coir_go(&nursery, wait_for_the_others, arg);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(run_has_as_many_workers_as_configured)
{
    int count = 3;
    begun = 0;
    ck_assert_int_eq(run_workers(3, start_as_many, &count), 0);
    ck_assert_int_eq(begun, 3);
}
END_TEST

START_TEST(run_takes_the_number_of_workers_from_the_environment)
{
    int count = 3;
    begun = 0;
    setenv("COIR_WORKERS", "3", 1);
    ck_assert_int_eq(coir_run(start_as_many, &count), 0);
    ck_assert_int_eq(begun, 3);
}
END_TEST

enum { THREADS_SEEN = 100 };

static int note_thread(void *arg)
{
    int rc = coir_yield();
    *(pid_t *)arg = gettid();
    return rc;
}

static int note_threads(void *arg)
{
    return coir_each(note_thread, arg, THREADS_SEEN, sizeof(pid_t), 0);
}

START_TEST(run_with_one_worker_uses_one_thread)
{
    pid_t seen[THREADS_SEEN] = {0};
    setenv("COIR_WORKERS", "8", 1); /* the configuration comes first */
    ck_assert_int_eq(run_workers(1, note_threads, seen), 0);
    int others = 0;
    for (int i = 0; i < THREADS_SEEN; i++)
        others += seen[i] == 0 || seen[i] != seen[0];
    ck_assert_int_eq(others, 0);
}
END_TEST

/* ---- Other configuration ---- */

__attribute__((noinline)) static int descend(size_t bytes)
{
    volatile char frame[4096];
    frame[0] = frame[sizeof frame - 1] = 0;
    int below = bytes > sizeof frame ? descend(bytes - sizeof frame) : 0;
    return below + frame[0];
}

static int use_stack(void *arg)
{
    return descend(*(const size_t *)arg);
}

START_TEST(run_gives_stacks_of_the_configured_size)
{
    size_t used = 2 << 20;
    const coir_config config = {.stack_size = 4 << 20};
    ck_assert_int_eq(coir_run_with(&config, use_stack, &used), 0);
}
END_TEST

START_TEST(run_takes_the_size_of_stacks_from_the_environment)
{
    size_t used = 2 << 20;
    setenv("COIR_STACK_SIZE", "4194304", 1);
    ck_assert_int_eq(coir_run(use_stack, &used), 0);
}
END_TEST

START_TEST(run_without_memory_for_a_stack_fails_and_leaves_nothing)
{
    int number = 4;
    const coir_config config = {.stack_size = SIZE_MAX / 4};
    ck_assert_int_eq(coir_run_with(&config, return_number, &number), -ENOMEM);
    ck_assert_int_eq(run_number(4), 4);
}
END_TEST

START_TEST(run_ignores_an_environment_that_is_no_number)
{
    const char *const texts[] = {"", "many", "-1", "8x", "0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        setenv("COIR_WORKERS", texts[i], 1);
        setenv("COIR_STACK_SIZE", texts[i], 1);
        ck_assert_int_eq(run_number(4), 4);
    }
}
END_TEST

START_TEST(run_refuses_more_workers_than_it_can_have)
{
    int number = 4;
    ck_assert_int_lt(run_workers(UINT_MAX, return_number, &number), 0);
    setenv("COIR_WORKERS", "99999999999999999999", 1);
    ck_assert_int_lt(run_number(4), 0);
    setenv("COIR_WORKERS", "2", 1);
    ck_assert_int_eq(run_number(4), 4);
}
END_TEST

START_TEST(run_without_threads_fails_unless_it_needs_none)
{
    int number = 4;
    refuse_call(SYS_clone3, 0, EAGAIN);
    ck_assert_int_eq(run_workers(3, return_number, &number), -EAGAIN);
    ck_assert_int_eq(run_workers(1, return_number, &number), 4);
    ck_assert_int_eq(run_workers(3, return_number, &number), -EAGAIN);
}
END_TEST

/* ---- fork(2) ---- */

enum {
    CHILD_GOOD,
    CHILD_CALLED,
    CHILD_STARTED,
    CHILD_BACKGROUND,
    CHILD_SCOPED,
    CHILD_RAN
};

static int be_the_child(coir_nursery *nursery)
{
    int number = 6;
    coir_task task;
    if (call_that_differs(-EPERM))
        return CHILD_CALLED;
    if (coir_go(nursery, return_number, &number) != -EPERM ||
        coir_spawn(nursery, &task, return_number, &number) != -EPERM ||
        coir_nursery_close(nursery) != -EPERM)
        return CHILD_STARTED;
    if (coir_background(NULL, return_number, &number) != -EPERM)
        return CHILD_BACKGROUND;
    if (coir_shielded(return_number, &number) != -EPERM ||
        coir_timeout(COIR_NEVER, return_number, &number) != -EPERM)
        return CHILD_SCOPED;
    if (coir_run(sleep_a_moment, &number) != 6)
        return CHILD_RAN;
    return call_that_differs(-EPERM) ? CHILD_CALLED : CHILD_GOOD;
}

static int fork_in_fiber(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int number = 0, status = -1;
    int rc = coir_go(&nursery, sleep_a_moment, &number);
    pid_t child = fork();
    if (child == 0)
        _exit(be_the_child(&nursery));
    if (child < 0 || waitpid(child, &status, 0) != child)
        rc = -ECHILD;
    *(int *)arg = status;
    return coir_nursery_close_with(&nursery, rc);
}

/* The locks of ASan's own allocator may be held by another thread at a fork,
 * and then stay so in the child. */
#ifdef __SANITIZE_ADDRESS__
enum { CAN_FORK = false };
#else
enum { CAN_FORK = true };
#endif

START_TEST(run_does_not_go_on_in_the_child_of_a_fork)
{
    int status = -1;
    if (!CAN_FORK)
        return;
    ck_assert_int_eq(coir_run(fork_in_fiber, &status), 0);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), CHILD_GOOD);
}
END_TEST

COIR_SUITE(run, TEST_WORKERS)
{
    TCase *result = test_case(suite, "result");
    tcase_add_test(result, run_returns_what_its_body_returned);
    tcase_add_test(result, run_can_follow_run);
    tcase_add_test(result, run_uses_no_id_of_an_earlier_run);
    tcase_add_test(result, run_may_be_called_on_any_thread);
    tcase_add_test(result, run_inside_a_run_is_busy);

    TCase *outside = test_case(suite, "outside");
    tcase_add_test(outside, run_is_needed_by_every_call_that_parks);
    tcase_add_test(outside, run_makes_no_fiber_of_another_thread);
    tcase_add_test(outside, run_is_needed_to_start_a_background_fiber);
    tcase_add_test(outside, run_leaves_no_identity_behind);

    TCase *config = test_case(suite, "configuration");
    tcase_add_test(config, run_has_as_many_workers_as_configured);
    tcase_add_test(config,
                   run_takes_the_number_of_workers_from_the_environment);
    tcase_add_test(config, run_with_one_worker_uses_one_thread);
    tcase_add_test(config, run_gives_stacks_of_the_configured_size);
    tcase_add_test(config, run_takes_the_size_of_stacks_from_the_environment);
    tcase_add_test(config,
                   run_without_memory_for_a_stack_fails_and_leaves_nothing);
    tcase_add_test(config, run_ignores_an_environment_that_is_no_number);
    tcase_add_test(config, run_refuses_more_workers_than_it_can_have);
    tcase_add_test(config, run_without_threads_fails_unless_it_needs_none);

    TCase *forked = test_case(suite, "forked");
    tcase_add_test(forked, run_does_not_go_on_in_the_child_of_a_fork);
}
