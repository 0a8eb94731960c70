/* test/queue_script.h -- the steps of a script on one queue of ints */
#ifndef COIR_TEST_QUEUE_SCRIPT_H
#define COIR_TEST_QUEUE_SCRIPT_H

#include <coir/queue.h>

#include "test/script.h"

static coir_queue *queue;

static inline int put(int *item)
{
    return coir_queue_put(queue, item);
}

static inline int get(int *item)
{
    return coir_queue_get(queue, item);
}

static inline int try_put(int *item)
{
    return coir_queue_try_put(queue, item);
}

static inline int try_get(int *item)
{
    return coir_queue_try_get(queue, item);
}

static inline int free_it(int *item)
{
    (void)item;
    return coir_queue_free(queue);
}

static inline int done(int *item)
{
    (void)item;
    return coir_queue_done(queue);
}

static inline int join(int *item)
{
    (void)item;
    return coir_queue_join(queue);
}

static inline int shut(int *item)
{
    (void)item;
    coir_queue_shutdown(queue, false);
    return 0;
}

static inline int discard(int *item)
{
    (void)item;
    coir_queue_shutdown(queue, true);
    return 0;
}

static inline int ask_length(int *item)
{
    (void)item;
    return (int)coir_queue_length(queue);
}

/* By tens only: 31 and 32 are equal. */
static inline int compare_tens(const void *a, const void *b)
{
    return *(const int *)a / 10 - *(const int *)b / 10;
}

static inline void make_queue(enum coir_order order, size_t capacity)
{
    ck_assert_int_eq(
        coir_queue_new(&queue, sizeof(int), capacity, order, compare_tens), 0);
}

static inline void free_queue(void)
{
    ck_assert_int_eq(coir_queue_free(queue), 0);
}

#endif
