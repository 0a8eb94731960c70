/* io/doubt.h -- is what we wait on still what was registered?
 *
 * A program may close a descriptor behind coir's back, with close(2), and its
 * number comes back as another file. The kernel then has forgotten the
 * registration, and a fiber that waited on the strength of it would wait for
 * ever. To ask the kernel costs 200 ns:
 *
 *   a descriptor that coir did not make   is asked about before every wait
 *                                         (coir_i_slot_register), and a call
 *                                         is made before every wait;
 *   one that it made (accept, dial)       is trusted, so that a request costs
 *                                         one read, one write and its share of
 *                                         an epoll_wait. But each such wait is
 *                                         in *doubt*, and if it still lasts up
 *                                         to 10 ms later, the kernel is asked.
 *
 * Whatever else a slot knows, its STREAM say, is wrong only along with that.
 * So a number that was reused costs one wait up to 10 ms, and nobody hangs.
 * The virtual clock would jump in these 10 ms: there, nothing is trusted. */
#ifndef COIR_IO_DOUBT_H
#define COIR_IO_DOUBT_H

#include "io/descriptor.h"

/* A fiber waits on this slot, and nobody has asked. Any worker. */
void coir_i_doubt(coir_i_descriptor *slot);

/* From the poller before it sleeps: how long it may. */
coir_time coir_i_doubts_sleep(coir_time until);
/* From the poller after it slept: look into old doubts. How many fibers were
 * woken. */
int coir_i_doubts_look(void);

/* No worker runs any more. */
void coir_i_doubts_reset(void);

#endif
