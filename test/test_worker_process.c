/* test/test_worker_process.c -- what a worker process of a pool is like */
#include <coir/fiber.h>
#include <coir/processes.h>
#include <coir/run.h>
#include <coir/threads.h>

#include "test/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <unistd.h>

static ssize_t tell_pid(const void *arg, size_t size, void *result,
                        size_t capacity)
{
    pid_t pid = getpid();
    (void)arg, (void)size;
    if (capacity < sizeof pid)
        return -EINVAL;
    memcpy(result, &pid, sizeof pid);
    return sizeof pid;
}

static ssize_t do_nothing(const void *arg, size_t size, void *result,
                          size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    return 0;
}

static pid_t pid_of_worker(coir_process_pool *pool)
{
    pid_t pid = 0;
    ck_assert_int_eq(
        coir_process_pool_run(pool, tell_pid, NULL, 0, &pid, sizeof pid),
        sizeof pid);
    return pid;
}

static int reuse_worker(coir_process_pool *pool)
{
    pid_t first = pid_of_worker(pool);
    ck_assert_int_ne(first, getpid());
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(pid_of_worker(pool), first);
    return 0;
}

START_TEST(worker_is_kept_for_the_next_job)
{
    run_on(4, reuse_worker);
}
END_TEST

static int replace_worker(coir_process_pool *pool)
{
    pid_t pids[7];
    for (int i = 0; i < 7; i++)
        pids[i] = pid_of_worker(pool);
    for (int i = 1; i < 7; i++) {
        if (i % 3)
            ck_assert_int_eq(pids[i], pids[i - 1]);
        else
            ck_assert_int_ne(pids[i], pids[i - 1]);
    }
    return 0;
}

START_TEST(worker_is_replaced_after_its_jobs)
{
    run_pool((coir_process_pool_config){.workers = 1, .jobs_per_worker = 3},
             replace_worker);
}
END_TEST

static int from_before = 1;

static ssize_t tell_from_before(const void *arg, size_t size, void *result,
                                size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    return -from_before;
}

static int change_since(coir_process_pool *pool)
{
    from_before = 3;
    ck_assert_int_eq(
        coir_process_pool_run(pool, tell_from_before, NULL, 0, NULL, 0), -2);
    return 0;
}

START_TEST(worker_sees_memory_as_it_was_before_the_run)
{
    from_before = 2;
    run_on(1, change_since);
}
END_TEST

static void ignore_signal(int number)
{
    (void)number;
}

/* Bits of what is not as it should be. */
static ssize_t look_around(const void *arg, size_t size, void *result,
                           size_t capacity)
{
    char byte, name[17] = "";
    struct sigaction usr1, term;
    sigset_t mask;
    int wrong = 0;
    (void)size, (void)result, (void)capacity;
    wrong |= 1 * (read(0, &byte, 1) != 0);
    wrong |= 2 * (fcntl(*(const int *)arg, F_GETFD) >= 0);
    sigaction(SIGUSR1, NULL, &usr1);
    sigaction(SIGTERM, NULL, &term);
    wrong |= 4 * (usr1.sa_handler != SIG_DFL || term.sa_handler != SIG_DFL);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    wrong |= 8 * (sigismember(&mask, SIGUSR2) != 0);
    prctl(PR_GET_NAME, (unsigned long)name, 0UL, 0UL, 0UL);
    wrong |= 16 * (strcmp(name, "counting-primes") != 0);
    wrong |= 32 * (fcntl(1, F_GETFD) < 0 || fcntl(2, F_GETFD) < 0);
    wrong |= 64 * (gettid() != getpid() || raise(0) != 0);
    return -1000 - wrong;
}

static int look_from_worker(coir_process_pool *pool)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(
        coir_process_pool_run(pool, look_around, &fd, sizeof fd, NULL, 0),
        -1000);
    close(fd);
    return 0;
}

START_TEST(worker_starts_clean)
{
    struct sigaction handled = {.sa_handler = ignore_signal}, before;
    sigset_t usr2;
    sigaction(SIGUSR1, &handled, &before);
    handled.sa_handler = SIG_IGN;
    sigaction(SIGTERM, &handled, NULL);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigprocmask(SIG_BLOCK, &usr2, NULL);
    run_pool((coir_process_pool_config){.workers = 1,
                                        .name = "counting-primes-to-a-million"},
             look_from_worker);
}
END_TEST

static ssize_t print(const void *arg, size_t size, void *result,
                     size_t capacity)
{
    (void)size, (void)result, (void)capacity;
    printf("%s", (const char *)arg);
    return 0;
}

static int print_from_worker(coir_process_pool *pool)
{
    ck_assert_int_eq(coir_process_pool_run(pool, print, "worker", 7, NULL, 0),
                     0);
    return 0;
}

/* What the program has printed but not written comes out once: before the run,
 * or, if it has another thread, which TSan is, when it says so. */
static int print_both(void *arg)
{
    static char buffer[4096];
    (void)arg;
    dup2(STDERR_FILENO, STDOUT_FILENO);
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    printf("program ");
    run_on(1, print_from_worker);
    fflush(stdout);
    return 0;
}

START_TEST(worker_prints_where_the_program_does)
{
    const char *text =
        __libc_single_threaded ? "program worker" : "workerprogram ";
    test_survives(text, print_both, NULL);
}
END_TEST

enum { MiB = 1 << 20 };

static ssize_t take_memory(const void *arg, size_t size, void *result,
                           size_t capacity)
{
    size_t bytes;
    (void)size, (void)result, (void)capacity;
    memcpy(&bytes, arg, sizeof bytes);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    munmap(memory, bytes);
    return 0;
}

static int take_some_and_more(coir_process_pool *pool)
{
    const size_t some = 32 * MiB, more = 128 * MiB;
    ck_assert_int_eq(
        coir_process_pool_run(pool, take_memory, &some, sizeof some, NULL, 0),
        0);
    ck_assert_int_eq(
        coir_process_pool_run(pool, take_memory, &more, sizeof more, NULL, 0),
        -ENOMEM);
    return 0;
}

START_TEST(worker_keeps_to_its_memory_limit)
{
    run_pool((coir_process_pool_config){.workers = 1, .memory_limit = 64 * MiB},
             take_some_and_more);
}
END_TEST

static int return_7(void *arg)
{
    (void)arg;
    return 7;
}

/* No assertions here: libcheck's file is not open in a worker. */
static int call_and_run(void *arg)
{
    coir_process_pool *pool;
    (void)arg;
    if (coir_process_pool_new(&pool, NULL) < 0)
        return -ENOMEM;
    ssize_t n = coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0);
    coir_process_pool_free(pool);
    return n < 0 ? (int)n : coir_blocking(return_7, NULL);
}

/* A job may use a runtime, with all that is in it. */
static ssize_t run_in_job(const void *arg, size_t size, void *result,
                          size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    if (coir_blocking(return_7, NULL) != -EPERM)
        return -EIO;
    return -1000 - coir_run(call_and_run, NULL);
}

static int run_within(coir_process_pool *pool)
{
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            coir_process_pool_run(pool, run_in_job, NULL, 0, NULL, 0), -1007);
    return 0;
}

START_TEST(worker_can_have_a_runtime_of_its_own)
{
    run_on(1, run_within);
}
END_TEST

/* ---- init ---- */

static struct {
    char text[16];
    int calls;
    const char *arg;
} initialised;

static int initialise(void *arg)
{
    initialised.calls++;
    initialised.arg = arg;
    memcpy(initialised.text, arg, sizeof initialised.text);
    return 0;
}

/* The argument is the worker's to keep. */
static ssize_t tell_init(const void *arg, size_t size, void *result,
                         size_t capacity)
{
    (void)arg, (void)size, (void)capacity;
    memcpy(result, initialised.text, sizeof initialised.text);
    if (initialised.calls != 1)
        return -EIO;
    return strcmp(initialised.arg, initialised.text) == 0 ? 16 : -EINVAL;
}

static int ask_init(coir_process_pool *pool)
{
    char text[16] = "", junk[200] = "junk";
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(
            coir_process_pool_run(pool, tell_init, junk, 200, text, 16), 16);
        ck_assert_str_eq(text, "set up");
    }
    return 0;
}

START_TEST(init_runs_once_with_a_copy_of_its_argument)
{
    static char arg[200000] = "set up";
    run_pool((coir_process_pool_config){.workers = 1,
                                        .init = initialise,
                                        .init_arg = arg,
                                        .init_size = sizeof arg},
             ask_init);
}
END_TEST

static int refuse(void *arg)
{
    (void)arg;
    return -ENODEV;
}

static int ask_refused(coir_process_pool *pool)
{
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(
            coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0), -ENODEV);
    return 0;
}

START_TEST(init_that_fails_is_the_failure_of_the_job)
{
    run_pool((coir_process_pool_config){.workers = 1, .init = refuse},
             ask_refused);
}
END_TEST

static int exit_with_9(void *arg)
{
    (void)arg;
    _exit(9);
}

static int ask_dead(coir_process_pool *pool)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(
            coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0),
            -EOWNERDEAD);
        ck_assert_ptr_nonnull(strstr(coir_message(), "exited with 9"));
    }
    return 0;
}

START_TEST(init_that_dies_is_the_failure_of_the_job)
{
    run_pool((coir_process_pool_config){.workers = 1, .init = exit_with_9},
             ask_dead);
}
END_TEST

COIR_SUITE(worker_process, TEST_WORKERS)
{
    if (!has_process_pools())
        return;
    TCase *worker = test_case(suite, "worker");
    tcase_add_test(worker, worker_is_kept_for_the_next_job);
    tcase_add_test(worker, worker_is_replaced_after_its_jobs);
    tcase_add_test(worker, worker_sees_memory_as_it_was_before_the_run);
    tcase_add_test(worker, worker_starts_clean);
    tcase_add_test(worker, worker_keeps_to_its_memory_limit);
    tcase_add_test(worker, worker_can_have_a_runtime_of_its_own);
    tcase_add_test(worker, worker_prints_where_the_program_does);

    TCase *init = test_case(suite, "init");
    tcase_add_test(init, init_runs_once_with_a_copy_of_its_argument);
    tcase_add_test(init, init_that_fails_is_the_failure_of_the_job);
    tcase_add_test(init, init_that_dies_is_the_failure_of_the_job);
}
