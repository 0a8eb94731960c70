/* sched/task.c -- handles on single fibers
 *
 * Does       begin and end a task; join, cancel, on_done, and what can be asked
 *            of it.
 *
 * Invariants
 *   K1  who sees DONE (acquire) sees the result, and that all on_done calls
 *       have returned.
 *   K2  a watch is linked, or it has fired, or it was taken back.
 *   K3  the last access of who ends the task is the store of DONE.
 *
 * Locks      the lock bit of task.state; under it a fiber may be woken, and
 *            nothing else is locked but queues of the ready.
 * Edges      task.state
 * Fails      coir_task_on_done, when there is no memory for a second callback:
 *            the program stops, since it has no way to report.
 * Tests      test/test_task.c, test/stress_park.c */
#include "sched/task.h"

#include "sched/module.h"
#include "sched/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

enum {
    WAITING,
    RUNNING,
    ENDING, /* its result is certain; its on_done calls may run */
    DONE,
    PHASE = 3,
    LOCK = 4,
    CANCEL = 8 /* it is to be cancelled as soon as it runs */
};

struct coir_i_more_callbacks {
    coir_i_more_callbacks *next;
    coir_i_callback callback;
};

static uint32_t lock(coir_i_task *task)
{
    unsigned spins = 0;
    uint32_t state = load_relaxed(&task->state);
    for (;;) {
        if (state & LOCK) {
            if (++spins % 256)
                coir_i_pause();
            else
                sched_yield();
            state = load_relaxed(&task->state);
            continue;
        }
        /* @observe task.state: what was done under the lock. */
        if (cas_acquire(&task->state, &state, state | LOCK))
            return state;
    }
}

static void unlock(coir_i_task *task, uint32_t state)
{
    /* @publish task.state: what was done under the lock; the result, if
     * DONE. */
    store_release(&task->state, state);
}

static bool is_done(const coir_i_task *task)
{
    /* @observe task.state: the result. */
    if ((load_acquire(&((coir_i_task *)(uintptr_t)task)->state) & PHASE) ==
        DONE)
        return true;
    /* In a call of its on_done it has ended for the callee. */
    coir_i_worker *w = coir_i_worker_here();
    return w && w->ending == (const coir_task *)task;
}

/* ---- its life ---- */

void coir_i_task_init(coir_i_task *task, uint64_t id)
{
    task->result = -EINPROGRESS;
    task->id = id;
    task->scope = NULL;
    task->watches = NULL;
    task->callback.fn = NULL;
    task->more = NULL;
    task->more_end = &task->more;
    task->message[0] = '\0';
    store_relaxed(&task->state, WAITING);
}

void coir_i_task_refuse(coir_i_task *task, int why)
{
    task->result = why;
    unlock(task, DONE);
}

void coir_i_task_begin(coir_i_task *task, coir_i_scope *own)
{
    uint32_t state = lock(task);
    task->scope = own;
    bool cancel = state & CANCEL;
    if (cancel)
        coir_i_scope_hold(own);
    unlock(task, RUNNING);
    if (cancel) {
        coir_failure cause = {.code = -ECANCELED};
        coir_i_scope_cancel(own, &cause);
        coir_i_scope_release(own);
    }
}

void coir_i_task_ending(coir_i_task *task)
{
    lock(task);
    unlock(task, ENDING);
}

bool coir_i_task_is_ending(coir_i_task *task)
{
    /* @observe task.state: by whom the caller was cancelled, if it was. */
    return (load_acquire(&task->state) & PHASE) == ENDING;
}

/* The next call of on_done; false: there was none, and the lock is held. */
static bool next_callback(coir_i_task *task, coir_i_callback *callback)
{
    lock(task);
    coir_i_more_callbacks *more = task->more;
    *callback = task->callback;
    task->callback.fn = NULL;
    if (!callback->fn && more) {
        *callback = more->callback;
        if (!(task->more = more->next))
            task->more_end = &task->more;
        free(more);
    }
    if (!callback->fn)
        return false;
    unlock(task, ENDING);
    return true;
}

void coir_i_task_end(coir_i_task *task, int result, const char *message)
{
    coir_i_callback callback;
    task->result = result; /* published by every unlock from here on */
    coir_i_copy_text(task->message, sizeof task->message, message);
    while (next_callback(task, &callback)) {
        coir_i_worker *w = coir_i_worker_here();
        const coir_task *outer = w->ending;
        w->ending = (const coir_task *)task;
        callback.fn((coir_task *)task, callback.data);
        coir_i_worker_here()->ending = outer;
    }
    task->scope = NULL;
    for (coir_i_watch *watch; (watch = task->watches);) {
        task->watches = watch->next;
        watch->prev = NULL;
        watch->fired(watch);
    }
    unlock(task, DONE);
}

/* ---- who wants to know ---- */

bool coir_i_task_watch(coir_i_task *task, coir_i_watch *watch)
{
    uint32_t state = lock(task);
    bool running = (state & PHASE) != DONE;
    watch->task = task;
    watch->prev = NULL;
    if (running) {
        watch->next = task->watches;
        watch->prev = &task->watches;
        if (watch->next)
            watch->next->prev = &watch->next;
        task->watches = watch;
    }
    unlock(task, state);
    return running;
}

void coir_i_task_unwatch(coir_i_watch *watch)
{
    coir_i_task *task = watch->task;
    uint32_t state = lock(task); /* and so wait until fired has returned */
    if (watch->prev) {
        *watch->prev = watch->next;
        if (watch->next)
            watch->next->prev = watch->prev;
        watch->prev = NULL;
    }
    unlock(task, state);
}

struct joiner {
    coir_i_watch watch; /* first */
    coir_i_ticket ticket;
};

static void wake_joiner(coir_i_watch *watch)
{
    coir_i_wake(((struct joiner *)watch)->ticket, COIR_I_WOKEN);
}

/* Whoever ends the task has woken us and stores DONE with its next breath. */
static void wait_until_let_go(const coir_i_task *task)
{
    for (unsigned spins = 1; !is_done(task); spins++) {
        if (spins % 256)
            coir_i_pause();
        else
            sched_yield(); /* it may have lost its CPU */
    }
}

static uint64_t joined(const void *on)
{
    return ((const coir_i_task *)on)->id;
}

static const coir_i_wait waits_for_task = {"task", COIR_I_WAIT_LOCK, joined};

static int wait_for_end(coir_i_task *task)
{
    enum coir_i_wait_kind kind = COIR_I_CANCELLABLE;
    struct joiner joiner = {.watch.fired = wake_joiner};
    for (;; kind = COIR_I_UNCANCELLABLE) {
        joiner.ticket = coir_i_arm(COIR_NEVER, kind, &waits_for_task, task);
        if (!coir_i_task_watch(task, &joiner.watch))
            coir_i_wake(joiner.ticket, COIR_I_WOKEN);
        if (coir_i_park() != COIR_I_CANCELLED)
            break;
        coir_i_task_unwatch(&joiner.watch);
        /* In this order: it goes from ending to done. */
        if (!coir_i_task_is_ending(task) && !is_done(task))
            return -ECANCELED;
    }
    wait_until_let_go(task);
    return 0;
}

int coir_join(coir_task *handle, int *result)
{
    coir_i_task *task = coir_i_task_in(handle);
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (!is_done(task) && (rc = wait_for_end(task)) < 0)
        return rc;
    if (result)
        *result = task->result;
    return 0;
}

void coir_task_cancel(coir_task *handle)
{
    coir_i_task *task = coir_i_task_in(handle);
    if (!coir_i_runs()) /* its fiber is of the parent process, or long gone */
        return;
    uint32_t state = lock(task);
    coir_i_scope *scope = (state & PHASE) == RUNNING ? task->scope : NULL;
    if ((state & PHASE) == WAITING)
        state |= CANCEL;
    if (scope)
        coir_i_scope_hold(scope);
    unlock(task, state);
    if (scope) {
        coir_failure cause;
        coir_i_scope_cause(&cause, -ECANCELED);
        coir_i_scope_cancel(scope, &cause);
        coir_i_scope_release(scope);
    }
}

enum added { ADDED, ENDED, NO_ROOM };

/* The handle has room for one; for more than that *spare is used. */
static enum added add_callback(coir_i_task *task, coir_i_callback callback,
                               coir_i_more_callbacks **spare)
{
    enum added added = ADDED;
    uint32_t state = lock(task);
    if ((state & PHASE) == DONE) {
        added = ENDED;
    } else if (!task->callback.fn && !task->more) {
        task->callback = callback;
    } else if (*spare) {
        (*spare)->callback = callback;
        (*spare)->next = NULL;
        *task->more_end = *spare;
        task->more_end = &(*spare)->next;
        *spare = NULL;
    } else {
        added = NO_ROOM;
    }
    unlock(task, state);
    return added;
}

void coir_task_on_done(coir_task *handle, void (*fn)(coir_task *, void *),
                       void *data)
{
    coir_i_task *task = coir_i_task_in(handle);
    coir_i_callback callback = {fn, data};
    coir_i_more_callbacks *spare = NULL;
    enum added added = is_done(task) ? ENDED : NO_ROOM;
    if (added != ENDED)
        added = add_callback(task, callback, &spare);
    if (added == NO_ROOM) {
        spare = malloc(sizeof *spare);
        coir_i_need(spare != NULL, "no memory for coir_task_on_done");
        added = add_callback(task, callback, &spare);
        free(spare);
    }
    if (added == ENDED)
        fn(handle, data);
}

/* ---- what can be asked ---- */

bool coir_task_done(const coir_task *task)
{
    return is_done(coir_i_task_in(task));
}

int coir_task_result(const coir_task *task)
{
    return coir_task_done(task) ? coir_i_task_in(task)->result : -EINPROGRESS;
}

const char *coir_task_message(const coir_task *task)
{
    return coir_task_done(task) ? coir_i_task_in(task)->message : "";
}

uint64_t coir_task_id(const coir_task *task)
{
    return coir_i_task_in(task)->id;
}
