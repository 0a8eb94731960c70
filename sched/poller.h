/* sched/poller.h -- where an idle worker sleeps
 *
 * sched has no descriptors. An idle worker sleeps in the poller; io registers
 * its reactor here when the first descriptor has to be waited for, and until
 * then the poller is a futex. One worker at a time has the *seat* and may call
 * wait; everyone may call wake. */
#ifndef COIR_SCHED_POLLER_H
#define COIR_SCHED_POLLER_H

#include <coir/time.h>

typedef struct coir_i_poller coir_i_poller;
struct coir_i_poller {
    /* Sleep until an event, a wake or the time `until` of the monotonic clock
     * (COIR_NEVER: no end; 0: only look), and coir_i_wake whom the events
     * concern. How many were woken. From the worker with the seat alone. */
    int (*wait)(coir_i_poller *poller, coir_time until);
    /* Any thread: the wait under way, or else the next one, returns at once. */
    void (*wake)(coir_i_poller *poller);
};

/* From a fiber: the runtime sleeps in `poller` from now on. The one that was
 * there before is woken and left. Called once a runtime. */
void coir_i_poller_install(coir_i_poller *poller);

#endif
