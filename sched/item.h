/* sched/item.h -- the items of channels and queues
 *
 * Bytes that are copied from whoever gives them to whoever takes them. Most are
 * a pointer or a number: those are moved, without a call. */
#ifndef COIR_SCHED_ITEM_H
#define COIR_SCHED_ITEM_H

#include "fiber/invariant.h"

#include <string.h>

/* size 0: neither is looked at. */
static inline void coir_i_item_copy(void *to, const void *from, size_t size)
{
    if (coir_i_likely(size == 8))
        memcpy(to, from, 8);
    else if (size == 16)
        memcpy(to, from, 16);
    else if (size == 4)
        memcpy(to, from, 4);
    else if (size > 0)
        memcpy(to, from, size);
}

#endif
