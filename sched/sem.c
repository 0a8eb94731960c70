/* sched/sem.c -- a number of permits, taken in order
 *
 * Does       take a permit, or wait for one; give one back.
 *
 *     word: permits << 2 | WAITERS | lock of the queue
 *
 * Invariants
 *   S1  nobody waits while there are permits: whoever gives one back while
 *       somebody waits gives it to the first, and the word does not change.
 *       So newcomers stand behind those who wait.
 *   S2  whoever gave a permit to a fiber has claimed it: it returns with it.
 *
 * Locks      the word; under it wheel locks, LOOK bits.
 * Edges      waitq.word
 * Fails      -EPERM, -ECANCELED; -EAGAIN where it must not wait. A permit past
 *            UINT_MAX stops the program.
 * Tests      test/test_sem.c, test/stress_locks.c, test/death_sync.c */
#include <coir/sem.h>

#include "sched/module.h"
#include "sched/waitq.h"

#include <errno.h>
#include <limits.h>

typedef struct coir_i_sem {
    _Atomic(uint64_t) word;
    coir_i_waitq waiters;
} coir_i_sem;

_Static_assert(sizeof(coir_i_sem) <= sizeof(coir_sem), "as published");

enum { WAITERS = 2, PERMIT = 4 };
static const uint64_t MOST = UINT_MAX * (uint64_t)PERMIT;

static const coir_i_wait waits_for_permit = {.what = "semaphore"};

static coir_i_sem *sem_of(coir_sem *s)
{
    return (coir_i_sem *)s;
}

void coir_sem_init(coir_sem *sem, unsigned value)
{
    coir_i_sem *s = sem_of(sem);
    s->waiters.first = NULL;
    /* relaxed: whoever shares it orders that. */
    store_relaxed(&s->word, value * (uint64_t)PERMIT);
}

/* ---- taking ---- */

/* False: no permit is there, or the lock is held. */
static inline bool take_at_once(coir_i_sem *s)
{
    uint64_t word = load_relaxed(&s->word);
    while (word >= PERMIT && !(word & COIR_I_LOCKED))
        /* @observe waitq.word: what was done before it was given back. */
        if (cas_acquire(&s->word, &word, word - PERMIT))
            return true;
    return false;
}

int coir_sem_try_acquire(coir_sem *sem)
{
    coir_i_sem *s = sem_of(sem);
    if (coir_i_is_forked())
        return -EPERM;
    if (take_at_once(s))
        return 0;
    /* relaxed: a permit that is there is taken with acquire, below. */
    if (load_relaxed(&s->word) < PERMIT)
        return -EAGAIN;
    uint64_t state = coir_i_word_lock(&s->word);
    bool any = state >= PERMIT;
    coir_i_word_unlock(&s->word, any ? state - PERMIT : state);
    return any ? 0 : -EAGAIN;
}

static int wait_for_permit(coir_i_sem *s)
{
    coir_i_waiter waiter;
    coir_i_waitq_prepare();
    uint64_t state = coir_i_word_lock(&s->word);
    if (state >= PERMIT) {
        coir_i_word_unlock(&s->word, state - PERMIT);
        return 0;
    }
    waiter.ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_permit, s);
    coir_i_waitq_put(&s->waiters, &waiter);
    coir_i_word_unlock(&s->word, state | WAITERS);
    if (coir_i_park() == COIR_I_WOKEN)
        return 0;

    state = coir_i_word_lock(&s->word);
    coir_i_waitq_withdraw(&s->waiters, &waiter);
    if (coir_i_waitq_empty(&s->waiters))
        state &= ~(uint64_t)WAITERS;
    coir_i_word_unlock(&s->word, state);
    return -ECANCELED;
}

int coir_sem_acquire(coir_sem *sem)
{
    coir_i_sem *s = sem_of(sem);
    int rc = coir_i_enter();
    if (coir_i_likely(rc == 0) && coir_i_unlikely(!take_at_once(s)))
        rc = wait_for_permit(s);
    return rc;
}

/* ---- giving back ---- */

static const char too_many[] = "a semaphore has no more than UINT_MAX permits";

static __attribute__((noinline)) void release_slow(coir_i_sem *s)
{
    if (coir_i_is_forked()) /* who waits is of the parent process */
        return;
    uint64_t state = coir_i_word_lock(&s->word);
    coir_i_waiter *waiter = coir_i_waitq_take(&s->waiters, COIR_I_WOKEN);
    if (coir_i_waitq_empty(&s->waiters))
        state &= ~(uint64_t)WAITERS;
    if (!waiter) {
        coir_i_rule(state < MOST, too_many);
        state += PERMIT;
    }
    coir_i_word_unlock(&s->word, state);
    coir_i_waitq_deliver(waiter);
}

void coir_sem_release(coir_sem *sem)
{
    coir_i_sem *s = sem_of(sem);
    uint64_t word = load_relaxed(&s->word); /* relaxed: a guess for the CAS */
    while (!(word & (WAITERS | COIR_I_LOCKED))) {
        coir_i_rule(word < MOST, too_many);
        /* @publish waitq.word: what was done before. */
        if (cas_release(&s->word, &word, word + PERMIT))
            return;
    }
    release_slow(s);
}
