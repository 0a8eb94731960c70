/* io/reactor.h -- who tells of the descriptors that can be read or written
 *
 * One for each kind of kernel: poller_epoll.c, and others beside it. It comes
 * into being, as the poller that idle workers sleep in, when the first
 * descriptor is added in a runtime, and goes with the runtime. */
#ifndef COIR_IO_REACTOR_H
#define COIR_IO_REACTOR_H

#include <stdint.h>

/* What an event says; to coir_i_descriptor_event(). */
enum {
    COIR_I_CAN_READ = 1,
    COIR_I_CAN_WRITE = 2,
    COIR_I_HAS_ENDED = 4 /* or failed, or there are urgent data: what is left
                            to read may bring no edge of its own */
};

/* A descriptor and the generation of its slot, in the word that goes into the
 * kernel and comes back with every event. */
static inline uint64_t coir_i_tag(int fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

/* From a fiber, or from the poller. From now on the edges of fd, both ways,
 * are told to coir_i_descriptor_event(tag); what can be done with it at this
 * moment is an edge, too. 0; -EEXIST: they are told already, perhaps with
 * another tag; -EPERM: there are none, fd is always ready (a regular file);
 * -EBADF, -EMFILE, -ENOMEM, -ENOSPC: not added. */
int coir_i_reactor_add(int fd, uint64_t tag);

/* Another tag for one that was added; an edge, too. 0 or why not. */
int coir_i_reactor_retag(int fd, uint64_t tag);

/* Nothing is told of fd any more, but what is on its way. Before close(2),
 * which forgets a file only with the last of its copies. */
void coir_i_reactor_remove(int fd);

/* Any thread: the poller looks again when it may sleep. */
void coir_i_reactor_wake(void);

/* No worker runs any more. */
void coir_i_reactor_close(void);

#endif
