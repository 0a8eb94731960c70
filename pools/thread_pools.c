/* pools/thread_pools.c -- thread pools of the program's own
 *
 * Does       coir_thread_pool_new, _run, _each, _free.
 *
 * A pool may be made before a runtime, and outlive it; then its threads do,
 * until they are idle. In the child of a fork it has none, and is not used.
 *
 * Fails      -ENOMEM; -EBUSY, no signal is free; -EPERM, it is our parent's.
 * Tests      test/test_thread_pools.c, test_interrupt.c, stress_thread_pool.c
 */
#include "fiber/invariant.h"
#include "pools/own_pools.h"
#include "sched/module.h"

#include <errno.h>
#include <stdlib.h>

struct coir_thread_pool {
    coir_i_thread_pool pool; /* first: what its threads know */
    uint64_t generation;     /* const: of the process that made it */
};

static uint64_t generation; /* forks of this process, counted in the child */

int coir_thread_pool_new(coir_thread_pool **ret_pool,
                         const coir_thread_pool_config *config)
{
    static const coir_thread_pool_config defaults;
    coir_thread_pool *pool = malloc(sizeof *pool);
    if (!pool)
        return -ENOMEM;
    pool->generation = generation;
    int rc = coir_i_thread_pool_start(&pool->pool, config ? config : &defaults);
    if (rc < 0) {
        free(pool);
        return rc;
    }
    *ret_pool = pool;
    return 0;
}

int coir_thread_pool_run(coir_thread_pool *pool, coir_fn *fn, void *arg)
{
    if (!pool)
        return coir_i_thread_pool_run(coir_i_default_pool(), fn, arg);
    if (pool->generation != generation)
        return -EPERM;
    return coir_i_thread_pool_run(&pool->pool, fn, arg);
}

int coir_thread_pool_each(coir_thread_pool *pool, coir_fn *fn, void *items,
                          size_t count, size_t size)
{
    if (pool && pool->generation != generation)
        return -EPERM;
    return coir_i_thread_pool_each(pool ? &pool->pool : coir_i_default_pool(),
                                   fn, items, count, size);
}

void coir_thread_pool_free(coir_thread_pool *pool)
{
    if (!pool)
        return;
    if (pool->generation == generation) {
        const coir_i_pool_thread *me = coir_i_pool_thread_here();
        coir_i_rule(!me || me->pool != &pool->pool,
                    "a thread pool is not freed by one of its own calls");
        coir_i_thread_pool_stop(&pool->pool);
    }
    free(pool);
}

static void forked(void)
{
    generation++;
}

coir_i_constructor(2) static void add_module(void)
{
    static coir_i_module module = {NULL, NULL, forked, NULL};
    coir_i_module_add(&module);
}
