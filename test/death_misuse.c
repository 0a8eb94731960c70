/* test/death_misuse.c -- misuse that can be seen stops the program
 *
 * With a message that names the rule and the fiber. Each body is the misuse;
 * it runs in a child process, and what it returns is never reached. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"

#include <errno.h>
#include <signal.h>

/* A coir_fn without its type, as an argument of test_dies. */
struct misuse {
    coir_fn *body;
};

static int run_misuse(void *arg)
{
    struct misuse *misuse = arg;
    COIR_IGNORE(coir_run(misuse->body, NULL));
    return 0;
}

static void dies(const char *rule, coir_fn *body)
{
    struct misuse misuse = {body};
    test_dies(SIGABRT, rule, run_misuse, &misuse);
    test_dies(SIGABRT, "'culprit'", run_misuse, &misuse);
}

static const char scope_rule[] =
    "a scope is closed by the fiber that opened it";
static const char nursery_rule[] =
    "a nursery is closed by the fiber that opened it";

static void name_culprit(void)
{
    coir_name_set("culprit");
}

/* ---- Left open ---- */

static int leave_scope_open(void *arg)
{
    (void)arg;
    name_culprit();
    coir_scope scope;
    coir_scope_open(&scope);
    return 0;
}

START_TEST(fiber_that_leaves_a_scope_open_dies)
{
    dies("left open", leave_scope_open);
}
END_TEST

static int leave_timeout_open(void *arg)
{
    (void)arg;
    name_culprit();
    coir_scope outer, inner;
    coir_timeout_open(&outer, COIR_SECONDS(100));
    coir_shield_open(&inner);
    return coir_scope_close(&inner, 0);
}

START_TEST(fiber_that_leaves_one_of_two_scopes_open_dies)
{
    dies("left open", leave_timeout_open);
}
END_TEST

static int leave_nursery_open(void *arg)
{
    (void)arg;
    name_culprit();
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    return 0;
}

START_TEST(fiber_that_leaves_a_nursery_open_dies)
{
    dies("left open", leave_nursery_open);
}
END_TEST

static int leave_in_child(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, leave_scope_open, NULL);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(child_that_leaves_a_scope_open_dies)
{
    dies("left open", leave_in_child);
}
END_TEST

static int leave_nursery_in_child(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, leave_nursery_open, NULL);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(child_that_leaves_a_nursery_open_dies)
{
    dies("left open", leave_nursery_in_child);
}
END_TEST

/* ---- Out of order ---- */

static int close_outer_first(void *arg)
{
    (void)arg;
    name_culprit();
    coir_scope outer, inner;
    coir_scope_open(&outer);
    coir_scope_open(&inner);
    COIR_IGNORE(coir_scope_close(&outer, 0));
    COIR_IGNORE(coir_scope_close(&inner, 0));
    return 0;
}

START_TEST(scope_closed_before_one_inside_it_dies)
{
    dies(scope_rule, close_outer_first);
}
END_TEST

static int close_nursery_first(void *arg)
{
    (void)arg;
    name_culprit();
    coir_nursery nursery;
    coir_scope inner;
    coir_nursery_open(&nursery);
    coir_scope_open(&inner);
    COIR_IGNORE(coir_nursery_close(&nursery));
    COIR_IGNORE(coir_scope_close(&inner, 0));
    return 0;
}

START_TEST(nursery_closed_before_a_scope_inside_it_dies)
{
    dies(nursery_rule, close_nursery_first);
}
END_TEST

static int close_scope_around_nursery(void *arg)
{
    (void)arg;
    name_culprit();
    coir_scope outer;
    coir_nursery nursery;
    coir_scope_open(&outer);
    coir_nursery_open(&nursery);
    COIR_IGNORE(coir_scope_close(&outer, 0));
    return coir_nursery_close(&nursery);
}

START_TEST(scope_closed_before_a_nursery_inside_it_dies)
{
    dies(scope_rule, close_scope_around_nursery);
}
END_TEST

static int close_outer_nursery_first(void *arg)
{
    (void)arg;
    name_culprit();
    coir_nursery outer, inner;
    coir_nursery_open(&outer);
    coir_nursery_open(&inner);
    COIR_IGNORE(coir_nursery_close(&outer));
    return coir_nursery_close(&inner);
}

START_TEST(nursery_closed_before_one_inside_it_dies)
{
    dies(nursery_rule, close_outer_nursery_first);
}
END_TEST

static int close_twice(void *arg)
{
    (void)arg;
    name_culprit();
    coir_scope scope;
    coir_scope_open(&scope);
    COIR_IGNORE(coir_scope_close(&scope, 0));
    return coir_scope_close(&scope, 0);
}

START_TEST(scope_closed_twice_dies)
{
    dies(scope_rule, close_twice);
}
END_TEST

/* ---- By a stranger ---- */

static int close_for_another(void *arg)
{
    name_culprit();
    return coir_scope_close(arg, 0);
}

static int let_child_close_scope(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_scope_open(&scope);
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, close_for_another, &scope);
    rc = coir_nursery_close_with(&nursery, rc);
    return coir_scope_close(&scope, rc);
}

START_TEST(scope_closed_by_another_fiber_dies)
{
    dies(scope_rule, let_child_close_scope);
}
END_TEST

static int close_nursery_for_another(void *arg)
{
    name_culprit();
    return coir_nursery_close(arg);
}

static int let_child_close_nursery(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, close_nursery_for_another, &nursery);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(nursery_closed_by_its_child_dies)
{
    dies(nursery_rule, let_child_close_nursery);
}
END_TEST

/* ---- Pins ---- */

static int unpin_without_pin(void *arg)
{
    (void)arg;
    name_culprit();
    coir_unpin();
    return 0;
}

START_TEST(unpin_without_a_pin_dies)
{
    dies("pin", unpin_without_pin);
}
END_TEST

static int unpin_too_often(void *arg)
{
    (void)arg;
    name_culprit();
    coir_pin();
    coir_unpin();
    coir_unpin();
    return 0;
}

START_TEST(unpin_more_often_than_pin_dies)
{
    dies("pin", unpin_too_often);
}
END_TEST

static int end_pinned(void *arg)
{
    (void)arg;
    name_culprit();
    coir_pin();
    return 0;
}

START_TEST(fiber_that_ends_pinned_dies)
{
    dies("pinned", end_pinned);
}
END_TEST

/* ---- Outside a fiber ---- */

static int open_scope(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_scope_open(&scope);
    return 0;
}

static int open_nursery(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    return 0;
}

START_TEST(scope_opened_outside_a_fiber_dies)
{
    test_dies(SIGABRT, "scopes are opened by fibers", open_scope, NULL);
}
END_TEST

START_TEST(nursery_opened_outside_a_fiber_dies)
{
    test_dies(SIGABRT, "nurseries are opened by fibers", open_nursery, NULL);
}
END_TEST

COIR_SUITE(misuse, TEST_WORKERS)
{
    TCase *open = test_case(suite, "left open");
    tcase_add_test(open, fiber_that_leaves_a_scope_open_dies);
    tcase_add_test(open, fiber_that_leaves_one_of_two_scopes_open_dies);
    tcase_add_test(open, fiber_that_leaves_a_nursery_open_dies);
    tcase_add_test(open, child_that_leaves_a_scope_open_dies);
    tcase_add_test(open, child_that_leaves_a_nursery_open_dies);

    TCase *order = test_case(suite, "out of order");
    tcase_add_test(order, scope_closed_before_one_inside_it_dies);
    tcase_add_test(order, nursery_closed_before_a_scope_inside_it_dies);
    tcase_add_test(order, scope_closed_before_a_nursery_inside_it_dies);
    tcase_add_test(order, nursery_closed_before_one_inside_it_dies);
    tcase_add_test(order, scope_closed_twice_dies);

    TCase *stranger = test_case(suite, "by a stranger");
    tcase_add_test(stranger, scope_closed_by_another_fiber_dies);
    tcase_add_test(stranger, nursery_closed_by_its_child_dies);

    TCase *pin = test_case(suite, "pin");
    tcase_add_test(pin, unpin_without_a_pin_dies);
    tcase_add_test(pin, unpin_more_often_than_pin_dies);
    tcase_add_test(pin, fiber_that_ends_pinned_dies);

    TCase *outside = test_case(suite, "outside a fiber");
    tcase_add_test(outside, scope_opened_outside_a_fiber_dies);
    tcase_add_test(outside, nursery_opened_outside_a_fiber_dies);
}
