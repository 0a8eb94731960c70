/* bench/bench_pools.c -- what do a blocking call, a cached read and a job cost?
 *
 * Calls and jobs are empty: what is timed is the way there and back. Beside
 * each stands what one would write in plain C for it: pools_plain.c. */
#include <coir.h>

#include "bench/bench.h"
#include "bench/pools_plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CALLS = 20000,
    TOGETHER = 64,
    TRANSFERS = 300,
    TRANSFER = 1 << 20,
    BIRTHS = 100,
    PROCESSES = 2
};

/* ---- Blocking calls ---- */

static int call_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int call_in_turn(int calls)
{
    int rc = 0;
    for (int i = 0; i < calls && rc == 0; i++)
        rc = coir_blocking(call_nothing, NULL);
    return rc;
}

static int time_calls(void *us)
{
    int rc = call_in_turn(CALLS / 10);
    int64_t begin = bench_now();
    if (rc == 0)
        rc = call_in_turn(CALLS);
    *(double *)us = (double)(bench_now() - begin) / 1e3 / CALLS;
    return rc;
}

static int call_share(void *arg)
{
    (void)arg;
    return call_in_turn(CALLS / TOGETHER);
}

static int time_calls_together(void *us)
{
    char items[TOGETHER];
    int64_t begin = bench_now();
    int rc = coir_each(call_share, items, TOGETHER, 1, 0);
    *(double *)us = (double)(bench_now() - begin) / 1e3 / CALLS;
    return rc;
}

static int time_each(void *us)
{
    static char items[CALLS];
    int64_t begin = bench_now();
    int rc = coir_thread_pool_each(NULL, call_nothing, items, CALLS, 1);
    *(double *)us = (double)(bench_now() - begin) / 1e3 / CALLS;
    return rc;
}

/* ---- Reads of what is in memory ---- */

static char page[4096];

static int make_file(void)
{
    char path[32];
    snprintf(path, sizeof path, "/tmp/coir-bench-%d", (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    unlink(path);
    return fd >= 0 && write(fd, page, sizeof page) == sizeof page ? fd : -1;
}

static int time_reads(void *us)
{
    ssize_t n = sizeof page;
    int fd = make_file();
    int64_t begin = bench_now();
    for (int i = 0; i < CALLS && n == sizeof page; i++)
        n = coir_pread(fd, page, sizeof page, 0);
    *(double *)us = (double)(bench_now() - begin) / 1e3 / CALLS;
    close(fd);
    return n == sizeof page ? 0 : -EIO;
}

/* ---- Jobs ---- */

static coir_process_pool *pool;

static ssize_t do_nothing(const void *arg, size_t size, void *result,
                          size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    return 0;
}

static ssize_t copy(const void *arg, size_t size, void *result, size_t capacity)
{
    memcpy(result, arg, size < capacity ? size : capacity);
    return (ssize_t)size;
}

static int run_in_turn(int jobs)
{
    ssize_t n = 0;
    for (int i = 0; i < jobs && n == 0; i++)
        n = coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0);
    return (int)n;
}

static int time_jobs(void *us)
{
    int rc = run_in_turn(CALLS / 10);
    int64_t begin = bench_now();
    if (rc == 0)
        rc = run_in_turn(CALLS);
    *(double *)us = (double)(bench_now() - begin) / 1e3 / CALLS;
    return rc;
}

static int run_share(void *arg)
{
    (void)arg;
    return run_in_turn(CALLS / TOGETHER);
}

static int time_jobs_together(void *us)
{
    char items[TOGETHER];
    int rc = coir_each(run_share, items, TOGETHER / 4, 1, 0);
    int64_t begin = bench_now();
    if (rc == 0)
        rc = coir_each(run_share, items, TOGETHER, 1, 0);
    *(double *)us = (double)(bench_now() - begin) / 1e3 / CALLS;
    return rc;
}

static int transfer(char *there, char *back, int times)
{
    ssize_t n = TRANSFER;
    for (int i = 0; i < times && n == TRANSFER; i++)
        n = coir_process_pool_run(pool, copy, there, TRANSFER, back, TRANSFER);
    return n == TRANSFER && memcmp(there, back, TRANSFER) == 0 ? 0 : -EIO;
}

static int time_transfers(void *us)
{
    char *there = malloc(TRANSFER), *back = malloc(TRANSFER);
    int rc = there && back ? 0 : -ENOMEM;
    if (rc == 0) {
        memset(there, 7, TRANSFER);
        rc = transfer(there, back, TRANSFERS / 10);
    }
    int64_t begin = bench_now();
    if (rc == 0)
        rc = transfer(there, back, TRANSFERS);
    *(double *)us = (double)(bench_now() - begin) / 1e3 / TRANSFERS;
    free(there);
    free(back);
    return rc;
}

static int time_births(void *us)
{
    int64_t begin = bench_now();
    int rc = run_in_turn(BIRTHS);
    *(double *)us = (double)(bench_now() - begin) / 1e3 / BIRTHS;
    return rc;
}

/* ---- Questions ---- */

static int measure(unsigned workers, coir_fn *fn, double *ret_us)
{
    const coir_config config = {.workers = workers};
    return coir_run_with(&config, fn, ret_us);
}

static int measure_on_pool(unsigned workers, coir_fn *fn, double *ret_us,
                           coir_process_pool_config config)
{
    int rc = coir_process_pool_new(&pool, &config);
    if (rc < 0)
        return rc;
    rc = measure(workers, fn, ret_us);
    coir_process_pool_free(pool);
    return rc;
}

static int measure_calls(unsigned workers, double *ret_us)
{
    return measure(workers, time_calls, ret_us);
}

static int measure_calls_together(unsigned workers, double *ret_us)
{
    return measure(workers, time_calls_together, ret_us);
}

static int measure_each(unsigned workers, double *ret_us)
{
    return measure(workers, time_each, ret_us);
}

static int measure_reads(unsigned workers, double *ret_us)
{
    return measure(workers, time_reads, ret_us);
}

static int measure_plain_reads(unsigned workers, double *ret_us)
{
    (void)workers;
    ssize_t n = sizeof page;
    int fd = make_file();
    int64_t begin = bench_now();
    for (int i = 0; i < CALLS && n == sizeof page; i++)
        n = pread(fd, page, sizeof page, 0);
    *ret_us = (double)(bench_now() - begin) / 1e3 / CALLS;
    close(fd);
    return n == sizeof page ? 0 : -EIO;
}

static int measure_jobs(unsigned workers, double *ret_us)
{
    const coir_process_pool_config config = {.workers = 1};
    return measure_on_pool(workers, time_jobs, ret_us, config);
}

static int measure_jobs_together(unsigned workers, double *ret_us)
{
    const coir_process_pool_config config = {.workers = PROCESSES};
    return measure_on_pool(workers, time_jobs_together, ret_us, config);
}

static int measure_transfers(unsigned workers, double *ret_us)
{
    const coir_process_pool_config config = {.workers = 1};
    return measure_on_pool(workers, time_transfers, ret_us, config);
}

static int measure_births(unsigned workers, double *ret_us)
{
    const coir_process_pool_config config = {.workers = 1,
                                             .jobs_per_worker = 1};
    return measure_on_pool(workers, time_births, ret_us, config);
}

static int measure_plain_calls(unsigned workers, double *ret_us)
{
    (void)workers;
    return plain_calls(1, 1, CALLS, ret_us);
}

static int measure_plain_calls_together(unsigned workers, double *ret_us)
{
    (void)workers;
    return plain_calls(TOGETHER, TOGETHER, CALLS, ret_us);
}

static int measure_plain_jobs(unsigned workers, double *ret_us)
{
    (void)workers;
    return plain_jobs(1, 1, CALLS, ret_us);
}

static int measure_plain_jobs_together(unsigned workers, double *ret_us)
{
    (void)workers;
    return plain_jobs(PROCESSES, 1, CALLS, ret_us);
}

static int measure_plain_transfers(unsigned workers, double *ret_us)
{
    (void)workers;
    return plain_jobs(1, TRANSFER, TRANSFERS, ret_us);
}

static int measure_plain_births(unsigned workers, double *ret_us)
{
    (void)workers;
    return plain_births(BIRTHS, ret_us);
}

int main(void)
{
#define QUESTION(name, what, how, target)                \
    {                                                    \
        name, what, "us", how, {{1, target}}, NULL, 0, 0 \
    }
    static const struct bench_question questions[] = {
        QUESTION("blocking", "empty blocking call", measure_calls, 10),
        QUESTION("blocking_plain", "- a thread, mutex, condition",
                 measure_plain_calls, 0),
        QUESTION("blocking_64", "one of 64 in flight", measure_calls_together,
                 1),
        QUESTION("blocking_64_plain", "- 64 threads, mutex, conditions",
                 measure_plain_calls_together, 0),
        QUESTION("blocking_each", "one of 20,000 items of each", measure_each,
                 0),
        QUESTION("pread", "4 KiB of a file in memory", measure_reads, 0),
        QUESTION("pread_plain", "- pread", measure_plain_reads, 0),
        QUESTION("job", "empty job", measure_jobs, 1),
        QUESTION("job_plain", "- a process, a socket pair", measure_plain_jobs,
                 0),
        QUESTION("job_64", "one of 64 in flight, 2 workers",
                 measure_jobs_together, 1),
        QUESTION("job_64_plain", "- 2 processes, socket pairs, poll",
                 measure_plain_jobs_together, 0),
        QUESTION("job_1MiB", "1 MiB there and back", measure_transfers, 262),
        QUESTION("job_1MiB_plain", "- a process, a socket pair",
                 measure_plain_transfers, 0),
        QUESTION("worker", "new worker, empty job, its end", measure_births, 0),
        QUESTION("worker_plain", "- fork, _exit, waitpid", measure_plain_births,
                 0)};
    int status = 0;
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        status |= bench_ask(&questions[i]);
    return status;
}
