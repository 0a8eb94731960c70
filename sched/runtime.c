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
#include "sched/census.h"
#include "sched/choice.h"
#include "sched/chunk.h"
#include "sched/clock.h"
#include "sched/deadlock.h"
#include "sched/module.h"
#include "sched/monitor.h"
#include "sched/seat.h"
#include "sched/spare.h"
#include "sched/trace.h"

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

bool coir_i_is_forked(void)
{
    /* relaxed: it was written before fork returned. */
    return load_relaxed(&coir_i_runtime.forked);
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

bool coir_i_outside_wake(coir_i_ticket ticket, unsigned reason)
{
    /* relaxed: who waits is woken after it, and the runtime ends after it. */
    fetch_add_relaxed(&coir_i_runtime.strangers, 1);
    bool woken = coir_i_wake(ticket, reason);
    coir_i_outside_end();
    /* @publish runtime.strangers: our last access to the workers. */
    fetch_sub_release(&coir_i_runtime.strangers, 1);
    return woken;
}

/* ---- fork ---- */

void coir_i_forked(void)
{
    coir_i_current = NULL;
    coir_i_clock_stop();
    store_relaxed(&coir_i_runtime.forked, true);
    store_relaxed(&coir_i_runtime.runs, false);
    store_relaxed(&taken, false);
    store_relaxed(&coir_i_runtime.strangers, 0);
    coir_i_foreign_forked();
    coir_i_fibers_forked();
    coir_i_chunks_forked();
    coir_i_background_forked();
    coir_i_census_forked();
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
    return config->workers < (1U << COIR_I_TICK_BITS) - COIR_I_SPARES ? 0
                                                                      : -EINVAL;
}

/* ---- workers ---- */

bool coir_i_worker_make(unsigned id)
{
    coir_i_worker *w = &coir_i_runtime.workers[id];
    memset(w, 0, sizeof *w);
    w->seen =
        calloc(coir_i_runtime.configured + COIR_I_SPARES, sizeof *w->seen);
    if (!w->seen)
        return false;
    w->id = id;
    w->choices = coir_i_ticks() + id; /* or from the seed, at the start */
    w->choices = coir_i_ticks() + id;
    coir_i_wheel_init(&w->wheel, id, coir_i_now());
    coir_i_pick_init(w);
    return true;
}

void coir_i_worker_drop(coir_i_worker *w)
{
    free(w->seen);
    w->seen = NULL;
}

static void drop_workers(void)
{
    unsigned count = coir_i_worker_count();
    for (unsigned i = 0; i < count; i++)
        coir_i_wheel_clear(&coir_i_runtime.workers[i].wheel);
    coir_i_fibers_stop();
    coir_i_chunks_stop();
    for (unsigned i = 0; i < count; i++)
        coir_i_worker_drop(&coir_i_runtime.workers[i]);
    free(coir_i_runtime.workers);
    coir_i_runtime.workers = NULL;
    /* relaxed, like below: no other worker runs. */
    store_relaxed(&coir_i_runtime.count, 0);
}

/* Memory for the spares, too, which costs nothing until it is touched. */
static int make_workers(unsigned count)
{
    size_t room = (size_t)count + COIR_I_SPARES;
    coir_i_worker *workers =
        aligned_alloc(_Alignof(coir_i_worker), room * sizeof *workers);
    if (!workers)
        return -ENOMEM;
    coir_i_runtime.workers = workers;
    coir_i_runtime.configured = count;
    for (unsigned i = 0; i < count; i++) {
        bool made = coir_i_worker_make(i);
        store_relaxed(&coir_i_runtime.count, made ? i + 1 : i);
        if (!made) {
            drop_workers();
            return -ENOMEM;
        }
    }
    if (count == 1 && coir_i_sys_can_fence_all()) {
        store_relaxed(&workers->ring.bias.on, COIR_I_MINE);
        store_relaxed(&workers->nest.bias.on, COIR_I_MINE);
    }
    return 0;
}

static void enter_thread(coir_i_worker *w)
{
    coir_i_own_threads_add(1);
    coir_i_thread_init(&w->thread);
    /* Without memory for another stack an overflow is a plain SIGSEGV. */
    w->reports_overflow = coir_i_overflow_thread_start(&w->thread) == 0;
    coir_i_sys_sharp_timers();
    /* relaxed: whoever sees none lets it be. */
    store_relaxed(&w->tid, coir_i_sys_thread_id());
}

static void leave_thread(coir_i_worker *w)
{
    if (w->reports_overflow)
        coir_i_overflow_thread_end(&w->thread);
    coir_i_thread_end(&w->thread);
    coir_i_own_threads_add(-1);
}

static void *run_worker(void *arg)
{
    coir_i_worker *w = arg;
    enter_thread(w);
    coir_i_sys_thread_name("coir", w->id);
    if (w->id < coir_i_runtime.configured) {
        coir_i_work(w);
    } else {
        coir_i_spare_enter();
        coir_i_stand_in(w);
    }
    leave_thread(w);
    return NULL;
}

int coir_i_worker_start(coir_i_worker *w)
{
    return pthread_create(&w->pthread, NULL, run_worker, w);
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
    for (unsigned i = 1; i < coir_i_runtime.configured; i++) {
        int error = coir_i_worker_start(&coir_i_runtime.workers[i]);
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
    coir_i_census_begin(f);
    if (coir_i_traces())
        coir_i_trace_begin(&life);
    first->rc = first->body(first->arg);
    coir_i_locals_end(&life);
    coir_i_check_left_behind(f, &n->scope, n, 0);
    coir_i_background_accept(false);
    coir_nursery_cancel(&coir_i_background);
    int rc = coir_nursery_close(&coir_i_background);
    (void)rc; /* background failures are reported one by one */
    if (first->rc >= 0 && coir_i_background_result() < 0)
        first->rc = coir_i_background_result();

    coir_i_census_end();
    if (coir_i_traces())
        coir_i_trace_end(&life);
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
    w->pthread = pthread_self();
    int rc = coir_i_fibers_at_hand(w) ? start_threads() : -ENOMEM;
    if (rc == 0 && (rc = coir_i_monitor_start()) < 0) {
        stop_working();
        join_threads(coir_i_worker_count());
    }
    if (rc == 0) {
        coir_i_run(w, coir_i_fibers_bind(w, &child), &child, NULL);
        coir_i_work(w);
        coir_i_monitor_stop(); /* first: it may be starting one */
        join_threads(coir_i_worker_count());
        rc = coir_i_deadlock_happened() ? -EDEADLK : first->rc;
    }
    leave_thread(w);
    return rc;
}

static int start(const coir_config *config)
{
    coir_i_clock_start(config->virtual_clock, config->seed != 0);
    coir_i_fibers_start(config->stack_size);
    coir_i_global_start();
    coir_i_idle_start(config->workers);
    coir_i_deadlock_start();
    coir_i_seat_start();
    store_relaxed(&coir_i_runtime.stopping, false);
    store_relaxed(&coir_i_runtime.outside, 0);
    store_relaxed(&coir_i_runtime.peak, 0);
    int rc = make_workers(config->workers);
    if (rc < 0) {
        coir_i_clock_stop();
    } else {
        coir_i_spare_start();
        coir_i_choice_start(config->seed);
    }
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
    store_relaxed(&coir_i_runtime.forked, false);
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
