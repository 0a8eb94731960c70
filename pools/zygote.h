/* pools/zygote.h -- the process that worker processes are born of
 *
 * coir_run forks it before it has started a thread: fork(2) in a process with
 * threads leaves locks behind that nobody will open, and its cost grows with
 * the memory of the process. */
#ifndef COIR_POOLS_ZYGOTE_H
#define COIR_POOLS_ZYGOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a new worker is to be. */
struct coir_i_birth {
    uint64_t memory_limit; /* bytes of address space it may add; 0: any */
    char name[16];
};

/* Before any thread exists. Below 0: there is none, and why. */
int coir_i_zygote_start(void);
/* Blocks until it has ended and is reaped. */
void coir_i_zygote_stop(void);
/* In the child of a fork(2), whose zygote it is not. */
void coir_i_zygote_forget(void);

/* In a fiber, and in a shield: have a worker born as a child of this process.
 * It has the shared file and the eventfd. Its pid, or why there is none;
 * -ESRCH: the zygote has died. */
pid_t coir_i_zygote_bear(const struct coir_i_birth *birth, int memory,
                         int event);

#endif
