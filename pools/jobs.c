/* pools/jobs.c -- jobs of a process pool
 *
 * Does       run one job: a place, a worker, the result or how it died; and
 *            many: coir_process_pool_run, _each.
 * Does not   make or free pools: processes.c.
 * Locks      pool.lock (pools/process_pool.h, with the invariants)
 * Fails      a worker cannot be born: the job says why, the place is free.
 * Tests      test/test_processes.c, test_process_death.c, test_process_each.c,
 *            stress_processes.c */
#include <coir/nursery.h>

#include "fiber/current.h"
#include "pools/origin.h"
#include "pools/process_pool.h"
#include "sched/module.h"
#include "sched/sys.h"
#include "sched/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- One job ---- */

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
    if (rc >= 0 && coir_i_place_add_worker(pool, *process))
        coir_i_process_kill(*process);
    return rc;
}

/* The job did not come back DONE: the worker goes, its place is free. True:
 * because the pool ends. */
static bool replace(coir_process_pool *pool, coir_i_process *process)
{
    bool ending = coir_i_place_remove_worker(pool, process);
    coir_i_process_free(process);
    coir_i_place_give(pool, NULL);
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
        coir_i_place_give(pool, process);
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
        int rc = coir_i_place_await(pool, &process);
        if (rc < 0)
            return rc;
        rc = begin_job(pool, &process, job);
        if (rc < 0) {
            coir_i_place_give(pool, process);
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
    if (pool->generation != coir_i_process_generation())
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

static ssize_t run_of(coir_process_pool *pool, coir_job_fn *fn,
                      struct coir_i_job job)
{
    if (!pool || !fn || (job.size && !job.arg) || (job.capacity && !job.result))
        return -EINVAL;
    ssize_t n = coir_i_origin_find((uintptr_t)fn, &job.code);
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

ssize_t coir_process_pool_run(coir_process_pool *pool, coir_job_fn *fn,
                              const void *arg, size_t size, void *result,
                              size_t capacity)
{
    struct coir_i_job job = {{0}, arg, size, result, capacity};
    ssize_t n = coir_i_enter();
    if (n < 0)
        return n;
    /* A failure that says nothing more does not go with what was said of an
     * earlier one. */
    coir_i_life *life = coir_i_self()->life;
    int code = coir_i_life_message_begin(life);
    n = run_of(pool, fn, job);
    coir_i_life_message_end(life, code, (int)(n < 0 ? n : 0));
    return n;
}

/* ---- Many jobs ---- */

/* Several fibers take one job after another: as many as there are places, since
 * more would only wait in line. */
struct round {
    coir_nursery nursery;
    coir_process_pool *pool;
    coir_job_fn *fn;
    const char *args;
    size_t size;
    char *results;
    size_t capacity;
    ssize_t *sizes;
    size_t count;
    _Atomic(size_t) next;     /* who adds one to it has that job */
    _Atomic(bool) gave_it_up; /* a job has come to -ECANCELED by itself */
};

static ssize_t run_job_of(struct round *r, size_t i)
{
    const char *arg = r->size ? r->args + i * r->size : r->args;
    char *result = r->capacity ? r->results + i * r->capacity : r->results;
    ssize_t n = coir_process_pool_run(r->pool, r->fn, arg, r->size, result,
                                      r->capacity);
    if (r->sizes)
        r->sizes[i] = n;
    return n;
}

static int run_jobs(void *arg)
{
    struct round *r = arg;
    for (;;) {
        /* relaxed: it gives numbers away, and orders nothing. */
        size_t i = fetch_add_relaxed(&r->next, 1);
        if (i >= r->count)
            return 0;
        ssize_t n = run_job_of(r, i);
        if (n == -ECANCELED && coir_i_enter() < 0)
            return -ECANCELED;
        if (n < 0 && !r->sizes) {
            if (n == -ECANCELED) {
                /* relaxed: read when this fiber has ended. */
                store_relaxed(&r->gave_it_up, true);
                coir_nursery_cancel(&r->nursery);
            }
            return (int)n;
        }
    }
}

static int run_round(struct round *r)
{
    size_t fibers = r->count < r->pool->places ? r->count : r->pool->places;
    int rc = 0;
    coir_nursery_open(&r->nursery);
    for (size_t i = 0; i < fibers && rc >= 0; i++) {
        rc = coir_go(&r->nursery, run_jobs, r);
        if (rc < 0 && i > 0) { /* those that there are do all of it */
            rc = 0;
            break;
        }
    }
    rc = coir_nursery_close_with(&r->nursery, rc);
    /* relaxed: who wrote it has ended. */
    return rc == 0 && load_relaxed(&r->gave_it_up) ? -ECANCELED : rc;
}

int coir_process_pool_each(coir_process_pool *pool, coir_job_fn *fn,
                           const void *args, size_t size, void *results,
                           size_t capacity, ssize_t *sizes, size_t count)
{
    struct round r = {.pool = pool,
                      .fn = fn,
                      .args = args,
                      .size = size,
                      .results = results,
                      .capacity = capacity,
                      .sizes = sizes,
                      .count = count};
    int rc = coir_i_enter();
    for (size_t i = 0; sizes && i < count; i++)
        sizes[i] = -ECANCELED; /* until it has run */
    bool lacks = (size && !args) || (capacity && !results);
    if (rc >= 0 && (!pool || !fn || (count && lacks)))
        rc = -EINVAL;
    return rc < 0 ? rc : run_round(&r);
}
