/* sched/monitor.c -- a thread that looks after workers stuck in one fiber
 *
 * A worker looks around between fibers. While it is in one that computes for
 * long, or blocks in a system call, it cannot see to the poller, to timers, or
 * to what is ready on it; and those who sleep beside it were not told of the
 * fiber that it meant to run next, since telling them each time costs more than
 * what they would do. So every 10 ms this thread looks whether there is such a
 * worker, with work waiting: it wakes one that sleeps, or hires a spare one
 * (sched/spare.c), and puts what is left behind where others find it.
 *
 * A worker is *stuck* when from one tick to the next it has neither switched,
 * ended a child nor looked around. It is *blocked* if it hardly ran and the
 * kernel says that it sleeps, and *computes* if it has used some 5 ms of CPU in
 * this fiber: one that waits for a CPU is neither, and another thread would not
 * help it. How many workers shall be active:
 *
 *     those that are blocked, and as many as were configured; or one more than
 *     those that compute, if that is more
 *
 * For the k-th worker above what was configured all must have computed k + 1
 * times as long: it helps who waits, if there is a CPU, but many of them help
 * nobody. Spares beyond that number sit down again.
 *
 * It sleeps while all workers do.
 *
 * Invariants
 *   O1  it announces its sleep and then looks at idle.state; a worker changes
 *       idle.state and then looks whether the monitor sleeps.
 *   O2  while it has fibers in its hands it counts as a call that is outside:
 *       they are in no queue, their worker may have come back, and all may
 *       sleep; that is no deadlock, nor may virtual time jump.
 *
 * Edges      monitor.sleeps (dekker), idle.sleep (dekker: what it put back)
 * Fails      coir_i_monitor_start: what pthread_create said, unless there is
 *            one worker: then nobody is relieved.
 * Tests      test/test_monitor.c, test/test_spare.c,
 *            test/models/monitor.pml */
#include "sched/monitor.h"

#include "fiber/invariant.h"
#include "sched/choice.h"
#include "sched/clock.h"
#include "sched/deadlock.h"
#include "sched/module.h"
#include "sched/runtime.h"
#include "sched/seat.h"
#include "sched/spare.h"
#include "sched/sys.h"

#include <errno.h>
#include <stdlib.h>

static const coir_time TICK = 10000000;
static const coir_time OVERDUE = 1000000;
static const coir_time COMPUTES = 5000000, HARDLY = 2500000; /* of CPU */

_Atomic(uint32_t) coir_i_monitor_sleeps;
_Atomic(uint32_t) coir_i_monitor_left;

/* What a tick saw of a worker. */
struct look {
    uint64_t progress;
    coir_time began, cpu; /* of its thread's CPU time: this progress; now */
    bool is_stuck, ran, is_blocked;
};

static struct {
    pthread_t thread;
    bool runs;
    _Atomic(uint32_t) stop;
    struct look *looks; /* a worker, spares too */
    unsigned next_left; /* whose children are given away next */
} monitor;

static bool all_sleep(void)
{
    /* @dekker monitor.sleeps: after the sleep was announced. */
    return coir_i_idle_all_sleep(load_seq_cst(&coir_i_idle_state));
}

/* ---- who is stuck ---- */

static void look_at(struct look *look, coir_i_worker *w)
{
    struct coir_i_counts *counts = &w->counts;
    uint64_t progress = load_relaxed(&counts->switches) +
                        load_relaxed(&counts->ended) +
                        load_relaxed(&counts->looks);
    bool rests = load_relaxed(&w->asleep) || load_relaxed(&w->benched) ||
                 !load_relaxed(&w->tid);
    coir_time cpu = rests ? 0 : coir_i_sys_thread_cpu(w->pthread);
    look->ran = cpu - look->cpu >= HARDLY;
    look->cpu = cpu;
    look->is_stuck = !rests && progress == look->progress;
    if (!look->is_stuck) {
        look->progress = rests ? UINT64_MAX : progress;
        look->began = cpu;
        look->is_blocked = false;
    }
}

struct tally {
    unsigned active, blocked, computing;
    coir_time least; /* CPU time of the one that computes for shortest */
};

static struct tally count_up(void)
{
    uint64_t state = load_relaxed(&coir_i_idle_state);
    struct tally tally = {.active = coir_i_idle_active(state),
                          .least = COIR_NEVER};
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        struct look *look = &monitor.looks[i];
        coir_i_worker *w = &coir_i_runtime.workers[i];
        if (!look->is_stuck)
            continue;
        if (look->ran)
            look->is_blocked = false;
        else if (!look->is_blocked)
            look->is_blocked = coir_i_sys_thread_sleeps(load_relaxed(&w->tid));
        coir_time used = look->cpu - look->began;
        if (look->is_blocked) {
            tally.blocked++;
        } else if (used >= COMPUTES) {
            tally.computing++;
            tally.least = used < tally.least ? used : tally.least;
        }
    }
    return tally;
}

/* ---- what is left undone ---- */

static bool has_left_work(coir_i_worker *v, coir_time now)
{
    return coir_i_ring_length(&v->ring) || load_relaxed(&v->next) ||
           coir_i_nest_waiting(&v->nest) ||
           load_relaxed(&v->wheel.next) < now - OVERDUE;
}

/* Nobody looks at the poller, and somebody waits for what it would tell. */
static bool is_poller_left(void)
{
    uint64_t waits = 0;
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        struct coir_i_counts *counts = &coir_i_runtime.workers[i].counts;
        waits += load_relaxed(&counts->outside_begun) -
                 load_relaxed(&counts->outside_ended);
    }
    return waits && coir_i_seat_empty();
}

static bool is_work_left(void)
{
    coir_time now = coir_i_now();
    for (unsigned i = 0; i < coir_i_worker_count(); i++)
        if (has_left_work(&coir_i_runtime.workers[i], now))
            return true;
    return !coir_i_global_empty() || coir_i_runtime_has_starts() ||
           is_poller_left();
}

/* Those who steal do so only when they have nothing else to do, which may be
 * never; but everyone looks at the global queue in time. */
static void put_back(coir_i_worker *w)
{
    coir_i_fiber *first, *last;
    if (!coir_i_ring_length(&w->ring) && !load_relaxed(&w->next))
        return;
    coir_i_outside_begin(); /* O2 */
    unsigned count = coir_i_ring_evict(&w->ring, &first, &last);
    if (count)
        coir_i_global_put(first, last, count);
    /* @observe ready.next: the fiber. */
    coir_i_fiber *next = exchange_acquire(&w->next, NULL);
    if (next)
        coir_i_global_put(next, next, 1);
    if (count || next) {
        /* @dekker idle.sleep: they are in the global queue. */
        fence_seq_cst();
        coir_i_wake_worker();
    }
    coir_i_outside_end();
}

/* Fibers that are ready behind who is stuck go to all; of children that wait
 * there, or with a spare that has sat down, it is said whose they are. */
static void give_away(void)
{
    unsigned count = coir_i_worker_count(), left = 0;
    if (count == 1) /* it has a bias, and there is nobody to give to */
        return;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (monitor.next_left + i) % count;
        coir_i_worker *w = &coir_i_runtime.workers[at];
        if (monitor.looks[at].is_stuck)
            put_back(w);
        else if (!load_relaxed(&w->benched))
            continue;
        if (!left && coir_i_nest_waiting(&w->nest))
            left = at + 1;
    }
    monitor.next_left = left;
    store_relaxed(&coir_i_monitor_left, left);
}

__attribute__((cold, noinline)) void coir_i_monitor_take_left(coir_i_worker *w)
{
    uint32_t left = load_relaxed(&coir_i_monitor_left);
    /* The count first: it publishes who is counted. */
    bool is_there = left && left <= coir_i_worker_count();
    coir_i_worker *v = is_there ? &coir_i_runtime.workers[left - 1] : w;
    if (v != w && coir_i_fibers_at_hand(w) && !coir_i_nest_steal(w, v))
        cas_relaxed(&coir_i_monitor_left, &left,
                    0); /* a hint, like all of it */
}

/* ---- help ---- */

/* Nobody sleeps who could be woken, and nobody watches. */
static void hire(const struct tally *tally)
{
    unsigned configured = coir_i_runtime.configured;
    unsigned run = tally->active, more = 1;
    run -= tally->blocked < run ? tally->blocked : run;
    if (run < configured)
        more = configured - run;
    else if (tally->least < (coir_time)(1 + run - configured) * COMPUTES)
        return;
    while (more-- > 0 && coir_i_spare_hire())
        ;
}

static void help(bool is_any_stuck)
{
    uint64_t state = load_relaxed(&coir_i_idle_state);
    unsigned configured = coir_i_runtime.configured;
    bool left = is_any_stuck && is_work_left();
    if (left && coir_i_idle_unwatched(state))
        coir_i_wake_worker_slow();
    left = left && !coir_i_idle_sleepers(state) && state < COIR_I_WATCHER;
    if (!left && coir_i_idle_active(state) <= configured)
        return;
    struct tally tally = count_up();
    unsigned wanted = tally.computing ? tally.computing + 1 : 0;
    wanted = tally.blocked + (wanted > configured ? wanted : configured);
    coir_i_spare_allow(wanted);
    if (left && tally.active < wanted)
        hire(&tally);
    if (tally.active > wanted)
        coir_i_spare_call_off(tally.active - wanted);
}

static void look_after(void)
{
    bool is_any_stuck = false;
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        look_at(&monitor.looks[i], &coir_i_runtime.workers[i]);
        is_any_stuck |= monitor.looks[i].is_stuck;
    }
    help(is_any_stuck);
    give_away();
}

/* ---- the thread ---- */

static void sleep_while_all_sleep(void)
{
    /* @dekker monitor.sleeps: before idle.state is read. */
    store_seq_cst(&coir_i_monitor_sleeps, 1);
    if (all_sleep() && !load_relaxed(&monitor.stop))
        coir_i_futex_wait(&coir_i_monitor_sleeps, 1,
                          coir_i_circle_look(coir_i_sys_now()));
    store_relaxed(&coir_i_monitor_sleeps, 0);
}

static void *watch(void *arg)
{
    (void)arg;
    coir_i_own_threads_add(1);
    coir_i_sys_thread_name("coir-monitor", 0);
    coir_i_sys_no_signals(); /* they are for threads that run user code */
    for (bool idle = false; !load_relaxed(&monitor.stop);) {
        if (idle)
            sleep_while_all_sleep();
        coir_i_futex_wait(&monitor.stop, 0, coir_i_sys_now() + TICK);
        idle = all_sleep();
        coir_i_clock_note(coir_i_now());
        look_after();
        coir_i_circle_look(coir_i_sys_now());
    }
    coir_i_own_threads_add(-1);
    return NULL;
}

void coir_i_monitor_wake_slow(void)
{
    store_relaxed(&coir_i_monitor_sleeps, 0);
    coir_i_futex_wake(&coir_i_monitor_sleeps, 1);
}

int coir_i_monitor_start(void)
{
    unsigned most = coir_i_runtime.configured + COIR_I_SPARES;
    store_relaxed(&monitor.stop, 0);
    store_relaxed(&coir_i_monitor_sleeps, 0);
    store_relaxed(&coir_i_monitor_left, 0);
    monitor.runs = false;
    monitor.next_left = 0;
    if (coir_i_seeded) /* one thread plays all, and nothing else may happen */
        return 0;
    free(monitor.looks); /* in the child of a fork: the parent's */
    monitor.looks = calloc(most, sizeof *monitor.looks);
    int error = !monitor.looks
                    ? ENOMEM
                    : pthread_create(&monitor.thread, NULL, watch, NULL);
    if (error) {
        free(monitor.looks);
        monitor.looks = NULL;
        /* One worker can do without: nobody sleeps whom it would wake. */
        return coir_i_runtime.configured > 1 ? -error : 0;
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
    free(monitor.looks);
    monitor.looks = NULL;
    monitor.runs = false;
}
