/* sched/cond.c -- waiting for what a mutex guards to change
 *
 * Does       wait, signal, broadcast.
 *
 *     word: WAITERS | lock of the queue
 *
 * Whoever is signalled needs the mutex to go on. So a signal does not wake it:
 * it moves its turn from the queue here to the mutex's, which wakes one after
 * another. A broadcast under the mutex wakes nobody in vain.
 *
 * Invariants
 *   C1  a turn is in the queue here, then in that of its mutex; `item` is the
 *       mutex while it has not been moved, and NULL from then on.
 *   C2  who was moved returns 0, cancelled or not: it is its signal.
 *   C3  who waits returns holding the mutex.
 *
 * Locks      the word; under it the word of the mutex, given back after it;
 *            under both LOOK bits.
 * Edges      waitq.word
 * Fails      -EPERM, -ECANCELED.
 * Tests      test/test_cond.c, test/stress_locks.c, test/death_sync.c */
#include <coir/cond.h>

#include "fiber/current.h"
#include "sched/module.h"
#include "sched/mutex.h"

#include <errno.h>

typedef struct coir_i_cond {
    _Atomic(uint64_t) word;
    coir_i_waitq waiters; /* the first member of turns */
} coir_i_cond;

_Static_assert(sizeof(coir_i_cond) <= sizeof(coir_cond), "as published");

enum { WAITERS = 2 };

static const coir_i_wait waits_for_signal = {.what = "cond"};

static void unlock_word(coir_i_cond *c)
{
    bool empty = coir_i_waitq_empty(&c->waiters);
    coir_i_word_unlock(&c->word, empty ? 0 : WAITERS);
}

/* ---- waiting ---- */

/* The wait was cancelled; was it signalled before? */
static bool withdraw(coir_i_cond *c, coir_i_turn *turn)
{
    coir_i_word_lock(&c->word);
    bool waited = turn->waiter.item != NULL;
    if (waited)
        coir_i_waitq_withdraw(&c->waiters, &turn->waiter);
    unlock_word(c);
    return !waited;
}

int coir_cond_wait(coir_cond *cond, coir_mutex *mutex)
{
    coir_i_cond *c = (coir_i_cond *)cond;
    coir_i_lock *m = coir_i_lock_of(mutex);
    coir_i_fiber *f = coir_i_self();
    coir_i_turn turn;
    if (!f)
        return -EPERM;
    coir_i_rule(coir_i_lock_is_held(m, f),
                "coir_cond_wait is for the fiber that holds the mutex");
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_turn_begin(&turn, f);
    turn.waiter.item = m;
    coir_i_waitq_prepare();
    coir_i_word_lock(&c->word);
    turn.waiter.ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_signal, c);
    coir_i_waitq_put(&c->waiters, &turn.waiter);
    unlock_word(c);
    coir_mutex_unlock(mutex);
    unsigned reason = coir_i_park();
    if (reason == COIR_I_WOKEN || withdraw(c, &turn)) {
        coir_i_lock_go_on(m, &turn, reason);
        return 0;
    }
    coir_i_lock_take(m);
    return -ECANCELED;
}

/* ---- signalling ---- */

/* The first that waits, and if `all` those behind it that wait with the same
 * mutex, to the queue of that. False: there is none for whom it is left to be
 * done, and c is given back: it may be gone. */
static bool move_first(coir_i_cond *c, bool all)
{
    coir_i_waiter *first = c->waiters.first;
    coir_i_lock *m = first->item;
    uint64_t state = coir_i_word_lock(&m->word);
    do {
        coir_i_waitq_withdraw(&c->waiters, first);
        first->item = NULL;
        coir_i_lock_enqueue(m, (coir_i_turn *)first);
        first = c->waiters.first;
    } while (all && first && first->item == m);
    all = all && first;
    if (!all)
        unlock_word(c);
    coir_i_lock_settle(m, state);
    return all;
}

static void move_some(coir_cond *cond, bool all)
{
    coir_i_cond *c = (coir_i_cond *)cond;
    /* relaxed: whoever waits has put itself into the queue before it gave back
     * the mutex, under which the caller has changed something. */
    if (!load_relaxed(&c->word) || coir_i_is_forked())
        return;
    coir_i_word_lock(&c->word);
    if (coir_i_waitq_empty(&c->waiters)) {
        unlock_word(c);
        return;
    }
    while (move_first(c, all)) {
    }
}

void coir_cond_signal(coir_cond *cond)
{
    move_some(cond, false);
}

void coir_cond_broadcast(coir_cond *cond)
{
    move_some(cond, true);
}
