/* sched/foreign.c -- has the process threads that are not coir's?
 *
 * Does       count coir's own threads, and compare that with what the kernel
 *            counts.
 * Does not   find out who they are: one that is not coir's is enough.
 *
 * Invariants
 *   N1  a thread counts itself when it runs already, and is counted until it
 *       has nothing more to do: the kernel counts all that are in `own`. So
 *       who is about to begin, or to end, is taken for foreign for a moment;
 *       the other error, not to see a foreign one, would be a false alarm.
 *   N2  nobody began or ended between two equal reads of `own`.
 *
 * Edges      foreign.own (dekker: the count, and the kernel's)
 * Fails      without /proc every process has foreign threads.
 * Tests      test/test_deadlock.c */
#include "fiber/annotate.h"
#include "sched/deadlock.h"
#include "sched/module.h"
#include "sched/sys.h"

/* How many threads, and in the upper half how often that has changed. */
static _Atomic(uint64_t) own;

/* TSan has a thread of its own, from the first pthread_create on. */
#ifdef COIR_I_TSAN
enum { TOOLS = 1 };
#else
enum { TOOLS = 0 };
#endif

void coir_i_own_threads_add(int change)
{
    uint64_t changed = UINT64_C(1) << 32;
    /* @dekker foreign.own: the kernel has counted us, and still does. */
    fetch_add_seq_cst(&own, changed + (uint64_t)change);
}

void coir_i_foreign_forked(void)
{
    store_relaxed(&own, 0); /* there is one thread, which does not run us */
}

bool coir_i_foreign_threads(void)
{
    /* @dekker foreign.own: before and after the kernel is asked. */
    uint64_t before = load_seq_cst(&own);
    long threads = coir_i_sys_threads();
    uint64_t after = load_seq_cst(&own);
    long ours = (long)(uint32_t)before;
    return before != after || threads < ours || threads > ours + TOOLS;
}
