/* Jobs in other processes. See coir_process_pool(3) and coir_fork(7). */
#ifndef COIR_PROCESSES_H
#define COIR_PROCESSES_H

#include <coir/base.h>

#include <sys/types.h>

COIR_BEGIN

/* A job sees a copy of arg and may leave up to capacity bytes in result. How
 * many, or a negative value to fail. */
typedef ssize_t coir_job_fn(const void *arg, size_t size, void *result,
                            size_t capacity);
typedef struct coir_process_pool coir_process_pool;

/* NULL or all-zero: the defaults. */
typedef struct coir_process_pool_config {
    unsigned workers;         /* one per usable CPU */
    unsigned jobs_per_worker; /* then it is replaced; 0: never */
    size_t memory_limit;      /* bytes of address space a worker may add */
    int (*init)(void *arg);   /* once in every new worker */
    const void *init_arg;     /* copied */
    size_t init_size;
    const char *name;
    uint64_t reserved[4];
} coir_process_pool_config;

int coir_process_pool_new(coir_process_pool **pool,
                          const coir_process_pool_config *config) COIR_MUST_USE;

/* [parks] -EOWNERDEAD: the worker died under this job. */
ssize_t coir_process_pool_run(coir_process_pool *pool, coir_job_fn *fn,
                              const void *arg, size_t size, void *result,
                              size_t capacity) COIR_MUST_USE;
/* [parks] fn on args[i] into results[i] for every i; what each came to in
 * sizes[i]. The first failure cancels the rest and comes back, unless sizes is
 * there to tell: then all run. */
int coir_process_pool_each(coir_process_pool *pool, coir_job_fn *fn,
                           const void *args, size_t size, void *results,
                           size_t capacity, ssize_t *sizes,
                           size_t count) COIR_MUST_USE;
void coir_process_pool_free(coir_process_pool *pool); /* [parks] */

COIR_END

#endif
