/* sched/module.h -- what layers above take part in a runtime's life
 *
 * io and pools register a module from a constructor, so that sched calls them
 * without knowing them. */
#ifndef COIR_SCHED_MODULE_H
#define COIR_SCHED_MODULE_H

#include <coir/run.h>

#include "sched/park.h"

typedef struct coir_i_module coir_i_module;
struct coir_i_module {
    /* From coir_run before it has started a thread. Below 0: coir_run returns
     * that, after stop of those that had started. May be NULL. */
    int (*start)(const coir_config *config);
    /* From coir_run's thread when the first fiber and all others have ended;
     * no worker runs any more. May be NULL. */
    void (*stop)(void);
    /* In the child of a fork(2), where no runtime is left. May be NULL. */
    void (*forked)(void);
    coir_i_module *next;
};

/* From a constructor. What is registered last starts first and stops first:
 * pools (2) may still wake fibers through io (1) until they have stopped. */
void coir_i_module_add(coir_i_module *module);
#define coir_i_constructor(layer) __attribute__((constructor(200 + (layer))))

/* Any thread: something outside the runtime, a pool call say, will wake a
 * fiber. While one is out the virtual clock does not jump. */
void coir_i_outside_begin(void);
void coir_i_outside_end(void);
/* The same end, for a thread that may outlive the run: wake who waits for the
 * call (see coir_i_wake). The run goes on until we are through. */
bool coir_i_outside_wake(coir_i_ticket ticket, unsigned reason);

/* A thread of coir's own, which wakes no fiber unless that is counted as
 * outside: +1 is the first thing that it does, -1 the last. */
void coir_i_own_threads_add(int change);

/* In the child of a fork that did not go through fork(2), which calls this by
 * itself: no runtime runs here, and the thread is no worker. */
void coir_i_forked(void);

/* Does a runtime run in this process? */
bool coir_i_runs(void);

/* Is this the child of a fork, in which none was started? Then nobody is there
 * who would unlock what was locked. */
bool coir_i_is_forked(void);

#endif
