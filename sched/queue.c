/* sched/queue.c -- queues of work
 *
 * Does       put, get, done, join, shutdown; hands an item straight to who
 *            waits for one.
 * Does not   say where items lie: that is deque.c, or heap.c for an order of
 *            the user's.
 *
 * Invariants
 *   Q1  while a fiber waits to put, the queue is full and none waits to get;
 *       while one waits to get, it is empty and none waits to put. (Fibers that
 *       were cancelled may still be listed.) So an item that is handed to who
 *       waits is the next in any order.
 *   Q2  SHUT stays, and nobody waits to put or get while it is set.
 *   Q3  all that were put are dealt with if the queue is empty and `got` is 0.
 *       Nobody waits to join then.
 *   Q4  a queue with a bound has all its memory from the start, so that who
 *       waits to put can be let in under the lock. One without asks for more
 *       where it holds no lock; nobody ever waits to put into it.
 *   Q5  `waiting` counts those who will still come back to the queue, also if
 *       somebody has unlinked them in vain: it is not freed before.
 *
 * Locks      the word, outside those of trees and wheels, as in chan.c. The
 *            user's compare is called under it.
 * Edges      waitq.word
 * Fails      coir_queue_new, and a put that needs memory: -ENOMEM, nothing was
 *            made or put.
 * Tests      test/test_queue.c, test/test_queue_wait.c, test/test_queue_end.c,
 *            test/test_queue_memory.c, test/stress_queue.c */
#include <coir/queue.h>

#include "sched/deque.h"
#include "sched/heap.h"
#include "sched/item.h"
#include "sched/module.h"
#include "sched/waitq.h"

#include <errno.h>
#include <stdlib.h>

enum {
    SHUT = 2,          /* in the word, above the lock */
    PIPE = COIR_I_OWN, /* why a wait ended: it was shut down */
    NEEDS_MEMORY = 1   /* what a put may come to, besides its results */
};

struct coir_queue { /* its lock's, but for what is const */
    _Alignas(64) _Atomic(uint64_t) word;
    coir_i_waitq putters, getters, joiners;
    _Atomic(size_t) length; /* written under the lock */
    size_t got;             /* and not yet dealt with */
    size_t waiting;         /* waiters not yet taken or withdrawn */
    size_t item_size;       /* const */
    size_t capacity;        /* const; SIZE_MAX: no bound */
    enum coir_order order;  /* const */
    union {
        coir_i_deque deque;
        coir_i_heap heap; /* COIR_PRIORITY */
    } items;
};

/* ---- where the items lie ---- */

static bool has_room(const coir_queue *q)
{
    return q->order == COIR_PRIORITY ? coir_i_heap_has_room(&q->items.heap)
                                     : coir_i_deque_has_room(&q->items.deque);
}

static size_t memory_wanted(const coir_queue *q)
{
    return q->order == COIR_PRIORITY ? coir_i_heap_segment_size(&q->items.heap)
                                     : coir_i_deque_block_size(&q->items.deque);
}

/* What is to be freed: it is not wanted any more. */
static void *give_memory(coir_queue *q, void *memory, size_t size)
{
    return q->order == COIR_PRIORITY
               ? coir_i_heap_give(&q->items.heap, memory, size)
               : coir_i_deque_give(&q->items.deque, memory);
}

static void set_length(coir_queue *q, size_t length)
{
    /* relaxed: who reads it without the lock asks for no more than a number. */
    store_relaxed(&q->length, length);
}

static size_t length_of(const coir_queue *q)
{
    /* relaxed: under the lock, or a number that may be old. */
    return load_relaxed(&((coir_queue *)(uintptr_t)q)->length);
}

static void insert(coir_queue *q, const void *item)
{
    set_length(q, length_of(q) + 1);
    if (q->order == COIR_PRIORITY)
        coir_i_heap_put(&q->items.heap, item);
    else
        coir_i_deque_put(&q->items.deque, item);
}

/* Memory to be freed, or NULL. */
static void *extract(coir_queue *q, void *item)
{
    set_length(q, length_of(q) - 1);
    switch (q->order) {
    case COIR_PRIORITY:
        return coir_i_heap_take(&q->items.heap, item);
    case COIR_LIFO:
        return coir_i_deque_take_last(&q->items.deque, item);
    default:
        return coir_i_deque_take_first(&q->items.deque, item);
    }
}

/* ---- who waits ---- */

static coir_i_waiter *take(coir_queue *q, coir_i_waitq *waiters,
                           unsigned reason)
{
    coir_i_waiter *w = NULL;
    if (!coir_i_waitq_empty(waiters))
        w = coir_i_waitq_take(waiters, reason);
    if (w)
        q->waiting--;
    return w;
}

/* All of them, in order, linked behind *end; where the next is linked. */
static coir_i_waiter **take_all(coir_queue *q, coir_i_waitq *waiters,
                                unsigned reason, coir_i_waiter **end)
{
    coir_i_waiter *w;
    while ((w = take(q, waiters, reason)) != NULL) {
        *end = w;
        end = &w->next;
    }
    return end;
}

static bool is_finished(const coir_queue *q)
{
    return length_of(q) == 0 && q->got == 0;
}

static coir_i_waiter *take_joiners(coir_queue *q)
{
    coir_i_waiter *joiners = NULL;
    if (is_finished(q))
        take_all(q, &q->joiners, COIR_I_WOKEN, &joiners);
    return joiners;
}

/* With the lock, which is given back. */
static int wait_among(coir_queue *q, uint64_t state, coir_i_waitq *waiters,
                      const coir_i_wait *wait, void *item)
{
    coir_i_waiter me = {.item = item};
    me.ticket = coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, wait, q);
    coir_i_waitq_put(waiters, &me);
    q->waiting++;
    coir_i_word_unlock(&q->word, state);
    unsigned reason = coir_i_park();
    if (reason == COIR_I_WOKEN)
        return 0;
    if (reason == PIPE)
        return -EPIPE;
    state = coir_i_word_lock(&q->word);
    coir_i_waitq_withdraw(waiters, &me);
    q->waiting--;
    coir_i_word_unlock(&q->word, state);
    return -ECANCELED;
}

/* ---- putting ---- */

/* Under the lock. *woken is to be delivered when it was given back. */
static int put_now(coir_queue *q, uint64_t state, const void *item,
                   coir_i_waiter **woken)
{
    if (state & SHUT)
        return -EPIPE;
    *woken = take(q, &q->getters, COIR_I_WOKEN);
    if (*woken) {
        coir_i_item_copy((*woken)->item, item, q->item_size);
        q->got++;
        return 0;
    }
    if (length_of(q) == q->capacity)
        return -EAGAIN;
    if (!has_room(q))
        return NEEDS_MEMORY;
    insert(q, item);
    return 0;
}

/* With the lock, which is given back. */
static int grow(coir_queue *q, uint64_t state)
{
    size_t size = memory_wanted(q);
    coir_i_word_unlock(&q->word, state);
    void *memory = malloc(size);
    if (!memory)
        return -ENOMEM;
    state = coir_i_word_lock(&q->word);
    memory = give_memory(q, memory, size);
    coir_i_word_unlock(&q->word, state);
    free(memory);
    return 0;
}

static const coir_i_wait waits_to_put = {.what = "queue to put"};
static const coir_i_wait waits_to_get = {.what = "queue to get"};
static const coir_i_wait waits_to_join = {.what = "queue to join"};

static int put(coir_queue *q, const void *item, const coir_i_wait *wait)
{
    for (;;) {
        coir_i_waiter *woken = NULL;
        uint64_t state = coir_i_word_lock(&q->word);
        int rc = put_now(q, state, item, &woken);
        if (rc == -EAGAIN && wait)
            return wait_among(q, state, &q->putters, wait,
                              (void *)(uintptr_t)item);
        if (rc != NEEDS_MEMORY) {
            coir_i_word_unlock(&q->word, state);
            coir_i_waitq_deliver(woken);
            return rc;
        }
        if ((rc = grow(q, state)) < 0)
            return rc;
    }
}

int coir_queue_put(coir_queue *q, const void *item)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_waitq_prepare();
    return put(q, item, &waits_to_put);
}

int coir_queue_try_put(coir_queue *q, const void *item)
{
    return coir_i_is_forked() ? -EPERM : put(q, item, NULL);
}

/* ---- getting ---- */

static int get(coir_queue *q, void *item, const coir_i_wait *wait)
{
    uint64_t state = coir_i_word_lock(&q->word);
    if (length_of(q) == 0 && !(state & SHUT) && wait)
        return wait_among(q, state, &q->getters, wait, item);
    if (length_of(q) == 0) {
        coir_i_word_unlock(&q->word, state);
        return state & SHUT ? -EPIPE : -EAGAIN;
    }
    void *memory = extract(q, item);
    q->got++;
    coir_i_waiter *putter = take(q, &q->putters, COIR_I_WOKEN);
    if (putter)
        insert(q, putter->item);
    coir_i_word_unlock(&q->word, state);
    coir_i_waitq_deliver(putter);
    free(memory);
    return 0;
}

int coir_queue_get(coir_queue *q, void *item)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_waitq_prepare();
    return get(q, item, &waits_to_get);
}

int coir_queue_try_get(coir_queue *q, void *item)
{
    return coir_i_is_forked() ? -EPERM : get(q, item, NULL);
}

size_t coir_queue_length(const coir_queue *q)
{
    return length_of(q);
}

/* ---- the end of the work ---- */

int coir_queue_done(coir_queue *q)
{
    coir_i_waiter *joiners = NULL;
    if (coir_i_is_forked())
        return -EPERM;
    uint64_t state = coir_i_word_lock(&q->word);
    int rc = q->got > 0 ? 0 : -EINVAL;
    if (rc == 0) {
        q->got--;
        joiners = take_joiners(q);
    }
    coir_i_word_unlock(&q->word, state);
    coir_i_waitq_deliver_all(joiners);
    return rc;
}

int coir_queue_join(coir_queue *q)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_waitq_prepare();
    uint64_t state = coir_i_word_lock(&q->word);
    if (!is_finished(q))
        return wait_among(q, state, &q->joiners, &waits_to_join, NULL);
    coir_i_word_unlock(&q->word, state);
    return 0;
}

static void drop_all(coir_queue *q)
{
    if (q->order == COIR_PRIORITY)
        coir_i_heap_clear(&q->items.heap);
    else
        coir_i_deque_clear(&q->items.deque);
    set_length(q, 0);
}

void coir_queue_shutdown(coir_queue *q, bool discard)
{
    coir_i_waiter *refused = NULL;
    if (coir_i_is_forked())
        return;
    uint64_t state = coir_i_word_lock(&q->word);
    coir_i_waiter **end = take_all(q, &q->putters, PIPE, &refused);
    take_all(q, &q->getters, PIPE, end);
    if (discard)
        drop_all(q);
    coir_i_waiter *joiners = take_joiners(q);
    coir_i_word_unlock(&q->word, state | SHUT);
    coir_i_waitq_deliver_all(refused);
    coir_i_waitq_deliver_all(joiners);
}

/* ---- its life ---- */

static void end(coir_queue *q)
{
    if (q->order == COIR_PRIORITY)
        coir_i_heap_end(&q->items.heap);
    else
        coir_i_deque_end(&q->items.deque);
    free(q);
}

static bool is_filled(const coir_queue *q)
{
    return q->order == COIR_PRIORITY ? coir_i_heap_is_filled(&q->items.heap)
                                     : coir_i_deque_is_filled(&q->items.deque);
}

int coir_queue_new(coir_queue **ret_queue, size_t item_size, size_t capacity,
                   enum coir_order order,
                   int (*compare)(const void *a, const void *b))
{
    size_t bytes;
    if (coir_i_is_forked())
        return -EPERM;
    if ((unsigned)order > COIR_PRIORITY || (order == COIR_PRIORITY && !compare))
        return -EINVAL;
    if (__builtin_mul_overflow(item_size, capacity ? capacity : 1, &bytes) ||
        bytes > PTRDIFF_MAX / 2)
        return -ENOMEM;
    coir_queue *q = aligned_alloc(_Alignof(coir_queue), sizeof *q);
    if (!q)
        return -ENOMEM;
    memset(q, 0, sizeof *q);
    q->item_size = item_size;
    q->capacity = capacity ? capacity : SIZE_MAX;
    q->order = order;
    if (order == COIR_PRIORITY)
        coir_i_heap_init(&q->items.heap, item_size, capacity, compare);
    else
        coir_i_deque_init(&q->items.deque, item_size, capacity);
    while (!is_filled(q)) {
        size_t size = memory_wanted(q);
        void *memory = size == SIZE_MAX ? NULL : malloc(size);
        if (!memory) {
            end(q);
            return -ENOMEM;
        }
        give_memory(q, memory, size);
    }
    *ret_queue = q;
    return 0;
}

int coir_queue_free(coir_queue *q)
{
    if (!q)
        return 0;
    if (coir_i_is_forked())
        return -EPERM;
    uint64_t state = coir_i_word_lock(&q->word);
    if (q->waiting > 0) {
        coir_i_word_unlock(&q->word, state);
        return -EBUSY;
    }
    end(q);
    return 0;
}
