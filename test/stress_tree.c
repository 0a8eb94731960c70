/* test/stress_tree.c -- failures climb through trees of random shape
 *
 * Every fiber that fails does so with a code of its own and says so in its
 * message. A nursery gives back the first failure that it collected, with its
 * message; one that keeps going has all of them, each once, and its children
 * were not cancelled by any. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CHILDREN_MAX = 8, DEPTH = 5, KEPT = CHILDREN_MAX + 1 };

static _Atomic int next_code, budget;
static _Atomic uint64_t ran, accepted;
static _Atomic uint64_t failures_seen, cancelled_seen;

struct node {
    uint64_t state;
    int depth;
    bool may_be_cancelled; /* a nursery around it does not keep going */
    bool may_fail;
    _Atomic int *failed; /* how many of its siblings have, and it itself */
};

/* What one nursery is, seen by its opener. */
struct group {
    coir_nursery nursery;
    bool keeps_going;
    coir_failure kept[KEPT];
    _Atomic int failed;
    int started;
};

static int fail_somehow(void)
{
    int code = -(1000 + next_code++);
    return coir_fail(code, "failed with %d", code);
}

static bool says_its_code(int code, const char *message)
{
    char expected[COIR_MESSAGE_MAX];
    snprintf(expected, sizeof expected, "failed with %d", code);
    return strcmp(message, expected) == 0;
}

static int live(void *arg);

static void start_children(struct node *node, struct group *group)
{
    uint64_t count = test_random_below(&node->state, CHILDREN_MAX + 1);
    for (uint64_t i = 0; i < count && budget-- > 0; i++) {
        struct node child = {
            .state = test_random(&node->state),
            .depth = node->depth - 1,
            .may_be_cancelled = node->may_be_cancelled || !group->keeps_going,
            .may_fail = node->may_fail,
            .failed = &group->failed,
        };
        int rc = coir_go_copy(&group->nursery, live, &child, sizeof child);
        must_not(rc != 0 && rc != -ECANCELED);
        must_not(rc != 0 && !child.may_be_cancelled);
        group->started += rc == 0;
        accepted += rc == 0;
        if (test_random_below(&node->state, 8) == 0)
            COIR_IGNORE(coir_yield());
    }
}

/* rc of its close, against what its children did. */
static void check_group(const struct group *group, int rc)
{
    size_t failed = coir_nursery_failed(&group->nursery);
    must_not(failed != (size_t)group->failed);
    must_not(failed > (size_t)group->started);
    failures_seen += failed;
    for (size_t i = 0; i < failed; i++) {
        const coir_failure *one = &group->kept[i];
        must_not(!says_its_code(one->code, one->message));
        must_not(one->id == 0);
        for (size_t k = 0; k < i; k++)
            must_not(group->kept[k].code == one->code);
    }
    if (failed > 0) {
        must_not(rc != group->kept[0].code);
        must_not(!says_its_code(rc, coir_message()));
    } else {
        must_not(rc != 0 && rc != -ECANCELED);
        cancelled_seen += rc == -ECANCELED;
    }
}

static int open_group(struct node *node)
{
    struct group group = {.started = 0};
    group.keeps_going = test_random_below(&node->state, 2);
    coir_nursery_open(&group.nursery);
    if (group.keeps_going)
        coir_nursery_keep_going(&group.nursery);
    coir_nursery_collect(&group.nursery, group.kept, KEPT);
    start_children(node, &group);
    int rc = coir_nursery_close(&group.nursery);
    check_group(&group, rc);
    must_not(rc == -ECANCELED && !node->may_be_cancelled);
    return rc;
}

static int linger(uint64_t *state)
{
    switch (test_random_below(state, 6)) {
    case 0:
        return coir_sleep((coir_time)test_random_below(state, 20000));
    case 1:
    case 2:
        return coir_yield();
    default:
        return 0;
    }
}

/* What it comes to is what it says of itself in *failed. */
static int live(void *arg)
{
    struct node *node = arg;
    ran++;
    int rc = linger(&node->state);
    if (node->depth > 0 && test_random_below(&node->state, 4) > 0) {
        int below = open_group(node);
        rc = below < 0 ? below : rc;
    }
    must_not(rc == -ECANCELED && !node->may_be_cancelled);
    /* Now and then although it was cancelled: that is a failure too. */
    if (node->may_fail && (rc == 0 || rc == -ECANCELED) &&
        test_random_below(&node->state, 24) == 0)
        rc = fail_somehow();
    *node->failed += rc < 0 && rc != -ECANCELED;
    return rc;
}

static int grow(void *arg)
{
    int rc = open_group(arg);
    must_not(coir_yield() != 0); /* all is well again outside */
    return rc;
}

static void grow_trees(bool may_fail)
{
    struct stress_clock clock = stress_clock_start();
    failures_seen = cancelled_seen = 0;
    for (uint64_t i = 0; stress_goes_on(&clock) && happened.count == 0; i++) {
        struct node root = {
            .state = test_seed(i), .depth = DEPTH, .may_fail = may_fail};
        next_code = 0;
        ran = accepted = 0;
        budget = (int)test_scaled(3000);
        int rc = coir_run(grow, &root);
        must_not(may_fail ? rc > 0 : rc != 0);
        must_not(ran != accepted);
    }
    assert_nothing_happened();
}

START_TEST(trees_give_the_first_failure_of_each_nursery)
{
    grow_trees(true);
    ck_assert_uint_gt(failures_seen, 0);
    ck_assert_uint_gt(cancelled_seen, 0);
}
END_TEST

START_TEST(trees_in_which_nothing_fails_succeed)
{
    grow_trees(false);
    ck_assert_uint_eq(failures_seen, 0);
    ck_assert_uint_eq(cancelled_seen, 0);
}
END_TEST

COIR_SUITE(tree, TEST_STRESS | TEST_WORKERS | TEST_SEEDED)
{
    TCase *trees = test_case(suite, "trees");
    tcase_add_test(trees, trees_give_the_first_failure_of_each_nursery);
    tcase_add_test(trees, trees_in_which_nothing_fails_succeed);
}
