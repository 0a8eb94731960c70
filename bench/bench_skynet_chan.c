/* bench/bench_skynet_chan.c -- how long does a tree of a million fibers take
 * that tell their sums through channels?
 *
 * As bench_skynet.c, but each fiber sends what it has to the one above, by a
 * rendezvous; that one receives ten numbers from its own channel. */
#include <coir.h>

#include "bench/bench.h"

#include <errno.h>

enum { CHILDREN = 10, LEAVES = 1000000 };

struct branch {
    coir_chan *above;
    int64_t first, leaves; /* the numbers below it */
};

static int tell_sum(void *arg);

static int receive_sum(coir_chan *chan, int64_t *sum)
{
    int rc = 0;

    for (int i = 0; i < CHILDREN && rc == 0; i++) {
        int64_t part = 0;
        rc = coir_chan_recv(chan, &part);
        *sum += part;
    }
    return rc;
}

static int sum_below(const struct branch *branch, int64_t *sum)
{
    struct branch below[CHILDREN];
    int64_t share = branch->leaves / CHILDREN;
    coir_nursery nursery;
    coir_chan *chan;
    int rc = coir_chan_new(&chan, sizeof(int64_t), 0);

    if (rc < 0)
        return rc;
    coir_nursery_open(&nursery);
    for (int i = 0; i < CHILDREN && rc == 0; i++) {
        below[i] = (struct branch){chan, branch->first + i * share, share};
        rc = coir_go(&nursery, tell_sum, &below[i]);
    }
    if (rc == 0)
        rc = receive_sum(chan, sum);
    rc = coir_nursery_close_with(&nursery, rc);
    coir_chan_free(chan);
    return rc;
}

static int tell_sum(void *arg)
{
    const struct branch *branch = arg;
    int64_t sum = branch->first;
    int rc = 0;

    if (branch->leaves > 1) {
        sum = 0;
        rc = sum_below(branch, &sum);
    }
    return rc < 0 ? rc : coir_chan_send(branch->above, &sum);
}

static int time_tree(void *ms)
{
    struct branch warm_up = {.leaves = 1000}, tree = {.leaves = LEAVES};
    int64_t sum = 0;
    int rc = sum_below(&warm_up, &sum);
    int64_t begin = bench_now();

    sum = 0;
    if (rc == 0)
        rc = sum_below(&tree, &sum);
    *(double *)ms = (double)(bench_now() - begin) / 1e6;
    if (rc == 0 && sum != (int64_t)LEAVES * (LEAVES - 1) / 2)
        return -EBADMSG;
    return rc;
}

static int measure(unsigned workers, double *ret_ms)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_tree, ret_ms);
}

int main(void)
{
    static const struct bench_question question = {
        .id = "skynet_chan",
        .text = "skynet, 1,000,000 leaves, by channels",
        .unit = "ms",
        .measure = measure,
        .targets = {{1, 130}, {2, 80}}};

    return bench_ask(&question);
}
