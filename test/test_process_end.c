/* test/test_process_end.c -- the end of a process pool, of its runtime, of the
 * program; and what is left after bad luck */
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
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int sleep_for_an_hour(void *arg)
{
    (void)arg;
    return coir_sleep(COIR_SECONDS(3600));
}

static int act_beside_a_sleeper(coir_process_pool *pool)
{
    coir_time begin = coir_now();
    coir_nursery nursery;
    shared_pool = pool;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, sleep_for_an_hour, NULL), 0);
    ck_assert_int_eq(coir_yield(), 0);
    ck_assert_int_eq(run_act(SLEEP), 0);
    ck_assert_int_eq(coir_now(), begin);
    return coir_nursery_close(&nursery);
}

START_TEST(job_holds_the_virtual_clock)
{
    const coir_config config = {.virtual_clock = true};
    struct pooled pooled = {.config = {.workers = 1},
                            .body = act_beside_a_sleeper};
    make_notes();
    ck_assert_int_eq(coir_run_with(&config, with_pool, &pooled), 0);
}
END_TEST

static int free_pool(void *arg)
{
    coir_process_pool_free(arg);
    return 0;
}

static int free_while_running(void *arg)
{
    enum act wait = AWAIT_GO;
    coir_task running, freeing;
    coir_nursery nursery;
    (void)arg;
    const coir_process_pool_config config = {.workers = 1};
    ck_assert_int_eq(coir_process_pool_new(&shared_pool, &config), 0);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &running, run_act_of, &wait), 0);
    await_begun(1);
    ck_assert_int_eq(coir_spawn(&nursery, &freeing, free_pool, shared_pool), 0);
    ck_assert_int_eq(coir_sleep(COIR_MS(5)), 0);
    ck_assert(!coir_task_done(&freeing));
    ck_assert_int_eq(run_act(RETURN), -EPIPE);
    atomic_store(&notes->go, true);
    ck_assert_int_eq(coir_join(&freeing, NULL), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&running), 0);
    return 0;
}

START_TEST(free_waits_for_what_runs)
{
    make_notes();
    ck_assert_int_eq(coir_run(free_while_running, NULL), 0);
}
END_TEST

static int run_expecting_epipe(void *arg)
{
    ck_assert_int_eq(run_act(*(const enum act *)arg), -EPIPE);
    return 0;
}

static int free_cancelled(void *arg)
{
    enum act hang = HANG;
    coir_nursery nursery;
    coir_scope scope;
    (void)arg;
    const coir_process_pool_config config = {.workers = 1};
    ck_assert_int_eq(coir_process_pool_new(&shared_pool, &config), 0);
    coir_nursery_open(&nursery);
    for (int i = 0; i < 3; i++) /* one runs, two wait for its place */
        ck_assert_int_eq(coir_go(&nursery, run_expecting_epipe, &hang), 0);
    await_begun(1);
    coir_timeout_open(&scope, COIR_MS(2));
    coir_process_pool_free(shared_pool);
    int rc = coir_checkpoint();
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
    return coir_nursery_close(&nursery);
}

START_TEST(free_that_is_cancelled_ends_what_runs)
{
    make_notes();
    ck_assert_int_eq(coir_run(free_cancelled, NULL), 0);
}
END_TEST

static int leave_pool(void *arg)
{
    (void)arg;
    ck_assert_int_eq(run_act(RETURN), 0);
    return 0;
}

START_TEST(pool_outlives_its_runtime_without_workers)
{
    make_notes();
    ck_assert_int_eq(coir_process_pool_new(&shared_pool, NULL), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(coir_run(leave_pool, NULL), 0);
        ck_assert(is_gone(notes->pid));
        int rc = waitpid(-1, NULL, WNOHANG | __WALL);
        ck_assert(rc < 0 && errno == ECHILD);
    }
    coir_process_pool_free(shared_pool);
}
END_TEST

#if !defined(__SANITIZE_THREAD__) && !defined(THREAD_SANITIZER)
#    define IS_ALONE 1
#    if defined(__has_feature)
#        if __has_feature(thread_sanitizer)
#            undef IS_ALONE
#        endif
#    endif
#endif

#ifdef IS_ALONE /* else the program has a thread that is not its own */

static int wait_for_own_children(coir_process_pool *pool)
{
    int status;
    shared_pool = pool;
    ck_assert_int_eq(run_act(RETURN), 0);
    ck_assert(waitpid(-1, &status, 0) < 0 && errno == ECHILD);
    ck_assert_int_eq(run_act(KILL), -EOWNERDEAD);
    return 0;
}

static void refuse_signal(int number)
{
    (void)number;
    abort();
}

START_TEST(program_sees_no_children_but_its_own)
{
    signal(SIGCHLD, refuse_signal);
    run_on(1, wait_for_own_children);
}
END_TEST

#endif

static int run_until_killed(void *arg)
{
    enum act acts[] = {RETURN, HANG, HANG, HANG};
    (void)arg;
    return coir_each(run_act_of, acts, 4, sizeof *acts, 0);
}

static int be_program(coir_process_pool *pool)
{
    shared_pool = pool;
    return run_until_killed(NULL);
}

/* Orphans become children of this process. */
START_TEST(no_process_outlives_the_program)
{
    int status;
    struct pooled pooled = {.config = {.workers = 3}, .body = be_program};
    make_notes();
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL), 0);
    pid_t program = fork();
    ck_assert_int_ge(program, 0);
    if (program == 0)
        _exit(coir_run(with_pool, &pooled) < 0);
    while (atomic_load(&notes->begun) < 4)
        usleep(200);
    kill(program, SIGKILL);
    int ended = 0;
    while (waitpid(-1, &status, __WALL) > 0) {
        ended++;
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    ck_assert_int_eq(ended, 5);
}
END_TEST

static int use_up_descriptors(coir_process_pool *pool)
{
    struct rlimit before, limit;
    shared_pool = pool;
    getrlimit(RLIMIT_NOFILE, &before);
    int top = dup(0), refused = 0;
    close(top);
    for (int more = 0; more < 20; more++) {
        limit = before;
        limit.rlim_cur = (rlim_t)(top + more);
        setrlimit(RLIMIT_NOFILE, &limit);
        ssize_t n = run_act(RETURN);
        setrlimit(RLIMIT_NOFILE, &before);
        if (n == 0)
            break;
        ck_assert_int_eq(n, -EMFILE);
        refused++;
        int now = dup(0);
        close(now);
        ck_assert_int_eq(now, top);
    }
    ck_assert_int_gt(refused, 3);
    ck_assert_int_eq(run_act(RETURN), 0);
    return 0;
}

START_TEST(job_without_descriptors_leaves_nothing)
{
    run_on(1, use_up_descriptors);
}
END_TEST

COIR_SUITE(process_end, TEST_WORKERS)
{
    if (!has_process_pools())
        return;
    TCase *end = test_case(suite, "end");
    tcase_add_test(end, job_holds_the_virtual_clock);
    tcase_add_test(end, free_waits_for_what_runs);
    tcase_add_test(end, free_that_is_cancelled_ends_what_runs);
    tcase_add_test(end, pool_outlives_its_runtime_without_workers);
#ifdef IS_ALONE
    tcase_add_test(end, program_sees_no_children_but_its_own);
#endif
    tcase_add_test(end, no_process_outlives_the_program);

    TCase *out = test_case(suite, "out of descriptors");
    tcase_set_tags(out, "limits");
    tcase_add_test(out, job_without_descriptors_leaves_nothing);
}
