/* sched/ring.c -- the fibers that are ready on one worker
 *
 * Does       put and get for its owner, steal and evict for everyone else.
 * Does not   block, allocate, or look inside a fiber, but for the link by
 *            which spill hands out a list.
 *
 * Invariants
 *   R1  tail - head <= COIR_I_RING; neither ever decreases.
 *   R2  only the owner writes tail and the slots.
 *   R3  a slot in [head, tail) holds a ready fiber. Whoever moves head over it
 *       by CAS has it; the slot is read before, and what was read is good only
 *       if the CAS succeeds: until head moves, the owner cannot reuse it.
 *   R4  while the owner has the bias it moves head by a store: nobody steals.
 *
 * Locks      none; ring.bias (sched/bias.h).
 * Edges      ring.slot (put -> get, steal), ring.room (get, steal -> put)
 * Fails      never.
 * Tests      test/test_ring.c, test/stress_steal.c */
#include "sched/ring.h"

enum { MASK = COIR_I_RING - 1 };

/* By `next`. */
static void link_all(coir_i_fiber **fibers, unsigned count,
                     coir_i_fiber **first, coir_i_fiber **last)
{
    *first = *last = NULL;
    for (unsigned i = 0; i < count; i++) {
        *(*last ? &(*last)->next : first) = fibers[i];
        *last = fibers[i];
    }
    if (*last)
        (*last)->next = NULL;
}

unsigned coir_i_ring_spill(coir_i_ring *ring, coir_i_fiber **first,
                           coir_i_fiber **last)
{
    coir_i_fiber *half[COIR_I_RING / 2];
    uint32_t head = load_relaxed(&ring->head), count;
    do {
        count = (load_relaxed(&ring->tail) - head) / 2;
        for (uint32_t i = 0; i < count; i++)
            half[i] = load_relaxed(&ring->slot[(head + i) & MASK]);
        /* relaxed: it is we who refill the slots. */
    } while (count && !cas_relaxed(&ring->head, &head, head + count));
    link_all(half, count, first, last);
    return count;
}

void coir_i_ring_shuffle(coir_i_ring *ring, unsigned at)
{
    uint32_t head = load_relaxed(&ring->head); /* relaxed: all is ours */
    if (at >= load_relaxed(&ring->tail) - head)
        return;
    _Atomic(coir_i_fiber *) *a = &ring->slot[head & MASK];
    _Atomic(coir_i_fiber *) *b = &ring->slot[(head + at) & MASK];
    coir_i_fiber *first = load_relaxed(a);
    store_relaxed(a, load_relaxed(b));
    store_relaxed(b, first);
}

unsigned coir_i_ring_evict(coir_i_ring *ring, coir_i_fiber **first,
                           coir_i_fiber **last)
{
    coir_i_fiber *all[COIR_I_RING];
    uint32_t count, head = load_relaxed(&ring->head);
    do {
        /* @observe ring.slot: the slots, and the fibers' contexts. */
        count = load_acquire(&ring->tail) - head;
        if (count > COIR_I_RING) /* head is old: the CAS will say so */
            count = 0;
        for (uint32_t i = 0; i < count; i++)
            all[i] = load_relaxed(&ring->slot[(head + i) & MASK]);
        /* @publish ring.room: we have read the slots. */
    } while (!cas_release(&ring->head, &head, head + count));
    link_all(all, count, first, last);
    return count;
}

unsigned coir_i_ring_steal(coir_i_ring *to, coir_i_ring *from)
{
    uint32_t at = load_relaxed(&to->tail);
    /* @observe ring.room: whoever stole from us has read our slots. */
    if (load_acquire(&to->head) != at)
        return 0; /* not empty */
    /* relaxed: an old head makes the CAS fail. */
    uint32_t head = load_relaxed(&from->head);
    for (;;) {
        /* @observe ring.slot: the slots, and the fibers' contexts. */
        uint32_t tail = load_acquire(&from->tail);
        uint32_t count = tail - head;
        count -= count / 2;
        if (count == 0)
            return 0;
        if (count > COIR_I_RING / 2) { /* head was old */
            head = load_relaxed(&from->head);
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
            store_relaxed(&to->slot[(at + i) & MASK],
                          load_relaxed(&from->slot[(head + i) & MASK]));
        /* @publish ring.room: we have read the slots. */
        if (cas_release(&from->head, &head, head + count)) {
            /* @publish ring.slot: to whoever steals from us in turn. */
            store_release(&to->tail, at + count);
            return count;
        }
    }
}
