/* sched/runtime.h -- what belongs to the runtime as a whole */
#ifndef COIR_SCHED_RUNTIME_H
#define COIR_SCHED_RUNTIME_H

#include "sched/nursery.h"
#include "sched/worker.h"

/* Background fibers, and the first one's body, run in this nursery. */
extern coir_nursery coir_i_background;

/* A worker in its place of the array, set up but without a thread; false: no
 * memory. Its thread: 0, or what pthread_create said. And what it held. */
bool coir_i_worker_make(unsigned id) COIR_MUST_USE;
int coir_i_worker_start(coir_i_worker *w) COIR_MUST_USE;
void coir_i_worker_drop(coir_i_worker *w);

/* Move background fibers that were started by foreign threads to where children
 * wait. From a worker. */
void coir_i_runtime_take_starts(coir_i_worker *w);
bool coir_i_runtime_has_starts(void);

/* The failure of a background fiber. */
void coir_i_background_failed(const coir_failure *failure);
/* Open the background to foreign threads, and close it. */
void coir_i_background_accept(bool accepts);
void coir_i_background_forked(void); /* in the child of a fork */
/* The first failure that nobody had a handle on; 0. */
int coir_i_background_result(void);

#endif
