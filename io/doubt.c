/* io/doubt.c -- is what we wait on still what was registered?
 *
 * Does       list slots on which a fiber waits without having asked the kernel,
 *            and ask about those whose fiber still waits two looks later. See
 *            doubt.h for why.
 *
 *     coir_i_doubt -> fresh --a look notes the tickets--> old --the next: if
 *                                                 they are still there--> ask
 *
 * Invariants
 *   B1  A slot whose fiber waits in doubt is listed, or about to be: `doubted`
 *       is set, by who puts it into `fresh`, and cleared when it has left
 *       `old`; then the words are looked at again for a new ticket.
 *   B2  The poller does not sleep past the next look while a slot is listed.
 *
 * Locks      none. `old`, `next_look`, doubt_next once listed, and noted belong
 *            to the worker with the poller's seat.
 * Edges      doubt.fresh (publish: a slot; observe: a look)
 *            doubt.listed (dekker: a wait; the slot leaves the list)
 *            doubt.sleep (dekker: a first doubt; the poller goes to sleep)
 * Fails      asking may fail: then the fiber is woken, asks itself, and its
 *            call reports it.
 * Tests      test/test_descriptor.c */
#include "io/doubt.h"

#include "io/reactor.h"
#include "sched/sys.h"

#define LOOK_EVERY COIR_MS(10)

static struct {
    _Atomic(coir_i_descriptor *) fresh;
    _Atomic(uint32_t) asleep; /* the poller, and for longer than to a look */
    coir_i_descriptor *old;
    coir_time next_look;
} doubts;

static void push(coir_i_descriptor *slot)
{
    coir_i_descriptor *first = load_relaxed(&doubts.fresh);
    do {
        slot->doubt_next = first;
        /* @publish doubt.fresh: the slot and its link. */
        /* @dekker doubt.sleep: then we look whether the poller sleeps. */
    } while (!cas_seq_cst(&doubts.fresh, &first, slot));
}

void coir_i_doubt(coir_i_descriptor *slot)
{
    /* @dekker doubt.listed: the ticket was there before this. */
    if (load_seq_cst(&slot->doubted) ||
        exchange_relaxed(&slot->doubted, 1)) /* relaxed: whose push it is */
        return;
    push(slot);
    /* @dekker doubt.sleep: see push. */
    if (load_seq_cst(&doubts.asleep))
        coir_i_reactor_wake();
}

coir_time coir_i_doubts_sleep(coir_time until)
{
    /* @dekker doubt.sleep: then we look for a doubt. */
    store_seq_cst(&doubts.asleep, 1);
    /* @dekker doubt.sleep: as said. */
    if (!doubts.old && !load_seq_cst(&doubts.fresh))
        return until;
    store_relaxed(&doubts.asleep, 0); /* relaxed: a wake too many is nothing */
    return until < doubts.next_look ? until : doubts.next_look;
}

/* The ticket that a side waits with; 0: nobody waits. */
static uint64_t ticket_on(coir_i_descriptor *slot, int side)
{
    /* @dekker doubt.listed: `doubted` was cleared before this. */
    uint64_t word = load_seq_cst(&slot->side[side]);
    return word > COIR_I_DRY ? word : 0;
}

/* Does a fiber wait on one of the sides, and with which ticket? */
static bool waits(coir_i_descriptor *slot, bool as_noted)
{
    for (int side = 0; side < 2; side++) {
        uint64_t ticket = ticket_on(slot, side);
        if (ticket && (ticket == slot->noted[side]) == as_noted)
            return true;
    }
    return false;
}

/* Ask the kernel, by registering it again. */
static int ask(coir_i_descriptor *slot)
{
    int woken = 0;
    int fd = load_relaxed(&slot->number); /* relaxed: const by now */
    if (coir_i_slot_enter(slot) < 0)
        return 0; /* it is being closed, which wakes them */
    uint64_t s = load_relaxed(&slot->state);
    uint32_t generation = (uint32_t)(s >> 32);
    int rc = s & COIR_I_REGISTERED
                 ? coir_i_reactor_add(fd, coir_i_tag(fd, generation))
                 : -EEXIST; /* whoever waits now has asked */
    if (rc != -EEXIST) {
        uint64_t known = rc == 0 ? COIR_I_REGISTERED : 0;
        coir_i_slot_learn(slot, generation, known, COIR_I_KNOWN);
        woken = coir_i_slot_stir(slot);
    }
    coir_i_slot_leave(slot, fd);
    return woken;
}

int coir_i_doubts_look(void)
{
    int woken = 0;
    store_relaxed(&doubts.asleep, 0); /* relaxed: a wake too many is nothing */
    if (!doubts.old && !load_relaxed(&doubts.fresh)) /* or the next look will */
        return 0;
    coir_time now = coir_i_sys_now();
    if (now < doubts.next_look)
        return 0;
    doubts.next_look = now + LOOK_EVERY;

    coir_i_descriptor *slot = doubts.old, *next;
    doubts.old = NULL;
    /* @observe doubt.fresh: slots and their links. */
    coir_i_descriptor *fresh = exchange_acquire(&doubts.fresh, NULL);
    for (; slot; slot = next) {
        next = slot->doubt_next;
        if (waits(slot, true))
            woken += ask(slot);
        /* @dekker doubt.listed: a wait that begins after this lists it. */
        store_seq_cst(&slot->doubted, 0);
        if (waits(slot, false))
            coir_i_doubt(slot);
    }
    for (slot = fresh; slot; slot = next) {
        next = slot->doubt_next;
        slot->noted[0] = ticket_on(slot, 0);
        slot->noted[1] = ticket_on(slot, 1);
        slot->doubt_next = doubts.old;
        doubts.old = slot;
    }
    return woken;
}

void coir_i_doubts_reset(void)
{
    store_relaxed(&doubts.fresh, NULL); /* no other thread is left */
    store_relaxed(&doubts.asleep, 0);
    doubts.old = NULL;
    doubts.next_look = 0;
}
