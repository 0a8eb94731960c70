/* io/doubt.c -- is what we wait on still what was registered?
 *
 * Does       list slots on which a fiber waits without having asked the kernel,
 *            and look at the list 10 ms later: where a fiber still waits as it
 *            did then, ask. See doubt.h for why.
 *
 * Invariants
 *   B1  A slot whose fiber waits in doubt is listed, or about to be: `doubted`
 *       is set by who lists it, and cleared when it has left the list; then
 *       the words are looked at again for a new ticket.
 *   B2  The poller does not sleep past the next look while a slot is listed.
 *
 * Locks      none. noted and doubt_next belong to who has set `doubted`, and
 *            with the list to the worker that has the poller's seat.
 * Edges      doubt.list (publish: a slot; observe: a look)
 *            doubt.listed (dekker: a wait; the slot leaves the list)
 *            doubt.sleep (dekker: a doubt; the poller goes to sleep)
 * Fails      asking may fail: then the fiber is woken, asks itself, and its
 *            call reports it.
 * Tests      test/test_descriptor.c, test/models/doubt.pml */
#include "io/doubt.h"

#include "io/reactor.h"
#include "sched/sys.h"

#define LOOK_AFTER COIR_MS(10)

static struct {
    _Atomic(coir_i_descriptor *) list;
    _Atomic(uint32_t) asleep; /* the poller, for longer than to a look */
    coir_time next_look;      /* the worker with the seat; 0: none is due */
} doubts;

/* The ticket that a side waits with; 0: nobody waits. */
static uint64_t ticket_on(coir_i_descriptor *slot, int side)
{
    /* @dekker doubt.listed: `doubted` was cleared before this. */
    uint64_t word = load_seq_cst(&slot->side[side]);
    return word > COIR_I_DRY ? word : 0;
}

void coir_i_doubt(coir_i_descriptor *slot)
{
    /* @dekker doubt.listed: the ticket was there before this. */
    if (load_seq_cst(&slot->doubted) ||
        exchange_relaxed(&slot->doubted, 1)) /* relaxed: who lists it */
        return;
    slot->noted[0] = ticket_on(slot, 0);
    slot->noted[1] = ticket_on(slot, 1);
    coir_i_descriptor *first = load_relaxed(&doubts.list);
    do {
        slot->doubt_next = first;
        /* @publish doubt.list: the slot, its notes and its link. */
        /* @dekker doubt.sleep: then we look whether the poller sleeps. */
    } while (!cas_seq_cst(&doubts.list, &first, slot));
    /* @dekker doubt.sleep: after the slot was listed. */
    if (load_seq_cst(&doubts.asleep))
        coir_i_reactor_wake();
}

/* When the list is to be looked at; COIR_NEVER: it is empty. */
static coir_time next_look(void)
{
    /* @dekker doubt.sleep: after `asleep` was set. */
    if (!load_seq_cst(&doubts.list))
        return COIR_NEVER;
    if (!doubts.next_look)
        doubts.next_look = coir_i_sys_now() + LOOK_AFTER;
    return doubts.next_look;
}

coir_time coir_i_doubts_sleep(coir_time until)
{
    /* @dekker doubt.sleep: before the list is looked at. */
    store_seq_cst(&doubts.asleep, 1);
    coir_time look = next_look();
    if (look == COIR_NEVER)
        return until;
    store_relaxed(&doubts.asleep, 0); /* relaxed: a wake too many is nothing */
    return until < look ? until : look;
}

/* Does a fiber wait on one of the sides, with the ticket that was noted, or
 * with another one? */
static bool waits(coir_i_descriptor *slot, const uint64_t noted[2],
                  bool as_noted)
{
    for (int side = 0; side < 2; side++) {
        uint64_t ticket = ticket_on(slot, side);
        if (ticket && (ticket == noted[side]) == as_noted)
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
    coir_time look = next_look();
    if (look == COIR_NEVER || coir_i_sys_now() < look)
        return 0;
    doubts.next_look = 0;
    /* @observe doubt.list: slots, notes and links. */
    coir_i_descriptor *slot = exchange_acquire(&doubts.list, NULL), *next;
    for (; slot; slot = next) {
        const uint64_t noted[2] = {slot->noted[0], slot->noted[1]};
        next = slot->doubt_next;
        if (waits(slot, noted, true))
            woken += ask(slot);
        /* @dekker doubt.listed: a wait that begins after this lists it. */
        store_seq_cst(&slot->doubted, 0);
        if (waits(slot, noted, false))
            coir_i_doubt(slot);
    }
    return woken;
}

void coir_i_doubts_reset(void)
{
    store_relaxed(&doubts.list, NULL); /* no other thread is left */
    store_relaxed(&doubts.asleep, 0);
    doubts.next_look = 0;
}
