/* fiber/fiber.h -- what a fiber is made of
 *
 * A fiber is a *slot*, a *stack* and the *life* that it leads.
 *
 *   slot   128 bytes that whoever may still hold a ticket to the fiber can
 *          look at: the wait word, the saved context, links. Type-stable: the
 *          memory of a slot is a slot for as long as the process lives.
 *   stack  address space with a guard at its low end; coir_i_stack, its
 *          header, is at the top. Slot and stack stay together while they wait
 *          in a cache for the next life.
 *   life   one call of a body, from its first instruction to its result: id,
 *          name, message, local values. A slot leads many lives, one after
 *          another and, where a closing opener runs its children on its own
 *          stack, one inside another.
 *
 *     FREE --bound--> READY <--wake-- PARKED
 *                      |  ^            ^
 *               worker |  | yield      | park
 *                      v  |            |
 *                     RUNNING ---------+---- last life over ---> FREE
 *
 * Invariants
 *   F1  A fiber is in at most one queue, linked by `next`; it is in one
 *       exactly while it is READY or FREE.
 *   F2  `context` is good exactly while the fiber is not RUNNING.
 *   F3  `word` keeps counting over all lives: a ticket never fits twice. */
#ifndef COIR_FIBER_FIBER_H
#define COIR_FIBER_FIBER_H

#include <coir/base.h>

#include "fiber/atomics.h"

#include <stdint.h>

typedef struct coir_i_fiber coir_i_fiber;
typedef struct coir_i_stack coir_i_stack;
typedef struct coir_i_life coir_i_life;
typedef struct coir_i_slab coir_i_slab;
struct coir_i_locals;
struct coir_i_scope;
struct coir_i_nursery;

/* A place in a ring of those who wait for the same thing. */
typedef struct coir_i_link coir_i_link;
struct coir_i_link {
    coir_i_link *next, *prev;
};

struct coir_i_fiber {
    /* Anyone, by a ticket. See sched/park.h. */
    _Alignas(128) _Atomic(uint64_t) word;

    /* Its owner: the worker that runs it, or the queue that it is in. */
    void *context;
    coir_i_fiber *next;
    coir_i_stack *stack;
    coir_i_life *life;

    /* The fiber itself, and whoever looks at it while it waits
     * (sched/scope.h): the innermost scope and the innermost nursery that it
     * has opened or lives in. */
    struct coir_i_scope *scope;
    struct coir_i_nursery *nursery;
    _Atomic(uint64_t) checked; /* the epoch in which it was not cancelled */

    /* Its timer node. See sched/timer.h for who writes what. */
    _Atomic(int64_t) deadline;
    _Atomic(int64_t) linked; /* when which wheel looks at it */
    coir_i_link timer;
    _Atomic(int64_t) until; /* of this wait alone */

    /* Its neighbors among the listed children of its nursery, under the tree
     * lock of the opener (sched/tree.h): here and not on the stack, since a
     * neighbor's stack is most often in no cache. */
    coir_i_fiber *tree_next, *tree_prev;

    uint32_t index;         /* const: coir_i_fiber_at(index) */
    _Atomic(uint32_t) home; /* pinned: its worker, from 1; 0: any */
};

_Static_assert(sizeof(coir_i_fiber) == 128, "two cache lines a slot");

/* The header near the top of every stack, on the page that is touched anyway.
 */
struct coir_i_stack {
    _Alignas(16) char *low; /* const: the guard begins here */
    size_t size;            /* const: of the whole, guard and header with it */
    size_t guard;           /* const: bytes that must not be touched */
    coir_i_slab *slab;      /* const: a mapping of its own; NULL: its pool's */
    void (*entry)(void);    /* what its fresh context calls */
    unsigned pins;     /* the fiber itself: calls of coir_pin to be undone */
    unsigned valgrind; /* const: its id for valgrind */
    void *asan_fake;   /* its fake stack while it does not run */
    void *tsan;        /* what it is to TSan */
    unsigned tsan_lives;

    /* The fiber, before it waits; who looks at it while it does (sched/park.h):
     * what it waits for, and since when. */
    const struct coir_i_wait *wait;
    const void *waits_on;
    int64_t waits_since;

    int64_t scope_until; /* the fiber, or who looks at it: the nearest deadline
                            of the scopes around it */

    /* The tree by which cancelling finds who waits: sched/tree.h. */
    _Atomic(uint32_t) tree_lock;
    _Atomic(bool) listed;            /* is it in the tree? edge tree.in_tree */
    struct coir_i_nursery *runs_in;  /* whose child it leads the life of */
    struct coir_i_nursery *openings; /* its own, with children listed */
};

struct coir_i_life {
    uint64_t id;
    coir_i_life *outer; /* goes on, on the same stack, when this one is over */
    struct coir_i_locals *locals;
    int message_code; /* what the message was left for; 0: there is none */
    char name[COIR_NAME_MAX];
    char message[COIR_MESSAGE_MAX];
};

/* A life begins on its own stack or on its outer one's. */
static inline void coir_i_life_begin(coir_i_life *life, uint64_t id)
{
    life->id = id;
    life->locals = NULL;
    life->message_code = 0;
    life->name[0] = '\0';
    life->message[0] = '\0';
}

/* The message that goes with `code`: life's own if it was left for that. */
const char *coir_i_life_message(const coir_i_life *life, int code);
/* A message that came with the failure of something else. */
void coir_i_life_take_message(coir_i_life *life, int code, const char *message);
/* Around what may fail without a message: then the old one goes. begin: what
 * end is to be given. */
int coir_i_life_message_begin(coir_i_life *life);
void coir_i_life_message_end(coir_i_life *life, int before, int result);
void coir_i_copy_text(char *to, size_t size, const char *from);

/* Run the destructors of the calling fiber's local values. */
void coir_i_locals_end(coir_i_life *life);

/* A new slot, never seen before; NULL: no memory. The caller serialises. */
coir_i_fiber *coir_i_fiber_new(void);
/* The slot of an index that a fiber had. */
coir_i_fiber *coir_i_fiber_at(uint32_t index);
/* How many slots there are: their indexes are those below. */
uint32_t coir_i_fiber_count(void);

#endif
