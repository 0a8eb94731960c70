/* sched/stats.c -- what the workers have counted
 *
 * Each number is its worker's own; added up while they run they may be a
 * little old, and a little out of step with each other.
 * Tests      test/test_stats.c */
#include "sched/spare.h"
#include "sched/worker.h"

#include <string.h>

enum { FIRST = 1 }; /* the fiber that nobody spawned */

uint64_t coir_i_fibers_alive(void)
{
    uint64_t alive = FIRST;
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        struct coir_i_counts *counts = &coir_i_runtime.workers[i].counts;
        alive += load_relaxed(&counts->spawned) - load_relaxed(&counts->ended);
    }
    return alive > UINT64_MAX / 2 ? 0 : alive; /* out of step */
}

void coir_i_fibers_sample(void)
{
    uint64_t alive = coir_i_fibers_alive();
    uint64_t peak = load_relaxed(&coir_i_runtime.peak);
    while (alive > peak && !cas_relaxed(&coir_i_runtime.peak, &peak, alive))
        ;
}

static void add_up(coir_stats *stats)
{
    coir_i_fibers_sample();
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        struct coir_i_counts *counts = &coir_i_runtime.workers[i].counts;
        stats->spawned += load_relaxed(&counts->spawned);
        stats->switches += load_relaxed(&counts->switches);
        stats->steals += load_relaxed(&counts->steals);
        stats->parks += load_relaxed(&counts->parks);
        stats->wakes += load_relaxed(&counts->wakes);
        stats->polls += load_relaxed(&counts->polls);
        stats->timers += load_relaxed(&counts->timers);
        stats->blocking_calls += load_relaxed(&counts->blocking_calls);
        stats->jobs += load_relaxed(&counts->jobs);
    }
    stats->handoffs = coir_i_spare_hired();
    stats->fibers = coir_i_fibers_alive();
    stats->fibers_peak = load_relaxed(&coir_i_runtime.peak);
}

void coir_stats_get(coir_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    coir_i_fibers_stats(stats);
    /* @dekker runtime.strangers: first counted, then whether it runs. */
    fetch_add_seq_cst(&coir_i_runtime.strangers, 1);
    if (load_seq_cst(&coir_i_runtime.runs))
        add_up(stats);
    /* @publish runtime.strangers: our last access to the workers. */
    fetch_sub_release(&coir_i_runtime.strangers, 1);
}
