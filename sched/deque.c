/* sched/deque.c -- items in a row, taken from either end
 *
 * Does not   lock, allocate, or count its items.
 *
 * Invariants
 *   D1  a block that is linked between first and last has an item in it.
 *   D2  with a bound there are from the start as many blocks as its items can
 *       lie in, and all of them are kept: there is always room. Without one,
 *       one spare block is kept.
 *
 * Fails      never.
 * Tests      test/test_deque.c, test/test_queue.c, test/stress_queue.c */
#include "sched/deque.h"

#include "fiber/invariant.h"
#include "sched/item.h"

#include <stdlib.h>

enum {
    BLOCK = 4096 - 64, /* bytes, about: what malloc adds fits on a page, too */
    BLOCKS = 8         /* of a full deque with a bound */
};

void coir_i_deque_init(coir_i_deque *d, size_t item_size, size_t capacity)
{
    size_t per_block = item_size > 0 ? BLOCK / item_size : BLOCK;
    if (capacity > 0 && per_block < capacity / BLOCKS + 1)
        per_block = capacity / BLOCKS + 1;
    if (capacity > 0 && per_block > capacity)
        per_block = capacity;
    *d = (coir_i_deque){.item_size = item_size, .spares_most = 1};
    d->per_block = per_block > 0 ? per_block : 1;
    if (capacity > 0) /* one more, since the first may be half empty */
        d->spares_most = (capacity - 1) / d->per_block + 2;
}

static void free_blocks(coir_i_deque_block *b)
{
    for (coir_i_deque_block *next; b; b = next) {
        next = b->next;
        free(b);
    }
}

void coir_i_deque_end(coir_i_deque *d)
{
    free_blocks(d->first);
    free_blocks(d->spare);
}

bool coir_i_deque_is_filled(const coir_i_deque *d)
{
    return d->spares == d->spares_most;
}

size_t coir_i_deque_block_size(const coir_i_deque *d)
{
    size_t size;
    if (__builtin_mul_overflow(d->per_block, d->item_size, &size) ||
        __builtin_add_overflow(size, sizeof(coir_i_deque_block), &size))
        return SIZE_MAX;
    return size;
}

bool coir_i_deque_has_room(const coir_i_deque *d)
{
    return d->spare || (d->last && d->to < d->per_block);
}

void *coir_i_deque_give(coir_i_deque *d, void *block)
{
    coir_i_deque_block *b = block;
    if (d->spares >= d->spares_most)
        return b;
    b->next = d->spare;
    d->spare = b;
    d->spares++;
    return NULL;
}

void coir_i_deque_clear(coir_i_deque *d)
{
    while (d->first) {
        coir_i_deque_block *b = d->first;
        d->first = b->next;
        b->next = d->spare;
        d->spare = b;
        d->spares++;
    }
    d->last = NULL;
}

static void append_block(coir_i_deque *d)
{
    coir_i_deque_block *b = d->spare;
    coir_i_assert(b != NULL);
    d->spare = b->next;
    d->spares--;
    b->next = NULL;
    b->prev = d->last;
    if (d->last) {
        d->last->next = b;
    } else {
        d->first = b;
        d->from = 0;
    }
    d->last = b;
    d->to = 0;
}

static char *item_at(const coir_i_deque *d, coir_i_deque_block *b, size_t i)
{
    return b->items + i * d->item_size;
}

void coir_i_deque_put(coir_i_deque *d, const void *item)
{
    if (!d->last || d->to == d->per_block)
        append_block(d);
    coir_i_item_copy(item_at(d, d->last, d->to++), item, d->item_size);
}

void *coir_i_deque_take_first(coir_i_deque *d, void *item)
{
    coir_i_deque_block *b = d->first;
    coir_i_item_copy(item, item_at(d, b, d->from++), d->item_size);
    if (d->from < (b == d->last ? d->to : d->per_block))
        return NULL;
    d->first = b->next;
    *(b->next ? &b->next->prev : &d->last) = NULL;
    d->from = 0;
    return coir_i_deque_give(d, b);
}

void *coir_i_deque_take_last(coir_i_deque *d, void *item)
{
    coir_i_deque_block *b = d->last;
    coir_i_item_copy(item, item_at(d, b, --d->to), d->item_size);
    if (d->to > (b == d->first ? d->from : 0))
        return NULL;
    d->last = b->prev;
    *(b->prev ? &b->prev->next : &d->first) = NULL;
    d->to = d->per_block;
    return coir_i_deque_give(d, b);
}
