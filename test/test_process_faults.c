/* test/test_process_faults.c -- process pools where the kernel refuses
 *
 * One system call fails in the runtime, its zygote and its workers, from before
 * the run to the end of the test. What is left behind is for the harness to
 * find. */
#include <coir/processes.h>
#include <coir/run.h>
#include <coir/threads.h>

#include "test/processes.h"
#include "test/refuse.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <sys/resource.h>

static const struct fault {
    long call;
    unsigned flag; /* only where its first argument has this bit */
    int error;     /* what the call returns */
    int result;    /* what the job comes to then */
    size_t size;   /* of its argument */
} faults[] = {
    {SYS_clone, 0, EAGAIN, -EAGAIN, 0},            /* no zygote */
    {SYS_clone, CLONE_PARENT, EAGAIN, -EAGAIN, 0}, /* no worker */
    {SYS_pidfd_open, 0, EMFILE, -EMFILE, 0},
    {SYS_socketpair, 0, ENFILE, -ENFILE, 0},
    {SYS_sendmsg, 0, ENOBUFS, -ENOBUFS, 0},
    {SYS_memfd_create, 0, ENOMEM, -ENOMEM, 0},
    {SYS_fallocate, 0, ENOSPC, -ENOMEM, 0},
    {SYS_eventfd2, 0, EMFILE, -EMFILE, 0},
    {SYS_epoll_create1, 0, EMFILE, -EMFILE, 0},
    {SYS_ftruncate, 0, EFBIG, -ENOMEM, 200000},
    {SYS_pwrite64, 0, ENOSPC, -ENOMEM, 200000},
    {SYS_mremap, 0, ENOMEM, -ENOMEM, 200000},
};
enum { FAULTS = sizeof faults / sizeof *faults };

static ssize_t do_nothing(const void *arg, size_t size, void *result,
                          size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    return 0;
}

static int return_7(void *arg)
{
    (void)arg;
    return 7;
}

static const struct fault *fault;

/* Twice: the first failure has not made it worse. */
static int fail_twice(coir_process_pool *pool)
{
    char *arg = calloc(1, fault->size + 1);
    if (fault->size) /* what fails is to grow */
        ck_assert_int_eq(
            coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            coir_process_pool_run(pool, do_nothing, arg, fault->size, NULL, 0),
            fault->result);
    if (fault->size)
        ck_assert_int_eq(
            coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0), 0);
    ck_assert_int_eq(coir_blocking(return_7, NULL), 7);
    free(arg);
    return 0;
}

START_TEST(fault_is_the_result_of_the_job)
{
    fault = &faults[_i];
    refuse_call(fault->call, fault->flag, fault->error);
    run_on(1, fail_twice);
}
END_TEST

/* ---- RLIMIT_FSIZE ---- */

static void limit_files(rlim_t most)
{
    struct rlimit now;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &now), 0);
    now.rlim_cur = most;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &now), 0);
}

static ssize_t run_sized(coir_process_pool *pool, size_t size)
{
    char *arg = calloc(1, size);
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit_files(100000);
    ssize_t n = coir_process_pool_run(pool, do_nothing, arg, size, NULL, 0);
    limit_files(before.rlim_cur); /* check writes files, too */
    free(arg);
    return n;
}

static int exceed_limit(coir_process_pool *pool)
{
    ck_assert_int_eq(run_sized(pool, 200000), -ENOMEM);
    ck_assert_int_eq(run_sized(pool, 1), 0);
    ck_assert_int_eq(run_sized(pool, 200000), -ENOMEM);
    /* The file is as large already, and is not to be written to. */
    char *arg = calloc(1, 200000);
    ck_assert_int_eq(
        coir_process_pool_run(pool, do_nothing, arg, 200000, NULL, 0), 0);
    free(arg);
    ck_assert_int_eq(run_sized(pool, 200000), -ENOMEM);
    ck_assert_int_eq(run_sized(pool, 1), 0);
    return 0;
}

START_TEST(limit_on_files_is_the_result_of_the_job)
{
    run_on(1, exceed_limit);
}
END_TEST

static int take_in(void *arg)
{
    return *(char *)arg;
}

static int exceed_by_init(coir_process_pool *pool)
{
    ck_assert_int_eq(run_sized(pool, 1), -ENOMEM);
    ck_assert_int_eq(coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0),
                     0);
    return 0;
}

START_TEST(limit_on_files_is_the_result_of_a_large_init)
{
    static const char arg[200000];
    const coir_process_pool_config config = {.workers = 1,
                                             .init = take_in,
                                             .init_arg = arg,
                                             .init_size = sizeof arg};
    run_pool(config, exceed_by_init);
}
END_TEST

COIR_SUITE(process_faults, TEST_WORKERS)
{
    if (!has_process_pools())
        return;
    TCase *faulty = test_case(suite, "faults");
    tcase_add_loop_test(faulty, fault_is_the_result_of_the_job, 0, FAULTS);

    TCase *limit = test_case(suite, "limit");
    tcase_add_test(limit, limit_on_files_is_the_result_of_the_job);
    tcase_add_test(limit, limit_on_files_is_the_result_of_a_large_init);
}
