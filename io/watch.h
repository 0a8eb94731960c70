/* io/watch.h -- waiting for what a descriptor only hints at
 *
 * A bell, a child's descriptor: the fiber does not want to read it, but to know
 * when it is worth looking at something else. Watchers take no turns, and all
 * of them are woken by an event. */
#ifndef COIR_IO_WATCH_H
#define COIR_IO_WATCH_H

#include "io/descriptor.h"
#include "io/reactor.h"

typedef struct coir_i_watch {
    coir_i_descriptor *slot; /* of fd */
    int fd;
    unsigned events;         /* COIR_I_CAN_READ, COIR_I_CAN_WRITE */
    const coir_i_wait *wait; /* what a dump shows, and */
    const void *on;          /* on what */
    int (*look)(void *arg);  /* not 0: that is the result. Does not park */
    void *arg;
} coir_i_watch;

/* [parks] What look(arg) says, which is asked at once and then after every
 * event; -ECANCELED; -EBADF: fd was closed; or why it could not be
 * registered. */
int coir_i_watch_until(const coir_i_watch *watch);

#endif
