/* test/test_yield.c -- coir_yield, coir_checkpoint, coir_pin */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "fiber/atomics.h"
#include "test/harness.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

/* ---- Turns, with one worker ---- */

enum { PLAYERS = 4, ROUNDS = 50, TURNS = PLAYERS * ROUNDS };

/* With one worker nothing here is shared. */
static struct {
    int begun;
    int turns[TURNS];
    int count;
} game;

static int play(void *arg)
{
    game.begun++;
    int rc = 0;
    while (game.begun < PLAYERS && rc == 0)
        rc = coir_yield();
    while (game.count < TURNS && rc == 0) {
        game.turns[game.count++] = *(const int *)arg;
        rc = coir_yield();
    }
    return rc;
}

static int play_all(void *arg)
{
    (void)arg;
    int players[PLAYERS] = {0, 1, 2, 3};
    return coir_each(play, players, PLAYERS, sizeof *players, 0);
}

START_TEST(yield_gives_every_other_fiber_its_turn)
{
    game.begun = game.count = 0;
    ck_assert_int_eq(run_workers(1, play_all, NULL), 0);
    ck_assert_int_eq(game.count, TURNS);
    /* The round in which the last of them came may be an odd one. */
    int unfair = 0;
    for (int i = 2 * PLAYERS; i < TURNS; i++)
        unfair += game.turns[i] != game.turns[i - PLAYERS];
    ck_assert_int_eq(unfair, 0);
    bool seen[PLAYERS] = {false};
    for (int i = TURNS - PLAYERS; i < TURNS; i++)
        seen[game.turns[i]] = true;
    for (int i = 0; i < PLAYERS; i++)
        ck_assert(seen[i]);
}
END_TEST

static int raise_flag(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

static int yield_to_a_child(void *arg)
{
    bool flag = false;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, raise_flag, &flag);
    for (int i = 0; i < 1000 && !flag && rc == 0; i++)
        rc = coir_yield();
    *(bool *)arg = flag;
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(yield_lets_a_new_child_begin)
{
    bool flag = false;
    ck_assert_int_eq(run_workers(1, yield_to_a_child, &flag), 0);
    ck_assert(flag);
}
END_TEST

static int yield_alone(void *arg)
{
    int *failed = arg;
    for (int i = 0; i < 1000; i++)
        *failed += coir_yield() != 0;
    return 0;
}

START_TEST(yield_alone_succeeds)
{
    int failed = 0;
    ck_assert_int_eq(coir_run(yield_alone, &failed), 0);
    ck_assert_int_eq(failed, 0);
}
END_TEST

static int yield_cancelled(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    ck_assert_int_eq(coir_checkpoint(), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ECANCELED);
    ck_assert_int_eq(coir_yield(), 0);
    ck_assert_int_eq(coir_checkpoint(), 0);
    return 0;
}

START_TEST(yield_in_a_cancelled_scope_is_cancelled)
{
    ck_assert_int_eq(coir_run(yield_cancelled, NULL), 0);
}
END_TEST

/* ---- Checkpoints ---- */

enum { CHECKS = 1000 };

struct share {
    bool over;  /* the busy fiber has done its work */
    int calls;  /* checkpoints of the busy fiber */
    int visits; /* turns that the other fiber had meanwhile */
    int failed; /* results that were not 0 */
    int (*call)(struct share *share);
    coir_task done;
};

static int visit(void *arg)
{
    struct share *share = arg;
    while (!share->over) {
        share->visits++;
        share->failed += coir_yield() != 0;
    }
    return 0;
}

/* Calls until the other fiber has had a turn, and CHECKS times at least. */
static int keep_busy(void *arg)
{
    struct share *share = arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &share->done, raise_flag, &share->over);
    if (rc == 0)
        rc = coir_join(&share->done, NULL);
    share->over = false;
    if (rc == 0)
        rc = coir_go(&nursery, visit, share);
    while (rc == 0 && (share->visits == 0 || share->calls < CHECKS)) {
        share->calls++;
        share->failed += share->call(share) != 0;
    }
    share->over = true;
    return coir_nursery_close_with(&nursery, rc);
}

static int call_checkpoint(struct share *share)
{
    (void)share;
    return coir_checkpoint();
}

START_TEST(checkpoint_yields_when_the_share_is_used_up)
{
    struct share share = {.call = call_checkpoint};
    ck_assert_int_eq(run_workers(1, keep_busy, &share), 0);
    ck_assert_int_gt(share.visits, 0);
    ck_assert_int_eq(share.failed, 0);
}
END_TEST

START_TEST(checkpoint_does_not_yield_each_time)
{
    struct share share = {.call = call_checkpoint};
    ck_assert_int_eq(run_workers(1, keep_busy, &share), 0);
    ck_assert_int_lt(share.visits, share.calls / 2);
}
END_TEST

static int call_join(struct share *share)
{
    return coir_join(&share->done, NULL);
}

START_TEST(call_that_succeeds_at_once_uses_up_the_share_too)
{
    struct share share = {.call = call_join};
    ck_assert_int_eq(run_workers(1, keep_busy, &share), 0);
    ck_assert_int_gt(share.visits, 0);
    ck_assert_int_eq(share.failed, 0);
}
END_TEST

/* ---- errno ---- */

/* Compilers keep where errno is over a call that changes the thread. */
__attribute__((noinline)) static void set_errno(int value)
{
    __asm__ volatile("");
    errno = value;
}

__attribute__((noinline)) static int get_errno(void)
{
    __asm__ volatile("");
    return errno;
}

enum { KEEPERS = 16, KEPT = 100 };

static int keep_errno(void *arg)
{
    int *changed = arg;
    int rc = 0;
    for (int i = 0; i < KEPT && rc == 0; i++) {
        int mine = 1000 + (int)coir_id() % 1000 + i;
        set_errno(mine);
        rc = i % 10 == 0 ? coir_sleep(COIR_US(1)) : coir_yield();
        *changed += get_errno() != mine;
    }
    return rc;
}

static int keep_errnos(void *arg)
{
    return coir_each(keep_errno, arg, KEEPERS, sizeof(int), 0);
}

START_TEST(yield_and_sleep_keep_errno)
{
    int changed[KEEPERS] = {0};
    ck_assert_int_eq(coir_run(keep_errnos, changed), 0);
    for (int i = 0; i < KEEPERS; i++)
        ck_assert_int_eq(changed[i], 0);
}
END_TEST

/* ---- Pins ---- */

enum { PINNED = 8, MOVES = 200 };

static _Atomic int strays; /* a pinned fiber found itself on another thread */

static int come_back(void *arg)
{
    (void)arg;
    return coir_yield();
}

/* Park in every way that there is without a lock or a descriptor. */
static int park_somehow(int i)
{
    coir_nursery nursery;
    coir_task task;
    switch (i % 4) {
    case 0:
        return coir_yield();
    case 1:
        return coir_sleep(COIR_US(1));
    case 2:
        coir_nursery_open(&nursery);
        return coir_nursery_close_with(&nursery,
                                       coir_go(&nursery, come_back, NULL));
    default: {
        coir_nursery_open(&nursery);
        int rc = coir_spawn(&nursery, &task, come_back, NULL);
        if (rc == 0)
            rc = coir_join(&task, NULL);
        return coir_nursery_close_with(&nursery, rc);
    }
    }
}

static int stay(void *arg)
{
    int moves = *(const int *)arg;
    coir_pin();
    pid_t thread = gettid();
    int rc = 0;
    for (int i = 0; i < moves && rc == 0; i++) {
        rc = park_somehow(i);
        strays += gettid() != thread;
    }
    coir_pin();
    rc = rc == 0 ? coir_yield() : rc;
    coir_unpin(); /* the first pin still holds */
    for (int i = 0; i < moves && rc == 0; i++) {
        rc = park_somehow(i);
        strays += gettid() != thread;
    }
    coir_unpin();
    return rc < 0 ? rc : coir_yield();
}

static int roam(void *arg)
{
    int rc = 0;
    for (int i = 0; i < *(const int *)arg && rc == 0; i++)
        rc = park_somehow(i);
    return rc;
}

static int pin_some(void *arg)
{
    (void)arg;
    int moves = (int)test_scaled(MOVES);
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < PINNED && rc == 0; i++) {
        rc = coir_go(&nursery, stay, &moves);
        if (rc == 0)
            rc = coir_go(&nursery, roam, &moves);
    }
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(pin_keeps_the_fiber_on_its_thread)
{
    strays = 0;
    ck_assert_int_eq(coir_run(pin_some, NULL), 0);
    ck_assert_int_eq(strays, 0);
}
END_TEST

static int cancel_pinned(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_timeout_open(&scope, COIR_MS(1));
    coir_pin();
    pid_t thread = gettid();
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    ck_assert_int_eq(gettid(), thread);
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    coir_unpin();
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ETIMEDOUT);
    return coir_yield();
}

START_TEST(pin_does_not_hold_off_cancellation)
{
    ck_assert_int_eq(coir_run(cancel_pinned, NULL), 0);
}
END_TEST

/* ---- more than a run queue holds ---- */

enum { CROWD = 1000 };

static _Atomic(unsigned) passed;

static int yield_until_all_have(void *arg)
{
    int rc = coir_yield();
    (void)arg;
    fetch_add_relaxed(&passed, 1); /* a count */
    while (rc == 0 && load_relaxed(&passed) < CROWD)
        rc = coir_yield();
    return rc;
}

static int start_crowd(void *arg)
{
    return coir_each(yield_until_all_have, arg, CROWD, 1, 0);
}

START_TEST(yield_lets_each_of_a_thousand_go_on)
{
    static char items[CROWD];
    ck_assert_int_eq(coir_run(start_crowd, items), 0);
    ck_assert_uint_eq(load_relaxed(&passed), CROWD);
}
END_TEST

COIR_SUITE(yield, TEST_WORKERS)
{
    TCase *turns = test_case(suite, "turns");
    tcase_add_test(turns, yield_gives_every_other_fiber_its_turn);
    tcase_add_test(turns, yield_lets_a_new_child_begin);
    tcase_add_test(turns, yield_alone_succeeds);
    tcase_add_test(turns, yield_in_a_cancelled_scope_is_cancelled);
    tcase_add_test(turns, yield_and_sleep_keep_errno);

    TCase *checkpoint = test_case(suite, "checkpoint");
    tcase_add_test(checkpoint, checkpoint_yields_when_the_share_is_used_up);
    tcase_add_test(checkpoint, checkpoint_does_not_yield_each_time);
    tcase_add_test(checkpoint,
                   call_that_succeeds_at_once_uses_up_the_share_too);

    TCase *pin = test_case(suite, "pin");
    tcase_add_test(pin, pin_keeps_the_fiber_on_its_thread);
    tcase_add_test(pin, pin_does_not_hold_off_cancellation);

    TCase *crowd = test_case(suite, "crowd");
    tcase_add_test(crowd, yield_lets_each_of_a_thousand_go_on);
}
