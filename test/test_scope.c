/* test/test_scope.c -- coir_scope: cancelling, shields, what close gives back
 *
 * Deadlines are in test_scope_deadline.c. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* Every call that parks and needs no object of its own. */
static void check_all_cancelled(void)
{
    coir_task *none[1] = {NULL}; /* of which no call looks at any */
    int item = 0;
    ck_assert_int_eq(coir_sleep(0), -ECANCELED);
    ck_assert_int_eq(coir_sleep(HOURS(1)), -ECANCELED);
    ck_assert_int_eq(coir_sleep_until(0), -ECANCELED);
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    ck_assert_int_eq(coir_checkpoint(), -ECANCELED);
    ck_assert_int_eq(coir_wait(none, 0, COIR_NOW), -ECANCELED);
    ck_assert_int_eq(coir_each(NULL, &item, 0, sizeof item, 0), -ECANCELED);
    ck_assert_int_eq(coir_parallel(NULL, &item, 0, sizeof item), -ECANCELED);
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* ---- Cancelled ---- */

static int cancel_own(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_scope_open(&scope);
    ck_assert(!coir_scope_cancelled(&scope));
    ck_assert_int_eq(coir_sleep(1), 0);
    coir_scope_cancel(&scope);
    ck_assert(coir_scope_cancelled(&scope));
    check_all_cancelled();
    check_all_cancelled(); /* not once, but as long as the scope is open */
    coir_scope_cancel(&scope);
    ck_assert(coir_scope_cancelled(&scope));
    ck_assert(!coir_scope_expired(&scope));
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ECANCELED);
    ck_assert_int_eq(coir_sleep(1), 0);
    return 0;
}

START_TEST(scope_cancels_every_call_until_it_is_closed)
{
    run_body(cancel_own);
}
END_TEST

static int cancel_scope(void *arg)
{
    int rc = coir_sleep(MINUTES(1));
    coir_scope_cancel(arg);
    return rc;
}

static int cancelled_while_parked(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_scope scope;
    coir_scope_open(&scope);
    ck_assert_int_eq(coir_go(&nursery, cancel_scope, &scope), 0);
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ECANCELED);
    return coir_nursery_close(&nursery);
}

START_TEST(scope_cancelled_by_another_fiber_wakes_who_waits_inside)
{
    run_body(cancelled_while_parked);
}
END_TEST

struct handshake {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    coir_scope *scope; /* NULL: not yet */
};

static void *cancel_on_thread(void *arg)
{
    struct handshake *hand = arg;
    pthread_mutex_lock(&hand->lock);
    while (!hand->scope)
        pthread_cond_wait(&hand->changed, &hand->lock);
    pthread_mutex_unlock(&hand->lock);
    coir_scope_cancel(hand->scope);
    return NULL;
}

static int cancelled_by_thread(void *arg)
{
    struct handshake *hand = arg;
    coir_scope scope;
    coir_scope_open(&scope);
    pthread_mutex_lock(&hand->lock);
    hand->scope = &scope;
    pthread_cond_signal(&hand->changed);
    pthread_mutex_unlock(&hand->lock);
    int rc = coir_sleep(COIR_NEVER);
    coir_failure cause;
    ck_assert_int_eq(coir_cancel_cause(&cause), 0);
    ck_assert_int_eq(cause.code, -ECANCELED);
    ck_assert_uint_eq(cause.id, 0);
    rc = coir_scope_close(&scope, rc);
    memset(&scope, 0xa5, sizeof scope); /* nobody looks at it any more */
    return rc;
}

START_TEST(scope_may_be_cancelled_by_any_thread)
{
    int wrong = 0;
    for (int i = 0; i < (int)test_scaled(20); i++) {
        struct handshake hand = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER};
        pthread_t thread;
        int rc = pthread_create(&thread, NULL, cancel_on_thread, &hand);
        ck_assert_int_eq(rc, 0);
        wrong += coir_run(cancelled_by_thread, &hand) != -ECANCELED;
        pthread_join(thread, NULL);
    }
    ck_assert_int_eq(wrong, 0);
}
END_TEST

/* ---- Around and inside ---- */

static int cancel_outer(void *arg)
{
    (void)arg;
    coir_scope outer, inner;
    coir_scope_open(&outer);
    coir_scope_open(&inner);
    coir_scope_cancel(&outer);
    check_all_cancelled();
    ck_assert_int_eq(coir_scope_close(&inner, -ECANCELED), -ECANCELED);
    check_all_cancelled();
    ck_assert_int_eq(coir_scope_close(&outer, -ECANCELED), -ECANCELED);
    return coir_yield();
}

START_TEST(scope_cancels_what_is_nested_in_it)
{
    run_body(cancel_outer);
}
END_TEST

static int cancel_inner(void *arg)
{
    (void)arg;
    coir_scope outer, inner;
    coir_scope_open(&outer);
    coir_scope_open(&inner);
    coir_scope_cancel(&inner);
    check_all_cancelled();
    ck_assert_int_eq(coir_scope_close(&inner, -ECANCELED), -ECANCELED);
    ck_assert(!coir_scope_cancelled(&outer));
    ck_assert_int_eq(coir_yield(), 0);
    return coir_scope_close(&outer, 0);
}

START_TEST(scope_does_not_cancel_what_is_around_it)
{
    run_body(cancel_inner);
}
END_TEST

static int open_in_cancelled(void *arg)
{
    (void)arg;
    coir_scope outer, inner;
    coir_scope_open(&outer);
    coir_scope_cancel(&outer);
    coir_scope_open(&inner);
    check_all_cancelled();
    ck_assert_int_eq(coir_scope_close(&inner, -ECANCELED), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&outer, 0), 0);
    return coir_yield();
}

START_TEST(scope_opened_in_a_cancelled_one_is_cancelled)
{
    run_body(open_in_cancelled);
}
END_TEST

static int sleep_and_tell(void *arg)
{
    int rc = coir_sleep(COIR_NEVER);
    tell("%s", (const char *)arg);
    return rc;
}

static int sleep_below(void *arg)
{
    coir_scope scope;
    coir_scope_open(&scope);
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, sleep_and_tell, arg);
    rc = coir_nursery_close_with(&nursery, rc);
    ck_assert_int_eq(rc, -ECANCELED);
    return coir_scope_close(&scope, rc);
}

static int cancel_above_fibers(void *arg)
{
    (void)arg;
    static char word[] = "cancelled";
    coir_nursery outside, nursery;
    coir_nursery_open(&outside);
    coir_scope scope;
    coir_scope_open(&scope);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&outside, cancel_scope, &scope), 0);
    ck_assert_int_eq(coir_go(&nursery, sleep_and_tell, word), 0);
    ck_assert_int_eq(coir_go(&nursery, sleep_below, word), 0);
    ck_assert_int_eq(coir_go(&nursery, sleep_below, word), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ECANCELED);
    return coir_nursery_close(&outside);
}

START_TEST(scope_cancels_the_fibers_of_every_nursery_inside_it)
{
    run_body(cancel_above_fibers);
    ck_assert_str_eq(story(), "cancelled cancelled cancelled");
}
END_TEST

/* ---- What close gives back ---- */

static int close_with_others(void *arg)
{
    (void)arg;
    const int results[] = {0, 5, -EIO, -ETIMEDOUT, -ECANCELED};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        coir_scope scope;
        coir_scope_open(&scope);
        ck_assert_int_eq(coir_scope_close(&scope, results[i]), results[i]);

        coir_scope_open(&scope);
        coir_scope_cancel(&scope);
        ck_assert_int_eq(coir_scope_close(&scope, results[i]), results[i]);
    }
    return coir_yield();
}

START_TEST(scope_passes_other_results_through)
{
    run_body(close_with_others);
}
END_TEST

/* ---- Shields ---- */

static int shield_against_outer(void *arg)
{
    (void)arg;
    coir_scope outer, shield;
    coir_scope_open(&outer);
    coir_shield_open(&shield);
    coir_scope_cancel(&outer);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    ck_assert_int_eq(coir_yield(), 0);
    ck_assert_int_eq(coir_checkpoint(), 0);
    ck_assert(!coir_scope_cancelled(&shield));
    ck_assert_int_eq(coir_scope_close(&shield, 3), 3);
    check_all_cancelled();
    ck_assert_int_eq(coir_scope_close(&outer, -ECANCELED), -ECANCELED);
    return coir_yield();
}

START_TEST(shield_holds_off_what_is_cancelled_around_it)
{
    run_body(shield_against_outer);
}
END_TEST

static int shield_in_cancelled(void *arg)
{
    (void)arg;
    coir_scope outer, shield, inner, deeper;
    coir_scope_open(&outer);
    coir_scope_cancel(&outer);
    coir_shield_open(&shield);
    coir_scope_open(&inner);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    coir_scope_cancel(&inner); /* the shield is around it, not inside */
    check_all_cancelled();
    coir_shield_open(&deeper);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    ck_assert_int_eq(coir_scope_close(&deeper, 0), 0);
    check_all_cancelled();
    ck_assert_int_eq(coir_scope_close(&inner, -ECANCELED), -ECANCELED);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    ck_assert_int_eq(coir_scope_close(&shield, 0), 0);
    check_all_cancelled();
    ck_assert_int_eq(coir_scope_close(&outer, -ECANCELED), -ECANCELED);
    return 0;
}

START_TEST(shield_nests_with_scopes_and_shields)
{
    run_body(shield_in_cancelled);
}
END_TEST

static int cancel_the_shield(void *arg)
{
    (void)arg;
    coir_scope outer, shield;
    coir_scope_open(&outer);
    coir_shield_open(&shield);
    coir_scope_cancel(&shield);
    check_all_cancelled();
    ck_assert_int_eq(coir_scope_close(&shield, -ECANCELED), -ECANCELED);
    ck_assert_int_eq(coir_yield(), 0);
    return coir_scope_close(&outer, 0);
}

START_TEST(shield_can_be_cancelled_itself)
{
    run_body(cancel_the_shield);
}
END_TEST

static int sleep_a_minute(void *arg)
{
    int rc = coir_sleep(MINUTES(1));
    tell("%s %d", (const char *)arg, rc);
    return rc;
}

static int shield_children(void *arg)
{
    (void)arg;
    static char word[] = "shielded";
    coir_scope outer, shield;
    coir_scope_open(&outer);
    coir_shield_open(&shield);
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, sleep_a_minute, word), 0);
    ck_assert_int_eq(coir_yield(), 0);
    coir_scope_cancel(&outer);
    ck_assert_int_eq(coir_go(&nursery, sleep_a_minute, word), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_scope_close(&shield, 0), 0);
    ck_assert_int_eq(coir_scope_close(&outer, coir_yield()), -ECANCELED);
    return 0;
}

START_TEST(shield_covers_the_fibers_inside_it)
{
    run_body(shield_children);
    ck_assert_str_eq(story(), "shielded 0 shielded 0");
}
END_TEST

static int clean_up_in_shield(void *arg)
{
    int rc = coir_sleep(COIR_NEVER);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_shielded(sleep_a_minute, arg), 0);
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    return rc;
}

static int cancel_who_cleans_up(void *arg)
{
    (void)arg;
    static char word[] = "cleaned";
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, clean_up_in_shield, word), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    coir_nursery_cancel(&nursery);
    return coir_nursery_close(&nursery);
}

START_TEST(shielded_runs_to_its_end_in_a_cancelled_fiber)
{
    run_body(cancel_who_cleans_up);
    ck_assert_str_eq(story(), "cleaned 0");
}
END_TEST

static int tell_identity(void *arg)
{
    return coir_id() == *(const uint64_t *)arg ? 8 : -ESRCH;
}

static int call_in_place(void *arg)
{
    (void)arg;
    uint64_t id = coir_id();
    ck_assert_int_eq(coir_shielded(tell_identity, &id), 8);
    ck_assert_int_eq(coir_timeout(MINUTES(1), tell_identity, &id), 8);
    id++;
    ck_assert_int_eq(coir_shielded(tell_identity, &id), -ESRCH);
    ck_assert_int_eq(coir_timeout(MINUTES(1), tell_identity, &id), -ESRCH);

    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    id--;
    ck_assert_int_eq(coir_timeout(MINUTES(1), tell_identity, &id), 8);
    return coir_scope_close(&scope, 0);
}

START_TEST(shielded_and_timeout_call_in_the_calling_fiber)
{
    run_body(call_in_place);
}
END_TEST

COIR_SUITE(scope, TEST_WORKERS | TEST_SEEDED)
{
    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, scope_cancels_every_call_until_it_is_closed);
    tcase_add_test(cancelled,
                   scope_cancelled_by_another_fiber_wakes_who_waits_inside);
    tcase_add_test(cancelled, scope_may_be_cancelled_by_any_thread);
    tcase_add_test(cancelled, scope_passes_other_results_through);

    TCase *nested = test_case(suite, "nested");
    tcase_add_test(nested, scope_cancels_what_is_nested_in_it);
    tcase_add_test(nested, scope_does_not_cancel_what_is_around_it);
    tcase_add_test(nested, scope_opened_in_a_cancelled_one_is_cancelled);
    tcase_add_test(nested, scope_cancels_the_fibers_of_every_nursery_inside_it);

    TCase *shield = test_case(suite, "shield");
    tcase_add_test(shield, shield_holds_off_what_is_cancelled_around_it);
    tcase_add_test(shield, shield_nests_with_scopes_and_shields);
    tcase_add_test(shield, shield_can_be_cancelled_itself);
    tcase_add_test(shield, shield_covers_the_fibers_inside_it);
    tcase_add_test(shield, shielded_runs_to_its_end_in_a_cancelled_fiber);
    tcase_add_test(shield, shielded_and_timeout_call_in_the_calling_fiber);
}
