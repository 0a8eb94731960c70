/* sched/clock.h -- what time it is, for all of sched
 *
 * Nothing else in sched asks the system for the time, so that a runtime can
 * have a clock of its own: with config.virtual_clock it stands still while
 * anything can run, and jumps to the next timer when nothing can. */
#ifndef COIR_SCHED_CLOCK_H
#define COIR_SCHED_CLOCK_H

#include <coir/time.h>

#include "fiber/atomics.h"
#include "sched/sys.h"

extern _Atomic(coir_time) coir_i_clock_virtual; /* 0: the clock is real */

/* The runtime's clock as it was some 10 ms ago at most: whoever looks at the
 * clock anyway leaves here what it saw. For "since when?". */
extern _Atomic(coir_time) coir_i_clock_coarse
    __attribute__((visibility("hidden")));

/* The runtime's clock. */
static inline coir_time coir_i_now(void)
{
    /* relaxed: whoever depends on the jump is woken after it. */
    coir_time t = load_relaxed(&coir_i_clock_virtual);
    return t ? t : coir_i_sys_now();
}

static inline bool coir_i_clock_is_virtual(void)
{
    return load_relaxed(&coir_i_clock_virtual) != 0;
}

/* The time was just asked for anyway. */
static inline void coir_i_clock_note(coir_time now)
{
    store_relaxed(&coir_i_clock_coarse, now);
}

void coir_i_clock_start(bool is_virtual, bool is_seeded);
void coir_i_clock_jump(coir_time at); /* virtual: never back */
void coir_i_clock_stop(void);

/* a + b, where a point in time or length past the end is COIR_NEVER. */
static inline coir_time coir_i_time_add(coir_time a, coir_time b)
{
    coir_time sum;
    if (a == COIR_NEVER || b == COIR_NEVER)
        return COIR_NEVER;
    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? COIR_NEVER : 0;
    return sum;
}

/* A cheap count that goes on at a steady rate, for "has it been long?". */
static inline uint64_t coir_i_ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)coir_i_sys_now();
#endif
}

/* How many ticks are that long; measured when the clock starts. */
uint64_t coir_i_ticks_of(coir_time length);

#endif
