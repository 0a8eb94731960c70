/* test/stress_queue.c -- queues of work under everything at once
 *
 * Fibers put and get numbers at random, under timeouts and cancelled by others,
 * while some join; in the end the queue is shut down, with or without discard.
 * Each number that was put with success is got once or dropped, in the order of
 * the queue; join returns only when all that had been put are dealt with, and
 * always then; and nobody waits in the end. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/queue.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIBERS = 12, CALLS = 120, NUMBERS = FIBERS * CALLS };

static struct stress_clock stress;

struct round {
    coir_queue *queue;
    enum coir_order order;
    _Atomic uint8_t put[NUMBERS], got[NUMBERS]; /* how often */
    _Atomic int dealt;                          /* items, so far */
    bool stops; /* somebody shuts it down before the end */
};

struct actor {
    struct round *round;
    coir_task task;
    uint64_t state;
    int self;
    int next; /* the number that it puts next */
    int last[FIBERS];
};

static int compare_numbers(const void *a, const void *b)
{
    return *(const int *)a % CALLS / 8 - *(const int *)b % CALLS / 8;
}

/* ---- One call ---- */

static int put_one(struct actor *a, bool waits)
{
    int item = a->self * CALLS + a->next;
    int rc = waits ? coir_queue_put(a->round->queue, &item)
                   : coir_queue_try_put(a->round->queue, &item);
    if (rc == 0) {
        a->round->put[item]++;
        a->next++;
    }
    must_not(waits && rc == -EAGAIN);
    return rc;
}

static int get_one(struct actor *a, bool waits)
{
    int item = -1;
    int rc = waits ? coir_queue_get(a->round->queue, &item)
                   : coir_queue_try_get(a->round->queue, &item);
    must_not(waits && rc == -EAGAIN);
    must_not((rc == 0) != (item != -1));
    if (rc < 0)
        return rc;
    must_not(item < 0 || item >= NUMBERS);
    int from = item / CALLS;
    must_not(a->round->order == COIR_FIFO && item <= a->last[from]);
    a->last[from] = item;
    a->round->got[item]++;
    if (test_random_below(&a->state, 4) == 0)
        COIR_IGNORE(coir_yield()); /* and deals with it */
    a->round->dealt++;
    must_not(coir_queue_done(a->round->queue) != 0);
    return 0;
}

/* ---- A fiber of many calls ---- */

static int call_one(struct actor *a)
{
    uint64_t what = test_random_below(&a->state, 1000);
    if (what < 450)
        return put_one(a, what < 300);
    if (what < 900)
        return get_one(a, what < 750);
    if (what < 950)
        return coir_queue_join(a->round->queue);
    if (what == 999 && a->round->stops)
        coir_queue_shutdown(a->round->queue, test_random_below(&a->state, 2));
    must_not(coir_queue_length(a->round->queue) > NUMBERS);
    return coir_yield();
}

static int act(void *arg)
{
    struct actor *a = arg;
    coir_scope scope;
    for (int i = 0; i < CALLS; i++) {
        coir_timeout_open(&scope,
                          (coir_time)test_random_below(&a->state, COIR_US(50)));
        int rc = call_one(a);
        must_not(rc != 0 && rc != -EAGAIN && rc != -EPIPE && rc != -ECANCELED);
        COIR_IGNORE(coir_scope_close(&scope, 0));
        if (coir_checkpoint() < 0)
            break;
    }
    return 0;
}

/* ---- Many fibers ---- */

static void end_round(struct round *r, bool discards)
{
    int item, rc, left = (int)coir_queue_length(r->queue), dropped = 0;
    coir_queue_shutdown(r->queue, discards);
    while ((rc = coir_queue_try_get(r->queue, &item)) == 0) {
        r->got[item]++;
        must_not(coir_queue_done(r->queue) != 0);
        left--;
    }
    must_not(rc != -EPIPE);
    must_not(!discards && left != 0);
    must_not(coir_queue_done(r->queue) != -EINVAL);
    must_not(coir_queue_join(r->queue) != 0); /* nothing is left to do */
    must_not(coir_queue_free(r->queue) != 0); /* nobody waits */
    for (int i = 0; i < NUMBERS; i++) {
        must_not(r->put[i] > 1);
        must_not(r->got[i] > r->put[i]);
        dropped += r->put[i] - r->got[i];
    }
    must_not(!r->stops && dropped != (discards ? left : 0));
}

static int play_round(uint64_t *state)
{
    struct round *r = calloc(1, sizeof *r);
    struct actor *actors = calloc(FIBERS, sizeof *actors);
    coir_nursery nursery;
    int rc = 0;
    r->order = (enum coir_order)test_random_below(state, 3);
    r->stops = test_random_below(state, 2);
    must_not(coir_queue_new(&r->queue, sizeof(int),
                            (size_t)test_random_below(state, 6), r->order,
                            compare_numbers));
    coir_nursery_open(&nursery);
    for (int i = 0; i < FIBERS && rc == 0; i++) {
        actors[i].round = r;
        actors[i].self = i;
        actors[i].state = test_random(state);
        for (int j = 0; j < FIBERS; j++)
            actors[i].last[j] = -1;
        rc = coir_spawn(&nursery, &actors[i].task, act, &actors[i]);
    }
    for (int i = 0; i < 4 && rc == 0; i++) {
        rc = coir_yield();
        coir_task_cancel(&actors[test_random_below(state, FIBERS)].task);
    }
    rc = coir_nursery_close_with(&nursery, rc);
    end_round(r, test_random_below(state, 2));
    free(actors);
    free(r);
    return rc;
}

static int play_rounds(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    int rc = 0;
    while (stress_goes_on(&stress) && rc == 0)
        rc = play_round(&state);
    return rc;
}

START_TEST(items_are_neither_lost_nor_doubled)
{
    uint64_t seed = test_seed(1);
    stress = stress_clock_start();
    ck_assert_int_eq(coir_run(play_rounds, &seed), 0);
    assert_nothing_happened();
}
END_TEST

/* ---- Without timeouts: work comes to its end by itself ---- */

enum { PRODUCERS = 4, CONSUMERS = 4, EACH = 100 };

static int produce(void *arg)
{
    struct round *r = arg;
    int rc = 0;
    for (int i = 0; i < EACH && rc == 0; i++)
        rc = coir_queue_put(r->queue, &i);
    return rc;
}

static int consume(void *arg)
{
    struct round *r = arg;
    int item, rc;
    while ((rc = coir_queue_get(r->queue, &item)) == 0) {
        r->dealt++;
        rc = coir_queue_done(r->queue);
        must_not(rc != 0);
    }
    return rc == -EPIPE ? 0 : rc;
}

static int join_early(void *arg)
{
    struct round *r = arg;
    int before = r->dealt;
    int length = (int)coir_queue_length(r->queue);
    int rc = coir_queue_join(r->queue);
    must_not(r->dealt < before + length);
    return rc;
}

static int work(struct round *r)
{
    coir_nursery producers, consumers;
    coir_nursery_open(&consumers);
    int rc = 0;
    for (int i = 0; i < CONSUMERS && rc == 0; i++)
        rc = coir_go(&consumers, consume, r);
    coir_nursery_open(&producers);
    for (int i = 0; i < PRODUCERS && rc == 0; i++) {
        rc = coir_go(&producers, produce, r);
        if (rc == 0)
            rc = coir_go(&consumers, join_early, r);
    }
    rc = coir_nursery_close_with(&producers, rc);
    if (rc == 0)
        rc = coir_queue_join(r->queue);
    must_not(r->dealt != PRODUCERS * EACH); /* they were all put before */
    coir_queue_shutdown(r->queue, false);
    return coir_nursery_close_with(&consumers, rc);
}

static int work_rounds(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    int rc = 0;
    while (stress_goes_on(&stress) && rc == 0) {
        struct round *r = calloc(1, sizeof *r);
        r->order = (enum coir_order)test_random_below(&state, 3);
        must_not(coir_queue_new(&r->queue, sizeof(int),
                                (size_t)test_random_below(&state, 20), r->order,
                                compare_numbers));
        rc = work(r);
        must_not(coir_queue_free(r->queue) != 0);
        free(r);
    }
    return rc;
}

START_TEST(work_comes_to_its_end)
{
    uint64_t seed = test_seed(2);
    stress = stress_clock_start();
    ck_assert_int_eq(coir_run(work_rounds, &seed), 0);
    assert_nothing_happened();
}
END_TEST

/* ---- Without a bound: many let it grow at the same time ---- */

enum { HEAPED = 3000 };

struct pile {
    coir_queue *queue;
    int from;
};

static int heap_up(void *arg)
{
    const struct pile *pile = arg;
    int rc = 0;
    for (int i = 0; i < HEAPED && rc == 0; i++) {
        int item = pile->from + i;
        rc = coir_queue_put(pile->queue, &item);
    }
    return rc;
}

static int grow(void *arg)
{
    static uint8_t got[FIBERS * HEAPED];
    struct pile piles[FIBERS];
    enum coir_order order = *(enum coir_order *)arg;
    coir_queue *queue;
    coir_nursery nursery;
    int item,
        rc = coir_queue_new(&queue, sizeof item, 0, order, compare_numbers);
    coir_nursery_open(&nursery);
    for (int i = 0; i < FIBERS && rc == 0; i++) {
        piles[i] = (struct pile){queue, i * HEAPED};
        rc = coir_go(&nursery, heap_up, &piles[i]);
    }
    rc = coir_nursery_close_with(&nursery, rc);
    must_not(coir_queue_length(queue) != FIBERS * HEAPED);
    while (rc == 0 && coir_queue_try_get(queue, &item) == 0)
        got[item]++;
    for (int i = 0; i < FIBERS * HEAPED; i++)
        must_not(got[i] != 1);
    memset(got, 0, sizeof got);
    must_not(coir_queue_free(queue) != 0);
    return rc;
}

START_TEST(queue_grows_while_many_put)
{
    enum coir_order order = COIR_FIFO;
    stress = stress_clock_start();
    while (stress_goes_on(&stress)) {
        must_not(coir_run(grow, &order) != 0);
        order = (enum coir_order)((order + 1) % (COIR_PRIORITY + 1));
    }
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(queue, TEST_STRESS | TEST_WORKERS | TEST_SEEDED)
{
    TCase *random = test_case(suite, "random");
    tcase_add_test(random, items_are_neither_lost_nor_doubled);
    tcase_add_test(random, work_comes_to_its_end);
    tcase_add_test(random, queue_grows_while_many_put);
}
