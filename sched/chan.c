/* sched/chan.c -- channels: items go from fiber to fiber
 *
 * Does       new, free, send, receive, close; and under the lock what select.c
 *            does with several channels at once.
 * Does not   wake anybody to try again: who is woken has sent or received.
 *
 * Invariants C1 to C3, in chan.h; and
 *   C4  the last access of a sender or receiver that did not wait, or was
 *       taken, is that of the lock's release: whoever learns from an item that
 *       it was the last may free the channel.
 *   C5  `waiting` counts those who will still come back to the channel, also
 *       if somebody has unlinked them in vain: it is not freed before.
 *
 * Locks      the word, outside those of trees and wheels: coir_i_arm comes
 *            under it, so that a wait takes the lock once.
 * Edges      waitq.word
 * Fails      coir_chan_new: -ENOMEM, nothing was made.
 * Tests      test/test_chan.c, test/test_chan_end.c, test/stress_chan.c;
 *            bench/bench_chan.c, bench/bench_skynet_chan.c */
#include "sched/chan.h"

#include "sched/item.h"
#include "sched/module.h"

#include <stdlib.h>

static const coir_i_wait waits_to_send = {.what = "channel to send"};
static const coir_i_wait waits_to_receive = {.what = "channel to receive"};

/* ---- under the lock ---- */

static char *slot(coir_chan *c, size_t after_first)
{
    size_t at = c->first + after_first;
    if (at >= c->capacity)
        at -= c->capacity;
    return c->items + at * c->item_size;
}

static inline coir_i_chan_waiter *take(coir_chan *c, coir_i_waitq *q,
                                       unsigned reason)
{
    if (coir_i_waitq_empty(q))
        return NULL;
    coir_i_chan_waiter *w = (coir_i_chan_waiter *)coir_i_waitq_take(q, reason);
    if (w) {
        w->taken = true;
        c->waiting--;
    }
    return w;
}

static inline int send_now(coir_chan *c, uint64_t state, const void *item,
                           coir_i_waiter **woken)
{
    if (coir_i_unlikely(state & COIR_I_CHAN_CLOSED))
        return -EPIPE;
    coir_i_chan_waiter *receiver = take(c, &c->receivers, COIR_I_WOKEN);
    if (receiver) {
        *woken = &receiver->waiter;
        coir_i_item_copy((*woken)->item, item, c->item_size);
        return 0;
    }
    if (c->length == c->capacity)
        return -EAGAIN;
    coir_i_item_copy(slot(c, c->length), item, c->item_size);
    c->length++;
    return 0;
}

/* The first item of the ring; who waits to send fills the place. */
static inline void take_first(coir_chan *c, void *item, coir_i_waiter **woken)
{
    coir_i_item_copy(item, slot(c, 0), c->item_size);
    if (++c->first == c->capacity)
        c->first = 0;
    coir_i_chan_waiter *sender = take(c, &c->senders, COIR_I_WOKEN);
    if (!sender) {
        c->length--;
        return;
    }
    *woken = &sender->waiter;
    coir_i_item_copy(slot(c, c->length - 1), (*woken)->item, c->item_size);
}

static inline int receive_now(coir_chan *c, uint64_t state, void *item,
                              coir_i_waiter **woken)
{
    if (c->length > 0) {
        take_first(c, item, woken);
        return 0;
    }
    coir_i_chan_waiter *sender = take(c, &c->senders, COIR_I_WOKEN);
    if (sender) {
        *woken = &sender->waiter;
        coir_i_item_copy(item, (*woken)->item, c->item_size);
        return 0;
    }
    return state & COIR_I_CHAN_CLOSED ? -EPIPE : -EAGAIN;
}

int coir_i_chan_pass(coir_chan *c, enum coir_op op, void *item,
                     coir_i_waiter **woken)
{
    uint64_t state = load_relaxed(&c->word); /* we have the lock */
    return op == COIR_SEND ? send_now(c, state, item, woken)
                           : receive_now(c, state, item, woken);
}

static coir_i_waitq *queue_of(coir_chan *c, enum coir_op op)
{
    return op == COIR_SEND ? &c->senders : &c->receivers;
}

void coir_i_chan_await(coir_chan *c, enum coir_op op,
                       coir_i_chan_waiter *waiter)
{
    coir_i_waitq_put(queue_of(c, op), &waiter->waiter);
    c->waiting++;
}

void coir_i_chan_withdraw(coir_chan *c, enum coir_op op,
                          coir_i_chan_waiter *waiter)
{
    coir_i_waitq_withdraw(queue_of(c, op), &waiter->waiter);
    c->waiting--;
}

/* ---- sending and receiving ---- */

/* With the lock, which is given back. */
static int wait_for(coir_chan *c, uint64_t state, enum coir_op op, void *item)
{
    coir_i_chan_waiter me = {.waiter.item = item};
    me.waiter.ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE,
                   op == COIR_SEND ? &waits_to_send : &waits_to_receive, c);
    coir_i_chan_await(c, op, &me);
    coir_i_word_unlock(&c->word, state);
    int rc = coir_i_chan_result(coir_i_park());
    if (coir_i_unlikely(rc == -ECANCELED)) {
        state = coir_i_word_lock(&c->word);
        coir_i_chan_withdraw(c, op, &me);
        coir_i_word_unlock(&c->word, state);
    }
    return rc;
}

int coir_chan_send(coir_chan *c, const void *item)
{
    coir_i_waiter *woken = NULL;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_waitq_prepare();
    uint64_t state = coir_i_word_lock(&c->word);
    rc = send_now(c, state, item, &woken);
    if (rc == -EAGAIN)
        return wait_for(c, state, COIR_SEND, (void *)(uintptr_t)item);
    coir_i_word_unlock(&c->word, state);
    coir_i_waitq_deliver(woken);
    return rc;
}

int coir_chan_recv(coir_chan *c, void *item)
{
    coir_i_waiter *woken = NULL;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_waitq_prepare();
    uint64_t state = coir_i_word_lock(&c->word);
    rc = receive_now(c, state, item, &woken);
    if (rc == -EAGAIN)
        return wait_for(c, state, COIR_RECV, item);
    coir_i_word_unlock(&c->word, state);
    coir_i_waitq_deliver(woken);
    return rc;
}

static int try(coir_chan *c, enum coir_op op, void *item)
{
    coir_i_waiter *woken = NULL;
    if (coir_i_is_forked())
        return -EPERM;
    uint64_t state = coir_i_word_lock(&c->word);
    int rc = coir_i_chan_pass(c, op, item, &woken);
    coir_i_word_unlock(&c->word, state);
    coir_i_waitq_deliver(woken);
    return rc;
}

int coir_chan_try_send(coir_chan *c, const void *item)
{
    return try(c, COIR_SEND, (void *)(uintptr_t)item);
}

int coir_chan_try_recv(coir_chan *c, void *item)
{
    return try(c, COIR_RECV, item);
}

/* ---- its life ---- */

/* All that wait, in order, each linked to the next. */
static coir_i_waiter *take_all(coir_chan *c, coir_i_waitq *q)
{
    coir_i_waiter *first = NULL, **end = &first;
    coir_i_chan_waiter *w;
    while ((w = take(c, q, COIR_I_CHAN_PIPE)) != NULL) {
        *end = &w->waiter;
        end = &w->waiter.next;
    }
    return first;
}

void coir_chan_close(coir_chan *c)
{
    if (coir_i_is_forked())
        return;
    uint64_t state = coir_i_word_lock(&c->word);
    coir_i_waiter *receivers = take_all(c, &c->receivers);
    coir_i_waiter *senders = take_all(c, &c->senders);
    coir_i_word_unlock(&c->word, state | COIR_I_CHAN_CLOSED);
    coir_i_waitq_deliver_all(receivers);
    coir_i_waitq_deliver_all(senders);
}

int coir_chan_new(coir_chan **ret_chan, size_t item_size, size_t capacity)
{
    const size_t line = _Alignof(coir_chan);
    size_t size;
    if (coir_i_is_forked())
        return -EPERM;
    if (__builtin_mul_overflow(item_size, capacity, &size) ||
        __builtin_add_overflow(size, sizeof(coir_chan) + line, &size) ||
        size > PTRDIFF_MAX)
        return -ENOMEM;
    /* aligned_alloc takes three times as long. */
    char *memory = malloc(size);
    if (!memory)
        return -ENOMEM;
    uint32_t shift = (uint32_t)(-(uintptr_t)memory & (line - 1));
    coir_chan *c = (coir_chan *)(void *)(memory + shift);
    memset(c, 0, sizeof *c);
    c->item_size = item_size;
    c->capacity = capacity;
    c->shift = shift;
    *ret_chan = c;
    return 0;
}

int coir_chan_free(coir_chan *c)
{
    if (!c)
        return 0;
    if (coir_i_is_forked())
        return -EPERM;
    uint64_t state = coir_i_word_lock(&c->word);
    if (c->waiting > 0) {
        coir_i_word_unlock(&c->word, state);
        return -EBUSY;
    }
    free((char *)c - c->shift);
    return 0;
}
