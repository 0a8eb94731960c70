/* test/test_thread_pool.c -- how the threads of a pool come and go */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/threads.h>
#include <coir/time.h>

#include "pools/thread_pool.h"
#include "test/harness.h"
#include "test/refuse.h"

#include <dirent.h>
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
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

static bool is_idle_thread(const char *tid)
{
    char path[300], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", tid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false; /* it has ended meanwhile */
    char *line = fgets(name, sizeof name, file);
    fclose(file);
    return line && strncmp(name, "idle-", 5) == 0;
}

/* Of the pool alone: the runtime has threads of its own that come and go. */
static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.' && is_idle_thread(e->d_name);
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
    (void)arg;
    const coir_thread_pool_config config = {
        .max_threads = 8, .idle = COIR_MS(1), .name = "idle"};
    ck_assert_int_eq(coir_i_thread_pool_start(&pool, &config), 0);
    for (int round = 0; round < 3; round++) {
        int rc = coir_each(call_on_pool, numbers, 8, sizeof *numbers, 0);
        ck_assert_int_eq(rc, 0);
        while (count_threads() > 0)
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

enum { CALLERS = 50 };

static void refuse_threads(void)
{
    refuse_call(SYS_clone3, 0, EAGAIN);
    refuse_call(SYS_clone, CLONE_VM, EAGAIN);
}

static int call_without_threads(void *arg)
{
    int number = 7;
    (void)arg;
    refuse_threads();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_blocking(return_number, &number), -EAGAIN);
    int numbers[CALLERS] = {0};
    return coir_each(call_for_number, numbers, CALLERS, sizeof *numbers, 0);
}

START_TEST(pool_that_cannot_have_a_thread_says_so)
{
    ck_assert_int_eq(run_workers(1, call_without_threads, NULL), -EAGAIN);
}
END_TEST

static int call_with_one_thread(void *arg)
{
    int number = 7, numbers[CALLERS] = {0};
    (void)arg;
    ck_assert_int_eq(coir_blocking(return_number, &number), 7);
    refuse_threads();
    return coir_each(call_for_number, numbers, CALLERS, sizeof *numbers, 0);
}

START_TEST(pool_that_can_have_no_more_threads_makes_do)
{
    ck_assert_int_eq(run_workers(1, call_with_one_thread, NULL), 0);
}
END_TEST

COIR_SUITE(thread_pool, TEST_WORKERS)
{
    TCase *threads = test_case(suite, "threads");
    tcase_add_test(threads, pool_ends_threads_that_are_idle);
    tcase_add_test(threads, pool_that_cannot_have_a_thread_says_so);
    tcase_add_test(threads, pool_that_can_have_no_more_threads_makes_do);
}
