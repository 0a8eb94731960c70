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
#include "sched/clock.h"
#include "sched/runtime.h"
#include "sched/scope.h"
#include "sched/worker.h"

enum {
    NEXTS = 3,  /* in a row; then the others have their turn */
    GLANCE = 8, /* picks from one look at the tick counter to the next */
    LOOK = 64,  /* picks from one look around to the next, at most */
    DUE = 64    /* timers seen to at once */
};
static const coir_time LOOK_AT_LEAST = 200000; /* ns */
static const coir_time POLL_AT_MOST = 20000;   /* ns */

/* ---- looking around ---- */

static void fire_due(coir_i_wheel *wheel, coir_time now)
{
    coir_i_ticket due[DUE];
    unsigned count;
    do {
        count = coir_i_wheel_advance(wheel, now, due, DUE);
        for (unsigned i = 0; i < count; i++)
            coir_i_scope_due(due[i], now);
    } while (count == DUE);
}

coir_time coir_i_fire_timers(coir_i_worker *w)
{
    coir_time now = 0, first = COIR_NEVER;
    /* Everyone's: its worker may sleep, or be busy with one fiber. */
    for (unsigned i = 0; i < coir_i_runtime.count; i++) {
        coir_i_wheel *wheel = &coir_i_runtime.workers[i].wheel;
        coir_time next = load_relaxed(&wheel->next);
        if (next == COIR_NEVER)
            continue;
        if (!now)
            now = coir_i_now();
        if (next <= now) {
            coir_i_count_up(&w->counts.timers);
            fire_due(wheel, now);
            next = load_relaxed(&wheel->next);
        }
        if (next < first)
            first = next;
    }
    return first;
}

bool coir_i_time_to_look_slow(coir_i_worker *w)
{
    w->glance_in = GLANCE;
    uint64_t since = coir_i_ticks() - w->looked_at;
    return --w->look_in == 0 || since > w->look_at_least;
}

void coir_i_look_around(coir_i_worker *w)
{
    uint64_t now = coir_i_ticks();
    w->glance_in = GLANCE;
    w->look_in = LOOK / GLANCE;
    w->looked_at = now;
    w->gathering = true;
    coir_i_global_take(w);
    coir_i_runtime_take_starts(w);
    coir_i_fibers_sample();
    coir_i_fire_timers(w);
    if (now - w->polled_at > w->poll_at_most) {
        w->polled_at = now;
        coir_i_poll_now(w);
    }
    w->gathering = false;
    if (coir_i_ring_length(&w->ring) > 1) {
        /* @dekker idle.sleep: what was gathered is in the ring. */
        fence_seq_cst();
        coir_i_wake_worker();
    }
}

void coir_i_pick_init(coir_i_worker *w)
{
    w->glance_in = GLANCE;
    w->look_in = LOOK / GLANCE;
    w->look_at_least = coir_i_ticks_of(LOOK_AT_LEAST);
    w->poll_at_most = coir_i_ticks_of(POLL_AT_MOST);
    w->pinned_end = &w->pinned;
}

/* ---- choosing ---- */

static coir_i_fiber *take_next(coir_i_worker *w)
{
    /* relaxed: only we put one here; a thief may take it first. */
    if (!load_relaxed(&w->next))
        return NULL;
    /* @observe ready.next: nothing new: we put it there. */
    coir_i_fiber *f = exchange_acquire(&w->next, NULL);
    if (f && ++w->nexts > NEXTS) {
        w->nexts = 0;
        coir_i_ready(f, false); /* to the end of the ring */
        f = NULL;
    }
    return f;
}

static coir_i_fiber *take_ready(coir_i_worker *w)
{
    if (coir_i_unlikely(coir_i_inbox_take(w)) && w->picks & 2) {
        coir_i_fiber *f = w->pinned;
        if (!(w->pinned = f->next))
            w->pinned_end = &w->pinned;
        return f;
    }
    return coir_i_ring_get(&w->ring);
}

static bool take_child(coir_i_worker *w, enum coir_i_children children,
                       coir_i_taken *child)
{
    return children != COIR_I_NO_CHILD && coir_i_nest_waiting(&w->nest) &&
           (children == COIR_I_CHILD_ON_OUR_OWN || coir_i_fibers_at_hand(w)) &&
           coir_i_nest_take_oldest(w, child);
}

coir_i_choice coir_i_pick(coir_i_worker *w, enum coir_i_children children)
{
    coir_i_choice choice = {NULL, {{NULL, NULL, NULL}, NULL}};
    if (coir_i_unlikely(coir_i_time_to_look(w)))
        coir_i_look_around(w);
    if ((choice.fiber = take_next(w)))
        return choice;
    w->nexts = 0;
    bool fiber_first = ++w->picks & 1;
    if (fiber_first && (choice.fiber = take_ready(w)))
        return choice;
    if (take_child(w, children, &choice.child))
        return choice;
    if ((choice.fiber = take_ready(w)))
        return choice;
    w->picks ^= 2; /* the other of inbox and ring */
    choice.fiber = take_ready(w);
    return choice;
}

/* ---- leaving ---- */

static void switch_to(coir_i_worker *w, coir_i_fiber *f,
                      void (*commit)(coir_i_thread *, coir_i_fiber *))
{
    coir_i_count_up(&w->counts.switches);
    w->calls = 0;
    coir_i_switch(&w->thread, f, commit);
}

void coir_i_leave_for(coir_i_worker *w, const coir_i_taken *child,
                      void (*commit)(coir_i_thread *, coir_i_fiber *))
{
    switch_to(w, coir_i_fibers_bind(w, child), commit);
}

void coir_i_run(coir_i_worker *w, const coir_i_choice *choice,
                void (*commit)(coir_i_thread *, coir_i_fiber *))
{
    if (choice->fiber)
        switch_to(w, choice->fiber, commit);
    else if (choice->child.of)
        coir_i_leave_for(w, &choice->child, commit);
    else
        switch_to(w, &w->thread.own, commit);
}

_Noreturn void coir_i_run_last(coir_i_worker *w, const coir_i_choice *choice)
{
    coir_i_fiber *to = choice->fiber;
    if (!to)
        to = choice->child.of ? coir_i_fibers_bind(w, &choice->child)
                              : &w->thread.own;
    coir_i_count_up(&w->counts.switches);
    w->calls = 0;
    coir_i_switch_last(&w->thread, to, coir_i_fibers_commit_over);
}

void coir_i_leave(coir_i_worker *w,
                  void (*commit)(coir_i_thread *, coir_i_fiber *))
{
    coir_i_choice choice = coir_i_pick(w, COIR_I_CHILD);
    coir_i_run(w, &choice, commit);
}

bool coir_i_give_way(enum coir_i_children children)
{
    coir_i_worker *w = coir_i_worker_here();
    coir_i_choice choice = coir_i_pick(w, children);
    if (!choice.fiber && !choice.child.of)
        return false;
    coir_i_run(w, &choice, coir_i_commit_ready);
    return true;
}
