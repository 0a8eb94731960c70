/* sched/heap.h -- items of which the least is taken; equals in order
 *
 * A binary heap. It lies in segments, each twice as long as the one before, so
 * that it grows without moving what is in it:
 *
 *     segment 0    items 0 ... 31
 *     segment 1    items 32 ... 95
 *     segment 2    items 96 ... 223, and so on
 *
 * It asks for no memory by itself: whoever uses it gives it segments, allocated
 * where no lock is held. */
#ifndef COIR_SCHED_HEAP_H
#define COIR_SCHED_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COIR_I_HEAP_SEGMENTS = 56 }; /* more than memory has room for */

typedef int coir_i_compare(const void *a, const void *b);

typedef struct coir_i_heap {
    coir_i_compare *compare; /* const */
    size_t item_size;        /* const */
    size_t number_at;        /* const: behind an item, how many came before */
    size_t stride;           /* const: bytes from item to item */
    size_t capacity;         /* const; 0: no bound */
    size_t length;
    uint64_t next_number;
    unsigned segments;
    char *segment[COIR_I_HEAP_SEGMENTS];
} coir_i_heap;

/* capacity: how many items there can be; 0: any number. */
void coir_i_heap_init(coir_i_heap *h, size_t item_size, size_t capacity,
                      coir_i_compare *compare);
/* Has it what it starts with? Else it is to be given segments until it has. */
bool coir_i_heap_is_filled(const coir_i_heap *h);
/* What is in it is gone; and so is its memory. */
void coir_i_heap_clear(coir_i_heap *h);
void coir_i_heap_end(coir_i_heap *h);

/* If there is no room for one more it must be given a segment of the size. */
bool coir_i_heap_has_room(const coir_i_heap *h);
size_t coir_i_heap_segment_size(const coir_i_heap *h); /* SIZE_MAX: too big */
/* What is not needed after all, to be freed; NULL: nothing. size: what was
 * asked for. */
void *coir_i_heap_give(coir_i_heap *h, void *segment, size_t size);

void coir_i_heap_put(coir_i_heap *h, const void *item); /* has room */
/* The least; it must not be empty. The same of what it returns. */
void *coir_i_heap_take(coir_i_heap *h, void *item);

#endif
