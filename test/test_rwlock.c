/* test/test_rwlock.c -- a lock for one writer or many readers */
#include <coir/event.h>
#include <coir/run.h>
#include <coir/rwlock.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/must.h"
#include "test/sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Members do what stands for them in the plan, 'r' or 'w', and hold the lock
 * until they may go on. */
struct shared {
    coir_rwlock lock;
    coir_event go_on;
    const char *plan;
};

static int lock_and_hold(int number, void *arg)
{
    struct shared *shared = arg;
    char what = shared->plan[number];
    int rc = what == 'r' ? coir_rwlock_read(&shared->lock)
                         : coir_rwlock_write(&shared->lock);
    tell("%c%d:%d", what, number, rc);
    if (rc < 0)
        return rc;
    rc = coir_event_wait(&shared->go_on);
    coir_rwlock_unlock(&shared->lock);
    return rc;
}

static void start(struct crew *crew, struct shared *shared)
{
    crew_start(crew, (int)strlen(shared->plan), lock_and_hold, shared);
}

/* Whoever has it gives it back, the next get in. */
static void let_go_on(struct shared *shared)
{
    tell("|");
    coir_event_set(&shared->go_on);
    coir_event_clear(&shared->go_on);
    settle();
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

static void run_plan(coir_fn *body, const char *plan)
{
    ck_assert_int_eq(run_story(0, body, (void *)(uintptr_t)plan), 0);
}

static int go_through_plan(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    start(&crew, &shared);
    for (size_t i = 0; i < strlen(shared.plan); i++)
        let_go_on(&shared);
    ck_assert_int_eq(coir_rwlock_try_write(&shared.lock), 0);
    coir_rwlock_unlock(&shared.lock);
    return crew_end(&crew);
}

/* ---- Locking ---- */

static int try_all(void *arg)
{
    (void)arg;
    coir_rwlock lock = {0};
    ck_assert_int_eq(coir_rwlock_read(&lock), 0);
    ck_assert_int_eq(coir_rwlock_try_read(&lock), 0);
    ck_assert_int_eq(coir_rwlock_try_write(&lock), -EBUSY);
    coir_rwlock_unlock(&lock);
    ck_assert_int_eq(coir_rwlock_try_write(&lock), -EBUSY);
    coir_rwlock_unlock(&lock);
    ck_assert_int_eq(coir_rwlock_try_write(&lock), 0);
    ck_assert_int_eq(coir_rwlock_try_read(&lock), -EBUSY);
    ck_assert_int_eq(coir_rwlock_try_write(&lock), -EBUSY);
    coir_rwlock_unlock(&lock);
    ck_assert_int_eq(coir_rwlock_write(&lock), 0);
    coir_rwlock_unlock(&lock);
    return 0;
}

START_TEST(many_may_read_or_one_may_write)
{
    run_body(try_all);
}
END_TEST

START_TEST(rwlock_is_locked_by_fibers_only)
{
    coir_rwlock lock = {0};
    ck_assert_int_eq(coir_rwlock_read(&lock), -EPERM);
    ck_assert_int_eq(coir_rwlock_write(&lock), -EPERM);
    ck_assert_int_eq(coir_rwlock_try_read(&lock), -EPERM);
    ck_assert_int_eq(coir_rwlock_try_write(&lock), -EPERM);
}
END_TEST

/* ---- Order ---- */

START_TEST(writers_take_turns_in_order)
{
    run_plan(go_through_plan, "www");
    ck_assert_str_eq(story(), "w0:0 | w1:0 | w2:0 |");
}
END_TEST

START_TEST(readers_hold_it_together)
{
    run_plan(go_through_plan, "rrr");
    ck_assert_str_eq(story(), "r0:0 r1:0 r2:0 | | |");
}
END_TEST

START_TEST(reader_stands_behind_a_writer_that_waits)
{
    run_plan(go_through_plan, "rwr");
    ck_assert_str_eq(story(), "r0:0 | w1:0 | r2:0 |");
}
END_TEST

static int run_two_readers(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    start(&crew, &shared);
    let_go_on(&shared);
    /* Those that stand together got in together, the last of them not. */
    ck_assert_int_eq(coir_rwlock_try_read(&shared.lock), -EBUSY);
    const char *both = strstr(story(), "| r1:0 r2:0");
    if (!both)
        both = strstr(story(), "| r2:0 r1:0");
    ck_assert_ptr_nonnull(both);
    ck_assert_ptr_null(strstr(story(), "r4"));
    let_go_on(&shared);
    let_go_on(&shared);
    let_go_on(&shared);
    return crew_end(&crew);
}

START_TEST(readers_that_stand_together_get_in_together)
{
    run_plan(run_two_readers, "wrrwr");
}
END_TEST

static int try_while_one_waits(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    start(&crew, &shared);
    ck_assert_int_eq(coir_rwlock_try_read(&shared.lock), -EBUSY);
    let_go_on(&shared);
    let_go_on(&shared);
    ck_assert_int_eq(coir_rwlock_try_read(&shared.lock), 0);
    coir_rwlock_unlock(&shared.lock);
    return crew_end(&crew);
}

START_TEST(newcomer_does_not_overtake_who_waits)
{
    run_plan(try_while_one_waits, "rw");
}
END_TEST

/* ---- Cancelled ---- */

static int cancel_writer(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    start(&crew, &shared);
    coir_task_cancel(&crew.task[1]);
    settle();
    /* Nobody has unlocked. */
    ck_assert_int_eq(coir_rwlock_try_read(&shared.lock), -EBUSY);
    let_go_on(&shared);
    let_go_on(&shared);
    return crew_end(&crew);
}

START_TEST(readers_get_in_when_the_writer_before_them_is_cancelled)
{
    run_plan(cancel_writer, "rwrw");
    ck_assert_str_eq(story(), "r0:0 w1:-125 r2:0 | w3:0 |");
}
END_TEST

static int cancel_at_unlock(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    ck_assert_int_eq(coir_rwlock_write(&shared.lock), 0);
    start(&crew, &shared);
    coir_task_cancel(&crew.task[0]);
    coir_rwlock_unlock(&shared.lock); /* it may still be in the queue */
    settle();
    ck_assert_int_eq(coir_task_result(&crew.task[0]), -ECANCELED);
    ck_assert_int_eq(coir_rwlock_try_write(&shared.lock), -EBUSY);
    let_go_on(&shared);
    return crew_end(&crew);
}

START_TEST(lock_goes_past_who_was_cancelled)
{
    run_plan(cancel_at_unlock, "rr");
    run_plan(cancel_at_unlock, "rw");
    run_plan(cancel_at_unlock, "wr");
    run_plan(cancel_at_unlock, "ww");
}
END_TEST

static int cancel_after_unlock(void *arg)
{
    struct shared shared = {.plan = arg};
    struct crew crew;
    ck_assert_int_eq(coir_rwlock_write(&shared.lock), 0);
    start(&crew, &shared);
    coir_rwlock_unlock(&shared.lock);
    coir_task_cancel(&crew.task[0]);
    settle();
    ck_assert_int_eq(coir_rwlock_try_write(&shared.lock), 0);
    coir_rwlock_unlock(&shared.lock);
    return crew_end(&crew);
}

START_TEST(unlock_before_the_cancel_wins)
{
    run_plan(cancel_after_unlock, "r");
    ck_assert_str_eq(story(), "r0:0");
    run_plan(cancel_after_unlock, "w");
    ck_assert_str_eq(story(), "w0:0");
}
END_TEST

static int lock_cancelled(void *arg)
{
    (void)arg;
    coir_rwlock lock = {0};
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_rwlock_read(&lock), -ECANCELED);
    ck_assert_int_eq(coir_rwlock_write(&lock), -ECANCELED);
    ck_assert_int_eq(coir_rwlock_try_write(&lock), 0);
    coir_rwlock_unlock(&lock);
    return coir_scope_close(&scope, 0);
}

START_TEST(locking_is_a_cancellation_point_though_it_is_free)
{
    run_body(lock_cancelled);
}
END_TEST

/* ---- Races ---- */

/* Pinned to another worker than the one who lets it in, it goes on at once. */
static int write_and_free(void *arg)
{
    coir_rwlock *lock = arg;
    coir_pin();
    must_not(coir_rwlock_write(lock) != 0);
    bury(lock, sizeof *lock);
    coir_unpin();
    return 0;
}

static int unlock_for_child(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (uint64_t i = test_scaled(5000); i > 0; i--) {
        coir_rwlock *lock = calloc(1, sizeof *lock);
        must_not((i % 2 ? coir_rwlock_read(lock) : coir_rwlock_write(lock)) !=
                 0);
        must_not(coir_go(&nursery, write_and_free, lock) != 0);
        if (i % 4)
            must_not(coir_sleep(COIR_US(20)) != 0);
        coir_rwlock_unlock(lock);
    }
    int rc = coir_nursery_close(&nursery);
    bury(NULL, sizeof(coir_rwlock));
    return rc;
}

START_TEST(who_has_locked_it_to_write_may_free_it)
{
    ck_assert_int_eq(coir_run(unlock_for_child, NULL), 0);
    assert_nothing_happened();
}
END_TEST

/* Two numbers that are equal but while somebody writes; TSan sees whether the
 * lock orders readers and writers. */
struct pair {
    coir_rwlock lock;
    uint64_t a, b, rounds; /* not atomic */
};

static int read_or_write(void *arg)
{
    struct pair *pair = arg;
    for (uint64_t i = 0; i < pair->rounds; i++) {
        bool write = i % 4 == 0;
        must_not((write ? coir_rwlock_write(&pair->lock)
                        : coir_rwlock_read(&pair->lock)) != 0);
        if (write)
            pair->a++;
        if (i % 16 < 2)
            must_not(coir_yield() != 0);
        if (write)
            pair->b++;
        must_not(pair->a != pair->b);
        coir_rwlock_unlock(&pair->lock);
    }
    return 0;
}

static int read_and_write_together(void *arg)
{
    (void)arg;
    struct pair pair = {.rounds = test_scaled(4000)};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < 8 && rc == 0; i++)
        rc = coir_go(&nursery, read_or_write, &pair);
    rc = coir_nursery_close_with(&nursery, rc);
    must_not(pair.a != 8 * ((pair.rounds + 3) / 4));
    return rc;
}

START_TEST(writer_is_alone)
{
    ck_assert_int_eq(coir_run(read_and_write_together, NULL), 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(rwlock, TEST_WORKERS | TEST_SEEDED)
{
    TCase *locking = test_case(suite, "locking");
    tcase_add_test(locking, many_may_read_or_one_may_write);
    tcase_add_test(locking, rwlock_is_locked_by_fibers_only);

    TCase *order = test_case(suite, "order");
    tcase_add_test(order, writers_take_turns_in_order);
    tcase_add_test(order, readers_hold_it_together);
    tcase_add_test(order, reader_stands_behind_a_writer_that_waits);
    tcase_add_test(order, readers_that_stand_together_get_in_together);
    tcase_add_test(order, newcomer_does_not_overtake_who_waits);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled,
                   readers_get_in_when_the_writer_before_them_is_cancelled);
    tcase_add_test(cancelled, lock_goes_past_who_was_cancelled);
    tcase_add_test(cancelled, unlock_before_the_cancel_wins);
    tcase_add_test(cancelled,
                   locking_is_a_cancellation_point_though_it_is_free);

    TCase *races = test_case(suite, "races");
    tcase_add_test(races, who_has_locked_it_to_write_may_free_it);
    tcase_add_test(races, writer_is_alone);
}
