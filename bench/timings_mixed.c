/* bench/timings_mixed.c -- waiting, reading and computing at once
 *
 * Does       the GETs, the files and the primes of the other jobs together: one
 *            after another, all by threads, and all in one nursery, with the
 *            primes counted by fibers or in worker processes.
 * Answer     the answers of all three.
 */
#include "bench/timings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct mixed {
    struct timings_job parts[TIMINGS_PARTS];
};

/* One of the jobs that are done at once, and how. */
struct part {
    coir_fn *way;
    void *data;
};

static int do_part(void *arg)
{
    const struct part *part = arg;

    return part->way(part->data);
}

static int do_in_turn(void *data)
{
    const struct mixed *mixed = data;
    int rc = timings_http_in_turn(mixed->parts[TIMINGS_HTTP].data);

    if (rc == 0)
        rc = timings_files_in_turn(mixed->parts[TIMINGS_FILES].data);
    if (rc == 0)
        rc = timings_primes_in_turn(mixed->parts[TIMINGS_PRIMES].data);
    return rc;
}

static int do_by_threads(void *data)
{
    const struct mixed *mixed = data;
    struct part parts[TIMINGS_PARTS] = {
        {timings_http_threads, mixed->parts[TIMINGS_HTTP].data},
        {timings_files_threads, mixed->parts[TIMINGS_FILES].data},
        {timings_primes_threads, mixed->parts[TIMINGS_PRIMES].data}};
    struct timings_work work = {do_part, parts, TIMINGS_PARTS,
                                sizeof(parts[0])};

    return timings_by_threads(&work, 0);
}

/* A nursery is a block like any other: it holds what was written to be the
 * whole of a program. */
static int do_in_nursery(const struct mixed *mixed, coir_fn *count_primes)
{
    coir_nursery nursery;
    int rc;

    coir_nursery_open(&nursery);
    rc =
        coir_go(&nursery, timings_http_fibers, mixed->parts[TIMINGS_HTTP].data);
    if (rc == 0)
        rc = coir_go(&nursery, timings_files_fibers,
                     mixed->parts[TIMINGS_FILES].data);
    if (rc == 0)
        rc = coir_go(&nursery, count_primes, mixed->parts[TIMINGS_PRIMES].data);
    return coir_nursery_close_with(&nursery, rc);
}

static int do_with_pool(void *data)
{
    return do_in_nursery(data, timings_primes_fibers);
}

static int do_with_processes(void *data)
{
    return do_in_nursery(data, timings_primes_processes);
}

static uint64_t answer_of(const void *data)
{
    const struct mixed *mixed = data;
    uint64_t answer = 0;

    for (size_t i = 0; i < TIMINGS_PARTS; i++) {
        const struct timings_job *part = &mixed->parts[i];

        answer = timings_mix(answer, part->answer(part->data));
    }
    return answer;
}

static const struct timings_way ways[] = {
    {.name = "sequential", .plain = do_in_turn},
    {.name = "threads", .plain = do_by_threads, .may_be_refused = true},
    {.name = "fibers + pool", .fibers = do_with_pool},
    {.name = "fibers + processes", .fibers = do_with_processes},
    {.name = NULL}};

int timings_mixed_new(struct timings_job *job,
                      const struct timings_job parts[TIMINGS_PARTS])
{
    struct mixed *mixed = calloc(1, sizeof(*mixed));

    if (mixed == NULL) {
        fprintf(stderr, "timings: no memory\n");
        return -ENOMEM;
    }
    *job = (struct timings_job){.id = "mixed",
                                .title = "GETs, files and primes at once",
                                .data = mixed,
                                .answer = answer_of,
                                .ways = ways};
    for (size_t i = 0; i < TIMINGS_PARTS; i++) {
        mixed->parts[i] = parts[i];
        job->count += parts[i].count;
    }
    return 0;
}
