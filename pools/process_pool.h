/* pools/process_pool.h -- a pool of worker processes, inside
 *
 * A job needs a *place* in its pool, of which there are as many as workers are
 * allowed. A place has an idle worker in it or none yet; then the job's own
 * fiber has one born. Who finds no place free waits in line, and places are
 * handed to those in line before anybody else gets one.
 *
 * places.c is the line, jobs.c what its callers do, processes.c the life of
 * pools.
 *
 * Invariants
 *   Q1  places = busy + idle workers + free places without one.
 *   Q2  nobody is in line while a place is free.
 *   Q3  a worker goes to another job only if its last one came back DONE.
 *   Q4  while `callers` > 0 the pool is not freed.
 * Locks  pools.lock > pool.lock; nobody is woken under either. */
#ifndef COIR_POOLS_PROCESS_POOL_H
#define COIR_POOLS_PROCESS_POOL_H

#include <coir/processes.h>

#include "pools/process.h"
#include "sched/lock.h"
#include "sched/park.h"

/* Why a wait in line ended: the pool ends. */
enum { COIR_I_POOL_ENDS = COIR_I_OWN };

/* A fiber in line, on its stack. */
typedef struct coir_i_in_line coir_i_in_line;
struct coir_i_in_line {
    coir_i_in_line *next, **prev; /* pool.lock; prev NULL: not in line */
    coir_i_ticket ticket;         /* const */
    coir_i_process *process;      /* what it is given, before it is woken */
};

struct coir_process_pool {
    coir_process_pool_config config; /* const; init_arg is a copy of ours */
    unsigned places;                 /* const */
    uint64_t generation;             /* const: of the process that made it */
    coir_process_pool *next, **prev; /* pools.lock */

    coir_i_mutex lock;             /* of all that follows */
    coir_i_in_line *first, **last; /* in line */
    coir_i_process *all;           /* every worker that lives */
    coir_i_process *idle;          /* those without a job, last in first out */
    unsigned empty;                /* free places without a worker */
    unsigned callers;              /* of coir_process_pool_run */
    bool freeing;                  /* no new callers */
    bool ending;                   /* those that there are get -EPIPE */
    coir_i_ticket freer;    /* whom the last caller wakes, if a fiber frees */
    _Atomic(uint32_t) gone; /* or who sleeps on this */
};

/* [parks] A place, with its worker or NULL: 0; -ECANCELED; -EPIPE: the pool
 * ends. */
int coir_i_place_await(coir_process_pool *pool, coir_i_process **ret_process);
/* Give a place back, with its worker or without: to the first in line who
 * still waits for it, else to the pool. */
void coir_i_place_give(coir_process_pool *pool, coir_i_process *process);
/* Under pool.lock: off the line. */
void coir_i_place_leave_line(coir_process_pool *pool, coir_i_in_line *waiter);

/* Among all of the pool's. True: the pool ends, and so does a new worker. */
bool coir_i_place_add_worker(coir_process_pool *pool, coir_i_process *process);
bool coir_i_place_remove_worker(coir_process_pool *pool,
                                coir_i_process *process);

/* Forks of this process, counted in the child. */
uint64_t coir_i_process_generation(void);

#endif
