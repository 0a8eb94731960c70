/* pools/own_pools.h -- the thread pools of the runtime itself
 *
 * One for the program's own calls, one for files and one for names, so that
 * none holds up another. Those for files and names are made when the first
 * fiber needs them; a call there can be left behind by its caller, and then it
 * does not hold up the end of the runtime for ever. */
#ifndef COIR_POOLS_OWN_POOLS_H
#define COIR_POOLS_OWN_POOLS_H

#include "pools/thread_pool.h"

coir_i_thread_pool *coir_i_default_pool(void);

/* As coir_i_thread_pool_call(); -ENOMEM also: no memory for the pool. */
int coir_i_files_call(coir_i_call *call);
int coir_i_names_call(coir_i_call *call);
/* fn(arg) on the pool of files, waited for. */
int coir_i_files_run(coir_fn *fn, void *arg);

#endif
