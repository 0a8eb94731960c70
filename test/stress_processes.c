/* test/stress_processes.c -- random jobs with random deaths: each caller gets
 * its own result or its own failure, and nothing is lost or mixed up */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/processes.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/processes.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLERS = 24, JOBS = 30, WORKERS = 4, LARGEST = 200000 };

/* What a job is to do, and what its result begins with. */
enum deed { ECHO, FAIL, EXIT, CRASH, STALL, OVERFLOW, DEEDS };

struct order {
    uint64_t number; /* of this job alone */
    uint64_t size;   /* of the result */
    enum deed deed;
};

/* Shared with workers: how often each job was begun. */
static _Atomic(unsigned) *begun;

static unsigned char byte_of(uint64_t number, uint64_t at)
{
    return (unsigned char)(number * 31 + at * 7 + (at >> 8));
}

static ssize_t obey(const void *arg, size_t size, void *result, size_t capacity)
{
    const struct order *order = arg;
    unsigned char *bytes = result;
    if (size < sizeof *order)
        return -EBADMSG;
    atomic_fetch_add(&begun[order->number], 1);
    for (uint64_t i = 0; i < order->size && i < capacity; i++)
        bytes[i] = byte_of(order->number, i);
    switch (order->deed) {
    case FAIL:
        return -1000 - (ssize_t)(order->number % 1000);
    case EXIT:
        _exit((int)(order->number % 100));
    case CRASH:
        raise(SIGSEGV);
        return -EIO;
    case STALL:
        for (;;)
            pause();
    case OVERFLOW:
        return (ssize_t)capacity + 1;
    default:
        return (ssize_t)order->size;
    }
}

struct caller {
    coir_process_pool *pool;
    uint64_t id, random;
    unsigned char *bytes; /* LARGEST of them */
    unsigned wrong;
};

static bool is_echo(const struct caller *me, const struct order *order)
{
    for (uint64_t i = 0; i < order->size; i++) {
        if (me->bytes[i] != byte_of(order->number, i))
            return false;
    }
    return true;
}

static bool is_right(const struct caller *me, const struct order *order,
                     ssize_t n)
{
    char message[64];
    unsigned times = atomic_load(&begun[order->number]);
    if (times > 1)
        return false;
    if (n == -ECANCELED)
        return true;
    if (times != 1)
        return false;
    switch (order->deed) {
    case ECHO:
        return n == (ssize_t)order->size && is_echo(me, order);
    case FAIL:
        return n == -1000 - (ssize_t)(order->number % 1000);
    case EXIT:
        snprintf(message, sizeof message, "exited with %d",
                 (int)(order->number % 100));
        return n == -EOWNERDEAD && strstr(coir_message(), message);
    case CRASH:
        return n == -EOWNERDEAD && strstr(coir_message(), "killed by SIGSEGV");
    case OVERFLOW:
        return n == -EMSGSIZE;
    default:
        return false;
    }
}

static ssize_t give_order(struct caller *me, const struct order *order,
                          size_t arg_size)
{
    coir_scope scope;
    coir_time length = COIR_NEVER;
    if (order->deed == STALL || test_random_below(&me->random, 4) == 0)
        length = (coir_time)test_random_below(&me->random, 2000000);
    unsigned char *arg = calloc(1, arg_size);
    memcpy(arg, order, sizeof *order);
    coir_timeout_open(&scope, length);
    ssize_t n = coir_process_pool_run(me->pool, obey, arg, arg_size, me->bytes,
                                      order->size);
    int rc = coir_scope_close(&scope, n == -ECANCELED ? -ECANCELED : 0);
    free(arg);
    return rc == 0 || rc == -ETIMEDOUT ? n : -EBADMSG;
}

/* Mostly small, sometimes beyond what is mapped from the start. */
static size_t random_size(uint64_t *random)
{
    uint64_t most = test_random_below(random, 8) ? 4000 : LARGEST;
    return (size_t)test_random_below(random, most);
}

static int call_often(void *arg)
{
    struct caller *me = arg;
    for (uint64_t i = 0; i < JOBS; i++) {
        struct order order = {
            .number = me->id * JOBS + i,
            .size = random_size(&me->random),
            .deed = (enum deed)test_random_below(&me->random, DEEDS * 3)};
        if (order.deed >= DEEDS)
            order.deed = ECHO;
        size_t arg_size = sizeof order + random_size(&me->random);
        memset(me->bytes, 0xee, order.size);
        ssize_t n = give_order(me, &order, arg_size);
        me->wrong += !is_right(me, &order, n);
    }
    return 0;
}

static int call_together(void *arg)
{
    struct caller callers[CALLERS];
    coir_process_pool *pool;
    const coir_process_pool_config config = {.workers = WORKERS,
                                             .jobs_per_worker = 20};
    unsigned wrong = 0;
    ck_assert_int_eq(coir_process_pool_new(&pool, &config), 0);
    for (uint64_t i = 0; i < CALLERS; i++)
        callers[i] = (struct caller){.pool = pool,
                                     .id = i,
                                     .random = test_seed(*(uint64_t *)arg + i),
                                     .bytes = malloc(LARGEST)};
    ck_assert_int_eq(
        coir_each(call_often, callers, CALLERS, sizeof *callers, 0), 0);
    for (int i = 0; i < CALLERS; i++) {
        wrong += callers[i].wrong;
        free(callers[i].bytes);
    }
    coir_process_pool_free(pool);
    ck_assert_uint_eq(wrong, 0);
    return 0;
}

START_TEST(jobs_and_deaths_are_not_mixed_up)
{
    const struct rlimit no_core = {0, 0};
    struct stress_clock clock = stress_clock_start();
    uint64_t round = 0;
    setrlimit(RLIMIT_CORE, &no_core);
    begun = mmap(NULL, sizeof *begun * CALLERS * JOBS, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(begun, MAP_FAILED);
    do {
        memset((void *)begun, 0, sizeof *begun * CALLERS * JOBS);
        ck_assert_int_eq(coir_run(call_together, &round), 0);
        round += CALLERS;
    } while (stress_goes_on(&clock));
}
END_TEST

/* ---- The program is killed at any moment ---- */

static int bear_for_ever(coir_process_pool *pool)
{
    enum act act_of_all[WORKERS] = {RETURN};
    shared_pool = pool;
    for (;;)
        ck_assert_int_eq(
            coir_each(run_act_of, act_of_all, WORKERS, sizeof *act_of_all, 0),
            0);
}

static pid_t start_program(void)
{
    struct pooled pooled = {
        .config = {.workers = WORKERS, .jobs_per_worker = 1},
        .body = bear_for_ever};
    pid_t program = fork();
    ck_assert_int_ge(program, 0);
    if (program == 0)
        _exit(coir_run(with_pool, &pooled) < 0);
    return program;
}

/* Orphans become children of this process; it would wait for one that lives on
 * until the test times out. */
START_TEST(no_process_outlives_a_program_that_is_killed)
{
    struct stress_clock clock = stress_clock_start();
    uint64_t random = test_seed(2);
    make_notes();
    prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL);
    do {
        pid_t program = start_program();
        usleep((useconds_t)test_random_below(&random, 8000));
        kill(program, SIGKILL);
        while (waitpid(-1, NULL, __WALL) > 0) {
        }
    } while (stress_goes_on(&clock));
}
END_TEST

COIR_SUITE(stress_processes, TEST_WORKERS | TEST_STRESS)
{
    if (!has_process_pools())
        return;
    TCase *jobs = test_case(suite, "jobs");
    tcase_add_test(jobs, jobs_and_deaths_are_not_mixed_up);
    tcase_add_test(jobs, no_process_outlives_a_program_that_is_killed);
}
