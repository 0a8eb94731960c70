/* bench/bench_fib.c -- what does it cost to divide and conquer with fibers?
 *
 * Fibonacci's numbers by their definition: one half in a child, the other in
 * the caller, down to the last, with no cut-off. A figure is the time for one
 * child. */
#include <coir.h>

#include "bench/bench.h"

#include <errno.h>

enum { N = 30, FIB_N = 832040, CHILDREN = 1346268 /* fib(N + 1) - 1 */ };

struct fib {
    int n;
    int value;
};

static int fib(void *arg)
{
    struct fib *whole = arg;
    struct fib one = {.n = whole->n - 1};
    struct fib two = {.n = whole->n - 2};
    coir_nursery nursery;
    int rc;

    if (whole->n < 2) {
        whole->value = whole->n;
        return 0;
    }
    coir_nursery_open(&nursery);
    rc = coir_go(&nursery, fib, &one);
    if (rc == 0)
        rc = fib(&two);
    rc = coir_nursery_close_with(&nursery, rc);
    whole->value = one.value + two.value;
    return rc;
}

static int time_fib(void *ns)
{
    struct fib warm_up = {.n = N / 2};
    struct fib whole = {.n = N};
    int rc = fib(&warm_up);
    int64_t begin = bench_now();

    if (rc == 0)
        rc = fib(&whole);
    *(double *)ns = (double)(bench_now() - begin) / CHILDREN;
    return rc == 0 && whole.value != FIB_N ? -EBADMSG : rc;
}

static int measure(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_fib, ret_ns);
}

int main(void)
{
    static const struct bench_question question = {
        .id = "fib",
        .text = "fib(30) by fork and join, a task",
        .unit = "ns",
        .measure = measure,
        .targets = {{1, 22}, {2, 13}},
        .peak_id = "fib_peak",
        .peak_target = 8};

    return bench_ask(&question);
}
