/* sched/background.c -- fibers of the runtime's own
 *
 * Does       the nursery that the first fiber's body runs in: background fibers
 *            are its children. Any thread may start one: what comes from a
 *            thread that is no worker is listed here until a worker takes it.
 *
 * Invariants
 *   G1  while `accepts` is true the background is open and its opener has not
 *       given up its own count; what is accepted is counted as out at once.
 *
 * Locks      front.lock.
 * Fails      -EPERM: no runtime; -ECANCELED: it is about to end; -ENOMEM.
 * Tests      test/test_task.c */
#include "fiber/report.h"
#include "sched/module.h"
#include "sched/runtime.h"
#include "sched/task.h"

#include <errno.h>
#include <stdlib.h>

typedef struct pending {
    struct pending *next;
    coir_i_child child;
} pending;

coir_nursery coir_i_background;

static struct {
    coir_i_mutex lock;
    bool accepts;
    _Atomic(pending *) first; /* under the lock; a hint without */
    pending **end;
} front;

static _Atomic(int) first_failure;

void coir_i_background_accept(bool accepts)
{
    coir_i_mutex_lock(&front.lock);
    front.accepts = accepts;
    coir_i_mutex_unlock(&front.lock);
    if (accepts)
        store_relaxed(&first_failure, 0);
}

void coir_i_background_forked(void)
{
    store_relaxed(&front.lock.state, 0);
    front.accepts = false;
    store_relaxed(&front.first, NULL);
}

int coir_i_background_result(void)
{
    return load_relaxed(&first_failure); /* all who write it have ended */
}

void coir_i_background_failed(const coir_failure *failure)
{
    int none = 0;
    cas_relaxed(&first_failure, &none, failure->code);
    coir_i_report report = {0};
    coir_i_report_text(&report, "coir: background ");
    coir_i_report_fiber(&report, failure->id, failure->name);
    coir_i_report_text(&report, " failed: ");
    coir_i_report_text(&report, failure->message);
    coir_i_report_text(&report, failure->message[0] ? " (-" : "-");
    coir_i_report_number(&report, (uint64_t) - (int64_t)failure->code);
    coir_i_report_text(&report, failure->message[0] ? ")" : "");
    coir_i_report_send(&report);
}

bool coir_i_runtime_has_starts(void)
{
    return load_relaxed(&front.first) != NULL;
}

static pending *take_all(void)
{
    coir_i_mutex_lock(&front.lock);
    pending *p = load_relaxed(&front.first);
    store_relaxed(&front.first, NULL);
    coir_i_mutex_unlock(&front.lock);
    return p;
}

/* No memory now: before those that came meanwhile. */
static void put_back(pending *first)
{
    pending **end = &first->next;
    while (*end)
        end = &(*end)->next;
    coir_i_mutex_lock(&front.lock);
    *end = load_relaxed(&front.first);
    if (!*end)
        front.end = end;
    store_relaxed(&front.first, first);
    coir_i_mutex_unlock(&front.lock);
}

void coir_i_runtime_take_starts(coir_i_worker *w)
{
    coir_i_nursery *n = coir_i_nursery_of(&coir_i_background);
    if (coir_i_likely(!coir_i_runtime_has_starts()))
        return;
    for (pending *next, *p = take_all(); p; p = next) {
        next = p->next;
        /* Not by the opener, whose wait in close may have brought us here. */
        if (coir_i_nest_start(n, &p->child, false) < 0) {
            put_back(p);
            return;
        }
        free(p);
        coir_i_count_up(&w->counts.spawned);
        /* It waits in n now, or runs, and is counted there. */
        coir_i_nursery_children_ended(n, 1);
    }
}

/* From a thread that runs no fiber. */
static int leave_pending(coir_i_child child)
{
    pending *p = malloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (pending){NULL, child};
    coir_i_mutex_lock(&front.lock);
    bool accepts = front.accepts;
    if (accepts) {
        coir_i_nursery *n = coir_i_nursery_of(&coir_i_background);
        fetch_add_relaxed(&n->waiting.out, 1); /* G1: its opener is counted */
        if (!load_relaxed(&front.first))
            store_relaxed(&front.first, p);
        else
            *front.end = p;
        front.end = &p->next;
        /* Under the lock, which the runtime takes before it ends: afterwards
         * there may be no worker to wake.
         * @dekker idle.sleep: it is on the list. */
        fence_seq_cst();
        coir_i_wake_worker();
    }
    coir_i_mutex_unlock(&front.lock);
    if (!accepts)
        free(p);
    return accepts ? 0 : -ECANCELED;
}

int coir_background(coir_task *task_or_null, coir_fn *fn, void *arg)
{
    coir_i_task *task = coir_i_task_in(task_or_null);
    coir_i_worker *w = coir_i_worker_here();
    if (w && w->thread.running->life)
        return task ? coir_spawn(&coir_i_background, task_or_null, fn, arg)
                    : coir_go(&coir_i_background, fn, arg);
    int rc = coir_i_runs() ? 0 : -EPERM;
    if (task)
        coir_i_task_init(task, rc < 0 ? 0 : coir_i_new_foreign_id());
    if (rc == 0)
        rc = leave_pending((coir_i_child){fn, arg, task_or_null});
    if (rc < 0 && task)
        coir_i_task_refuse(task, rc);
    return rc;
}
