/* bench/timings.c -- the same work done in several ways, side by side
 *
 * Does       run every way of every job in a process of its own, print what it
 *            took, and check that all ways of a job give the same answer.
 * Use        timings, with N=400 (or another number) in the environment: N
 *            GETs, 25 N sleeps, 10 N files, primes up to 5,000 N and more.
 *            TSV=1: tab-separated rows instead of tables.
 * Edges      a way that is done within SHORT is run REPEATS times, and the
 *            median of its times counts.
 * Fails      exit status 1 if a way failed or gave another answer than the
 *            sequential one.
 */
#include "bench/timings.h"

#include "bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

enum { REPEATS = 3, RUN_SECONDS = 900, N_DEFAULT = 400, N_MAX = 20000 };

static const double SHORT = 1.0; /* s */

/* One run of a way, as its process sees it. */
struct errand {
    const struct timings_job *job;
    const struct timings_way *way;
    struct outcome *outcome; /* shared with the process that asks */
};

struct outcome {
    uint64_t answer;
    double computed; /* seconds; 0: it was run */
};

static int run_first_fiber(void *arg)
{
    const struct errand *errand = arg;
    int rc = errand->way->fibers(errand->job->data);

    if (rc < 0)
        fprintf(stderr, "timings: %s: %s\n", strerror(-rc), coir_message());
    return rc;
}

static int run_way(void *arg)
{
    struct errand *errand = arg;
    void *data = errand->job->data;
    int rc = 0;

    if (errand->way->compute != NULL)
        errand->outcome->computed = errand->way->compute(data);
    else if (errand->way->fibers != NULL)
        rc = coir_run(run_first_fiber, errand);
    else
        rc = errand->way->plain(data);
    errand->outcome->answer = errand->job->answer(data);
    return rc;
}

static int compare_wall(const void *a, const void *b)
{
    double x = ((const struct bench_cost *)a)->wall;
    double y = ((const struct bench_cost *)b)->wall;

    return (x > y) - (x < y);
}

/* Run a way as often as it deserves: what the median run cost. All runs must
 * give the same answer. */
static int measure(struct errand *errand, struct bench_cost *ret_cost)
{
    struct bench_cost costs[REPEATS];
    struct outcome *outcome = errand->outcome;
    size_t runs = 0;

    do {
        uint64_t before = outcome->answer;
        int rc;

        memset(outcome, 0, sizeof(*outcome));
        rc = bench_apart(run_way, errand, RUN_SECONDS, &costs[runs]);
        if (rc < 0)
            return rc;
        if (runs > 0 && outcome->answer != before)
            return -EBADMSG;
        runs++;
    } while (runs < REPEATS && costs[0].wall < SHORT && outcome->computed == 0);
    qsort(costs, runs, sizeof(costs[0]), compare_wall);
    *ret_cost = costs[runs / 2];
    if (outcome->computed > 0)
        *ret_cost = (struct bench_cost){.wall = outcome->computed};
    return 0;
}

/* ---- tables ---- */

/* What a table compares its rows with. */
struct table {
    const struct timings_job *job;
    uint64_t answer; /* the sequential one */
    double wall;     /* of the sequential way */
    double longest;  /* of the ways that were run: a full bar */
};

static void print_heads(const struct table *table, unsigned number)
{
    if (!bench_is_tsv())
        printf("\n%u. %s\n%-20s %9s %9s %9s %9s\n", number, table->job->title,
               "", "time s", "speed-up", "CPU s", "peak MiB");
    else if (number == 1)
        printf("job\tway\tcount\twall_s\tspeedup\tcpu_s\tpeak_mib\tnote\n");
}

/* A row of a way that took that long; cost->cpu 0 and peak 0: computed. */
static void print_row(const struct table *table, const struct timings_way *way,
                      const struct bench_cost *cost)
{
    double speed_up = table->wall / cost->wall;
    bool computed = cost->peak <= 0;

    if (bench_is_tsv()) {
        printf("%s\t%s\t%zu\t%.6f\t%.3f\t%.6f\t%.2f\t%s\n", table->job->id,
               way->name, table->job->count, cost->wall, speed_up, cost->cpu,
               cost->peak, computed ? "computed" : "run");
        return;
    }
    printf("  %-18s %9.3f %9.1f", way->name, cost->wall, speed_up);
    if (computed) {
        printf("   (computed, not run)\n");
        return;
    }
    printf(" %9.3f %9.1f  ", cost->cpu, cost->peak);
    bench_bar_print(cost->wall < table->longest ? cost->wall / table->longest
                                                : 1);
    printf("\n");
}

static void print_refusal(const struct table *table,
                          const struct timings_way *way, int rc)
{
    if (bench_is_tsv())
        printf("%s\t%s\t%zu\t-\t-\t-\t-\trefused\n", table->job->id, way->name,
               table->job->count);
    else
        printf("  %-18s refused by the system: %s\n", way->name, strerror(-rc));
}

/* ---- jobs ---- */

/* One way; 1 if it failed or its answer is wrong. */
static int time_way(struct table *table, struct errand *errand)
{
    const struct timings_way *way = errand->way;
    bool first = way == table->job->ways;
    struct bench_cost cost;
    int rc = measure(errand, &cost);

    if (rc == -EAGAIN && way->may_be_refused) {
        print_refusal(table, way, rc);
        return 0;
    }
    if (rc < 0) {
        fprintf(stderr, "timings: %s by %s failed: %s\n", table->job->id,
                way->name, strerror(-rc));
        return 1;
    }
    if (first) {
        table->answer = errand->outcome->answer;
        table->wall = cost.wall;
    }
    if (table->longest <= 0 && cost.peak > 0)
        table->longest = cost.wall;
    print_row(table, way, &cost);
    fflush(stdout);
    if (errand->outcome->answer == table->answer)
        return 0;
    fprintf(stderr, "timings: %s by %s: another answer than %s\n",
            table->job->id, way->name, table->job->ways->name);
    return 1;
}

/* All ways of a job. Without the first there is nothing to compare with. */
static int time_job(const struct timings_job *job, unsigned number)
{
    struct table table = {.job = job};
    struct errand errand = {.job = job};
    int failed = 0;

    errand.outcome = bench_shared_new(sizeof(*errand.outcome));
    if (errand.outcome == NULL) {
        fprintf(stderr, "timings: no memory to share\n");
        return 1;
    }
    print_heads(&table, number);
    for (const struct timings_way *way = job->ways; way->name != NULL; way++) {
        errand.way = way;
        failed |= time_way(&table, &errand);
        if (way == job->ways && failed != 0)
            break;
    }
    bench_shared_free(errand.outcome, sizeof(*errand.outcome));
    return failed;
}

enum { FEW_SLEEPS, SLEEPS, PARTS, MIXED = PARTS + TIMINGS_PARTS, JOBS };

static int make_jobs(struct timings_job *jobs, size_t n)
{
    struct timings_job *parts = &jobs[PARTS];
    int rc = timings_few_sleeps_new(&jobs[FEW_SLEEPS]);

    if (rc == 0)
        rc = timings_sleeps_new(&jobs[SLEEPS], 25 * n);
    if (rc == 0)
        rc = timings_files_new(&parts[TIMINGS_FILES], 10 * n);
    if (rc == 0)
        rc = timings_primes_new(&parts[TIMINGS_PRIMES],
                                n < 10 ? 1 : (unsigned)(n / 10));
    if (rc == 0)
        rc = timings_http_new(&parts[TIMINGS_HTTP], n);
    if (rc == 0)
        rc = timings_mixed_new(&jobs[MIXED], parts);
    return rc;
}

/* Every GET at once needs a descriptor. */
static void raise_file_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* 0: it is not a number that will do. */
static size_t read_n(void)
{
    const char *text = getenv("N");
    char *end;
    unsigned long n;

    if (text == NULL || *text == '\0')
        return N_DEFAULT;
    n = strtoul(text, &end, 10);
    return *end == '\0' && n <= N_MAX ? n : 0;
}

int main(void)
{
    static struct timings_job jobs[JOBS];
    struct utsname name;
    size_t n = read_n();
    int failed = 0;

    if (n == 0) {
        fprintf(stderr, "timings: N is from 1 to %d\n", (int)N_MAX);
        return 2;
    }
    raise_file_limit();
    if (make_jobs(jobs, n) < 0)
        return 1;
    if (!bench_is_tsv() && uname(&name) == 0)
        printf("N = %zu, %zu CPUs, %s %s\n", n, timings_cpus(), name.sysname,
               name.release);
    for (unsigned i = 0; i < JOBS; i++)
        failed |= time_job(&jobs[i], i + 1);
    timings_http_stop(&jobs[PARTS + TIMINGS_HTTP]);
    if (failed != 0)
        fprintf(stderr, "timings: FAILED\n");
    return failed;
}
