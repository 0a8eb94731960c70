/* sched/backtrace.h -- where a fiber that waits was called from */
#ifndef COIR_SCHED_BACKTRACE_H
#define COIR_SCHED_BACKTRACE_H

#include "fiber/fiber.h"

#include <stdbool.h>

enum { COIR_I_FRAMES = 64 }; /* of a stack that are shown */

/* Is it known here how to walk a stack that does not run? */
#if defined(__x86_64__) && __has_include(<unwind.h>)
#    define COIR_I_BACKTRACE 1
#else
#    define COIR_I_BACKTRACE 0
#endif

/* A call is known by an address inside it, not by the one that it returns to:
 * so debuggers and addr2line(1) find its line. NULL stands between the calls
 * of a life and those of the next one out on the same stack. */
typedef struct coir_i_trace {
    unsigned count;
    bool cut; /* there are more */
    const void *calls[COIR_I_FRAMES];
} coir_i_trace;

/* The calls on f's stack, innermost first, without those of coir's own that
 * every wait has. f stays parked meanwhile: coir_i_hold. Takes no memory, and
 * nothing runs on f's stack. */
void coir_i_backtrace(coir_i_fiber *f, coir_i_trace *trace);

#endif
