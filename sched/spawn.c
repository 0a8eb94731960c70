/* sched/spawn.c -- starting children
 *
 * Does       coir_go and its kin: check, make the record, hand it to the nest.
 * Invariants
 *   A child that is accepted runs; one that is refused has left no trace, but
 *   that its task is done, with the refusal as its result.
 * Fails      -ECANCELED, -ENOMEM, -EPERM.
 * Tests      test/test_nursery.c, test/stress_spawn_cancel.c */
#include "sched/nursery.h"
#include "sched/runtime.h"
#include "sched/task.h"
#include "sched/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE = 64 }; /* starts from one look at how many live to the next */

/* 0; or why no child can be started in n from here. */
static inline __attribute__((always_inline)) int refusal(coir_i_nursery *n,
                                                         coir_i_worker *w)
{
    if (coir_i_unlikely(!w || !w->thread.running->life))
        return -EPERM;
    int rc = coir_i_nursery_refuses(n);
    if (coir_i_unlikely(rc < 0))
        return rc;
    /* relaxed: a hint, which costs a start a second try at most. */
    if (coir_i_unlikely(load_relaxed(&coir_i_runtime.starved)) &&
        !coir_i_fibers_at_hand(w))
        return -ENOMEM;
    return 0;
}

static inline __attribute__((always_inline)) int
start(coir_i_nursery *n, coir_i_worker *w, const coir_i_child *c)
{
    int rc = coir_i_nest_start(n, c, w->thread.running == n->scope.fiber);
    if (coir_i_unlikely(rc < 0))
        return rc;
    coir_i_count_up(&w->counts.spawned);
    if (coir_i_unlikely(load_relaxed(&w->counts.spawned) % SAMPLE == 0))
        coir_i_fibers_sample();
    return 0;
}

int coir_go(coir_nursery *nursery, coir_fn *fn, void *arg)
{
    coir_i_nursery *n = coir_i_nursery_of(nursery);
    coir_i_worker *w = coir_i_worker_here();
    coir_i_child child = {fn, arg, NULL};
    int rc = refusal(n, w);
    return rc < 0 ? rc : start(n, w, &child);
}

int coir_spawn(coir_nursery *nursery, coir_task *task, coir_fn *fn, void *arg)
{
    coir_i_nursery *n = coir_i_nursery_of(nursery);
    coir_i_worker *w = coir_i_worker_here();
    coir_i_child child = {fn, arg, task};
    int rc = refusal(n, w);
    coir_i_task_init(coir_i_task_in(task), rc < 0 ? 0 : coir_i_new_id(w));
    if (coir_i_likely(rc == 0))
        rc = start(n, w, &child);
    if (coir_i_unlikely(rc < 0))
        coir_i_task_refuse(coir_i_task_in(task), rc);
    return rc;
}

static coir_i_start *new_start(const coir_spawn_options *options,
                               const void *arg)
{
    coir_i_start *more = malloc(sizeof *more + options->copy);
    if (!more)
        return NULL;
    more->task = NULL;
    more->fiber = NULL;
    coir_i_copy_text(more->name, sizeof more->name,
                     options->name ? options->name : "");
    if (options->copy)
        memcpy(more->copy, arg, options->copy);
    if (options->stack_size &&
        !(more->fiber = coir_i_fibers_get_sized(options->stack_size))) {
        free(more);
        return NULL;
    }
    return more;
}

static void free_start(coir_i_start *more)
{
    if (more->fiber)
        coir_i_fibers_drop(more->fiber);
    free(more);
}

int coir_spawn_with(coir_nursery *nursery, coir_task *task_or_null,
                    const coir_spawn_options *options, coir_fn *fn, void *arg)
{
    coir_i_nursery *n = coir_i_nursery_of(nursery);
    coir_i_worker *w = coir_i_worker_here();
    coir_i_task *task = coir_i_task_in(task_or_null);
    coir_i_start *more = NULL;
    int rc = refusal(n, w);
    if (task)
        coir_i_task_init(task, rc < 0 ? 0 : coir_i_new_id(w));
    if (rc == 0 && !(more = new_start(options, arg)))
        rc = -ENOMEM;
    if (rc == 0) {
        more->task = task_or_null;
        rc = start(n, w,
                   &(coir_i_child){fn, options->copy ? more->copy : arg,
                                   (void *)((uintptr_t)more | 1)});
        if (rc < 0)
            free_start(more);
    }
    if (rc < 0 && task)
        coir_i_task_refuse(task, rc);
    return rc;
}

int coir_go_copy(coir_nursery *nursery, coir_fn *fn, const void *arg,
                 size_t size)
{
    coir_spawn_options options = {.copy = size};
    return coir_spawn_with(nursery, NULL, &options, fn, (void *)(uintptr_t)arg);
}
