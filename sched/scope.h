/* sched/scope.h -- scopes, and how a fiber learns that it is cancelled
 *
 * A scope knows its parent. What cancels is seen from below: a fiber walks up
 * from its innermost scope, to the first that is cancelled or is a shield. It
 * need not walk while nothing has changed: one *epoch* for the process goes up
 * after any scope was cancelled or got another deadline, and a fiber remembers
 * the epoch in which it found itself uncancelled. So a check is one load and
 * one compare, and opening and closing a scope touches nothing that others
 * write.
 *
 * Fibers that wait cannot look: they are found from above, through the tree
 * (tree.h), and visited.
 *
 * Whoever changes a scope:  1. the scope's state or deadline  2. epoch + 1
 *                           3. visits who waits inside it
 * Whoever goes to wait:     1. is in the tree   2. arms   3. compares the epoch
 *
 * Ancestors outlive their descendants: to walk up is always safe for the fiber
 * itself, and for whoever keeps it from going on by a look (park.h). */
#ifndef COIR_SCHED_SCOPE_H
#define COIR_SCHED_SCOPE_H

#include <coir/scope.h>

#include "fiber/current.h"
#include "fiber/invariant.h"
#include "sched/park.h"

typedef struct coir_i_scope coir_i_scope;
struct coir_i_scope {
    coir_i_scope *parent;        /* const while it is open */
    coir_i_fiber *fiber;         /* const: who opened it */
    _Atomic(coir_time) deadline; /* its own; COIR_NEVER: none */
    coir_time outer_until;   /* const: the nearest deadline around it then */
    uint64_t opened;         /* const: the epoch then */
    _Atomic(uint32_t) state; /* bits, below */
    _Atomic(uint32_t) busy;  /* cancels and reschedules under way elsewhere */
    /* By whoever set CLAIMED, before CANCELLED. */
    int32_t cause_code;
    uint64_t cause_id;
    char cause_name[COIR_NAME_MAX];
};

enum {
    COIR_I_SCOPE_CLAIMED = 1,   /* somebody writes the cause */
    COIR_I_SCOPE_CANCELLED = 2, /* the cause is there */
    COIR_I_SCOPE_EXPIRED = 4,   /* its deadline passed before its close */
    COIR_I_SCOPE_SHIELD = 8,    /* what is around it does not count inside */
    COIR_I_SCOPE_NURSERY = 16,  /* it is a nursery's */
    COIR_I_SCOPE_CLOSED = 32,
    COIR_I_SCOPE_TOLD = 64 /* the epoch was raised after CANCELLED */
};

_Static_assert(sizeof(coir_i_scope) <= sizeof(coir_scope), "as published");

/* From 2: 0 and 1 are never now. */
extern _Atomic(uint64_t) coir_i_epoch __attribute__((visibility("hidden")));

bool coir_i_scope_check_slow(coir_i_fiber *f) __attribute__((cold, noinline));

/* The running fiber f: is it cancelled? */
static inline bool coir_i_scope_check(coir_i_fiber *f)
{
    /* relaxed: a call that comes at the same time may miss it; the wait that
     * follows does not. */
    if (coir_i_likely(load_relaxed(&f->checked) == load_relaxed(&coir_i_epoch)))
        return false;
    return coir_i_scope_check_slow(f);
}

/* Is s, seen from inside, cancelled? The nearest deadline goes to *until. */
coir_i_scope *coir_i_scope_cancelled_by(coir_i_scope *s, coir_time *until);

/* Open and close for f, which calls. */
void coir_i_scope_push_shield(coir_i_scope *s, coir_i_fiber *f);
void coir_i_scope_pop_slow(coir_i_scope *s, coir_i_fiber *f);
void coir_i_scope_watch(coir_i_fiber *f, coir_time until);

static inline void coir_i_scope_push(coir_i_scope *s, coir_i_fiber *f,
                                     unsigned state, coir_time deadline)
{
    s->parent = f->scope;
    s->fiber = f;
    store_relaxed(&s->deadline, deadline);
    s->outer_until = f->stack->scope_until;
    s->opened = load_relaxed(&coir_i_epoch);
    store_relaxed(&s->state, state);
    store_relaxed(&s->busy, 0);
    f->scope = s;
    if (coir_i_unlikely(deadline < f->stack->scope_until))
        coir_i_scope_watch(f, deadline);
}

static inline void coir_i_scope_pop(coir_i_scope *s, coir_i_fiber *f)
{
    f->scope = s->parent;
    /* @observe scope.busy: nobody else has to do with it, nor had: the epoch
     * is the one in which it was opened, and so it was not changed either. */
    if (coir_i_unlikely(load_acquire(&s->busy)) ||
        coir_i_unlikely(s->opened != load_relaxed(&coir_i_epoch)) ||
        coir_i_unlikely(load_relaxed(&s->state) & ~COIR_I_SCOPE_NURSERY) ||
        coir_i_unlikely(load_relaxed(&s->deadline) != COIR_NEVER))
        coir_i_scope_pop_slow(s, f);
}

/* The nearest deadline around the running fiber f is `until`: its timer shall
 * know of it while it runs. */
void coir_i_scope_watch(coir_i_fiber *f, coir_time until);
/* What rc of a body becomes at the close of s. */
int coir_i_scope_result(coir_i_scope *s, int rc);

/* Cancel s, unless it is cancelled already, because of *cause, and wake who
 * waits inside it. The caller keeps s open: it is inside, or counts as busy. */
void coir_i_scope_cancel(coir_i_scope *s, const coir_failure *cause);

/* The state or the deadline of s was changed: let everyone inside know. The
 * caller keeps s open, as above. */
void coir_i_scope_changed(coir_i_scope *s);

/* From now on shields do not shield: what is inside is cancelled, because of a
 * deadlock. The caller then tells all who wait: coir_i_scope_changed. */
void coir_i_scope_pierce_shields(bool pierce);

/* Look at a fiber that waits: if it is cancelled, wake it; else bring its
 * deadlines up to date. */
void coir_i_scope_visit(coir_i_fiber *f);

/* The deadline of a wait has passed. */
void coir_i_scope_due(coir_i_ticket ticket, coir_time now);

/* While a cancel from elsewhere goes on, s stays open. */
void coir_i_scope_hold(coir_i_scope *s);
void coir_i_scope_release(coir_i_scope *s);

/* The caller, as a cause: a fiber, or nobody. */
void coir_i_scope_cause(coir_failure *cause, int code);

static inline coir_i_scope *coir_i_scope_of(const coir_scope *scope)
{
    return (coir_i_scope *)(uintptr_t)scope;
}

#endif
