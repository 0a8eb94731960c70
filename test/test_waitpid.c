/* test/test_waitpid.c -- io/child.c, io/watch.c: waiting for a child process */
#include "io/sys.h"
#include "io/watch.h"
#include "sched/worker.h"
#include "test/must.h"
#include "test/processes.h"
#include "test/sockets.h"

#include <spawn.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

/* The locks of a sanitizer's allocator may be held at a fork. */
#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define IS_TSAN 1
#    endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(IS_TSAN)
static const bool can_fork = false;
#else
static const bool can_fork = true;
#endif

extern char **environ;

/* Not by fork, which a sanitizer does not bear beside other threads. input: its
 * standard input, if not -1. */
static pid_t start_shell(const char *script, int input)
{
    char sh[] = "sh", option[] = "-c", text[64];
    char *const argv[] = {sh, option, text, NULL};
    posix_spawn_file_actions_t files;
    pid_t child;
    snprintf(text, sizeof text, "%s", script);
    posix_spawn_file_actions_init(&files);
    if (input >= 0)
        posix_spawn_file_actions_adddup2(&files, input, 0);
    int rc = posix_spawn(&child, "/bin/sh", &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    ck_assert_int_eq(rc, 0);
    return child;
}

/* It ends with that status. */
static pid_t start_child(int status, bool at_once)
{
    char script[64];
    snprintf(script, sizeof script, "%s exit %d", at_once ? "" : "sleep 0.01;",
             status);
    return start_shell(script, -1);
}

static pid_t start_sleeper(void)
{
    return start_shell("exec sleep 1000", -1);
}

static void end_sleeper(pid_t child)
{
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(coir_waitpid(child, NULL), 0);
}

/* A fiber's body. */
static int wait_for(void *pid)
{
    return coir_waitpid(*(pid_t *)pid, NULL);
}

/* ---- Ends. */

static int collect_ends(void *arg)
{
    int status = -1;
    (void)arg;
    for (int at_once = 0; at_once < 2; at_once++) {
        ck_assert_int_eq(coir_waitpid(start_child(7, at_once), &status), 0);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        ck_assert_int_eq(coir_waitpid(start_child(0, at_once), NULL), 0);
    }
    pid_t sleeper = start_sleeper();
    ck_assert_int_eq(kill(sleeper, SIGUSR2), 0);
    ck_assert_int_eq(coir_waitpid(sleeper, &status), 0);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
    return 0;
}

START_TEST(the_status_is_that_of_waitpid)
{
    ck_assert_int_eq(coir_run(collect_ends, NULL), 0);
}
END_TEST

static int wait_for_one_of_two(void *arg)
{
    pid_t longer = start_sleeper(), shorter = start_child(3, false);
    int status;
    (void)arg;
    ck_assert_int_eq(coir_waitpid(shorter, &status), 0);
    ck_assert_int_eq(WEXITSTATUS(status), 3);
    end_sleeper(longer);
    return 0;
}

START_TEST(only_that_child_is_taken)
{
    pid_t other = start_child(5, true);
    int status;
    ck_assert_int_eq(coir_run(wait_for_one_of_two, NULL), 0);
    ck_assert_int_eq(waitpid(other, &status, 0), other);
    ck_assert_int_eq(WEXITSTATUS(status), 5);
}
END_TEST

static int stop_and_end(void *arg)
{
    pid_t child = start_sleeper();
    (void)arg;
    ck_assert_int_eq(kill(child, SIGSTOP), 0);
    ck_assert_int_eq(coir_timeout(COIR_MS(5), wait_for, &child), -ETIMEDOUT);
    ck_assert_int_eq(kill(child, SIGCONT), 0);
    ck_assert_int_eq(coir_timeout(COIR_MS(5), wait_for, &child), -ETIMEDOUT);
    end_sleeper(child);
    return 0;
}

START_TEST(a_child_that_is_stopped_has_not_ended)
{
    ck_assert_int_eq(coir_run(stop_and_end, NULL), 0);
}
END_TEST

static int have_it_traced(void *arg)
{
    (void)arg;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        _exit(3);
    }
    ck_assert_int_gt(child, 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(coir_timeout(COIR_MS(5), wait_for, &child),
                         -ETIMEDOUT);
    end_sleeper(child);
    return 0;
}

START_TEST(a_child_that_is_traced_has_not_ended)
{
    ck_assert_int_eq(coir_run(have_it_traced, NULL), 0);
}
END_TEST

/* ---- Watching. */

/* Says 5 when it is asked for the n-th time. */
static int count_down(void *arg)
{
    int *n = arg;
    return --*n == 0 ? 5 : 0;
}

static const coir_i_wait waits_for_5 = {.what = "five"};

static int watch_quiet_pipe(void *arg)
{
    int ends[2], n;
    (void)arg;
    make_pipe(ends);
    coir_i_watch watch = {.fd = ends[0],
                          .events = COIR_I_CAN_READ,
                          .wait = &waits_for_5,
                          .look = count_down,
                          .arg = &n};
    ck_assert_int_eq(coir_i_slot_get(ends[0], &watch.slot), 0);
    for (int i = 1; i <= 2; i++) {
        n = i;
        ck_assert_int_eq(coir_i_watch_until(&watch), 5);
    }
    close_both(ends);
    return 0;
}

START_TEST(what_is_found_before_or_after_it_was_listed_needs_no_event)
{
    ck_assert_int_eq(coir_run(watch_quiet_pipe, NULL), 0);
}
END_TEST

/* ---- Many. */

static int start_and_wait(void *arg)
{
    uint64_t *random = arg;
    int wanted = (int)(test_random(random) % 100), status = -1;
    pid_t child = start_child(wanted, test_random_below(random, 4) > 0);
    must_not(coir_waitpid(child, &status) != 0);
    must_not(!WIFEXITED(status) || WEXITSTATUS(status) != wanted);
    return 0;
}

static int start_many(void *arg)
{
    static uint64_t random[50];
    uint64_t count = test_scaled(1000);
    (void)arg;
    for (uint64_t done = 0; done < count;) {
        coir_nursery n;
        coir_nursery_open(&n);
        for (int i = 0; i < 50 && done < count; i++, done++) {
            random[i] = test_seed(done);
            ck_assert_int_eq(coir_go(&n, start_and_wait, &random[i]), 0);
        }
        ck_assert_int_eq(coir_nursery_close(&n), 0);
    }
    return 0;
}

START_TEST(a_thousand_children_are_collected_by_as_many_fibers)
{
    ck_assert_int_eq(coir_run(start_many, NULL), 0);
    assert_nothing_happened();
}
END_TEST

/* All at the same moment. */
enum { AT_ONCE = 100 };

static int end_all_at_once(void *arg)
{
    static pid_t children[AT_ONCE];
    int gate[2];
    coir_nursery n;
    (void)arg;
    ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
    coir_nursery_open(&n);
    for (int i = 0; i < AT_ONCE; i++) {
        children[i] = start_shell("read end", gate[0]);
        ck_assert_int_eq(coir_go(&n, wait_for, &children[i]), 0);
    }
    let_others_park();
    close_both(gate);
    return coir_nursery_close(&n);
}

START_TEST(many_may_end_at_once)
{
    ck_assert_int_eq(coir_run(end_all_at_once, NULL), 0);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

/* ---- Cancelling. */

static int cancel_a_wait(void *arg)
{
    pid_t child = start_sleeper();
    coir_nursery n;
    (void)arg;
    int number = next_number();
    for (int i = 0; i < 3; i++) {
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, wait_for, &child), 0);
        let_others_park();
        coir_nursery_cancel(&n);
        ck_assert_int_eq(coir_waitpid(child, NULL), -ECANCELED);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
    }
    ck_assert_int_le(next_number(), number + 2); /* the poller's */
    ck_assert_int_eq(kill(child, 0), 0);
    end_sleeper(child);
    return 0;
}

START_TEST(a_cancelled_wait_leaves_the_child_to_be_waited_for)
{
    ck_assert_int_eq(coir_run(cancel_a_wait, NULL), 0);
}
END_TEST

/* ---- Errors. */

static int ask_for_no_child(void *arg)
{
    pid_t child = start_child(0, true), stranger = getppid();
    int status = 77;
    (void)arg;
    ck_assert_int_eq(coir_waitpid(0, &status), -EINVAL);
    ck_assert_int_eq(coir_waitpid(-1, &status), -EINVAL);
    ck_assert_int_eq(coir_waitpid(stranger, &status), -ECHILD);
    ck_assert_int_eq(coir_waitpid(getpid(), &status), -ECHILD);
    ck_assert_int_eq(status, 77);
    ck_assert_int_eq(coir_waitpid(child, NULL), 0);
    ck_assert_int_eq(coir_waitpid(child, NULL), -ECHILD);
    return 0;
}

START_TEST(what_is_no_child_is_told)
{
    pid_t child = start_child(0, true);
    ck_assert_int_eq(coir_waitpid(child, NULL), -EPERM); /* not a fiber */
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(coir_run(ask_for_no_child, NULL), 0);
}
END_TEST

/* Has any fiber waited for what comes from outside? */
static bool has_any_waited(void)
{
    uint64_t waits = 0;
    for (unsigned i = 0; i < coir_i_worker_count(); i++)
        waits += load_relaxed(&coir_i_runtime.workers[i].counts.outside_begun);
    return waits > 0;
}

static int wait_twice(void *arg)
{
    pid_t child = start_sleeper();
    coir_nursery n;
    (void)arg;
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, wait_for, &child), 0);
    while (!has_any_waited())
        ck_assert_int_eq(coir_sleep(COIR_MS(1)), 0);
    ck_assert_int_eq(coir_waitpid(child, NULL), -ECHILD);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    return coir_nursery_close(&n);
}

START_TEST(one_fiber_at_a_time_waits_for_a_child)
{
    ck_assert_int_eq(coir_run(wait_twice, NULL), 0);
}
END_TEST

static int wait_for_unkept(void *arg)
{
    int status = 77;
    (void)arg;
    ck_assert_int_eq(coir_waitpid(start_child(1, false), &status), -ECHILD);
    ck_assert_int_eq(status, 77);
    return 0;
}

START_TEST(children_that_nobody_keeps_are_none)
{
    signal(SIGCHLD, SIG_IGN);
    ck_assert_int_eq(coir_run(wait_for_unkept, NULL), 0);
    ck_assert(signal(SIGCHLD, SIG_DFL) == SIG_IGN);
}
END_TEST

static int have_it_taken_away(void *arg)
{
    pid_t child = start_sleeper();
    coir_nursery n;
    (void)arg;
    coir_nursery_open(&n);
    coir_nursery_keep_going(&n);
    ck_assert_int_eq(coir_go(&n, wait_for, &child), 0);
    let_others_park();
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    waitpid(child, NULL, 0); /* it or the fiber has it */
    int rc = coir_nursery_close(&n);
    ck_assert(rc == 0 || rc == -ECHILD);
    return 0;
}

START_TEST(a_child_that_another_thread_takes_is_none)
{
    ck_assert_int_eq(coir_run(have_it_taken_away, NULL), 0);
}
END_TEST

static _Atomic(int) calls_left;
static _Atomic(bool) has_failed;

static int fail_nth(const char *name)
{
    static const char *const never[] = {"close", "epoll_wait", "epoll_pwait2",
                                        "waitpid"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        if (strcmp(name, never[i]) == 0)
            return 0;
    }
    if (--calls_left != 0)
        return 0;
    has_failed = true;
    return -ENOSYS;
}

static int wait_shortly(void *pid)
{
    return coir_timeout(COIR_MS(2), wait_for, pid);
}

static int end_it(void *pid)
{
    end_sleeper(*(pid_t *)pid);
    return 0;
}

START_TEST(the_nth_failure_is_told_and_the_child_kept)
{
    int number = next_number(), told = 0;
    for (int n = 1; n == 1 || has_failed; n++) {
        has_failed = false;
        calls_left = n;
        pid_t child = start_sleeper();
        coir_i_sys_fault = fail_nth;
        int rc = coir_run(wait_shortly, &child);
        coir_i_sys_fault = NULL;
        ck_assert(rc == -ETIMEDOUT ||
                  (has_failed && (rc == -ENOSYS || rc == -ENOMEM)));
        told += rc != -ETIMEDOUT;
        ck_assert_int_eq(coir_run(end_it, &child), 0);
        ck_assert_int_eq(next_number(), number);
    }
    ck_assert_int_ge(told, 4);
}
END_TEST

static int wait_without_descriptors(void *arg)
{
    pid_t child = start_sleeper();
    (void)arg;
    struct rlimit before = limit_descriptors(0);
    ck_assert_int_eq(coir_waitpid(child, NULL), -EMFILE);
    unlimit_descriptors(before);
    end_sleeper(child);
    child = start_child(0, true);
    ck_assert_int_eq(coir_sleep(COIR_MS(20)), 0);
    before = limit_descriptors(0); /* one that has ended needs none */
    int rc = coir_waitpid(child, NULL);
    unlimit_descriptors(before);
    if (rc == -EMFILE) /* it had not, on a machine that slow */
        rc = coir_waitpid(child, NULL);
    return rc;
}

START_TEST(without_a_descriptor_the_child_is_kept)
{
    ck_assert_int_eq(coir_run(wait_without_descriptors, NULL), 0);
}
END_TEST

COIR_SUITE(waitpid, TEST_WORKERS)
{
    if (!has_process_pools()) /* no pidfds */
        return;
    TCase *ends = test_case(suite, "ends");
    tcase_add_test(ends, the_status_is_that_of_waitpid);
    tcase_add_test(ends, only_that_child_is_taken);
    tcase_add_test(ends, a_child_that_is_stopped_has_not_ended);
    if (can_fork)
        tcase_add_test(ends, a_child_that_is_traced_has_not_ended);
    tcase_add_test(ends, a_thousand_children_are_collected_by_as_many_fibers);
    tcase_add_test(ends, many_may_end_at_once);
    tcase_add_test(ends, a_cancelled_wait_leaves_the_child_to_be_waited_for);

    TCase *watching = test_case(suite, "watching");
    tcase_add_test(watching,
                   what_is_found_before_or_after_it_was_listed_needs_no_event);

    TCase *errors = test_case(suite, "errors");
    tcase_add_test(errors, what_is_no_child_is_told);
    tcase_add_test(errors, one_fiber_at_a_time_waits_for_a_child);
    tcase_add_test(errors, children_that_nobody_keeps_are_none);
    tcase_add_test(errors, a_child_that_another_thread_takes_is_none);
    tcase_add_test(errors, the_nth_failure_is_told_and_the_child_kept);

    TCase *out = test_case(suite, "out of descriptors");
    tcase_set_tags(out, "limits");
    tcase_add_test(out, without_a_descriptor_the_child_is_kept);
}
