/* sched/runtime.c -- from coir_run to its end
 *
 * Does       read the configuration; start modules, workers and the first
 *            fiber; wait for all; put everything back as it was.
 *
 *     coir_run: modules start -> workers start -> first fiber runs
 *               -> background cancelled, closed -> stopping -> workers join
 *               -> modules stop -> memory given back
 *
 * Invariants
 *   M1  one runtime a process: `runs` is taken by CAS.
 *   M2  in the child of a fork there is none, and its thread is no worker.
 *
 * Edges      runtime.runs, runtime.taken, runtime.outside
 * Fails      -EBUSY, -ENOMEM, -EAGAIN (no thread), -EINVAL.
 * Tests      test/test_run.c */
#include "sched/runtime.h"

#include "fiber/context.h"
#include "fiber/overflow.h"
#include "sched/choice.h"
#include "sched/chunk.h"
#include "sched/clock.h"
#include "sched/module.h"
#include "sched/monitor.h"
#include "sched/seat.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct coir_i_runtime coir_i_runtime;

static _Atomic(bool) taken; /* from before a runtime runs until it is gone */
static coir_i_module *modules;

/* ---- modules, and what they ask ---- */

void coir_i_module_add(coir_i_module *module)
{
    module->next = modules;
    modules = module;
}

/* Stop those before `end`. */
static void stop_modules(const coir_i_module *end)
{
    for (coir_i_module *m = modules; m != end; m = m->next)
        if (m->stop)
            m->stop();
}

static int start_modules(const coir_config *config)
{
    for (coir_i_module *m = modules; m; m = m->next) {
        int rc = m->start ? m->start(config) : 0;
        if (rc < 0) {
            stop_modules(m);
            return rc;
        }
    }
    return 0;
}

bool coir_i_runs(void)
{
    /* @observe runtime.runs: the runtime is set up. */
    return load_acquire(&coir_i_runtime.runs);
}

void coir_i_outside_begin(void)
{
    fetch_add_relaxed(&coir_i_runtime.outside, 1);
}

void coir_i_outside_end(void)
{
    /* @publish runtime.outside: the fiber that we have woken. */
    fetch_sub_release(&coir_i_runtime.outside, 1);
    /* @dekker runtime.outside: before it is read whether all sleep. */
    fence_seq_cst();
    coir_i_seat_tell();
}

/* ---- fork ---- */

void coir_i_forked(void)
{
    coir_i_current = NULL;
    coir_i_clock_stop();
    store_relaxed(&coir_i_runtime.runs, false);
    store_relaxed(&taken, false);
    store_relaxed(&coir_i_runtime.strangers, 0);
    coir_i_fibers_forked();
    coir_i_chunks_forked();
    coir_i_background_forked();
    for (coir_i_module *m = modules; m; m = m->next)
        if (m->forked)
            m->forked();
}

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, coir_i_forked);
}

/* ---- configuration ---- */

/* A number from the environment; 0 if there is none, or it is not one. */
static unsigned long long from_environment(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return 0;
    unsigned long long n = strtoull(text, &end, 10);
    return *end ? 0 : n;
}

static int complete(coir_config *config)
{
    if (!config->seed)
        config->seed = from_environment("COIR_SEED");
    if (config->seed) /* one thread plays them all */
        config->workers = 1;
    if (!config->workers) {
        unsigned long long n = from_environment("COIR_WORKERS");
        config->workers = n > UINT_MAX ? UINT_MAX : (unsigned)n;
    }
    if (!config->workers)
        config->workers = coir_i_sys_cpus();
    if (!config->stack_size)
        config->stack_size = from_environment("COIR_STACK_SIZE");
    if (!config->stack_size)
        config->stack_size = 256 << 10;
    if (!config->blocking_threads)
        config->blocking_threads = 64;
    /* A wheel's number stands in the low bits of a time. */
    return config->workers < 1U << COIR_I_TICK_BITS ? 0 : -EINVAL;
}

/* ---- workers ---- */

static int make_workers(unsigned count)
{
    coir_time now = coir_i_now();
    coir_i_worker *workers =
        aligned_alloc(_Alignof(coir_i_worker), count * sizeof *workers);
    struct coir_i_seen *seen = calloc((size_t)count * count, sizeof *seen);
    if (!workers || !seen) {
        free(workers);
        free(seen);
        return -ENOMEM;
    }
    memset(workers, 0, count * sizeof *workers);
    for (unsigned i = 0; i < count; i++) {
        coir_i_worker *w = &workers[i];
        w->id = i;
        w->alone = count == 1;
        w->seed = i * 2654435761U + 1;
        w->seen = seen + (size_t)i * count;
        coir_i_wheel_init(&w->wheel, i, now);
        coir_i_pick_init(w);
    }
    coir_i_runtime.workers = workers;
    coir_i_runtime.count = count;
    return 0;
}

static void drop_workers(void)
{
    for (unsigned i = 0; i < coir_i_runtime.count; i++)
        coir_i_wheel_clear(&coir_i_runtime.workers[i].wheel);
    coir_i_fibers_stop();
    coir_i_chunks_stop();
    free(coir_i_runtime.workers[0].seen);
    free(coir_i_runtime.workers);
    coir_i_runtime.workers = NULL;
    coir_i_runtime.count = 0;
}

static void enter_thread(coir_i_worker *w)
{
    coir_i_thread_init(&w->thread);
    /* Without memory for another stack an overflow is a plain SIGSEGV. */
    w->reports_overflow = coir_i_overflow_thread_start(&w->thread) == 0;
    coir_i_sys_sharp_timers();
}

static void leave_thread(coir_i_worker *w)
{
    if (w->reports_overflow)
        coir_i_overflow_thread_end(&w->thread);
    coir_i_thread_end(&w->thread);
}

static void *run_worker(void *arg)
{
    coir_i_worker *w = arg;
    enter_thread(w);
    coir_i_sys_thread_name("coir", w->id);
    coir_i_work(w);
    leave_thread(w);
    return NULL;
}

static void stop_working(void)
{
    store_relaxed(&coir_i_runtime.stopping, true);
    /* @dekker idle.sleep: a worker that goes to sleep looks at it. */
    fence_seq_cst();
    coir_i_wake_all();
}

static void join_threads(unsigned end)
{
    for (unsigned i = 1; i < end; i++)
        pthread_join(coir_i_runtime.workers[i].pthread, NULL);
}

/* All, or none. */
static int start_threads(void)
{
    for (unsigned i = 1; i < coir_i_runtime.count; i++) {
        coir_i_worker *w = &coir_i_runtime.workers[i];
        int error = pthread_create(&w->pthread, NULL, run_worker, w);
        if (error) {
            stop_working();
            join_threads(i);
            return -error;
        }
    }
    return 0;
}

/* ---- the first fiber ---- */

struct first {
    coir_fn *body;
    void *arg;
    int rc;
};

static int run_first(void *arg)
{
    struct first *first = arg;
    coir_i_fiber *f = coir_i_worker_here()->thread.running;
    coir_i_nursery *n = coir_i_nursery_of(&coir_i_background);
    coir_i_life life;
    coir_i_life_begin(&life, coir_i_new_id(coir_i_worker_here()));
    life.outer = NULL;
    f->life = &life;
    f->scope = NULL;
    f->nursery = NULL;
    f->stack->runs_in = NULL;
    f->stack->openings = NULL;
    store_relaxed(&f->stack->listed, false);
    f->stack->scope_until = COIR_NEVER;
    store_relaxed(&f->checked, 0);

    coir_nursery_open(&coir_i_background);
    coir_nursery_keep_going(&coir_i_background);
    coir_i_background_accept(true);
    first->rc = first->body(first->arg);
    coir_i_locals_end(&life);
    coir_i_check_left_behind(f, &n->scope, n, 0);
    coir_i_background_accept(false);
    coir_nursery_cancel(&coir_i_background);
    int rc = coir_nursery_close(&coir_i_background);
    (void)rc; /* background failures are reported one by one */
    if (first->rc >= 0 && coir_i_background_result() < 0)
        first->rc = coir_i_background_result();

    f->life = NULL;
    store_relaxed(&f->deadline, COIR_NEVER);
    stop_working();
    return 0;
}

/* The calling thread is worker 0 until every fiber has ended. */
static int run_all(struct first *first)
{
    coir_i_worker *w = &coir_i_runtime.workers[0];
    coir_i_taken child = {{run_first, first, NULL}, NULL};
    enter_thread(w);
    int rc = coir_i_fibers_at_hand(w) ? start_threads() : -ENOMEM;
    if (rc == 0 && (rc = coir_i_monitor_start()) < 0) {
        stop_working();
        join_threads(coir_i_runtime.count);
    }
    if (rc == 0) {
        coir_i_run(w, coir_i_fibers_bind(w, &child), &child, NULL);
        coir_i_work(w);
        join_threads(coir_i_runtime.count);
        coir_i_monitor_stop();
        rc = first->rc;
    }
    leave_thread(w);
    return rc;
}

static int start(const coir_config *config)
{
    coir_i_clock_start(config->virtual_clock, config->seed != 0);
    coir_i_fibers_start(config->stack_size);
    coir_i_global_start();
    coir_i_idle_start();
    coir_i_seat_start();
    store_relaxed(&coir_i_runtime.stopping, false);
    store_relaxed(&coir_i_runtime.outside, 0);
    store_relaxed(&coir_i_runtime.peak, 0);
    int rc = make_workers(config->workers);
    if (rc < 0)
        coir_i_clock_stop();
    else
        coir_i_choice_start(config->seed);
    return rc;
}

static int run(const coir_config *config, struct first *first)
{
    int rc = start_modules(config);
    if (rc < 0)
        return rc;
    if ((rc = coir_i_overflow_start()) < 0)
        goto modules;
    if ((rc = start(config)) < 0)
        goto overflow;
    /* @publish runtime.runs: the runtime is set up. */
    store_release(&coir_i_runtime.runs, true);
    rc = run_all(first);
    /* @dekker runtime.strangers: no more of them; then, who is still there.
     * @observe runtime.strangers: those who were have gone. */
    store_seq_cst(&coir_i_runtime.runs, false);
    while (load_seq_cst(&coir_i_runtime.strangers))
        sched_yield(); /* for a few instructions of theirs */
    stop_modules(NULL);
    drop_workers();
    coir_i_overflow_stop();
    coir_i_clock_stop();
    return rc;
overflow:
    coir_i_overflow_stop();
modules:
    stop_modules(NULL);
    return rc;
}

int coir_run_with(const coir_config *config_or_null, coir_fn *body, void *arg)
{
    coir_config config = config_or_null ? *config_or_null : (coir_config){0};
    struct first first = {body, arg, 0};
    bool no = false;
    int rc = complete(&config);
    if (rc < 0)
        return rc;
    pthread_once(&fork_once, watch_forks);
    /* @observe runtime.taken: what the last runtime left. */
    if (!cas_acquire(&taken, &no, true))
        return -EBUSY;
    rc = run(&config, &first);
    /* @publish runtime.taken: all is as it was. */
    store_release(&taken, false);
    return rc;
}

int coir_run(coir_fn *body, void *arg)
{
    return coir_run_with(NULL, body, arg);
}
