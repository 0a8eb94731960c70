/* test/test_task.c -- coir_task: joining, results, cancelling one fiber
 *
 * Callbacks and background fibers are in test_task_done.c and
 * test_background.c. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <string.h>

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

static int return_number(void *arg)
{
    return *(const int *)arg;
}

/* Sleeps for a minute unless it is cancelled. */
static int return_number_later(void *arg)
{
    int rc = coir_sleep(MINUTES(1));
    return rc < 0 ? rc : *(const int *)arg;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return coir_sleep(COIR_NEVER);
}

/* ---- Joining ---- */

static int join_in_time(void *arg)
{
    (void)arg;
    int number = 7, result = 0;
    coir_task task;
    memset(&task, 0xa5, sizeof task); /* its bytes need no initialising */
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &task, return_number_later, &number);
    ck_assert_int_eq(rc, 0);
    ck_assert(!coir_task_done(&task));
    ck_assert_int_eq(coir_task_result(&task), -EINPROGRESS);
    ck_assert_int_eq(coir_join(&task, &result), 0);
    ck_assert_int_eq(result, 7);
    ck_assert(coir_task_done(&task));
    ck_assert_int_eq(coir_task_result(&task), 7);
    ck_assert_str_eq(coir_task_message(&task), "");
    return coir_nursery_close(&nursery);
}

START_TEST(join_waits_for_the_result)
{
    run_body(join_in_time);
}
END_TEST

static int join_late(void *arg)
{
    (void)arg;
    int number = 7, result = 0;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &task, return_number_later, &number);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(coir_sleep(MINUTES(5)), 0);
    ck_assert(coir_task_done(&task));
    ck_assert_int_eq(coir_join(&task, NULL), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    /* And for as long as the handle is kept. */
    ck_assert_int_eq(coir_join(&task, &result), 0);
    ck_assert_int_eq(result, 7);
    ck_assert_int_eq(coir_task_result(&task), 7);
    return 0;
}

START_TEST(join_after_the_end_succeeds_at_once)
{
    run_body(join_late);
}
END_TEST

static int join_failure(void *arg)
{
    (void)arg;
    int number = -EIO, result = 0;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &task, return_number_later, &number);
    ck_assert_int_eq(rc, 0);
    /* Its end is also what cancels the caller: a join that had begun wins. */
    ck_assert_int_eq(coir_join(&task, &result), 0);
    ck_assert_int_eq(result, -EIO);
    ck_assert_int_eq(coir_join(&task, &result), -ECANCELED);
    ck_assert_int_eq(coir_nursery_close(&nursery), -EIO);
    return 0;
}

START_TEST(join_gets_the_failure_by_which_the_caller_is_cancelled)
{
    run_body(join_failure);
}
END_TEST

enum { JOINERS = 20 };

struct joining {
    coir_task *task;
    int result;
};

static int join_and_note(void *arg)
{
    struct joining *joining = arg;
    return coir_join(joining->task, &joining->result);
}

static int join_together(void *arg)
{
    (void)arg;
    int number = 7, result = 0;
    coir_task task;
    struct joining joiners[JOINERS] = {{NULL, 0}};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &task, return_number_later, &number);
    for (int i = 0; i < JOINERS && rc == 0; i++) {
        joiners[i].task = &task;
        rc = coir_go(&nursery, join_and_note, &joiners[i]);
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(coir_join(&task, &result), 0);
    ck_assert_int_eq(result, 7);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    for (int i = 0; i < JOINERS; i++)
        ck_assert_int_eq(joiners[i].result, 7);
    return 0;
}

START_TEST(join_serves_any_number_of_fibers)
{
    run_body(join_together);
}
END_TEST

static int give_up_joining(void *arg)
{
    (void)arg;
    int number = 7, result = 99;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, return_number_later, &number),
                     0);
    coir_scope scope;
    coir_timeout_open(&scope, COIR_SECONDS(10));
    ck_assert_int_eq(coir_join(&task, &result), -ECANCELED);
    ck_assert_int_eq(result, 99); /* no effect */
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ETIMEDOUT);
    ck_assert(!coir_task_done(&task)); /* it is not cancelled by that */
    ck_assert_int_eq(coir_join(&task, &result), 0);
    ck_assert_int_eq(result, 7);
    return coir_nursery_close(&nursery);
}

START_TEST(join_that_is_cancelled_leaves_the_task_alone)
{
    run_body(give_up_joining);
}
END_TEST

static int join_cancelled(void *arg)
{
    (void)arg;
    int number = 7;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, return_number, &number), 0);
    ck_assert_int_eq(coir_join(&task, NULL), 0);
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_join(&task, NULL), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, 0), 0);
    return coir_nursery_close(&nursery);
}

START_TEST(join_in_a_cancelled_scope_does_not_begin)
{
    run_body(join_cancelled);
}
END_TEST

static int spawn_and_join(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_task task;
    int result = -1;
    int rc = coir_spawn(&nursery, &task, return_number, arg);
    if (rc == 0)
        rc = coir_join(&task, &result);
    rc = coir_nursery_close_with(&nursery, rc);
    return rc < 0 ? rc : result;
}

static int spawn_and_join_often(void *arg)
{
    int wrong = 0;
    for (int i = 0; i < (int)test_scaled(20000); i++)
        wrong += spawn_and_join(&i) != i;
    *(int *)arg = wrong;
    return 0;
}

START_TEST(join_never_misses_a_short_task)
{
    int wrong = -1;
    ck_assert_int_eq(coir_run(spawn_and_join_often, &wrong), 0);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

/* ---- What a handle tells ---- */

static int fail_with_message(void *arg)
{
    *(uint64_t *)arg = coir_id();
    return coir_fail(-EIO, "no %s", "luck");
}

static int ask_handle(void *arg)
{
    (void)arg;
    uint64_t id = 0;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, fail_with_message, &id), 0);
    uint64_t early = coir_task_id(&task);
    ck_assert_int_eq(coir_nursery_close(&nursery), -EIO);
    ck_assert_uint_ne(early, 0);
    ck_assert_uint_eq(early, id);
    ck_assert_uint_eq(coir_task_id(&task), id);
    ck_assert_int_eq(coir_task_result(&task), -EIO);
    ck_assert_str_eq(coir_task_message(&task), "no luck");
    return 0;
}

START_TEST(task_tells_id_result_and_message)
{
    run_body(ask_handle);
}
END_TEST

/* ---- A start that was refused ---- */

static int ask_refused(void *arg)
{
    (void)arg;
    int number = 7, result = 0;
    coir_task task;
    memset(&task, 0xa5, sizeof task);
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_nursery_cancel(&nursery);
    int rc = coir_spawn(&nursery, &task, return_number, &number);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert(coir_task_done(&task));
    ck_assert_int_eq(coir_task_result(&task), -ECANCELED);
    ck_assert_str_eq(coir_task_message(&task), "");
    ck_assert_int_eq(coir_join(&task, &result), 0);
    ck_assert_int_eq(result, -ECANCELED);
    coir_task_cancel(&task);
    coir_task *tasks[] = {&task};
    ck_assert_int_eq(coir_wait(tasks, 1, COIR_ALL_DONE), 1);
    return 0;
}

START_TEST(task_that_was_refused_is_done_with_the_refusal)
{
    run_body(ask_refused);
}
END_TEST

/* ---- Cancelling one ---- */

static int cancel_before_start(void *arg)
{
    (void)arg;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, sleep_for_ever, NULL), 0);
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_join(&task, NULL), 0);
    ck_assert_int_eq(coir_task_result(&task), -ECANCELED);
    return coir_nursery_close(&nursery);
}

START_TEST(task_cancelled_before_its_start_runs_cancelled)
{
    ck_assert_int_eq(run_story(1, cancel_before_start, NULL), 0);
    run_body(cancel_before_start);
}
END_TEST

static int cancel_while_parked(void *arg)
{
    (void)arg;
    int number = 7;
    coir_task task, sibling;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, sleep_for_ever, NULL), 0);
    ck_assert_int_eq(
        coir_spawn(&nursery, &sibling, return_number_later, &number), 0);
    ck_assert_int_eq(coir_sleep(COIR_SECONDS(10)), 0);
    coir_task_cancel(&task);
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_join(&task, NULL), 0);
    ck_assert_int_eq(coir_task_result(&task), -ECANCELED);
    ck_assert(!coir_task_done(&sibling));
    /* A child that was cancelled has not failed. */
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&sibling), 7);
    return 0;
}

START_TEST(task_cancelled_while_it_waits_is_cancelled_alone)
{
    run_body(cancel_while_parked);
}
END_TEST

static int cancel_after_end(void *arg)
{
    (void)arg;
    int number = 7;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, return_number, &number), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_task_result(&task), 7);
    return coir_sleep(MINUTES(1));
}

START_TEST(task_cancelled_after_its_end_stays_as_it_is)
{
    run_body(cancel_after_end);
}
END_TEST

static int hold_children(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_go(&nursery, sleep_for_ever, NULL), 0);
    int rc = coir_nursery_close(&nursery);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_yield(), -ECANCELED); /* to its very end */
    return rc;
}

static int cancel_with_children(void *arg)
{
    (void)arg;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, hold_children, NULL), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&task), -ECANCELED);
    return 0;
}

START_TEST(task_is_cancelled_with_all_that_it_started)
{
    run_body(cancel_with_children);
}
END_TEST

COIR_SUITE(task, TEST_WORKERS | TEST_SEEDED)
{
    TCase *join = test_case(suite, "join");
    tcase_add_test(join, join_waits_for_the_result);
    tcase_add_test(join, join_after_the_end_succeeds_at_once);
    tcase_add_test(join,
                   join_gets_the_failure_by_which_the_caller_is_cancelled);
    tcase_add_test(join, join_serves_any_number_of_fibers);
    tcase_add_test(join, join_that_is_cancelled_leaves_the_task_alone);
    tcase_add_test(join, join_in_a_cancelled_scope_does_not_begin);
    tcase_add_test(join, join_never_misses_a_short_task);

    TCase *handle = test_case(suite, "handle");
    tcase_add_test(handle, task_tells_id_result_and_message);
    tcase_add_test(handle, task_that_was_refused_is_done_with_the_refusal);

    TCase *cancel = test_case(suite, "cancel");
    tcase_add_test(cancel, task_cancelled_before_its_start_runs_cancelled);
    tcase_add_test(cancel, task_cancelled_while_it_waits_is_cancelled_alone);
    tcase_add_test(cancel, task_cancelled_after_its_end_stays_as_it_is);
    tcase_add_test(cancel, task_is_cancelled_with_all_that_it_started);
}
