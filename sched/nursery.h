/* sched/nursery.h -- what a nursery is made of
 *
 *     OPEN --go--> OPEN --close--> CLOSING --last child ended--> (gone)
 *
 * It lies with its opener, who alone opens and closes it. Its parts belong to
 * files of their own: the scope to scope.c, the children that wait to nest.c,
 * the tree of those who have parked to tree.c, the failures to nursery.c. */
#ifndef COIR_SCHED_NURSERY_H
#define COIR_SCHED_NURSERY_H

#include "sched/nest.h"
#include "sched/park.h"
#include "sched/scope.h"

struct coir_i_nursery {
    coir_i_scope scope;     /* first: coir_nursery_scope. Its fiber opened us */
    coir_i_waiting waiting; /* see nest.h */

    coir_i_life *life;         /* const: of the opener */
    coir_i_nursery *around;    /* const: the next one out for the opener */
    _Atomic(uint64_t) checked; /* the epoch in which it was not cancelled */
    bool known; /* const: the opener knew its deadlines when it opened it */
    uint64_t closer; /* seq of the opener's wait, before `out` says so */

    /* Under the tree lock of the opener: see tree.h. */
    coir_i_fiber *listed;
    coir_i_nursery *tree_next, **tree_prev;
    _Atomic(bool) in_tree;

    /* Under `lock`. */
    coir_i_spin lock;
    bool keep_going;
    bool body_failed; /* `first` is the body's own */
    size_t failed, capacity;
    coir_failure *kept;
    coir_failure first;
};

static inline coir_i_nursery *coir_i_nursery_of(coir_nursery *nursery)
{
    return (coir_i_nursery *)nursery;
}

/* What goes with a child that has more to it than fn and arg: on the heap. */
typedef struct coir_i_start {
    coir_task *task;
    coir_i_fiber *fiber; /* bound already, for its stack's size; or NULL */
    char name[COIR_NAME_MAX];
    _Alignas(16) char copy[]; /* of the argument */
} coir_i_start;

static inline coir_i_start *coir_i_start_of(const coir_i_child *c)
{
    uintptr_t bits = (uintptr_t)c->extra;
    return bits & 1 ? (coir_i_start *)(bits - 1) : NULL;
}

static inline bool coir_i_has_own_fiber(const coir_i_child *c)
{
    coir_i_start *start = coir_i_start_of(c);
    return start && start->fiber;
}

static inline coir_task *coir_i_task_of(const coir_i_child *c)
{
    coir_i_start *start = coir_i_start_of(c);
    return start ? start->task : (coir_task *)c->extra;
}

/* Run c, a child of n, from its first instruction to its result, on the calling
 * fiber's stack: sched/child.c. */
void coir_i_child_run(const coir_i_child *c, coir_i_nursery *n);

/* The fiber's life is over: stop the program unless it has closed what it has
 * opened, up to scope and n, and undone its pins. */
void coir_i_check_left_behind(coir_i_fiber *f, const coir_i_scope *scope,
                              const coir_i_nursery *n, unsigned pins);

/* A child of n, or its body, has failed. */
void coir_i_nursery_fail(coir_i_nursery *n, const coir_failure *failure);

/* `count` children of n that counted as out have ended: the last ones wake the
 * opener, and true comes back. n may be gone then. */
bool coir_i_nursery_children_ended(coir_i_nursery *n, unsigned count);

/* If n was cancelled by a failure, that whole failure. */
void coir_i_nursery_cause(coir_i_nursery *n, coir_failure *cause);

/* Why n cannot take children: -ECANCELED; or 0. */
int coir_i_nursery_refuses_slow(coir_i_nursery *n)
    __attribute__((cold, noinline));
static inline int coir_i_nursery_refuses(coir_i_nursery *n)
{
    /* relaxed: as in coir_i_scope_check. */
    if (coir_i_likely(load_relaxed(&n->checked) == load_relaxed(&coir_i_epoch)))
        return 0;
    return coir_i_nursery_refuses_slow(n);
}

#endif
