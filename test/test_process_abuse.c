/* test/test_process_abuse.c -- jobs that do what they had better not do: the
 * pool, the program and the next job do not suffer */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/processes.h>
#include <coir/run.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 4 };

static ssize_t run(coir_process_pool *pool, coir_job_fn *job)
{
    return coir_process_pool_run(pool, job, NULL, 0, NULL, 0);
}

static ssize_t do_nothing(const void *arg, size_t size, void *result,
                          size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    atomic_fetch_add(&notes->begun, 1);
    return 0;
}

/* ---- Forks ---- */

/* Both return from it. */
static ssize_t fork_and_return(const void *arg, size_t size, void *result,
                               size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    pid_t pid = fork();
    if (pid < 0)
        return -EAGAIN;
    return pid ? -1001 : -1002;
}

static int fork_often(coir_process_pool *pool)
{
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(run(pool, fork_and_return), -1001);
        ck_assert_int_eq(run(pool, do_nothing), 0);
        ck_assert_int_eq(notes->begun, i + 1);
    }
    return 0;
}

START_TEST(job_that_forks_returns_once)
{
    run_on(1, fork_often);
}
END_TEST

static ssize_t fork_and_leave(const void *arg, size_t size, void *result,
                              size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    atomic_store(&notes->pid, pid);
    return pid < 0 ? -EAGAIN : 0;
}

static int fork_and_forget(coir_process_pool *pool)
{
    ck_assert_int_eq(run(pool, fork_and_leave), 0);
    ck_assert(!is_gone(notes->pid));
    return 0;
}

/* An orphan becomes a child of this process, so that it can be waited for. */
START_TEST(children_of_a_job_end_with_the_runtime)
{
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL), 0);
    run_on(1, fork_and_forget);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    ck_assert(is_gone(notes->pid));
}
END_TEST

/* ---- What a process has ---- */

static ssize_t change_directory(const void *arg, size_t size, void *result,
                                size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    umask(0777);
    return chdir("/proc");
}

static int move_about(coir_process_pool *pool)
{
    char before[PATH_MAX], after[PATH_MAX];
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(run(pool, change_directory), 0);
        ck_assert_int_eq(run(pool, do_nothing), 0);
    }
    ck_assert_ptr_nonnull(getcwd(after, sizeof after));
    ck_assert_str_eq(after, before);
    return 0;
}

START_TEST(job_that_changes_directory_does_so_alone)
{
    run_on(1, move_about);
}
END_TEST

static ssize_t write_everywhere(const void *arg, size_t size, void *result,
                                size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    for (int fd = 3; fd < 100; fd++) {
        if (write(fd, "junk", 4) == 4)
            return -EIO; /* something is open there */
    }
    return write(1, "text\n", 5) == 5 ? 0 : -EIO;
}

static int write_about(coir_process_pool *pool)
{
    for (int i = 0; i < ROUNDS; i++)
        ck_assert_int_eq(run(pool, write_everywhere), 0);
    return 0;
}

static int run_write_about(void *arg)
{
    (void)arg;
    dup2(STDERR_FILENO, STDOUT_FILENO);
    run_on(1, write_about);
    return 0;
}

START_TEST(job_that_writes_writes_to_standard_output)
{
    test_survives("text\ntext\ntext\ntext\n", run_write_about, NULL);
}
END_TEST

static ssize_t use_up_descriptors(const void *arg, size_t size, void *result,
                                  size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    int opened = 0;
    while (dup(0) >= 0)
        opened++;
    return opened > 10 ? 0 : -EIO;
}

static int run_short_of_descriptors(coir_process_pool *pool)
{
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(run(pool, use_up_descriptors), i ? -EIO : 0);
        ck_assert_int_eq(run(pool, do_nothing), 0);
    }
    return 0;
}

START_TEST(job_that_uses_up_descriptors_can_still_return)
{
    run_on(1, run_short_of_descriptors);
}
END_TEST

/* ---- Signals ---- */

static ssize_t block_signals_and_hang(const void *arg, size_t size,
                                      void *result, size_t capacity)
{
    sigset_t all;
    (void)arg, (void)size, (void)result, (void)capacity;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int s = 1; s <= SIGRTMAX; s++)
        signal(s, SIG_IGN);
    atomic_store(&notes->pid, getpid());
    atomic_fetch_add(&notes->begun, 1);
    pause();
    return 0;
}

static int run_blocked(void *arg)
{
    return (int)run(arg, block_signals_and_hang);
}

static int cancel_blocked(coir_process_pool *pool)
{
    for (int i = 0; i < ROUNDS; i++) {
        coir_task task;
        coir_nursery nursery;
        coir_nursery_open(&nursery);
        ck_assert_int_eq(coir_spawn(&nursery, &task, run_blocked, pool), 0);
        await_begun(2 * i + 1);
        coir_task_cancel(&task);
        ck_assert_int_eq(coir_nursery_close(&nursery), 0);
        ck_assert_int_eq(coir_task_result(&task), -ECANCELED);
        ck_assert(is_gone(notes->pid));
        ck_assert_int_eq(run(pool, do_nothing), 0);
    }
    return 0;
}

START_TEST(job_that_blocks_signals_can_be_cancelled)
{
    run_on(1, cancel_blocked);
}
END_TEST

/* ---- Ends ---- */

static ssize_t exit_in_full(const void *arg, size_t size, void *result,
                            size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    exit(5);
}

static int exit_often(coir_process_pool *pool)
{
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(run(pool, exit_in_full), -EOWNERDEAD);
        ck_assert_ptr_nonnull(strstr(coir_message(), "exited with 5"));
        ck_assert_int_eq(run(pool, do_nothing), 0);
    }
    return 0;
}

START_TEST(job_that_exits_ends_its_worker_alone)
{
    run_on(1, exit_often);
}
END_TEST

static struct {
    char path[32];
    FILE *file;
} stream;

/* It has a file of its own under the number of the program's. */
static ssize_t open_and_exit(const void *arg, size_t size, void *result,
                             size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    int fd;
    do {
        fd = open(stream.path, O_WRONLY | O_APPEND);
    } while (fd >= 0 && fd < fileno(stream.file));
    exit(5);
}

static int open_and_exit_once(coir_process_pool *pool)
{
    ck_assert_int_eq(run(pool, open_and_exit), -EOWNERDEAD);
    return 0;
}

/* What the program had buffered is written once, by itself, if it has no other
 * thread; TSan is one. */
START_TEST(job_that_exits_writes_nothing_of_the_program)
{
    if (!__libc_single_threaded)
        return;
    snprintf(stream.path, sizeof stream.path, "/tmp/coir-test-%s",
             "XX"
             "XX"
             "XX");
    int fd = mkostemp(stream.path, O_APPEND);
    stream.file = fdopen(fd, "w");
    ck_assert_ptr_nonnull(stream.file);
    fputs("a line\n", stream.file);
    run_on(1, open_and_exit_once);
    ck_assert_int_eq(fflush(stream.file), 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), 7);
    ck_assert_int_eq(fclose(stream.file), 0);
    ck_assert_int_eq(unlink(stream.path), 0);
}
END_TEST

static ssize_t count_closed_on_exec(const void *arg, size_t size, void *result,
                                    size_t capacity)
{
    ssize_t count = 0;
    (void)arg, (void)size, (void)result, (void)capacity;
    for (int fd = 0; fd <= 2; fd++)
        count += fcntl(fd, F_GETFD) != 0;
    return count > 0 ? -EBADF : 0;
}

static int count_them(coir_process_pool *pool)
{
    ck_assert_int_eq(run(pool, count_closed_on_exec), 0);
    return 0;
}

START_TEST(job_can_execute_a_program_that_has_standard_descriptors)
{
    int input = dup(0);
    ck_assert_int_ge(input, 3);
    run_on(1, count_them);
    close(0);
    run_on(1, count_them);
    ck_assert_int_eq(dup2(input, 0), 0);
    close(input);
}
END_TEST

/* It kills the processes that it can know of: its parent's group, and the
 * zygote's children; not the program. */
static ssize_t kill_group(const void *arg, size_t size, void *result,
                          size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    return kill(0, SIGKILL);
}

static int kill_all(coir_process_pool *pool)
{
    ssize_t n = run(pool, kill_group);
    ck_assert(n == -EOWNERDEAD || n == -ESRCH); /* nobody told of its birth */
    ck_assert_int_eq(run(pool, do_nothing), -ESRCH);
    return 0;
}

START_TEST(job_that_kills_its_group_ends_the_pool_but_not_the_program)
{
    run_on(1, kill_all);
}
END_TEST

static ssize_t overrun_stack(const void *arg, size_t size, void *result,
                             size_t capacity)
{
    volatile char page[4096];
    page[0] = (char)size;
    if (size == SIZE_MAX)
        return 0;
    return overrun_stack(arg, size + 1, result, capacity) + page[0];
}

static int overrun(coir_process_pool *pool)
{
    ck_assert_int_eq(run(pool, overrun_stack), -EOWNERDEAD);
    ck_assert_ptr_nonnull(strstr(coir_message(), "SIGSEGV"));
    ck_assert_int_eq(run(pool, do_nothing), 0);
    return 0;
}

START_TEST(job_that_overruns_its_stack_fails_alone)
{
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    run_on(1, overrun);
}
END_TEST

COIR_SUITE(process_abuse, TEST_WORKERS)
{
    if (!has_process_pools())
        return;
    TCase *forks = test_case(suite, "forks");
    tcase_add_test(forks, job_that_forks_returns_once);
    tcase_add_test(forks, children_of_a_job_end_with_the_runtime);

    TCase *has = test_case(suite, "what a process has");
    tcase_add_test(has, job_that_changes_directory_does_so_alone);
    tcase_add_test(has, job_that_writes_writes_to_standard_output);
    tcase_add_test(has, job_that_uses_up_descriptors_can_still_return);
    tcase_add_test(has,
                   job_can_execute_a_program_that_has_standard_descriptors);

    TCase *signals = test_case(suite, "signals");
    tcase_add_test(signals, job_that_blocks_signals_can_be_cancelled);

    TCase *ends = test_case(suite, "ends");
    tcase_add_test(ends, job_that_exits_ends_its_worker_alone);
    tcase_add_test(ends, job_that_exits_writes_nothing_of_the_program);
    tcase_add_test(ends,
                   job_that_kills_its_group_ends_the_pool_but_not_the_program);
    tcase_add_test(ends, job_that_overruns_its_stack_fails_alone);
}
