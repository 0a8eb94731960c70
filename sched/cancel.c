/* sched/cancel.c -- the public calls on scopes
 *
 * Does       coir_scope_*, coir_timeout*, coir_deadline*, coir_shield*,
 *            coir_cancel_cause.
 * Tests      test/test_scope.c */
#include "sched/clock.h"
#include "sched/module.h"
#include "sched/nursery.h"
#include "sched/scope.h"
#include "sched/worker.h"

#include <errno.h>

static coir_i_fiber *caller(void)
{
    coir_i_fiber *f = coir_i_self();
    coir_i_rule(f != NULL, "scopes are opened by fibers");
    return f;
}

void coir_scope_open(coir_scope *scope)
{
    coir_i_scope_push(coir_i_scope_of(scope), caller(), 0, COIR_NEVER);
}

void coir_shield_open(coir_scope *scope)
{
    coir_i_scope_push_shield(coir_i_scope_of(scope), caller());
}

static void open_until(coir_i_scope *s, coir_time at, coir_time now)
{
    coir_i_fiber *f = caller();
    coir_i_scope_push(s, f, 0, at);
    if (at <= now) /* it shall be seen by the next call, not the next tick */
        store_relaxed(&f->checked, 0);
}

void coir_timeout_open(coir_scope *scope, coir_time length)
{
    coir_time now = coir_i_now();
    open_until(coir_i_scope_of(scope), coir_i_time_add(now, length), now);
}

void coir_deadline_open(coir_scope *scope, coir_time at)
{
    open_until(coir_i_scope_of(scope), at, at == COIR_NEVER ? 0 : coir_i_now());
}

int coir_scope_close(coir_scope *scope, int rc)
{
    coir_i_scope *s = coir_i_scope_of(scope);
    coir_i_fiber *f = coir_i_self();
    if (!f)
        return -EPERM;
    coir_i_rule(f->scope == s, "a scope is closed by the fiber that opened "
                               "it, innermost first");
    coir_i_scope_pop(s, f);
    return coir_i_scope_result(s, rc);
}

int coir_shielded(coir_fn *fn, void *arg)
{
    coir_scope scope;
    if (!coir_i_self())
        return -EPERM;
    coir_shield_open(&scope);
    return coir_scope_close(&scope, fn(arg));
}

int coir_timeout(coir_time length, coir_fn *fn, void *arg)
{
    coir_scope scope;
    if (!coir_i_self())
        return -EPERM;
    coir_timeout_open(&scope, length);
    return coir_scope_close(&scope, fn(arg));
}

void coir_scope_cancel(coir_scope *scope)
{
    coir_i_scope *s = coir_i_scope_of(scope);
    coir_failure cause;
    if (!coir_i_runs())
        return;
    coir_i_scope_hold(s);
    coir_i_scope_cause(&cause, -ECANCELED);
    coir_i_scope_cancel(s, &cause);
    coir_i_scope_release(s);
}

void coir_scope_reschedule(coir_scope *scope, coir_time at)
{
    coir_i_scope *s = coir_i_scope_of(scope);
    if (!coir_i_runs())
        return;
    coir_i_scope_hold(s);
    store_relaxed(&s->deadline, at); /* the epoch comes after it */
    coir_i_scope_changed(s);
    coir_i_scope_release(s);
}

bool coir_scope_cancelled(const coir_scope *scope)
{
    coir_i_scope *s = coir_i_scope_of(scope);
    /* @observe scope.state: as the walk up. */
    uint32_t state = load_acquire(&s->state);
    coir_time at = load_relaxed(&s->deadline);
    if ((state & (COIR_I_SCOPE_CANCELLED | COIR_I_SCOPE_CLOSED)) ||
        at == COIR_NEVER || !coir_i_runs() || at > coir_i_now())
        return state & COIR_I_SCOPE_CANCELLED;
    /* Its fiber computes and has not seen it yet: so that it stays true. */
    coir_failure cause = {.code = -ETIMEDOUT};
    coir_i_scope_hold(s);
    coir_i_scope_cancel(s, &cause);
    coir_i_scope_release(s);
    return true;
}

bool coir_scope_expired(const coir_scope *scope)
{
    coir_i_scope *s = coir_i_scope_of(scope);
    uint32_t state = load_relaxed(&s->state);
    if (state & (COIR_I_SCOPE_EXPIRED | COIR_I_SCOPE_CLOSED))
        return state & COIR_I_SCOPE_EXPIRED;
    coir_time deadline = load_relaxed(&s->deadline);
    return deadline != COIR_NEVER && deadline <= coir_i_now();
}

coir_time coir_scope_deadline(const coir_scope *scope)
{
    return load_relaxed(&coir_i_scope_of(scope)->deadline);
}

coir_time coir_deadline(void)
{
    coir_i_fiber *f = coir_i_self();
    coir_time until = COIR_NEVER;
    coir_i_scope *s = f ? f->scope : NULL;
    for (; s; s = s->parent) {
        coir_time deadline = load_relaxed(&s->deadline);
        if (deadline < until)
            until = deadline;
        if (load_relaxed(&s->state) & COIR_I_SCOPE_SHIELD)
            break;
    }
    return until;
}

int coir_cancel_cause(coir_failure *cause)
{
    coir_i_fiber *f = coir_i_self();
    coir_time until;
    if (!f || !coir_i_scope_check(f))
        return -ENOENT;
    coir_i_scope *s = coir_i_scope_cancelled_by(f->scope, &until);
    *cause = (coir_failure){.code = s->cause_code, .id = s->cause_id};
    coir_i_copy_text(cause->name, sizeof cause->name, s->cause_name);
    if (load_relaxed(&s->state) & COIR_I_SCOPE_NURSERY)
        coir_i_nursery_cause((coir_i_nursery *)s, cause);
    return 0;
}
