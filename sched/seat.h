/* sched/seat.h -- the one seat in the poller
 *
 * See sched/poller.h for what a poller is. */
#ifndef COIR_SCHED_SEAT_H
#define COIR_SCHED_SEAT_H

#include "sched/poller.h"
#include "sched/worker.h"

void coir_i_seat_start(void);

/* Take the seat; false: somebody has it. */
bool coir_i_seat_sit_down(coir_i_worker *w);
/* In the seat, announced as a sleeper: sleep until an event, a timer of
 * anyone's, or a wake. */
void coir_i_seat_sleep(coir_i_worker *w);
void coir_i_seat_stand_up(void);

/* Does nobody sit there? A hint. */
bool coir_i_seat_empty(void);

/* Whoever sits there comes back. */
void coir_i_seat_wake(void);

/* A worker is about to sleep beside the seat; or a call has come back. If it
 * was the last thing to wait for, who sits there looks what is left. */
void coir_i_seat_tell(void);

#endif
