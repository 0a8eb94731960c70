/* test/test_event.c -- something that has happened, or not yet */
#include <coir/event.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "fiber/atomics.h"
#include "test/must.h"
#include "test/sync.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static int wait_and_tell(int number, void *arg)
{
    int rc = coir_event_wait(arg);
    tell("%d:%d", number, rc);
    return rc;
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* ---- Set and cleared ---- */

static int wait_for_set(void *arg)
{
    (void)arg;
    coir_event event = {0};
    ck_assert(!coir_event_is_set(&event));
    coir_event_set(&event);
    ck_assert(coir_event_is_set(&event));
    ck_assert_int_eq(coir_event_wait(&event), 0);
    ck_assert_int_eq(coir_event_wait(&event), 0);
    coir_event_set(&event);
    coir_event_clear(&event);
    ck_assert(!coir_event_is_set(&event));
    coir_event_clear(&event);
    ck_assert(!coir_event_is_set(&event));
    return 0;
}

START_TEST(event_stays_set_until_it_is_cleared)
{
    run_body(wait_for_set);
}
END_TEST

static int set_for_three(void *arg)
{
    (void)arg;
    coir_event event = {0};
    struct crew crew;
    crew_start(&crew, 3, wait_and_tell, &event);
    tell("set");
    coir_event_set(&event);
    ck_assert(coir_event_is_set(&event));
    return crew_end(&crew);
}

START_TEST(set_wakes_all_who_wait)
{
    run_body(set_for_three);
    ck_assert_int_eq((int)strlen(story()), (int)strlen("set 0:0 1:0 2:0"));
}
END_TEST

static int set_and_clear(void *arg)
{
    (void)arg;
    coir_event event = {0};
    struct crew crew;
    crew_start(&crew, 3, wait_and_tell, &event);
    coir_event_set(&event);
    coir_event_clear(&event);
    ck_assert(!coir_event_is_set(&event));
    return crew_end(&crew);
}

START_TEST(who_waits_goes_on_though_it_is_cleared_before_they_run)
{
    run_body(set_and_clear);
    ck_assert_int_eq((int)strlen(story()), (int)strlen("0:0 1:0 2:0"));
}
END_TEST

static int set_twice(void *arg)
{
    (void)arg;
    coir_event event = {0};
    struct crew crew, late;
    crew_start(&crew, 1, wait_and_tell, &event);
    coir_event_set(&event);
    coir_event_clear(&event);
    settle();
    crew_start(&late, 1, wait_and_tell, &event);
    tell("late");
    coir_event_set(&event);
    ck_assert_int_eq(crew_end(&late), 0);
    return crew_end(&crew);
}

START_TEST(who_comes_after_the_clear_waits_for_the_next_set)
{
    run_body(set_twice);
    ck_assert_str_eq(story(), "0:0 late 0:0");
}
END_TEST

static coir_event from_outside;

static int wait_for_outside(void *arg)
{
    (void)arg;
    return coir_event_wait(&from_outside);
}

START_TEST(event_may_be_set_where_no_runtime_runs)
{
    coir_event_set(&from_outside);
    ck_assert(coir_event_is_set(&from_outside));
    ck_assert_int_eq(coir_run(wait_for_outside, NULL), 0);
    coir_event_clear(&from_outside);
    ck_assert(!coir_event_is_set(&from_outside));
    ck_assert_int_eq(coir_event_wait(&from_outside), -EPERM);
}
END_TEST

static void *set_it(void *event)
{
    coir_event_set(event);
    return NULL;
}

static int set_by_thread(void *arg)
{
    (void)arg;
    coir_event event = {0};
    struct crew crew;
    crew_start(&crew, 3, wait_and_tell, &event);
    on_a_thread(set_it, &event);
    return crew_end(&crew);
}

START_TEST(event_may_be_set_by_any_thread)
{
    run_body(set_by_thread);
    ck_assert_int_eq((int)strlen(story()), (int)strlen("0:0 1:0 2:0"));
}
END_TEST

/* ---- Cancelled ---- */

static int cancel_one(void *arg)
{
    (void)arg;
    coir_event event = {0};
    struct crew crew;
    crew_start(&crew, 3, wait_and_tell, &event);
    coir_task_cancel(&crew.task[1]);
    settle();
    tell("set");
    coir_event_set(&event);
    settle();
    ck_assert_int_eq(coir_task_result(&crew.task[0]), 0);
    ck_assert_int_eq(coir_task_result(&crew.task[1]), -ECANCELED);
    ck_assert_int_eq(coir_task_result(&crew.task[2]), 0);
    return crew_end(&crew);
}

START_TEST(cancelled_waiter_leaves_the_others_waiting)
{
    run_body(cancel_one);
    ck_assert_int_eq(strncmp(story(), "1:-125 set", 10), 0);
}
END_TEST

static int cancel_all(void *arg)
{
    (void)arg;
    coir_event event = {0};
    struct crew crew;
    crew_start(&crew, 3, wait_and_tell, &event);
    for (int i = 0; i < 3; i++)
        coir_task_cancel(&crew.task[i]);
    settle();
    coir_event_set(&event); /* nobody is in its queue */
    ck_assert(coir_event_is_set(&event));
    return crew_end(&crew);
}

START_TEST(event_forgets_who_was_cancelled)
{
    run_body(cancel_all);
}
END_TEST

static int cancel_after_set(void *arg)
{
    (void)arg;
    coir_event event = {0};
    struct crew crew;
    crew_start(&crew, 1, wait_and_tell, &event);
    coir_event_set(&event);
    coir_task_cancel(&crew.task[0]);
    return crew_end(&crew);
}

START_TEST(set_before_the_cancel_wins)
{
    run_body(cancel_after_set);
    ck_assert_str_eq(story(), "0:0");
}
END_TEST

static int wait_cancelled(void *arg)
{
    (void)arg;
    coir_event event = {0};
    coir_scope scope;
    coir_event_set(&event);
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_event_wait(&event), -ECANCELED);
    coir_event_clear(&event);
    ck_assert_int_eq(coir_event_wait(&event), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ECANCELED);
    coir_timeout_open(&scope, MINUTES(1));
    int rc = coir_event_wait(&event);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
    return 0;
}

START_TEST(wait_is_a_cancellation_point_though_it_is_set)
{
    run_body(wait_cancelled);
}
END_TEST

/* ---- Races ---- */

static int set_for_parent(void *event)
{
    coir_event_set(event);
    return 0;
}

static void set_as_giver(void *event)
{
    coir_event_set(event);
}

/* Round by round the waiter overwrites and frees the event while the other may
 * still be on its way out of coir_event_set. */
static int free_when_woken(void *arg)
{
    struct giver *giver = arg; /* or a child does it */
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (uint64_t i = test_scaled(giver ? 5000 : 20000); i > 0; i--) {
        coir_event *event = calloc(1, sizeof *event);
        if (giver)
            giver_pass(giver, event);
        else
            must_not(coir_go(&nursery, set_for_parent, event) != 0);
        must_not(coir_event_wait(event) != 0);
        bury(event, sizeof *event);
    }
    bury(NULL, sizeof(coir_event));
    if (giver)
        giver_stop(giver);
    return coir_nursery_close(&nursery);
}

START_TEST(waiter_may_free_the_event_when_its_wait_returns)
{
    struct giver giver;
    giver_start(&giver, set_as_giver);
    ck_assert_int_eq(coir_run(free_when_woken, &giver), 0);
    ck_assert_int_eq(coir_run(free_when_woken, NULL), 0);
    assert_nothing_happened();
}
END_TEST

/* A doorbell: a thread rings after each thing that it has done, a fiber clears
 * the bell, looks for what was done, and waits if there was nothing. A ring
 * that finds the bell ringing must not get lost.
 *
 *     thread                      fiber
 *     done = 1
 *     set: it is set already      clear
 *       (done is not yet seen)    done is 0: wait, for ever  */
struct door {
    coir_event bell;
    _Atomic(uint64_t) done, seen;
    uint64_t rounds;
};

static void *do_and_ring(void *arg)
{
    struct door *door = arg;
    for (uint64_t i = 1; i <= door->rounds; i++) {
        store_relaxed(&door->done, i);
        coir_event_set(&door->bell);
        while (i > load_relaxed(&door->seen) + 1) /* not too far ahead */
            sched_yield();
    }
    return NULL;
}

static int answer(void *arg)
{
    struct door *door = arg;
    for (uint64_t seen = 0; seen < door->rounds;) {
        coir_event_clear(&door->bell);
        uint64_t done = load_relaxed(&door->done);
        if (done == seen)
            must_not(coir_event_wait(&door->bell) != 0);
        else
            store_relaxed(&door->seen, seen = done);
    }
    return 0;
}

START_TEST(set_that_finds_it_set_is_not_lost_on_who_clears_it)
{
    struct door door = {.rounds = test_scaled(200000)};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, do_and_ring, &door), 0);
    ck_assert_int_eq(coir_run(answer, &door), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    assert_nothing_happened();
}
END_TEST

/* TSan sees whether a set orders what was done before it. */
struct message {
    coir_event sent;
    int text; /* not atomic */
};

static int send(void *arg)
{
    struct message *message = arg;
    message->text = 7;
    coir_event_set(&message->sent);
    return 0;
}

static int receive(void *arg)
{
    struct message *message = arg;
    int rc = coir_event_wait(&message->sent);
    must_not(message->text != 7);
    return rc;
}

static int exchange_messages(void *arg)
{
    (void)arg;
    int rc = 0;
    for (uint64_t i = test_scaled(2000); i > 0 && rc == 0; i--) {
        struct message message = {.text = 0};
        coir_nursery nursery;
        coir_nursery_open(&nursery);
        rc = coir_go(&nursery, receive, &message);
        if (rc == 0)
            rc = coir_go(&nursery, send, &message);
        if (rc == 0)
            rc = coir_go(&nursery, receive, &message);
        rc = coir_nursery_close_with(&nursery, rc);
    }
    return rc;
}

START_TEST(what_was_done_before_the_set_is_seen_after_the_wait)
{
    ck_assert_int_eq(coir_run(exchange_messages, NULL), 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(event, TEST_WORKERS | TEST_SEEDED)
{
    TCase *set = test_case(suite, "set and cleared");
    tcase_add_test(set, event_stays_set_until_it_is_cleared);
    tcase_add_test(set, set_wakes_all_who_wait);
    tcase_add_test(set, who_waits_goes_on_though_it_is_cleared_before_they_run);
    tcase_add_test(set, who_comes_after_the_clear_waits_for_the_next_set);
    tcase_add_test(set, event_may_be_set_where_no_runtime_runs);
    tcase_add_test(set, event_may_be_set_by_any_thread);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, cancelled_waiter_leaves_the_others_waiting);
    tcase_add_test(cancelled, event_forgets_who_was_cancelled);
    tcase_add_test(cancelled, set_before_the_cancel_wins);
    tcase_add_test(cancelled, wait_is_a_cancellation_point_though_it_is_set);

    TCase *races = test_case(suite, "races");
    tcase_add_test(races, waiter_may_free_the_event_when_its_wait_returns);
    tcase_add_test(races, set_that_finds_it_set_is_not_lost_on_who_clears_it);
    tcase_add_test(races, what_was_done_before_the_set_is_seen_after_the_wait);
}
