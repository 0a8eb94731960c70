/* sched/scope.c -- scopes, and how a fiber learns that it is cancelled
 *
 * Does       open, close, cancel, expire, reschedule; the check; the visit.
 * Does not   find who waits inside a scope: that is tree.c.
 * What the epoch is for is said in scope.h.
 *
 * Invariants
 *   S1  f->scope is the innermost open scope of f or of the life it leads;
 *       parents lead to the root.
 *   S2  f->stack->scope_until <= every deadline up to the nearest shield, if
 *       f->checked is the epoch; f->deadline is the same while f runs.
 *   S3  a scope that is cancelled stays so; its cause never changes.
 *
 * Edges
 *   scope.state   publish: cancel; observe: the walk up
 *   park.cancel   dekker: the epoch goes up here
 *   scope.busy    publish: release; observe: close
 *   timer.linked  dekker: a deadline is stored, then linked is read
 * Fails      never.
 * Tests      test/test_scope.c, test/stress_cancel.c */
#include "sched/scope.h"

#include "sched/clock.h"
#include "sched/sys.h"
#include "sched/tree.h"
#include "sched/worker.h"

#include <errno.h>
#include <sched.h>

_Atomic(uint64_t) coir_i_epoch = 2;

enum { CHECKING = 1 }; /* f->checked while f walks up */

/* ---- seen from inside ---- */

/* Whoever acts on a cancellation shall not meet somebody later who has not
 * heard of it: if the one who cancels has yet to raise the epoch, it is raised
 * here. */
static void hear(uint32_t state)
{
    if (!(state & COIR_I_SCOPE_TOLD))
        /* @dekker park.cancel: as by the one who cancels. */
        fetch_add_seq_cst(&coir_i_epoch, 1);
}

/* What lies around every shield when a deadlock has pierced them. */
static coir_i_scope piercing = {
    .deadline = COIR_NEVER,
    .state = COIR_I_SCOPE_CLAIMED | COIR_I_SCOPE_CANCELLED | COIR_I_SCOPE_TOLD,
    .cause_code = -EDEADLK,
};
static _Atomic(bool) pierced;

void coir_i_scope_pierce_shields(bool pierce)
{
    store_relaxed(&pierced, pierce); /* the epoch is raised after it */
}

coir_i_scope *coir_i_scope_cancelled_by(coir_i_scope *s, coir_time *until)
{
    *until = COIR_NEVER;
    for (; s; s = s->parent) {
        /* @observe scope.state: the cause, and that the epoch goes up. */
        uint32_t state = load_acquire(&s->state);
        if (state & COIR_I_SCOPE_CANCELLED) {
            hear(state);
            return s;
        }
        coir_time deadline = load_relaxed(&s->deadline);
        if (deadline < *until)
            *until = deadline;
        if (state & COIR_I_SCOPE_SHIELD) /* relaxed: the epoch comes after it */
            return load_relaxed(&pierced) ? &piercing : NULL;
    }
    return NULL;
}

/* The outermost scope up to the nearest shield whose deadline has passed and
 * that is not cancelled. */
static coir_i_scope *outermost_due(coir_i_scope *s, coir_time now)
{
    coir_i_scope *due = NULL;
    for (; s; s = s->parent) {
        uint32_t state = load_relaxed(&s->state);
        if (load_relaxed(&s->deadline) <= now &&
            !(state & COIR_I_SCOPE_CANCELLED))
            due = s;
        if (state & COIR_I_SCOPE_SHIELD)
            break;
    }
    return due;
}

static void expire(coir_i_scope *s)
{
    coir_failure cause = {.code = -ETIMEDOUT};
    coir_i_scope_cancel(s, &cause);
}

void coir_i_scope_watch(coir_i_fiber *f, coir_time until)
{
    f->stack->scope_until = until;
    if (until == COIR_NEVER) {
        store_relaxed(&f->deadline, until);
        return;
    }
    /* @dekker timer.linked: before linked is read. */
    exchange_seq_cst(&f->deadline, until);
    coir_i_timer_link(&coir_i_worker_here()->wheel, f, until);
}

bool coir_i_scope_check_slow(coir_i_fiber *f)
{
    for (;;) {
        coir_time until;
        uint64_t checking = CHECKING;
        store_relaxed(&f->checked, CHECKING);
        /* @dekker park.cancel: the walk comes after it. */
        uint64_t epoch = load_seq_cst(&coir_i_epoch);
        if (coir_i_scope_cancelled_by(f->scope, &until))
            return true;
        coir_i_scope *due = NULL;
        if (until != COIR_NEVER)
            due = outermost_due(f->scope, coir_i_now());
        if (due) {
            expire(due); /* it lies around us, so it stays */
            continue;
        }
        coir_i_scope_watch(f, until);
        /* relaxed: a timer that has stored 0 meanwhile wants another look. */
        if (cas_relaxed(&f->checked, &checking, epoch))
            return false;
    }
}

void coir_i_scope_visit(coir_i_fiber *f)
{
    coir_i_ticket ticket;
    coir_time until;
    if (!coir_i_look(f, &ticket))
        return;
    /* @dekker park.cancel: the walk comes after it. */
    uint64_t epoch = load_seq_cst(&coir_i_epoch);
    bool cancelled = coir_i_scope_cancelled_by(f->scope, &until) != NULL;
    if (!coir_i_waits_cancellable(f)) {
        cancelled = false;
        until = COIR_NEVER;
    } else if (!cancelled) {
        f->stack->scope_until = until;
        store_relaxed(&f->checked, epoch);
    }
    coir_time deadline = load_relaxed(&f->until);
    if (until < deadline)
        deadline = until;
    if (!cancelled) {
        /* @dekker timer.linked: before linked is read. */
        exchange_seq_cst(&f->deadline, deadline);
        if (deadline != COIR_NEVER) {
            coir_i_worker *w = coir_i_worker_here();
            coir_i_timer_link(w ? &w->wheel : &coir_i_runtime.workers[0].wheel,
                              f, deadline);
        }
    }
    if (cancelled)
        coir_i_wake(ticket, COIR_I_CANCELLED);
    coir_i_look_end(f);
}

void coir_i_scope_due(coir_i_ticket ticket, coir_time now)
{
    coir_i_fiber *f = ticket.fiber;
    for (;;) {
        coir_i_ticket seen;
        if (load_relaxed(&f->until) <= now) { /* the seq tells if it is old */
            coir_i_wake(ticket, COIR_I_TIMED_OUT);
            return;
        }
        if (!coir_i_look(f, &seen))
            return;
        coir_i_scope *due = NULL;
        if (coir_i_waits_cancellable(f))
            due = outermost_due(f->scope, now);
        if (due)
            coir_i_scope_hold(due); /* f, which waits inside, keeps it yet */
        coir_i_look_end(f);
        if (!due)
            break;
        expire(due);
        coir_i_scope_release(due);
    }
    coir_i_scope_visit(f); /* rescheduled: its deadline is another */
}

/* ---- cancelling ---- */

void coir_i_scope_cause(coir_failure *cause, int code)
{
    coir_i_fiber *self = coir_i_self();
    cause->code = code;
    cause->id = self ? self->life->id : 0;
    coir_i_copy_text(cause->name, sizeof cause->name,
                     self ? self->life->name : "");
    cause->message[0] = '\0';
}

void coir_i_scope_changed(coir_i_scope *s)
{
    /* @dekker park.cancel: s was changed before; who waits is visited after. */
    fetch_add_seq_cst(&coir_i_epoch, 1);
    coir_i_tree_visit(s);
}

/* Somebody else cancels s just now; whoever asked for it too shall find it
 * cancelled when the call returns. */
static void wait_until_told(coir_i_scope *s)
{
    unsigned spins = 0;
    /* @observe scope.state: the epoch is raised. */
    while (!(load_acquire(&s->state) & COIR_I_SCOPE_TOLD)) {
        if (++spins % 256)
            coir_i_pause();
        else
            sched_yield(); /* it may have lost its CPU */
    }
}

void coir_i_scope_cancel(coir_i_scope *s, const coir_failure *cause)
{
    /* @observe scope.state: what the first one wrote, if it is not us. */
    if (fetch_or_acq_rel(&s->state, COIR_I_SCOPE_CLAIMED) &
        COIR_I_SCOPE_CLAIMED) {
        wait_until_told(s);
        return;
    }
    s->cause_code = cause->code;
    s->cause_id = cause->id;
    coir_i_copy_text(s->cause_name, sizeof s->cause_name, cause->name);
    uint32_t bits = COIR_I_SCOPE_CANCELLED;
    if (cause->code == -ETIMEDOUT && !cause->id)
        bits |= COIR_I_SCOPE_EXPIRED;
    /* @publish scope.state: the cause. */
    fetch_or_acq_rel(&s->state, bits);
    /* @dekker park.cancel: s was changed before; who waits is visited after. */
    fetch_add_seq_cst(&coir_i_epoch, 1);
    /* @publish scope.state: the epoch is raised. */
    fetch_or_acq_rel(&s->state, COIR_I_SCOPE_TOLD);
    coir_i_tree_visit(s);
}

void coir_i_scope_hold(coir_i_scope *s)
{
    fetch_add_relaxed(&s->busy, 1); /* s is open: the caller knows */
}

void coir_i_scope_release(coir_i_scope *s)
{
    /* @publish scope.busy: our last access. */
    if (fetch_sub_release(&s->busy, 1) == 1)
        coir_i_futex_wake(&s->busy, 1);
}

/* ---- opening and closing ---- */

void coir_i_scope_push_shield(coir_i_scope *s, coir_i_fiber *f)
{
    coir_i_scope_push(s, f, COIR_I_SCOPE_SHIELD, COIR_NEVER);
    store_relaxed(&f->checked, 0); /* what cancels may be outside now */
    coir_i_scope_watch(f, COIR_NEVER);
}

__attribute__((cold, noinline)) void coir_i_scope_pop_slow(coir_i_scope *s,
                                                           coir_i_fiber *f)
{
    uint32_t busy;
    /* @observe scope.busy: whoever cancelled it is done with it. */
    while ((busy = load_acquire(&s->busy)))
        coir_i_futex_wait(&s->busy, busy, COIR_NEVER);
    uint32_t state = load_relaxed(&s->state);
    if (load_relaxed(&s->deadline) != COIR_NEVER &&
        !(state & COIR_I_SCOPE_EXPIRED) &&
        load_relaxed(&s->deadline) <= coir_i_now())
        state |= COIR_I_SCOPE_EXPIRED;
    store_relaxed(&s->state, state | COIR_I_SCOPE_CLOSED);
    /* What holds inside may not hold outside; and what was known of the
     * deadlines outside is old if anything has changed since. */
    store_relaxed(&f->checked, 0);
    if (f->stack->scope_until != s->outer_until)
        coir_i_scope_watch(f, s->outer_until);
}

int coir_i_scope_result(coir_i_scope *s, int rc)
{
    uint32_t state = load_relaxed(&s->state);
    if (rc != -ECANCELED || !(state & COIR_I_SCOPE_CANCELLED))
        return rc;
    if (!(state & COIR_I_SCOPE_SHIELD) && coir_i_scope_check(s->fiber))
        return rc; /* one around it is cancelled, and reports */
    bool expired = s->cause_code == -ETIMEDOUT && s->cause_id == 0;
    return expired ? -ETIMEDOUT : -ECANCELED;
}
