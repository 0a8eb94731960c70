/* bench/timings_ways.c -- one after another, or by threads
 *
 * Does       what the ways of all jobs have in common.
 * Fails      with the first failure of an item. A thread that cannot be made
 *            ends the attempt: those that were made are waited for.
 */
#include "bench/timings.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static void *item_at(const struct timings_work *work, size_t index)
{
    return (char *)work->items + index * work->size;
}

int timings_in_turn(const struct timings_work *work)
{
    int rc = 0;

    for (size_t i = 0; i < work->count && rc >= 0; i++)
        rc = work->fn(item_at(work, i));
    return rc < 0 ? rc : 0;
}

/* Threads at one piece of work. */
struct crew {
    const struct timings_work *work;
    bool one_each;      /* a thread goes home after one item */
    atomic_size_t next; /* the first item that nobody has taken */
    atomic_int rc;      /* a failure, if there was one */
};

static void *work_in_thread(void *arg)
{
    struct crew *crew = arg;

    do {
        size_t index = atomic_fetch_add(&crew->next, 1);
        int rc;

        if (index >= crew->work->count)
            break;
        rc = crew->work->fn(item_at(crew->work, index));
        if (rc < 0)
            atomic_store(&crew->rc, rc);
    } while (!crew->one_each && atomic_load(&crew->rc) == 0);
    return NULL;
}

int timings_by_threads(const struct timings_work *work, size_t threads)
{
    struct crew crew = {.work = work, .one_each = threads == 0};
    size_t wanted = threads == 0 ? work->count : threads;
    size_t started = 0;
    pthread_t *ids = calloc(wanted, sizeof(*ids));
    int refused = 0;

    if (ids == NULL)
        return -ENOMEM;
    while (started < wanted && refused == 0) {
        refused = pthread_create(&ids[started], NULL, work_in_thread, &crew);
        if (refused == 0)
            started++;
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    free(ids);
    return refused != 0 ? -refused : atomic_load(&crew.rc);
}

size_t timings_cpus(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1;
    return (size_t)CPU_COUNT(&set);
}

uint64_t timings_mix(uint64_t answer, uint64_t value)
{
    return (answer ^ value) * 0x9e3779b97f4a7c15 + 1;
}
