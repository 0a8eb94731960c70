/* test/test_select.c -- coir_select: one of several channels
 *
 * A channel in several cases, several selects and many cases are in
 * test_select_several.c. */
#include <coir/chan.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/select_script.h"
#include "test/story.h"

#include <errno.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Ready at once ---- */

static int take_what_is_ready(void *arg)
{
    (void)arg;
    int x = 0, y = 0, z = 30;
    coir_case cases[] = {
        {a, COIR_RECV, &x, -1}, {b, COIR_RECV, &y, -1}, {c, COIR_SEND, &z, -1}};
    put(c, 9); /* it is full now */
    put(b, 20);
    ck_assert_int_eq(coir_select(cases, 3), 1);
    ck_assert_int_eq(cases[1].rc, 0);
    ck_assert_int_eq(y, 20);
    ck_assert_int_eq(coir_try_select(cases, 3), -EAGAIN);
    ck_assert_int_eq(take(c), 9);
    ck_assert_int_eq(coir_select(cases, 3), 2);
    ck_assert_int_eq(cases[2].rc, 0);
    ck_assert_int_eq(take(c), 30);
    put(a, 10);
    ck_assert_int_eq(coir_select(cases, 2), 0);
    ck_assert_int_eq(x, 10);
    ck_assert_int_eq(cases[0].rc, 0);
    return 0;
}

START_TEST(select_takes_the_case_that_is_ready)
{
    run_with_chans(1, take_what_is_ready);
}
END_TEST

static int take_one_of_two(void *arg)
{
    (void)arg;
    int x = 0, y = 0;
    coir_case cases[] = {{a, COIR_RECV, &x, -1}, {b, COIR_RECV, &y, -1}};
    put(a, 10);
    put(b, 20);
    int first = coir_select(cases, 2);
    ck_assert_int_eq(x, first == 0 ? 10 : 0);
    ck_assert_int_eq(y, first == 1 ? 20 : 0);
    ck_assert_int_eq(cases[1 - first].rc, -1); /* nobody wrote it */
    ck_assert_int_eq(coir_try_select(cases, 2), 1 - first);
    ck_assert_int_eq(x, 10);
    ck_assert_int_eq(y, 20);
    ck_assert_int_eq(coir_try_select(cases, 2), -EAGAIN);
    return 0;
}

START_TEST(select_takes_one_case_and_leaves_the_others)
{
    run_with_chans(1, take_one_of_two);
}
END_TEST

enum { DRAWS = 6000, WIDE = 7 };

static int draw(void *arg)
{
    /* Ready are 0, 1 and 5 of seven: whoever begins anywhere and takes the
     * next that is ready takes 5 four times as often as 1. */
    int taken[WIDE] = {0}, item = 1;
    coir_case cases[WIDE];
    (void)arg;
    for (int i = 0; i < WIDE; i++)
        cases[i] = (coir_case){a, COIR_RECV, &item, 0};
    cases[0] = (coir_case){b, COIR_SEND, &item, 0};
    cases[1] = (coir_case){b, COIR_SEND, &item, 0};
    cases[5] = (coir_case){c, COIR_RECV, &item, 0};
    coir_chan_close(c);
    for (int i = 0; i < DRAWS; i++) {
        int index =
            i % 2 ? coir_select(cases, WIDE) : coir_try_select(cases, WIDE);
        ck_assert(index == 0 || index == 1 || index == 5);
        taken[index]++;
        take(b);
    }
    /* 2000 each, give or take 8 times the standard deviation */
    ck_assert_int_ge(taken[0], 1700);
    ck_assert_int_ge(taken[1], 1700);
    ck_assert_int_ge(taken[5], 1700);
    return 0;
}

START_TEST(select_is_fair_among_the_ready)
{
    run_with_chans(1, draw);
}
END_TEST

/* ---- Closed, and NULL ---- */

static int select_closed(void *arg)
{
    (void)arg;
    int x = 0, y = 5;
    coir_case cases[] = {
        {a, COIR_RECV, &x, 0}, {NULL, COIR_RECV, &x, 0}, {b, COIR_SEND, &y, 0}};
    put(a, 10);
    put(b, 20);
    coir_chan_close(a);
    ck_assert_int_eq(coir_select(cases, 3), 0); /* what is left, first */
    ck_assert_int_eq(cases[0].rc, 0);
    ck_assert_int_eq(x, 10);
    ck_assert_int_eq(coir_select(cases, 3), 0);
    ck_assert_int_eq(cases[0].rc, -EPIPE);
    cases[0].chan = NULL; /* how a closed one is left out */
    ck_assert_int_eq(coir_try_select(cases, 3), -EAGAIN);
    coir_chan_close(b);
    ck_assert_int_eq(coir_try_select(cases, 3), 2);
    ck_assert_int_eq(cases[2].rc, -EPIPE);
    ck_assert_int_eq(take(b), 20);
    return 0;
}

START_TEST(select_takes_a_closed_channel_at_once)
{
    run_with_chans(1, select_closed);
}
END_TEST

static int select_nothing(void *arg)
{
    (void)arg;
    coir_case cases[] = {{NULL, COIR_RECV, NULL, 0},
                         {NULL, COIR_SEND, NULL, 0}};
    coir_scope scope;
    for (size_t count = 0; count <= 2; count++) {
        coir_time begin = coir_now();
        ck_assert_int_eq(coir_try_select(cases, count), -EAGAIN);
        coir_timeout_open(&scope, MINUTES(3));
        int rc = coir_select(cases, count);
        ck_assert_int_eq(rc, -ECANCELED);
        ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
        ck_assert_int_eq((coir_now() - begin) / MINUTES(1), 3);
    }
    return 0;
}

START_TEST(select_of_nothing_waits_until_it_is_cancelled)
{
    ck_assert_int_eq(run_story(0, select_nothing, NULL), 0);
}
END_TEST

/* ---- Waiting ---- */

static int wait_for_some(void *arg)
{
    (void)arg;
    int x = 1, y = 2, z = 3;
    coir_case cases[] = {
        {a, COIR_RECV, &x, -1}, {b, COIR_RECV, &y, -1}, {c, COIR_SEND, &z, -1}};
    struct later send_b = {b, 20, 1}, receive_c = {c, -1, 1},
                 close_a = {a, 0, 1};
    ck_assert_int_eq(select_while(cases, 3, &send_b), 1);
    ck_assert_int_eq(cases[1].rc, 0);
    ck_assert_int_eq(y, 20);
    ck_assert_int_eq(select_while(cases, 3, &receive_c), 2);
    ck_assert_int_eq(cases[2].rc, 0);
    ck_assert_str_eq(story(), "got 3");
    ck_assert_int_eq(select_while(cases, 3, &close_a), 0);
    ck_assert_int_eq(cases[0].rc, -EPIPE);
    ck_assert_int_eq(x, 1); /* what was not taken was not written */
    /* and it has left all queues */
    int item = 7;
    ck_assert_int_eq(coir_chan_try_send(b, &item), -EAGAIN);
    ck_assert_int_eq(coir_chan_try_recv(c, &item), -EAGAIN);
    return 0;
}

START_TEST(select_waits_for_the_first_that_gets_ready)
{
    run_with_chans(0, wait_for_some);
}
END_TEST

static int close_to_send(void *arg)
{
    (void)arg;
    int z = 3;
    coir_case cases[] = {{a, COIR_SEND, &z, -1}, {b, COIR_SEND, &z, -1}};
    struct later close_b = {b, 0, 1};
    ck_assert_int_eq(select_while(cases, 2, &close_b), 1);
    ck_assert_int_eq(cases[1].rc, -EPIPE);
    return 0;
}

START_TEST(select_that_waits_to_send_is_told_of_a_close)
{
    run_with_chans(0, close_to_send);
}
END_TEST

static int cancel_wait(void *arg)
{
    (void)arg;
    int x = 1, y = 2;
    coir_case cases[] = {{a, COIR_RECV, &x, -1}, {b, COIR_SEND, &y, -1}};
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(2));
    ck_assert_int_eq(coir_select(cases, 2), -ECANCELED);
    put(c, 5);
    cases[0].chan = c; /* ready, but a cancelled fiber gets nothing */
    ck_assert_int_eq(coir_select(cases, 2), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, 0), 0);
    ck_assert_int_eq(take(c), 5);
    ck_assert_int_eq(take(b), -1);
    ck_assert_int_eq(coir_chan_try_send(a, &x), -EAGAIN);
    return 0;
}

START_TEST(cancelled_select_has_no_effect)
{
    make_chans(0);
    ck_assert_int_eq(coir_chan_free(c), 0);
    ck_assert_int_eq(coir_chan_new(&c, sizeof(int), 1), 0);
    ck_assert_int_eq(run_story(0, cancel_wait, NULL), 0);
    free_chans();
}
END_TEST

/* In the queue of a channel a select is one like all others. */

static int receive_and_tell(void *arg)
{
    int item = 0, rc = coir_chan_recv(a, &item);
    tell("%s%d", (const char *)arg, item);
    return rc;
}

static int select_and_tell(void *arg)
{
    int x = 0, y = 0;
    coir_case cases[] = {{b, COIR_RECV, &y, 0}, {a, COIR_RECV, &x, 0}};
    int rc = coir_select(cases, 2);
    tell("%s%d", (const char *)arg, rc == 1 ? x : -1);
    return rc < 0 ? rc : 0;
}

static int wait_in_line(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_fn *const fns[] = {receive_and_tell, select_and_tell,
                            receive_and_tell};
    static char names[][2] = {"p", "q", "r"};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(coir_go(&nursery, fns[i], names[i]), 0);
        ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    }
    for (int i = 1; i <= 3; i++) {
        put(a, i);
        ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    }
    return coir_nursery_close(&nursery);
}

START_TEST(select_waits_in_line_with_others)
{
    run_with_chans(0, wait_in_line);
    ck_assert_str_eq(story(), "p1 q2 r3");
}
END_TEST

/* ---- Refused ---- */

static int select_badly(void *arg)
{
    (void)arg;
    int x = 0;
    coir_case cases[] = {{a, (enum coir_op)2, &x, 0}};
    ck_assert_int_eq(coir_select(cases, 1), -EINVAL);
    ck_assert_int_eq(coir_try_select(cases, 1), -EINVAL);
    ck_assert_int_eq(coir_select(cases, (size_t)INT_MAX + 1), -EINVAL);
    ck_assert_int_eq(coir_try_select(cases, SIZE_MAX), -EINVAL);
    return 0;
}

START_TEST(select_refuses_what_is_no_case)
{
    run_with_chans(1, select_badly);
}
END_TEST

START_TEST(select_needs_a_fiber_and_try_does_not)
{
    int x = 0;
    make_chans(1);
    coir_case cases[] = {{a, COIR_RECV, &x, 0}};
    put(a, 5);
    ck_assert_int_eq(coir_select(cases, 1), -EPERM);
    ck_assert_int_eq(coir_try_select(cases, 1), 0);
    ck_assert_int_eq(x, 5);
    free_chans();
}
END_TEST

static int try_in_fork(void *arg)
{
    int x = 0, status = 0;
    coir_case cases[] = {{a, COIR_SEND, &x, 0}};
    (void)arg;
    pid_t child = fork();
    if (child == 0)
        _exit(coir_try_select(cases, 1) == -EPERM &&
                      coir_select(cases, 1) == -EPERM
                  ? 0
                  : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    return 0;
}

START_TEST(child_of_a_fork_is_refused)
{
    make_chans(1);
    ck_assert_int_eq(run_workers(1, try_in_fork, NULL), 0);
    free_chans();
}
END_TEST

/* A select that was taken still has to leave the other channels. */

static int select_a_and_b(void *arg)
{
    int x = 0;
    coir_case cases[] = {{a, COIR_RECV, &x, 0}, {b, COIR_RECV, &x, 0}};
    (void)arg;
    return coir_select(cases, 2);
}

static int free_before_it_leaves(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_task task;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, select_a_and_b, NULL), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    put(a, 5);
    coir_chan_close(b); /* it is in no queue any more */
    ck_assert_int_eq(coir_chan_free(b), -EBUSY);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&task), 0);
    return 0;
}

START_TEST(channel_stays_until_a_select_has_left_it)
{
    make_chans(0);
    ck_assert_int_eq(run_story(1, free_before_it_leaves, NULL), 0);
    free_chans();
}
END_TEST

COIR_SUITE(select, TEST_WORKERS | TEST_SEEDED)
{
    TCase *ready = test_case(suite, "ready");
    tcase_add_test(ready, select_takes_the_case_that_is_ready);
    tcase_add_test(ready, select_takes_one_case_and_leaves_the_others);
    tcase_add_test(ready, select_is_fair_among_the_ready);
    tcase_add_test(ready, select_takes_a_closed_channel_at_once);

    TCase *waiting = test_case(suite, "waiting");
    tcase_add_test(waiting, select_of_nothing_waits_until_it_is_cancelled);
    tcase_add_test(waiting, select_waits_for_the_first_that_gets_ready);
    tcase_add_test(waiting, select_that_waits_to_send_is_told_of_a_close);
    tcase_add_test(waiting, cancelled_select_has_no_effect);
    tcase_add_test(waiting, select_waits_in_line_with_others);
    tcase_add_test(waiting, channel_stays_until_a_select_has_left_it);

    TCase *refused = test_case(suite, "refused");
    tcase_add_test(refused, select_refuses_what_is_no_case);
    tcase_add_test(refused, select_needs_a_fiber_and_try_does_not);
    tcase_add_test(refused, child_of_a_fork_is_refused);
}
