/* sched/waitq.h -- who waits for an object, in order; and the object's word
 *
 * Every object of synchronisation is one *word* and one or two *wait queues*.
 * The word holds the object's whole state, and in its lowest bit a lock for
 * the queues. So the last thing that anyone does to an object is one store to
 * its word: whoever learns from the word that it may go on may free the object
 * at once, though the other is still on its way out of its call.
 *
 *   fast path   a CAS from an unlocked word to an unlocked word
 *   slow path   state = coir_i_word_lock(&o->word)
 *               look at state; put into, take from the queues
 *               coir_i_word_unlock(&o->word, new state)
 *               deliver to those who were taken
 *
 * A waiter lies on the stack of the fiber that waits. It is put into a queue
 * under the lock, after coir_i_arm (which may be under the lock too, after
 * coir_i_waitq_prepare), and leaves it by exactly one of two hands: who takes
 * it, or its own fiber when its wait has ended otherwise
 * (coir_i_waitq_withdraw). Whoever takes one *claims* the fiber; if that fails
 * the fiber has been cancelled before it was chosen, and the next is taken.
 * So what is given goes to one who will return with it: nothing has to be
 * passed on later. Between claim and delivery no other lock is taken: who has
 * that lock may be waiting for the fiber that was claimed.
 *
 * Invariants
 *   Q1  a waiter is linked exactly while neither hand has unlinked it.
 *   Q2  a waiter that was taken stays in place until it is delivered.
 *   Q3  the queue changes only under the lock of its object.
 *
 * Edges      waitq.word (publish: unlock, and a fast path that gives; observe:
 *            lock, and a fast path that takes) */
#ifndef COIR_SCHED_WAITQ_H
#define COIR_SCHED_WAITQ_H

#include "fiber/current.h"
#include "fiber/invariant.h"
#include "sched/park.h"

#include <stdbool.h>

/* ---- the word ---- */

#define COIR_I_LOCKED UINT64_C(1)

uint64_t coir_i_word_lock_slow(_Atomic(uint64_t) *word)
    __attribute__((cold, noinline));

/* The state, without the lock bit, which is ours now. */
static inline uint64_t coir_i_word_lock(_Atomic(uint64_t) *word)
{
    uint64_t state = load_relaxed(word) & ~COIR_I_LOCKED;
    /* @observe waitq.word: what the last holder did. */
    if (coir_i_likely(cas_acquire(word, &state, state | COIR_I_LOCKED)))
        return state;
    return coir_i_word_lock_slow(word);
}

/* Our last access to the object. */
static inline void coir_i_word_unlock(_Atomic(uint64_t) *word, uint64_t state)
{
    /* @publish waitq.word: what we did under the lock. */
    store_release(word, state);
}

/* ---- the queue ---- */

typedef struct coir_i_waiter coir_i_waiter;
struct coir_i_waiter {
    coir_i_waiter *next, *prev; /* a ring; next NULL: not linked */
    coir_i_ticket ticket;
    bool parked; /* from claim to deliver */
    void *item;  /* what it brings, or where it wants it */
};

/* All-zero is empty. Under the lock of its object. */
typedef struct coir_i_waitq {
    coir_i_waiter *first;
} coir_i_waitq;

void coir_i_waitq_prepare_slow(void) __attribute__((cold, noinline));

/* Not under the lock, by a fiber that will arm under it: what arm might have
 * to wait for long is done now. */
static inline void coir_i_waitq_prepare(void)
{
    /* relaxed: it is our own. */
    if (coir_i_unlikely(!load_relaxed(&coir_i_here()->running->stack->listed)))
        coir_i_waitq_prepare_slow();
}

void coir_i_waitq_put(coir_i_waitq *q, coir_i_waiter *waiter); /* last */
void coir_i_waitq_put_first(coir_i_waitq *q, coir_i_waiter *waiter);
/* The first that could be claimed, off the queue, or NULL: none waits any
 * more. Then, when the lock is given back: coir_i_waitq_deliver. */
coir_i_waiter *coir_i_waitq_take(coir_i_waitq *q, unsigned reason);
/* This one, off the queue; false: it could not be claimed. */
bool coir_i_waitq_take_this(coir_i_waitq *q, coir_i_waiter *waiter,
                            unsigned reason);
/* All of them, linked by `next`, in order. */
coir_i_waiter *coir_i_waitq_take_all(coir_i_waitq *q, unsigned reason);
/* From the fiber whose wait has ended with another reason than those who take
 * give: off the queue. False: somebody has unlinked it in vain. */
bool coir_i_waitq_withdraw(coir_i_waitq *q, coir_i_waiter *waiter);

static inline bool coir_i_waitq_empty(const coir_i_waitq *q)
{
    return !q->first;
}

/* Not under the lock. NULL is nobody. The waiter is gone after it. */
static inline void coir_i_waitq_deliver(coir_i_waiter *waiter)
{
    if (waiter)
        coir_i_deliver(waiter->ticket.fiber, waiter->parked);
}

/* In order: the first runs next here, the others after what is ready. */
void coir_i_waitq_deliver_all(coir_i_waiter *first);

#endif
