/* sched/chan.h -- a channel, as chan.c and select.c know it
 *
 * A ring of `capacity` items, those who wait to send because it is full, and
 * those who wait to receive because it is empty.
 *
 * Invariants
 *   C1  while a fiber waits to send, the ring is full and nobody waits to
 *       receive; while one waits to receive, it is empty and nobody waits to
 *       send. (Fibers that were cancelled may still be listed.) So whoever
 *       comes and has to go behind others finds that out by itself.
 *   C2  CLOSED stays, and nobody waits while it is set.
 *   C3  a waiter that was taken has its item copied before it is delivered. */
#ifndef COIR_SCHED_CHAN_H
#define COIR_SCHED_CHAN_H

#include <coir/chan.h>

#include "sched/waitq.h"

#include <errno.h>

enum { COIR_I_CHAN_CLOSED = 2 }; /* in the word, above the lock */

struct coir_chan { /* its lock's, but for what is const */
    _Alignas(64) _Atomic(uint64_t) word;
    coir_i_waitq senders, receivers;
    size_t item_size, capacity; /* const */
    size_t first, length;       /* of what is in the ring */
    uint32_t waiting; /* waiters that have not been taken or withdrawn */
    uint32_t shift;   /* const: where in its memory it begins */
    char items[];
};

_Static_assert(sizeof(struct coir_chan) == 64, "one cache line");

/* A wait to send or receive; a select has one for each case. */
typedef struct coir_i_chan_waiter {
    coir_i_waiter waiter; /* first */
    bool taken; /* by who took it, before it is delivered: this one ended the
                   wait */
} coir_i_chan_waiter;

/* Why such a wait ended, besides COIR_I_WOKEN: the item was handed over. */
enum { COIR_I_CHAN_PIPE = COIR_I_OWN };

/* 0 or -EPIPE; or -ECANCELED: nobody has taken the waiter. */
static inline int coir_i_chan_result(unsigned reason)
{
    if (coir_i_likely(reason == COIR_I_WOKEN))
        return 0;
    return reason == COIR_I_CHAN_PIPE ? -EPIPE : -ECANCELED;
}

/* All of these under the lock of the channel. */

/* Would coir_i_chan_pass do it? Yes, unless all who wait were cancelled. */
static inline bool coir_i_chan_is_ready(const coir_chan *c, enum coir_op op)
{
    /* relaxed: we have the lock. */
    if (load_relaxed(&c->word) & COIR_I_CHAN_CLOSED)
        return true;
    return op == COIR_SEND
               ? !coir_i_waitq_empty(&c->receivers) || c->length < c->capacity
               : c->length > 0 || !coir_i_waitq_empty(&c->senders);
}

/* Send or receive without waiting: 0, -EPIPE or -EAGAIN. *woken is to be
 * delivered when the lock was given back. */
int coir_i_chan_pass(coir_chan *c, enum coir_op op, void *item,
                     coir_i_waiter **woken);
/* Wait for it from now on, once the lock is given back; and no more. */
void coir_i_chan_await(coir_chan *c, enum coir_op op,
                       coir_i_chan_waiter *waiter);
void coir_i_chan_withdraw(coir_chan *c, enum coir_op op,
                          coir_i_chan_waiter *waiter);

#endif
