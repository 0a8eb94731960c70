/* sched/sys.h -- the system calls of sched: sleeping on a word, and the clock
 *
 * None of them reports an error that sched could act on: a sleep that ends
 * early, for whatever reason, is looked into by whoever slept. */
#ifndef COIR_SCHED_SYS_H
#define COIR_SCHED_SYS_H

#include <coir/time.h>

#include "fiber/atomics.h"

#include <stdint.h>

/* Sleep while *word is `value`, until the time `until` of the monotonic clock
 * at most. May return early. */
void coir_i_futex_wait(_Atomic(uint32_t) *word, uint32_t value,
                       coir_time until);
/* Wake up to `count` threads that sleep on the word. Only the address is used:
 * the word may be gone. */
void coir_i_futex_wake(_Atomic(uint32_t) *word, int count);

/* The monotonic clock of the system. */
coir_time coir_i_sys_now(void);

/* Timeouts of this thread end when they are due, not 50 us later. */
void coir_i_sys_sharp_timers(void);

/* How many CPUs this process may use. */
unsigned coir_i_sys_cpus(void);

/* The calling thread's name, as ps and debuggers show it: the name is cut,
 * not the number. */
void coir_i_sys_thread_name(const char *name, unsigned number);

/* The calling thread takes no signals of the process any more. */
void coir_i_sys_no_signals(void);

#endif
