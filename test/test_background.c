/* test/test_background.c -- coir_background: fibers of the runtime's own */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static int sleep_for_ever(void *arg)
{
    (void)arg;
    int rc = coir_sleep(COIR_NEVER);
    tell("%s", rc == -ECANCELED ? "cancelled" : "woken");
    return rc;
}

static int return_number(void *arg)
{
    return *(const int *)arg;
}

static int fail_with_message(void *arg)
{
    (void)arg;
    coir_name_set("unlucky");
    return coir_fail(-EIO, "out of luck");
}

/* ---- Their end ---- */

static int leave_one_behind(void *arg)
{
    (void)arg;
    int rc = coir_background(NULL, sleep_for_ever, NULL);
    if (rc == 0)
        rc = coir_sleep(MINUTES(1));
    tell("first");
    return rc < 0 ? rc : 5;
}

START_TEST(background_is_cancelled_when_the_first_fiber_ends)
{
    ck_assert_int_eq(run_story(0, leave_one_behind, NULL), 5);
    ck_assert_str_eq(story(), "first cancelled");
}
END_TEST

static int sleep_minute(void *arg)
{
    (void)arg;
    return coir_sleep(MINUTES(1));
}

static int clean_up_slowly(void *arg)
{
    (void)arg;
    int rc = coir_sleep(COIR_NEVER);
    tell("cleaned %d", coir_shielded(sleep_minute, NULL));
    return rc;
}

static int leave_slow_behind(void *arg)
{
    (void)arg;
    return coir_background(NULL, clean_up_slowly, NULL);
}

START_TEST(background_is_waited_for)
{
    ck_assert_int_eq(run_story(0, leave_slow_behind, NULL), 0);
    ck_assert_str_eq(story(), "cleaned 0");
}
END_TEST

static int join_background(void *arg)
{
    (void)arg;
    int number = 7, result = 0;
    coir_task task;
    ck_assert_int_eq(coir_background(&task, return_number, &number), 0);
    ck_assert_uint_ne(coir_task_id(&task), coir_id());
    ck_assert_int_eq(coir_join(&task, &result), 0);
    ck_assert_int_eq(result, 7);
    return 0;
}

START_TEST(background_can_be_joined)
{
    ck_assert_int_eq(coir_run(join_background, NULL), 0);
}
END_TEST

static int start_in_cancelled_scope(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_background(NULL, sleep_for_ever, NULL), 0);
    ck_assert_int_eq(coir_scope_close(&scope, 0), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    tell("first");
    return 0;
}

START_TEST(background_is_under_no_scope_of_its_starter)
{
    ck_assert_int_eq(run_story(0, start_in_cancelled_scope, NULL), 0);
    ck_assert_str_eq(story(), "first cancelled");
}
END_TEST

enum { CROWD = 1000 };

static _Atomic int ran;

static int start_another(void *arg)
{
    int depth = *(const int *)arg - 1;
    ran++;
    coir_task task;
    int rc = depth > 0 ? coir_background(&task, start_another, &depth) : 0;
    return rc < 0 || depth == 0 ? rc : coir_join(&task, NULL);
}

static int start_chain(void *arg)
{
    coir_task task;
    int rc = coir_background(&task, start_another, arg);
    return rc < 0 ? rc : coir_join(&task, NULL);
}

START_TEST(background_fibers_may_start_others)
{
    int depth = (int)test_scaled(CROWD);
    ran = 0;
    ck_assert_int_eq(coir_run(start_chain, &depth), 0);
    ck_assert_int_eq(ran, depth);
}
END_TEST

/* ---- From any thread ---- */

struct thread_start {
    coir_scope scope;
    coir_task task;
    int number, rc;
};

static void *start_on_thread(void *arg)
{
    struct thread_start *start = arg;
    start->rc = coir_background(&start->task, return_number, &start->number);
    return NULL;
}

static int join_what_threads_start(void *arg)
{
    int *wrong = arg;
    for (int i = 0; i < (int)test_scaled(40); i++) {
        struct thread_start start = {.number = i, .rc = 1};
        pthread_t thread;
        if (pthread_create(&thread, NULL, start_on_thread, &start) != 0)
            return -EAGAIN;
        pthread_join(thread, NULL);
        int result = -1;
        *wrong += start.rc != 0;
        *wrong += coir_join(&start.task, &result) != 0 || result != i;
    }
    return 0;
}

START_TEST(background_may_be_started_by_any_thread)
{
    int wrong = 0;
    ck_assert_int_eq(coir_run(join_what_threads_start, &wrong), 0);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

static int cancel_sleeper(void *arg)
{
    struct thread_start *start = arg;
    coir_scope_cancel(&start->scope);
    return 0;
}

/* The first fiber sleeps, all workers are idle; a thread wakes them. */
static void *start_while_idle(void *arg)
{
    struct thread_start *start = arg;
    usleep(2000); /* most likely they sleep by then; it works if not */
    start->rc = coir_background(&start->task, cancel_sleeper, start);
    return NULL;
}

static int sleep_until_started(void *arg)
{
    struct thread_start *start = arg;
    coir_scope_open(&start->scope);
    pthread_t thread;
    if (pthread_create(&thread, NULL, start_while_idle, start) != 0)
        return coir_scope_close(&start->scope, -EAGAIN);
    int rc = coir_sleep(COIR_NEVER);
    rc = coir_scope_close(&start->scope, rc);
    pthread_join(thread, NULL);
    int ended = coir_join(&start->task, NULL);
    return ended < 0 ? ended : rc;
}

START_TEST(background_started_by_a_thread_wakes_an_idle_runtime)
{
    struct thread_start start = {.rc = 1};
    ck_assert_int_eq(coir_run(sleep_until_started, &start), -ECANCELED);
    ck_assert_int_eq(start.rc, 0);
}
END_TEST

/* ---- Failures ---- */

static int fail_beside(void *arg)
{
    int rc = coir_background(NULL, fail_with_message, NULL);
    if (rc == 0) /* nobody is cancelled by it */
        rc = coir_sleep(MINUTES(1));
    return rc < 0 ? rc : *(const int *)arg;
}

static int run_beside_failure(void *arg)
{
    (void)arg;
    int first = 3;
    return run_story(0, fail_beside, &first) == -EIO ? 0 : 1;
}

START_TEST(background_failure_is_reported_on_standard_error)
{
    test_survives(" 'unlucky' failed: out of luck (-5)\n", run_beside_failure,
                  NULL);
}
END_TEST

static int fail_in_silence(void *arg)
{
    (void)arg;
    return -EIO;
}

static int start_silent_failure(void *arg)
{
    return coir_background(NULL, fail_in_silence, arg);
}

static int run_silent_failure(void *arg)
{
    return run_story(0, start_silent_failure, arg) == -EIO ? 0 : 1;
}

START_TEST(background_failure_without_a_message_is_reported_by_its_code)
{
    test_survives(" failed: -5\n", run_silent_failure, NULL);
}
END_TEST

START_TEST(background_failure_is_what_run_gives)
{
    int first = 3;
    ck_assert_int_eq(run_story(0, fail_beside, &first), -EIO);
}
END_TEST

START_TEST(background_failure_ranks_after_that_of_the_first_fiber)
{
    int first = -EPIPE;
    ck_assert_int_eq(run_story(0, fail_beside, &first), -EPIPE);
}
END_TEST

static int fail_with_handle(void *arg)
{
    (void)arg;
    coir_task task;
    int result = 0;
    int rc = coir_background(&task, fail_with_message, NULL);
    if (rc == 0)
        rc = coir_join(&task, &result);
    return rc < 0 ? rc : result == -EIO ? 4 : -EDOM;
}

START_TEST(background_failure_that_somebody_has_a_handle_on_is_theirs)
{
    ck_assert_int_eq(coir_run(fail_with_handle, NULL), 4);
}
END_TEST

COIR_SUITE(background, TEST_WORKERS | TEST_SEEDED)
{
    TCase *end = test_case(suite, "end");
    tcase_add_test(end, background_is_cancelled_when_the_first_fiber_ends);
    tcase_add_test(end, background_is_waited_for);
    tcase_add_test(end, background_can_be_joined);
    tcase_add_test(end, background_is_under_no_scope_of_its_starter);
    tcase_add_test(end, background_fibers_may_start_others);

    TCase *threads = test_case(suite, "threads");
    tcase_add_test(threads, background_may_be_started_by_any_thread);
    tcase_add_test(threads,
                   background_started_by_a_thread_wakes_an_idle_runtime);

    TCase *failure = test_case(suite, "failure");
    tcase_add_test(failure, background_failure_is_reported_on_standard_error);
    tcase_add_test(
        failure, background_failure_without_a_message_is_reported_by_its_code);
    tcase_add_test(failure, background_failure_is_what_run_gives);
    tcase_add_test(failure,
                   background_failure_ranks_after_that_of_the_first_fiber);
    tcase_add_test(failure,
                   background_failure_that_somebody_has_a_handle_on_is_theirs);
}
