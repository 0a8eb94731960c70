/* pools/elsewhere.c -- what of pools there is not without Linux
 *
 * Built in the place of the files that the Makefile calls LINUX_ONLY. A process
 * pool stands on memfds, pidfds, futexes between processes and clone(2); to
 * interrupt a thread takes timers that send a signal to it alone. So neither
 * can be had, and what would use them is never called.
 *
 * Tests      `make portable` */
#include <coir/processes.h>

#include "pools/interrupt.h"

#include <errno.h>

/* ---- Process pools ---- */

int coir_process_pool_new(coir_process_pool **pool,
                          const coir_process_pool_config *config)
{
    (void)pool, (void)config;
    return -ENOTSUP;
}

ssize_t coir_process_pool_run(coir_process_pool *pool, coir_job_fn *fn,
                              const void *arg, size_t size, void *result,
                              size_t capacity)
{
    (void)pool, (void)fn, (void)arg, (void)size, (void)result, (void)capacity;
    return -ENOTSUP;
}

int coir_process_pool_each(coir_process_pool *pool, coir_job_fn *fn,
                           const void *args, size_t size, void *results,
                           size_t capacity, ssize_t *sizes, size_t count)
{
    (void)pool, (void)fn, (void)args, (void)size, (void)results;
    (void)capacity, (void)sizes, (void)count;
    return -ENOTSUP;
}

void coir_process_pool_free(coir_process_pool *pool)
{
    (void)pool;
}

/* ---- Interrupting ---- */

int coir_i_interrupt_begin(void)
{
    return -ENOTSUP;
}

void coir_i_interrupt_end(void)
{
}

void coir_i_interrupt_forked(void)
{
}

int coir_i_interrupter_open(coir_i_interrupter *me)
{
    (void)me;
    return -ENOTSUP;
}

void coir_i_interrupter_close(coir_i_interrupter *me)
{
    (void)me;
}

void coir_i_interrupter_send(coir_i_interrupter *interrupter)
{
    (void)interrupter;
}

void coir_i_interrupter_settle(coir_i_interrupter *me)
{
    (void)me;
}
