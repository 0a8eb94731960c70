/* bench/bench_yield.c -- what does it cost to give way to another fiber?
 *
 * Two fibers yield, again and again. A figure is the time for one yield: all
 * of the time by all of the yields. */
#include <coir.h>

#include "bench/bench.h"

enum { WARM_UP = 10000, YIELDS = 2000000 };

static int yield_many(void *arg)
{
    const int *yields = arg;
    int rc = 0;

    for (int i = 0; i < *yields && rc == 0; i++)
        rc = coir_yield();
    return rc;
}

static int run_pair(int yields)
{
    coir_nursery nursery;
    int rc;

    coir_nursery_open(&nursery);
    rc = coir_go(&nursery, yield_many, &yields);
    if (rc == 0)
        rc = coir_go(&nursery, yield_many, &yields);
    return coir_nursery_close_with(&nursery, rc);
}

static int time_pair(void *ns)
{
    int rc = run_pair(WARM_UP);
    int64_t begin = bench_now();

    if (rc == 0)
        rc = run_pair(YIELDS);
    *(double *)ns = (double)(bench_now() - begin) / (2.0 * YIELDS);
    return rc;
}

static int measure(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_pair, ret_ns);
}

int main(void)
{
    static const struct bench_question question = {
        .id = "yield",
        .text = "yield between two fibers",
        .unit = "ns",
        .measure = measure,
        .targets = {{1, 12}, {2, 8}}};

    return bench_ask(&question);
}
