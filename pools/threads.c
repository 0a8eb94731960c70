/* pools/threads.c -- the default thread pool
 *
 * Does       coir_blocking, on one pool that lives as long as the runtime; and
 *            what io cannot poll.
 * Fails      as coir_i_thread_pool_run().
 * Tests      test/test_threads.c */
#include <coir/threads.h>

#include "io/offload.h"
#include "pools/thread_pool.h"
#include "sched/module.h"

enum { THREADS = 64 };
static const coir_time idle = COIR_SECONDS(10);

static coir_i_thread_pool pool;

int coir_blocking(coir_fn *fn, void *arg)
{
    return coir_i_thread_pool_run(&pool, fn, arg);
}

bool coir_blocking_cancelled(void)
{
    return coir_i_thread_pool_cancelled();
}

static int start(const coir_config *config)
{
    unsigned max = config->blocking_threads;
    coir_i_thread_pool_start(&pool, max ? max : THREADS, idle, "coir-blk");
    return 0;
}

static void stop(void)
{
    coir_i_thread_pool_stop(&pool);
}

static void forked(void)
{
    coir_i_thread_pool_forget(&pool);
}

coir_i_constructor(2) static void add_module(void)
{
    static coir_i_module module = {start, stop, forked, NULL};
    coir_i_module_add(&module);
    coir_i_offload_install(coir_blocking);
}
