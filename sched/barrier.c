/* sched/barrier.c -- fibers that wait until all of them are there
 *
 * Does       count who has come; the last one lets all go on, and the count
 *            begins anew.
 *
 *     word: how many wait << 1 | lock of the queue
 *
 * Invariants
 *   B1  the count is that of the queue: a fiber that is cancelled before the
 *       last one has come leaves both, and has never been there.
 *   B2  the last one takes all off the queue at once. Who is cancelled only
 *       then finds itself taken, and has passed.
 *
 * Locks      the word; under it wheel locks, LOOK bits.
 * Edges      waitq.word
 * Fails      -EPERM, -ECANCELED. A barrier for nobody stops the program.
 * Tests      test/test_barrier.c, test/stress_locks.c, test/death_sync.c */
#include <coir/barrier.h>

#include "sched/waitq.h"

#include <errno.h>

typedef struct coir_i_barrier {
    _Atomic(uint64_t) word;
    coir_i_waitq waiters;
    unsigned parties; /* const */
} coir_i_barrier;

_Static_assert(sizeof(coir_i_barrier) <= sizeof(coir_barrier), "as published");

enum { ONE = 2 };

static const coir_i_wait waits_for_others = {.what = "barrier"};

static coir_i_barrier *barrier_of(coir_barrier *b)
{
    return (coir_i_barrier *)b;
}

void coir_barrier_init(coir_barrier *barrier, unsigned parties)
{
    coir_i_barrier *b = barrier_of(barrier);
    coir_i_rule(parties > 0, "a barrier is for one fiber or more");
    b->waiters.first = NULL;
    b->parties = parties;
    store_relaxed(&b->word, 0); /* relaxed: whoever shares it orders that */
}

/* Under the lock: we are the last. */
static int let_all_go(coir_i_barrier *b)
{
    coir_i_waiter *first = coir_i_waitq_take_all(&b->waiters, COIR_I_WOKEN);
    coir_i_word_unlock(&b->word, 0);
    coir_i_waitq_deliver_all(first);
    return 1;
}

static int withdraw(coir_i_barrier *b, coir_i_waiter *waiter)
{
    uint64_t state = coir_i_word_lock(&b->word);
    bool waited = coir_i_waitq_withdraw(&b->waiters, waiter);
    coir_i_word_unlock(&b->word, waited ? state - ONE : state);
    return waited ? -ECANCELED : 0;
}

int coir_barrier_wait(coir_barrier *barrier)
{
    coir_i_barrier *b = barrier_of(barrier);
    coir_i_waiter waiter;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_rule(b->parties > 0, "coir_barrier_wait before coir_barrier_init");
    coir_i_waitq_prepare();
    uint64_t state = coir_i_word_lock(&b->word) + ONE;
    if (state / ONE == b->parties)
        return let_all_go(b);
    waiter.ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_others, b);
    coir_i_waitq_put(&b->waiters, &waiter);
    coir_i_word_unlock(&b->word, state);
    return coir_i_park() == COIR_I_WOKEN ? 0 : withdraw(b, &waiter);
}
