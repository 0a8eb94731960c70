/* test/processes.h -- what the suites on process pools share: runs with a pool,
 * and memory that jobs and tests share
 *
 * Workers are copies of the program as it was before the run, so memory that
 * was mapped as shared before it is shared with them: `notes`. */
#ifndef COIR_TEST_PROCESSES_H
#define COIR_TEST_PROCESSES_H

#include <coir/processes.h>
#include <coir/run.h>
#include <coir/time.h>

#include "test/harness.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Runs ---- */

/* Valgrind knows no pidfds; there a job's result is -ENOSYS. A suite without
 * tests is a good one. */
static inline bool has_process_pools(void)
{
    long pidfd = syscall(SYS_pidfd_open, getpid(), 0U);
    if (pidfd >= 0)
        close((int)pidfd);
    return pidfd >= 0;
}

struct pooled {
    coir_process_pool_config config;
    int (*body)(coir_process_pool *pool);
};

static inline int with_pool(void *arg)
{
    const struct pooled *pooled = arg;
    coir_process_pool *pool;
    ck_assert_int_eq(coir_process_pool_new(&pool, &pooled->config), 0);
    int rc = pooled->body(pool);
    coir_process_pool_free(pool);
    return rc;
}

/* ---- Notes ---- */

static struct {
    _Atomic(int) begun; /* acts */
    _Atomic(pid_t) pid; /* of the worker that began the last one */
    _Atomic(bool) go;   /* acts that wait for it go on */
} * notes;

static inline void make_notes(void)
{
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(notes, MAP_FAILED);
}

/* Run body(pool) in a runtime, with a pool like that. */
static inline void run_pool(coir_process_pool_config config,
                            int (*body)(coir_process_pool *pool))
{
    struct pooled pooled = {config, body};
    make_notes();
    ck_assert_int_eq(coir_run(with_pool, &pooled), 0);
}

static inline void run_on(unsigned workers,
                          int (*body)(coir_process_pool *pool))
{
    run_pool((coir_process_pool_config){.workers = workers}, body);
}

/* ---- Acts: jobs that return 0, if they return ---- */

enum act { RETURN, ABORT, EXIT_3, KILL, CLOSE_ALL, HANG, SLEEP, AWAIT_GO };

static inline ssize_t act(const void *arg, size_t size, void *result,
                          size_t capacity)
{
    (void)size, (void)result, (void)capacity;
    atomic_store(&notes->pid, getpid());
    atomic_fetch_add(&notes->begun, 1);
    switch (*(const enum act *)arg) {
    case RETURN:
        break;
    case ABORT:
        abort();
    case EXIT_3:
        _exit(3);
    case KILL:
        raise(SIGKILL);
        break;
    case CLOSE_ALL:
        for (int fd = 0; fd < 2048; fd++)
            close(fd);
        break;
    case HANG:
        for (;;)
            pause();
    case SLEEP:
        usleep(5000);
        break;
    case AWAIT_GO:
        while (!atomic_load(&notes->go))
            usleep(100);
        break;
    }
    return 0;
}

static coir_process_pool *shared_pool;

static inline ssize_t run_act(enum act what)
{
    return coir_process_pool_run(shared_pool, act, &what, sizeof what, NULL, 0);
}

/* A fiber's body. */
static inline int run_act_of(void *arg)
{
    ssize_t n = run_act(*(const enum act *)arg);
    return n < 0 ? (int)n : 0;
}

/* Jobs of other processes tell nobody when they begin. */
static inline void await_begun(int count)
{
    while (atomic_load(&notes->begun) < count)
        ck_assert_int_eq(coir_sleep(COIR_US(200)), 0);
}

static inline bool is_gone(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

#endif
