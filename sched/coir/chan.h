/* Channels, and waiting for one of several. See coir_chan(3) and
 * coir_select(3). */
#ifndef COIR_CHAN_H
#define COIR_CHAN_H

#include <coir/base.h>

COIR_BEGIN

typedef struct coir_chan coir_chan;

/* capacity 0: a rendezvous. */
int coir_chan_new(coir_chan **chan, size_t item_size,
                  size_t capacity) COIR_MUST_USE;
int coir_chan_free(coir_chan *chan); /* -EBUSY: a fiber waits on it */

/* [parks] -EPIPE: closed; to receive, also drained. */
int coir_chan_send(coir_chan *chan, const void *item) COIR_MUST_USE;
int coir_chan_recv(coir_chan *chan, void *item) COIR_MUST_USE;
/* -EAGAIN instead of waiting. */
int coir_chan_try_send(coir_chan *chan, const void *item) COIR_MUST_USE;
int coir_chan_try_recv(coir_chan *chan, void *item) COIR_MUST_USE;
void coir_chan_close(coir_chan *chan); /* again is harmless */

enum coir_op { COIR_SEND, COIR_RECV };
typedef struct coir_case {
    coir_chan *chan; /* NULL: never ready */
    enum coir_op op;
    void *item;
    int rc; /* of the case that was taken: 0 or -EPIPE */
} coir_case;

/* [parks] The index of the case that was taken; fair among the ready. */
int coir_select(coir_case *cases, size_t count) COIR_MUST_USE;
int coir_try_select(coir_case *cases, size_t count) COIR_MUST_USE; /* -EAGAIN */

COIR_END

#endif
