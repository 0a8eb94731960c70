/* bench/bench_spawn.c -- what does it cost to start one fiber and wait for it?
 *
 * Asked twice: with a nursery for each child, which is opened and closed around
 * it, and with a handle on each child of one nursery, which is joined. */
#include <coir.h>

#include "bench/bench.h"

#include <errno.h>

enum { WARM_UP = 10000, CHILDREN = 1000000 };

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int start_and_close(int children)
{
    int rc = 0;

    for (int i = 0; i < children && rc == 0; i++) {
        coir_nursery nursery;

        coir_nursery_open(&nursery);
        rc = coir_go(&nursery, do_nothing, NULL);
        rc = coir_nursery_close_with(&nursery, rc);
    }
    return rc;
}

static int spawn_and_join(int children)
{
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (int i = 0; i < children && rc == 0; i++) {
        coir_task task;
        int result = -EINPROGRESS;

        rc = coir_spawn(&nursery, &task, do_nothing, NULL);
        if (rc == 0)
            rc = coir_join(&task, &result);
        if (rc == 0)
            rc = result;
    }
    return coir_nursery_close_with(&nursery, rc);
}

static int time_close(void *ns)
{
    int rc = start_and_close(WARM_UP);
    int64_t begin = bench_now();

    if (rc == 0)
        rc = start_and_close(CHILDREN);
    *(double *)ns = (double)(bench_now() - begin) / CHILDREN;
    return rc;
}

static int time_join(void *ns)
{
    int rc = spawn_and_join(WARM_UP);
    int64_t begin = bench_now();

    if (rc == 0)
        rc = spawn_and_join(CHILDREN);
    *(double *)ns = (double)(bench_now() - begin) / CHILDREN;
    return rc;
}

static int measure_close(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_close, ret_ns);
}

static int measure_join(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_join, ret_ns);
}

int main(void)
{
    static const struct bench_question questions[] = {
        {.id = "spawn",
         .text = "open, start one child, close",
         .unit = "ns",
         .measure = measure_close,
         .targets = {{1, 35}, {2, 40}}},
        {.id = "spawn_join",
         .text = "spawn one child and join it",
         .unit = "ns",
         .measure = measure_join,
         .targets = {{1, 35}, {2, 40}}}};
    int status = bench_ask(&questions[0]);

    return bench_ask(&questions[1]) | status;
}
