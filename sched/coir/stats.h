/* Looking inside. See coir_stats(3). */
#ifndef COIR_STATS_H
#define COIR_STATS_H

#include <coir/base.h>

COIR_BEGIN

typedef struct coir_stats {
    uint64_t fibers, fibers_peak, spawned, switches, steals, parks, wakes;
    uint64_t polls, timers, blocking_calls, jobs, stacks, stack_bytes, handoffs;
    uint64_t reserved[8];
} coir_stats;
void coir_stats_get(coir_stats *stats);

COIR_END

#endif
