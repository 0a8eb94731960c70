/* pools/processes.c -- the life of pools of worker processes
 *
 * Does       make and free pools; start the zygote with the runtime, and end it
 *            and all workers with it.
 * Does not   run jobs: jobs.c.
 * Locks      pools.lock > pool.lock (pools/process_pool.h, with the invariants)
 * Fails      -ENOMEM. A runtime without a zygote can do all but run jobs.
 * Tests      test/test_process_end.c, stress_processes.c */
#include "fiber/current.h"
#include "pools/process_pool.h"
#include "sched/module.h"
#include "sched/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Every pool, so that no worker outlives the runtime. */
static struct {
    coir_i_mutex lock;
    coir_process_pool *first; /* pools.lock */
    uint64_t generation;      /* forks of this process, written in the child */
} pools;

uint64_t coir_i_process_generation(void)
{
    return pools.generation;
}

/* ---- New and free ---- */

static void list_pool(coir_process_pool *pool)
{
    coir_i_mutex_lock(&pools.lock);
    pool->generation = pools.generation;
    pool->next = pools.first;
    pool->prev = &pools.first;
    if (pool->next)
        pool->next->prev = &pool->next;
    pools.first = pool;
    coir_i_mutex_unlock(&pools.lock);
}

static void unlist_pool(coir_process_pool *pool)
{
    coir_i_mutex_lock(&pools.lock);
    *pool->prev = pool->next;
    if (pool->next)
        pool->next->prev = pool->prev;
    coir_i_mutex_unlock(&pools.lock);
}

int coir_process_pool_new(coir_process_pool **ret_pool,
                          const coir_process_pool_config *config)
{
    static const coir_process_pool_config defaults;
    if (!config)
        config = &defaults;
    if (config->init_size && !config->init_arg)
        return -EINVAL;
    size_t name_size = config->name ? strlen(config->name) + 1 : 0;
    coir_process_pool *pool =
        calloc(1, sizeof *pool + config->init_size + name_size);
    if (!pool)
        return -ENOMEM;
    char *copies = (char *)(pool + 1);
    pool->config = *config;
    if (config->init_arg)
        pool->config.init_arg =
            memcpy(copies, config->init_arg, config->init_size);
    if (config->name)
        pool->config.name =
            memcpy(copies + config->init_size, config->name, name_size);
    pool->places = config->workers ? config->workers : coir_i_sys_cpus();
    pool->empty = pool->places;
    pool->last = &pool->first;
    list_pool(pool);
    *ret_pool = pool;
    return 0;
}

/* The callers that there are get -EPIPE, and soon. */
static void end_callers(coir_process_pool *pool)
{
    coir_i_mutex_lock(&pool->lock);
    pool->ending = true;
    for (coir_i_process *process = pool->all; process; process = process->next)
        coir_i_process_kill(process);
    coir_i_in_line *waiter;
    while ((waiter = pool->first) != NULL) {
        coir_i_ticket ticket = waiter->ticket;
        coir_i_place_leave_line(pool, waiter);
        coir_i_mutex_unlock(&pool->lock);
        coir_i_wake(ticket, COIR_I_POOL_ENDS);
        coir_i_mutex_lock(&pool->lock);
    }
    coir_i_mutex_unlock(&pool->lock);
}

static const coir_i_wait awaits_jobs = {.what = "jobs of a pool"};

/* Park until the last caller has left; cancelled, until it has been ended. */
static void await_callers(coir_process_pool *pool)
{
    enum coir_i_wait_kind kind = COIR_I_CANCELLABLE;
    if (coir_i_enter() < 0) {
        kind = COIR_I_UNCANCELLABLE;
        end_callers(pool);
    }
    for (;;) {
        coir_i_ticket ticket = coir_i_arm(COIR_NEVER, kind, &awaits_jobs, pool);
        coir_i_mutex_lock(&pool->lock);
        bool none = pool->callers == 0;
        pool->freer = ticket;
        coir_i_mutex_unlock(&pool->lock);
        if (none)
            coir_i_wake(ticket, COIR_I_WOKEN);
        if (coir_i_park() == COIR_I_WOKEN)
            return;
        kind = COIR_I_UNCANCELLABLE;
        end_callers(pool);
    }
}

static void block_on_callers(coir_process_pool *pool)
{
    coir_i_mutex_lock(&pool->lock);
    while (pool->callers > 0) {
        coir_i_mutex_unlock(&pool->lock);
        coir_i_futex_wait(&pool->gone, 0, COIR_NEVER);
        coir_i_mutex_lock(&pool->lock);
    }
    coir_i_mutex_unlock(&pool->lock);
}

/* Nobody calls: every worker is idle. */
static void end_workers(coir_process_pool *pool)
{
    for (coir_i_process *process = pool->all; process; process = process->next)
        coir_i_process_kill(process);
    while (pool->all) {
        coir_i_process *process = pool->all;
        coir_i_place_remove_worker(pool, process);
        coir_i_process_free(process);
        pool->empty++;
    }
    pool->idle = NULL;
}

static void forget_workers(coir_process_pool *pool)
{
    while (pool->all) {
        coir_i_process *process = pool->all;
        pool->all = process->next;
        coir_i_process_forget(process);
    }
}

void coir_process_pool_free(coir_process_pool *pool)
{
    if (!pool)
        return;
    if (pool->generation != pools.generation) {
        forget_workers(pool);
        free(pool);
        return;
    }
    unlist_pool(pool);
    coir_i_mutex_lock(&pool->lock);
    pool->freeing = true;
    coir_i_mutex_unlock(&pool->lock);
    if (coir_i_self())
        await_callers(pool);
    else
        block_on_callers(pool);
    end_workers(pool);
    free(pool);
}

/* ---- The runtime's life ---- */

/* A runtime without a zygote can do all but this; who asks is told. */
static int start(const coir_config *config)
{
    (void)config;
    int rc = coir_i_origin_record();
    if (rc >= 0)
        coir_i_zygote_start();
    return rc;
}

/* No fiber is left, so nobody calls. A pool that was not freed can be used in
 * the next runtime, with workers of then. */
static void stop(void)
{
    coir_i_mutex_lock(&pools.lock);
    for (coir_process_pool *pool = pools.first; pool; pool = pool->next)
        end_workers(pool);
    coir_i_mutex_unlock(&pools.lock);
    coir_i_zygote_stop();
    coir_i_origin_forget();
}

static void forked(void)
{
    pools.generation++;
    pools.lock = (coir_i_mutex){0};
    pools.first = NULL;
    coir_i_zygote_forget();
    coir_i_origin_forget();
}

coir_i_constructor(2) static void add_module(void)
{
    static coir_i_module module = {start, stop, forked, NULL};
    coir_i_module_add(&module);
}
