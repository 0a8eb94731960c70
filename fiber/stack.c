/* fiber/stack.c -- where stacks come from
 *
 * Does       carves stacks from slabs that grow with the number of stacks, and
 *            installs their guards. Nothing but the page of a stack's header
 *            is touched: a stack that is not used costs that page.
 *
 *     low                                                    low + size
 *      | guard | ...... grows down <- frames | coir_i_stack | color |
 *
 * Neighbors begin at different places of their last page, their *color*: all
 * that is hot of a fiber lies at its top, and where that is the same place of
 * a page for all, ten thousand fibers share a few sets of every cache.
 *
 * Invariants
 *   K1  The slab in front of a pool is the only one that may have room.
 *   K2  low, size, guard and slab of a stack never change.
 *
 * Locks      none: the caller lets one call a pool run at a time. Different
 *            pools are independent.
 * Fails      NULL, nothing is kept: no address space (after trying down to a
 *            slab of one stack), no guard (fiber/guard.c). Works again as soon
 *            as there is memory.
 * Tests      test/test_stack.c
 */
#include "fiber/stack.h"

#include "fiber/annotate.h"
#include "fiber/guard.h"
#include "fiber/invariant.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SMALLEST_STACK ((size_t)16 << 10)
#define LARGEST_GUARD ((size_t)64 << 10)
#define FIRST_SLAB 16 /* stacks */
#define LARGEST_SLAB 1024
#define COLORS 16
#define COLOR_STEP 5 /* no neighbor by its number has a neighboring color */
#define COLOR_BYTES 128
#define LARGEST_SLAB_BYTES ((size_t)1 << 30)

_Static_assert(sizeof(coir_i_stack) % 16 == 0, "frames begin below it");

static size_t round_up(size_t size, size_t page)
{
    /* What is larger than any address space is refused by mmap. */
    if (size > PTRDIFF_MAX)
        size = PTRDIFF_MAX - page;
    if (size < SMALLEST_STACK)
        size = SMALLEST_STACK;
    return (size + page - 1) / page * page;
}

static size_t size_guard(size_t size, size_t page)
{
    size_t guard = size / 4 < LARGEST_GUARD ? size / 4 : LARGEST_GUARD;
    return (guard + page - 1) / page * page;
}

void coir_i_stack_pool_init(coir_i_stack_pool *pool, size_t stack_size)
{
    memset(pool, 0, sizeof *pool);
    pool->page = (size_t)sysconf(_SC_PAGESIZE);
    pool->size = round_up(stack_size, pool->page);
    pool->growth = FIRST_SLAB;
    pool->unused = coir_i_slab_adopt();
}

/* relaxed: only the pool's one caller writes them. */
static void count(coir_i_stack_pool *pool, int64_t stacks, int64_t bytes)
{
    store_relaxed(&pool->stacks,
                  load_relaxed(&pool->stacks) + (uint64_t)stacks);
    store_relaxed(&pool->bytes, load_relaxed(&pool->bytes) + (uint64_t)bytes);
}

/* The header of a slab's stack that ends `end` bytes into it. */
static coir_i_stack *header_of(coir_i_slab *slab, size_t end)
{
    /* relaxed: only the pool's one caller writes them. */
    size_t number = end / load_relaxed(&slab->stride) - 1;
    size_t color = number * COLOR_STEP % COLORS * COLOR_BYTES;
    char *top = load_relaxed(&slab->low) + end - color;
    return (coir_i_stack *)(void *)top - 1;
}

/* The next stack in a slab that has room. */
static coir_i_stack *carve(coir_i_stack_pool *pool, coir_i_slab *slab)
{
    char *low = load_relaxed(&slab->low) + slab->carved; /* relaxed: ours */
    size_t size = load_relaxed(&slab->stride);
    size_t guard = load_relaxed(&slab->guard);
    coir_i_stack *stack = header_of(slab, slab->carved + size);
    int costs = coir_i_guard_install(low, guard);

    if (costs < 0)
        return NULL;
    slab->guards += (size_t)costs;
    slab->carved += size;
    stack->low = low;
    stack->size = size;
    stack->guard = guard;
    coir_i_annotate_stack(stack);
    count(pool, 1, 0);
    return stack;
}

/* A slab for as many stacks as can be had. */
static coir_i_slab *grow(coir_i_stack_pool *pool)
{
    size_t guard = size_guard(pool->size, pool->page);
    size_t most = LARGEST_SLAB_BYTES / pool->size;
    size_t stacks = pool->growth < most ? pool->growth : most;
    coir_i_slab *slab = NULL;

    if (stacks == 0)
        stacks = 1;
    for (; stacks > 0 && !slab; stacks /= 2) {
        slab = coir_i_slab_map(&pool->unused, stacks * pool->size, pool->size,
                               guard);
        pool->growth = stacks < LARGEST_SLAB ? stacks * 2 : LARGEST_SLAB;
    }
    if (!slab)
        return NULL;
    slab->next = pool->slabs;
    pool->slabs = slab;
    count(pool, 0, (int64_t)load_relaxed(&slab->size));
    return slab;
}

coir_i_stack *coir_i_stack_new(coir_i_stack_pool *pool)
{
    coir_i_slab *slab = pool->slabs;

    if (!slab || slab->carved == load_relaxed(&slab->size))
        slab = grow(pool);
    return slab ? carve(pool, slab) : NULL;
}

coir_i_stack *coir_i_stack_new_sized(coir_i_stack_pool *pool, size_t size)
{
    size_t rounded = round_up(size, pool->page);
    coir_i_slab *slab = coir_i_slab_map(&pool->unused, rounded, rounded,
                                        size_guard(rounded, pool->page));
    coir_i_stack *stack = slab ? carve(pool, slab) : NULL;

    if (stack) {
        stack->slab = slab;
        count(pool, 0, (int64_t)rounded);
    } else if (slab) {
        coir_i_slab_unmap(&pool->unused, slab);
    }
    return stack;
}

void coir_i_stack_free(coir_i_stack_pool *pool, coir_i_stack *stack)
{
    coir_i_assert(stack->slab != NULL);
    count(pool, -1, -(int64_t)stack->size);
    coir_i_annotate_stack_end(stack);
    coir_i_slab_unmap(&pool->unused, stack->slab);
}

/* Announce the end of every stack in a slab. */
static void end_stacks(coir_i_slab *slab)
{
    size_t size = load_relaxed(&slab->stride);

    for (size_t end = size; end <= slab->carved; end += size)
        coir_i_annotate_stack_end(header_of(slab, end));
}

void coir_i_stack_pool_end(coir_i_stack_pool *pool)
{
    for (coir_i_slab *slab = pool->slabs, *next; slab; slab = next) {
        next = slab->next;
        if (coir_i_annotate_ends())
            end_stacks(slab);
        coir_i_slab_unmap(&pool->unused, slab);
    }
    coir_i_slab_leave(pool->unused);
    memset(pool, 0, sizeof *pool);
}

void coir_i_stack_trim(coir_i_stack *stack)
{
    size_t usable = stack->size - stack->guard;

    /* A hint: where the kernel does not take it the memory stays. */
    if (usable > COIR_I_STACK_KEPT)
        COIR_IGNORE(madvise(stack->low + stack->guard,
                            usable - COIR_I_STACK_KEPT, MADV_FREE));
}
