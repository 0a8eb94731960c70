/* pools/thread_pool_life.c -- the beginning and the end of a thread pool
 *
 * Does       start a pool; stop it: what is queued is run, then its threads end
 *            and are joined; or leave it to those that do not come back.
 *
 * Invariants (T1 to T5 are in thread_pool.c)
 *   L1  whoever finds under the lock that the pool is ended tells the stopper,
 *       or, where it was left, frees it; nobody else does.
 *   L2  a thread is joined by the one that ends after it, the last by the
 *       stopper; the threads of a pool that was left are nobody's to join.
 *
 * Locks      pool.lock
 * Fails      a fiber that stops a pool is not cancelled: it comes to an end.
 * Tests      test/test_thread_pool_free.c, test_files.c, test_names.c */
#include "fiber/current.h"
#include "pools/thread_pool.h"
#include "sched/module.h"
#include "sched/sys.h"

#include <stdlib.h>

int coir_i_thread_pool_start(coir_i_thread_pool *pool,
                             const coir_thread_pool_config *config)
{
    enum { MAX = 64 };
    const coir_time idle = COIR_SECONDS(10);
    const char *name = config->name ? config->name : "coir-pool";
    int rc = config->interrupt ? coir_i_interrupt_begin() : 0;
    *pool = (coir_i_thread_pool){
        .max = config->max_threads ? config->max_threads : MAX,
        .idle = config->idle ? config->idle : idle,
        .cpus = coir_i_sys_cpus(),
        .interrupts = config->interrupt && rc == 0};
    coir_i_copy_text(pool->name, sizeof pool->name, name);
    pool->last = &pool->first;
    return rc;
}

void coir_i_thread_pool_forget(coir_i_thread_pool *pool)
{
    *pool = (coir_i_thread_pool){0};
    coir_i_pool_thread_set(NULL);
}

/* Under pool.lock: T5. */
static bool is_ended(const coir_i_thread_pool *pool)
{
    return pool->stopping && pool->threads == 0 && pool->holds == 0 &&
           pool->comers == 0;
}

/* Nobody has to do with it any more; the last thread has only to return, which
 * a fiber's worker may wait for. */
static void clean_up(coir_i_thread_pool *pool)
{
    if (pool->has_ended)
        pthread_join(pool->ended, NULL);
    pool->has_ended = false;
    if (pool->interrupts)
        coir_i_interrupt_end();
}

void coir_i_thread_pool_unlock(coir_i_thread_pool *pool)
{
    bool ended = is_ended(pool), is_left = pool->is_left;
    coir_i_ticket stopper = pool->stopper;
    if (ended)
        /* relaxed: under the lock. */
        store_relaxed(&pool->ended_word, 1);
    coir_i_mutex_unlock(&pool->lock);
    if (ended && is_left) {
        clean_up(pool);
        free(pool);
    } else if (ended && stopper.fiber) {
        coir_i_wake(stopper, COIR_I_WOKEN);
    } else if (ended) {
        coir_i_futex_wake(&pool->ended_word, 1);
    }
}

/* No call comes any more; who sleeps ends. */
static void begin_to_stop(coir_i_thread_pool *pool)
{
    coir_i_pool_thread *idler;
    coir_i_mutex_lock(&pool->lock);
    pool->stopping = true;
    while ((idler = coir_i_thread_pool_call_idler(pool)) != NULL)
        coir_i_futex_wake(&idler->woken, 1);
    coir_i_mutex_unlock(&pool->lock);
}

/* False: the time has come, but the end has not. Holds pool.lock. */
static bool block_until_ended(coir_i_thread_pool *pool, coir_time until)
{
    coir_i_mutex_lock(&pool->lock);
    while (!is_ended(pool) && coir_i_sys_now() < until) {
        coir_i_mutex_unlock(&pool->lock);
        coir_i_futex_wait(&pool->ended_word, 0, until);
        coir_i_mutex_lock(&pool->lock);
    }
    return is_ended(pool);
}

static const coir_i_wait waits_for_end = {.what = "end of a thread pool"};

/* Of the threads, too, which wake no fiber but this one. */
static void park_until_ended(coir_i_thread_pool *pool)
{
    coir_i_outside_begin();
    coir_i_ticket ticket =
        coir_i_arm(COIR_NEVER, COIR_I_UNCANCELLABLE, &waits_for_end, pool);
    coir_i_mutex_lock(&pool->lock);
    bool ended = is_ended(pool);
    pool->stopper = ticket;
    coir_i_mutex_unlock(&pool->lock);
    if (ended)
        coir_i_wake(ticket, COIR_I_WOKEN);
    coir_i_park();
    coir_i_outside_end();
}

void coir_i_thread_pool_stop(coir_i_thread_pool *pool)
{
    begin_to_stop(pool);
    if (coir_i_self()) {
        park_until_ended(pool);
    } else {
        block_until_ended(pool, COIR_NEVER);
        coir_i_mutex_unlock(&pool->lock);
    }
    clean_up(pool);
}

void coir_i_thread_pool_leave(coir_i_thread_pool *pool, coir_time until)
{
    begin_to_stop(pool);
    bool ended = block_until_ended(pool, until);
    bool has_ended = pool->has_ended;
    pthread_t last = pool->ended;
    pool->is_left = !ended;
    pool->has_ended = false;
    coir_i_mutex_unlock(&pool->lock);
    if (has_ended)
        pthread_join(last, NULL);
    if (ended) {
        clean_up(pool);
        free(pool);
    }
}
