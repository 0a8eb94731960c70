/* sched/tree.c -- how cancelling finds the fibers that wait inside a scope
 *
 * Invariants
 *   E1  a fiber that is ARMED or PARKED is listed, and so are the nursery that
 *       it lives in, that nursery's opener, and so on to the root.
 *   E2  what is listed is alive: a fiber leaves before its life ends, a
 *       nursery before the scopes around it are closed.
 *   E3  the list of a nursery and of openings changes only under the tree lock
 *       of the opener.
 *
 * Locks      the tree lock of a fiber; a parent's before its child's. A walk
 *            holds those from the top to where it is. The word's LOOK bit and
 *            the wheel's lock come after them.
 * Edges      tree.in_tree (publish: list_one; observe: the search upward)
 * Fails      never.
 * Tests      test/stress_cancel.c, test/models/epoch.pml */
#include "sched/tree.h"

#include "sched/lock.h"

static coir_i_mutex *lock_of(coir_i_fiber *f)
{
    return (coir_i_mutex *)&f->stack->tree_lock;
}

_Static_assert(sizeof(coir_i_mutex) == sizeof(uint32_t), "one word");

/* f among the children of its nursery, that among the openings of `opener`. */
static void list_nursery(coir_i_nursery *n, coir_i_fiber *opener)
{
    n->tree_next = opener->stack->openings;
    n->tree_prev = &opener->stack->openings;
    if (n->tree_next)
        n->tree_next->tree_prev = &n->tree_next;
    opener->stack->openings = n;
}

static void list_one(coir_i_fiber *f)
{
    coir_i_nursery *n = f->stack->runs_in;
    coir_i_fiber *opener = n->scope.fiber;
    coir_i_mutex_lock(lock_of(opener));
    if (!f->stack->listed) {
        if (!load_relaxed(&n->in_tree)) { /* relaxed: under the lock */
            list_nursery(n, opener);
            store_relaxed(&n->in_tree, true);
        }
        f->tree_next = n->listed;
        f->tree_prev = NULL;
        if (n->listed)
            n->listed->tree_prev = f;
        n->listed = f;
        /* @publish tree.in_tree: all above f is listed, and so is f. */
        store_release(&f->stack->listed, true);
    }
    coir_i_mutex_unlock(lock_of(opener));
}

void coir_i_tree_list(coir_i_fiber *f)
{
    while (!load_relaxed(&f->stack->listed)) { /* relaxed: our own */
        coir_i_fiber *top = f, *opener;
        /* The topmost that is not listed first: whoever is listed can rely on
         * all above it. */
        while (top->stack->runs_in) {
            opener = top->stack->runs_in->scope.fiber;
            /* @observe tree.in_tree: all above the opener is listed. */
            if (load_acquire(&opener->stack->listed))
                break;
            top = opener;
        }
        if (top->stack->runs_in)
            list_one(top);
        else /* @publish tree.in_tree: the first fiber, which has no opener */
            store_release(&top->stack->listed, true);
    }
}

void coir_i_tree_unlist(coir_i_fiber *f)
{
    if (!load_relaxed(&f->stack->listed) || !f->stack->runs_in)
        return;
    coir_i_nursery *n = f->stack->runs_in;
    coir_i_fiber *opener = n->scope.fiber;
    coir_i_mutex_lock(lock_of(opener));
    *(f->tree_prev ? &f->tree_prev->tree_next : &n->listed) = f->tree_next;
    if (f->tree_next)
        f->tree_next->tree_prev = f->tree_prev;
    coir_i_mutex_unlock(lock_of(opener));
}

void coir_i_tree_close(coir_i_nursery *n)
{
    coir_i_mutex_lock(lock_of(n->scope.fiber));
    *n->tree_prev = n->tree_next;
    if (n->tree_next)
        n->tree_next->tree_prev = n->tree_prev;
    coir_i_mutex_unlock(lock_of(n->scope.fiber));
}

/* ---- walking down ---- */

static bool lies_inside(coir_i_scope *inner, const coir_i_scope *outer,
                        const coir_i_fiber *of)
{
    for (; inner && inner->fiber == of; inner = inner->parent)
        if (inner == outer)
            return true;
    return false;
}

/* The first child in n or those after it; of the topmost fiber, `inside` alone.
 */
static coir_i_fiber *first_child(coir_i_nursery *n, const coir_i_scope *inside)
{
    for (; n; n = n->tree_next)
        if (n->listed &&
            (!inside || lies_inside(&n->scope, inside, inside->fiber)))
            return n->listed;
    return NULL;
}

void coir_i_tree_walk(coir_i_fiber *top, const coir_i_scope *inside,
                      void (*see)(coir_i_fiber *f, void *data), void *data)
{
    coir_i_fiber *at = top;
    coir_i_mutex_lock(lock_of(top));
    see(top, data);
    coir_i_fiber *next = first_child(top->stack->openings, inside);
    for (;;) {
        while (next) { /* down */
            at = next;
            coir_i_mutex_lock(lock_of(at));
            see(at, data);
            next = first_child(at->stack->openings, NULL);
        }
        if (at == top)
            break;
        /* beside, or else up: the lock of the opener is still ours */
        coir_i_nursery *n = at->stack->runs_in;
        next = at->tree_next;
        coir_i_mutex_unlock(lock_of(at));
        at = n->scope.fiber;
        if (!next)
            next = first_child(n->tree_next, at == top ? inside : NULL);
    }
    coir_i_mutex_unlock(lock_of(top));
}

static void visit(coir_i_fiber *f, void *nothing)
{
    (void)nothing;
    coir_i_scope_visit(f);
}

void coir_i_tree_visit(coir_i_scope *s)
{
    coir_i_tree_walk(s->fiber, s, visit, NULL);
}
