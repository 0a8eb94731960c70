/* Waiting for what a mutex guards to change. See coir_cond(3). */
#ifndef COIR_COND_H
#define COIR_COND_H

#include <coir/mutex.h>

COIR_BEGIN

/* All-zero: nobody waits. */
typedef struct coir_cond {
    COIR_PRIVATE(32);
} coir_cond;

/* [parks] m is held again, whatever it returns. */
int coir_cond_wait(coir_cond *c, coir_mutex *m) COIR_MUST_USE;
void coir_cond_signal(coir_cond *c);
void coir_cond_broadcast(coir_cond *c);

COIR_END

#endif
