/* Calls that block, on threads of their own. See coir_blocking(3) and
 * coir_thread_pool(3). */
#ifndef COIR_THREADS_H
#define COIR_THREADS_H

#include <coir/base.h>
#include <coir/time.h>

COIR_BEGIN

/* [parks] Run fn(arg) on a thread of the default pool; its result. */
int coir_blocking(coir_fn *fn, void *arg) COIR_MUST_USE;

/* For fn to ask: has my caller been cancelled? */
bool coir_blocking_cancelled(void);

typedef struct coir_thread_pool coir_thread_pool;

/* NULL or all-zero: the defaults. */
typedef struct coir_thread_pool_config {
    unsigned max_threads; /* 64 */
    coir_time idle;       /* a thread with nothing to do so long ends: 10 s */
    const char *name;     /* threads are called name-0, name-1, ... */
    bool interrupt;       /* cancelling a caller interrupts its system call */
    uint64_t reserved[4];
} coir_thread_pool_config;

int coir_thread_pool_new(coir_thread_pool **pool,
                         const coir_thread_pool_config *config) COIR_MUST_USE;

/* [parks] As coir_blocking, on that pool; NULL is the default pool. */
int coir_thread_pool_run(coir_thread_pool *pool, coir_fn *fn,
                         void *arg) COIR_MUST_USE;
/* [parks] fn(&items[i]) for every i; the first failure drops what has not begun
 * and comes back. */
int coir_thread_pool_each(coir_thread_pool *pool, coir_fn *fn, void *items,
                          size_t count, size_t size) COIR_MUST_USE;
/* [parks] Runs what is queued, then ends the threads. */
void coir_thread_pool_free(coir_thread_pool *pool);

COIR_END

#endif
