/* pools/thread_pool.h -- threads that run what may block
 *
 * A fiber hands a call to the pool and parks until threads of the pool have
 * made it. Threads are made when a call finds none that is free, and end when
 * they have had nothing to do for a while.
 *
 * thread_pool.c is the threads' side, call.c that of the fibers. */
#ifndef COIR_POOLS_THREAD_POOL_H
#define COIR_POOLS_THREAD_POOL_H

#include <coir/threads.h>

#include "pools/interrupt.h"
#include "sched/lock.h"
#include "sched/park.h"

#include <pthread.h>

typedef struct coir_i_call coir_i_call;
typedef struct coir_i_thread_pool coir_i_thread_pool;

/* What a fiber wants done: fn on each of some items. Its owner sets what is
 * const; all-zero is good for the rest. */
struct coir_i_call {
    coir_fn *fn;             /* const */
    const coir_i_wait *wait; /* const: as whose wait a dump shows it */
    size_t size;             /* const: from one item to the next */
    bool is_each;    /* const: the first failure counts and drops the rest */
    bool interrupts; /* const: cancelling interrupts it, if the pool can */
    /* const. NULL: a caller that is cancelled waits for what has begun. Else it
     * goes on at once, and this is called when fn has returned. */
    void (*abandon)(coir_i_call *call);

    /* pool.lock */
    char *item;     /* the first that has not begun */
    size_t waiting; /* items that have not begun: in the queue if not 0 */
    size_t running;
    int result;
    bool is_left;              /* its caller has gone on */
    coir_i_ticket ticket;      /* whom to wake when it is over */
    coir_i_call *next, **prev; /* in the queue */

    _Atomic(bool) cancelled; /* the caller sets it, fn asks for it */
};

/* A thread of a pool: on its own stack. */
typedef struct coir_i_pool_thread coir_i_pool_thread;
struct coir_i_pool_thread {
    coir_i_thread_pool *pool;         /* const */
    coir_i_interrupter interrupter;   /* pool.lock; only if pool.interrupts */
    coir_i_pool_thread *next, **prev; /* pool.lock: among all of the pool */
    coir_i_call *call;                /* pool.lock: what it runs */
    void *item;                       /* of that */
    coir_i_pool_thread *next_idle, **prev_idle; /* pool.lock */
    _Atomic(uint32_t) woken; /* set under pool.lock; the thread sleeps on it */
};

/* All-zero is a pool that has not been started. */
struct coir_i_thread_pool {
    char name[16];   /* const: threads are called name-0, name-1, ... */
    unsigned max;    /* const: so many threads at most */
    unsigned cpus;   /* const: that the process may use */
    coir_time idle;  /* const: a thread that sleeps so long ends */
    bool interrupts; /* const: its threads can be interrupted */
    bool makes_do;   /* const: a thread that cannot be is as good */

    coir_i_mutex lock; /* of all that follows */
    bool stopping;     /* no new calls; threads end when none waits */
    bool is_left;      /* the last thread to end frees the pool */
    bool spinning;     /* a thread waits awake */
    bool has_ended;    /* is there a thread to be joined? */
    pthread_t ended;   /* that one; it joins the one that ended before it */
    unsigned made;     /* threads ever made */
    unsigned threads;  /* that live or are being made */
    unsigned seeking;  /* of these, who look at the queue before they sleep */
    unsigned holds;    /* others who have to do with it still */
    int comers; /* cancelled callers that will yet look here, less those that
                 * did before it was known that they come */
    coir_i_pool_thread *all, *idlers; /* who sleep, last in first out */
    coir_i_call *first, **last;       /* calls with items that have not begun */
    _Atomic(size_t) waiting; /* such items; others read it without the lock */
    coir_i_ticket stopper;   /* whom the end wakes, if a fiber waits for it */
    _Atomic(uint32_t) ended_word; /* or who sleeps on this */
};

/* ---- A pool ---- */

/* -EBUSY: it is to interrupt, and there is no signal for it. */
int coir_i_thread_pool_start(coir_i_thread_pool *pool,
                             const coir_thread_pool_config *config);
/* What is queued is run, then every thread is ended and joined. A fiber parks
 * until then; another thread blocks. */
void coir_i_thread_pool_stop(coir_i_thread_pool *pool);
/* Blocks for a pool that was got from malloc(3), and frees it. Calls that were
 * left behind are waited for until then, and then the pool is left to the
 * threads that still make them. */
void coir_i_thread_pool_leave(coir_i_thread_pool *pool, coir_time until);
/* In the child of a fork(2): the pool as it was before its start. */
void coir_i_thread_pool_forget(coir_i_thread_pool *pool);

/* ---- Calls. All park; below 0 also: -EAGAIN or what pthread_create(3) said,
 * there is no thread; -EPIPE, the pool stops. ---- */

/* What is set is what is const, and what waits. fn's result; -ECANCELED: it had
 * not begun, or was left behind. Where call->abandon is set, fn returns 0 or
 * above; that, and the call is the caller's again; or below 0, and abandon has
 * been or will be called, by whoever is the last to use it. */
int coir_i_thread_pool_call(coir_i_thread_pool *pool, coir_i_call *call);

/* fn(arg), or fn(&items[i]) for every i; interrupted if the pool can. */
int coir_i_thread_pool_run(coir_i_thread_pool *pool, coir_fn *fn, void *arg);
int coir_i_thread_pool_each(coir_i_thread_pool *pool, coir_fn *fn, void *items,
                            size_t count, size_t size);

/* The calling thread, if it is one of a pool; else NULL. */
coir_i_pool_thread *coir_i_pool_thread_here(void);

/* ---- Between thread_pool.c, thread_pool_life.c and call.c ---- */

void coir_i_pool_thread_set(coir_i_pool_thread *me);
/* Under pool.lock: the thread that slept least, seeking again; NULL: nobody
 * sleeps. To be woken by its word's address alone once the lock is free: then
 * it may be gone. */
coir_i_pool_thread *coir_i_thread_pool_call_idler(coir_i_thread_pool *pool);

/* From here on the call may be over at any moment. -EPIPE: it is not the
 * pool's. */
int coir_i_thread_pool_submit(coir_i_thread_pool *pool, coir_i_call *call);
/* Under pool.lock: items that have not begun never will. */
void coir_i_thread_pool_drop(coir_i_thread_pool *pool, coir_i_call *call);
/* Under pool.lock: system calls that are made for it come back. */
void coir_i_thread_pool_interrupt(coir_i_thread_pool *pool, coir_i_call *call);
/* Give pool.lock back for the last time: the pool may be gone after it. */
void coir_i_thread_pool_unlock(coir_i_thread_pool *pool);

/* Under pool.lock. */
static inline bool coir_i_call_is_over(const coir_i_call *call)
{
    return !call->waiting && !call->running;
}

#endif
