/* pools/slot.h -- the memory that the runtime and one worker process share
 *
 * A file without a name: this slot, then the *arena* with the argument of the
 * job and room for its result. Its first COIR_I_WINDOW bytes have memory from
 * the start and are mapped by both sides; the runtime reaches what is beyond
 * by pread and pwrite, which report it when memory is short, and the worker
 * maps it when a job needs it.
 *
 * Job and arena belong to one side at a time, and `state` says to which:
 *
 *     OPEN ---> ASKED ---> BEGUN ---> DONE ---> ASKED ---> ...
 *     runtime   worker     worker     runtime   worker
 *
 * Words   who writes                        orders
 *   state    the owner, giving it away       ASKED, DONE: seq_cst (publish what
 *                                            was written, and see below); BEGUN
 *                                            relaxed: read when the worker is
 *                                            dead, after waitid(2)
 *   sleeping the worker: it may be asleep    seq_cst against ASKED: either the
 *            on `state`                      worker sees ASKED, or the runtime
 *                                            sees that it has to wake it
 *   parked   the runtime: a fiber waits on   seq_cst against DONE: either the
 *            the eventfd                     fiber sees DONE or the worker sees
 *                                            that it has to post
 *   ready    the worker: init is over        relaxed: as BEGUN
 *
 * There is no lock: a worker may be killed at any instruction, and what it
 * leaves behind is looked at only when it is known to be dead. The runtime
 * trusts nothing here that a job may have overwritten: it keeps sizes of its
 * own. */
#ifndef COIR_POOLS_SLOT_H
#define COIR_POOLS_SLOT_H

#include <coir/processes.h>

#include "fiber/atomics.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    COIR_I_WINDOW = 64 << 10,   /* bytes that both sides have mapped */
    COIR_I_ARENA_KEPT = 4 << 20 /* what a file keeps beyond one job */
};

enum coir_i_slot_state {
    COIR_I_SLOT_OPEN, /* no job yet */
    COIR_I_SLOT_ASKED,
    COIR_I_SLOT_BEGUN,
    COIR_I_SLOT_DONE
};

/* A coir_i_origin whose path is in the file. */
struct coir_i_code {
    uint64_t identity, at, path_at;
};

typedef struct coir_i_slot {
    _Alignas(64) _Atomic(uint32_t) state;
    _Atomic(uint32_t) sleeping;
    _Atomic(uint32_t) ready;
    _Alignas(64) _Atomic(uint32_t) parked;

    /* The job: the runtime, before ASKED. Offsets are in the file. */
    _Alignas(64) struct coir_i_code code;
    uint64_t size, capacity;
    uint64_t arg_at, result_at; /* 0: the caller gave NULL */
    uint64_t extent;            /* how much of the file the job needs */

    /* The worker, before DONE. */
    int64_t outcome;
    uint64_t missing; /* not 0: the code was not found, and outcome says so */

    /* const: what init is called with, in a new worker. */
    struct coir_i_code init; /* at 0: none */
    uint64_t init_size, init_at;

    _Alignas(64) char arena[];
} coir_i_slot;

#endif
