/* test/test_process_death.c -- jobs whose worker dies, and cancelled ones */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/processes.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/processes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Death ---- */

static void check_death(enum act what, const char *how)
{
    char message[64];
    ck_assert_int_eq(run_act(what), -EOWNERDEAD);
    snprintf(message, sizeof message, "worker %d %s", (int)notes->pid, how);
    ck_assert_str_eq(coir_message(), message);
    ck_assert(is_gone(notes->pid));
}

static int die_in_all_ways(coir_process_pool *pool)
{
    shared_pool = pool;
    for (int i = 0; i < 3; i++) {
        check_death(ABORT, "killed by SIGABRT");
        check_death(EXIT_3, "exited with 3");
        ck_assert_int_eq(run_act(RETURN), 0);
        check_death(KILL, "killed by SIGKILL");
    }
    return 0;
}

START_TEST(death_fails_the_job_and_says_how)
{
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    run_on(1, die_in_all_ways);
}
END_TEST

static ssize_t fail_silently(const void *arg, size_t size, void *result,
                             size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    return -EIO;
}

static int fail_after_a_death(coir_process_pool *pool)
{
    shared_pool = pool;
    ck_assert_int_eq(run_act(KILL), -EOWNERDEAD);
    ck_assert_int_eq(run_act(RETURN), 0);
    ck_assert_ptr_nonnull(strstr(coir_message(), "SIGKILL")); /* it stays */
    ck_assert_int_eq(
        coir_process_pool_run(pool, fail_silently, NULL, 0, NULL, 0), -EIO);
    ck_assert_str_eq(coir_message(), "");
    ck_assert_int_eq(coir_fail(-EIO, "my own"), -EIO);
    ck_assert_int_eq(
        coir_process_pool_run(pool, fail_silently, NULL, 0, NULL, 0), -EIO);
    ck_assert_str_eq(coir_message(), "");
    return 0;
}

START_TEST(failure_without_a_message_has_not_that_of_another)
{
    run_on(1, fail_after_a_death);
}
END_TEST

static int die_beside(coir_process_pool *pool)
{
    enum act wait = AWAIT_GO;
    coir_nursery nursery;
    shared_pool = pool;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, run_act_of, &wait), 0);
    await_begun(1);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(run_act(KILL), -EOWNERDEAD);
    ck_assert_int_eq(run_act(RETURN), 0);
    atomic_store(&notes->go, true);
    return coir_nursery_close(&nursery);
}

START_TEST(death_fails_no_other_job)
{
    run_on(2, die_beside);
}
END_TEST

static int close_descriptors(coir_process_pool *pool)
{
    shared_pool = pool;
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(run_act(CLOSE_ALL), 0);
        ck_assert_int_eq(run_act(RETURN), 0);
    }
    return 0;
}

START_TEST(worker_that_closed_everything_loses_nothing)
{
    run_on(1, close_descriptors);
}
END_TEST

/* It is dead for sure, and reaped by nobody yet. */
static void kill_and_wait(pid_t pid)
{
    siginfo_t info;
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | __WALL), 0);
}

static int kill_idle(coir_process_pool *pool)
{
    shared_pool = pool;
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(run_act(RETURN), 0);
        pid_t first = notes->pid;
        kill_and_wait(first);
        ck_assert_int_eq(run_act(RETURN), 0);
        ck_assert_int_ne(notes->pid, first);
    }
    return 0;
}

START_TEST(job_that_had_not_begun_goes_to_another_worker)
{
    run_on(1, kill_idle);
}
END_TEST

/* ---- Cancelling ---- */

static int cancel_running(coir_process_pool *pool)
{
    enum act hang = HANG;
    int result = 0;
    coir_task task;
    coir_nursery nursery;
    shared_pool = pool;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(coir_spawn(&nursery, &task, run_act_of, &hang), 0);
        await_begun(2 * i + 1);
        pid_t pid = notes->pid;
        coir_task_cancel(&task);
        ck_assert_int_eq(coir_join(&task, &result), 0);
        ck_assert_int_eq(result, -ECANCELED);
        ck_assert(is_gone(pid));
        ck_assert_int_eq(run_act(RETURN), 0);
    }
    return coir_nursery_close(&nursery);
}

START_TEST(cancelled_job_is_killed)
{
    run_on(1, cancel_running);
}
END_TEST

static int time_out(coir_process_pool *pool)
{
    coir_scope scope;
    shared_pool = pool;
    coir_timeout_open(&scope, COIR_MS(10));
    int rc = (int)run_act(HANG);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
    ck_assert_int_eq(run_act(RETURN), 0);
    return 0;
}

START_TEST(job_has_a_deadline)
{
    run_on(1, time_out);
}
END_TEST

static int cancel_queued(coir_process_pool *pool)
{
    enum act wait = AWAIT_GO;
    coir_nursery nursery;
    coir_scope scope;
    shared_pool = pool;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, run_act_of, &wait), 0);
    await_begun(1);
    coir_timeout_open(&scope, COIR_MS(5));
    int rc = (int)run_act(RETURN);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
    atomic_store(&notes->go, true);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(notes->begun, 1);
    ck_assert_int_eq(run_act(RETURN), 0);
    ck_assert_int_eq(notes->begun, 2);
    return 0;
}

START_TEST(cancelled_job_that_had_not_begun_never_does)
{
    run_on(1, cancel_queued);
}
END_TEST

static int act_in_cancelled_scope(coir_process_pool *pool)
{
    coir_scope scope;
    shared_pool = pool;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    int rc = (int)run_act(RETURN);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ECANCELED);
    ck_assert_int_eq(notes->begun, 0);
    return 0;
}

START_TEST(job_in_a_cancelled_scope_is_not_begun)
{
    run_on(1, act_in_cancelled_scope);
}
END_TEST

static int die_among_siblings(coir_process_pool *pool)
{
    enum act acts[] = {HANG, HANG, KILL};
    coir_nursery nursery;
    shared_pool = pool;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(coir_go(&nursery, run_act_of, &acts[i]), 0);
        await_begun(i < 2 ? i + 1 : 2);
    }
    ck_assert_int_eq(coir_nursery_close(&nursery), -EOWNERDEAD);
    ck_assert_ptr_nonnull(strstr(coir_message(), "killed by SIGKILL"));
    ck_assert_int_eq(run_act(RETURN), 0);
    return 0;
}

START_TEST(death_cancels_the_siblings_in_a_nursery)
{
    run_on(3, die_among_siblings);
}
END_TEST

COIR_SUITE(process_death, TEST_WORKERS)
{
    if (!has_process_pools())
        return;
    TCase *death = test_case(suite, "death");
    tcase_add_test(death, death_fails_the_job_and_says_how);
    tcase_add_test(death, failure_without_a_message_has_not_that_of_another);
    tcase_add_test(death, death_fails_no_other_job);
    tcase_add_test(death, worker_that_closed_everything_loses_nothing);
    tcase_add_test(death, job_that_had_not_begun_goes_to_another_worker);

    TCase *cancel = test_case(suite, "cancel");
    tcase_add_test(cancel, cancelled_job_is_killed);
    tcase_add_test(cancel, job_has_a_deadline);
    tcase_add_test(cancel, cancelled_job_that_had_not_begun_never_does);
    tcase_add_test(cancel, job_in_a_cancelled_scope_is_not_begun);
    tcase_add_test(cancel, death_cancels_the_siblings_in_a_nursery);
}
