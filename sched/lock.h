/* sched/lock.h -- two small locks
 *
 * coir_i_spin guards a few instructions: taking it free is one exchange, 2 ns,
 * and giving it back is a plain store. Whoever waits spins for a moment and
 * then gives its CPU away, since the holder may have lost its own.
 *
 * coir_i_mutex guards what may take long: whoever waits sleeps in the kernel.
 *
 * Under either, nobody parks, switches or calls out. All-zero is unlocked. */
#ifndef COIR_SCHED_LOCK_H
#define COIR_SCHED_LOCK_H

#include "fiber/atomics.h"
#include "fiber/invariant.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct coir_i_spin {
    _Atomic(uint32_t) taken;
} coir_i_spin;

void coir_i_spin_wait(coir_i_spin *lock) __attribute__((cold, noinline));

static inline bool coir_i_spin_try(coir_i_spin *lock)
{
    /* @observe spin.taken: what the last holder did is seen. */
    return !load_relaxed(&lock->taken) && !exchange_acquire(&lock->taken, 1);
}

static inline void coir_i_spin_lock(coir_i_spin *lock)
{
    /* @observe spin.taken: what the last holder did is seen. */
    if (coir_i_unlikely(exchange_acquire(&lock->taken, 1)))
        coir_i_spin_wait(lock);
}

static inline void coir_i_spin_unlock(coir_i_spin *lock)
{
    /* @publish spin.taken: what was done under the lock. */
    store_release(&lock->taken, 0);
}

typedef struct coir_i_mutex {
    _Atomic(uint32_t) state; /* 0 free, 1 held, 2 held and waited for */
} coir_i_mutex;

void coir_i_mutex_wait(coir_i_mutex *lock) __attribute__((cold, noinline));
void coir_i_mutex_hand_on(coir_i_mutex *lock) __attribute__((cold, noinline));

static inline void coir_i_mutex_lock(coir_i_mutex *lock)
{
    uint32_t free = 0;
    /* @observe mutex.state: what the last holder did is seen. */
    if (coir_i_unlikely(!cas_acquire(&lock->state, &free, 1)))
        coir_i_mutex_wait(lock);
}

static inline void coir_i_mutex_unlock(coir_i_mutex *lock)
{
    /* @publish mutex.state: what was done under the lock. */
    if (coir_i_unlikely(exchange_release(&lock->state, 0) == 2))
        coir_i_mutex_hand_on(lock);
}

#endif
