/* test/test_cond_races.c -- conditions, by many fibers at once, in a hurry */
#include <coir/cond.h>
#include <coir/run.h>

#include "test/sync.h"

struct shared {
    coir_mutex mutex;
    coir_cond cond;
};

struct call {
    struct shared shared;
    _Atomic bool done;
};

static int answer_call(void *arg)
{
    struct call *call = arg;
    must_not(coir_mutex_lock(&call->shared.mutex) != 0);
    call->done = true;
    coir_cond_signal(&call->shared.cond);
    coir_mutex_unlock(&call->shared.mutex);
    return 0;
}

/* A thread cannot hold the mutex: it answers when the caller waits. */
static void answer_as_giver(void *arg)
{
    struct call *call = arg;
    coir_cond_signal(&call->shared.cond);
}

static int wait_then_pass(void *arg)
{
    struct giver *giver = ((void **)arg)[0];
    struct call *call = ((void **)arg)[1];
    must_not(coir_mutex_lock(&call->shared.mutex) != 0);
    coir_mutex_unlock(&call->shared.mutex);
    giver_pass(giver, call);
    return 0;
}

/* When the waiter has the mutex, the other has given it back, or had never to:
 * it may still be on its way out of either call. */
static int free_when_answered(void *arg)
{
    struct giver *giver = arg; /* or a child does it */
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (uint64_t i = test_scaled(giver ? 5000 : 20000); i > 0; i--) {
        struct call *call = calloc(1, sizeof *call);
        void *both[2] = {giver, call};
        must_not(coir_mutex_lock(&call->shared.mutex) != 0);
        must_not(
            (giver ? coir_go_copy(&nursery, wait_then_pass, both, sizeof both)
                   : coir_go(&nursery, answer_call, call)) != 0);
        do
            must_not(coir_cond_wait(&call->shared.cond, &call->shared.mutex) !=
                     0);
        while (!giver && !call->done);
        coir_mutex_unlock(&call->shared.mutex);
        bury(call, sizeof *call);
    }
    bury(NULL, sizeof(struct call));
    if (giver)
        giver_stop(giver);
    return coir_nursery_close(&nursery);
}

START_TEST(waiter_may_free_both_when_it_has_unlocked)
{
    struct giver giver;
    giver_start(&giver, answer_as_giver);
    ck_assert_int_eq(coir_run(free_when_answered, &giver), 0);
    ck_assert_int_eq(coir_run(free_when_answered, NULL), 0);
    assert_nothing_happened();
}
END_TEST

/* A buffer for one number, and two conditions. */
struct buffer {
    coir_mutex mutex;
    coir_cond filled, emptied;
    uint64_t number, rounds; /* not atomic */
    _Atomic(uint64_t) in, out;
};

static int put_numbers(void *arg)
{
    struct buffer *b = arg;
    for (uint64_t i = 1; i <= b->rounds; i++) {
        must_not(coir_mutex_lock(&b->mutex) != 0);
        while (b->number)
            must_not(coir_cond_wait(&b->emptied, &b->mutex) != 0);
        b->number = i;
        b->in += i;
        coir_cond_signal(&b->filled);
        coir_mutex_unlock(&b->mutex);
    }
    return 0;
}

static int get_numbers(void *arg)
{
    struct buffer *b = arg;
    for (uint64_t i = 1; i <= b->rounds; i++) {
        must_not(coir_mutex_lock(&b->mutex) != 0);
        while (!b->number)
            must_not(coir_cond_wait(&b->filled, &b->mutex) != 0);
        b->out += b->number;
        b->number = 0;
        coir_mutex_unlock(&b->mutex);
        coir_cond_signal(&b->emptied);
    }
    return 0;
}

static int trade(void *arg)
{
    (void)arg;
    struct buffer buffer = {.rounds = test_scaled(5000)};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < 4 && rc == 0; i++) {
        rc = coir_go(&nursery, put_numbers, &buffer);
        if (rc == 0)
            rc = coir_go(&nursery, get_numbers, &buffer);
    }
    rc = coir_nursery_close_with(&nursery, rc);
    must_not(buffer.in != buffer.out);
    return rc;
}

START_TEST(what_goes_in_comes_out)
{
    ck_assert_int_eq(coir_run(trade, NULL), 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(cond_races, TEST_WORKERS | TEST_SEEDED)
{
    TCase *races = test_case(suite, "races");
    tcase_add_test(races, waiter_may_free_both_when_it_has_unlocked);
    tcase_add_test(races, what_goes_in_comes_out);
}
