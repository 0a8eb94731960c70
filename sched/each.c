/* sched/each.c -- one function over many items
 *
 * Does       coir_each: a child an item, or `limit` children that take the
 *            items in order; coir_parallel: about a child a worker, each of
 *            which takes runs of items, long ones first.
 * Every item is a life of its own, whoever runs it.
 * Edges      none of its own: `next` is taken by an atomic addition.
 * Fails      as the nursery's close.
 * Tests      test/test_each.c */
#include "sched/nursery.h"
#include "sched/worker.h"

#include <errno.h>

struct work {
    coir_fn *fn;
    char *items;
    size_t count, size;
    unsigned takers;
    coir_i_nursery *nursery;
    _Atomic(size_t) next;
};

/* The items from i on, up to end. False: stop, the nursery is cancelled. */
static bool run_items(struct work *work, size_t i, size_t end)
{
    for (; i < end; i++) {
        coir_i_child child = {work->fn, work->items + i * work->size, NULL};
        if (coir_i_nursery_refuses(work->nursery) < 0)
            return false;
        coir_i_count_up(&coir_i_worker_here()->counts.spawned);
        coir_i_child_run(&child, work->nursery);
    }
    return true;
}

static int take_one_by_one(void *arg)
{
    struct work *work = arg;
    size_t i;
    while ((i = fetch_add_relaxed(&work->next, 1)) < work->count)
        if (!run_items(work, i, i + 1))
            break;
    return 0;
}

static int take_runs(void *arg)
{
    struct work *work = arg;
    size_t i = load_relaxed(&work->next), run;
    do {
        do { /* half of everyone's share of what is left */
            if (i >= work->count)
                return 0;
            run = (work->count - i) / (2 * (size_t)work->takers);
            run = run ? run : 1;
        } while (!cas_relaxed(&work->next, &i, i + run));
    } while (run_items(work, i, i + run) &&
             ((i = load_relaxed(&work->next)), true));
    return 0;
}

static int start_takers(struct work *work, coir_fn *taker)
{
    coir_nursery nursery;
    int rc = 0;
    coir_nursery_open(&nursery);
    work->nursery = coir_i_nursery_of(&nursery);
    for (unsigned i = 0; i < work->takers && rc == 0; i++) {
        rc = coir_go(&nursery, taker, work);
        if (rc == -ENOMEM && i > 0)
            rc = 0; /* those that there are do it all */
    }
    return coir_nursery_close_with(&nursery, rc);
}

static int start_all(struct work *work)
{
    coir_nursery nursery;
    int rc = 0;
    coir_nursery_open(&nursery);
    for (size_t i = 0; i < work->count && rc == 0; i++)
        rc = coir_go(&nursery, work->fn, work->items + i * work->size);
    return coir_nursery_close_with(&nursery, rc);
}

int coir_each(coir_fn *fn, void *items, size_t count, size_t size,
              unsigned limit)
{
    struct work work = {.fn = fn,
                        .items = items,
                        .count = count,
                        .size = size,
                        .takers = limit};
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (limit == 0 || limit >= count)
        return start_all(&work);
    return start_takers(&work, take_one_by_one);
}

int coir_parallel(coir_fn *fn, void *items, size_t count, size_t size)
{
    struct work work = {.fn = fn,
                        .items = items,
                        .count = count,
                        .size = size,
                        .takers = coir_i_runtime.configured};
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (count < work.takers)
        work.takers = (unsigned)count;
    return start_takers(&work, take_runs);
}
