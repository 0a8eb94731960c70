/* bench/pools_plain.h -- calls and jobs elsewhere, in plain C
 *
 * Threads that take calls from a queue under a mutex; processes that read jobs
 * from a socket and write them back. Each: the time of one in *ret_us; 0 or a
 * negated error number. */
#ifndef COIR_BENCH_POOLS_PLAIN_H
#define COIR_BENCH_POOLS_PLAIN_H

/* So many threads make empty calls for so many callers, themselves threads. */
int plain_calls(int threads, int callers, int calls, double *ret_us);

/* So many processes, each with one job of `size` bytes at a time. */
int plain_jobs(int processes, int size, int jobs, double *ret_us);

/* A process that ends at once. */
int plain_births(int births, double *ret_us);

#endif
