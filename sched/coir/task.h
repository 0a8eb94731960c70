/* Handles on single fibers. See coir_task(3) and coir_wait(3). */
#ifndef COIR_TASK_H
#define COIR_TASK_H

#include <coir/base.h>

COIR_BEGIN

/* Its bytes need no initialising; in place until the fiber has ended. */
typedef struct coir_task {
    COIR_PRIVATE(192);
} coir_task;

/* A fiber of the runtime's own, started from any thread. */
int coir_background(coir_task *task_or_null, coir_fn *fn,
                    void *arg) COIR_MUST_USE;

int coir_join(coir_task *task, int *result) COIR_MUST_USE; /* [parks] */
bool coir_task_done(const coir_task *task);
int coir_task_result(const coir_task *task); /* -EINPROGRESS: not yet */
const char *coir_task_message(const coir_task *task);
uint64_t coir_task_id(const coir_task *task);
void coir_task_cancel(coir_task *task); /* that fiber alone */

/* fn(task, data) when task has ended; fn must not park. */
void coir_task_on_done(coir_task *task, void (*fn)(coir_task *task, void *data),
                       void *data);

/* [parks] How many have ended; those stand first in the array then. */
enum coir_wait_for {
    COIR_ALL_DONE,
    COIR_FIRST_DONE,
    COIR_FIRST_FAILED,
    COIR_NOW
};
int coir_wait(coir_task **tasks, size_t count,
              enum coir_wait_for what) COIR_MUST_USE;

/* The tasks, in the order in which they end. */
typedef struct coir_completions {
    COIR_PRIVATE(64);
} coir_completions;
int coir_completions_open(coir_completions *c, coir_task *const *tasks,
                          size_t count) COIR_MUST_USE; /* [fiber] */
int coir_completions_next(coir_completions *c,
                          coir_task **task) COIR_MUST_USE; /* [parks] */
void coir_completions_close(coir_completions *c);          /* [fiber] */

COIR_END

#endif
