/* Nurseries: fibers that cannot outlive their block. See coir_nursery(3). */
#ifndef COIR_NURSERY_H
#define COIR_NURSERY_H

#include <coir/base.h>
#include <coir/scope.h>
#include <coir/task.h>

COIR_BEGIN

typedef struct coir_nursery {
    COIR_PRIVATE(448);
} coir_nursery;

void coir_nursery_open(coir_nursery *nursery); /* [fiber] */

/* [parks] Wait for every child; it never returns while one lives. */
int coir_nursery_close(coir_nursery *nursery) COIR_MUST_USE;
int coir_nursery_close_with(coir_nursery *nursery, int rc) COIR_MUST_USE;

void coir_nursery_cancel(coir_nursery *nursery); /* any thread */
coir_scope *coir_nursery_scope(coir_nursery *nursery);
void coir_nursery_keep_going(coir_nursery *nursery); /* [fiber] */

/* [fiber] Where failures are kept, in the order in which they came; to be
 * called before the first child. */
void coir_nursery_collect(coir_nursery *nursery, coir_failure *failures,
                          size_t capacity);
size_t coir_nursery_failed(const coir_nursery *nursery);

/* [fiber] 0: the child owns arg now and will run. Below 0: nothing was
 * started. */
int coir_go(coir_nursery *nursery, coir_fn *fn, void *arg) COIR_MUST_USE;
int coir_go_copy(coir_nursery *nursery, coir_fn *fn, const void *arg,
                 size_t size) COIR_MUST_USE;
int coir_spawn(coir_nursery *nursery, coir_task *task, coir_fn *fn,
               void *arg) COIR_MUST_USE;

typedef struct coir_spawn_options {
    const char *name;
    size_t stack_size;
    size_t copy; /* bytes of *arg that the fiber gets its own copy of */
    uint64_t reserved[4];
} coir_spawn_options;
/* [fiber] As coir_spawn. */
int coir_spawn_with(coir_nursery *nursery, coir_task *task_or_null,
                    const coir_spawn_options *options, coir_fn *fn,
                    void *arg) COIR_MUST_USE;

/* [parks] fn(&items[i]) for every i in order, at most limit of them at a time
 * (0: no limit). */
int coir_each(coir_fn *fn, void *items, size_t count, size_t size,
              unsigned limit) COIR_MUST_USE;

/* [parks] fn(&items[i]) for every i, split over the workers. */
int coir_parallel(coir_fn *fn, void *items, size_t count,
                  size_t size) COIR_MUST_USE;

COIR_END

#endif
