/* pools/thread_pool.h -- threads that run what may block
 *
 * A fiber hands a call to the pool and parks until a thread of the pool has
 * made it. Threads are made when a call finds none that is free, and end when
 * they have had nothing to do for a while. */
#ifndef COIR_POOLS_THREAD_POOL_H
#define COIR_POOLS_THREAD_POOL_H

#include <coir/base.h>
#include <coir/time.h>

#include "sched/lock.h"
#include "sched/park.h"

#include <pthread.h>

typedef struct coir_i_call coir_i_call;
typedef struct coir_i_idler coir_i_idler;

/* All-zero is a pool that has not been started. */
typedef struct coir_i_thread_pool {
    const char *name; /* const: threads are called name-0, name-1, ... */
    unsigned max;     /* const: so many threads at most */
    unsigned cpus;    /* const: that the process may use */
    coir_time idle;   /* const: a thread that sleeps so long ends */

    coir_i_mutex lock; /* of all that follows */
    bool stopping;     /* threads end when no call waits */
    bool spinning;     /* a thread waits awake */
    bool has_ended;    /* is there a thread to be joined? */
    pthread_t ended;   /* that one; it joins the one that ended before it */
    unsigned made;     /* threads ever made */
    unsigned threads;  /* that live or are being made */
    unsigned seeking;  /* of these, who look at the queue before they sleep */
    coir_i_idler *idlers;       /* who sleep, last in first out */
    coir_i_call *first, **last; /* calls that have not begun, in order */
    _Atomic(unsigned) waiting;  /* their number; others read it without lock */
    _Atomic(uint32_t) ends;     /* threads that ended; stop sleeps on it */
} coir_i_thread_pool;

void coir_i_thread_pool_start(coir_i_thread_pool *pool, unsigned max,
                              coir_time idle, const char *name);
/* Blocks: what is queued is run, then every thread is ended and joined. */
void coir_i_thread_pool_stop(coir_i_thread_pool *pool);
/* In the child of a fork(2): the pool as it was before its start. */
void coir_i_thread_pool_forget(coir_i_thread_pool *pool);

/* [parks] fn(arg) on a thread of the pool; its result. -ECANCELED: it had not
 * begun. -EAGAIN or what pthread_create(3) said: there is no thread. */
int coir_i_thread_pool_run(coir_i_thread_pool *pool, coir_fn *fn, void *arg);

/* On a thread of a pool: has the caller been cancelled? Elsewhere: false. */
bool coir_i_thread_pool_cancelled(void);

#endif
