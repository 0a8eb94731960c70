/* io/table.c -- the slots of all descriptor numbers
 *
 * Chunk k has 64 << k slots, so that 26 chunks are enough for every number
 * there can be, and a process pays for the numbers that it uses:
 *
 *     chunk 0: 0..63; chunk 1: 64..191; chunk 2: 192..447; ...
 *
 * Invariants
 *   T1  A chunk is never freed or moved, but in the child of a fork, where
 *       nobody else is left who could know it.
 *   T2  A new chunk is all-zero, and zero is a slot that was never used.
 *
 * Locks      none: whoever loses the race to make a chunk unmaps his own.
 * Edges      table.chunk (publish: it is zeroed; observe: it is found)
 * Fails      no memory for a chunk: -ENOMEM, and the next call tries again.
 * Tests      test/test_descriptor.c */
#include "io/descriptor.h"
#include "io/sys.h"

enum { FIRST = 64, CHUNKS = 26 };

static _Atomic(coir_i_descriptor *) chunks[CHUNKS];

/* Where a number's slot is: its chunk, and which one there. */
static unsigned place_of(unsigned number, unsigned *ret_index)
{
    unsigned i = number + FIRST;
    unsigned k = (unsigned)__builtin_clz(FIRST) - (unsigned)__builtin_clz(i);
    *ret_index = i - ((unsigned)FIRST << k);
    return k;
}

coir_i_descriptor *coir_i_slot_find(int fd)
{
    unsigned index;
    if (fd < 0)
        return NULL;
    unsigned k = place_of((unsigned)fd, &index);
    /* @observe table.chunk: it is zeroed. */
    coir_i_descriptor *chunk = load_acquire(&chunks[k]);
    return chunk ? &chunk[index] : NULL;
}

static size_t size_of(unsigned k)
{
    return ((size_t)FIRST << k) * sizeof(coir_i_descriptor);
}

static coir_i_descriptor *make_chunk(unsigned k)
{
    coir_i_descriptor *none = NULL;
    coir_i_descriptor *chunk = coir_i_sys_map(size_of(k));
    if (!chunk)
        return NULL;
    /* @publish table.chunk: it is zeroed. */
    if (cas_acq_rel(&chunks[k], &none, chunk))
        return chunk;
    coir_i_sys_unmap(chunk, size_of(k));
    /* @observe table.chunk: another's is zeroed, too. */
    return load_acquire(&chunks[k]);
}

int coir_i_slot_get(int fd, coir_i_descriptor **ret_slot)
{
    unsigned index;
    coir_i_descriptor *slot = coir_i_slot_find(fd);
    if (coir_i_unlikely(!slot)) {
        int rc = coir_i_sys_flags(fd); /* not for a number out of nowhere */
        if (rc < 0)
            return rc;
        unsigned k = place_of((unsigned)fd, &index);
        slot = make_chunk(k);
        if (!slot)
            return -ENOMEM;
        slot += index;
    }
    *ret_slot = slot;
    return 0;
}

void coir_i_slots_reset(void)
{
    for (unsigned k = 0; k < CHUNKS; k++) {
        /* @observe table.chunk: it is zeroed. */
        coir_i_descriptor *chunk = load_acquire(&chunks[k]);
        for (size_t i = 0; chunk && i < (size_t)FIRST << k; i++) {
            uint64_t s = load_relaxed(&chunk[i].state);
            if (s & COIR_I_KNOWN)
                coir_i_slot_learn(&chunk[i], (uint32_t)(s >> 32), 0,
                                  COIR_I_KNOWN);
            if (load_relaxed(&chunk[i].doubted))
                store_relaxed(&chunk[i].doubted, 0); /* by the only thread */
        }
    }
}

void coir_i_slots_forget(void)
{
    for (unsigned k = 0; k < CHUNKS; k++) {
        /* relaxed: there is one thread. */
        coir_i_descriptor *chunk = load_relaxed(&chunks[k]);
        if (chunk)
            coir_i_sys_unmap(chunk, size_of(k));
        store_relaxed(&chunks[k], NULL);
    }
}
