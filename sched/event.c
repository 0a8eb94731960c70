/* sched/event.c -- something that has happened, or not yet
 *
 * Does       set, clear, ask, wait until it is set.
 *
 *     word: SET | WAITERS | lock of the queue
 *
 * Invariants
 *   E1  WAITERS says whether the queue is empty; nobody queues where it is SET.
 *   E2  set claims whoever waits before it gives the word back: they go on
 *       though it is cleared before they run.
 *   E3  who clears it and then looks at what it stands for, sees what was done
 *       before any set that found it still set.
 *
 * Locks      the word; under it wheel locks, LOOK bits.
 * Edges      waitq.word
 *            event.set (dekker: a set that finds it set, and clear)
 * Fails      -EPERM, -ECANCELED.
 * Tests      test/test_event.c, test/stress_locks.c */
#include <coir/event.h>

#include "sched/module.h"
#include "sched/waitq.h"

#include <errno.h>

typedef struct coir_i_event {
    _Atomic(uint64_t) word;
    coir_i_waitq waiters;
} coir_i_event;

_Static_assert(sizeof(coir_i_event) <= sizeof(coir_event), "as published");

enum { WAITERS = 2, SET = 4 };

static const coir_i_wait waits_for_event = {.what = "event"};

static coir_i_event *event_of(const coir_event *e)
{
    return (coir_i_event *)(uintptr_t)e;
}

/* It was found set. Is it so after all that the caller has done? */
static bool is_still_set(coir_i_event *e)
{
    /* @dekker event.set: what it stands for, then the word. */
    fence_seq_cst();
    return load_relaxed(&e->word) & SET; /* relaxed: the fence orders it */
}

void coir_event_set(coir_event *event)
{
    coir_i_event *e = event_of(event);
    uint64_t word = load_relaxed(&e->word); /* relaxed: a guess for the CAS */
    while (!(word & (SET | WAITERS | COIR_I_LOCKED)))
        /* @publish waitq.word: what was done before. */
        if (cas_release(&e->word, &word, SET))
            return;
    if ((word & SET) && is_still_set(e))
        return;
    if (coir_i_is_forked()) /* who waits is of the parent process */
        return;
    coir_i_word_lock(&e->word);
    coir_i_waiter *first = coir_i_waitq_take_all(&e->waiters, COIR_I_WOKEN);
    coir_i_word_unlock(&e->word, SET);
    coir_i_waitq_deliver_all(first);
}

void coir_event_clear(coir_event *event)
{
    coir_i_event *e = event_of(event);
    if (coir_i_is_forked()) /* its lock may be another thread's for ever */
        return;
    uint64_t state = coir_i_word_lock(&e->word);
    coir_i_word_unlock(&e->word, state & ~(uint64_t)SET);
    /* @dekker event.set: the word, then what it stands for. */
    fence_seq_cst();
}

bool coir_event_is_set(const coir_event *event)
{
    /* @observe waitq.word: what was done before the set. */
    return load_acquire(&event_of(event)->word) & SET;
}

static int wait_for_set(coir_i_event *e)
{
    coir_i_waiter waiter;
    coir_i_waitq_prepare();
    uint64_t state = coir_i_word_lock(&e->word);
    if (state & SET) {
        coir_i_word_unlock(&e->word, state);
        return 0;
    }
    waiter.ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_event, e);
    coir_i_waitq_put(&e->waiters, &waiter);
    coir_i_word_unlock(&e->word, state | WAITERS);
    if (coir_i_park() == COIR_I_WOKEN)
        return 0;

    state = coir_i_word_lock(&e->word);
    bool waited = coir_i_waitq_withdraw(&e->waiters, &waiter);
    if (coir_i_waitq_empty(&e->waiters))
        state &= ~(uint64_t)WAITERS;
    coir_i_word_unlock(&e->word, state);
    /* Whoever set it meanwhile has found us cancelled: it was set. */
    return waited ? -ECANCELED : 0;
}

int coir_event_wait(coir_event *event)
{
    int rc = coir_i_enter();
    if (rc < 0 || coir_event_is_set(event))
        return rc;
    return wait_for_set(event_of(event));
}
