/* sched/sys.h -- the system calls of sched: sleeping on a word, and the clock
 *
 * None of them reports an error that sched could act on: a sleep that ends
 * early, for whatever reason, is looked into by whoever slept. */
#ifndef COIR_SCHED_SYS_H
#define COIR_SCHED_SYS_H

#include <coir/time.h>

#include "fiber/atomics.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
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

/* How many threads this process has; -1: that is not to be known. */
long coir_i_sys_threads(void);

/* A fence on every CPU that runs a thread of this process: what any of them did
 * before it is seen by us afterwards, what we did before is seen by them. Can
 * there be one? And make it; false: it was refused. */
bool coir_i_sys_can_fence_all(void);
bool coir_i_sys_fence_all(void) COIR_MUST_USE;

/* The calling thread, as the kernel calls it. Does that thread sleep in the
 * kernel, rather than run or wait for a CPU? If it cannot be known: yes. */
uint32_t coir_i_sys_thread_id(void);
bool coir_i_sys_thread_sleeps(uint32_t id);
/* How long a thread that has not ended has run so far. */
coir_time coir_i_sys_thread_cpu(pthread_t thread);

/* The calling thread's name, as ps and debuggers show it: the name is cut,
 * not the number. */
void coir_i_sys_thread_name(const char *name, unsigned number);

/* Write it all. 0, or a negated errno value. */
int coir_i_sys_write_all(int fd, const void *from, size_t size);

/* A file, to be read in memory; NULL: it cannot be. */
const void *coir_i_sys_map_file(const char *path, size_t *ret_size);
void coir_i_sys_unmap_file(const void *file, size_t size);

/* The calling thread takes no signals of the process any more. */
void coir_i_sys_no_signals(void);

#endif
