/* sched/clock.c -- the runtime's clock, real or virtual
 *
 * Does       coir_now; the virtual clock; the rate of the tick counter.
 * Invariants
 *   C1  the virtual clock changes only while no worker runs a fiber, by the
 *       worker that found that nothing can run (sched/idle.c).
 * Tests      test/test_sleep.c */
#include "sched/clock.h"

_Atomic(coir_time) coir_i_clock_virtual;
_Atomic(coir_time) coir_i_clock_coarse;

/* The same run has the same times: which timers share a tick depends on it. */
static const coir_time SEEDED_BEGIN = COIR_SECONDS(1000);

/* Written by the first coir_run before it starts a thread. */
static uint64_t ticks_per_ms;

static void measure_ticks(void)
{
    coir_time begin = coir_i_sys_now(), end;
    uint64_t first = coir_i_ticks();
    do {
        end = coir_i_sys_now();
    } while (end - begin < 20000);
    uint64_t ticks = coir_i_ticks() - first;
    ticks_per_ms = ticks * 1000000 / (uint64_t)(end - begin) + 1;
}

uint64_t coir_i_ticks_of(coir_time length)
{
    return (uint64_t)length * ticks_per_ms / 1000000;
}

void coir_i_clock_start(bool is_virtual, bool is_seeded)
{
    if (!ticks_per_ms)
        measure_ticks();
    coir_time begin = is_seeded ? SEEDED_BEGIN : coir_i_sys_now();
    store_relaxed(&coir_i_clock_virtual, is_virtual ? begin : 0);
    coir_i_clock_note(coir_i_now());
}

void coir_i_clock_jump(coir_time at)
{
    if (at > load_relaxed(&coir_i_clock_virtual))
        store_relaxed(&coir_i_clock_virtual, at);
    coir_i_clock_note(load_relaxed(&coir_i_clock_virtual));
}

void coir_i_clock_stop(void)
{
    store_relaxed(&coir_i_clock_virtual, 0);
}

coir_time coir_now(void)
{
    return coir_i_now();
}
