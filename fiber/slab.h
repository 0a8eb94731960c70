/* fiber/slab.h -- the mappings that stacks lie in
 *
 * A coir_i_slab says of a mapping where it is and how stacks lie in it. It is
 * type-stable and known to the whole process, so that a signal handler can
 * tell to which stack an address belongs. */
#ifndef COIR_FIBER_SLAB_H
#define COIR_FIBER_SLAB_H

#include "fiber/fiber.h"

struct coir_i_slab {
    _Atomic(char *) low; /* edge slab.low; NULL: it maps nothing now */
    _Atomic(size_t) size, stride, guard; /* of all; of a stack; of that */

    size_t carved;      /* its pool's: bytes that are stacks already */
    size_t guards;      /* its pool's: those that cost mappings */
    coir_i_slab *next;  /* its pool's, or whose pool ended: edge slab.unused */
    coir_i_slab *older; /* const: made before it, edge slab.made */
};

/* Where a stack is. */
typedef struct coir_i_place {
    char *low; /* where its guard begins */
    size_t size, guard;
} coir_i_place;

/* Map memory for stacks of `stride` bytes, a divisor of size. unused: those
 * that the caller has for it; what there is not is made. NULL: no memory. */
coir_i_slab *coir_i_slab_map(coir_i_slab **unused, size_t size, size_t stride,
                             size_t guard);
/* Unmap it, and give it to those unused. */
void coir_i_slab_unmap(coir_i_slab **unused, coir_i_slab *slab);

/* What pools that are gone have left unused. */
coir_i_slab *coir_i_slab_adopt(void);
void coir_i_slab_leave(coir_i_slab *unused);

/* Is there a stack at the address. Async-signal-safe; right about stacks that
 * are in use. */
bool coir_i_slab_find(const void *address, coir_i_place *ret_place);

#endif
