/* test/test_fibers.c -- fibers with nothing to do, sched/fibers.c */
#include <coir.h>

#include "test/harness.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MANY = 200, DEEP = 100000, ENOUGH = MANY / 4 * (DEEP >> 10) };

/* KiB that the kernel may take back from this process. */
static long given_back(void)
{
    char line[256];
    long sum = 0, here;
    FILE *file = fopen("/proc/self/smaps", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "LazyFree: %ld", &here) == 1)
            sum += here;
    if (file)
        fclose(file);
    return sum;
}

static int begun;

static int use_stack(void *arg)
{
    char deep[DEEP];
    (void)arg;
    memset(deep, 1, sizeof deep);
    __asm__ volatile("" ::"r"(deep) : "memory");
    begun++;
    return coir_sleep(COIR_NEVER);
}

/* All at a time, so that each needs a stack of its own. */
static int use_stacks(void)
{
    coir_nursery nursery;
    int rc = 0;
    begun = 0;
    coir_nursery_open(&nursery);
    for (int i = 0; i < MANY && rc == 0; i++)
        rc = coir_go(&nursery, use_stack, NULL);
    while (rc == 0 && begun < MANY)
        rc = coir_yield();
    coir_nursery_cancel(&nursery);
    return coir_nursery_close_with(&nursery, rc);
}

static int lie_idle(void *arg)
{
    int rc = use_stacks();
    for (int i = 0; i < 100 && rc == 0 && given_back() <= ENOUGH; i++)
        rc = coir_sleep(COIR_MS(100));
    *(long *)arg = given_back();
    return rc < 0 ? rc : use_stacks(); /* they are as good as before */
}

START_TEST(fibers_give_back_what_lay_idle)
{
    long kib = 0;
    ck_assert_int_eq(run_workers(1, lie_idle, &kib), 0);
    ck_assert_int_gt(kib, ENOUGH);
}
END_TEST

/* ---- Without memory ---- */

static int park(void *arg)
{
    (void)arg;
    return coir_sleep(COIR_MS(50));
}

/* Start children that wait until one is refused, twice: the second time there
 * is as much memory as the first. */
static int start_until_refused(void *arg)
{
    long *started = arg;
    coir_nursery nursery;
    int rc = 0;
    coir_nursery_open(&nursery);
    for (; rc == 0; *started += rc == 0) {
        rc = coir_go(&nursery, park, NULL);
        if (rc == 0 && *started % 64 == 0)
            rc = coir_yield();
    }
    int closed = coir_nursery_close(&nursery);
    return closed < 0 ? closed : rc;
}

static int refuse_twice(void *arg)
{
    long *started = arg;
    int rc = start_until_refused(&started[0]);
    return rc == -ENOMEM ? start_until_refused(&started[1]) : rc;
}

START_TEST(fibers_are_refused_without_memory_and_had_again_with_it)
{
    long started[2] = {0, 0};
    struct rlimit limit = {512UL << 20, 512UL << 20};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    ck_assert_int_eq(run_workers(1, refuse_twice, started), -ENOMEM);
    ck_assert_int_gt(started[0], 100);
    ck_assert_int_gt(started[1], 100);
}
END_TEST

static int return_3(void *arg)
{
    (void)arg;
    return 3;
}

static _Atomic bool is_refused;

static void *give_memory(void *arg)
{
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    while (!is_refused)
        usleep(1000);
    usleep(50000); /* most likely all sleep by then */
    return setrlimit(RLIMIT_AS, &none) == 0 ? NULL : arg;
}

/* The child is accepted; that there is no stack for it comes out when its
 * opener waits. */
static int join_without_memory(void *arg)
{
    struct rlimit little = {1 << 20, RLIM_INFINITY};
    coir_nursery nursery;
    coir_task task;
    int result = 0;
    coir_nursery_open(&nursery);
    if (pthread_create(arg, NULL, give_memory, &is_refused) != 0)
        return -EAGAIN;
    setrlimit(RLIMIT_AS, &little);
    is_refused = true;
    int rc = coir_spawn(&nursery, &task, return_3, NULL);
    rc = rc < 0 ? rc : coir_join(&task, &result);
    int closed = coir_nursery_close_with(&nursery, rc);
    return closed < 0 ? closed : result;
}

START_TEST(fibers_begin_when_there_is_memory_again)
{
    /* So large that the next one is in no slab yet. */
    coir_config config = {.workers = 1, .stack_size = 1 << 30};
    pthread_t giver;
    void *failed;
    ck_assert_int_eq(coir_run_with(&config, join_without_memory, &giver), 3);
    pthread_join(giver, &failed);
    ck_assert_ptr_null(failed);
}
END_TEST

COIR_SUITE(fibers, TEST_ONCE)
{
    if (test_scaled(1000) < 1000) /* a sanitizer's memory is not ours */
        return;
    TCase *idle = test_case(suite, "idle");
    tcase_add_test(idle, fibers_give_back_what_lay_idle);

    TCase *memory = test_case(suite, "no memory");
    tcase_add_test(memory,
                   fibers_are_refused_without_memory_and_had_again_with_it);
    tcase_add_test(memory, fibers_begin_when_there_is_memory_again);
}
