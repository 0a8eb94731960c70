/* sched/park.h -- the waist: how a fiber waits, and how it is woken
 *
 * Everything that waits - join, timer, descriptor, pool call, nursery close -
 * is written with these calls, and there is no other way to suspend a fiber.
 *
 *   To wait:  rc = coir_i_enter();              cancelled already? a fiber?
 *             ticket = coir_i_arm(until, kind);
 *             publish the ticket where a waker finds it
 *             reason = coir_i_park();
 *             withdraw the ticket unless the reason says that it was taken
 *   To wake:  take the ticket; coir_i_wake(ticket, reason)
 *   To give:  take the ticket; coir_i_claim(ticket, reason); hand over what is
 *             given, give locks back; coir_i_deliver
 *
 * A wake may come as soon as the ticket is published, also before park: then
 * park returns at once. A ticket that was not used is worth nothing after park
 * has returned: a late wake by it is lost and says so. Between arm and park the
 * fiber must not wait for anything else; but it may always go through park.
 *
 * The word's bits are in sched/word.h, the protocol and its memory orders in
 * park.c, its proof in test/models. */
#ifndef COIR_SCHED_PARK_H
#define COIR_SCHED_PARK_H

#include <coir/time.h>

#include "fiber/fiber.h"

#include <stdbool.h>

/* One wait of one fiber. May be kept and used after the fiber is gone. */
typedef struct coir_i_ticket {
    coir_i_fiber *fiber;
    uint64_t seq;
} coir_i_ticket;

/* Why a wait ended. */
enum coir_i_reason {
    COIR_I_WOKEN = 1,
    COIR_I_TIMED_OUT, /* `until` has come */
    COIR_I_CANCELLED, /* a scope around the fiber is cancelled */
    COIR_I_OWN = 16 /* from here to 255: what the waker and the waiter agree */
};

/* What may end a wait besides its waker and `until`. */
enum coir_i_wait_kind {
    COIR_I_CANCELLABLE = 0,
    COIR_I_UNCANCELLABLE = 1 /* it ends soon, or must come to its end */
};

/* A kind of wait, for who looks at the program from outside: a constant of
 * whoever arms. */
typedef struct coir_i_wait {
    const char *what; /* "mutex": what stands in a dump */
    unsigned flags;
    /* Under a look: the id of the fiber that holds `on`; 0: nobody, or who it
     * is is not known. NULL: it is never held. */
    uint64_t (*holder)(const void *on);
} coir_i_wait;

enum {
    /* Something outside the runtime may end it, a descriptor or a signal: as
     * long as a fiber waits so, the program is not in a deadlock. (Pool calls
     * are counted by coir_i_outside_begin, timers by the wheels.) */
    COIR_I_WAIT_OUTSIDE = 1,
    COIR_I_WAIT_NUMBER = 2, /* `on` is no address: a descriptor, a pid */
    COIR_I_WAIT_LOCK = 4    /* it ends when its holder lets go */
};

static inline const void *coir_i_wait_number(long number)
{
    return (const void *)(intptr_t)number;
}

/* At the head of every call that parks: 0; -EPERM outside a fiber;
 * -ECANCELED while a scope around the caller is cancelled. Counts towards the
 * fiber's share, and gives way to others when that is used up. */
int coir_i_enter(void);

/* From here on the ticket is good. until: COIR_NEVER, or when the wait ends
 * with COIR_I_TIMED_OUT. The deadlines of scopes are seen to. wait, on: what
 * is waited for, as a dump shows it. */
coir_i_ticket coir_i_arm(coir_time until, enum coir_i_wait_kind kind,
                         const coir_i_wait *wait, const void *on);

/* Wait until somebody has claimed the fiber, and say why. errno is kept. */
unsigned coir_i_park(void);

/* Any thread. True: the fiber will go on with this reason. False: it had been
 * woken before, or had not waited; whoever has something to give away gives it
 * to the next. */
bool coir_i_wake(coir_i_ticket ticket, unsigned reason);

/* A wake in two steps. From a claim that succeeded to its deliver the fiber
 * does not go on: so its memory and the object that it waits on stay, and an
 * object's lock can be given back before the fiber, which may free it, runs.
 * *parked goes from the one to the other. Between them nothing parks. */
bool coir_i_claim(coir_i_ticket ticket, unsigned reason, bool *parked);
void coir_i_deliver(coir_i_fiber *f, bool parked);

/* A look at a fiber that waits: until coir_i_look_end it does not go on, so its
 * scopes and its deadlines stay as they are. It may be woken meanwhile. False:
 * it does not wait. *ticket is that of its wait. */
bool coir_i_look(coir_i_fiber *f, coir_i_ticket *ticket);
void coir_i_look_end(coir_i_fiber *f);
/* The wait goes on, but for a lock now: it had begun as a wait for something
 * else that is no lock, nor outside. */
void coir_i_rewait(coir_i_ticket ticket, const coir_i_wait *wait,
                   const void *on);
/* Under a look: may cancelling end this wait? */
bool coir_i_waits_cancellable(coir_i_fiber *f);

/* For reading its stack: until coir_i_release the fiber stays parked, and
 * whoever wants to wake it waits for us in a loop: be quick, and take no lock.
 * False: it is not parked. */
bool coir_i_hold(coir_i_fiber *f);
void coir_i_release(coir_i_fiber *f);

/* A ticket in the 62 low bits of a word; the seq is cut to 34 bits. */
uint64_t coir_i_ticket_pack(coir_i_ticket ticket);
coir_i_ticket coir_i_ticket_unpack(uint64_t packed);

#endif
