/* Queues of work: producers, consumers, and the end of the work. See
 * coir_queue(3). */
#ifndef COIR_QUEUE_H
#define COIR_QUEUE_H

#include <coir/base.h>

COIR_BEGIN

typedef struct coir_queue coir_queue;

/* COIR_PRIORITY: the least by compare first, equals in the order in which they
 * were put. */
enum coir_order { COIR_FIFO, COIR_LIFO, COIR_PRIORITY };
int coir_queue_new(coir_queue **queue, size_t item_size, size_t capacity,
                   enum coir_order order,
                   int (*compare)(const void *a, const void *b)) COIR_MUST_USE;
int coir_queue_free(coir_queue *queue); /* -EBUSY: a fiber waits on it */

/* [parks] -EPIPE: shut down; to get, also empty. */
int coir_queue_put(coir_queue *queue, const void *item) COIR_MUST_USE;
int coir_queue_get(coir_queue *queue, void *item) COIR_MUST_USE;
/* -EAGAIN instead of waiting. */
int coir_queue_try_put(coir_queue *queue, const void *item) COIR_MUST_USE;
int coir_queue_try_get(coir_queue *queue, void *item) COIR_MUST_USE;

int coir_queue_done(coir_queue *queue); /* one item got is dealt with */
int coir_queue_join(coir_queue *queue) COIR_MUST_USE; /* [parks] all put are */
/* discard: drop what is queued, as if dealt with. */
void coir_queue_shutdown(coir_queue *queue, bool discard);
size_t coir_queue_length(const coir_queue *queue);

COIR_END

#endif
