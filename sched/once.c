/* sched/once.c -- what is done once, by whoever comes first
 *
 * Does       run the function of the first caller; let others wait until it
 *            has succeeded; where it fails, let the next one try.
 *
 *     word: the runner's id << 3 | DONE | WAITERS | lock of the queue
 *
 * Invariants
 *   O1  at most one fiber runs its function: the one whose id is in the word.
 *   O2  where it fails while others wait, the first of them becomes the runner
 *       before the word is given back: nobody who comes later gets in between.
 *   O3  DONE is the last change of the word.
 *
 * Locks      the word; under it wheel locks, LOOK bits. The function runs under
 *            none.
 * Edges      waitq.word
 * Fails      -EPERM, -ECANCELED, and as the function does.
 * Tests      test/test_once.c, test/stress_locks.c, test/death_sync.c */
#include <coir/once.h>

#include "fiber/current.h"
#include "sched/waitq.h"

#include <errno.h>

typedef struct coir_i_once {
    _Atomic(uint64_t) word;
    coir_i_waitq waiters;
} coir_i_once;

_Static_assert(sizeof(coir_i_once) <= sizeof(coir_once), "as published");

enum { WAITERS = 2, DONE = 4, ID_SHIFT = 3 };

/* Why a wait ends. */
enum { HAS_SUCCEEDED = COIR_I_WOKEN, OUR_TURN = COIR_I_OWN };

/* Who waits brings its id, to be the runner. */
struct caller {
    coir_i_waiter waiter; /* first */
    uint64_t id;
};

static uint64_t runner(const void *on)
{
    /* relaxed: for a dump. */
    return load_relaxed(&((coir_i_once *)(uintptr_t)on)->word) >> ID_SHIFT;
}

static const coir_i_wait waits_for_runner = {"once", COIR_I_WAIT_LOCK, runner};

/* 0: it is done; OUR_TURN: we are the runner now. */
static int take_turn(coir_i_once *o)
{
    struct caller caller = {.id = coir_i_self()->life->id};
    coir_i_waitq_prepare();
    uint64_t state = coir_i_word_lock(&o->word);
    if (state & DONE) {
        coir_i_word_unlock(&o->word, state);
        return 0;
    }
    if (!state) {
        coir_i_word_unlock(&o->word, caller.id << ID_SHIFT);
        return OUR_TURN;
    }
    coir_i_rule(state >> ID_SHIFT != caller.id,
                "coir_once_do inside its own function waits for itself");
    caller.waiter.ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_runner, o);
    coir_i_waitq_put(&o->waiters, &caller.waiter);
    coir_i_word_unlock(&o->word, state | WAITERS);
    unsigned reason = coir_i_park();
    if (reason != COIR_I_CANCELLED)
        return reason == OUR_TURN ? OUR_TURN : 0;

    state = coir_i_word_lock(&o->word);
    coir_i_waitq_withdraw(&o->waiters, &caller.waiter);
    if (coir_i_waitq_empty(&o->waiters))
        state &= ~(uint64_t)WAITERS;
    coir_i_word_unlock(&o->word, state);
    return state & DONE ? 0 : -ECANCELED;
}

static void end_well(coir_i_once *o)
{
    coir_i_word_lock(&o->word);
    coir_i_waiter *first = coir_i_waitq_take_all(&o->waiters, HAS_SUCCEEDED);
    coir_i_word_unlock(&o->word, DONE);
    coir_i_waitq_deliver_all(first);
}

static void pass_on(coir_i_once *o)
{
    coir_i_word_lock(&o->word);
    coir_i_waiter *next = coir_i_waitq_take(&o->waiters, OUR_TURN);
    uint64_t state = next ? ((struct caller *)next)->id << ID_SHIFT : 0;
    if (!coir_i_waitq_empty(&o->waiters))
        state |= WAITERS;
    coir_i_word_unlock(&o->word, state);
    coir_i_waitq_deliver(next);
}

int coir_once_do(coir_once *once, coir_fn *fn, void *arg)
{
    coir_i_once *o = (coir_i_once *)once;
    int rc = coir_i_enter();
    /* @observe waitq.word: what the function has done. */
    if (rc < 0 || coir_i_likely(load_acquire(&o->word) == DONE))
        return rc;
    rc = take_turn(o);
    if (rc != OUR_TURN)
        return rc;
    rc = fn(arg);
    if (rc >= 0)
        end_well(o);
    else
        pass_on(o);
    return rc < 0 ? rc : 0;
}
