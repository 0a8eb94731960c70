/* test/test_signals_program.c -- io/signals.c, and the rest of the program:
 * threads, forks, runtimes, programs that it executes */
#include "test/signals.h"

#include <pthread.h>

/* ---- Beyond one runtime. */

START_TEST(it_is_open_before_and_after_a_runtime)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1);
        ck_assert_int_eq(coir_run(next_of, s), SIGUSR1);
        ck_assert_int_eq(coir_run(wait_for_none, s), 0);
    }
    const coir_config config = {.virtual_clock = true};
    ck_assert_int_eq(coir_run_with(&config, wait_for_none, s), 0);
    raise(SIGUSR1);
    ck_assert_int_eq(coir_run_with(&config, next_of, s), SIGUSR1);
    coir_signals_close(s);
}
END_TEST

static void *open_and_close(void *arg)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    raise(SIGUSR1);
    coir_signals_close(s);
    return arg;
}

START_TEST(any_thread_may_open_and_close)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, open_and_close, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(handler_of(SIGUSR1) == SIG_DFL);
}
END_TEST

/* ---- What the rest of the program notices. */

static int run_shell(const char *script)
{
    int status;
    ck_assert_int_gt(waitpid(start_shell(script), &status, 0), 0);
    return status;
}

static int execute_meanwhile(void *arg)
{
    coir_signals *s = open_signals(SIGUSR1, SIGTERM);
    (void)arg;
    int status = run_shell("kill -USR1 $$; exit 3");
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    status = run_shell("grep -q '^SigBlk:.0*$' /proc/self/status");
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert(has_none(s));
    coir_signals_close(s);
    return 0;
}

START_TEST(executed_programs_start_clean)
{
    ck_assert_int_eq(coir_run(execute_meanwhile, NULL), 0);
}
END_TEST

static int raise_in_child(void *arg)
{
    coir_signals *s = arg;
    pid_t child = fork();
    int status;
    if (child == 0) {
        coir_signals_close(s);
        if (handler_of(SIGUSR1) == SIG_DFL)
            raise(SIGUSR1);
        _exit(3);
    }
    ck_assert_int_gt(waitpid(child, &status, 0), 0);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    ck_assert(has_none(s));
    send_signal(SIGUSR1);
    ck_assert_int_eq(coir_signals_next(s), SIGUSR1);
    return 0;
}

START_TEST(the_child_of_a_fork_has_the_old_dispositions)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    ck_assert_int_eq(coir_run(raise_in_child, s), 0);
    coir_signals_close(s);
}
END_TEST

static int take_one(void)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    send_signal(SIGUSR1);
    int rc = coir_signals_next(s);
    coir_signals_close(s);
    return rc == SIGUSR1 ? 0 : 2;
}

static int use_in_child(void *arg)
{
    if (coir_signals_next(arg) != -EBADF)
        return 1;
    coir_signals_close(arg);
    return take_one();
}

START_TEST(the_child_of_a_fork_opens_its_own)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    int number = next_number(), status;
    pid_t child = fork();
    if (child == 0) {
        int rc = coir_run(use_in_child, s);
        _exit(rc == 0 && next_number() < number ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(coir_run(wait_for_none, s), 0);
    coir_signals_close(s);
}
END_TEST

static void raise_in_vforked(void)
{
    pid_t child = vfork();
    int status;
    if (child == 0) {
        kill(getpid(), SIGUSR1);
        _exit(3);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

START_TEST(the_child_of_a_vfork_has_the_old_dispositions)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    raise_in_vforked();
    ck_assert_int_eq(coir_run(wait_for_none, s), 0);
    raise(SIGUSR1);
    ck_assert_int_eq(coir_run(next_of, s), SIGUSR1);
    coir_signals_close(s);
}
END_TEST

static int wait_blocked(void *arg)
{
    sigset_t set = set_of(SIGUSR1, 0), before;
    ck_assert(has_none(arg));
    pthread_sigmask(SIG_UNBLOCK, &set, &before);
    ck_assert_int_eq(sigismember(&before, SIGUSR1), 1);
    int rc = coir_signals_next(arg); /* on any worker: none unblocks again */
    return rc;
}

START_TEST(what_the_program_blocks_is_not_seen)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    sigset_t set = set_of(SIGUSR1, 0), now;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    ck_assert_int_eq(coir_run(wait_blocked, s), SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    coir_signals_close(s);
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    for (int n = 1; n < NSIG; n++)
        ck_assert_int_ne(sigismember(&now, n), 1);
}
END_TEST

struct blocked_read {
    int ends[2];
    ssize_t result;
};

static void *read_plainly(void *arg)
{
    struct blocked_read *r = arg;
    char byte;
    r->result = read(r->ends[0], &byte, 1);
    return NULL;
}

static int disturb_a_thread(void *arg)
{
    struct blocked_read r = {.result = -1};
    coir_signals *s = open_signals(SIGUSR1, 0);
    pthread_t thread;
    (void)arg;
    make_pipe(r.ends);
    ck_assert_int_eq(pthread_create(&thread, NULL, read_plainly, &r), 0);
    for (int i = 0; i < 3; i++) {
        let_others_park();
        ck_assert_int_eq(pthread_kill(thread, SIGUSR1), 0);
        ck_assert_int_eq(coir_signals_next(s), SIGUSR1);
    }
    ck_assert_int_eq(write(r.ends[1], "x", 1), 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(r.result, 1);
    close_both(r.ends);
    coir_signals_close(s);
    return 0;
}

START_TEST(system_calls_of_other_threads_go_on)
{
    ck_assert_int_eq(coir_run(disturb_a_thread, NULL), 0);
}
END_TEST

static int raise_with_errno(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        errno = 77;
        raise(SIGUSR1);
        if (errno != 77)
            return -EIO;
    }
    return 0;
}

START_TEST(the_handler_keeps_errno_and_stays_off_small_stacks)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    struct sigaction now;
    ck_assert_int_eq(sigaction(SIGUSR1, NULL, &now), 0);
    ck_assert_int_ne(now.sa_flags & SA_ONSTACK, 0);
    const coir_config config = {.stack_size = 16 << 10};
    ck_assert_int_eq(coir_run_with(&config, raise_with_errno, NULL), 0);
    ck_assert_int_eq(coir_run(next_of, s), SIGUSR1);
    coir_signals_close(s);
}
END_TEST

static int take_child_signal(void *arg)
{
    coir_signals *s = open_signals(SIGCHLD, 0);
    (void)arg;
    pid_t child = start_shell("exit 0");
    ck_assert_int_eq(coir_signals_next(s), SIGCHLD);
    coir_signals_close(s);
    return child;
}

START_TEST(listening_to_children_does_not_change_who_reaps_them)
{
    pid_t child = coir_run(take_child_signal, NULL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    set_handler(SIGCHLD, SIG_IGN);
    child = coir_run(take_child_signal, NULL);
    ck_assert_int_eq(waitpid(child, NULL, 0), -1);
    ck_assert_int_eq(errno, ECHILD);
    set_handler(SIGCHLD, SIG_DFL);
}
END_TEST

static int free_pool(void *pool)
{
    coir_thread_pool_free(pool);
    return 0;
}

START_TEST(the_signal_that_ends_calls_of_a_pool_is_not_to_be_had)
{
    const coir_thread_pool_config config = {.interrupt = true};
    coir_thread_pool *pool;
    coir_signals *s;
    int refused = 0, number = 0, rc = coir_thread_pool_new(&pool, &config);
    if (rc == -ENOTSUP)
        return; /* not on Linux */
    ck_assert_int_eq(rc, 0);
    for (int n = SIGRTMIN; n <= SIGRTMAX; n++) {
        sigset_t set = set_of(n, 0);
        rc = coir_signals_open(&s, &set);
        if (rc == 0)
            coir_signals_close(s);
        else
            number = n;
        refused += rc == -EINVAL;
    }
    ck_assert_int_eq(refused, 1);
    ck_assert_int_eq(coir_run(free_pool, pool), 0);
    coir_signals_close(open_signals(number, 0));
}
END_TEST

/* ---- What it is there for. */

static int send_later(void *arg)
{
    let_others_park();
    send_signal(*(int *)arg);
    return 0;
}

static int serve(void *arg)
{
    int *fd = arg;
    int rc;
    while ((rc = coir_accept(*fd, NULL, NULL)) >= 0)
        coir_close(rc);
    return rc;
}

static int serve_until_sigterm(void *arg)
{
    coir_signals *s = open_signals(SIGTERM, SIGINT);
    int fd = coir_listen("127.0.0.1:0", 4), number = SIGTERM;
    coir_nursery n;
    (void)arg;
    ck_assert_int_ge(fd, 0);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, serve, &fd), 0);
    ck_assert_int_eq(coir_go(&n, send_later, &number), 0);
    int rc = coir_signals_next(s);
    coir_nursery_cancel(&n);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    ck_assert_int_eq(coir_close(fd), 0);
    coir_signals_close(s);
    return rc;
}

START_TEST(a_server_shuts_down_cleanly_on_sigterm)
{
    ck_assert_int_eq(coir_run(serve_until_sigterm, NULL), SIGTERM);
}
END_TEST

COIR_SUITE(signals_program, TEST_WORKERS)
{
    if (!can_follow_signals())
        return;
    TCase *beyond = test_case(suite, "beyond a runtime");
    tcase_add_test(beyond, it_is_open_before_and_after_a_runtime);
    tcase_add_test(beyond, any_thread_may_open_and_close);
    tcase_add_test(beyond, a_server_shuts_down_cleanly_on_sigterm);

    TCase *others = test_case(suite, "the rest of the program");
    tcase_add_test(others, what_the_program_blocks_is_not_seen);
    tcase_add_test(others, the_handler_keeps_errno_and_stays_off_small_stacks);
    tcase_add_test(others,
                   the_signal_that_ends_calls_of_a_pool_is_not_to_be_had);
    if (can_fork) {
        tcase_add_test(others, the_child_of_a_fork_has_the_old_dispositions);
        tcase_add_test(others, the_child_of_a_fork_opens_its_own);
    }
    if (!is_tsan) {
        tcase_add_test(others, executed_programs_start_clean);
        tcase_add_test(others, the_child_of_a_vfork_has_the_old_dispositions);
        tcase_add_test(others, system_calls_of_other_threads_go_on);
        tcase_add_test(others,
                       listening_to_children_does_not_change_who_reaps_them);
    }
}
