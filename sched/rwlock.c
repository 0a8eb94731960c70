/* sched/rwlock.c -- a lock for one writer or many readers
 *
 * Does       take it for reading or for writing, or wait; give it back.
 *
 *     word: readers << 3 | WAITERS | lock of the queue          read, or free
 *           the writer's id << 3 | WRITTEN | WAITERS | lock     written
 *
 * Invariants
 *   R1  while somebody waits nobody gets in but from the queue, in order. So
 *       neither readers nor writers starve: who comes stands behind.
 *   R2  the first in the queue could not get in: whoever changes the lock, or
 *       withdraws from the front, has let in who could (let_in). Readers that
 *       stand together at the front get in together.
 *   R3  who was let in has been claimed, and owns its share from then on.
 *
 * Locks      the word; under it wheel locks, LOOK bits.
 * Edges      waitq.word
 * Fails      -EPERM, -ECANCELED; -EBUSY where it must not wait.
 * Tests      test/test_rwlock.c, test/stress_locks.c, test/death_sync.c */
#include <coir/rwlock.h>

#include "fiber/current.h"
#include "sched/waitq.h"

#include <errno.h>

typedef struct coir_i_rwlock {
    _Atomic(uint64_t) word;
    coir_i_waitq waiters;
} coir_i_rwlock;

_Static_assert(sizeof(coir_i_rwlock) <= sizeof(coir_rwlock), "as published");

enum { WAITERS = 2, WRITTEN = 4, READER = 8, SHIFT = 3 };

/* Who waits brings what is added to a word that lets it in: READER, or its id
 * and WRITTEN. */
struct asker {
    coir_i_waiter waiter; /* first */
    uint64_t share;
};

static uint64_t writer(const void *on)
{
    /* relaxed: for a dump. */
    uint64_t word = load_relaxed(&((coir_i_rwlock *)(uintptr_t)on)->word);
    return word & WRITTEN ? word >> SHIFT : 0;
}

static const coir_i_wait waits_to_read = {"rwlock to read", COIR_I_WAIT_LOCK,
                                          writer};
static const coir_i_wait waits_to_write = {"rwlock to write", COIR_I_WAIT_LOCK,
                                           writer};

static coir_i_rwlock *rwlock_of(coir_rwlock *l)
{
    return (coir_i_rwlock *)l;
}

static uint64_t writer_share(const coir_i_fiber *f)
{
    return f->life->id << SHIFT | WRITTEN;
}

/* WAITERS and the lock bit aside. */
static bool lets_in(uint64_t state, uint64_t share)
{
    return share == READER ? !(state & WRITTEN) : state < WRITTEN;
}

/* False: somebody has it, or waits; or the queue is locked. */
static inline bool take_at_once(coir_i_rwlock *l, uint64_t share)
{
    uint64_t word = load_relaxed(&l->word); /* relaxed: a guess for the CAS */
    while (!(word & (WAITERS | COIR_I_LOCKED)) && lets_in(word, share))
        /* @observe waitq.word: what was done before it was given back. */
        if (cas_acquire(&l->word, &word, word + share))
            return true;
    return false;
}

/* Under the lock: let in who may come in, from the front. The state after it;
 * they are to be delivered. */
static uint64_t let_in(coir_i_rwlock *l, uint64_t state, coir_i_waiter **end)
{
    coir_i_waiter *first;
    while ((first = l->waiters.first) != NULL) {
        uint64_t share = ((struct asker *)first)->share;
        if (!lets_in(state, share))
            break;
        if (!coir_i_waitq_take_this(&l->waiters, first, COIR_I_WOKEN))
            continue;
        state += share;
        *end = first;
        end = &first->next;
    }
    *end = NULL;
    return first ? state | WAITERS : state & ~(uint64_t)WAITERS;
}

/* Give the word back, and let in who may come in now. */
static void unlock_word(coir_i_rwlock *l, uint64_t state)
{
    coir_i_waiter *in;
    state = let_in(l, state, &in);
    coir_i_word_unlock(&l->word, state);
    coir_i_waitq_deliver_all(in);
}

/* ---- taking ---- */

static int wait_for_share(coir_i_rwlock *l, uint64_t share,
                          const coir_i_wait *wait)
{
    struct asker asker = {.share = share};
    coir_i_waitq_prepare();
    uint64_t state = coir_i_word_lock(&l->word);
    if (!(state & WAITERS) && lets_in(state, share)) {
        coir_i_word_unlock(&l->word, state + share);
        return 0;
    }
    asker.waiter.ticket = coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, wait, l);
    coir_i_waitq_put(&l->waiters, &asker.waiter);
    coir_i_word_unlock(&l->word, state | WAITERS);
    if (coir_i_park() == COIR_I_WOKEN)
        return 0;

    state = coir_i_word_lock(&l->word);
    coir_i_waitq_withdraw(&l->waiters, &asker.waiter);
    unlock_word(l, state);
    return -ECANCELED;
}

static int take(coir_rwlock *lock, bool write)
{
    coir_i_rwlock *l = rwlock_of(lock);
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    uint64_t mine = writer_share(coir_i_self());
    uint64_t share = write ? mine : READER;
    if (coir_i_likely(take_at_once(l, share)))
        return 0;
    /* relaxed: if it is ours, we wrote it. */
    coir_i_rule((load_relaxed(&l->word) | WAITERS | COIR_I_LOCKED) !=
                    (mine | WAITERS | COIR_I_LOCKED),
                "who holds a coir_rwlock to write would wait for itself");
    return wait_for_share(l, share, write ? &waits_to_write : &waits_to_read);
}

int coir_rwlock_read(coir_rwlock *lock)
{
    return take(lock, false);
}

int coir_rwlock_write(coir_rwlock *lock)
{
    return take(lock, true);
}

static int try_take(coir_rwlock *lock, bool write)
{
    coir_i_rwlock *l = rwlock_of(lock);
    coir_i_fiber *f = coir_i_self();
    if (!f)
        return -EPERM;
    uint64_t share = write ? writer_share(f) : READER;
    if (take_at_once(l, share))
        return 0;
    /* It may have been another's look at the queue that was in the way. */
    uint64_t state = coir_i_word_lock(&l->word);
    bool any = !(state & WAITERS) && lets_in(state, share);
    coir_i_word_unlock(&l->word, any ? state + share : state);
    return any ? 0 : -EBUSY;
}

int coir_rwlock_try_read(coir_rwlock *lock)
{
    return try_take(lock, false);
}

int coir_rwlock_try_write(coir_rwlock *lock)
{
    return try_take(lock, true);
}

/* ---- giving back ---- */

/* What the caller adds to the word of its lock. */
static uint64_t share_of(uint64_t word, const coir_i_fiber *f)
{
    if (!(word & WRITTEN)) {
        coir_i_rule(f && word >= READER,
                    "a coir_rwlock is unlocked by who has locked it");
        return READER;
    }
    uint64_t mine = f ? writer_share(f) : 0;
    coir_i_rule((word & ~(uint64_t)(WAITERS | COIR_I_LOCKED)) == mine,
                "a coir_rwlock is unlocked by the fiber that writes");
    return mine;
}

void coir_rwlock_unlock(coir_rwlock *lock)
{
    coir_i_rwlock *l = rwlock_of(lock);
    coir_i_fiber *f = coir_i_self();
    uint64_t word = load_relaxed(&l->word); /* relaxed: a guess for the CAS */
    uint64_t share = share_of(word, f); /* it stays so: a share of it is ours */
    while (!(word & (WAITERS | COIR_I_LOCKED)))
        /* @publish waitq.word: what was done under the lock. */
        if (cas_release(&l->word, &word, word - share))
            return;
    word = coir_i_word_lock(&l->word);
    unlock_word(l, word - share);
}
