/* sched/deadlock.c -- is there anybody left who could wake anybody?
 *
 * Does       ask that, whenever all workers have gone to sleep; if there is
 *            nobody, tell of it, with a dump, and cancel everything.
 * Does not   look at fibers: that none can run is seen from the workers, in a
 *            time that does not grow with their number.
 *
 * The last worker to go to sleep suspects a deadlock, or not, and wakes the one
 * in the seat to look closer. Foreign threads can wake anybody, and tell nobody
 * when they end: while there are some, who sits in the seat asks again and
 * again, after 1 ms first and every second in the end.
 *
 *     everything is cancelled --> what ignores that is cancelled, shields or
 *     not --> what cannot be cancelled stops the program
 *
 * Each time the rest may clean up first: the next step is taken when all sleep
 * again.
 *
 * Invariants
 *   D1  from one reading of coir_i_idle_rest to an equal one all workers slept
 *       and no fiber ran: what was read in between was true at one time.
 *   D2  a call that is outside counts until its fiber is queued, and its worker
 *       woken: who reads that none is out sees those, or that rest has changed.
 *   D3  one worker at a time is in the seat: all in `deadlock` is its own.
 *
 * Edges      runtime.outside (observe)
 * Fails      never; where threads cannot be counted there is never a deadlock.
 * Tests      test/test_deadlock.c, test/models/deadlock.pml */
#include "sched/deadlock.h"

#include "sched/clock.h"
#include "sched/dump.h"
#include "sched/runtime.h"

#include <errno.h>
#include <unistd.h>

static const coir_time ASK_FIRST = 1000000, ASK_AT_MOST = 1000000000;

enum stage { RUNS, CANCELLED, PIERCED };

static struct {
    enum stage stage;
    uint64_t switches; /* when it was asked last */
    coir_time patience;
    _Atomic(bool) asks; /* who sits in the seat will ask again by itself */
    _Atomic(bool) happened;
} deadlock;

void coir_i_deadlock_start(void)
{
    deadlock.stage = RUNS;
    deadlock.switches = 0;
    deadlock.patience = ASK_FIRST;
    store_relaxed(&deadlock.asks, false);
    store_relaxed(&deadlock.happened, false);
    coir_i_scope_pierce_shields(false);
    coir_i_circle_start();
}

bool coir_i_deadlock_happened(void)
{
    return load_relaxed(&deadlock.happened); /* who wrote it has ended */
}

/* ---- is there anybody? ---- */

static bool waits_outside(void)
{
    uint64_t waits = 0;
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        struct coir_i_counts *counts = &coir_i_runtime.workers[i].counts;
        waits += load_relaxed(&counts->outside_begun) -
                 load_relaxed(&counts->outside_ended);
    }
    return waits != 0;
}

static bool is_out(void)
{
    /* @observe runtime.outside: who was woken by those who have come back. */
    return load_acquire(&coir_i_runtime.outside) != 0;
}

static bool is_timer_set(void)
{
    for (unsigned i = 0; i < coir_i_worker_count(); i++)
        if (coir_i_wheel_is_set(&coir_i_runtime.workers[i].wheel))
            return true;
    return false;
}

/* Whoever is there has not been seen to yet; or there is no stack for it, and
 * who sits in the seat will look for one. */
static bool is_any_ready(void)
{
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        coir_i_worker *w = &coir_i_runtime.workers[i];
        if (load_relaxed(&w->inbox) || load_relaxed(&w->next) ||
            coir_i_ring_length(&w->ring) || coir_i_nest_more_than(&w->nest, 0))
            return true;
    }
    return !coir_i_global_empty() || coir_i_runtime_has_starts();
}

static bool is_quiet(void)
{
    return !is_out() && !waits_outside() && !is_timer_set();
}

bool coir_i_deadlock_suspected(void)
{
    /* relaxed: if the one in the seat saw us awake, and so does not ask, we
     * have announced our sleep after that, under the same lock. */
    return is_quiet() &&
           (!load_relaxed(&deadlock.asks) || !coir_i_foreign_threads());
}

/* ---- then there is nobody ---- */

static void cancel_all(void)
{
    coir_i_scope *root = &coir_i_nursery_of(&coir_i_background)->scope;
    coir_failure cause = {.code = -EDEADLK};
    coir_i_scope_hold(root); /* open: the first fiber waits inside */
    /* relaxed: nobody else runs. When the first fiber's body has ended all
     * outside shields is cancelled already. */
    if (deadlock.stage == RUNS &&
        !(load_relaxed(&root->state) & COIR_I_SCOPE_CLAIMED)) {
        deadlock.stage = CANCELLED;
        coir_i_scope_cancel(root, &cause);
    } else {
        deadlock.stage = PIERCED;
        coir_i_scope_pierce_shields(true);
        coir_i_scope_changed(root);
    }
    coir_i_scope_release(root);
}

static void raise_alarm(void)
{
    static const char *const headline[] = {
        "coir: deadlock: every fiber waits for another one, or for nobody; "
        "all are cancelled",
        "coir: deadlock again, of what was left to clean up; shields or not, "
        "all are cancelled",
        "coir: deadlock again, of what cannot be cancelled",
    };
    store_relaxed(&deadlock.happened, true);
    COIR_IGNORE(coir_i_dump(STDERR_FILENO, headline[deadlock.stage]));
    coir_i_need(deadlock.stage != PIERCED,
                "a deadlock of fibers that cannot be cancelled");
    cancel_all();
}

/* ---- asking ---- */

/* There are threads that may wake somebody. */
static coir_time ask_again(void)
{
    uint64_t switches = 0;
    for (unsigned i = 0; i < coir_i_worker_count(); i++)
        switches += load_relaxed(&coir_i_runtime.workers[i].counts.switches);
    if (switches != deadlock.switches)
        deadlock.patience = ASK_FIRST;
    else if (deadlock.patience < ASK_AT_MOST)
        deadlock.patience *= 2;
    deadlock.switches = switches;
    store_relaxed(&deadlock.asks, true);
    return coir_i_sys_now() + deadlock.patience;
}

coir_time coir_i_deadlock_look(void)
{
    uint64_t rest = coir_i_idle_rest();
    if (!rest || load_relaxed(&coir_i_runtime.stopping) || !is_quiet() ||
        is_any_ready())
        return COIR_NEVER;
    if (coir_i_foreign_threads())
        return ask_again();
    if (coir_i_idle_rest() != rest)
        return COIR_NEVER;
    raise_alarm();
    return 0;
}

void coir_i_deadlock_looked(void)
{
    store_relaxed(&deadlock.asks, false);
}
