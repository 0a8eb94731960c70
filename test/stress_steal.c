/* test/stress_steal.c -- stealing conserves fibers
 *
 * Trees of nurseries of random shape, whose fibers yield, sleep, pin and join
 * at random. Each child runs once and leaves a number of its own; the sums must
 * be those of the plan, and a pinned fiber must find itself where it was. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"

#include <errno.h>
#include <unistd.h>

enum { CHILDREN_MAX = 40, DEPTH_MAX = 6 };

static _Atomic uint64_t runs, sum, expected_runs, expected_sum;
static _Atomic int strays, failures, budget;

struct node {
    uint64_t state; /* of its generator */
    int depth;
};

/* Give way in a random way, or not at all. */
static int give_way(uint64_t *state)
{
    switch (test_random_below(state, 12)) {
    case 0:
    case 1:
        return coir_yield();
    case 2:
        return coir_sleep((coir_time)test_random_below(state, 30000));
    case 3:
        return coir_checkpoint();
    default:
        return 0;
    }
}

static int stay_pinned(uint64_t *state)
{
    coir_pin();
    pid_t thread = gettid();
    int rc = 0;
    for (uint64_t i = test_random_below(state, 4); i > 0 && rc == 0; i--) {
        rc = give_way(state);
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
    return coir_spawn_with(nursery, task, &options, live, &child);
}

static int start_children(struct node *node)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    uint64_t count = test_random_below(&node->state, CHILDREN_MAX);
    int rc = 0;
    for (uint64_t i = 0; i < count && budget-- > 0 && rc == 0; i++) {
        coir_task task;
        bool join = test_random_below(&node->state, 8) == 0;
        rc = start_child(&nursery, node, join ? &task : NULL);
        if (rc == 0 && join)
            rc = coir_join(&task, NULL);
        if (rc == 0)
            rc = give_way(&node->state);
    }
    return coir_nursery_close_with(&nursery, rc);
}

static int live(void *arg)
{
    struct node *node = arg;
    runs++;
    sum += node->state >> 8;
    uint64_t id = coir_id();
    int rc = give_way(&node->state);
    if (rc == 0 && test_random_below(&node->state, 8) == 0)
        rc = stay_pinned(&node->state);
    if (rc == 0 && node->depth > 0)
        rc = start_children(node);
    failures += rc < 0 || coir_id() != id;
    return rc;
}

static int grow_tree(void *arg)
{
    return start_children(arg);
}

START_TEST(each_child_runs_exactly_once)
{
    struct stress_clock clock = stress_clock_start();
    for (uint64_t round = 0; stress_goes_on(&clock); round++) {
        struct node root = {test_seed(round), DEPTH_MAX};
        budget = (int)test_scaled(20000);
        runs = sum = expected_runs = expected_sum = 0;
        strays = failures = 0;
        int rc = coir_run(grow_tree, &root);
        ck_assert_int_eq(rc, 0);
        ck_assert_uint_eq(runs, expected_runs);
        ck_assert_uint_eq(sum, expected_sum);
        ck_assert_int_eq(failures, 0);
        ck_assert_int_eq(strays, 0);
    }
}
END_TEST

/* ---- One fiber starts them all, thieves take whole chunks ---- */

enum { FLAT = 50000 };

static _Atomic unsigned char flat_seen[FLAT];

static int mark(void *arg)
{
    unsigned number = *(const unsigned *)arg;
    flat_seen[number]++;
    return number % 97 == 0 ? coir_yield() : 0;
}

static int start_flat(void *arg)
{
    unsigned count = *(const unsigned *)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (unsigned i = 0; i < count && rc == 0; i++) {
        rc = coir_go_copy(&nursery, mark, &i, sizeof i);
        if (rc == 0 && i % 1000 == 0)
            rc = coir_yield();
    }
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(each_of_many_siblings_runs_exactly_once)
{
    struct stress_clock clock = stress_clock_start();
    unsigned count = (unsigned)test_scaled(FLAT);
    while (stress_goes_on(&clock)) {
        for (unsigned i = 0; i < count; i++)
            flat_seen[i] = 0;
        ck_assert_int_eq(coir_run(start_flat, &count), 0);
        unsigned wrong = 0;
        for (unsigned i = 0; i < count; i++)
            wrong += flat_seen[i] != 1;
        ck_assert_uint_eq(wrong, 0);
    }
}
END_TEST

COIR_SUITE(steal, TEST_STRESS | TEST_WORKERS)
{
    TCase *shapes = test_case(suite, "shapes");
    tcase_add_test(shapes, each_child_runs_exactly_once);
    tcase_add_test(shapes, each_of_many_siblings_runs_exactly_once);
}
