/* fiber/slab.c -- the mappings that stacks lie in
 *
 * Does       maps and unmaps them, and knows them all.
 *
 * Invariants
 *   S1  A slab is never freed, and `older` never changes: whoever walks the
 *       list of all slabs always comes to its end.
 *   S2  A slab is on the list, and its low is set, before a stack in it is
 *       used; low is NULL again before it is unmapped.
 *   S3  size, stride and guard change only while low is NULL.
 *
 * Locks      none. Whoever maps and unmaps owns the slabs that it names.
 * Edges      slab.made (all slabs), slab.low (what one maps), slab.unused
 * Fails      no memory for a mapping or its record: NULL, nothing is kept.
 * Tests      test/test_stack.c
 */
#include "fiber/slab.h"

#include "fiber/annotate.h"
#include "fiber/guard.h"

#include <stdlib.h>
#include <sys/mman.h>

#ifndef MAP_STACK
#    define MAP_STACK 0
#endif

static _Atomic(coir_i_slab *) all;     /* the youngest; by older */
static _Atomic(coir_i_slab *) orphans; /* by next */

static coir_i_slab *make_slab(void)
{
    coir_i_slab *slab = calloc(1, sizeof *slab);

    if (!slab)
        return NULL;
    slab->older = load_relaxed(&all); /* never followed from here */
    /* @publish slab.made: `older` is set before the list shows the slab. */
    while (!cas_release(&all, &slab->older, slab))
        continue;
    return slab;
}

coir_i_slab *coir_i_slab_map(coir_i_slab **unused, size_t size, size_t stride,
                             size_t guard)
{
    coir_i_slab *slab = *unused;
    char *low =
        mmap(NULL, size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (low == MAP_FAILED)
        return NULL;
    if (slab)
        *unused = slab->next;
    else
        slab = make_slab();
    if (!slab) {
        munmap(low, size);
        return NULL;
    }
    /* One touch would cost a huge page. A kernel that has none says EINVAL. */
#ifdef MADV_NOHUGEPAGE
    COIR_IGNORE(madvise(low, size, MADV_NOHUGEPAGE));
#endif
    slab->carved = 0;
    slab->guards = 0;
    store_relaxed(&slab->size, size);
    store_relaxed(&slab->stride, stride);
    store_relaxed(&slab->guard, guard);
    /* @publish slab.low: what the slab maps is set before it shows that. */
    store_release(&slab->low, low);
    return slab;
}

void coir_i_slab_unmap(coir_i_slab **unused, coir_i_slab *slab)
{
    char *low = load_relaxed(&slab->low); /* relaxed: ours */
    size_t size = load_relaxed(&slab->size);

    store_relaxed(&slab->low, NULL); /* nobody uses a stack in it any more */
    coir_i_annotate_forget(low, size);
    munmap(low, size);
    coir_i_guards_gone(slab->guards);
    slab->next = *unused;
    *unused = slab;
}

coir_i_slab *coir_i_slab_adopt(void)
{
    /* @observe slab.unused: who left them does not touch them any more. */
    return exchange_acquire(&orphans, NULL);
}

void coir_i_slab_leave(coir_i_slab *unused)
{
    coir_i_slab *last = unused;

    if (!unused)
        return;
    while (last->next)
        last = last->next;
    last->next = load_relaxed(&orphans); /* the others' own affair */
    /* @publish slab.unused: for whoever adopts them. */
    while (!cas_release(&orphans, &last->next, unused))
        continue;
}

static bool is_in(const coir_i_slab *slab, const char *address,
                  coir_i_place *ret_place)
{
    /* @observe slab.low: with it comes what the slab maps. A slab that changes
     * under our eyes is not the one in which the address is used. */
    char *low = load_acquire(&slab->low);
    size_t size = load_relaxed(&slab->size);
    size_t stride = load_relaxed(&slab->stride);
    uintptr_t offset = (uintptr_t)address - (uintptr_t)low;

    if (!low || stride == 0 || offset >= size)
        return false;
    ret_place->low = low + offset / stride * stride;
    ret_place->size = stride;
    ret_place->guard = load_relaxed(&slab->guard);
    return true;
}

bool coir_i_slab_find(const void *address, coir_i_place *ret_place)
{
    /* @observe slab.made: with the slab comes the rest of the list. */
    const coir_i_slab *slab = load_acquire(&all);

    for (; slab; slab = slab->older)
        if (is_in(slab, address, ret_place))
            return true;
    return false;
}
