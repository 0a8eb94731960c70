/* io/wait.c -- a fiber waits for an edge, and is woken by one
 *
 * Does       register a descriptor, put a ticket into a side's word, take it
 *            out again.
 * Does not   make the call that is waited for: see readwrite.c for the loop.
 *
 *   call (has the turn)                   poller, closer
 *     side := DRY, or take READY            the kernel has something
 *     CLOSING? then -EBADF                  side := READY (exchange)
 *     the system call: -EAGAIN              was it a ticket? wake
 *     arm; side: DRY -> ticket, or
 *       READY came: try again
 *     park
 *
 * Invariants
 *   W1  No edge is lost: one that comes before the system call is seen by it;
 *       one that comes after is in the word before the ticket, or finds it.
 *   W2  A cancelled wait has moved nothing, and leaves DRY, or READY if the
 *       edge came as well.
 *
 * Locks      none.
 * Edges      descriptor.side (publish: a ticket, an edge, a close; observe: who
 *            takes it), doubt.listed (dekker)
 * Fails      what the reactor says, from the call that needed the wait.
 * Tests      test/test_descriptor.c, test/stress_descriptor.c,
 *            test/models/descriptor.pml */
#include <coir/time.h>

#include "io/descriptor.h"
#include "io/doubt.h"
#include "io/reactor.h"

int coir_i_slot_edge(coir_i_descriptor *slot, enum coir_i_side side)
{
    /* @publish descriptor.side: what came with the edge. */
    /* @observe descriptor.side: the ticket's fiber has armed it. */
    uint64_t was = exchange_acq_rel(&slot->side[side], COIR_I_READY);
    if (was <= COIR_I_DRY)
        return 0;
    return coir_i_wake(coir_i_ticket_unpack(was >> COIR_I_SHIFT), COIR_I_WOKEN);
}

int coir_i_slot_register(coir_i_descriptor *slot, int fd)
{
    for (;;) {
        uint64_t s = load_relaxed(&slot->state);
        uint32_t generation = (uint32_t)(s >> 32);
        uint64_t tag = coir_i_tag(fd, generation), not_known = 0;

        store_relaxed(&slot->number, fd); /* the same each time */
        int rc = coir_i_reactor_add(fd, tag);
        if (rc == -EEXIST && (s & COIR_I_REGISTERED))
            return 0;
        if (rc == -EEXIST)
            rc = coir_i_reactor_retag(fd, tag);
        else if (rc == 0 && (s & COIR_I_REGISTERED))
            not_known = COIR_I_KNOWN; /* the number has become another file */
        if (rc < 0)
            return rc;
        if (coir_i_slot_learn(slot, generation, COIR_I_REGISTERED, not_known))
            return 0;
    }
}

/* Is the registration taken for granted? See doubt.h. */
static bool is_granted(coir_i_descriptor *slot)
{
    uint64_t granted = COIR_I_REGISTERED | COIR_I_MADE;
    return (load_relaxed(&slot->state) & granted) == granted;
}

static const coir_i_wait waits_for[] = {
    {.what = "input on descriptor",
     .flags = COIR_I_WAIT_OUTSIDE | COIR_I_WAIT_NUMBER},
    {.what = "output on descriptor",
     .flags = COIR_I_WAIT_OUTSIDE | COIR_I_WAIT_NUMBER},
};

int coir_i_call_wait(coir_i_call *call)
{
    coir_i_descriptor *slot = call->slot;
    _Atomic(uint64_t) *side = &slot->side[call->side];
    bool in_doubt = is_granted(slot);
    if (!in_doubt) {
        int rc = coir_i_slot_register(slot, call->fd);
        if (rc < 0)
            return rc;
    }

    coir_i_ticket ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for[call->side],
                   coir_i_wait_number(call->fd));
    uint64_t mine = coir_i_ticket_pack(ticket) << COIR_I_SHIFT | COIR_I_TICKET;
    uint64_t dry = COIR_I_DRY;
    /* @publish descriptor.side: the fiber is armed. */
    /* @dekker doubt.listed: then we look whether the slot is listed. */
    if (!cas_seq_cst(side, &dry, mine))
        coir_i_wake(ticket, COIR_I_WOKEN); /* an edge: nobody has the ticket */
    else if (in_doubt)
        coir_i_doubt(slot);

    switch (coir_i_park()) {
    case COIR_I_WOKEN:
        return 0;
    case COIR_I_CLOSED: /* the closer has ended the call for us */
        call->slot = NULL;
        return -EBADF;
    }
    /* relaxed: back to what it was; an edge that took the ticket stays. */
    cas_relaxed(side, &mine, COIR_I_DRY);
    return -ECANCELED;
}

int coir_i_call_pause(coir_i_call *call, int *ms)
{
    enum { LEAST_MS = 1, MOST_MS = 16 };
    *ms = *ms == 0 ? LEAST_MS : *ms < MOST_MS ? 2 * *ms : MOST_MS;
    int rc = coir_sleep(COIR_MS(*ms));
    if (rc < 0)
        return rc;
    /* relaxed: seen the next time, if not now. */
    bool is_closing = load_relaxed(&call->slot->state) & COIR_I_CLOSING;
    return is_closing ? -EBADF : 0;
}
