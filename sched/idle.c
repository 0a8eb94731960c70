/* sched/idle.c -- a worker without work: stealing, watching, sleeping, waking
 *
 * Does       take work from others; sleep when there is none, one worker in
 *            the poller and the others on their tokens; wake who sleeps.
 *
 * A worker without work is a *watcher*: it looks around and steals, for 50 us
 * in a loop if it is the only one and others are at work, for 1 ms every 10 us.
 * Then it is a *sleeper*. Who publishes work wakes a sleeper only if nobody
 * watches: a watcher finds it anyway. The last watcher that found work wakes
 * the next if there is more.
 *
 * A spare worker of which there are too many (sched/spare.c) ceases to watch
 * and sits on the *bench*: it is not active any more, and nobody wakes it but
 * the monitor and who has a fiber that is pinned to it.
 *
 * Invariants
 *   I1  idle.state = sleepers + active << 16 + watchers << 32, and changes for
 *       a sleeper under idle.lock with the list; each sleeper is on the list
 *       once. Likewise who sits down on the bench, or leaves it.
 *   I2  a worker announces its sleep, and then looks at every source of work
 *       once more; whoever publishes work does that, and then looks at
 *       idle.state. One of the two sees the other.
 *   I3  whoever takes a sleeper off the list counts it as a watcher, and sets
 *       its token; a token that is set ends the next sleep at once.
 *   I4  one worker at a time has the seat, and calls poller.wait.
 *   I5  who sits on the bench has nothing in its inbox, and the runtime was not
 *       stopping: both are looked at under idle.lock, which whoever changes
 *       them takes afterwards, to wake it. What it was counted on to find as a
 *       watcher is left to a sleeper, whom it wakes.
 *
 * Locks      idle.lock; under it nothing else is locked.
 * Edges      idle.sleep (dekker), idle.token (publish: wake; observe: doze)
 *            timer.next (dekker: sleep_in_poller, timers),
 *            idle.poller (dekker: in_poller and token)
 *            idle.seat (publish: stand_up; observe: sit_down)
 * Fails      never.
 * Tests      test/stress_park.c, test/models/idle.pml, nest.pml, poller.pml */
#include "sched/choice.h"
#include "sched/clock.h"
#include "sched/monitor.h"
#include "sched/runtime.h"
#include "sched/seat.h"
#include "sched/spare.h"
#include "sched/trace.h"
#include "sched/worker.h"

#include <stdlib.h>

static const coir_time SPIN = 50000, TICK = 10000, WATCH = 1000000;
static const coir_time FRESH = 2000;  /* a lone child is left to its opener */
static const coir_time STUCK = 50000; /* who runs next is left to its waker */
enum { TINY = 200 }; /* ns a child: what was stolen was not worth it */

_Atomic(uint64_t) coir_i_idle_state;

static struct {
    coir_i_spin lock;
    coir_i_worker *sleepers; /* the last to fall asleep first */
    uint64_t awakenings;     /* from 1 */
} idle;

void coir_i_idle_start(unsigned workers)
{
    store_relaxed(&coir_i_idle_state, workers * COIR_I_ACTIVE);
    store_relaxed(&idle.lock.taken, 0); /* a fork may have left it taken */
    idle.sleepers = NULL;
    idle.awakenings = 1;
}

uint64_t coir_i_idle_rest(void)
{
    coir_i_spin_lock(&idle.lock);
    bool all = coir_i_idle_all_sleep(load_relaxed(&coir_i_idle_state));
    uint64_t rest = all ? idle.awakenings : 0;
    coir_i_spin_unlock(&idle.lock);
    return rest;
}

/* ---- waking ---- */

/* Under idle.lock. */
static void take_off_list(coir_i_worker *w)
{
    coir_i_worker **at = &idle.sleepers;
    while (*at != w)
        at = &(*at)->sleeper_below;
    *at = w->sleeper_below;
    store_relaxed(&w->asleep, false);
    idle.awakenings++;
    fetch_add_relaxed(&coir_i_idle_state, COIR_I_WATCHER - COIR_I_SLEEPER);
}

/* Likewise. */
static void take_off_bench(coir_i_worker *w)
{
    store_relaxed(&w->benched, false);
    idle.awakenings++;
    fetch_add_relaxed(&coir_i_idle_state, COIR_I_WATCHER + COIR_I_ACTIVE);
}

static void post(coir_i_worker *w)
{
    /* @publish idle.token: what it is woken for.
     * @dekker idle.poller: before in_poller is read. */
    store_seq_cst(&w->token, 1);
    if (load_seq_cst(&w->in_poller))
        coir_i_seat_wake();
    else
        coir_i_futex_wake(&w->token, 1);
}

/* Who sleeps on its token is cheaper to wake than who sits in the poller. */
static coir_i_worker *choose_sleeper(void)
{
    coir_i_worker *w = idle.sleepers;
    while (w && w->sleeper_below && load_relaxed(&w->in_poller))
        w = w->sleeper_below;
    return w;
}

__attribute__((noinline, cold)) void coir_i_wake_worker_slow(void)
{
    coir_i_spin_lock(&idle.lock);
    /* relaxed: sleepers change under the lock; who watches meanwhile looks. */
    bool watched = load_relaxed(&coir_i_idle_state) >= COIR_I_WATCHER;
    coir_i_worker *w = watched ? NULL : choose_sleeper();
    if (w)
        take_off_list(w);
    coir_i_spin_unlock(&idle.lock);
    if (w)
        post(w);
}

bool coir_i_wake_this(coir_i_worker *w)
{
    coir_i_spin_lock(&idle.lock);
    bool slept = load_relaxed(&w->asleep), sat = load_relaxed(&w->benched);
    if (slept)
        take_off_list(w);
    if (sat)
        take_off_bench(w);
    coir_i_spin_unlock(&idle.lock);
    if (slept || sat)
        post(w);
    return slept || sat;
}

void coir_i_wake_all(void)
{
    for (unsigned i = 0; i < coir_i_worker_count(); i++)
        coir_i_wake_this(&coir_i_runtime.workers[i]);
}

/* ---- stealing ---- */

static bool steal_next(coir_i_worker *w, coir_i_worker *v)
{
    if (!load_relaxed(&v->next))
        return false;
    /* @observe ready.next: the fiber and its context. */
    coir_i_fiber *f = exchange_acquire(&v->next, NULL);
    if (f)
        coir_i_ring_put(&w->ring, f); /* ours is empty */
    return f != NULL;
}

/* A lone child is most often about to be run by the close of its own opener:
 * it is taken only if its worker has neither started nor taken one for a
 * while. Likewise the fiber that v runs next. */
static bool steal_from(coir_i_worker *w, coir_i_worker *v, coir_time now)
{
    struct coir_i_seen *seen = &w->seen[v->id];
    if (coir_i_ring_steal(&w->ring, &v->ring))
        return true;
    uint64_t state = load_relaxed(&v->nest.state);
    if (state != seen->state) {
        seen->state = state;
        seen->since = now;
    }
    uint64_t switches = load_relaxed(&v->counts.switches);
    if (switches != seen->switches) {
        seen->switches = switches;
        seen->ran_since = now;
    }
    uint32_t waiting = (uint32_t)state;
    coir_time patience = waiting == 1 ? FRESH : 0;
    if (now - w->stole_at < (coir_time)TINY * w->stole)
        patience = FRESH;
    if (waiting && coir_i_fibers_at_hand(w) && now - seen->since >= patience) {
        w->stole = coir_i_nest_steal(w, v);
        w->stole_at = now;
        if (w->stole)
            return true;
    }
    return now - seen->ran_since >= STUCK && steal_next(w, v);
}

static bool steal(coir_i_worker *w, coir_time now)
{
    unsigned count = coir_i_worker_count();
    unsigned first = coir_i_choose(count);
    for (unsigned i = 0; i < count; i++) {
        coir_i_worker *v = &coir_i_runtime.workers[(first + i) % count];
        if (v != w && steal_from(w, v, now)) {
            coir_i_count_up(&w->counts.steals);
            if (coir_i_traces())
                coir_i_trace_steal(v->id);
            return true;
        }
    }
    return false;
}

/* ---- is there anything? ---- */

static bool has_own(coir_i_worker *w)
{
    return coir_i_ring_length(&w->ring) || load_relaxed(&w->next) ||
           w->pinned || load_relaxed(&w->inbox) ||
           (coir_i_nest_waiting(&w->nest) && coir_i_fibers_at_hand(w));
}

static bool others_work(void)
{
    uint64_t state = load_relaxed(&coir_i_idle_state);
    return coir_i_idle_sleepers(state) + (state >> 32) <
           coir_i_idle_active(state);
}

static bool find(coir_i_worker *w, coir_time now)
{
    if (!others_work())
        w->polled_at = coir_i_ticks(); /* we are about to wait there anyway */
    coir_i_look_around(w);
    return has_own(w) || (coir_i_worker_count() > 1 && steal(w, now));
}

/* After the sleep was announced: every source of work, ours and everyone's. */
static bool any_work(coir_i_worker *w)
{
    w->wants_stack = false;
    /* @dekker idle.sleep: after the announcement. */
    fence_seq_cst();
    if (load_relaxed(&coir_i_runtime.stopping) || !coir_i_global_empty() ||
        coir_i_runtime_has_starts() || load_relaxed(&w->inbox) || w->pinned ||
        load_relaxed(&w->next))
        return true;
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        coir_i_worker *v = &coir_i_runtime.workers[i];
        if (coir_i_ring_length(&v->ring))
            return true;
        /* Its lock orders this against a start. Without a stack no child can
         * be begun here; whoever ends one takes the next, and who sits in the
         * poller tries again from time to time. */
        if (coir_i_nest_more_than(&v->nest, 0)) {
            if (coir_i_fibers_at_hand(w))
                return true;
            w->wants_stack = true;
        }
    }
    return false;
}

/* ---- sleeping ---- */

static void announce_sleep(coir_i_worker *w)
{
    coir_i_spin_lock(&idle.lock);
    w->sleeper_below = idle.sleepers;
    idle.sleepers = w;
    store_relaxed(&w->asleep, true);
    fetch_add_relaxed(&coir_i_idle_state, COIR_I_SLEEPER - COIR_I_WATCHER);
    coir_i_spin_unlock(&idle.lock);
}

static void wake_up(coir_i_worker *w)
{
    coir_i_spin_lock(&idle.lock);
    if (load_relaxed(&w->asleep))
        take_off_list(w);
    coir_i_spin_unlock(&idle.lock);
}

static void sleep_until_woken(coir_i_worker *w)
{
    announce_sleep(w);
    if (!any_work(w)) {
        if (coir_i_seat_sit_down(w)) {
            coir_i_seat_sleep(w);
            /* Not asleep any more before another sits down, who might take
             * it that all sleep. */
            wake_up(w);
            coir_i_seat_stand_up();
            w->polled_at = coir_i_ticks();
        } else {
            coir_i_seat_tell(); /* nothing may be left that can happen */
            if (coir_i_unlikely(w->wants_stack))
                coir_i_seat_wake(); /* who sits there tries again for us */
            /* @observe idle.token: what we are woken for. */
            while (!load_acquire(&w->token))
                coir_i_futex_wait(&w->token, 0, COIR_NEVER);
        }
    }
    wake_up(w);
    store_relaxed(&w->token, 0); /* I3: what it said, we look for now */
}

/* ---- the bench ---- */

static void stay_on_bench(coir_i_worker *w)
{
    do {
        /* @observe idle.token: what we are woken for. */
        while (!load_acquire(&w->token))
            coir_i_futex_wait(&w->token, 0, COIR_NEVER);
        /* @observe idle.token: and that we were taken off the bench; else it
         * was an old one. */
        exchange_acquire(&w->token, 0);
    } while (load_relaxed(&w->benched));
}

/* A watcher sits down until it is wanted again; false: it cannot. */
static __attribute__((cold, noinline)) bool sit_on_bench(coir_i_worker *w)
{
    coir_i_spare_hand_over(w);
    coir_i_spin_lock(&idle.lock);
    bool sits = coir_i_is_surplus(w) && !load_relaxed(&coir_i_runtime.stopping);
    if (sits) {
        store_relaxed(&w->benched, true);
        fetch_add_relaxed(&coir_i_idle_state, -COIR_I_WATCHER - COIR_I_ACTIVE);
    }
    coir_i_spin_unlock(&idle.lock);
    if (!sits)
        return false;
    /* @dekker idle.sleep: who saw us watch told nobody; and all may sleep now
     * but us, or nobody be in the seat. A sleeper finds out. */
    fence_seq_cst();
    coir_i_wake_worker();
    stay_on_bench(w);
    return true;
}

/* ---- the life of a worker ---- */

/* We take what we found; is there something for another? A hint, after a
 * fence: who publishes later sees that nobody watches. */
static bool more_work(coir_i_worker *w)
{
    /* @dekker idle.sleep: after we ceased to watch. */
    fence_seq_cst();
    if (!coir_i_global_empty() || coir_i_runtime_has_starts())
        return true;
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        coir_i_worker *v = &coir_i_runtime.workers[i];
        unsigned mine = v == w;
        /* Its lock orders this against a start. */
        if (coir_i_ring_length(&v->ring) > mine ||
            coir_i_nest_more_than(&v->nest, mine))
            return true;
    }
    return false;
}

/* A watcher: come back when there is something to do, or the runtime stops. */
static void search(coir_i_worker *w)
{
    coir_time begin = coir_i_sys_now(), now = begin;
    while (!load_relaxed(&coir_i_runtime.stopping)) {
        if (coir_i_unlikely(coir_i_is_surplus(w)) && sit_on_bench(w))
            begin = now = coir_i_sys_now();
        if (find(w, now))
            break;
        bool watch =
            load_relaxed(&coir_i_idle_state) >> 32 == 1 && others_work();
        if (watch && now - begin < SPIN) {
            for (int i = 0; i < 30; i++)
                coir_i_pause();
        } else if (watch && now - begin < WATCH) {
            coir_i_futex_wait(&w->token, 0, now + TICK);
        } else if (!coir_i_fibers_trim(now)) {
            sleep_until_woken(w);
            begin = coir_i_sys_now() - SPIN; /* look, then by ticks */
        }
        now = coir_i_sys_now();
        if (!coir_i_clock_is_virtual())
            coir_i_clock_note(now);
    }
    /* @dekker idle.sleep: then whether there is more than we take. */
    uint64_t before = fetch_add_seq_cst(&coir_i_idle_state, -COIR_I_WATCHER);
    if (before >> 32 == 1 && coir_i_idle_sleepers(before) && more_work(w))
        coir_i_wake_worker();
    coir_i_monitor_wake();
}

static void find_work(coir_i_worker *w)
{
    /* @dekker idle.sleep: we look for work after it. */
    fetch_add_seq_cst(&coir_i_idle_state, COIR_I_WATCHER);
    search(w);
}

void coir_i_stand_in(coir_i_worker *w)
{
    stay_on_bench(w);
    search(w);
    coir_i_work(w);
}

void coir_i_work(coir_i_worker *w)
{
    while (!load_relaxed(&coir_i_runtime.stopping)) {
        coir_i_taken child = {.of = NULL};
        coir_i_fiber *f = NULL;
        if (coir_i_likely(!coir_i_is_surplus(w)))
            f = coir_i_pick(w, COIR_I_CHILD, &child);
        if (f || child.of)
            coir_i_run(w, f, &child, NULL);
        else
            find_work(w);
    }
}
