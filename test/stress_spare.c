/* test/stress_spare.c -- whatever blocks or computes, nothing is lost
 *
 * Trees of nurseries of random shape, whose fibers block in system calls and
 * compute, for longer than the monitor waits, and yield, sleep, pin, join and
 * cancel in between. Each child runs once and leaves a number of its own; a
 * pinned fiber stays on its thread; and when all is over, as many workers are
 * active as there were. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/task.h>
#include <coir/time.h>

#include "sched/spare.h"
#include "test/harness.h"

#include <errno.h>
#include <unistd.h>

enum { CHILDREN_MAX = 20, DEPTH_MAX = 4, CHILDREN = 600, STUCK_US = 25000 };

static _Atomic uint64_t runs, sum, expected_runs, expected_sum;
static _Atomic int strays, failures, budget;

struct node {
    uint64_t state; /* of its generator */
    int depth;
};

static void compute(uint64_t us)
{
    coir_time end = coir_now() + COIR_US((coir_time)us);
    while (coir_now() < end)
        ;
}

/* Get stuck, give way in a random way, or do nothing. */
static int do_something(uint64_t *state)
{
    switch (test_random_below(state, 60)) {
    case 0:
        usleep((useconds_t)test_random_below(state, STUCK_US));
        return 0;
    case 1:
        compute(test_random_below(state, STUCK_US));
        return 0;
    case 2:
    case 3:
    case 4:
        return coir_sleep((coir_time)test_random_below(state, 3000000));
    case 5:
    case 6:
    case 7:
        return coir_checkpoint();
    default:
        return test_random_below(state, 2) ? coir_yield() : 0;
    }
}

static int do_some(uint64_t *state)
{
    int rc = 0;
    for (uint64_t i = test_random_below(state, 6); i > 0 && rc == 0; i--)
        rc = do_something(state);
    return rc;
}

static int stay_pinned(uint64_t *state)
{
    coir_pin();
    pid_t thread = gettid();
    int rc = 0;
    for (uint64_t i = test_random_below(state, 4); i > 0 && rc == 0; i--) {
        rc = do_something(state);
        strays += gettid() != thread;
    }
    coir_unpin();
    return rc;
}

static int live(void *arg);

/* One more child in the nursery, announced before it can run. */
static int start_child(coir_nursery *nursery, struct node *parent,
                       coir_task *task)
{
    struct node child = {test_random(&parent->state), parent->depth - 1};
    const coir_spawn_options options = {.copy = sizeof child};
    expected_runs++;
    expected_sum += child.state >> 8;
    int rc = coir_spawn_with(nursery, task, &options, live, &child);
    if (rc < 0) { /* we are cancelled */
        expected_runs--;
        expected_sum -= child.state >> 8;
    }
    return rc;
}

static int end_task(struct node *node, coir_task *task)
{
    if (test_random_below(&node->state, 2))
        coir_task_cancel(task);
    int result, rc = coir_join(task, &result);
    failures += rc == 0 && result < 0 && result != -ECANCELED;
    return rc;
}

static int start_children(struct node *node)
{
    coir_nursery nursery;
    coir_task task; /* a join that was cancelled leaves it to run on */
    coir_nursery_open(&nursery);
    uint64_t count = test_random_below(&node->state, CHILDREN_MAX);
    int rc = 0;
    for (uint64_t i = 0; i < count && budget-- > 0 && rc == 0; i++) {
        bool join = test_random_below(&node->state, 6) == 0;
        rc = start_child(&nursery, node, join ? &task : NULL);
        if (rc == 0 && join)
            rc = end_task(node, &task);
        if (rc == 0)
            rc = do_something(&node->state);
    }
    return coir_nursery_close_with(&nursery, rc);
}

static int live(void *arg)
{
    struct node *node = arg;
    runs++;
    sum += node->state >> 8;
    uint64_t id = coir_id();
    int rc = do_some(&node->state);
    if (rc == 0 && test_random_below(&node->state, 8) == 0)
        rc = stay_pinned(&node->state);
    if (rc == 0 && node->depth > 0)
        rc = start_children(node);
    failures += (rc < 0 && rc != -ECANCELED) || coir_id() != id;
    return rc;
}

static int grow_tree(void *arg)
{
    int rc = start_children(arg);
    while (coir_i_idle_active(coir_i_idle_state) > test_workers() && rc == 0)
        rc = coir_sleep(COIR_MS(1));
    return rc;
}

START_TEST(nothing_is_lost_beside_fibers_that_are_stuck)
{
    struct stress_clock clock = stress_clock_start();
    for (uint64_t round = 0; stress_goes_on(&clock); round++) {
        struct node root = {test_seed(round), DEPTH_MAX};
        budget = CHILDREN;
        runs = sum = expected_runs = expected_sum = 0;
        strays = failures = 0;
        ck_assert_int_eq(coir_run(grow_tree, &root), 0);
        ck_assert_uint_eq(runs, expected_runs);
        ck_assert_uint_eq(sum, expected_sum);
        ck_assert_int_eq(failures, 0);
        ck_assert_int_eq(strays, 0);
    }
}
END_TEST

COIR_SUITE(spare, TEST_WORKERS | TEST_STRESS)
{
    TCase *trees = test_case(suite, "random trees");
    tcase_add_test(trees, nothing_is_lost_beside_fibers_that_are_stuck);
}
