/* sched/lock.c -- waiting for a lock that somebody holds
 *
 * Does       the slow paths of coir_i_spin and coir_i_mutex.
 * Does not   keep order among those who wait; coir's locks are held for so
 *            short that it does not matter.
 * Edges      spin.taken, mutex.state
 * Fails      never.
 * Tests      test/test_lock.c */
#include "sched/lock.h"

#include "sched/sys.h"

#include <sched.h>

enum { SPINS = 200 };

void coir_i_spin_wait(coir_i_spin *lock)
{
    for (unsigned spins = 1;; spins++) {
        /* @observe spin.taken: what the last holder did is seen. */
        if (!load_relaxed(&lock->taken) && !exchange_acquire(&lock->taken, 1))
            return;
        if (spins % SPINS)
            coir_i_pause();
        else
            sched_yield();
    }
}

void coir_i_mutex_wait(coir_i_mutex *lock)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t free = 0;
        /* @observe mutex.state: what the last holder did is seen. */
        if (!load_relaxed(&lock->state) && cas_acquire(&lock->state, &free, 1))
            return;
        coir_i_pause();
    }
    /* @observe mutex.state: what the last holder did is seen. */
    while (exchange_acquire(&lock->state, 2))
        coir_i_futex_wait(&lock->state, 2, COIR_NEVER);
}

void coir_i_mutex_hand_on(coir_i_mutex *lock)
{
    coir_i_futex_wake(&lock->state, 1);
}
