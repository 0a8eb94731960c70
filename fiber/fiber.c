/* fiber/fiber.c -- where slots come from
 *
 * Does       makes slots, each with an index for as long as the process lives,
 *            and finds a slot by its index. They lie in chunks that are mapped
 *            when the first slot in them is made and never unmapped: whoever
 *            holds a ticket to a fiber may look at its slot, whatever became
 *            of the fiber.
 *
 *     index = chunk << CHUNK_BITS | slot           2^28 slots in all: a packed
 *     chunks[chunk] -> [ slot 0 | slot 1 | ... ]   ticket has room for no more
 *
 * Edges      fiber.made (publish: coir_i_fiber_new; observe:
 *            coir_i_fiber_count)
 * Locks      none: the caller lets one coir_i_fiber_new run at a time.
 * Fails      NULL: no memory for a chunk. The next call tries again.
 * Tests      test/test_fiber.c
 */
#include "fiber/fiber.h"

#include <sys/mman.h>

#define INDEX_BITS 28
#define CHUNK_BITS \
    12 /* 4096 slots: 512 KiB, of which only what is used costs */
#define CHUNK_SLOTS (1u << CHUNK_BITS)

/* Untouched pages of the directory cost nothing either. */
static _Atomic(coir_i_fiber *) chunks[1u << (INDEX_BITS - CHUNK_BITS)];
static _Atomic(uint32_t) made; /* how many slots there are */

coir_i_fiber *coir_i_fiber_at(uint32_t index)
{
    /* relaxed: whoever has an index was given it after the slot was made. */
    return load_relaxed(&chunks[index >> CHUNK_BITS]) +
           (index & (CHUNK_SLOTS - 1));
}

coir_i_fiber *coir_i_fiber_new(void)
{
    uint32_t index = load_relaxed(&made); /* we alone write it */
    coir_i_fiber *fiber;

    if (index >> INDEX_BITS)
        return NULL;
    if (!load_relaxed(&chunks[index >> CHUNK_BITS])) {
        void *chunk =
            mmap(NULL, CHUNK_SLOTS * sizeof *fiber, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (chunk == MAP_FAILED)
            return NULL;
        store_relaxed(&chunks[index >> CHUNK_BITS], chunk);
    }
    fiber = coir_i_fiber_at(index);
    fiber->index = index;
    store_relaxed(&fiber->deadline, INT64_MAX);
    store_relaxed(&fiber->linked, INT64_MAX);
    /* @publish fiber.made: the slot. */
    store_release(&made, index + 1);
    return fiber;
}

uint32_t coir_i_fiber_count(void)
{
    /* @observe fiber.made: the slots. */
    return load_acquire(&made);
}
