/* bench/bench_children.c -- what do a million children of one nursery cost?
 *
 * They do nothing; all are started before the close waits for them. A figure is
 * the time for one child; the peak of memory tells what a child costs that has
 * not begun yet. */
#include <coir.h>

#include "bench/bench.h"

enum { CHILDREN = 1000000 };

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int run_all(void)
{
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (int i = 0; i < CHILDREN && rc == 0; i++)
        rc = coir_go(&nursery, do_nothing, NULL);
    return coir_nursery_close_with(&nursery, rc);
}

static int time_all(void *ns)
{
    int rc = run_all();
    int64_t begin = bench_now();

    if (rc == 0)
        rc = run_all();
    *(double *)ns = (double)(bench_now() - begin) / CHILDREN;
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
        .id = "children",
        .text = "1,000,000 children at once, a child",
        .unit = "ns",
        .measure = measure,
        .targets = {{1, 25}, {2, 25}},
        .peak_id = "children_peak",
        .peak_target = 110};

    return bench_ask(&question);
}
