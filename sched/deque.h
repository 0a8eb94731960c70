/* sched/deque.h -- items in a row, taken from either end
 *
 * In blocks of some items each, linked, so that it grows without moving what is
 * in it. It asks for no memory by itself: whoever uses it gives it blocks,
 * allocated where no lock is held.
 *
 *     first                          last              spare
 *     [ - - c d ] <-> [ e f g h ] <-> [ i j - - ]      [ - - - - ] -> ...
 *           ^ from                          ^ to */
#ifndef COIR_SCHED_DEQUE_H
#define COIR_SCHED_DEQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct coir_i_deque_block coir_i_deque_block;
struct coir_i_deque_block {
    coir_i_deque_block *next, *prev;
    char items[];
};

typedef struct coir_i_deque {
    coir_i_deque_block *first, *last; /* NULL: it is empty */
    coir_i_deque_block *spare;
    size_t from, to;  /* an index in first; one past the end in last */
    size_t item_size; /* const */
    size_t per_block; /* const: items */
    size_t spares, spares_most;
} coir_i_deque;

/* capacity: how many items there can be; 0: any number. */
void coir_i_deque_init(coir_i_deque *d, size_t item_size, size_t capacity);
/* Has it what it starts with? Else it is to be given blocks until it has. */
bool coir_i_deque_is_filled(const coir_i_deque *d);
/* What is in it is gone; and so is its memory. */
void coir_i_deque_clear(coir_i_deque *d);
void coir_i_deque_end(coir_i_deque *d);

/* If there is no room for one more it must be given a block of the size. */
bool coir_i_deque_has_room(const coir_i_deque *d);
size_t coir_i_deque_block_size(const coir_i_deque *d); /* SIZE_MAX: too big */
/* What is not needed after all, to be freed; NULL: nothing. */
void *coir_i_deque_give(coir_i_deque *d, void *block);

void coir_i_deque_put(coir_i_deque *d, const void *item); /* last; has room */
/* It must not be empty. The same of what they return. */
void *coir_i_deque_take_first(coir_i_deque *d, void *item);
void *coir_i_deque_take_last(coir_i_deque *d, void *item);

#endif
