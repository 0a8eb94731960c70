/* sched/yield.c -- giving way, sleeping, staying on one worker
 *
 * Does       coir_yield, coir_checkpoint, coir_sleep, coir_pin.
 * Fails      -EPERM, -ECANCELED.
 * Tests      test/test_yield.c, test/test_sleep.c */
#include <coir/run.h>

#include "sched/clock.h"
#include "sched/scope.h"
#include "sched/worker.h"

#include <errno.h>

int coir_yield(void)
{
    coir_i_fiber *f = coir_i_self();
    if (!f)
        return -EPERM;
    if (coir_i_scope_check(f))
        return -ECANCELED;
    coir_i_give_way(COIR_I_CHILD);
    return 0;
}

/* A fiber that computes asks often: its share is a length of time. */
int coir_checkpoint(void)
{
    coir_i_worker *w = coir_i_worker_here();
    if (!w || !w->thread.running->life)
        return -EPERM;
    coir_i_fiber *f = w->thread.running;
    if (coir_i_unlikely(coir_i_time_to_look(w))) {
        int error_number = *w->thread.error_number;
        coir_i_look_around(w);
        if (!coir_i_scope_check(f))
            coir_i_give_way(COIR_I_CHILD);
        *coir_i_here()->error_number = error_number;
    }
    return coir_i_scope_check(f) ? -ECANCELED : 0;
}

static const coir_i_wait sleeps = {.what = "sleep"};

int coir_sleep_until(coir_time at)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (at <= coir_i_now())
        return coir_yield();
    coir_i_arm(at, COIR_I_CANCELLABLE, &sleeps, NULL);
    return coir_i_park() == COIR_I_CANCELLED ? -ECANCELED : 0;
}

int coir_sleep(coir_time length)
{
    if (length <= 0)
        return coir_yield();
    return coir_sleep_until(coir_i_time_add(coir_i_now(), length));
}

void coir_pin(void)
{
    coir_i_worker *w = coir_i_worker_here();
    coir_i_fiber *f = coir_i_self();
    coir_i_rule(f != NULL, "coir_pin is for fibers");
    if (f->stack->pins++ == 0)
        store_relaxed(&f->home, w->id + 1);
}

void coir_unpin(void)
{
    coir_i_fiber *f = coir_i_self();
    coir_i_rule(f && f->stack->pins > 0, "coir_unpin without coir_pin");
    if (--f->stack->pins == 0)
        store_relaxed(&f->home, 0);
}
