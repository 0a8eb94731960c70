/* fiber/stack.h -- where stacks come from
 *
 * A pool makes stacks of one size, and keeps their memory until it ends; an
 * unused stack stays with its fiber or in its user's cache. Calls with the
 * same pool must not run at the same time: the caller sees to that. */
#ifndef COIR_FIBER_STACK_H
#define COIR_FIBER_STACK_H

#include "fiber/slab.h"

typedef struct coir_i_stack_pool {
    size_t size;              /* const: of a stack, guard and header with it */
    size_t page;              /* const */
    size_t growth;            /* how many stacks the next slab is to have */
    coir_i_slab *slabs;       /* new stacks are carved from the first */
    coir_i_slab *unused;      /* that map nothing */
    _Atomic(uint64_t) stacks; /* that exist; anyone may read it */
    _Atomic(uint64_t) bytes;  /* mapped; anyone may read it */
} coir_i_stack_pool;

/* stack_size is rounded up to pages, and to 16 KiB at least. */
void coir_i_stack_pool_init(coir_i_stack_pool *pool, size_t stack_size);
/* Unmap all stacks but those that are to be freed one by one. */
void coir_i_stack_pool_end(coir_i_stack_pool *pool);

/* A stack of the pool's size. NULL: no memory. */
coir_i_stack *coir_i_stack_new(coir_i_stack_pool *pool);
/* One of another size, in a mapping of its own. NULL: no memory. */
coir_i_stack *coir_i_stack_new_sized(coir_i_stack_pool *pool, size_t size);
/* Unmap a stack of coir_i_stack_new_sized; those have stack->slab. */
void coir_i_stack_free(coir_i_stack_pool *pool, coir_i_stack *stack);

/* Let the kernel take back what an idle stack has used. Requires that nothing
 * is alive below its highest COIR_I_STACK_KEPT bytes. Any thread. */
#define COIR_I_STACK_KEPT 8192
void coir_i_stack_trim(coir_i_stack *stack);

#endif
