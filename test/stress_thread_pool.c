/* test/stress_thread_pool.c -- random calls on pools that come and go: every
 * item is made once, or not at all where its caller was told so */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/threads.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

enum { CALLERS = 12, CALLS = 25, ITEMS = 20 };

/* One item of a call: what it is to do, and how often it was done. */
struct item {
    unsigned long pause; /* ns */
    int result;
    int done;
    bool interrupted; /* the pause was */
};

struct caller {
    coir_thread_pool *pool;
    uint64_t random;
};

static int make_item(void *arg)
{
    struct item *item = arg;
    const struct timespec pause = {0, (long)item->pause};
    item->done++;
    item->interrupted = pause.tv_nsec && nanosleep(&pause, NULL) < 0;
    return item->interrupted ? -EINTR : item->result;
}

static void run_one(struct caller *me, struct item *item)
{
    int rc = coir_thread_pool_run(me->pool, make_item, item);
    must_not(rc == -ECANCELED && item->done && !item->interrupted);
    must_not(rc != -ECANCELED && (item->done != 1 || item->interrupted));
    must_not(rc != -ECANCELED && rc != item->result);
}

static void run_each(struct caller *me, struct item *items, size_t count)
{
    int rc =
        coir_thread_pool_each(me->pool, make_item, items, count, sizeof *items);
    int failed = 0, done = 0;
    bool interrupted = false;
    for (size_t i = 0; i < count; i++) {
        must_not(items[i].done > 1);
        must_not(i > 0 && items[i].done > items[i - 1].done); /* in order */
        done += items[i].done;
        interrupted |= items[i].interrupted;
        failed += items[i].done && items[i].result == rc;
    }
    must_not(rc == 0 && done != (int)count);
    must_not(rc == -ECANCELED && done == (int)count && !interrupted);
    must_not(rc < 0 && rc != -ECANCELED && !failed);
}

static void call_once(struct caller *me)
{
    struct item items[ITEMS] = {{0}};
    for (int i = 0; i < ITEMS; i++) {
        if (test_random_below(&me->random, 4) == 0)
            items[i].pause = test_random_below(&me->random, 100000);
        if (test_random_below(&me->random, 30) == 0)
            items[i].result = -1000 - (int)test_random_below(&me->random, 50);
    }
    coir_scope scope;
    coir_time length = COIR_NEVER;
    if (test_random_below(&me->random, 2))
        length = (coir_time)test_random_below(&me->random, 200000);
    coir_timeout_open(&scope, length);
    if (test_random_below(&me->random, 2))
        run_one(me, items);
    else
        run_each(me, items, 1 + test_random_below(&me->random, ITEMS));
    COIR_IGNORE(coir_scope_close(&scope, 0));
}

static int call_often(void *arg)
{
    for (int i = 0; i < CALLS; i++)
        call_once(arg);
    return 0;
}

static int call_together(void *arg)
{
    struct caller callers[CALLERS];
    uint64_t random = test_seed(*(uint64_t *)arg);
    const coir_thread_pool_config config = {
        .max_threads = 1 + (unsigned)test_random_below(&random, 6),
        .idle = 1 + (coir_time)test_random_below(&random, 300000),
        .interrupt = test_random_below(&random, 2)};
    coir_thread_pool *pool;
    int rc = coir_thread_pool_new(&pool, &config);
    if (rc < 0)
        return rc;
    for (uint64_t i = 0; i < CALLERS; i++)
        callers[i] = (struct caller){pool, test_random(&random)};
    rc = coir_each(call_often, callers, CALLERS, sizeof *callers, 0);
    coir_thread_pool_free(pool);
    return rc;
}

START_TEST(items_are_made_once_or_not_at_all)
{
    struct stress_clock clock = stress_clock_start();
    uint64_t round = 0;
    do {
        ck_assert_int_eq(coir_run(call_together, &round), 0);
        round++;
    } while (stress_goes_on(&clock));
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(stress_thread_pool, TEST_WORKERS | TEST_STRESS)
{
    TCase *calls = test_case(suite, "calls");
    tcase_add_test(calls, items_are_made_once_or_not_at_all);
}
