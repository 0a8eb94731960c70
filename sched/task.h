/* sched/task.h -- what a handle on a fiber is made of
 *
 *     WAITING --begin--> RUNNING --ending, end--> ENDING --end--> DONE
 *
 * The word `state` is the phase, a lock bit and whether the task is to be
 * cancelled. Everything but the result is under the lock; the store that makes
 * the task DONE also unlocks it, and is the last access of who ended it: from
 * then on the handle is its keeper's alone. */
#ifndef COIR_SCHED_TASK_H
#define COIR_SCHED_TASK_H

#include <coir/task.h>

#include "sched/park.h"
#include "sched/scope.h"

typedef struct coir_i_task coir_i_task;
typedef struct coir_i_watch coir_i_watch;

/* Somebody who wants to know when the task is done: on the heap, or the
 * watcher's stack. */
struct coir_i_watch {
    coir_i_watch *next, **prev; /* under the lock; prev NULL: not linked */
    coir_i_task *task;
    /* Under the lock, when the task is done but for the unlocking. The watch
     * is unlinked already. */
    void (*fired)(coir_i_watch *watch);
};

typedef struct coir_i_callback {
    void (*fn)(coir_task *task, void *data);
    void *data;
} coir_i_callback;

typedef struct coir_i_more_callbacks coir_i_more_callbacks;

struct coir_i_task {
    _Atomic(uint32_t) state;
    int result;
    uint64_t id;
    coir_i_scope *scope; /* its own, while RUNNING */
    coir_i_watch *watches;
    coir_i_callback callback;                /* the first one; fn NULL: none */
    coir_i_more_callbacks *more, **more_end; /* the others, on the heap */
    char message[COIR_MESSAGE_MAX];
};

_Static_assert(sizeof(coir_i_task) <= sizeof(coir_task), "as published");

static inline coir_i_task *coir_i_task_in(const coir_task *task)
{
    return (coir_i_task *)(uintptr_t)task;
}

/* Before it is started, and if that was refused. */
void coir_i_task_init(coir_i_task *task, uint64_t id);
void coir_i_task_refuse(coir_i_task *task, int why);

/* From the fiber: its life begins in its own scope; has ended. After that
 * nobody new finds the scope, and it can be closed. */
void coir_i_task_begin(coir_i_task *task, coir_i_scope *own);
/* From here on it ends: what that does may cancel who waits for it, and who had
 * begun to wait goes on waiting for the end. */
void coir_i_task_ending(coir_i_task *task);
bool coir_i_task_is_ending(coir_i_task *task);
void coir_i_task_end(coir_i_task *task, int result, const char *message);

/* Link watch to a task, unless that is done: then false. */
bool coir_i_task_watch(coir_i_task *task, coir_i_watch *watch);
/* Take it back, if it is linked; when this returns nobody touches it. */
void coir_i_task_unwatch(coir_i_watch *watch);

#endif
