/* sched/nursery.c -- opening and closing nurseries, and what fails in them
 *
 * Does       open, close, cancel; keep the first failure, and the others where
 *            they are wanted.
 *
 * Invariants
 *   U1  the opener leaves close only when no child waits and none is out: it
 *       is alone with the nursery (nest.h, N3).
 *   U2  `first` is the first failure of a child; the body's own only while no
 *       child has failed.
 *
 * Locks      nursery.lock: the failures.
 * Edges      nest.out (the opener's own count)
 * Fails      as the children do.
 * Tests      test/test_nursery.c, test/test_nursery_failures.c */
#include "sched/nursery.h"

#include "sched/tree.h"
#include "sched/worker.h"

#include <errno.h>

_Static_assert(sizeof(coir_i_nursery) <= sizeof(coir_nursery), "as published");

void coir_nursery_open(coir_nursery *nursery)
{
    coir_i_nursery *n = coir_i_nursery_of(nursery);
    coir_i_worker *w = coir_i_worker_here();
    coir_i_fiber *f = coir_i_self();
    coir_i_rule(f != NULL, "nurseries are opened by fibers");
    store_relaxed(&n->checked, load_relaxed(&f->checked));
    coir_i_scope_push(&n->scope, f, COIR_I_SCOPE_NURSERY, COIR_NEVER);
    n->known = load_relaxed(&f->checked) == n->scope.opened;
    store_relaxed(&n->waiting.home, w);
    store_relaxed(&n->waiting.head, NULL);
    store_relaxed(&n->waiting.out, 1);
    n->waiting.held = false;
    n->waiting.own.size = 1;
    n->life = f->life;
    n->around = f->nursery;
    f->nursery = n;
    n->listed = NULL;
    store_relaxed(&n->in_tree, false);
    store_relaxed(&n->lock.taken, 0);
    n->keep_going = n->body_failed = false;
    n->failed = n->capacity = 0;
    n->kept = NULL;
    n->first.code = 0;
}

/* ---- failures ---- */

static void record(coir_i_nursery *n, const coir_failure *failure, bool body)
{
    coir_i_spin_lock(&n->lock);
    if (n->failed < n->capacity)
        n->kept[n->failed] = *failure;
    n->failed++;
    if (n->first.code == 0 || (n->body_failed && !body)) {
        n->first = *failure;
        n->body_failed = body;
    }
    bool keep_going = n->keep_going;
    coir_i_spin_unlock(&n->lock);
    if (!keep_going)
        coir_i_scope_cancel(&n->scope, failure);
}

void coir_i_nursery_fail(coir_i_nursery *n, const coir_failure *failure)
{
    record(n, failure, false);
}

void coir_i_nursery_cause(coir_i_nursery *n, coir_failure *cause)
{
    coir_i_spin_lock(&n->lock);
    if (n->first.code && n->first.id == cause->id &&
        n->first.code == cause->code)
        *cause = n->first;
    coir_i_spin_unlock(&n->lock);
}

void coir_nursery_keep_going(coir_nursery *nursery)
{
    coir_i_nursery *n = coir_i_nursery_of(nursery);
    coir_i_spin_lock(&n->lock);
    n->keep_going = true;
    coir_i_spin_unlock(&n->lock);
}

void coir_nursery_collect(coir_nursery *nursery, coir_failure *failures,
                          size_t capacity)
{
    coir_i_nursery *n = coir_i_nursery_of(nursery);
    coir_i_spin_lock(&n->lock);
    n->kept = failures;
    n->capacity = capacity;
    coir_i_spin_unlock(&n->lock);
}

size_t coir_nursery_failed(const coir_nursery *nursery)
{
    coir_i_nursery *n = (coir_i_nursery *)(uintptr_t)nursery;
    coir_i_spin_lock(&n->lock);
    size_t failed = n->failed;
    coir_i_spin_unlock(&n->lock);
    return failed;
}

void coir_nursery_cancel(coir_nursery *nursery)
{
    coir_scope_cancel((coir_scope *)nursery);
}

coir_scope *coir_nursery_scope(coir_nursery *nursery)
{
    return (coir_scope *)nursery;
}

int coir_i_nursery_refuses_slow(coir_i_nursery *n)
{
    coir_time until;
    /* @dekker park.cancel: the walk comes after it. */
    uint64_t epoch = load_seq_cst(&coir_i_epoch);
    coir_i_fiber *f = coir_i_self();
    if (f && f->scope == &n->scope) {
        /* It remembers, for the nurseries that it opens inside: to walk from
         * each of them to the root would be quadratic in their depth. */
        if (coir_i_scope_check(f))
            return -ECANCELED;
        epoch = load_relaxed(&f->checked);
    } else if (coir_i_scope_cancelled_by(&n->scope, &until)) {
        return -ECANCELED;
    }
    store_relaxed(&n->checked, epoch);
    return 0;
}

/* ---- closing ---- */

enum { HERE, FRESH };
enum { TURNS = 16 }; /* looks around, to one turn of the children of others */

/* Is there room to run a child on the closing fiber's stack? Half of it is for
 * that; more if there is no other stack to be had. */
static int where_to_run(coir_i_worker *w)
{
    coir_i_stack *stack = w->thread.running->stack;
    char *low = stack->low + stack->guard;
    size_t size = stack->size - stack->guard;
    size_t left = (size_t)((char *)__builtin_frame_address(0) - low);
    if (stack->pins == 0 && left > size / 2)
        return HERE;
    if (coir_i_fibers_at_hand(w))
        return FRESH;
    coir_i_need(left > size / 8, "no memory for another stack, and the "
                                 "closing fiber's own is used up");
    return HERE;
}

/* Children that wait, first in first out. */
static void run_own(coir_i_nursery *n)
{
    coir_i_taken taken = {.of = n};
    bool elsewhere;
    unsigned turns = 0;
    for (;;) {
        /* @observe nest.head: whoever cleared it is done with n. */
        if (!load_acquire(&n->waiting.head))
            return;
        coir_i_worker *w = coir_i_worker_here();
        bool here = where_to_run(w) == HERE;
        if (!coir_i_nest_take_own(n, here, &taken.child, &elsewhere))
            return;
        if (elsewhere) /* depth first still; we go on when it waits or ends */
            coir_i_leave_for(w, &taken, coir_i_commit_ready);
        else
            coir_i_child_run(&taken.child, n);
        w = coir_i_worker_here();
        if (coir_i_unlikely(coir_i_time_to_look(w))) {
            coir_i_look_around(w);
            /* Seldom to children of others: each begins where ours has not
             * ended, and breadth first takes memory without end. */
            coir_i_give_way(++turns % TURNS ? COIR_I_NO_CHILD : COIR_I_CHILD);
        }
    }
}

static const coir_i_wait waits_for_children = {.what = "children"};

static void wait_for_children(coir_i_nursery *n)
{
    run_own(n);
    /* @observe nest.out: what the children that ended elsewhere did. */
    if (load_acquire(&n->waiting.out) == 1)
        return;
    coir_i_ticket ticket =
        coir_i_arm(COIR_NEVER, COIR_I_UNCANCELLABLE, &waits_for_children, n);
    n->closer = ticket.seq;
    /* @publish nest.out: closer, to the last child.
     * @observe nest.out: if that was the last already. */
    if (fetch_sub_acq_rel(&n->waiting.out, 1) == 1)
        coir_i_wake(ticket, COIR_I_WOKEN);
    coir_i_park();
}

bool coir_i_nursery_children_ended(coir_i_nursery *n, unsigned count)
{
    return coir_i_nest_ended(n, count) &&
           coir_i_wake((coir_i_ticket){n->scope.fiber, n->closer},
                       COIR_I_WOKEN);
}

static void fail_body(coir_i_nursery *n, coir_i_fiber *f, int rc)
{
    coir_failure failure;
    coir_i_scope_cause(&failure, rc);
    coir_i_copy_text(failure.message, sizeof failure.message,
                     coir_i_life_message(f->life, rc));
    record(n, &failure, true);
}

static int verdict(coir_i_nursery *n, coir_i_fiber *f, int rc)
{
    if (n->first.code) {
        coir_i_life_take_message(f->life, n->first.code, n->first.message);
        return n->first.code;
    }
    if (coir_i_scope_check(f)) /* n's own scope is closed by now */
        return -ECANCELED;
    bool cancelled = load_relaxed(&n->scope.state) & COIR_I_SCOPE_CANCELLED;
    if (coir_i_unlikely(cancelled) &&
        coir_i_scope_result(&n->scope, -ECANCELED) == -ETIMEDOUT)
        return -ETIMEDOUT;
    return rc;
}

int coir_nursery_close_with(coir_nursery *nursery, int rc)
{
    coir_i_nursery *n = coir_i_nursery_of(nursery);
    coir_i_fiber *f = coir_i_self();
    coir_time until;
    if (!f)
        return -EPERM;
    coir_i_rule(f->scope == &n->scope && f->life == n->life,
                "a nursery is closed by the fiber that opened it, after what "
                "was opened inside it");
    if (rc == -ECANCELED) {
        if (coir_i_scope_cancelled_by(&n->scope, &until))
            rc = 0;
        else
            coir_nursery_cancel(nursery);
    } else if (rc < 0) {
        fail_body(n, f, rc);
    }
    wait_for_children(n);
    if (coir_i_unlikely(load_relaxed(&n->in_tree))) /* all who list are gone */
        coir_i_tree_close(n);
    f->nursery = n->around;
    coir_i_scope_pop(&n->scope, f);
    return verdict(n, f, rc);
}

int coir_nursery_close(coir_nursery *nursery)
{
    return coir_nursery_close_with(nursery, 0);
}
