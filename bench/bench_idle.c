/* bench/bench_idle.c -- does a runtime with nothing to do leave the CPU alone?
 *
 * Eight workers are made to work, then one fiber sleeps. A figure is the CPU
 * time of the process during that sleep, in percent of it. Two clocks are read
 * and one timer ends: less than 0.1 % is none. */
#include <coir.h>

#include "bench/bench.h"

enum { WORKERS = 8, FIBERS = 64, SETTLE_MS = 200, IDLE_MS = 2000 };

static int compute_for_a_while(void *arg)
{
    int64_t end = bench_now() + 1000000;

    (void)arg;
    while (bench_now() < end)
        continue;
    return 0;
}

static int wake_all_workers(void)
{
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (int i = 0; i < FIBERS && rc == 0; i++)
        rc = coir_go(&nursery, compute_for_a_while, NULL);
    return coir_nursery_close_with(&nursery, rc);
}

static int idle(void *percent)
{
    int rc = wake_all_workers();
    double before;

    if (rc == 0)
        rc = coir_sleep(COIR_MS(SETTLE_MS));
    before = bench_cpu();
    if (rc == 0)
        rc = coir_sleep(COIR_MS(IDLE_MS));
    *(double *)percent = 100 * (bench_cpu() - before) / (IDLE_MS / 1e3);
    return rc;
}

static int measure(unsigned workers, double *ret_percent)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, idle, ret_percent);
}

int main(void)
{
    static const struct bench_question question = {.id = "idle",
                                                   .text =
                                                       "CPU of an idle runtime",
                                                   .unit = "%",
                                                   .measure = measure,
                                                   .targets = {{WORKERS, 0.1}},
                                                   .runs = 3};

    return bench_ask(&question);
}
