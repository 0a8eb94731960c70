/* sched/stats.c -- what the workers have counted
 *
 * Each number is its worker's own; added up while they run they may be a
 * little old, and a little out of step with each other.
 * Tests      test/test_stats.c */
#include "sched/module.h"
#include "sched/worker.h"

#include <string.h>

void coir_stats_get(coir_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    coir_i_fibers_stats(stats);
    if (!coir_i_runs())
        return;
    uint64_t ended = 0;
    for (unsigned i = 0; i < coir_i_runtime.count; i++) {
        struct coir_i_counts *counts = &coir_i_runtime.workers[i].counts;
        stats->spawned += load_relaxed(&counts->spawned);
        ended += load_relaxed(&counts->ended);
        stats->switches += load_relaxed(&counts->switches);
        stats->steals += load_relaxed(&counts->steals);
        stats->parks += load_relaxed(&counts->parks);
        stats->wakes += load_relaxed(&counts->wakes);
        stats->polls += load_relaxed(&counts->polls);
        stats->timers += load_relaxed(&counts->timers);
        stats->blocking_calls += load_relaxed(&counts->blocking_calls);
        stats->jobs += load_relaxed(&counts->jobs);
    }
    /* With the first one, which nobody spawned. */
    stats->fibers = stats->spawned + 1 > ended ? stats->spawned + 1 - ended : 0;
}
