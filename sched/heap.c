/* sched/heap.c -- items of which the least is taken; equals in order
 *
 * Does not   lock or allocate. It calls the user's compare.
 *
 * Invariants
 *   H1  no item is before its parent, the one at (index - 1) / 2: by compare,
 *       or where that is 0 by the number that it got when it was put.
 *   H2  an item is aligned for any type of its size, as by malloc: compare
 *       sees it where it lies.
 *   H3  with a bound there are from the start segments for all items, and they
 *       are kept. Without one, the last segment is given back when it and half
 *       of the rest are empty.
 *
 * Fails      never.
 * Tests      test/test_heap.c, test/test_queue.c, test/stress_queue.c */
#include "sched/heap.h"

#include "fiber/invariant.h"
#include "sched/item.h"

#include <stdlib.h>

enum { LEAST = 32 }; /* items of the first segment */

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* The greatest alignment, of those that malloc sees to, that a type of this
 * size can have. */
static size_t alignment_of(size_t item_size)
{
    size_t lowest = item_size & -item_size;
    size_t most = _Alignof(max_align_t);
    if (lowest == 0 || lowest > most)
        lowest = most;
    return lowest > sizeof(uint64_t) ? lowest : sizeof(uint64_t);
}

void coir_i_heap_init(coir_i_heap *h, size_t item_size, size_t capacity,
                      coir_i_compare *compare)
{
    *h = (coir_i_heap){.compare = compare, .item_size = item_size};
    h->capacity = capacity;
    h->number_at = round_up(item_size, sizeof(uint64_t));
    h->stride =
        round_up(h->number_at + sizeof(uint64_t), alignment_of(item_size));
}

void coir_i_heap_end(coir_i_heap *h)
{
    for (unsigned i = 0; i < h->segments; i++)
        free(h->segment[i]);
}

void coir_i_heap_clear(coir_i_heap *h)
{
    h->length = 0;
}

/* ---- where they lie ---- */

/* How many items there are room for in so many segments. */
static size_t room_of(unsigned segments)
{
    return ((size_t)LEAST << segments) - LEAST;
}

bool coir_i_heap_is_filled(const coir_i_heap *h)
{
    return h->segments > 0 && room_of(h->segments) >= h->capacity;
}

bool coir_i_heap_has_room(const coir_i_heap *h)
{
    return h->length < room_of(h->segments);
}

size_t coir_i_heap_segment_size(const coir_i_heap *h)
{
    size_t before = room_of(h->segments), size;
    size_t items = (size_t)LEAST << h->segments;
    if (h->capacity > 0 && items > h->capacity - before)
        items = h->capacity - before;
    if (h->segments == COIR_I_HEAP_SEGMENTS ||
        __builtin_mul_overflow(items, h->stride, &size))
        return SIZE_MAX;
    return size;
}

void *coir_i_heap_give(coir_i_heap *h, void *segment, size_t size)
{
    if (size != coir_i_heap_segment_size(h)) /* another has given one */
        return segment;
    h->segment[h->segments++] = segment;
    return NULL;
}

static char *at(const coir_i_heap *h, size_t i)
{
    size_t run = i / LEAST + 1;
    unsigned segment = 63 - (unsigned)__builtin_clzll(run);
    return h->segment[segment] + (i - room_of(segment)) * h->stride;
}

static uint64_t number_of(const coir_i_heap *h, const char *item)
{
    uint64_t number;
    memcpy(&number, item + h->number_at, sizeof number);
    return number;
}

static bool is_before(const coir_i_heap *h, const char *a, const char *b)
{
    int order = h->compare(a, b);
    return order < 0 || (order == 0 && number_of(h, a) < number_of(h, b));
}

/* ---- in and out ---- */

void coir_i_heap_put(coir_i_heap *h, const void *item)
{
    size_t i = h->length++;
    for (size_t parent; i > 0; i = parent) {
        parent = (i - 1) / 2;
        char *above = at(h, parent);
        if (h->compare(item, above) >= 0) /* equals stay before it */
            break;
        memcpy(at(h, i), above, h->stride);
    }
    char *place = at(h, i);
    coir_i_item_copy(place, item, h->item_size);
    memcpy(place + h->number_at, &h->next_number, sizeof h->next_number);
    h->next_number++;
}

/* The one of the two below i that is before the other; NULL: there is none. */
static char *lesser_below(const coir_i_heap *h, size_t i, size_t *below)
{
    *below = 2 * i + 1;
    if (*below >= h->length)
        return NULL;
    char *left = at(h, *below);
    if (*below + 1 == h->length)
        return left;
    char *right = at(h, *below + 1);
    if (is_before(h, left, right))
        return left;
    ++*below;
    return right;
}

/* The last one goes to where the first was, or as far down as it must. */
static void fill_first(coir_i_heap *h)
{
    const char *last = at(h, h->length);
    char *place = at(h, 0), *lesser;
    for (size_t i = 0, below; (lesser = lesser_below(h, i, &below));
         i = below) {
        if (is_before(h, last, lesser))
            break;
        memcpy(place, lesser, h->stride);
        place = lesser;
    }
    if (place != last)
        memcpy(place, last, h->stride);
}

void *coir_i_heap_take(coir_i_heap *h, void *item)
{
    coir_i_item_copy(item, at(h, 0), h->item_size);
    h->length--;
    fill_first(h);
    if (h->capacity > 0 || h->segments < 2 ||
        h->length > room_of(h->segments - 1) / 2)
        return NULL;
    return h->segment[--h->segments];
}
