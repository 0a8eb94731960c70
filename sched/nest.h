/* sched/nest.h -- where children wait that were started but have not begun
 *
 * Each nursery keeps its waiting children itself, in a FIFO of chunks of
 * records. Each worker has a *nest*: one lock, and a ring of the nurseries
 * that have such children and call this worker home, oldest first. The FIFO,
 * the ring and which worker is home change only under the lock of the home.
 *
 *   worker.nest  -> nursery -> nursery -> ...   in the order in which they
 *                      |          |             got their first child
 *                    chunk      chunk -> chunk -> chunk
 *
 * Invariants
 *   N1  a nursery is in the ring of its home exactly while a child waits in it.
 *   N2  a child waits in one place: a nursery's chunk or a worker's loot.
 *   N3  a nursery lies on its opener's stack, and three kinds of hands reach
 *       it: its opener; fibers inside it, which `out` counts; and whoever finds
 *       it linked in a nest, under that nest's lock. Those add what they take
 *       to `out` before the release store that clears `head`, which is their
 *       last access. So an opener that sees no head (acquire) and then
 *       out == 1 (acquire) is alone with it.
 *
 * Locks      nest.lock, or in its place nest.bias (sched/bias.h) by the only
 *            worker; two are never held at once. Under it nobody parks,
 *            allocates or calls out.
 * Edges      nest.head (nest_next_chunk -> the opener in close)
 *            nest.home (lock_foreign_home, both ends)
 * Fails      starting a child, with -ENOMEM; nothing is changed then. */
#ifndef COIR_SCHED_NEST_H
#define COIR_SCHED_NEST_H

#include <coir/nursery.h>

#include "fiber/fiber.h"
#include "sched/bias.h"
#include "sched/lock.h"

struct coir_i_worker;
typedef struct coir_i_nursery coir_i_nursery;
typedef struct coir_i_chunk coir_i_chunk;

/* A child that has not begun. extra: NULL, a coir_task *, or a
 * coir_i_start * with its lowest bit set. */
typedef struct coir_i_child {
    coir_fn *fn;
    void *arg;
    void *extra;
} coir_i_child;

/* A child that somebody took, to run it; of == NULL: none. */
typedef struct coir_i_taken {
    coir_i_child child;
    coir_i_nursery *of;
} coir_i_taken;

enum { COIR_I_IN_CHUNK = 41 }; /* so that a chunk is 1 KiB */

struct coir_i_chunk {
    coir_i_chunk *next;
    coir_i_nursery *of; /* whose these are, once they are loot */
    uint16_t first, end, size;
};

/* The records of a chunk come behind it. */
static inline coir_i_child *coir_i_chunk_at(coir_i_chunk *chunk, unsigned i)
{
    return (coir_i_child *)(chunk + 1) + i;
}

/* The nursery's part; see sched/nursery.h for the whole. */
typedef struct coir_i_waiting {
    coir_i_nursery *older, *newer;        /* the ring of home, while linked */
    _Atomic(struct coir_i_worker *) home; /* changes under the old one's lock */
    _Atomic(coir_i_chunk *) head; /* NULL: none waits. Its opener alone looks
                                     without the lock */
    coir_i_chunk *tail;
    _Atomic(int64_t) out; /* 1 for the opener until it waits in close, each
                             child that runs elsewhere, `held` */
    bool held;        /* started by another than the opener: counted in `out` */
    coir_i_chunk own; /* of one: whoever starts a lone child needs no memory */
    coir_i_child own_at[1];
} coir_i_waiting;

typedef struct coir_i_nest {
    coir_i_spin lock;
    coir_i_bias bias;        /* of the worker: it does without the lock */
    _Atomic(uint64_t) state; /* children that wait | starts and takes << 32.
                                Read without the lock as a hint */
    coir_i_nursery *oldest, *newest;
    coir_i_nursery *turn; /* of whom it is that are not the newest; NULL: of
                             the oldest */
    coir_i_chunk *loot, *loot_end; /* stolen; older than all above */
} coir_i_nest;

static inline unsigned coir_i_nest_waiting(coir_i_nest *nest)
{
    return (unsigned)load_relaxed(&nest->state);
}

/* From a worker: c waits in n from now on. by_opener: the opener calls, which
 * has not begun to wait in close; anybody else is counted in `out`. */
int coir_i_nest_start(coir_i_nursery *n, const coir_i_child *c,
                      bool by_opener) COIR_MUST_USE;

/* The opener, in close: the first child that waits in n, to run on the
 * opener's own stack; false: none waits. A child that wants a fiber of its own
 * (or any, if not `inside`) counts as out then, and *elsewhere says so. */
bool coir_i_nest_take_own(coir_i_nursery *n, bool inside, coir_i_child *c,
                          bool *elsewhere);

/* A child that waits on this worker, the first of its nursery; it counts as
 * out. */
bool coir_i_nest_take(struct coir_i_worker *w, coir_i_taken *taken);

/* The other end of takes: `count` children of n that counted as out have
 * ended. True if they were the last and the opener has given up its own count:
 * then n is the caller's to wake, and the opener touches it only after that.
 * Else n may be gone. */
bool coir_i_nest_ended(coir_i_nursery *n, unsigned count);

/* From v's nest to w's, up to half of what waits there. How many. */
unsigned coir_i_nest_steal(struct coir_i_worker *w, struct coir_i_worker *v);

/* Do more than so many wait? Under the lock, which orders the answer against a
 * start: for a worker that goes to sleep, or ceases to watch. */
bool coir_i_nest_more_than(coir_i_nest *nest, unsigned few);

#endif
