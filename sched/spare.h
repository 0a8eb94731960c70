/* sched/spare.h -- workers that stand in for those that are stuck
 *
 * A spare is a worker like the others, but that it comes after them in the
 * array, is started when it is first wanted, and sits on the *bench* when it is
 * not: asleep, and in no count of workers but that of those that there are.
 *
 *     (none) --hire--> at work <--hire, or a fiber pinned to it-- on the bench
 *                         |                                           ^
 *                         +-- more are active than is allowed --------+ */
#ifndef COIR_SCHED_SPARE_H
#define COIR_SCHED_SPARE_H

#include "sched/worker.h"

enum { COIR_I_SPARES = 64 };

/* A runtime starts; on the thread that called coir_run. */
void coir_i_spare_start(void);
/* First, on the thread of a spare. */
void coir_i_spare_enter(void);

/* The monitor: so many workers may be active. Those beyond sit down in time. */
void coir_i_spare_allow(unsigned active);
/* The monitor: one more worker; false: there is none to be had now. */
bool coir_i_spare_hire(void);
/* The monitor: those spares that sleep, up to so many, shall look whether they
 * are still allowed. */
void coir_i_spare_call_off(unsigned many);
/* How often that was. */
uint64_t coir_i_spare_hired(void);

extern _Atomic(uint32_t) coir_i_spare_allowed
    __attribute__((visibility("hidden")));

/* Is w a spare that is not wanted any more, and has nothing that it alone can
 * run? Its own thread; a hint, but under idle.lock. */
static inline bool coir_i_is_surplus(coir_i_worker *w)
{
    return w->id >= coir_i_runtime.configured && !w->pinned &&
           !load_relaxed(&w->inbox) &&
           coir_i_idle_active(load_relaxed(&coir_i_idle_state)) >
               load_relaxed(&coir_i_spare_allowed);
}

/* w, a surplus one, in its own context: what it has goes to all. */
void coir_i_spare_hand_over(coir_i_worker *w);

#endif
