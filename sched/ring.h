/* sched/ring.h -- the fibers that are ready on one worker, first in first out
 *
 *        head -> | a | b | c | <- tail
 *
 * The owner adds at the tail; the owner and thieves take at the head. */
#ifndef COIR_SCHED_RING_H
#define COIR_SCHED_RING_H

#include "fiber/fiber.h"
#include "sched/bias.h"

#include <stdbool.h>

enum { COIR_I_RING = 256 };

typedef struct coir_i_ring {
    _Atomic(uint32_t) head; /* whoever takes, by CAS; never decreases */
    _Atomic(uint32_t) tail; /* the owner */
    coir_i_bias bias;       /* its owner's: nobody else takes */
    _Atomic(coir_i_fiber *) slot[COIR_I_RING];
} coir_i_ring;

/* The owner: take half of what is there, linked by `next`, into *first and
 * *last. How many. */
unsigned coir_i_ring_spill(coir_i_ring *ring, coir_i_fiber **first,
                           coir_i_fiber **last);
/* The owner of `to`, which is empty: half of what `from` has. How many. */
unsigned coir_i_ring_steal(coir_i_ring *to, coir_i_ring *from);

/* The owner, of a ring from which nobody steals: the one that is `at` places
 * after the head changes places with the head; none if there are not so many.
 */
void coir_i_ring_shuffle(coir_i_ring *ring, unsigned at);

/* Anyone: take all that there is, linked by `next`, into *first and *last. How
 * many. */
unsigned coir_i_ring_evict(coir_i_ring *ring, coir_i_fiber **first,
                           coir_i_fiber **last);

/* The owner. False: it is full. */
static inline bool coir_i_ring_put(coir_i_ring *ring, coir_i_fiber *f)
{
    uint32_t tail = load_relaxed(&ring->tail);
    /* @observe ring.room: whoever took it has read the slot. */
    if (tail - load_acquire(&ring->head) >= COIR_I_RING)
        return false;
    store_relaxed(&ring->slot[tail & (COIR_I_RING - 1)], f);
    /* @publish ring.slot: the slot, and the fiber's saved context. */
    store_release(&ring->tail, tail + 1);
    return true;
}

/* The owner. NULL: it is empty. */
static inline coir_i_fiber *coir_i_ring_get(coir_i_ring *ring)
{
    uint32_t head = load_relaxed(&ring->head);
    while (head != load_relaxed(&ring->tail)) { /* relaxed: only we write it */
        coir_i_fiber *f = load_relaxed(&ring->slot[head & (COIR_I_RING - 1)]);
        if (coir_i_bias_enter(&ring->bias)) {
            store_relaxed(&ring->head, head + 1);
            coir_i_bias_leave(&ring->bias);
            return f;
        }
        /* relaxed: it is we who refill the slot. */
        if (cas_relaxed(&ring->head, &head, head + 1))
            return f;
    }
    return NULL;
}

static inline uint32_t coir_i_ring_length(coir_i_ring *ring)
{
    /* relaxed: only a hint, unless the caller has fenced. */
    uint32_t head = load_relaxed(&ring->head);
    uint32_t length = load_relaxed(&ring->tail) - head;
    return length > COIR_I_RING ? 0 : length;
}

#endif
