/* sched/mutex.h -- the inside of a coir_mutex, for those who wait with one
 *
 * word    63                     3        2         1        0
 *        |  the holder's id       | WOKEN | WAITERS | locked |
 *
 *   id       of the life that holds it; 0: it is free
 *   WAITERS  the queue is not empty
 *   WOKEN    one waiter was taken off the queue and is on its way to try again;
 *            until it has, nobody else is woken
 *   locked   the queue is in use: waitq.h
 *
 * A mutex that is given back is free for whoever comes first, which is most
 * often a fiber that runs: to hand it over would make all others wait until the
 * next in line has found a worker. But once the first in line has waited for
 * 1 ms, the mutex is free for that one alone, when it comes. */
#ifndef COIR_SCHED_MUTEX_H
#define COIR_SCHED_MUTEX_H

#include <coir/mutex.h>

#include "sched/waitq.h"

typedef struct coir_i_lock {
    _Atomic(uint64_t) word;
    coir_i_waitq waiters;
    _Atomic(uint64_t) until; /* while WOKEN: the time from which on nobody
                                overtakes it; changes under the lock */
} coir_i_lock;

_Static_assert(sizeof(coir_i_lock) <= sizeof(coir_mutex), "as published");

/* One fiber's wait for the mutex; it lies on its stack. */
typedef struct coir_i_turn {
    coir_i_waiter waiter; /* first */
    uint64_t holder;      /* the word when it holds the mutex */
    uint64_t until;       /* from then on nobody overtakes it */
} coir_i_turn;

static inline coir_i_lock *coir_i_lock_of(coir_mutex *m)
{
    return (coir_i_lock *)m;
}

/* ---- for cond.c ---- */

/* Does the running fiber f hold it? */
bool coir_i_lock_is_held(coir_i_lock *m, const coir_i_fiber *f);

/* Lock it for the running fiber, cancelled or not. */
void coir_i_lock_take(coir_i_lock *m);

/* A turn of the running fiber f, which shall wait for something else first. */
void coir_i_turn_begin(coir_i_turn *turn, const coir_i_fiber *f);
/* Under the word's lock: `turn`, whose fiber waits for something else, and
 * which is in no queue, stands last in line from now on. */
void coir_i_lock_enqueue(coir_i_lock *m, coir_i_turn *turn);
/* Give the word back; if it is free, and nobody is on the way, wake the first
 * in line. */
void coir_i_lock_settle(coir_i_lock *m, uint64_t state);
/* The wait of the running fiber, whose turn stands in line or did, has ended
 * for that reason: be cancelled no more, and return holding m. */
void coir_i_lock_go_on(coir_i_lock *m, coir_i_turn *turn, unsigned reason);

#endif
