/* sched/spare.c -- workers that stand in for those that are stuck
 *
 * Does       start spares, one when the monitor wants one and none sits on the
 *            bench; take the only worker's bias when the first comes.
 * Does not   decide when: sched/monitor.c; sleep: sched/idle.c, the bench.
 *
 * Invariants
 *   E1  runtime.count only grows; who is counted is set up, and has a thread.
 *   E2  no fiber is ready on a worker that sits on the bench: what was in its
 *       ring or its `next` went to the global queue before, and what is pinned
 *       to it wakes it. Children in its nest and timers in its wheel are seen
 *       to by the others, as ever.
 *   E3  before there is a second worker, nobody has a bias.
 *   E4  the monitor alone hires, and has ended before the workers are joined.
 *
 * Edges      runtime.workers (publish: hire; observe: coir_i_worker_count)
 * Fails      coir_i_spare_hire: false, no memory or no thread; or a bias that
 *            cannot be taken. Nothing has changed then.
 * Tests      test/test_spare.c, test/test_spare_bench.c, test/stress_spare.c,
 *            test/models/spare.pml */
#include "sched/spare.h"

#include "sched/chunk.h"
#include "sched/runtime.h"

#include <signal.h>

_Atomic(uint32_t) coir_i_spare_allowed;

static struct {
    sigset_t signals; /* const: those that coir_run's caller does not take */
    _Atomic(uint64_t) hired;
} spare;

void coir_i_spare_start(void)
{
    pthread_sigmask(SIG_SETMASK, NULL, &spare.signals);
    store_relaxed(&spare.hired, 0);
    store_relaxed(&coir_i_spare_allowed, coir_i_runtime.configured);
}

/* The monitor, whose child we are, takes none. */
void coir_i_spare_enter(void)
{
    pthread_sigmask(SIG_SETMASK, &spare.signals, NULL);
}

uint64_t coir_i_spare_hired(void)
{
    return load_relaxed(&spare.hired);
}

void coir_i_spare_allow(unsigned active)
{
    store_relaxed(&coir_i_spare_allowed, active);
}

/* ---- the only worker is not the only one any more ---- */

static bool revoke_bias(coir_i_worker *w)
{
    coir_i_bias *const biases[] = {&w->ring.bias, &w->nest.bias};
    return coir_i_bias_is_shared(&w->nest.bias) ||
           coir_i_bias_revoke(biases, 2);
}

/* ---- hiring ---- */

/* On the bench it begins. */
static bool start_one(void)
{
    unsigned id = coir_i_worker_count();
    coir_i_worker *w = &coir_i_runtime.workers[id];
    if (id == coir_i_runtime.configured + COIR_I_SPARES ||
        !revoke_bias(&coir_i_runtime.workers[0]) || !coir_i_worker_make(id))
        return false;
    store_relaxed(&w->benched, true);
    if (coir_i_worker_start(w) != 0) {
        coir_i_worker_drop(w);
        return false;
    }
    /* @publish runtime.workers: it is set up. Seq_cst: see there. */
    store_seq_cst(&coir_i_runtime.count, id + 1);
    return true;
}

static bool call_up(unsigned begin)
{
    for (unsigned i = begin; i < coir_i_worker_count(); i++) {
        coir_i_worker *w = &coir_i_runtime.workers[i];
        if (load_relaxed(&w->benched) && coir_i_wake_this(w))
            return true;
    }
    return false;
}

bool coir_i_spare_hire(void)
{
    unsigned count = coir_i_worker_count();
    if (!call_up(coir_i_runtime.configured) && !(start_one() && call_up(count)))
        return false;
    store_relaxed(&spare.hired, load_relaxed(&spare.hired) + 1);
    return true;
}

void coir_i_spare_call_off(unsigned many)
{
    unsigned i = coir_i_runtime.configured;
    for (; many > 0 && i < coir_i_worker_count(); i++) {
        coir_i_worker *w = &coir_i_runtime.workers[i];
        if (load_relaxed(&w->asleep) && coir_i_wake_this(w))
            many--;
    }
}

/* ---- stepping down ---- */

void coir_i_spare_hand_over(coir_i_worker *w)
{
    coir_i_fiber *f;
    /* @observe ready.next: nothing new: we put it there. */
    if ((f = exchange_acquire(&w->next, NULL)))
        coir_i_global_put(f, f, 1);
    while ((f = coir_i_ring_get(&w->ring)))
        coir_i_global_put(f, f, 1);
    /* On the bench nobody would ask it for them. */
    coir_i_fibers_hand_over(w);
    coir_i_chunks_hand_over(w);
}
