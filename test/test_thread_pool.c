/* test/test_thread_pool.c -- how the threads of a pool come and go */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/threads.h>
#include <coir/time.h>

#include "pools/thread_pool.h"
#include "test/harness.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static pthread_barrier_t all_there;

static int meet(void *arg)
{
    pthread_barrier_wait(&all_there);
    return *(const int *)arg;
}

static int return_number(void *arg)
{
    usleep(100);
    return *(const int *)arg;
}

static int call_for_number(void *arg)
{
    return coir_blocking(return_number, arg);
}

static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static coir_i_thread_pool pool;

static int call_on_pool(void *arg)
{
    return coir_i_thread_pool_run(&pool, meet, arg);
}

/* Whether the last has ended is seen only by looking again. */
static int outlive_threads(void *arg)
{
    int numbers[8] = {0};
    unsigned before = count_threads();
    (void)arg;
    coir_i_thread_pool_start(&pool, 8, COIR_MS(1), "idle");
    for (int round = 0; round < 3; round++) {
        int rc = coir_each(call_on_pool, numbers, 8, sizeof *numbers, 0);
        ck_assert_int_eq(rc, 0);
        while (count_threads() > before)
            ck_assert_int_eq(coir_sleep(COIR_MS(1)), 0);
    }
    coir_i_thread_pool_stop(&pool);
    return 0;
}

START_TEST(pool_ends_threads_that_are_idle)
{
    pthread_barrier_init(&all_there, NULL, 8);
    ck_assert_int_eq(coir_run(outlive_threads, NULL), 0);
    pthread_barrier_destroy(&all_there);
}
END_TEST

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define HAS_SANITIZER 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define HAS_SANITIZER 1
#    endif
#endif

#ifndef HAS_SANITIZER

static rlim_t address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

enum { CALLERS = 50 };

static int sleep_a_moment(void *arg)
{
    (void)arg;
    return coir_sleep(COIR_MS(1));
}

static int call_without_memory(void *arg)
{
    (void)arg;
    int number = 7, numbers[CALLERS] = {0};
    /* There are stacks for all of them. */
    ck_assert_int_eq(
        coir_each(sleep_a_moment, numbers, CALLERS, sizeof *numbers, 0), 0);
    struct rlimit before, limit;
    getrlimit(RLIMIT_AS, &before);
    limit = before;
    limit.rlim_cur = address_space() + (1 << 20);
    setrlimit(RLIMIT_AS, &limit);
    int rc = coir_blocking(return_number, &number);
    setrlimit(RLIMIT_AS, &before);
    ck_assert_int_eq(rc, -EAGAIN);
    ck_assert_int_eq(coir_blocking(return_number, &number), 7);

    /* With one thread there, calls wait for it. */
    setrlimit(RLIMIT_AS, &limit);
    rc = coir_each(call_for_number, numbers, CALLERS, sizeof *numbers, 0);
    setrlimit(RLIMIT_AS, &before);
    ck_assert_int_eq(rc, 0);
    return 0;
}

START_TEST(blocking_without_a_thread_says_so)
{
    ck_assert_int_eq(coir_run(call_without_memory, NULL), 0);
}
END_TEST

#endif

COIR_SUITE(thread_pool, TEST_WORKERS)
{
    TCase *threads = test_case(suite, "threads");
    tcase_add_test(threads, pool_ends_threads_that_are_idle);
#ifndef HAS_SANITIZER
    tcase_add_test(threads, blocking_without_a_thread_says_so);
#endif
}
