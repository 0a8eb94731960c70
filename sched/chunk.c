/* sched/chunk.c -- memory for the records of children that wait
 *
 * Does       a cache of chunks for each worker; a depot for all, which carves
 *            them out of slabs: small ones at first, then of 2 MiB, for which
 *            huge pages are asked: 4 ns a child for first touch and not 25.
 * Locks      depot.lock, for a batch of KEEP chunks at a time.
 * Fails      coir_i_chunk_new: NULL. Nothing is lost; what there is can be
 *            used.
 * Tests      test/test_nursery.c */
#include "sched/chunk.h"

#include "sched/worker.h"

#include <sys/mman.h>

enum {
    CHUNK = 1024,
    KEEP = 32, /* how many go to and from the depot at once */
    SMALL = 64 << 10,
    LARGE = 2 << 20
};

_Static_assert(sizeof(coir_i_chunk) + COIR_I_IN_CHUNK * sizeof(coir_i_child) <=
                   CHUNK,
               "the records of a chunk fit");

/* At the beginning of each slab. */
struct slab {
    struct slab *next;
    void *mapping;
    size_t mapped;
};

static struct {
    coir_i_spin lock;
    coir_i_chunk *chunks;
    char *at, *end; /* of the newest slab, what was never used */
    struct slab *slabs;
} depot;

static bool add_slab(void)
{
    size_t size = depot.slabs ? LARGE : SMALL;
    size_t mapped = size == LARGE ? 2 * size : size; /* to align it */
    char *p = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    char *at = p;
    if (size == LARGE) {
        at += -(uintptr_t)p & (size - 1);
#ifdef MADV_HUGEPAGE
        madvise(at, size, MADV_HUGEPAGE);
#endif
    }
    struct slab *slab = (struct slab *)at;
    *slab = (struct slab){depot.slabs, p, mapped};
    depot.slabs = slab;
    depot.at = at + CHUNK;
    depot.end = at + size;
    return true;
}

static coir_i_chunk *take_one(void)
{
    coir_i_chunk *chunk = depot.chunks;
    if (chunk) {
        depot.chunks = chunk->next;
        return chunk;
    }
    if (depot.at == depot.end && !add_slab())
        return NULL;
    chunk = (coir_i_chunk *)depot.at;
    depot.at += CHUNK;
    return chunk;
}

static __attribute__((noinline, cold)) void refill(coir_i_worker *w)
{
    coir_i_chunk *chunk;
    coir_i_spin_lock(&depot.lock);
    for (int i = 0; i < KEEP && (chunk = take_one()); i++) {
        chunk->next = w->chunks;
        w->chunks = chunk;
        w->chunked++;
    }
    coir_i_spin_unlock(&depot.lock);
}

/* All but so many. */
static __attribute__((noinline, cold)) void give_back(coir_i_worker *w,
                                                      unsigned keep)
{
    coir_i_spin_lock(&depot.lock);
    for (; w->chunked > keep; w->chunked--) {
        coir_i_chunk *chunk = w->chunks;
        w->chunks = chunk->next;
        chunk->next = depot.chunks;
        depot.chunks = chunk;
    }
    coir_i_spin_unlock(&depot.lock);
}

void coir_i_chunks_hand_over(coir_i_worker *w)
{
    give_back(w, 0);
}

coir_i_chunk *coir_i_chunk_new(coir_i_worker *w)
{
    if (coir_i_unlikely(!w->chunks))
        refill(w);
    coir_i_chunk *chunk = w->chunks;
    if (coir_i_unlikely(!chunk))
        return NULL;
    w->chunks = chunk->next;
    w->chunked--;
    chunk->next = NULL;
    chunk->first = chunk->end = 0;
    chunk->size = COIR_I_IN_CHUNK;
    return chunk;
}

void coir_i_chunk_free(coir_i_worker *w, coir_i_chunk *chunk)
{
    chunk->next = w->chunks;
    w->chunks = chunk;
    if (++w->chunked == 2 * KEEP)
        give_back(w, KEEP);
}

void coir_i_chunks_stop(void)
{
    while (depot.slabs) {
        struct slab slab = *depot.slabs;
        munmap(slab.mapping, slab.mapped);
        depot.slabs = slab.next;
    }
    depot.chunks = NULL;
    depot.at = depot.end = NULL;
}

void coir_i_chunks_forked(void)
{
    store_relaxed(&depot.lock.taken, 0);
    depot.chunks = NULL;
    depot.at = depot.end = NULL;
    depot.slabs = NULL;
}
