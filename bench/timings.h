/* bench/timings.h -- the jobs of `make timings` and the ways to do them
 *
 * A *job* is some work with one right answer. A *way* does all of it and gives
 * the answer. The first way of a job is the sequential one: the others are
 * compared with it, in their answers and in their times. */
#ifndef COIR_TIMINGS_H
#define COIR_TIMINGS_H

#include <coir.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timings_way {
    const char *name;
    /* Do all of the job's data: 0 or above, or a negated error number. One of
     * these two; it runs in a process of its own, ... */
    coir_fn *plain;
    coir_fn *fibers; /* ... this one as the first fiber of a runtime */
    /* Instead: fill in the data as if it had been done; the seconds that it
     * would take. */
    double (*compute)(void *data);
    /* The system may have too little for this way (-EAGAIN): the row says so,
     * and it is no failure. */
    bool may_be_refused;
};

struct timings_job {
    const char *id; /* one word, for TSV=1 */
    char title[96];
    size_t count; /* of its items */
    void *data;   /* never freed */
    uint64_t (*answer)(const void *data);
    const struct timings_way *ways; /* up to a name that is NULL */
};

/* Make a job. 0, or a negated error number and a message on standard error. */
int timings_few_sleeps_new(struct timings_job *job);
int timings_sleeps_new(struct timings_job *job, size_t count);
int timings_http_new(struct timings_job *job, size_t count);
int timings_files_new(struct timings_job *job, size_t count);
int timings_primes_new(struct timings_job *job, unsigned factor);

/* Three of these at once. */
enum { TIMINGS_HTTP, TIMINGS_FILES, TIMINGS_PRIMES, TIMINGS_PARTS };
int timings_mixed_new(struct timings_job *job,
                      const struct timings_job parts[TIMINGS_PARTS]);

/* End the server that timings_http_new started. */
void timings_http_stop(struct timings_job *job);

/* ---- the ways that the mixed job puts together ---- */

coir_fn timings_http_in_turn, timings_http_threads, timings_http_fibers;
coir_fn timings_files_in_turn, timings_files_threads, timings_files_fibers;
coir_fn timings_primes_in_turn, timings_primes_threads, timings_primes_fibers;
coir_fn timings_primes_processes;

/* ---- what every job needs ---- */

/* Items of one size, each to be given to fn, which returns 0 or above or a
 * negated error number. */
struct timings_work {
    coir_fn *fn;
    void *items;
    size_t count, size;
};

/* One after another, up to the first failure. */
int timings_in_turn(const struct timings_work *work);

/* By so many threads, each of which takes the next item that is left; 0: a
 * thread for each item. -EAGAIN: the system refuses so many. */
int timings_by_threads(const struct timings_work *work, size_t threads);

/* How many threads can compute at once. */
size_t timings_cpus(void);

/* Mix one more value into an answer. */
uint64_t timings_mix(uint64_t answer, uint64_t value);

#endif
