/* pools/worker_process.h -- what runs in a worker process */
#ifndef COIR_POOLS_WORKER_PROCESS_H
#define COIR_POOLS_WORKER_PROCESS_H

#include "pools/zygote.h"

/* The life of a worker of `parent`, with the shared file and the eventfd of
 * its slot. It ends when it is killed. */
_Noreturn void coir_i_worker_process(const struct coir_i_birth *birth,
                                     pid_t parent, int memory, int event);

#endif
