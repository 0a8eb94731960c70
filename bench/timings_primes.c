/* bench/timings_primes.c -- the job that computes: counting primes
 *
 * Does       count the primes below 50,000 60,000 70,000 80,000, each times a
 *            factor, by trial division: one after another, by as many threads
 *            as there are CPUs, by coir_parallel(), and in worker processes.
 * Answer     all four counts.
 */
#include "bench/timings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 4, STRETCH = 2000 };

static const unsigned limits[ITEMS] = {50000, 60000, 70000, 80000};

struct count {
    unsigned limit;
    int primes; /* below limit */
};

struct counts {
    struct count items[ITEMS];
};

static bool is_prime(unsigned n)
{
    if (n < 4)
        return n >= 2;
    if (n % 2 == 0)
        return false;
    for (unsigned d = 3; d <= n / d; d += 2) {
        if (n % d == 0)
            return false;
    }
    return true;
}

/* The primes in [from, to). */
static int count_primes(unsigned from, unsigned to)
{
    int primes = 0;

    for (unsigned n = from; n < to; n++)
        primes += is_prime(n);
    return primes;
}

/* ---- one after another, and threads ---- */

static int count_all(void *arg)
{
    struct count *count = arg;

    count->primes = count_primes(0, count->limit);
    return 0;
}

static struct timings_work work_of(struct counts *counts)
{
    return (struct timings_work){count_all, counts->items, ITEMS,
                                 sizeof(counts->items[0])};
}

int timings_primes_in_turn(void *data)
{
    struct timings_work work = work_of(data);

    return timings_in_turn(&work);
}

int timings_primes_threads(void *data)
{
    struct timings_work work = work_of(data);

    return timings_by_threads(&work, timings_cpus());
}

/* ---- fibers ---- */

/* Who computes for long asks now and then whether it is somebody else's turn,
 * and whether it is still wanted. */
static int count_politely(void *arg)
{
    struct count *count = arg;
    int primes = 0;

    for (unsigned n = 0; n < count->limit; n += STRETCH) {
        unsigned end = count->limit - n < STRETCH ? count->limit : n + STRETCH;
        int rc = coir_checkpoint();

        if (rc < 0)
            return rc;
        primes += count_primes(n, end);
    }
    count->primes = primes;
    return 0;
}

int timings_primes_fibers(void *data)
{
    struct counts *counts = data;

    return coir_parallel(count_politely, counts->items, ITEMS,
                         sizeof(counts->items[0]));
}

/* ---- worker processes ---- */

/* In another process: arg is a copy of the limit, the count goes back. */
static ssize_t count_as_job(const void *arg, size_t size, void *result,
                            size_t capacity)
{
    unsigned limit;
    int primes;

    if (size != sizeof(limit) || capacity < sizeof(primes))
        return -EINVAL;
    memcpy(&limit, arg, sizeof(limit));
    primes = count_primes(0, limit);
    memcpy(result, &primes, sizeof(primes));
    return sizeof(primes);
}

/* What a fiber needs to have one count done; it lives as long as its nursery
 * is open. */
struct errand {
    coir_process_pool *pool;
    unsigned limit;
    coir_task task;
};

/* A fiber's result may carry a number: here the count of primes. */
static int count_in_process(void *arg)
{
    const struct errand *errand = arg;
    int primes;
    ssize_t size =
        coir_process_pool_run(errand->pool, count_as_job, &errand->limit,
                              sizeof(errand->limit), &primes, sizeof(primes));

    return size < 0 ? (int)size : primes;
}

static int run_errands(struct errand *errands, struct count *counts)
{
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (size_t i = 0; i < ITEMS && rc == 0; i++)
        rc = coir_spawn(&nursery, &errands[i].task, count_in_process,
                        &errands[i]);
    for (size_t i = 0; i < ITEMS && rc == 0; i++)
        rc = coir_join(&errands[i].task, &counts[i].primes);
    return coir_nursery_close_with(&nursery, rc);
}

int timings_primes_processes(void *data)
{
    struct counts *counts = data;
    struct errand errands[ITEMS];
    coir_process_pool *pool;
    int rc = coir_process_pool_new(&pool, NULL);

    if (rc < 0)
        return coir_fail(rc, "no process pool");
    for (size_t i = 0; i < ITEMS; i++) {
        errands[i].pool = pool;
        errands[i].limit = counts->items[i].limit;
    }
    rc = run_errands(errands, counts->items);
    coir_process_pool_free(pool);
    return rc;
}

/* ---- the ways ---- */

static uint64_t answer_of(const void *data)
{
    const struct counts *counts = data;
    uint64_t answer = 0;

    for (size_t i = 0; i < ITEMS; i++)
        answer = timings_mix(answer, (uint64_t)counts->items[i].primes);
    return answer;
}

static const struct timings_way ways[] = {
    {.name = "sequential", .plain = timings_primes_in_turn},
    {.name = "threads", .plain = timings_primes_threads},
    {.name = "fibers", .fibers = timings_primes_fibers},
    {.name = "fibers + processes", .fibers = timings_primes_processes},
    {.name = NULL}};

int timings_primes_new(struct timings_job *job, unsigned factor)
{
    struct counts *counts = calloc(1, sizeof(*counts));

    if (counts == NULL) {
        fprintf(stderr, "timings: no memory\n");
        return -ENOMEM;
    }
    for (size_t i = 0; i < ITEMS; i++)
        counts->items[i].limit = limits[i] * factor;
    *job = (struct timings_job){.id = "primes",
                                .count = ITEMS,
                                .data = counts,
                                .answer = answer_of,
                                .ways = ways};
    snprintf(job->title, sizeof(job->title),
             "primes below 50,000 60,000 70,000 80,000, times %u", factor);
    return 0;
}
