/* test/test_nursery_memory.c -- coir_nursery where memory runs out
 *
 * Stacks are had late: a child may be accepted long before there is a stack for
 * it. Whatever is refused is refused clearly, whatever is accepted runs. */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <sys/resource.h>

enum { SLEEPERS = 10000, DEEP = 8000, FRAME = 50000 };

static _Atomic int ran, refused;

/* Address space for some hundreds of stacks, for the rest of this process. */
static void lower_limit(void)
{
    const struct rlimit limit = {400UL << 20, 400UL << 20};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

static int sleep_a_minute(void *arg)
{
    (void)arg;
    int rc = coir_sleep(MINUTES(1));
    ran++;
    return rc;
}

static int start_sleepers(void *arg)
{
    int *accepted = arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (int i = 0; i < SLEEPERS; i++) {
        int rc = coir_go(&nursery, sleep_a_minute, NULL);
        *accepted += rc == 0;
        refused += rc == -ENOMEM;
        if (i % 100 == 99) /* let them take all the stacks that there are */
            COIR_IGNORE(coir_yield());
    }
    return coir_nursery_close(&nursery);
}

START_TEST(children_without_a_stack_wait_for_one_or_are_refused)
{
    int accepted = 0;
    ran = refused = 0;
    lower_limit();
    ck_assert_int_eq(run_story(0, start_sleepers, &accepted), 0);
    ck_assert_int_eq(ran, accepted);
    ck_assert_int_eq(accepted + refused, SLEEPERS);
    ck_assert_int_gt(accepted, 100);
}
END_TEST

/* A nursery in a nursery in a nursery, so large that few fit on a stack. */
static int descend(void *arg)
{
    volatile char frame[FRAME];
    frame[0] = frame[FRAME - 1] = 0;
    int left = *(const int *)arg - 1;
    if (left == 0)
        return 0;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, descend, &left);
    refused += rc == -ENOMEM;
    return coir_nursery_close_with(&nursery, rc);
}

static int descend_and_recover(void *arg)
{
    int rc = descend(arg), few = 10;
    int again = descend(&few);
    return again < 0 ? -EDOM : rc;
}

START_TEST(nurseries_too_deep_for_the_memory_are_refused)
{
    int depth = DEEP;
    refused = 0;
    lower_limit();
    ck_assert_int_eq(coir_run(descend_and_recover, &depth), -ENOMEM);
    ck_assert_int_eq(refused, 1);
}
END_TEST

static int start_in_background(void *arg)
{
    int *accepted = arg;
    for (int i = 0; i < SLEEPERS; i++) {
        int rc = coir_background(NULL, sleep_a_minute, NULL);
        *accepted += rc == 0;
        refused += rc == -ENOMEM;
        if (i % 100 == 99)
            COIR_IGNORE(coir_yield());
    }
    return coir_sleep(HOURS(10));
}

START_TEST(background_fibers_without_a_stack_wait_or_are_refused)
{
    int accepted = 0;
    ran = refused = 0;
    lower_limit();
    ck_assert_int_eq(run_story(0, start_in_background, &accepted), 0);
    ck_assert_int_eq(ran, accepted);
    ck_assert_int_eq(accepted + refused, SLEEPERS);
    ck_assert_int_gt(accepted, 100);
}
END_TEST

COIR_SUITE(nursery_memory, TEST_WORKERS)
{
    if (test_scaled(1000) < 1000) /* a sanitizer's memory is not ours */
        return;
    TCase *lacks = test_case(suite, "memory lacks");
    tcase_add_test(lacks, children_without_a_stack_wait_for_one_or_are_refused);
    tcase_add_test(lacks, nurseries_too_deep_for_the_memory_are_refused);
    tcase_add_test(lacks,
                   background_fibers_without_a_stack_wait_or_are_refused);
}
