/* bench/bench_mutex.c -- what does it cost to lock and unlock a mutex?
 *
 * Asked twice: of one fiber alone, and of eight fibers that share one mutex and
 * count under it. A figure is the time for one lock and unlock: all of the time
 * by all of them. */
#include <coir.h>

#include "bench/bench.h"

#include <errno.h>

enum { WARM_UP = 10000, ALONE = 5000000, FIBERS = 8, SHARED = 500000 };

struct counter {
    coir_mutex mutex;
    long count, rounds;
};

static int count_up(void *arg)
{
    struct counter *counter = arg;

    for (long i = 0; i < counter->rounds; i++) {
        int rc = coir_mutex_lock(&counter->mutex);

        if (rc < 0)
            return rc;
        counter->count++;
        coir_mutex_unlock(&counter->mutex);
    }
    return 0;
}

static int run_fibers(int fibers, long rounds)
{
    struct counter counter = {.rounds = rounds};
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (int i = 0; i < fibers && rc == 0; i++)
        rc = coir_go(&nursery, count_up, &counter);
    rc = coir_nursery_close_with(&nursery, rc);
    if (rc == 0 && counter.count != fibers * rounds)
        rc = -EPROTO; /* it did not lock */
    return rc;
}

static int time_alone(void *ns)
{
    int rc = run_fibers(1, WARM_UP);
    int64_t begin = bench_now();

    if (rc == 0)
        rc = run_fibers(1, ALONE);
    *(double *)ns = (double)(bench_now() - begin) / ALONE;
    return rc;
}

static int time_shared(void *ns)
{
    int rc = run_fibers(FIBERS, WARM_UP);
    int64_t begin = bench_now();

    if (rc == 0)
        rc = run_fibers(FIBERS, SHARED);
    *(double *)ns = (double)(bench_now() - begin) / ((double)FIBERS * SHARED);
    return rc;
}

static int measure_alone(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_alone, ret_ns);
}

static int measure_shared(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_shared, ret_ns);
}

int main(void)
{
    static const struct bench_question questions[] = {
        {.id = "mutex",
         .text = "lock and unlock a mutex, alone",
         .unit = "ns",
         .measure = measure_alone,
         .targets = {{1, 5}, {2, 5}}},
        {.id = "mutex_shared",
         .text = "the same, 8 fibers on one mutex",
         .unit = "ns",
         .measure = measure_shared,
         .targets = {{1, 12}, {2, 15}}}};
    int status = bench_ask(&questions[0]);

    return bench_ask(&questions[1]) | status;
}
