/* bench/timings_sleep.c -- the job that only waits: sleeps of a tenth of a
 * second
 *
 * Does       sleep one after another, in a thread for each, in a fiber for
 *            each: 5 times, as in everybody's first example, and many times.
 * Answer     how many sleeps were as long as they had to be.
 */
#include "bench/timings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FEW = 5 };

#define LENGTH COIR_MS(100)

struct sleeps {
    size_t count;
    coir_time *slept; /* of each: for how long */
};

/* ---- blocking ---- */

static int sleep_blocking(void *arg)
{
    coir_time *slept = arg;
    struct timespec left = {.tv_sec = LENGTH / 1000000000,
                            .tv_nsec = LENGTH % 1000000000};
    coir_time begin = coir_now();

    while (nanosleep(&left, &left) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    *slept = coir_now() - begin;
    return 0;
}

static struct timings_work work_of(const struct sleeps *sleeps)
{
    return (struct timings_work){sleep_blocking, sleeps->slept, sleeps->count,
                                 sizeof(*sleeps->slept)};
}

/* ---- fibers ---- */

static int sleep_in_fiber(void *arg)
{
    coir_time *slept = arg;
    coir_time begin = coir_now();
    int rc = coir_sleep(LENGTH);

    *slept = coir_now() - begin;
    return rc;
}

/* A fiber for each sleep; the close waits for all of them. */
static int sleep_in_fibers(void *arg)
{
    struct sleeps *sleeps = arg;
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (size_t i = 0; i < sleeps->count && rc == 0; i++)
        rc = coir_go(&nursery, sleep_in_fiber, &sleeps->slept[i]);
    return coir_nursery_close_with(&nursery, rc);
}

/* ---- the ways ---- */

static int sleep_in_turn(void *data)
{
    struct timings_work work = work_of(data);

    return timings_in_turn(&work);
}

static int sleep_in_threads(void *data)
{
    struct timings_work work = work_of(data);

    return timings_by_threads(&work, 0);
}

static double compute_in_turn(void *data)
{
    struct sleeps *sleeps = data;

    for (size_t i = 0; i < sleeps->count; i++)
        sleeps->slept[i] = LENGTH;
    return (double)sleeps->count * (double)LENGTH / 1e9;
}

static uint64_t count_slept(const void *data)
{
    const struct sleeps *sleeps = data;
    uint64_t slept = 0;

    for (size_t i = 0; i < sleeps->count; i++)
        slept += sleeps->slept[i] >= LENGTH;
    return slept;
}

static const struct timings_way few_ways[] = {
    {.name = "sequential", .plain = sleep_in_turn},
    {.name = "threads", .plain = sleep_in_threads, .may_be_refused = true},
    {.name = "fibers", .fibers = sleep_in_fibers},
    {.name = NULL}};

static const struct timings_way many_ways[] = {
    {.name = "sequential", .compute = compute_in_turn},
    {.name = "threads", .plain = sleep_in_threads, .may_be_refused = true},
    {.name = "fibers", .fibers = sleep_in_fibers},
    {.name = NULL}};

int timings_sleeps_new(struct timings_job *job, size_t count)
{
    struct sleeps *sleeps = calloc(1, sizeof(*sleeps));

    if (sleeps != NULL)
        sleeps->slept = calloc(count, sizeof(*sleeps->slept));
    if (sleeps == NULL || sleeps->slept == NULL) {
        fprintf(stderr, "timings: no memory for %zu sleeps\n", count);
        free(sleeps);
        return -ENOMEM;
    }
    sleeps->count = count;
    *job = (struct timings_job){.id = "sleeps",
                                .count = count,
                                .data = sleeps,
                                .answer = count_slept,
                                .ways = many_ways};
    snprintf(job->title, sizeof(job->title), "%zu sleeps of 1 s / 10", count);
    return 0;
}

int timings_few_sleeps_new(struct timings_job *job)
{
    int rc = timings_sleeps_new(job, FEW);

    if (rc == 0) {
        job->id = "few_sleeps";
        job->ways = few_ways;
    }
    return rc;
}
