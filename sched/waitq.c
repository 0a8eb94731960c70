/* sched/waitq.c -- who waits for an object, in order; and the object's word
 *
 * Described in waitq.h.
 *
 * Locks      the object's word, by whoever calls. Under it LOOK bits.
 * Edges      waitq.word
 * Fails      never.
 * Tests      test/test_waitq.c, test/models/waitq.pml */
#include "sched/waitq.h"

#include <sched.h>

enum { SPINS = 200 };

uint64_t coir_i_word_lock_slow(_Atomic(uint64_t) *word)
{
    for (unsigned spins = 1;; spins++) {
        uint64_t state = load_relaxed(word);
        /* @observe waitq.word: what the last holder did. */
        if (!(state & COIR_I_LOCKED) &&
            cas_acquire(word, &state, state | COIR_I_LOCKED))
            return state;
        if (spins % SPINS)
            coir_i_pause();
        else
            sched_yield(); /* the holder may have lost its CPU */
    }
}

void coir_i_waitq_put(coir_i_waitq *q, coir_i_waiter *waiter)
{
    coir_i_waiter *first = q->first;
    if (!first) {
        waiter->next = waiter->prev = q->first = waiter;
        return;
    }
    waiter->next = first;
    waiter->prev = first->prev;
    first->prev->next = waiter;
    first->prev = waiter;
}

static void unlink_waiter(coir_i_waitq *q, coir_i_waiter *waiter)
{
    if (waiter->next == waiter) {
        q->first = NULL;
    } else {
        waiter->next->prev = waiter->prev;
        waiter->prev->next = waiter->next;
        if (q->first == waiter)
            q->first = waiter->next;
    }
    waiter->next = NULL;
}

coir_i_waiter *coir_i_waitq_take(coir_i_waitq *q, unsigned reason)
{
    coir_i_waiter *waiter;
    while ((waiter = q->first) != NULL) {
        unlink_waiter(q, waiter);
        if (coir_i_claim(waiter->ticket, reason, &waiter->parked))
            break;
    }
    return waiter;
}

coir_i_waiter *coir_i_waitq_take_all(coir_i_waitq *q, unsigned reason)
{
    coir_i_waiter *first = NULL, **end = &first, *waiter;
    while ((waiter = coir_i_waitq_take(q, reason)) != NULL) {
        *end = waiter;
        end = &waiter->next;
    }
    return first;
}

void coir_i_waitq_withdraw(coir_i_waitq *q, coir_i_waiter *waiter)
{
    if (waiter->next)
        unlink_waiter(q, waiter);
}

void coir_i_waitq_deliver_all(coir_i_waiter *first)
{
    for (coir_i_waiter *next; first; first = next) {
        next = first->next; /* first is gone once it is delivered */
        coir_i_waitq_deliver(first);
    }
}
