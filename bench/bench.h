/* bench/bench.h -- what the benchmarks and `make timings` share
 *
 * A *run* is one call of a function in a process of its own, so that its CPU
 * time and its peak of memory are its own. A *question* is a figure with a
 * target; it is answered by the median of several runs. Nothing here knows of
 * coir. */
#ifndef COIR_BENCH_H
#define COIR_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int bench_fn(void *arg); /* 0 or above, or a negated error number */

/* The monotonic clock, in nanoseconds. */
int64_t bench_now(void);

/* User and system time of this process, in seconds. */
double bench_cpu(void);

/* Memory that is resident in this process now, in bytes; < 0: unknown. */
double bench_resident(void);

/* The median; sorts the samples, so that samples[0] is the least. */
double bench_median(double *samples, size_t count);

/* Zeroed memory that a run shares with who started it. NULL: none. */
void *bench_shared_new(size_t size);
void bench_shared_free(void *memory, size_t size);

/* What one run cost. */
struct bench_cost {
    double wall; /* seconds in fn */
    double cpu;  /* seconds, user and system, of the run and its children */
    double peak; /* MiB resident at the peak, of the largest process */
};

/* Run fn(arg) in a process of its own, at most for limit seconds; what it
 * returned. -ETIME: it was still running then; -EOWNERDEAD: it was killed.
 * Both are also said on standard error. */
int bench_apart(bench_fn *fn, void *arg, unsigned limit,
                struct bench_cost *ret_cost);

/* One line of results: for a reader, or with TSV=1 the tab-separated fields
 *     id workers median least unit target ratio text
 * where a ratio above 1 misses the target and "-" stands for no target. */
struct bench_row {
    const char *id;   /* one word: what bench/peers has of it has its name */
    const char *text; /* the question, for a reader */
    const char *unit; /* "ns", "MiB", ... */
    unsigned workers;
    double median, least;
    double target;       /* 0: none */
    bool more_is_better; /* work a second, say, and not time a piece */
};
void bench_row_print(const struct bench_row *row);

/* A question that is asked once for each of its targets. */
struct bench_target {
    unsigned workers; /* 0: none */
    double value;
};
struct bench_question {
    const char *id, *text, *unit;
    /* One run: the figure in *ret_value; below 0: it failed, or what it
     * computed was wrong. */
    int (*measure)(unsigned workers, double *ret_value);
    struct bench_target targets[2];
    const char *peak_id; /* not NULL: its peak of memory is a row too, ... */
    double peak_target;  /* ... with a target in MiB */
    unsigned runs;       /* $RUNS, else this, else 5 */
};

/* Ask it and print the rows. The exit status of a program: 1 if a run
 * failed. */
int bench_ask(const struct bench_question *question);

/* TSV=1 in the environment. */
bool bench_is_tsv(void);

/* On a terminal, a bar of that share of its full length; else nothing. */
void bench_bar_print(double share);

#endif
