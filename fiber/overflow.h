/* fiber/overflow.h -- the report of a stack overflow
 *
 * A fiber that runs into the guard of its stack ends the program with "coir:
 * stack overflow in fiber 2 'x' (256 KiB): see stack_size in coir_run(3)" and
 * the core dump of the fault. */
#ifndef COIR_FIBER_OVERFLOW_H
#define COIR_FIBER_OVERFLOW_H

#include "fiber/atomics.h"
#include "fiber/current.h"

#include <stdint.h>

/* Signals that coir has for itself at the moment, besides those of faults: bit
 * n - 1 is signal n. */
extern _Atomic(uint64_t) coir_i_own_signals;

/* Watch for the faults of this process. 0 or -errno. */
int coir_i_overflow_start(void);
/* Put back the handlers that there were, unless others came since. */
void coir_i_overflow_stop(void);

/* The calling thread gets a signal stack if it has none. 0 or -ENOMEM. Between
 * coir_i_thread_init and coir_i_thread_end of the same thread. */
int coir_i_overflow_thread_start(coir_i_thread *thread);
void coir_i_overflow_thread_end(coir_i_thread *thread);

#endif
