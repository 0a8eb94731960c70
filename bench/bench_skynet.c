/* bench/bench_skynet.c -- how long does a tree of a million fibers take?
 *
 * Each has ten children, down to a million leaves; each leaf gives its number,
 * each fiber above the sum of what its children gave. */
#include <coir.h>

#include "bench/bench.h"

#include <errno.h>

enum { CHILDREN = 10, LEAVES = 1000000 };

struct branch {
    int64_t first, leaves; /* the numbers below it */
    int64_t sum;
};

static int sum_up(void *arg)
{
    struct branch *branch = arg;
    struct branch below[CHILDREN];
    int64_t share = branch->leaves / CHILDREN;
    coir_nursery nursery;
    int rc = 0;

    branch->sum = branch->leaves == 1 ? branch->first : 0;
    if (branch->leaves == 1)
        return 0;
    coir_nursery_open(&nursery);
    for (int i = 0; i < CHILDREN && rc == 0; i++) {
        below[i] = (struct branch){branch->first + i * share, share, 0};
        rc = coir_go(&nursery, sum_up, &below[i]);
    }
    rc = coir_nursery_close_with(&nursery, rc);
    for (int i = 0; i < CHILDREN && rc == 0; i++)
        branch->sum += below[i].sum;
    return rc;
}

static int time_tree(void *ms)
{
    struct branch warm_up = {.leaves = 1000};
    struct branch tree = {.leaves = LEAVES};
    int rc = sum_up(&warm_up);
    int64_t begin = bench_now();

    if (rc == 0)
        rc = sum_up(&tree);
    *(double *)ms = (double)(bench_now() - begin) / 1e6;
    if (rc == 0 && tree.sum != (int64_t)LEAVES * (LEAVES - 1) / 2)
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
        .id = "skynet",
        .text = "skynet, 1,000,000 leaves, by joins",
        .unit = "ms",
        .measure = measure,
        .targets = {{1, 20}, {2, 11}}};

    return bench_ask(&question);
}
