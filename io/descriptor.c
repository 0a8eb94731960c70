/* io/descriptor.c -- generations: how a descriptor begins, is known, and ends
 *
 * Does       bring events to the generation that they are of; close, when the
 *            last call is out; take note of descriptors that coir makes.
 *
 * A close
 *   1  sets CLOSING: nobody comes in any more;
 *   2  makes both sides READY: a call that is about to wait sees it, and looks
 *      for CLOSING. Fibers that wait there are woken with CLOSED and do not
 *      touch the slot again: their turn and their call are given back by the
 *      closer, so that they do not hold up the close;
 *   3  wakes those who wait for a turn, or watch;
 *   4  leaves. The last to leave, he or a call that is inside the kernel, ends
 *      the generation and calls close(2).
 *
 * Invariants
 *   G1  Events of a generation reach the slot in that generation; one that is
 *       late by a few instructions wakes somebody for nothing, no more.
 *   G2  The slot is free again *before* close(2), after which the number may
 *       be anyone's. A call that comes between finds the old file, which is
 *       the program's race; so after close(2) whoever came is stirred, and
 *       finds -EBADF or the new file.
 *
 * Locks      none here.
 * Edges      descriptor.turn (publish: a slot begins anew), descriptor.side,
 *            descriptor.queued (dekker: the poller, and who watches)
 * Fails      a descriptor that coir made without a slot: -ENOMEM, it is still
 *            the caller's.
 * Tests      test/test_descriptor.c, test/stress_descriptor.c */
#include "io/descriptor.h"

#include "io/module.h"
#include "io/reactor.h"
#include "io/sys.h"

static uint32_t generation_of(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

bool coir_i_slot_learn(coir_i_descriptor *slot, uint32_t generation,
                       uint64_t known, uint64_t not_known)
{
    uint64_t s = load_relaxed(&slot->state), next;
    do {
        if (generation_of(s) != generation)
            return false;
        next = (s & ~not_known) | known;
        /* relaxed: whoever depends on it sees the edge that comes after. */
    } while (s != next && !cas_relaxed(&slot->state, &s, next));
    return true;
}

int coir_i_descriptor_event(uint64_t tag, unsigned events)
{
    coir_i_descriptor *slot = coir_i_slot_find((int)(uint32_t)tag);
    uint32_t generation = (uint32_t)(tag >> 32);
    int woken = 0;

    if (!slot || generation_of(load_relaxed(&slot->state)) != generation)
        return 0;
    if (events & COIR_I_HAS_ENDED)
        coir_i_slot_learn(slot, generation, COIR_I_ENDED, 0);
    if (events & COIR_I_CAN_READ)
        woken += coir_i_slot_edge(slot, COIR_I_READER);
    if (events & COIR_I_CAN_WRITE)
        woken += coir_i_slot_edge(slot, COIR_I_WRITER);
    /* @dekker descriptor.queued: the event comes before this; who watches
     * looks at the descriptor after having set it. */
    if (load_seq_cst(&slot->state) & COIR_I_QUEUED)
        woken += coir_i_slot_wake(slot, COIR_I_WATCHERS, events, COIR_I_WOKEN);
    return woken;
}

int coir_i_slot_stir(coir_i_descriptor *slot)
{
    return coir_i_slot_edge(slot, COIR_I_READER) +
           coir_i_slot_edge(slot, COIR_I_WRITER) +
           coir_i_slot_wake(slot, COIR_I_WATCHERS, ~0U, COIR_I_WOKEN);
}

/* From here on, another file: calls that are inside stay. */
static void begin_generation(coir_i_descriptor *slot, uint64_t s,
                             uint64_t known)
{
    uint64_t next;
    do {
        next = ((s & ~COIR_I_KNOWN) | known) + COIR_I_GENERATION;
        /* @publish descriptor.turn: to the first call. */
    } while (!cas_release(&slot->state, &s, next));
    coir_i_slot_stir(slot);
}

int coir_i_descriptor_made(int fd, uint64_t known)
{
    coir_i_descriptor *slot;
    int rc = coir_i_slot_get(fd, &slot);
    if (rc < 0)
        return rc;
    if (!coir_i_io_is_exact())
        known |= COIR_I_MADE;
    begin_generation(slot, load_relaxed(&slot->state), known);
    return 0;
}

/* ---- Close. */

/* Step 2, for one side. */
static void end_side(coir_i_descriptor *slot, enum coir_i_side side)
{
    /* @publish descriptor.side: CLOSING comes before this. */
    /* @observe descriptor.side: the ticket's fiber has armed it. */
    uint64_t was = exchange_acq_rel(&slot->side[side], COIR_I_READY);
    if (was <= COIR_I_DRY)
        return;
    coir_i_ticket ticket = coir_i_ticket_unpack(was >> COIR_I_SHIFT);
    if (!coir_i_wake(ticket, COIR_I_CLOSED))
        return;
    uint64_t s = load_relaxed(&slot->state), next;
    do {
        next = (s & ~(COIR_I_TURN << side)) - COIR_I_CALL;
        /* relaxed: no call can come, and we are still inside. */
    } while (!cas_relaxed(&slot->state, &s, next));
}

int coir_i_descriptor_close(int fd)
{
    coir_i_descriptor *slot = coir_i_slot_find(fd);
    if (!slot)
        return coir_i_sys_close(fd);

    uint64_t s = load_relaxed(&slot->state);
    do {
        if (s & COIR_I_CLOSING)
            return -EBADF;
        /* relaxed: the sides publish it. */
    } while (
        !cas_relaxed(&slot->state, &s, (s | COIR_I_CLOSING) + COIR_I_CALL));

    end_side(slot, COIR_I_READER);
    end_side(slot, COIR_I_WRITER);
    for (unsigned list = 0; list < COIR_I_QUEUES; list++)
        coir_i_slot_wake(slot, list, ~0U, COIR_I_CLOSED);
    return coir_i_slot_leave(slot, fd);
}

int coir_i_descriptor_finish(coir_i_descriptor *slot, int fd)
{
    uint64_t s = load_relaxed(&slot->state);
    if (s & COIR_I_REGISTERED)
        coir_i_reactor_remove(fd);
    /* relaxed: nobody is inside, and an edge too many is nothing. */
    store_relaxed(&slot->side[COIR_I_READER], COIR_I_READY);
    store_relaxed(&slot->side[COIR_I_WRITER], COIR_I_READY);
    slot->late_error[COIR_I_READER] = slot->late_error[COIR_I_WRITER] = 0;
    uint64_t fresh = (uint64_t)(generation_of(s) + 1) << 32;
    /* @publish descriptor.turn: to the first call on the next file. */
    store_release(&slot->state, fresh);

    int rc = coir_i_sys_close(fd);
    uint64_t now = load_relaxed(&slot->state);
    if (coir_i_unlikely(now != fresh) &&
        generation_of(now) == generation_of(fresh))
        begin_generation(slot, now, 0); /* see G2 */
    return rc;
}
