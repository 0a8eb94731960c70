/* pools/places.c -- the places of a process pool, and who waits for one
 *
 * Does       give places out and take them back, in order; keep the list of the
 *            pool's workers.
 * Does not   know of jobs, or end workers.
 * Locks      pool.lock (pools/process_pool.h, with the invariants)
 * Fails      -ECANCELED; -EPIPE, the pool ends.
 * Tests      test/test_processes.c, stress_processes.c */
#include "pools/process_pool.h"

#include <errno.h>

/* ---- The line ---- */

static void join_line(coir_process_pool *pool, coir_i_in_line *me)
{
    me->next = NULL;
    me->prev = pool->last;
    *pool->last = me;
    pool->last = &me->next;
}

void coir_i_place_leave_line(coir_process_pool *pool, coir_i_in_line *waiter)
{
    *waiter->prev = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        pool->last = waiter->prev;
    waiter->prev = NULL;
}

/* A place, under pool.lock: true, with its worker or NULL; false: none. */
static bool take_place(coir_process_pool *pool, coir_i_process **ret_process)
{
    coir_i_process *process = pool->idle;
    if (process) {
        pool->idle = process->next_idle;
    } else if (pool->empty) {
        pool->empty--;
    } else {
        return false;
    }
    *ret_process = process;
    return true;
}

void coir_i_place_give(coir_process_pool *pool, coir_i_process *process)
{
    coir_i_ticket ticket;
    do {
        coir_i_mutex_lock(&pool->lock);
        coir_i_in_line *waiter = pool->first;
        if (waiter) {
            coir_i_place_leave_line(pool, waiter);
            waiter->process = process;
            ticket = waiter->ticket;
        } else if (process) {
            process->next_idle = pool->idle;
            pool->idle = process;
        } else {
            pool->empty++;
        }
        coir_i_mutex_unlock(&pool->lock);
        if (!waiter)
            return;
    } while (!coir_i_wake(ticket, COIR_I_WOKEN));
}

static const coir_i_wait waits_for_place = {.what = "worker process"};

int coir_i_place_await(coir_process_pool *pool, coir_i_process **ret_process)
{
    coir_i_in_line me = {.ticket = coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE,
                                              &waits_for_place, pool)};
    coir_i_mutex_lock(&pool->lock);
    bool ending = pool->ending;
    bool taken = !ending && take_place(pool, &me.process);
    if (!ending && !taken)
        join_line(pool, &me);
    coir_i_mutex_unlock(&pool->lock);
    if (ending || taken)
        coir_i_wake(me.ticket, ending ? COIR_I_POOL_ENDS : COIR_I_WOKEN);
    unsigned reason = coir_i_park();
    if (reason == COIR_I_WOKEN) {
        *ret_process = me.process;
        return 0;
    }
    coir_i_mutex_lock(&pool->lock);
    if (me.prev)
        coir_i_place_leave_line(pool, &me);
    coir_i_mutex_unlock(&pool->lock);
    if (taken)
        coir_i_place_give(pool, me.process);
    return reason == COIR_I_POOL_ENDS ? -EPIPE : -ECANCELED;
}

/* ---- Workers ---- */

bool coir_i_place_add_worker(coir_process_pool *pool, coir_i_process *process)
{
    coir_i_mutex_lock(&pool->lock);
    process->next = pool->all;
    process->prev = &pool->all;
    if (process->next)
        process->next->prev = &process->next;
    pool->all = process;
    bool ending = pool->ending;
    coir_i_mutex_unlock(&pool->lock);
    return ending;
}

bool coir_i_place_remove_worker(coir_process_pool *pool,
                                coir_i_process *process)
{
    coir_i_mutex_lock(&pool->lock);
    *process->prev = process->next;
    if (process->next)
        process->next->prev = process->prev;
    bool ending = pool->ending;
    coir_i_mutex_unlock(&pool->lock);
    return ending;
}
