/* test/select_script.h -- channels a, b and c of ints, and what happens to them
 * while a fiber selects */
#ifndef COIR_TEST_SELECT_SCRIPT_H
#define COIR_TEST_SELECT_SCRIPT_H

#include <coir/chan.h>
#include <coir/nursery.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>

static coir_chan *a, *b, *c;

static inline void make_chans(size_t capacity)
{
    ck_assert_int_eq(coir_chan_new(&a, sizeof(int), capacity), 0);
    ck_assert_int_eq(coir_chan_new(&b, sizeof(int), capacity), 0);
    ck_assert_int_eq(coir_chan_new(&c, sizeof(int), capacity), 0);
}

static inline void free_chans(void)
{
    ck_assert_int_eq(coir_chan_free(a), 0);
    ck_assert_int_eq(coir_chan_free(b), 0);
    ck_assert_int_eq(coir_chan_free(c), 0);
}

static inline void put(coir_chan *chan, int item)
{
    ck_assert_int_eq(coir_chan_try_send(chan, &item), 0);
}

static inline int take(coir_chan *chan) /* -1: there is none */
{
    int item = -1;
    int rc = coir_chan_try_recv(chan, &item);
    ck_assert(rc == 0 || rc == -EAGAIN);
    return item;
}

/* body on the virtual clock, with channels of that capacity */
static inline void run_with_chans(size_t capacity, coir_fn *body)
{
    make_chans(capacity);
    ck_assert_int_eq(run_story(0, body, NULL), 0);
    free_chans();
}

struct later {
    coir_chan *chan;
    int item; /* 0: close it; -1: receive */
    int minute;
};

static inline int act_later(void *arg)
{
    const struct later *later = arg;
    int item = later->item;
    int rc = coir_sleep(MINUTES(later->minute));
    if (rc < 0)
        return rc;
    if (item == 0)
        coir_chan_close(later->chan);
    else if (item == -1)
        rc = coir_chan_recv(later->chan, &item);
    else
        rc = coir_chan_send(later->chan, &item);
    if (later->item == -1)
        tell("got %d", item);
    return rc;
}

/* What cases come to while something else happens to the channels. */
static inline int select_while(coir_case *cases, size_t count,
                               struct later *later)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, act_later, later);
    ck_assert_int_eq(rc, 0);
    int index = coir_select(cases, count);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    return index;
}

#endif
