/* sched/fibers.c -- fibers with nothing to do, and where new ones come from
 *
 * Does       keep slots with their stacks warm: a few with each worker, last
 *            in first out, the rest in a depot; make new ones; bind a child to
 *            one when it begins.
 *
 * Invariants
 *   B1  a fiber in a cache has no life, is listed nowhere, and its deadline is
 *       COIR_NEVER; its timer node may still be linked, and is dropped when
 *       the wheel looks at it.
 *   B2  `starved` is set when a stack was refused, and cleared when one could
 *       be made again; while it is set a start asks for a stack first, so that
 *       who starts children learns of it.
 *
 *   B3  what has lain in the depot for a second is given back by a worker that
 *       has nothing to do, a few stacks at a time, while it looks for work.
 *
 * Locks      depot.lock: the depot, the stack pool, making slots.
 * Fails      coir_i_fibers_at_hand: false; coir_i_fibers_get_sized: NULL.
 * Tests      test/test_fibers.c */
#include "fiber/context.h"
#include "sched/clock.h"
#include "sched/nursery.h"
#include "sched/worker.h"

enum {
    KEEP = 32, /* that go to and from the depot at once */
    FEW = 16   /* stacks that an idle worker gives back before it looks again */
};
static const coir_time TOO_LONG = 1000000000; /* ns that a stack lies idle */

static struct {
    coir_i_mutex lock;
    coir_i_stack_pool pool;
    coir_i_fiber *idle;      /* with stacks that are warm, perhaps */
    coir_i_fiber *cold;      /* with stacks whose memory was given back */
    _Atomic(coir_time) used; /* when idle last changed; COIR_NEVER: empty */
    coir_i_fiber *slots;     /* without */
} depot;

void coir_i_fibers_start(size_t stack_size)
{
    coir_i_stack_pool_init(&depot.pool, stack_size);
    depot.idle = depot.cold = NULL;
    store_relaxed(&depot.used, COIR_NEVER);
}

void coir_i_fibers_forked(void)
{
    /* What another thread was about to change may be half done. */
    store_relaxed(&depot.lock.state, 0);
    depot.idle = depot.cold = depot.slots = NULL;
    store_relaxed(&coir_i_runtime.starved, false);
}

/* Under the lock. */
static coir_i_fiber *new_slot(void)
{
    coir_i_fiber *f = depot.slots;
    if (f)
        depot.slots = f->next;
    else
        f = coir_i_fiber_new();
    return f;
}

static void keep_slot(coir_i_fiber *f)
{
    f->stack = NULL;
    f->next = depot.slots;
    depot.slots = f;
}

/* Under the lock: both or none. */
static coir_i_fiber *new_fiber(coir_i_stack *stack)
{
    coir_i_fiber *f = stack ? new_slot() : NULL;
    if (f)
        f->stack = stack;
    return f;
}

/* Under the lock. */
static void note_use(void)
{
    store_relaxed(&depot.used, depot.idle ? coir_i_sys_now() : COIR_NEVER);
}

static __attribute__((noinline, cold)) bool refill(coir_i_worker *w)
{
    coir_i_mutex_lock(&depot.lock);
    while (w->cached < KEEP && (depot.idle || depot.cold)) {
        coir_i_fiber **from = depot.idle ? &depot.idle : &depot.cold;
        coir_i_fiber *f = *from;
        *from = f->next;
        f->next = w->cache;
        w->cache = f;
        w->cached++;
    }
    note_use();
    if (!w->cache) {
        coir_i_fiber *f = new_fiber(coir_i_stack_new(&depot.pool));
        if (f) {
            f->next = NULL;
            w->cache = f;
            w->cached = 1;
        }
        store_relaxed(&coir_i_runtime.starved, f == NULL);
    }
    coir_i_mutex_unlock(&depot.lock);
    return w->cache != NULL;
}

/* All but so many. */
static __attribute__((noinline, cold)) void give_back(coir_i_worker *w,
                                                      unsigned keep)
{
    coir_i_mutex_lock(&depot.lock);
    while (w->cached > keep) {
        coir_i_fiber *f = w->cache;
        w->cache = f->next;
        w->cached--;
        f->next = depot.idle;
        depot.idle = f;
    }
    note_use();
    coir_i_mutex_unlock(&depot.lock);
}

void coir_i_fibers_hand_over(coir_i_worker *w)
{
    give_back(w, 0);
}

coir_time coir_i_fibers_trim_at(void)
{
    return coir_i_time_add(load_relaxed(&depot.used), TOO_LONG);
}

bool coir_i_fibers_trim(coir_time now)
{
    coir_i_fiber *few[FEW];
    int count = 0;
    if (coir_i_likely(now < coir_i_fibers_trim_at()))
        return false;
    coir_i_mutex_lock(&depot.lock);
    for (; count < FEW && depot.idle; count++) {
        few[count] = depot.idle;
        depot.idle = depot.idle->next;
    }
    if (!depot.idle)
        store_relaxed(&depot.used, COIR_NEVER);
    coir_i_mutex_unlock(&depot.lock);
    for (int i = 0; i < count; i++)
        coir_i_stack_trim(few[i]->stack);
    coir_i_mutex_lock(&depot.lock);
    while (count > 0) {
        coir_i_fiber *f = few[--count];
        f->next = depot.cold;
        depot.cold = f;
    }
    coir_i_mutex_unlock(&depot.lock);
    return true;
}

bool coir_i_fibers_at_hand(coir_i_worker *w)
{
    return coir_i_likely(w->cache != NULL) || refill(w);
}

coir_i_fiber *coir_i_fibers_get_sized(size_t stack_size)
{
    coir_i_mutex_lock(&depot.lock);
    coir_i_stack *stack = coir_i_stack_new_sized(&depot.pool, stack_size);
    coir_i_fiber *f = new_fiber(stack);
    if (stack && !f)
        coir_i_stack_free(&depot.pool, stack);
    coir_i_mutex_unlock(&depot.lock);
    return f;
}

coir_i_fiber *coir_i_fibers_bind(coir_i_worker *w, const coir_i_taken *child)
{
    coir_i_start *start = coir_i_start_of(&child->child);
    coir_i_fiber *f = start ? start->fiber : NULL;
    if (!f) {
        f = w->cache;
        w->cache = f->next;
        w->cached--;
    }
    f->next = NULL;
    coir_i_context_make(f, coir_i_fiber_main);
    w->birth = *child;
    return f;
}

void coir_i_fibers_drop(coir_i_fiber *f)
{
    coir_i_mutex_lock(&depot.lock);
    coir_i_stack_free(&depot.pool, f->stack);
    keep_slot(f);
    coir_i_mutex_unlock(&depot.lock);
}

void coir_i_fibers_commit_over(coir_i_thread *here, coir_i_fiber *f)
{
    coir_i_worker *w = (coir_i_worker *)here;
    if (coir_i_unlikely(f->stack->slab != NULL)) {
        coir_i_fibers_drop(f);
        return;
    }
    f->next = w->cache;
    w->cache = f;
    if (++w->cached == 2 * KEEP)
        give_back(w, KEEP);
}

static void keep_slots(coir_i_fiber *f)
{
    for (coir_i_fiber *next; f; f = next) {
        next = f->next;
        keep_slot(f);
    }
}

void coir_i_fibers_stop(void)
{
    for (unsigned i = 0; i < coir_i_worker_count(); i++)
        keep_slots(coir_i_runtime.workers[i].cache);
    keep_slots(depot.idle);
    keep_slots(depot.cold);
    depot.idle = depot.cold = NULL;
    coir_i_stack_pool_end(&depot.pool);
    store_relaxed(&coir_i_runtime.starved, false);
}

void coir_i_fibers_keep_stacks(void)
{
    coir_i_mutex_lock(&depot.lock);
}

void coir_i_fibers_release_stacks(void)
{
    coir_i_mutex_unlock(&depot.lock);
}

void coir_i_fibers_stats(coir_stats *stats)
{
    stats->stacks = load_relaxed(&depot.pool.stacks);
    stats->stack_bytes = load_relaxed(&depot.pool.bytes);
}
