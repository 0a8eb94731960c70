/* test/stress_chan.c -- channels and select under everything at once
 *
 * Fibers send and receive numbers at random through some channels, with and
 * without select, with and without waiting, under timeouts and cancelled by
 * others; now and then a channel is closed. Each number that was sent with
 * success comes out once, none comes out that was not; from one sender through
 * one channel they come in order; and in the end nobody waits. */
#include <coir/chan.h>
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <stdlib.h>

enum { CHANS = 3, FIBERS = 12, CALLS = 120, NUMBERS = FIBERS * CALLS };

static struct stress_clock stress;

struct round {
    coir_chan *chan[CHANS];
    _Atomic uint8_t sent[NUMBERS], got[NUMBERS]; /* how often */
    uint64_t seed;
    bool closes; /* channels are closed while others use them */
};

struct actor {
    struct round *round;
    coir_task task;
    uint64_t state;
    int self;
    int next;                /* the number that it sends next */
    int last[CHANS][FIBERS]; /* the last that it got, by whom sent */
    struct item {
        int number, from;
    } out[CHANS * 2], in[CHANS * 2];
};

/* ---- One call ---- */

static void note_sent(struct actor *a, int number)
{
    a->round->sent[number]++;
}

static void note_got(struct actor *a, int through, const struct item *item)
{
    must_not(item->number < 0 || item->number >= NUMBERS);
    must_not(item->number / CALLS != item->from);
    must_not(item->number <= a->last[through][item->from]);
    a->last[through][item->from] = item->number;
    a->round->got[item->number]++;
}

/* Only a number that was not sent is used again. */
static struct item new_item(const struct actor *a)
{
    return (struct item){a->self * CALLS + a->next, a->self};
}

static int send_one(struct actor *a, int through, bool waits)
{
    coir_chan *chan = a->round->chan[through];
    struct item item = new_item(a);
    int rc =
        waits ? coir_chan_send(chan, &item) : coir_chan_try_send(chan, &item);
    if (rc == 0) {
        note_sent(a, item.number);
        a->next++;
    }
    must_not(waits && rc == -EAGAIN);
    return rc;
}

static int receive_one(struct actor *a, int through, bool waits)
{
    coir_chan *chan = a->round->chan[through];
    struct item item = {-1, -1};
    int rc =
        waits ? coir_chan_recv(chan, &item) : coir_chan_try_recv(chan, &item);
    if (rc == 0)
        note_got(a, through, &item);
    else
        must_not(item.number != -1);
    must_not(waits && rc == -EAGAIN);
    return rc;
}

static int select_one(struct actor *a, bool waits)
{
    coir_case cases[CHANS * 2];
    int through[CHANS * 2];
    size_t count = 1 + test_random_below(&a->state, CHANS * 2);
    for (size_t i = 0; i < count; i++) {
        int which = (int)test_random_below(&a->state, CHANS + 1);
        bool sends = test_random_below(&a->state, 2);
        through[i] = which;
        a->out[i] = new_item(a);
        a->in[i] = (struct item){-1, -1};
        cases[i] = (coir_case){which < CHANS ? a->round->chan[which] : NULL,
                               sends ? COIR_SEND : COIR_RECV,
                               sends ? &a->out[i] : &a->in[i], 1};
    }
    int taken =
        waits ? coir_select(cases, count) : coir_try_select(cases, count);
    for (size_t i = 0; i < count; i++) {
        must_not((int)i != taken && cases[i].rc != 1);
        must_not((int)i != taken && a->in[i].number != -1);
    }
    if (taken < 0)
        return taken;
    const coir_case *one = &cases[taken];
    must_not(one->rc != 0 && one->rc != -EPIPE);
    if (one->rc == 0 && one->op == COIR_RECV)
        note_got(a, through[taken], &a->in[taken]);
    if (one->rc == 0 && one->op == COIR_SEND) {
        note_sent(a, a->out[taken].number);
        a->next++;
    }
    return one->rc;
}

/* ---- A fiber of many calls ---- */

static int call_one(struct actor *a)
{
    int through = (int)test_random_below(&a->state, CHANS);
    uint64_t what = test_random_below(&a->state, 100);
    if (what < 25)
        return send_one(a, through, what < 15);
    if (what < 50)
        return receive_one(a, through, what < 40);
    if (what < 90)
        return select_one(a, what < 75);
    if (what == 99 && a->round->closes)
        coir_chan_close(a->round->chan[through]);
    return what < 95 ? coir_yield() : 0;
}

static int act(void *arg)
{
    struct actor *a = arg;
    coir_scope scope;
    for (int i = 0; i < CALLS; i++) {
        /* Nobody waits for ever: who is not served is cancelled. */
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

static void drain(struct round *r)
{
    for (int i = 0; i < CHANS; i++) {
        struct item item;
        int rc;
        coir_chan_close(r->chan[i]);
        while ((rc = coir_chan_try_recv(r->chan[i], &item)) == 0)
            r->got[item.number]++;
        must_not(rc != -EPIPE);
        must_not(coir_chan_free(r->chan[i]) != 0); /* nobody waits */
    }
    for (int i = 0; i < NUMBERS; i++) {
        must_not(r->sent[i] > 1);
        must_not(r->sent[i] != r->got[i]);
    }
}

static int play_round(uint64_t *state)
{
    struct round *r = calloc(1, sizeof *r);
    struct actor *actors = calloc(FIBERS, sizeof *actors);
    coir_nursery nursery;
    int rc = 0;
    r->closes = test_random_below(state, 2);
    for (int i = 0; i < CHANS; i++) {
        size_t capacity = (size_t)test_random_below(state, 4);
        must_not(coir_chan_new(&r->chan[i], sizeof(struct item), capacity));
    }
    coir_nursery_open(&nursery);
    for (int i = 0; i < FIBERS && rc == 0; i++) {
        actors[i].round = r;
        actors[i].self = i;
        actors[i].state = test_random(state);
        for (int j = 0; j < CHANS * FIBERS; j++)
            actors[i].last[j / FIBERS][j % FIBERS] = -1;
        rc = coir_spawn(&nursery, &actors[i].task, act, &actors[i]);
    }
    for (int i = 0; i < 4 && rc == 0; i++) {
        rc = coir_yield();
        coir_task_cancel(&actors[test_random_below(state, FIBERS)].task);
    }
    rc = coir_nursery_close_with(&nursery, rc);
    drain(r);
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

/* ---- Nobody needs a timeout ---- */

/* As many items are sent as received, over all channels by every way there is:
 * all come to their end by themselves. */

enum { PAIRS = 6, EACH = 200 };

struct meeting {
    coir_chan *chan[2];
    _Atomic int64_t sent, got;
    _Atomic uint64_t salt;
};

static int send_each(void *arg)
{
    struct meeting *m = arg;
    uint64_t state = test_seed(1000 + m->salt++);
    int rc = 0;
    for (int64_t i = 0; i < EACH && rc == 0; i++) {
        int64_t item = i + 1;
        coir_case one = {m->chan[i % 2], COIR_SEND, &item, 0};
        m->sent += item;
        if (test_random_below(&state, 2))
            rc = coir_chan_send(one.chan, &item);
        else
            rc = coir_select(&one, 1);
    }
    return rc;
}

static int receive_each(void *arg)
{
    struct meeting *m = arg;
    int64_t x = 0;
    int rc = 0;
    for (int i = 0; i < EACH && rc >= 0; i++) {
        coir_case both[] = {{m->chan[i % 2], COIR_RECV, &x, 0},
                            {m->chan[1 - i % 2], COIR_RECV, &x, 0}};
        rc = coir_select(both, 2);
        m->got += x;
    }
    return rc < 0 ? rc : 0;
}

static int meet(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    int rc = 0;
    while (stress_goes_on(&stress) && rc == 0) {
        struct meeting m = {.salt = 0};
        coir_nursery nursery;
        for (int i = 0; i < 2; i++)
            must_not(coir_chan_new(&m.chan[i], sizeof(int64_t),
                                   (size_t)test_random_below(&state, 3)));
        coir_nursery_open(&nursery);
        for (int i = 0; i < PAIRS && rc == 0; i++) {
            rc = coir_go(&nursery, send_each, &m);
            if (rc == 0)
                rc = coir_go(&nursery, receive_each, &m);
        }
        rc = coir_nursery_close_with(&nursery, rc);
        must_not(m.sent != m.got);
        for (int i = 0; i < 2; i++)
            must_not(coir_chan_free(m.chan[i]) != 0);
    }
    return rc;
}

START_TEST(who_waits_is_served)
{
    uint64_t seed = test_seed(2);
    stress = stress_clock_start();
    ck_assert_int_eq(coir_run(meet, &seed), 0);
    assert_nothing_happened();
}
END_TEST

/* ---- The last item frees the channel ---- */

static int send_last(void *arg)
{
    int item = 1;
    return coir_chan_send(*(coir_chan **)arg, &item);
}

static int free_after_last(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    int rc = 0;
    while (stress_goes_on(&stress) && rc == 0) {
        coir_chan *chan;
        coir_nursery nursery;
        int item = 0;
        must_not(coir_chan_new(&chan, sizeof item,
                               (size_t)test_random_below(&state, 2)));
        coir_nursery_open(&nursery);
        rc = coir_go(&nursery, send_last, &chan);
        if (rc == 0 && test_random_below(&state, 2))
            rc = coir_yield();
        if (rc == 0)
            rc = coir_chan_recv(chan, &item);
        must_not(item != 1);
        must_not(coir_chan_free(chan) != 0); /* the sender may not be back */
        rc = coir_nursery_close_with(&nursery, rc);
    }
    return rc;
}

START_TEST(receiver_of_the_last_item_may_free_the_channel)
{
    uint64_t seed = test_seed(3);
    stress = stress_clock_start();
    ck_assert_int_eq(coir_run(free_after_last, &seed), 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(chan, TEST_STRESS | TEST_WORKERS | TEST_SEEDED)
{
    TCase *random = test_case(suite, "random");
    tcase_add_test(random, items_are_neither_lost_nor_doubled);
    tcase_add_test(random, who_waits_is_served);
    tcase_add_test(random, receiver_of_the_last_item_may_free_the_channel);
}
