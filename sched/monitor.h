/* sched/monitor.h -- a thread that looks after workers stuck in one fiber */
#ifndef COIR_SCHED_MONITOR_H
#define COIR_SCHED_MONITOR_H

#include "fiber/atomics.h"
#include "fiber/invariant.h"

#include <stdint.h>

/* 0, or why no thread could be started. */
int coir_i_monitor_start(void);
void coir_i_monitor_stop(void);

/* A worker of whose children nobody sees to, from 1; 0: there is none. A hint
 * for who looks around. */
extern _Atomic(uint32_t) coir_i_monitor_left
    __attribute__((visibility("hidden")));
struct coir_i_worker;
/* Take some of them. */
void coir_i_monitor_take_left(struct coir_i_worker *w);

void coir_i_monitor_wake_slow(void) __attribute__((cold, noinline));
extern _Atomic(uint32_t) coir_i_monitor_sleeps
    __attribute__((visibility("hidden")));

/* A worker that was idle is not any more. */
static inline void coir_i_monitor_wake(void)
{
    /* @dekker monitor.sleeps: after idle.state was changed. */
    if (coir_i_unlikely(load_seq_cst(&coir_i_monitor_sleeps)))
        coir_i_monitor_wake_slow();
}

#endif
