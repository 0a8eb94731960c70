/* sched/mutex.c -- a lock that parks who waits
 *
 * Does       lock, try, unlock; the queue of a mutex, for cond.c.
 *
 * The word is described in mutex.h.
 *
 * Invariants
 *   M1  WAITERS says whether the queue is empty.
 *   M2  a free mutex that is waited for has WOKEN set: somebody will come.
 *   M3  who has WOKEN set for it comes, and clears it in one go with taking the
 *       mutex or with standing first in line again: so no wake is lost, and
 *       one alone is under way.
 *   M4  turns stand in the queue in the order of their `until`, and m's is not
 *       later than any of them. So who finds it not yet come, though with a
 *       word that has changed and changed back, overtakes nobody wrongly.
 *
 * Locks      the word; under it wheel locks, LOOK bits.
 * Edges      waitq.word
 * Fails      -EPERM, -ECANCELED; -EBUSY where it must not wait.
 * Tests      test/test_mutex.c, test/stress_locks.c, test/death_sync.c;
 *            bench/bench_mutex.c */
#include "sched/mutex.h"

#include "fiber/current.h"
#include "sched/choice.h"
#include "sched/clock.h"
#include "sched/worker.h"

#include <errno.h>

enum {
    WAITERS = 2,
    WOKEN = 4,
    ID_SHIFT = 3,
    FLAGS = (1 << ID_SHIFT) - 1,
    SPINS = 20 /* pauses: who holds it lets go within 1 us, or not soon */
};
static const coir_time PATIENCE = 1000000; /* ns */

static uint64_t holder(const void *on)
{
    /* relaxed: for a dump. */
    return load_relaxed(&((coir_i_lock *)(uintptr_t)on)->word) >> ID_SHIFT;
}

static const coir_i_wait waits_for_mutex = {"mutex", COIR_I_WAIT_LOCK, holder};

/* The word of a mutex that f holds and nobody waits for. */
static inline uint64_t held_by(const coir_i_fiber *f)
{
    return f->life->id << ID_SHIFT;
}

/* Where time stands still, or would make one run differ from the next, patience
 * ends with the first coming in vain, too. */
static inline bool is_timeless(void)
{
    return coir_i_seeded || coir_i_clock_is_virtual();
}

enum { OUT_OF_PATIENCE = 0 }; /* `until` */

/* What patience is measured by. */
static inline uint64_t clock_now(void)
{
    if (coir_i_likely(!is_timeless()))
        return coir_i_ticks();
    return coir_i_clock_is_virtual() ? (uint64_t)coir_i_now() : 0;
}

static inline uint64_t patience(void)
{
    return is_timeless() ? (uint64_t)PATIENCE : coir_i_ticks_of(PATIENCE);
}

static inline bool is_free(uint64_t word)
{
    return word <= FLAGS;
}

/* May no newcomer take it, though it is free? */
static inline bool is_promised(coir_i_lock *m, uint64_t word)
{
    /* relaxed: as good as the word; see M4. */
    return (word & WOKEN) && clock_now() >= load_relaxed(&m->until);
}

/* ---- taking ---- */

/* A newcomer takes it where it is free. False: it is not, or not for us; or
 * the queue is locked. */
static bool take_free(coir_i_lock *m, uint64_t mine)
{
    uint64_t word = load_relaxed(&m->word);
    while (is_free(word) && !(word & COIR_I_LOCKED) && !is_promised(m, word))
        /* @observe waitq.word: what was done by who held it. */
        if (cas_acquire(&m->word, &word, word | mine))
            return true;
    return false;
}

/* Whoever holds it may run on another worker and let go in a moment: that is
 * cheaper than to park. But not where others wait: two that fight for a word
 * are slower than one that has it, and they were here before. */
static bool spin_for(coir_i_lock *m, uint64_t mine)
{
    if (coir_i_worker_count() == 1)
        return false;
    for (int i = 0; i < SPINS; i++) {
        uint64_t word = load_relaxed(&m->word); /* relaxed: a look */
        if (word & (WAITERS | WOKEN))
            return false;
        if (is_free(word) && take_free(m, mine))
            return true;
        coir_i_pause();
    }
    return false;
}

/* The first in line that can be claimed, off the queue: it is on its way from
 * now on. */
static coir_i_waiter *wake_first(coir_i_lock *m, uint64_t *state)
{
    coir_i_waiter *waiter = coir_i_waitq_take(&m->waiters, COIR_I_WOKEN);
    if (waiter) {
        *state |= WOKEN;
        /* relaxed: the word publishes it. */
        store_relaxed(&m->until, ((coir_i_turn *)waiter)->until);
    }
    return waiter;
}

void coir_i_lock_settle(coir_i_lock *m, uint64_t state)
{
    coir_i_waiter *woken = NULL;
    if (is_free(state) && !(state & WOKEN))
        woken = wake_first(m, &state);
    if (coir_i_waitq_empty(&m->waiters))
        state &= ~(uint64_t)WAITERS;
    else
        state |= WAITERS;
    coir_i_word_unlock(&m->word, state);
    coir_i_waitq_deliver(woken);
}

/* Where a turn stands. */
enum stand {
    LAST,   /* nowhere: it is new */
    ON_WAY, /* nowhere: WOKEN is set for it, and it was the first */
    IN_LINE /* in the queue; or it was the first, and was taken off in vain
               since its fiber was cancelled */
};

static void stand_last(coir_i_lock *m, coir_i_turn *turn)
{
    /* Now, under the lock: see M4. */
    turn->until = clock_now() + patience();
    coir_i_waitq_put(&m->waiters, &turn->waiter);
}

static void stand_first(coir_i_lock *m, coir_i_turn *turn, uint64_t state)
{
    if (state & WOKEN) /* it came after us: see M4 */
        store_relaxed(&m->until, turn->until);
    coir_i_waitq_put_first(&m->waiters, &turn->waiter);
}

static int take_turn(coir_i_lock *m, coir_i_turn *turn, enum stand stand,
                     enum coir_i_wait_kind kind)
{
    coir_i_waitq_prepare();
    for (;; stand = ON_WAY) {
        uint64_t state = coir_i_word_lock(&m->word);
        bool linked = stand == IN_LINE && turn->waiter.next;
        if (stand == ON_WAY)
            state &= ~(uint64_t)WOKEN;
        if (is_free(state) && !linked &&
            (stand != LAST || !is_promised(m, state))) {
            coir_i_word_unlock(&m->word, state | turn->holder);
            return 0;
        }
        if (stand == ON_WAY && is_timeless())
            turn->until = OUT_OF_PATIENCE;
        turn->waiter.ticket = coir_i_arm(COIR_NEVER, kind, &waits_for_mutex, m);
        if (stand == LAST)
            stand_last(m, turn);
        else if (!linked)
            stand_first(m, turn, state);
        coir_i_word_unlock(&m->word, state | WAITERS);
        if (coir_i_park() == COIR_I_CANCELLED)
            break;
    }
    uint64_t state = coir_i_word_lock(&m->word);
    coir_i_waitq_withdraw(&m->waiters, &turn->waiter);
    coir_i_lock_settle(m, state);
    return -ECANCELED;
}

static __attribute__((noinline)) int lock_slow(coir_i_lock *m,
                                               enum coir_i_wait_kind kind)
{
    coir_i_turn turn;
    coir_i_fiber *f = coir_i_self();
    coir_i_rule(!coir_i_lock_is_held(m, f),
                "who holds a coir_mutex would wait for itself");
    if (take_free(m, held_by(f)) || spin_for(m, held_by(f)))
        return 0;
    coir_i_turn_begin(&turn, f);
    return take_turn(m, &turn, LAST, kind);
}

int coir_mutex_lock(coir_mutex *mutex)
{
    coir_i_lock *m = coir_i_lock_of(mutex);
    int rc = coir_i_enter();
    if (coir_i_unlikely(rc < 0))
        return rc;
    uint64_t word = 0;
    /* @observe waitq.word: what was done by who held it. */
    if (coir_i_likely(cas_acquire(&m->word, &word, held_by(coir_i_self()))))
        return 0;
    return lock_slow(m, COIR_I_CANCELLABLE);
}

int coir_mutex_try_lock(coir_mutex *mutex)
{
    coir_i_lock *m = coir_i_lock_of(mutex);
    coir_i_fiber *f = coir_i_self();
    if (!f)
        return -EPERM;
    if (take_free(m, held_by(f)))
        return 0;
    /* relaxed: nothing is taken. */
    if (!is_free(load_relaxed(&m->word)))
        return -EBUSY;
    /* It may have been another's look at the queue that was in the way. */
    uint64_t state = coir_i_word_lock(&m->word);
    bool mine = is_free(state) && !is_promised(m, state);
    coir_i_word_unlock(&m->word, mine ? state | held_by(f) : state);
    return mine ? 0 : -EBUSY;
}

/* ---- giving back ---- */

static const char stranger[] =
    "a coir_mutex is unlocked by the fiber that has locked it";

static __attribute__((noinline)) void unlock_slow(coir_i_lock *m, uint64_t word,
                                                  uint64_t mine)
{
    coir_i_rule((word & ~(uint64_t)FLAGS) == mine, stranger);
    while (!(word & COIR_I_LOCKED) && (word & (WAITERS | WOKEN)) != WAITERS)
        /* @publish waitq.word: what was done under the lock. */
        if (cas_release(&m->word, &word, word & FLAGS))
            return;
    coir_i_lock_settle(m, coir_i_word_lock(&m->word) & FLAGS);
}

void coir_mutex_unlock(coir_mutex *mutex)
{
    coir_i_lock *m = coir_i_lock_of(mutex);
    const coir_i_fiber *f = coir_i_self();
    coir_i_rule(f != NULL, stranger);
    uint64_t word = held_by(f);
    /* @publish waitq.word: what was done under the lock. */
    if (coir_i_unlikely(!cas_release(&m->word, &word, 0)))
        unlock_slow(m, word, held_by(f));
}

/* ---- for cond.c ---- */

bool coir_i_lock_is_held(coir_i_lock *m, const coir_i_fiber *f)
{
    /* relaxed: if it is f's, f wrote it, or was woken with it. */
    return (load_relaxed(&m->word) & ~(uint64_t)FLAGS) == held_by(f);
}

void coir_i_lock_take(coir_i_lock *m)
{
    uint64_t word = 0;
    /* @observe waitq.word: what was done by who held it. */
    if (!cas_acquire(&m->word, &word, held_by(coir_i_self())))
        COIR_IGNORE(lock_slow(m, COIR_I_UNCANCELLABLE));
}

void coir_i_turn_begin(coir_i_turn *turn, const coir_i_fiber *f)
{
    turn->waiter.next = NULL;
    turn->holder = held_by(f);
}

void coir_i_lock_enqueue(coir_i_lock *m, coir_i_turn *turn)
{
    coir_i_rewait(turn->waiter.ticket, &waits_for_mutex, m);
    stand_last(m, turn);
}

void coir_i_lock_go_on(coir_i_lock *m, coir_i_turn *turn, unsigned reason)
{
    COIR_IGNORE(take_turn(m, turn, reason == COIR_I_WOKEN ? ON_WAY : IN_LINE,
                          COIR_I_UNCANCELLABLE));
}
