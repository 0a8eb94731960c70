/* test/test_nursery_close.c -- what coir_nursery_close and _close_with give
 *
 * The table of cases is the contract's, in its order. A scene sets up one
 * nursery; everything in it happens minutes apart on the virtual clock. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <stdlib.h>

/* A child: sleeps for some minutes, then returns `result`; if it is cancelled
 * before, `cancelled`. */
struct child {
    int minutes; /* 0: not there */
    int result;
    int cancelled;
};

struct scene {
    struct child children[2];
    bool keep_going;
    int cancelled_after; /* minutes until coir_nursery_cancel, or 0 */
    int own_deadline;    /* minutes until the nursery's own, or 0 */
    int outer_deadline;  /* minutes until that of a scope around it, or 0 */
    int body;            /* what close_with is told */
    int body_minutes;    /* how long the body sleeps before the close */
    bool plain;          /* close, not close_with */

    int expected;
    int failed;     /* what coir_nursery_failed counts */
    int ends_after; /* minutes until close has returned */
};

static int be_child(void *arg)
{
    const struct child *child = arg;
    int rc = coir_sleep(MINUTES(child->minutes));
    return rc < 0 ? child->cancelled : child->result;
}

struct cancelling {
    coir_nursery *nursery;
    int minutes;
};

static int cancel_later(void *arg)
{
    const struct cancelling *c = arg;
    int rc = coir_sleep(MINUTES(c->minutes));
    coir_nursery_cancel(c->nursery);
    return rc;
}

static void start_scene(const struct scene *scene, coir_nursery *nursery)
{
    coir_nursery_open(nursery);
    if (scene->keep_going)
        coir_nursery_keep_going(nursery);
    if (scene->own_deadline)
        coir_scope_reschedule(coir_nursery_scope(nursery),
                              coir_now() + MINUTES(scene->own_deadline));
    for (int i = 0; i < 2; i++) {
        const struct child *child = &scene->children[i];
        if (child->minutes)
            ck_assert_int_eq(
                coir_go_copy(nursery, be_child, child, sizeof *child), 0);
    }
}

static int play_scene(void *arg)
{
    const struct scene *scene = arg;
    coir_time start = coir_now();
    coir_nursery outside, nursery;
    coir_scope around;
    coir_nursery_open(&outside);
    coir_scope_open(&around);
    if (scene->outer_deadline)
        coir_scope_reschedule(&around, start + MINUTES(scene->outer_deadline));
    start_scene(scene, &nursery);
    struct cancelling c = {&nursery, scene->cancelled_after};
    if (scene->cancelled_after)
        ck_assert_int_eq(coir_go(&outside, cancel_later, &c), 0);
    coir_time body_until = start + MINUTES(scene->body_minutes);
    if (scene->body_minutes)
        COIR_IGNORE(coir_sleep_until(body_until));

    int rc = scene->plain ? coir_nursery_close(&nursery)
                          : coir_nursery_close_with(&nursery, scene->body);
    ck_assert_int_eq((coir_now() - start) / MINUTES(1), scene->ends_after);
    ck_assert_int_eq(rc, scene->expected);
    ck_assert_uint_eq(coir_nursery_failed(&nursery), scene->failed);
    COIR_IGNORE(coir_scope_close(&around, 0));
    return coir_nursery_close(&outside);
}

/* With close and, where it must be the same, with close_with(0). */
static void play(struct scene scene)
{
    ck_assert_int_eq(run_story(0, play_scene, &scene), 0);
}

static void play_both(struct scene scene)
{
    play(scene);
    scene.plain = true;
    play(scene);
}

#define OBEYS -ECANCELED /* a child that does as cancelling bids it */

/* ---- close ---- */

START_TEST(close_gives_0_if_nothing_failed)
{
    play_both((struct scene){.expected = 0});
    play_both((struct scene){.children = {{1, 0, OBEYS}, {2, 7, OBEYS}},
                             .ends_after = 2});
}
END_TEST

START_TEST(close_gives_the_failure_of_a_child)
{
    play_both((struct scene){.children = {{1, -EIO, OBEYS}},
                             .expected = -EIO,
                             .failed = 1,
                             .ends_after = 1});
}
END_TEST

START_TEST(close_gives_the_first_failure)
{
    play_both((struct scene){.children = {{2, 0, -EIO}, {1, -EPIPE, OBEYS}},
                             .expected = -EPIPE,
                             .failed = 2,
                             .ends_after = 1});
}
END_TEST

START_TEST(close_after_a_failure_does_not_wait_for_the_others_work)
{
    play_both((struct scene){.children = {{9, 0, OBEYS}, {1, -EIO, OBEYS}},
                             .expected = -EIO,
                             .failed = 1,
                             .ends_after = 1});
}
END_TEST

START_TEST(close_cancelled_from_around_gives_that)
{
    play_both((struct scene){.children = {{9, 0, OBEYS}, {9, 0, OBEYS}},
                             .outer_deadline = 2,
                             .expected = -ECANCELED,
                             .ends_after = 2});
    play_both((struct scene){.outer_deadline = 1,
                             .body_minutes = 2,
                             .expected = -ECANCELED,
                             .ends_after = 1});
}
END_TEST

START_TEST(close_ranks_a_failure_before_cancellation_from_around)
{
    play_both((struct scene){.children = {{9, 0, OBEYS}, {9, 0, -EIO}},
                             .outer_deadline = 2,
                             .expected = -EIO,
                             .failed = 1,
                             .ends_after = 2});
}
END_TEST

START_TEST(close_at_the_nurserys_own_deadline_times_out)
{
    play_both((struct scene){.children = {{9, 0, OBEYS}, {1, 0, OBEYS}},
                             .own_deadline = 2,
                             .expected = -ETIMEDOUT,
                             .ends_after = 2});
}
END_TEST

START_TEST(close_ranks_a_failure_before_the_nurserys_deadline)
{
    play_both((struct scene){.children = {{9, 0, -EIO}, {9, 0, OBEYS}},
                             .own_deadline = 2,
                             .expected = -EIO,
                             .failed = 1,
                             .ends_after = 2});
}
END_TEST

START_TEST(close_ranks_cancellation_from_around_before_the_deadline)
{
    play_both((struct scene){.children = {{9, 0, OBEYS}, {1, 0, OBEYS}},
                             .own_deadline = 2,
                             .outer_deadline = 2,
                             .expected = -ECANCELED,
                             .ends_after = 2});
}
END_TEST

START_TEST(close_before_the_nurserys_deadline_gives_0)
{
    play_both((struct scene){.children = {{1, 0, OBEYS}, {2, 0, OBEYS}},
                             .own_deadline = 3,
                             .ends_after = 2});
}
END_TEST

START_TEST(close_of_a_cancelled_nursery_gives_0)
{
    play_both((struct scene){.children = {{9, 0, OBEYS}, {9, 0, 5}},
                             .cancelled_after = 2,
                             .ends_after = 2});
}
END_TEST

START_TEST(close_ranks_a_failure_before_cancelling_the_nursery)
{
    play_both((struct scene){.children = {{9, 0, OBEYS}, {9, 0, -EIO}},
                             .cancelled_after = 2,
                             .expected = -EIO,
                             .failed = 1,
                             .ends_after = 2});
}
END_TEST

START_TEST(close_does_not_take_a_cancelled_child_for_a_failure)
{
    play_both((struct scene){.children = {{1, -ECANCELED, 0}, {2, 0, OBEYS}},
                             .ends_after = 2});
}
END_TEST

/* ---- close_with ---- */

START_TEST(close_with_success_gives_it_where_close_gives_0)
{
    play((struct scene){.body = 5, .expected = 5});
    play((struct scene){.children = {{1, 3, OBEYS}},
                        .body = 5,
                        .expected = 5,
                        .ends_after = 1});
    play((struct scene){.children = {{9, 0, OBEYS}},
                        .cancelled_after = 1,
                        .body = 5,
                        .expected = 5,
                        .ends_after = 1});
}
END_TEST

START_TEST(close_with_success_gives_what_close_gives_else)
{
    play((struct scene){.children = {{1, -EIO, OBEYS}},
                        .body = 5,
                        .expected = -EIO,
                        .failed = 1,
                        .ends_after = 1});
    play((struct scene){.children = {{9, 0, OBEYS}},
                        .outer_deadline = 1,
                        .body = 5,
                        .expected = -ECANCELED,
                        .ends_after = 1});
    play((struct scene){.children = {{9, 0, OBEYS}},
                        .own_deadline = 1,
                        .body = 5,
                        .expected = -ETIMEDOUT,
                        .ends_after = 1});
}
END_TEST

START_TEST(close_with_a_failure_cancels_the_children_and_gives_it)
{
    play((struct scene){.children = {{9, 0, OBEYS}, {9, 0, OBEYS}},
                        .body = -EIO,
                        .expected = -EIO,
                        .failed = 1});
    play((struct scene){.children = {{9, 0, OBEYS}},
                        .body = -ETIMEDOUT,
                        .body_minutes = 2,
                        .expected = -ETIMEDOUT,
                        .failed = 1,
                        .ends_after = 2});
    play((struct scene){.body = -EIO, .expected = -EIO, .failed = 1});
}
END_TEST

START_TEST(close_with_a_failure_ranks_it_after_the_childrens)
{
    play((struct scene){.children = {{9, 0, -EPIPE}, {9, 0, OBEYS}},
                        .body = -EIO,
                        .expected = -EPIPE,
                        .failed = 2});
    play((struct scene){.children = {{1, -EPIPE, OBEYS}},
                        .body = -EIO,
                        .body_minutes = 2,
                        .expected = -EPIPE,
                        .failed = 2,
                        .ends_after = 1});
}
END_TEST

START_TEST(close_with_a_failure_ranks_it_before_cancellation)
{
    play((struct scene){.children = {{9, 0, OBEYS}},
                        .outer_deadline = 1,
                        .body_minutes = 2,
                        .body = -EIO,
                        .expected = -EIO,
                        .failed = 1,
                        .ends_after = 1});
    play((struct scene){.children = {{9, 0, OBEYS}},
                        .own_deadline = 1,
                        .body_minutes = 2,
                        .body = -EIO,
                        .expected = -EIO,
                        .failed = 1,
                        .ends_after = 1});
}
END_TEST

START_TEST(close_with_a_failure_lets_children_go_on_who_keep_going)
{
    play((struct scene){.children = {{3, 0, OBEYS}, {2, 0, OBEYS}},
                        .keep_going = true,
                        .body = -EIO,
                        .expected = -EIO,
                        .failed = 1,
                        .ends_after = 3});
    play((struct scene){.children = {{3, 0, OBEYS}, {2, -EPIPE, OBEYS}},
                        .keep_going = true,
                        .body = -EIO,
                        .expected = -EPIPE,
                        .failed = 2,
                        .ends_after = 3});
}
END_TEST

START_TEST(close_with_cancelled_says_nothing_new_in_a_cancelled_nursery)
{
    play((struct scene){.children = {{9, 0, OBEYS}},
                        .cancelled_after = 1,
                        .body_minutes = 2,
                        .body = -ECANCELED,
                        .expected = 0,
                        .ends_after = 1});
    play((struct scene){.children = {{1, -EIO, OBEYS}, {9, 0, OBEYS}},
                        .body_minutes = 2,
                        .body = -ECANCELED,
                        .expected = -EIO,
                        .failed = 1,
                        .ends_after = 1});
    play((struct scene){.children = {{9, 0, OBEYS}},
                        .own_deadline = 1,
                        .body_minutes = 2,
                        .body = -ECANCELED,
                        .expected = -ETIMEDOUT,
                        .ends_after = 1});
    play((struct scene){.children = {{9, 0, OBEYS}},
                        .outer_deadline = 1,
                        .body_minutes = 2,
                        .body = -ECANCELED,
                        .expected = -ECANCELED,
                        .ends_after = 1});
}
END_TEST

START_TEST(close_with_cancelled_cancels_the_children_of_any_other)
{
    play((struct scene){.children = {{9, 0, OBEYS}, {9, 0, OBEYS}},
                        .body_minutes = 1,
                        .body = -ECANCELED,
                        .expected = -ECANCELED,
                        .ends_after = 1});
    play((struct scene){.body = -ECANCELED, .expected = -ECANCELED});
}
END_TEST

COIR_SUITE(nursery_close, TEST_WORKERS | TEST_SEEDED)
{
    TCase *close = test_case(suite, "close");
    tcase_add_test(close, close_gives_0_if_nothing_failed);
    tcase_add_test(close, close_gives_the_failure_of_a_child);
    tcase_add_test(close, close_gives_the_first_failure);
    tcase_add_test(close,
                   close_after_a_failure_does_not_wait_for_the_others_work);
    tcase_add_test(close, close_cancelled_from_around_gives_that);
    tcase_add_test(close,
                   close_ranks_a_failure_before_cancellation_from_around);
    tcase_add_test(close, close_at_the_nurserys_own_deadline_times_out);
    tcase_add_test(close, close_ranks_a_failure_before_the_nurserys_deadline);
    tcase_add_test(close,
                   close_ranks_cancellation_from_around_before_the_deadline);
    tcase_add_test(close, close_before_the_nurserys_deadline_gives_0);
    tcase_add_test(close, close_of_a_cancelled_nursery_gives_0);
    tcase_add_test(close, close_ranks_a_failure_before_cancelling_the_nursery);
    tcase_add_test(close, close_does_not_take_a_cancelled_child_for_a_failure);

    TCase *with = test_case(suite, "close_with");
    tcase_add_test(with, close_with_success_gives_it_where_close_gives_0);
    tcase_add_test(with, close_with_success_gives_what_close_gives_else);
    tcase_add_test(with,
                   close_with_a_failure_cancels_the_children_and_gives_it);
    tcase_add_test(with, close_with_a_failure_ranks_it_after_the_childrens);
    tcase_add_test(with, close_with_a_failure_ranks_it_before_cancellation);
    tcase_add_test(with,
                   close_with_a_failure_lets_children_go_on_who_keep_going);
    tcase_add_test(
        with, close_with_cancelled_says_nothing_new_in_a_cancelled_nursery);
    tcase_add_test(with,
                   close_with_cancelled_cancels_the_children_of_any_other);
}
