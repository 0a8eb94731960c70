/* sched/monitor.c -- a thread that looks after workers stuck in one fiber
 *
 * A worker looks around between fibers. While it is in one that computes for
 * long, it cannot see to the poller, to timers, or to the fiber that it woken
 * and meant to run next; and those who sleep beside it were not told, since
 * telling them each time costs more than what they would do. So every 10 ms
 * this thread looks whether there is such a worker, and wakes one that sleeps.
 *
 * It sleeps while all workers do, and is not there if there is one only.
 *
 * Invariants
 *   O1  it announces its sleep and then looks at idle.state; a worker changes
 *       idle.state and then looks whether the monitor sleeps.
 *
 * Edges      monitor.sleeps (dekker)
 * Fails      coir_i_monitor_start: what pthread_create said.
 * Tests      test/test_monitor.c */
#include "sched/monitor.h"

#include "fiber/invariant.h"
#include "sched/clock.h"
#include "sched/runtime.h"
#include "sched/seat.h"
#include "sched/sys.h"

#include <errno.h>
#include <stdlib.h>

static const coir_time TICK = 10000000;
static const coir_time OVERDUE = 1000000;

_Atomic(uint32_t) coir_i_monitor_sleeps;

static struct {
    pthread_t thread;
    bool runs;
    _Atomic(uint32_t) stop;
    uint64_t *switches; /* of each worker, at the last tick */
} monitor;

/* Who sleeps says so in idle.state; who watches looks anyway. */
static bool somebody_could_help(void)
{
    uint64_t state = load_relaxed(&coir_i_idle_state);
    return (uint32_t)state && state < COIR_I_WATCHER;
}

static bool all_sleep(void)
{
    /* @dekker monitor.sleeps: after the sleep was announced. */
    return (uint32_t)load_seq_cst(&coir_i_idle_state) == coir_i_runtime.count;
}

static bool is_stuck(unsigned i)
{
    uint64_t *before = &monitor.switches[i];
    uint64_t now = load_relaxed(&coir_i_runtime.workers[i].counts.switches);
    bool same = now == *before;
    *before = now;
    return same;
}

static bool has_left_work(coir_i_worker *v, coir_time now)
{
    return coir_i_ring_length(&v->ring) || load_relaxed(&v->next) ||
           coir_i_nest_waiting(&v->nest) ||
           load_relaxed(&v->wheel.next) < now - OVERDUE;
}

/* Is anything left undone because a worker is stuck? */
static bool is_help_wanted(void)
{
    coir_time now = coir_i_sys_now();
    bool stuck = false, left = false;
    for (unsigned i = 0; i < coir_i_runtime.count; i++) {
        stuck |=
            is_stuck(i) && !load_relaxed(&coir_i_runtime.workers[i].asleep);
        left |= has_left_work(&coir_i_runtime.workers[i], now);
    }
    return stuck && (left || coir_i_seat_empty() || !coir_i_global_empty());
}

static void sleep_while_all_sleep(void)
{
    /* @dekker monitor.sleeps: before idle.state is read. */
    store_seq_cst(&coir_i_monitor_sleeps, 1);
    if (all_sleep() && !load_relaxed(&monitor.stop))
        coir_i_futex_wait(&coir_i_monitor_sleeps, 1, COIR_NEVER);
    store_relaxed(&coir_i_monitor_sleeps, 0);
}

static void *watch(void *arg)
{
    (void)arg;
    coir_i_sys_thread_name("coir-monitor", 0);
    coir_i_sys_no_signals(); /* they are for threads that run user code */
    for (bool idle = false; !load_relaxed(&monitor.stop);) {
        if (idle)
            sleep_while_all_sleep();
        coir_i_futex_wait(&monitor.stop, 0, coir_i_sys_now() + TICK);
        idle = all_sleep();
        coir_i_clock_note(coir_i_now());
        if (is_help_wanted() && somebody_could_help())
            coir_i_wake_worker_slow();
    }
    return NULL;
}

void coir_i_monitor_wake_slow(void)
{
    store_relaxed(&coir_i_monitor_sleeps, 0);
    coir_i_futex_wake(&coir_i_monitor_sleeps, 1);
}

int coir_i_monitor_start(void)
{
    unsigned count = coir_i_runtime.count;
    store_relaxed(&monitor.stop, 0);
    store_relaxed(&coir_i_monitor_sleeps, 0);
    monitor.runs = false;
    if (count == 1)
        return 0;
    free(monitor.switches); /* in the child of a fork: the parent's */
    monitor.switches = calloc(count, sizeof *monitor.switches);
    int error = !monitor.switches
                    ? ENOMEM
                    : pthread_create(&monitor.thread, NULL, watch, NULL);
    if (error) {
        free(monitor.switches);
        monitor.switches = NULL;
        return -error;
    }
    monitor.runs = true;
    return 0;
}

void coir_i_monitor_stop(void)
{
    if (!monitor.runs)
        return;
    store_relaxed(&monitor.stop, 1);
    coir_i_futex_wake(&monitor.stop, 1);
    coir_i_monitor_wake_slow();
    pthread_join(monitor.thread, NULL);
    free(monitor.switches);
    monitor.switches = NULL;
    monitor.runs = false;
}
