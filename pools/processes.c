/* pools/processes.c -- pools of worker processes
 *
 * Does       match jobs and workers: coir_process_pool_new, _run, _free; start
 *            and end the zygote with the runtime.
 *
 * A job needs a *place* in its pool, of which there are as many as workers are
 * allowed. A place has an idle worker in it or none yet; then the job's own
 * fiber has one born. Who finds no place free waits in line, and places are
 * handed to those in line before anybody else gets one.
 * Invariants
 *   Q1  places = busy + idle workers + free places without one.
 *   Q2  nobody is in line while a place is free.
 *   Q3  a worker goes to another job only if its last one came back DONE.
 *   Q4  while `callers` > 0 the pool is not freed.
 * Locks      pools.lock > pool.lock; nobody is woken under either.
 * Fails      a worker cannot be born: the job says why, the place is free.
 * Tests      test/test_processes.c, test/stress_processes.c */
#include <coir/processes.h>

#include "fiber/current.h"
#include "pools/origin.h"
#include "pools/process.h"
#include "sched/lock.h"
#include "sched/module.h"
#include "sched/park.h"
#include "sched/sys.h"
#include "sched/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ENDING = COIR_I_OWN /* why a wait in line ended: the pool ends */ };

/* A fiber in line, on its stack. */
struct waiter {
    struct waiter *next, **prev; /* pool.lock; prev NULL: not in line */
    coir_i_ticket ticket;        /* const */
    coir_i_process *process;     /* what it is given, before it is woken */
};

struct coir_process_pool {
    coir_process_pool_config config; /* const; init_arg is a copy of ours */
    uint64_t generation;             /* const: of the process that made it */
    coir_process_pool *next, **prev; /* pools.lock */

    coir_i_mutex lock;            /* of all that follows */
    struct waiter *first, **last; /* in line */
    coir_i_process *all;          /* every worker that lives */
    coir_i_process *idle;         /* those without a job, last in first out */
    unsigned empty;               /* free places without a worker */
    unsigned callers;             /* of coir_process_pool_run */
    bool freeing;                 /* no new callers */
    bool ending;                  /* those that there are get -EPIPE */
    coir_i_ticket freer;    /* whom the last caller wakes, if a fiber frees */
    _Atomic(uint32_t) gone; /* or who sleeps on this */
};

/* Every pool, so that no worker outlives the runtime. */
static struct {
    coir_i_mutex lock;
    coir_process_pool *first; /* pools.lock */
    uint64_t generation;      /* forks of this process, written in the child */
} pools;

/* ---- Places ---- */

static void join_line(coir_process_pool *pool, struct waiter *me)
{
    me->next = NULL;
    me->prev = pool->last;
    *pool->last = me;
    pool->last = &me->next;
}

static void leave_line(coir_process_pool *pool, struct waiter *waiter)
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

/* Give a place back, with its worker or without: to the first in line who
 * still waits for it, else to the pool. */
static void give_place(coir_process_pool *pool, coir_i_process *process)
{
    coir_i_ticket ticket;
    do {
        coir_i_mutex_lock(&pool->lock);
        struct waiter *waiter = pool->first;
        if (waiter) {
            leave_line(pool, waiter);
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
static const coir_i_wait awaits_jobs = {.what = "jobs of a pool"};

/* [parks] 0; -ECANCELED; -EPIPE: the pool ends. */
static int await_place(coir_process_pool *pool, coir_i_process **ret_process)
{
    struct waiter me = {.ticket = coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE,
                                             &waits_for_place, pool)};
    coir_i_mutex_lock(&pool->lock);
    bool ending = pool->ending;
    bool taken = !ending && take_place(pool, &me.process);
    if (!ending && !taken)
        join_line(pool, &me);
    coir_i_mutex_unlock(&pool->lock);
    if (ending || taken)
        coir_i_wake(me.ticket, ending ? ENDING : COIR_I_WOKEN);
    unsigned reason = coir_i_park();
    if (reason == COIR_I_WOKEN) {
        *ret_process = me.process;
        return 0;
    }
    coir_i_mutex_lock(&pool->lock);
    if (me.prev)
        leave_line(pool, &me);
    coir_i_mutex_unlock(&pool->lock);
    if (taken)
        give_place(pool, me.process);
    return reason == ENDING ? -EPIPE : -ECANCELED;
}

/* ---- One job ---- */

/* True: the pool ends, and so does the new worker. */
static bool add_worker(coir_process_pool *pool, coir_i_process *process)
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

/* True: the pool ends. */
static bool remove_worker(coir_process_pool *pool, coir_i_process *process)
{
    coir_i_mutex_lock(&pool->lock);
    *process->prev = process->next;
    if (process->next)
        process->next->prev = process->prev;
    bool ending = pool->ending;
    coir_i_mutex_unlock(&pool->lock);
    return ending;
}

/* The place has a worker with the job in it, or the job is refused. */
static int begin_job(coir_process_pool *pool, coir_i_process **process,
                     const struct coir_i_job *job)
{
    if (*process)
        return coir_i_process_ask(*process, job);
    const coir_process_pool_config *config = &pool->config;
    struct coir_i_init init = {{0}, config->init_arg, config->init_size};
    struct coir_i_birth birth = {.memory_limit = config->memory_limit};
    int rc = config->init
                 ? coir_i_origin_find((uintptr_t)config->init, &init.code)
                 : 0;
    if (rc < 0)
        return rc;
    strncpy(birth.name, config->name ? config->name : "coir-worker",
            sizeof birth.name - 1);
    rc = coir_i_process_new(process, &birth, &init, job);
    free(init.code.path);
    if (rc >= 0 && add_worker(pool, *process))
        coir_i_process_kill(*process);
    return rc;
}

/* The job did not come back DONE: the worker goes, its place is free. True:
 * because the pool ends. */
static bool replace(coir_process_pool *pool, coir_i_process *process)
{
    bool ending = remove_worker(pool, process);
    coir_i_process_free(process);
    give_place(pool, NULL);
    return ending;
}

static ssize_t take_result(coir_process_pool *pool, coir_i_process *process,
                           const struct coir_i_job *job)
{
    unsigned most = pool->config.jobs_per_worker;
    ssize_t n = coir_i_process_take(process, job);
    if (coir_i_process_is_unfit(process) || (most && process->jobs >= most))
        replace(pool, process);
    else
        give_place(pool, process);
    return n;
}

/* The worker died, with or without the job. -EAGAIN: the job is as good as
 * new. */
static int settle_death(coir_process_pool *pool, coir_i_process *process)
{
    int rc = -EAGAIN;
    bool begun = coir_i_process_had_begun(process);
    if (begun)
        rc = coir_i_process_tell_end(process);
    return replace(pool, process) ? -EPIPE : rc;
}

static ssize_t run_job(coir_process_pool *pool, const struct coir_i_job *job)
{
    for (;;) {
        coir_i_process *process = NULL;
        int rc = await_place(pool, &process);
        if (rc < 0)
            return rc;
        rc = begin_job(pool, &process, job);
        if (rc < 0) {
            give_place(pool, process);
            return rc;
        }
        rc = coir_i_process_await(process);
        if (rc >= 0)
            return take_result(pool, process, job);
        if (rc == -EOWNERDEAD)
            rc = settle_death(pool, process);
        else if (replace(pool, process))
            rc = -EPIPE;
        if (rc != -EAGAIN)
            return rc;
    }
}

/* ---- Callers ---- */

static int enter_pool(coir_process_pool *pool)
{
    if (pool->generation != pools.generation)
        return -EPERM; /* it is our parent's */
    coir_i_mutex_lock(&pool->lock);
    bool freeing = pool->freeing;
    pool->callers += !freeing;
    coir_i_mutex_unlock(&pool->lock);
    return freeing ? -EPIPE : 0;
}

/* The last act on the pool, which may be gone after it. */
static void leave_pool(coir_process_pool *pool)
{
    coir_i_mutex_lock(&pool->lock);
    bool last = --pool->callers == 0 && pool->freeing;
    coir_i_ticket freer = pool->freer;
    if (last)
        /* relaxed: under the lock. */
        store_relaxed(&pool->gone, 1);
    coir_i_mutex_unlock(&pool->lock);
    if (last && freer.fiber)
        coir_i_wake(freer, COIR_I_WOKEN);
    else if (last)
        coir_i_futex_wake(&pool->gone, 1);
}

ssize_t coir_process_pool_run(coir_process_pool *pool, coir_job_fn *fn,
                              const void *arg, size_t size, void *result,
                              size_t capacity)
{
    struct coir_i_job job = {{0}, arg, size, result, capacity};
    ssize_t n = coir_i_enter();
    if (n < 0)
        return n;
    if (!pool || !fn || (size && !arg) || (capacity && !result))
        return -EINVAL;
    n = coir_i_origin_find((uintptr_t)fn, &job.code);
    if (n >= 0)
        n = enter_pool(pool);
    if (n >= 0) {
        coir_i_count_up(&coir_i_worker_here()->counts.jobs);
        coir_i_outside_begin();
        n = run_job(pool, &job);
        coir_i_outside_end();
        leave_pool(pool);
    }
    free(job.code.path);
    return n;
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
    pool->empty = config->workers ? config->workers : coir_i_sys_cpus();
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
    struct waiter *waiter;
    while ((waiter = pool->first) != NULL) {
        coir_i_ticket ticket = waiter->ticket;
        leave_line(pool, waiter);
        coir_i_mutex_unlock(&pool->lock);
        coir_i_wake(ticket, ENDING);
        coir_i_mutex_lock(&pool->lock);
    }
    coir_i_mutex_unlock(&pool->lock);
}

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
        remove_worker(pool, process);
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
