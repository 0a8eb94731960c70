/* pools/threads.c -- the thread pools of the runtime itself
 *
 * Does       coir_blocking, on the default pool; the pools of files and names;
 *            what io cannot poll.
 *
 * All live as long as the runtime. When it ends no fiber is left, but calls may
 * be that their callers left behind: open(2) of a server that is gone, a name
 * that nobody answers for. They are waited for PATIENCE long, all together;
 * then their threads are left to themselves, and end with their calls.
 *
 * Invariants
 *   O1  a pool of files or names is made once a runtime, by the first who needs
 *       it, and is memory of its own: another runtime may run before the last
 *       thread of this one's has ended.
 *
 * Locks      making
 * Edges      own.pool (publish: it is made; observe: who uses it)
 * Fails      as coir_i_thread_pool_run(); -ENOMEM.
 * Tests      test/test_threads.c, test_files.c, test_names.c */
#include "io/offload.h"
#include "pools/own_pools.h"
#include "sched/module.h"
#include "sched/sys.h"

#include <errno.h>
#include <stdlib.h>

static const coir_time PATIENCE = COIR_SECONDS(1);

static coir_i_thread_pool default_pool;

/* A pool that is made when it is needed. */
struct own {
    const coir_thread_pool_config config;
    _Atomic(coir_i_thread_pool *) pool;
};

static coir_i_mutex making; /* a pool: once */
static struct own files = {.config = {.name = "coir-file", .interrupt = true}};
static struct own names = {.config = {.name = "coir-name"}};

static coir_i_thread_pool *make_pool(struct own *own)
{
    coir_i_mutex_lock(&making);
    /* @observe own.pool: another has made it. */
    coir_i_thread_pool *pool = load_acquire(&own->pool);
    if (!pool && (pool = malloc(sizeof *pool)) != NULL) {
        /* Without a signal for it the pool cannot interrupt; that is all. */
        if (coir_i_thread_pool_start(pool, &own->config) < 0)
            coir_i_assert(!pool->interrupts);
        pool->makes_do = true;
        /* @publish own.pool: it is made. */
        store_release(&own->pool, pool);
    }
    coir_i_mutex_unlock(&making);
    return pool;
}

static int call_own(struct own *own, coir_i_call *call)
{
    int rc = coir_i_enter();
    /* @observe own.pool: it is made. */
    coir_i_thread_pool *pool = load_acquire(&own->pool);
    if (rc >= 0 && !pool && (pool = make_pool(own)) == NULL)
        rc = -ENOMEM;
    if (rc >= 0)
        return coir_i_thread_pool_call(pool, call);
    if (call->abandon)
        call->abandon(call);
    return rc;
}

int coir_i_files_call(coir_i_call *call)
{
    return call_own(&files, call);
}

int coir_i_names_call(coir_i_call *call)
{
    return call_own(&names, call);
}

int coir_i_files_run(coir_fn *fn, void *arg)
{
    static const coir_i_wait waits = {.what = "file"};
    coir_i_call call = {.fn = fn, .wait = &waits, .item = arg, .waiting = 1};
    return coir_i_files_call(&call);
}

coir_i_thread_pool *coir_i_default_pool(void)
{
    return &default_pool;
}

int coir_blocking(coir_fn *fn, void *arg)
{
    return coir_i_thread_pool_run(&default_pool, fn, arg);
}

bool coir_blocking_cancelled(void)
{
    const coir_i_pool_thread *me = coir_i_pool_thread_here();
    /* relaxed: the answer alone counts, nothing hangs on it. */
    return me && me->call && load_relaxed(&me->call->cancelled);
}

/* ---- The runtime's life ---- */

static int start(const coir_config *config)
{
    const coir_thread_pool_config ours = {
        .max_threads = config->blocking_threads, .name = "coir-blk"};
    return coir_i_thread_pool_start(&default_pool, &ours);
}

static void leave_pool(struct own *own, coir_time until)
{
    /* relaxed: nobody else is there. */
    coir_i_thread_pool *pool = load_relaxed(&own->pool);
    store_relaxed(&own->pool, NULL);
    if (pool)
        coir_i_thread_pool_leave(pool, until);
}

static void stop(void)
{
    coir_time until = coir_i_sys_now() + PATIENCE;
    leave_pool(&files, until);
    leave_pool(&names, until);
    coir_i_thread_pool_stop(&default_pool);
}

static void forget_pool(struct own *own)
{
    /* relaxed: a child of a fork has one thread. */
    free(load_relaxed(&own->pool));
    store_relaxed(&own->pool, NULL);
}

static void forked(void)
{
    making = (coir_i_mutex){0};
    coir_i_interrupt_forked();
    coir_i_thread_pool_forget(&default_pool);
    forget_pool(&files);
    forget_pool(&names);
}

coir_i_constructor(2) static void add_module(void)
{
    static coir_i_module module = {start, stop, forked, NULL};
    coir_i_module_add(&module);
    coir_i_offload_install(coir_i_files_run);
}
