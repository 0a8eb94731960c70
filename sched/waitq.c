/* sched/waitq.c -- who waits for an object, in order; and the object's word
 *
 * Described in waitq.h.
 *
 * Locks      the object's word, by whoever calls. Under it wheel locks (arm),
 *            LOOK bits.
 * Edges      waitq.word
 * Fails      never.
 * Tests      test/test_waitq.c, test/models/give.pml */
#include "sched/waitq.h"

#include "sched/tree.h"
#include "sched/worker.h"

#include <sched.h>

enum { PAUSES = 64 }; /* at most, between two looks */

/* Whoever waits looks ever more seldom: each look takes the word's cache line
 * from the holder, who is most often about to lock it again. */
uint64_t coir_i_word_lock_slow(_Atomic(uint64_t) *word)
{
    for (unsigned pauses = 4, looks = 1;; looks++) {
        uint64_t state = load_relaxed(word);
        /* @observe waitq.word: what the last holder did. */
        if (!(state & COIR_I_LOCKED) &&
            cas_acquire(word, &state, state | COIR_I_LOCKED))
            return state;
        for (unsigned i = 0; i < pauses; i++)
            coir_i_pause();
        if (pauses < PAUSES)
            pauses *= 2;
        else if (looks % 8 == 0)
            sched_yield(); /* the holder may have lost its CPU */
    }
}

void coir_i_waitq_prepare_slow(void)
{
    coir_i_tree_list(coir_i_here()->running);
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

void coir_i_waitq_put_first(coir_i_waitq *q, coir_i_waiter *waiter)
{
    coir_i_waitq_put(q, waiter);
    q->first = waiter; /* it is a ring */
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

bool coir_i_waitq_take_this(coir_i_waitq *q, coir_i_waiter *waiter,
                            unsigned reason)
{
    unlink_waiter(q, waiter);
    return coir_i_claim(waiter->ticket, reason, &waiter->parked);
}

coir_i_waiter *coir_i_waitq_take(coir_i_waitq *q, unsigned reason)
{
    coir_i_waiter *waiter;
    while ((waiter = q->first) != NULL &&
           !coir_i_waitq_take_this(q, waiter, reason)) {
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

bool coir_i_waitq_withdraw(coir_i_waitq *q, coir_i_waiter *waiter)
{
    bool linked = waiter->next != NULL;
    if (linked)
        unlink_waiter(q, waiter);
    return linked;
}

/* One that is to run after those that were delivered before it: each that
 * runs next would push the one before it aside. */
static void deliver_later(coir_i_waiter *waiter)
{
    if (waiter->parked)
        coir_i_ready(waiter->ticket.fiber, false);
    else
        coir_i_deliver(waiter->ticket.fiber, false);
}

void coir_i_waitq_deliver_all(coir_i_waiter *first)
{
    void (*deliver)(coir_i_waiter *) = coir_i_waitq_deliver;
    for (coir_i_waiter *next; first; first = next) {
        next = first->next; /* first is gone once it is delivered */
        deliver(first);
        deliver = deliver_later;
    }
}
