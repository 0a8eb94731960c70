/* test/chan_script.h -- the steps of a script on one channel of ints */
#ifndef COIR_TEST_CHAN_SCRIPT_H
#define COIR_TEST_CHAN_SCRIPT_H

#include <coir/chan.h>
#include <coir/task.h>

#include "test/script.h"

static coir_chan *chan;

static inline int send_item(int *item)
{
    return coir_chan_send(chan, item);
}

static inline int receive(int *item)
{
    return coir_chan_recv(chan, item);
}

static inline int try_send(int *item)
{
    return coir_chan_try_send(chan, item);
}

static inline int try_receive(int *item)
{
    return coir_chan_try_recv(chan, item);
}

static inline int close_it(int *item)
{
    (void)item;
    coir_chan_close(chan);
    return 0;
}

static inline int free_it(int *item)
{
    (void)item;
    return coir_chan_free(chan);
}

static inline void make_chan(size_t capacity)
{
    ck_assert_int_eq(coir_chan_new(&chan, sizeof(int), capacity), 0);
}

static inline void free_chan(void)
{
    ck_assert_int_eq(coir_chan_free(chan), 0);
}

/* Two fibers wait, in order: items[i] is what tasks[i] gets. On the virtual
 * clock. */
static inline int receive_one(void *arg)
{
    *(int *)arg = 0;
    return coir_chan_recv(chan, arg);
}

static inline int start_two_receivers(coir_nursery *nursery, coir_task tasks[2],
                                      int items[2])
{
    int rc = 0;
    coir_nursery_open(nursery);
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = coir_spawn(nursery, &tasks[i], receive_one, &items[i]);
        if (rc == 0) /* on the virtual clock: now it waits */
            rc = coir_sleep(MINUTES(1));
    }
    return rc;
}

#endif
