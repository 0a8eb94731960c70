/* bench/bench_yields.c -- and among ten thousand, whose stacks lie in no cache?
 *
 * Every fiber yields a hundred times; a figure is the time for one yield,
 * starting and ending the fibers included. */
#include <coir.h>

#include "bench/bench.h"

enum { FIBERS = 10000, YIELDS = 100 };

static int yield_often(void *arg)
{
    int rc = 0;

    (void)arg;
    for (int i = 0; i < YIELDS && rc == 0; i++)
        rc = coir_yield();
    return rc;
}

static int run_all(void)
{
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (int i = 0; i < FIBERS && rc == 0; i++)
        rc = coir_go(&nursery, yield_often, NULL);
    return coir_nursery_close_with(&nursery, rc);
}

/* The first time around, every stack is touched for the first time. */
static int time_all(void *ns)
{
    int rc = run_all();
    int64_t begin = bench_now();

    if (rc == 0)
        rc = run_all();
    *(double *)ns = (double)(bench_now() - begin) / ((double)FIBERS * YIELDS);
    return rc;
}

static int measure(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_all, ret_ns);
}

int main(void)
{
    static const struct bench_question question = {
        .id = "yields",
        .text = "10,000 fibers x 100 yields, a yield",
        .unit = "ns",
        .measure = measure,
        .targets = {{1, 13}, {2, 8}}};

    return bench_ask(&question);
}
