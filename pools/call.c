/* pools/call.c -- calls on the threads of a pool, as fibers make them
 *
 * Does       hand a call over, park until it is over, take it back when the
 *            caller is cancelled.
 * Does not   run anything: thread_pool.c.
 *
 * A caller that is cancelled looks under the lock at how far its call is: what
 * has not begun is dropped. If nothing of it runs, it is done. If something
 * does, the caller waits again, uncancelled, or leaves the call behind if that
 * has nothing of the caller's.
 *
 * What ends with -EINTR because it was interrupted has been cancelled: so that
 * `return n < 0 ? -errno : 0` in fn is -ETIMEDOUT under a timeout.
 *
 * Invariants (T1 to T5 are in thread_pool.c)
 *   K1  a call that is left behind belongs to the thread that ends it.
 *   K2  a caller that was woken does not touch the pool any more; one that was
 *       cancelled does so once, and is counted in `comers` if its call was over
 *       before.
 *
 * Locks      pool.lock
 * Fails      see thread_pool.h; nothing of the call is left then.
 * Tests      test/test_threads.c, test_thread_pools.c, stress_thread_pool.c */
#include "pools/thread_pool.h"
#include "sched/module.h"
#include "sched/worker.h"

#include <errno.h>

/* How a call that nothing of runs any more ended for its cancelled caller. */
enum left { OVER, DROPPED, LEFT, RUNNING };

static enum left look(coir_i_thread_pool *pool, coir_i_call *call,
                      coir_i_ticket ticket)
{
    if (coir_i_call_is_over(call)) {
        pool->comers--; /* the thread that ended it could not wake us */
        return OVER;
    }
    bool dropped = call->waiting != 0;
    coir_i_thread_pool_drop(pool, call);
    if (dropped && call->result >= 0)
        call->result = -ECANCELED;
    if (!call->running)
        return DROPPED;
    /* relaxed: fn only asks whether, and may ask again. */
    store_relaxed(&call->cancelled, true);
    call->ticket = ticket;
    call->is_left = call->abandon != NULL;
    coir_i_thread_pool_interrupt(pool, call);
    return call->is_left ? LEFT : RUNNING;
}

/* The caller was cancelled. True: the call is not its any more. */
static bool withdraw_call(coir_i_thread_pool *pool, coir_i_call *call)
{
    coir_i_ticket ticket =
        coir_i_arm(COIR_NEVER, COIR_I_UNCANCELLABLE, call->wait, call);
    coir_i_mutex_lock(&pool->lock);
    enum left how = look(pool, call, ticket);
    coir_i_thread_pool_unlock(pool);
    if (how == DROPPED || how == LEFT)
        coir_i_outside_end();
    if (how != RUNNING)
        coir_i_wake(ticket, COIR_I_WOKEN);
    coir_i_park();
    return how == LEFT;
}

/* Of a call that is over; `interrupts`: cancelling it does. */
static int result_of(const coir_i_call *call, bool interrupts)
{
    /* relaxed: its caller alone has written it. */
    bool was_cancelled = load_relaxed(&call->cancelled);
    return interrupts && was_cancelled && call->result == -EINTR ? -ECANCELED
                                                                 : call->result;
}

/* What the call came to, in *result. True: it was left behind. */
static bool make_call(coir_i_thread_pool *pool, coir_i_call *call, int *result)
{
    bool interrupts = pool->interrupts && call->interrupts;
    int rc = coir_i_enter();
    *result = rc;
    if (rc < 0)
        return false;
    coir_i_count_up(&coir_i_worker_here()->counts.blocking_calls);
    coir_i_outside_begin();
    call->ticket = coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, call->wait, call);
    coir_i_ticket ticket = call->ticket;
    rc = coir_i_thread_pool_submit(pool, call);
    if (rc < 0) {
        coir_i_outside_end();
        coir_i_wake(ticket, COIR_I_WOKEN);
        coir_i_park();
        *result = rc;
        return false;
    }
    bool is_left = coir_i_park() != COIR_I_WOKEN && withdraw_call(pool, call);
    *result = is_left ? -ECANCELED : result_of(call, interrupts);
    return is_left;
}

int coir_i_thread_pool_call(coir_i_thread_pool *pool, coir_i_call *call)
{
    int result;
    bool is_left = make_call(pool, call, &result);
    if (!is_left && result < 0 && call->abandon)
        call->abandon(call);
    return result;
}

static const coir_i_wait waits_for_call = {.what = "blocking call"};

int coir_i_thread_pool_run(coir_i_thread_pool *pool, coir_fn *fn, void *arg)
{
    coir_i_call call = {.fn = fn,
                        .wait = &waits_for_call,
                        .interrupts = true,
                        .item = arg,
                        .waiting = 1};
    return coir_i_thread_pool_call(pool, &call);
}

int coir_i_thread_pool_each(coir_i_thread_pool *pool, coir_fn *fn, void *items,
                            size_t count, size_t size)
{
    coir_i_call call = {.fn = fn,
                        .wait = &waits_for_call,
                        .size = size,
                        .is_each = true,
                        .interrupts = true,
                        .item = items,
                        .waiting = count};
    return count ? coir_i_thread_pool_call(pool, &call) : coir_i_enter();
}
