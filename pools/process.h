/* pools/process.h -- one worker process, as the runtime sees it
 *
 * At any time it has one owner: the fiber whose job it has, or the pool where
 * it is idle. Nobody else waits for it, wakes it or ends it; only killing it
 * is for others too. */
#ifndef COIR_POOLS_PROCESS_H
#define COIR_POOLS_PROCESS_H

#include "pools/origin.h"
#include "pools/slot.h"
#include "pools/zygote.h"

#include <signal.h>
#include <sys/types.h>

typedef struct coir_i_process coir_i_process;
struct coir_i_process {
    coir_i_process *next, **prev; /* pool.lock: all of the pool */
    coir_i_process *next_idle;    /* pool.lock */

    /* The owner. */
    coir_i_slot *slot;  /* its window */
    uint64_t extent;    /* of the shared file */
    uint64_t result_at; /* in it */
    int memory;         /* the shared file */
    int event;          /* the worker posts it if a fiber is parked */
    int pidfd;          /* const once it is in the pool */
    int any;            /* readable if the event or the pidfd is */
    pid_t pid;
    unsigned jobs;  /* that it has done */
    bool spins;     /* const: its job may run while who waits for it does */
    bool ended;     /* and reaped: how is in info */
    siginfo_t info; /* si_pid 0: it is not known how */
};

struct coir_i_job {
    coir_i_origin code;
    const void *arg;
    size_t size;
    void *result;
    size_t capacity;
};

/* What a new worker is to be, beside its name and limits. */
struct coir_i_init {
    coir_i_origin code; /* at 0: there is none */
    const void *arg;
    size_t size;
};

/* A new worker with its first job. In a fiber; not a cancellation point. Below
 * 0: there is none, and nothing is left of it. */
int coir_i_process_new(coir_i_process **ret_process,
                       const struct coir_i_birth *birth,
                       const struct coir_i_init *init,
                       const struct coir_i_job *job);

/* Give an idle worker its next job. Below 0: it is idle still. */
int coir_i_process_ask(coir_i_process *process, const struct coir_i_job *job);

/* [parks] 0: the job is done. -EOWNERDEAD: the worker ended before. Others
 * (-ECANCELED): the worker still has it. */
int coir_i_process_await(coir_i_process *process);

/* When the job is done: what it came to. */
ssize_t coir_i_process_take(coir_i_process *process,
                            const struct coir_i_job *job);

/* When the worker has ended: did it before it had begun with the job? A worker
 * that never got ready counts as having begun. */
bool coir_i_process_had_begun(const coir_i_process *process);
/* When the job is done: was it init that failed? */
bool coir_i_process_is_unfit(const coir_i_process *process);
/* Leave a message on how it ended with the calling fiber; -EOWNERDEAD. */
int coir_i_process_tell_end(const coir_i_process *process);

/* Any thread. */
void coir_i_process_kill(const coir_i_process *process);

/* Kill it if it lives, wait until it is gone, and free what it had. In a fiber
 * others run meanwhile; it is not a cancellation point. */
void coir_i_process_free(coir_i_process *process);
/* In the child of a fork(2): free it, but it is not ours to kill. */
void coir_i_process_forget(coir_i_process *process);

#endif
