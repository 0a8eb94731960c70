/* sched/child.c -- the lives of children, and the body of every fiber
 *
 * Does       run a child from its first instruction to its result, on a fiber
 *            of its own or on its closing opener's stack; after it, on the
 *            warm stack, the next one that waits.
 *
 * The end of a life, in this order: its local values; its failure to the
 * nursery; its task, so that nobody cancels it any more; its scope; its place
 * in the tree; and last the nursery's count, after which that may be gone.
 *
 * Edges      none of its own.
 * Fails      never; a body that leaves scopes, nurseries or pins behind stops
 *            the program.
 * Tests      test/test_nursery.c, test/death_misuse.c */
#include "sched/nursery.h"
#include "sched/runtime.h"
#include "sched/task.h"
#include "sched/trace.h"
#include "sched/tree.h"
#include "sched/worker.h"

#include <errno.h>
#include <stdlib.h>

enum { IDS = 1 << 16 }; /* that a worker takes at once */

static _Atomic(uint64_t) ids_taken = 1;

uint64_t coir_i_new_foreign_id(void)
{
    return fetch_add_relaxed(&ids_taken, 1);
}

__attribute__((cold, noinline)) void coir_i_take_ids(coir_i_worker *w)
{
    w->next_id = fetch_add_relaxed(&ids_taken, IDS);
    w->last_id = w->next_id + IDS;
}

static void report_failure(coir_i_nursery *n, const coir_i_life *life, int rc,
                           bool has_task)
{
    coir_failure failure = {.code = rc, .id = life->id};
    coir_i_copy_text(failure.name, sizeof failure.name, life->name);
    coir_i_copy_text(failure.message, sizeof failure.message,
                     coir_i_life_message(life, rc));
    if (n != coir_i_nursery_of(&coir_i_background))
        coir_i_nursery_fail(n, &failure);
    else if (!has_task)
        coir_i_background_failed(&failure);
}

void coir_i_check_left_behind(coir_i_fiber *f, const coir_i_scope *scope,
                              const coir_i_nursery *n, unsigned pins)
{
    coir_i_rule(f->nursery == n, "a nursery was left open by its fiber");
    coir_i_rule(f->scope == scope, "a scope was left open by its fiber");
    coir_i_rule(f->stack->pins == pins, "a fiber ended while it was pinned");
}

void coir_i_child_run(const coir_i_child *c, coir_i_nursery *n)
{
    coir_i_worker *w = coir_i_worker_here();
    coir_i_fiber *f = w->thread.running;
    coir_i_start *start = coir_i_start_of(c);
    coir_i_task *task = coir_i_task_in(coir_i_task_of(c));
    coir_i_life life;
    coir_i_scope own; /* so that a task can be cancelled alone */
    unsigned pins = f->stack->pins;

    coir_i_life_begin(&life, task ? task->id : coir_i_new_id(w));
    life.outer = f->life;
    f->life = &life;
    if (start)
        coir_i_copy_text(life.name, sizeof life.name, start->name);
    if (coir_i_traces())
        coir_i_trace_begin(&life);
    if (task) {
        coir_i_scope_push(&own, f, 0, COIR_NEVER);
        coir_i_task_begin(task, &own);
    }

    int rc = c->fn(c->arg);

    if (coir_i_unlikely(life.locals != NULL))
        coir_i_locals_end(&life);
    coir_i_check_left_behind(f, task ? &own : &n->scope, n, pins);
    if (coir_i_unlikely(rc < 0 && rc != -ECANCELED)) {
        if (task) /* whoever joins it is not to be cancelled by its end */
            coir_i_task_ending(task);
        report_failure(n, &life, rc, task != NULL);
    }
    if (task) {
        coir_i_task_end(task, rc, coir_i_life_message(&life, rc));
        coir_i_scope_pop(&own, f);
    }
    if (coir_i_unlikely(start != NULL))
        free(start);
    if (coir_i_traces())
        coir_i_trace_end(&life);
    f->life = life.outer;
    coir_i_count_up(&coir_i_worker_here()->counts.ended);
}

/* f leads the life of a child of n from here on. */
static void settle(coir_i_fiber *f, coir_i_nursery *n)
{
    f->scope = &n->scope;
    f->nursery = n;
    f->stack->runs_in = n;
    f->stack->openings = NULL;
    store_relaxed(&f->stack->listed, false);
    f->stack->scope_until = n->scope.outer_until;
    /* What the opener knew holds while the epoch is the same. */
    store_relaxed(&f->checked, n->known ? n->scope.opened : 0);
    store_relaxed(&f->deadline, f->stack->scope_until);
    if (coir_i_unlikely(f->stack->scope_until != COIR_NEVER))
        coir_i_scope_watch(f, f->stack->scope_until);
}

/* What a fiber with a stack of the usual size may go on with when a child has
 * ended: the next one on the warm stack, in *next. `ended` children of n, that
 * one with them, are to be counted as ended: not before we leave n, since
 * n's opener waits for the next one of n as well, and each time costs it a
 * cache miss. False: *to, or *next on a fiber of its own, is to run. */
static bool go_on(coir_i_nursery *n, unsigned *ended, coir_i_fiber **to,
                  coir_i_taken *next)
{
    coir_i_worker *w = coir_i_worker_here();
    *to = coir_i_pick(w, COIR_I_CHILD_ON_OUR_OWN, next);
    bool here = !*to && next->of && !coir_i_has_own_fiber(&next->child);
    if (here && next->of == n)
        return true;
    bool last = coir_i_nursery_children_ended(n, *ended);
    *ended = 0;
    if (last && !*to && !next->of) /* then there is its opener, now */
        *to = coir_i_pick(w, COIR_I_NO_CHILD, next);
    return here;
}

_Noreturn static void run_children(coir_i_fiber *f, coir_i_taken taken)
{
    bool usual = f->stack->slab == NULL;
    coir_i_taken next;
    coir_i_fiber *to;
    for (unsigned ended = 1;; ended++, taken = next) {
        settle(f, taken.of);
        coir_i_child_run(&taken.child, taken.of);
        coir_i_tree_unlist(f);
        store_relaxed(&f->deadline, COIR_NEVER);
        if (!usual || !go_on(taken.of, &ended, &to, &next))
            break;
    }
    coir_i_worker *w = coir_i_worker_here();
    if (!usual) {
        coir_i_nursery_children_ended(taken.of, 1);
        to = coir_i_pick(w, COIR_I_CHILD, &next);
    }
    coir_i_run_last(w, to, &next);
}

void coir_i_fiber_main(void)
{
    coir_i_worker *w = coir_i_worker_here();
    coir_i_taken taken = w->birth;
    coir_i_fiber *f = w->thread.running;
    f->life = NULL;
    if (taken.of)
        run_children(f, taken);
    taken.child.fn(taken.child.arg); /* the first fiber */
    taken.of = NULL;
    coir_i_run_last(coir_i_worker_here(), NULL, &taken);
}
