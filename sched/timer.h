/* sched/timer.h -- one timer node a fiber, in a hierarchical wheel a worker
 *
 * A fiber's node is *sticky*: it stays linked when a wait ends before its time,
 * and the next wait finds it there. To set a deadline is to store it, and to
 * link the node only if the wheel would look at it too late. When the wheel
 * looks at a node, it goes by the deadline that stands in the fiber then.
 *
 *   fiber.deadline  when it wants to be woken; COIR_NEVER: not at all
 *   fiber.linked    COIR_NEVER: in no wheel; else when its wheel looks at it,
 *                   with the wheel's number in the low 14 bits
 *
 * The wheel: 7 levels of 64 slots; a slot of the lowest is a tick of 2^14 ns,
 * 16 us. A timer is never early and up to a tick late.
 *
 * Who writes what
 *   deadline  the fiber; whoever looks at it while it waits (LOOK, park.h)
 *   linked    from COIR_NEVER: by CAS, under the lock of the wheel that the
 *             node goes to. From a value: under the lock of the wheel in it.
 *   links     under the lock of the wheel in `linked`. */
#ifndef COIR_SCHED_TIMER_H
#define COIR_SCHED_TIMER_H

#include <coir/time.h>

#include "sched/lock.h"
#include "sched/park.h"

enum {
    COIR_I_TICK_BITS = 14, /* of nanoseconds, in a tick */
    COIR_I_WHEEL_LEVELS = 7,
    COIR_I_WHEEL_SLOTS = 64
};

typedef struct coir_i_wheel {
    coir_i_spin lock;
    uint32_t number;         /* const: its worker's id */
    _Atomic(coir_time) next; /* nothing has to be looked at before */
    uint64_t elapsed;        /* ticks: everything before has been seen to */
    uint64_t occupied[COIR_I_WHEEL_LEVELS]; /* a bit a slot */
    coir_i_link slot[COIR_I_WHEEL_LEVELS][COIR_I_WHEEL_SLOTS];
} coir_i_wheel;

void coir_i_wheel_init(coir_i_wheel *wheel, uint32_t number, coir_time now);

/* f->deadline was stored: see that a wheel looks at f by then, ours if it is
 * in none. After the store the caller has made a fence, or its arm exchange. */
void coir_i_timer_link(coir_i_wheel *ours, coir_i_fiber *f, coir_time deadline);

/* Look at every node that is to be looked at by `now`. Up to `most` fibers
 * whose deadline has passed while they waited come back in due; call again if
 * it was `most`. A fiber that runs is told so (checked = 0). */
unsigned coir_i_wheel_advance(coir_i_wheel *wheel, coir_time now,
                              coir_i_ticket *due, unsigned most);

/* Is there a node whose fiber has a deadline? Nodes that were left behind are
 * unlinked on the way. While all workers sleep the answer is exact. */
bool coir_i_wheel_is_set(coir_i_wheel *wheel);

/* No worker runs any more: forget all nodes. */
void coir_i_wheel_clear(coir_i_wheel *wheel);

#endif
