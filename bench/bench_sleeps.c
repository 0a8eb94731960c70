/* bench/bench_sleeps.c -- how much CPU do a million timers take?
 *
 * A million fibers with stacks of 64 KiB sleep, each for 1 to 1000 ms. A figure
 * is the CPU time of all of it, from the first start to the last end. */
#include <coir.h>

#include "bench/bench.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

enum { FIBERS = 1000000, STACK_KIB = 64 };

static int sleep_so_long(void *arg)
{
    const coir_time *length = arg;

    return coir_sleep(*length);
}

static int sleep_all(coir_time *lengths)
{
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (int i = 0; i < FIBERS && rc == 0; i++)
        rc = coir_go(&nursery, sleep_so_long, &lengths[i]);
    return coir_nursery_close_with(&nursery, rc);
}

static int weigh(void *seconds)
{
    coir_time *lengths = malloc(FIBERS * sizeof(*lengths));
    uint32_t random = 1;
    double before;
    int rc;

    if (lengths == NULL)
        return -ENOMEM;
    for (int i = 0; i < FIBERS; i++) {
        random = random * 1664525 + 1013904223;
        lengths[i] = COIR_MS(1 + (random >> 16) % 1000);
    }
    before = bench_cpu();
    rc = sleep_all(lengths);
    *(double *)seconds = bench_cpu() - before;
    free(lengths);
    return rc;
}

static int measure(unsigned workers, double *ret_seconds)
{
    coir_config config = {.workers = workers, .stack_size = STACK_KIB * 1024};

    return coir_run_with(&config, weigh, ret_seconds);
}

int main(void)
{
    static const struct bench_question question = {
        .id = "sleeps",
        .text = "1,000,000 sleeps of 1 to 1000 ms, CPU",
        .unit = "s",
        .measure = measure,
        .targets = {{1, 2.5}, {2, 2.5}},
        .runs = 3};

    return bench_ask(&question);
}
