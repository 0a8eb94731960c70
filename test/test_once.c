/* test/test_once.c -- what is done once, by whoever comes first */
#include <coir/event.h>
#include <coir/once.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/must.h"
#include "test/sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Members do it; how it ends stands in the plan: '0' well, 'f' in a failure,
 * 'c' as if cancelled. It takes until it may go on. */
struct shared {
    coir_once once;
    coir_event go_on;
    const char *plan;
    int calls;
};

static int do_it(void *arg)
{
    struct shared *shared = arg;
    char how = shared->plan[shared->calls++];
    tell("(");
    int rc = coir_event_wait(&shared->go_on);
    tell(")");
    if (rc < 0)
        return rc;
    return how == 'f' ? -EIO : how == 'c' ? -ECANCELED : 7;
}

static int do_once(int number, void *arg)
{
    struct shared *shared = arg;
    int rc = coir_once_do(&shared->once, do_it, shared);
    tell("%d:%d", number, rc);
    return rc == -EIO ? 0 : rc;
}

static void let_go_on(struct shared *shared)
{
    coir_event_set(&shared->go_on);
    coir_event_clear(&shared->go_on);
    settle();
}

static void run_plan(coir_fn *body, const char *plan)
{
    ck_assert_int_eq(run_story(0, body, (void *)(uintptr_t)plan), 0);
}

/* ---- Once ---- */

static int come_one_by_one(void *arg)
{
    struct shared shared = {.plan = arg};
    coir_event_set(&shared.go_on);
    for (int i = 0; i < 3; i++)
        do_once(i, &shared);
    ck_assert_int_eq(shared.calls, (int)strlen(shared.plan));
    return 0;
}

START_TEST(function_that_has_succeeded_is_not_called_again)
{
    run_plan(come_one_by_one, "0");
    ck_assert_str_eq(story(), "( ) 0:0 1:0 2:0");
}
END_TEST

START_TEST(function_that_has_failed_is_called_again)
{
    run_plan(come_one_by_one, "f0");
    ck_assert_str_eq(story(), "( ) 0:-5 ( ) 1:0 2:0");
    run_plan(come_one_by_one, "cf0");
    ck_assert_str_eq(story(), "( ) 0:-125 ( ) 1:-5 ( ) 2:0");
}
END_TEST

static int come_together(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    crew_start(&crew, 4, do_once, &shared);
    for (size_t i = 0; i < strlen(shared.plan); i++)
        let_go_on(&shared);
    ck_assert_int_eq(shared.calls, (int)strlen(shared.plan));
    for (int i = 0; i < 4; i++)
        ck_assert(coir_task_done(&crew.task[i]));
    return crew_end(&crew);
}

START_TEST(others_wait_until_it_is_done)
{
    run_plan(come_together, "0");
    ck_assert_int_eq(strncmp(story(), "( ) ", 4), 0);
    ck_assert_int_eq((int)strlen(story()), (int)strlen("( ) 0:0 1:0 2:0 3:0"));
}
END_TEST

START_TEST(who_waits_tries_again_in_order_where_it_fails)
{
    run_plan(come_together, "fcff");
    ck_assert_ptr_nonnull(strstr(story(), "0:-5"));
    ck_assert_ptr_nonnull(strstr(story(), "1:-125"));
    ck_assert_ptr_nonnull(strstr(story(), "2:-5"));
    ck_assert_ptr_nonnull(strstr(story(), "3:-5"));
    run_plan(come_together, "ff0");
    ck_assert_ptr_nonnull(strstr(story(), "0:-5"));
    ck_assert_ptr_nonnull(strstr(story(), "1:-5"));
    ck_assert_ptr_nonnull(strstr(story(), "2:0"));
    ck_assert_ptr_nonnull(strstr(story(), "3:0"));
}
END_TEST

/* Who comes when it has failed stands behind those who wait. */
static int come_late(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew, late;
    crew_start(&crew, 2, do_once, &shared);
    coir_event_set(&shared.go_on);
    coir_event_clear(&shared.go_on);
    crew_start_paced(&late, 0, 1, do_once, &shared);
    let_go_on(&shared);
    let_go_on(&shared);
    ck_assert_int_eq(crew_end(&late), 0);
    return crew_end(&crew);
}

START_TEST(newcomer_does_not_overtake_who_waits)
{
    run_plan(come_late, "f00");
    ck_assert_ptr_nonnull(strstr(story(), "0:-5"));
    ck_assert_ptr_nonnull(strstr(story(), "1:0"));
}
END_TEST

START_TEST(once_is_for_fibers)
{
    struct shared shared = {.plan = "0"};
    ck_assert_int_eq(coir_once_do(&shared.once, do_it, &shared), -EPERM);
    ck_assert_int_eq(shared.calls, 0);
}
END_TEST

/* ---- Cancelled ---- */

static int cancel_waiter(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    crew_start(&crew, 4, do_once, &shared);
    coir_task_cancel(&crew.task[1]);
    settle();
    let_go_on(&shared);
    let_go_on(&shared);
    return crew_end(&crew);
}

START_TEST(cancelled_waiter_leaves_its_turn_to_the_next)
{
    run_plan(cancel_waiter, "f0");
    ck_assert_int_eq(strncmp(story(), "( 1:-125 ) ", 11), 0);
    ck_assert_ptr_nonnull(strstr(story(), "0:-5"));
    ck_assert_ptr_nonnull(strstr(story(), "2:0"));
    ck_assert_ptr_nonnull(strstr(story(), "3:0"));
}
END_TEST

static int cancel_runner(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    crew_start(&crew, 3, do_once, &shared);
    coir_task_cancel(&crew.task[0]);
    coir_task_cancel(&crew.task[1]);
    settle();
    let_go_on(&shared);
    ck_assert(coir_task_done(&crew.task[2]));
    return crew_end(&crew);
}

START_TEST(cancelled_runner_leaves_it_to_who_waits)
{
    /* Member 1 may have been given the turn before its own cancel. */
    run_plan(cancel_runner, "000");
    ck_assert_ptr_nonnull(strstr(story(), "0:-125"));
    ck_assert_ptr_nonnull(strstr(story(), "1:-125"));
    ck_assert_ptr_nonnull(strstr(story(), "2:0"));
}
END_TEST

static int cancel_all_waiters(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    crew_start(&crew, 3, do_once, &shared);
    coir_task_cancel(&crew.task[1]);
    coir_task_cancel(&crew.task[2]);
    let_go_on(&shared);
    ck_assert_int_eq(crew_end(&crew), 0);
    coir_event_set(&shared.go_on);
    ck_assert_int_eq(do_once(9, &shared), 0);
    return 0;
}

START_TEST(once_may_be_tried_again_where_all_were_cancelled)
{
    run_plan(cancel_all_waiters, "f0000");
    ck_assert_ptr_nonnull(strstr(story(), "9:0"));
}
END_TEST

static int come_cancelled(void *arg)
{
    struct shared shared = {.plan = arg};
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(do_once(0, &shared), -ECANCELED);
    ck_assert_int_eq(shared.calls, 0);
    int rc = coir_scope_close(&scope, -ECANCELED);
    ck_assert_int_eq(rc, -ECANCELED);
    coir_event_set(&shared.go_on);
    ck_assert_int_eq(do_once(1, &shared), 0);
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(do_once(2, &shared), -ECANCELED);
    return coir_scope_close(&scope, 0);
}

START_TEST(once_is_a_cancellation_point_though_it_is_done)
{
    run_plan(come_cancelled, "0");
    ck_assert_str_eq(story(), "0:-125 ( ) 1:0 2:-125");
}
END_TEST

/* ---- Races ---- */

struct lazy {
    coir_once once;
    int value; /* not atomic: TSan sees whether all are ordered after it */
    _Atomic(int) tries, calls;
};

static int make_value(void *arg)
{
    struct lazy *lazy = arg;
    must_not(lazy->value != 0);
    must_not(coir_yield() != 0);
    if (lazy->tries++ < 2)
        return -EAGAIN;
    lazy->value = 7;
    lazy->calls++;
    return 0;
}

static int use_value(void *arg)
{
    struct lazy *lazy = arg;
    int rc = 0;
    while ((rc = coir_once_do(&lazy->once, make_value, lazy)) == -EAGAIN) {
    }
    must_not(rc != 0);
    must_not(lazy->value != 7);
    return rc;
}

static int use_together(void *arg)
{
    (void)arg;
    int rc = 0;
    for (uint64_t i = test_scaled(2000); i > 0 && rc == 0; i--) {
        struct lazy lazy = {.value = 0};
        coir_nursery nursery;
        coir_nursery_open(&nursery);
        for (int k = 0; k < 6 && rc == 0; k++)
            rc = coir_go(&nursery, use_value, &lazy);
        rc = coir_nursery_close_with(&nursery, rc);
        must_not(lazy.calls != 1);
    }
    return rc;
}

START_TEST(all_see_what_was_done_once)
{
    ck_assert_int_eq(coir_run(use_together, NULL), 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(once, TEST_WORKERS | TEST_SEEDED)
{
    TCase *once = test_case(suite, "once");
    tcase_add_test(once, function_that_has_succeeded_is_not_called_again);
    tcase_add_test(once, function_that_has_failed_is_called_again);
    tcase_add_test(once, others_wait_until_it_is_done);
    tcase_add_test(once, who_waits_tries_again_in_order_where_it_fails);
    tcase_add_test(once, newcomer_does_not_overtake_who_waits);
    tcase_add_test(once, once_is_for_fibers);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, cancelled_waiter_leaves_its_turn_to_the_next);
    tcase_add_test(cancelled, cancelled_runner_leaves_it_to_who_waits);
    tcase_add_test(cancelled, once_may_be_tried_again_where_all_were_cancelled);
    tcase_add_test(cancelled, once_is_a_cancellation_point_though_it_is_done);

    TCase *races = test_case(suite, "races");
    tcase_add_test(races, all_see_what_was_done_once);
}
