/* sched/pick.c -- which fiber runs next, and the looking around in between
 *
 * Does       choose: the one woken last, at most three times in a row; else by
 *            turns the ready fibers and the children that have not begun; and
 *            look after the global queue, timers and the poller in time.
 * Does not   steal or sleep: that is idle.c, when this found nothing.
 *
 * Edges      ready.next
 * Fails      never.
 * Tests      test/test_yield.c, test/stress_steal.c */
#include "fiber/context.h"
#include "sched/choice.h"
#include "sched/clock.h"
#include "sched/monitor.h"
#include "sched/runtime.h"
#include "sched/scope.h"
#include "sched/spare.h"
#include "sched/trace.h"
#include "sched/worker.h"

enum {
    NEXTS = 3,      /* in a row; then the others have their turn */
    GLANCE = 8,     /* picks from one look at the tick counter to the next */
    LOOK = 64,      /* picks from one look around to the next, at most */
    DUE = 64,       /* timers seen to at once */
    SEEDED_LOOK = 8 /* with a seed: one look around in so many picks */
};
static const coir_time LOOK_AT_LEAST = 200000; /* ns */
static const coir_time POLL_AT_MOST = 20000;   /* ns */

/* ---- looking around ---- */

static void fire_due(coir_i_worker *w, coir_i_wheel *wheel, coir_time now)
{
    coir_i_ticket due[DUE];
    unsigned count;
    do {
        count = coir_i_wheel_advance(wheel, now, due, DUE);
        coir_i_count_more(&w->counts.timers, count);
        for (unsigned i = 0; i < count; i++)
            coir_i_scope_due(due[i], now);
    } while (count == DUE);
}

coir_time coir_i_fire_timers(coir_i_worker *w)
{
    coir_time now = 0, first = COIR_NEVER;
    /* Everyone's: its worker may sleep, or be busy with one fiber. */
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        coir_i_wheel *wheel = &coir_i_runtime.workers[i].wheel;
        coir_time next = load_relaxed(&wheel->next);
        if (next == COIR_NEVER)
            continue;
        if (!now)
            coir_i_clock_note(now = coir_i_now());
        if (next <= now) {
            fire_due(w, wheel, now);
            next = load_relaxed(&wheel->next);
        }
        if (next < first)
            first = next;
    }
    return first;
}

bool coir_i_time_to_look_slow(coir_i_worker *w)
{
    if (coir_i_unlikely(coir_i_seeded)) {
        w->glance_in = 1;
        return coir_i_choose(SEEDED_LOOK) == 0;
    }
    w->glance_in = GLANCE;
    uint64_t since = coir_i_ticks() - w->looked_at;
    return --w->look_in == 0 || since > w->look_at_least;
}

void coir_i_look_around(coir_i_worker *w)
{
    uint64_t now = coir_i_ticks();
    w->glance_in = coir_i_seeded ? 1 : GLANCE;
    w->look_in = LOOK / GLANCE;
    w->looked_at = now;
    coir_i_count_up(&w->counts.looks);
    w->gathering = true;
    coir_i_global_turn(w);
    coir_i_runtime_take_starts(w);
    coir_i_fibers_sample();
    coir_i_fire_timers(w);
    if (coir_i_unlikely(load_relaxed(&coir_i_monitor_left)))
        coir_i_monitor_take_left(w);
    if (coir_i_seeded || now - w->polled_at > w->poll_at_most) {
        w->polled_at = now;
        coir_i_poll_now(w);
    }
    w->gathering = false;
    /* One of them is for us, unless we run a fiber. */
    if (coir_i_ring_length(&w->ring) > (w->thread.running->life ? 0 : 1)) {
        /* @dekker idle.sleep: what was gathered is in the ring. */
        fence_seq_cst();
        coir_i_wake_worker();
    }
}

void coir_i_pick_init(coir_i_worker *w)
{
    w->glance_in = 1;
    w->look_in = LOOK / GLANCE;
    w->look_at_least = coir_i_ticks_of(LOOK_AT_LEAST);
    w->poll_at_most = coir_i_ticks_of(POLL_AT_MOST);
    w->pinned_end = &w->pinned;
}

/* ---- choosing ---- */

/* The one woken last has gone first often enough: to the end of the ring with
 * it, if anybody else waits. */
static __attribute__((noinline)) coir_i_fiber *let_others_go(coir_i_worker *w,
                                                             coir_i_fiber *f)
{
    w->nexts = 0;
    if (!coir_i_ring_length(&w->ring) && !coir_i_nest_waiting(&w->nest) &&
        !w->pinned && !load_relaxed(&w->inbox))
        return f;
    coir_i_ready(f, false);
    return NULL;
}

static inline coir_i_fiber *take_next(coir_i_worker *w)
{
    /* relaxed: only we put one here; a thief may take it first. */
    if (!load_relaxed(&w->next))
        return NULL;
    coir_i_fiber *f = coir_i_next_exchange(w, NULL);
    if (f && coir_i_unlikely(++w->nexts > NEXTS))
        f = let_others_go(w, f);
    return f;
}

static __attribute__((cold, noinline)) coir_i_fiber *
take_pinned(coir_i_worker *w)
{
    coir_i_inbox_take(w);
    coir_i_fiber *f = w->pinned;
    if (f && !(w->pinned = f->next))
        w->pinned_end = &w->pinned;
    return f;
}

/* By turns, if there are both kinds. */
static inline coir_i_fiber *take_ready(coir_i_worker *w)
{
    coir_i_fiber *f = NULL;
    bool pinned = w->pinned || load_relaxed(&w->inbox);
    if (coir_i_unlikely(pinned) && (w->picks & 2))
        f = take_pinned(w);
    if (!f)
        f = coir_i_ring_get(&w->ring);
    if (!f && coir_i_unlikely(pinned))
        f = take_pinned(w);
    return f;
}

static inline bool take_child(coir_i_worker *w, enum coir_i_children children,
                              coir_i_taken *child)
{
    return children != COIR_I_NO_CHILD && coir_i_nest_waiting(&w->nest) &&
           (children == COIR_I_CHILD_ON_OUR_OWN || coir_i_fibers_at_hand(w)) &&
           coir_i_nest_take(w, child);
}

/* With a seed: any that is ready, or any child. */
static __attribute__((cold, noinline)) coir_i_fiber *
pick_any(coir_i_worker *w, enum coir_i_children children, coir_i_taken *child)
{
    /* @observe ready.next: nothing new: we put it there. */
    coir_i_fiber *f = exchange_acquire(&w->next, NULL);
    if (f)
        coir_i_ready(f, false);
    coir_i_global_take(w);
    unsigned ready = coir_i_ring_length(&w->ring);
    unsigned pinned = coir_i_inbox_take(w) ? 1 : 0;
    unsigned born = coir_i_nest_waiting(&w->nest) ? 1 : 0;
    unsigned which = coir_i_choose(ready + pinned + born + 1);
    if (which < born && take_child(w, children, child))
        return NULL;
    if (which < born + pinned && (f = take_pinned(w)))
        return f;
    coir_i_ring_shuffle(&w->ring, coir_i_choose(ready + 1));
    if ((f = coir_i_ring_get(&w->ring)) || (f = take_pinned(w)))
        return f;
    take_child(w, children, child);
    return NULL;
}

coir_i_fiber *coir_i_pick(coir_i_worker *w, enum coir_i_children children,
                          coir_i_taken *child)
{
    coir_i_fiber *f;
    child->of = NULL;
    if (coir_i_time_to_look(w)) {
        coir_i_look_around(w);
        if (coir_i_unlikely(coir_i_is_surplus(w)))
            return NULL; /* its own context gives away what it has */
    }
    if (coir_i_unlikely(coir_i_seeded))
        return pick_any(w, children, child);
    if (coir_i_unlikely((f = take_next(w)) != NULL))
        return f;
    w->nexts = 0;
    bool fiber_first = ++w->picks & 1;
    if (fiber_first && (f = take_ready(w)))
        return f;
    if (take_child(w, children, child))
        return NULL;
    if (!fiber_first && (f = take_ready(w)))
        return f;
    return coir_i_global_take(w) ? take_ready(w) : NULL;
}

/* ---- leaving ---- */

static inline void switch_to(coir_i_worker *w, coir_i_fiber *f,
                             void (*commit)(coir_i_thread *, coir_i_fiber *))
{
    coir_i_count_up(&w->counts.switches);
    w->calls = w->calls_begin;
    if (coir_i_traces())
        coir_i_trace_switch(f);
    coir_i_switch(&w->thread, f, commit);
}

void coir_i_leave_for(coir_i_worker *w, const coir_i_taken *child,
                      void (*commit)(coir_i_thread *, coir_i_fiber *))
{
    switch_to(w, coir_i_fibers_bind(w, child), commit);
}

static inline coir_i_fiber *target(coir_i_worker *w, coir_i_fiber *f,
                                   const coir_i_taken *child)
{
    if (coir_i_likely(f != NULL))
        return f;
    return child->of ? coir_i_fibers_bind(w, child) : &w->thread.own;
}

void coir_i_run(coir_i_worker *w, coir_i_fiber *f, const coir_i_taken *child,
                void (*commit)(coir_i_thread *, coir_i_fiber *))
{
    switch_to(w, target(w, f, child), commit);
}

_Noreturn void coir_i_run_last(coir_i_worker *w, coir_i_fiber *f,
                               const coir_i_taken *child)
{
    coir_i_fiber *to = target(w, f, child);
    coir_i_count_up(&w->counts.switches);
    w->calls = w->calls_begin;
    if (coir_i_traces())
        coir_i_trace_switch(to);
    coir_i_switch_last(&w->thread, to, coir_i_fibers_commit_over);
}

void coir_i_leave(coir_i_worker *w,
                  void (*commit)(coir_i_thread *, coir_i_fiber *))
{
    coir_i_taken child;
    coir_i_fiber *f = coir_i_pick(w, COIR_I_CHILD, &child);
    switch_to(w, target(w, f, &child), commit);
}

bool coir_i_give_way(enum coir_i_children children)
{
    coir_i_worker *w = coir_i_worker_here();
    coir_i_taken child;
    /* What is looked at on the way makes system calls, too. */
    int error_number = *w->thread.error_number;
    coir_i_fiber *f = coir_i_pick(w, children, &child);
    bool any = f || child.of || coir_i_is_surplus(w);
    if (any)
        switch_to(w, target(w, f, &child), coir_i_commit_ready);
    *coir_i_here()->error_number = error_number;
    return any;
}
