/* sched/deadlock.h -- is there anybody left who could wake anybody?
 *
 * When every worker sleeps, a fiber can only be woken by a timer, by something
 * outside the runtime (a descriptor, a signal, a child, a pool call), or by a
 * thread that is not coir's. If there is none of these, every fiber waits for
 * another one, and would for ever. */
#ifndef COIR_SCHED_DEADLOCK_H
#define COIR_SCHED_DEADLOCK_H

#include "sched/worker.h"

void coir_i_deadlock_start(void); /* of a runtime */

/* Since then: was there one? */
bool coir_i_deadlock_happened(void);

/* From the worker in the seat, announced as a sleeper, before it sleeps: if
 * there is a deadlock, tell of it and cancel everything. 0: so it was, and it
 * shall not sleep. Else the time of the system's clock to ask again, or
 * COIR_NEVER: whoever is awake, or will be, asks. */
coir_time coir_i_deadlock_look(void);
/* It has slept. */
void coir_i_deadlock_looked(void);

/* All workers seem to sleep. Shall who sits in the seat have a look? Any
 * thread. */
bool coir_i_deadlock_suspected(void);

/* Fibers that wait for each other's locks: sched/circle.c. */
void coir_i_circle_start(void); /* of a runtime */
/* The monitor, whenever it is awake and before it sleeps: look for circles, if
 * it is time. When it shall do so again, by the system's clock like `now`;
 * COIR_NEVER: when a worker has been awake. */
coir_time coir_i_circle_look(coir_time now);

/* Has the process threads that are not coir's? Where that cannot be known, it
 * is taken for granted: sched/foreign.c. */
bool coir_i_foreign_threads(void);
void coir_i_foreign_forked(void); /* in the child of a fork */

#endif
