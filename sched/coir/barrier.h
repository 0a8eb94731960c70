/* Fibers that wait until all of them are there. See coir_barrier(3). */
#ifndef COIR_BARRIER_H
#define COIR_BARRIER_H

#include <coir/base.h>

COIR_BEGIN

typedef struct coir_barrier {
    COIR_PRIVATE(48);
} coir_barrier;

void coir_barrier_init(coir_barrier *b, unsigned parties);

/* [parks] 1 for one of them, 0 for the others. */
int coir_barrier_wait(coir_barrier *b) COIR_MUST_USE;

COIR_END

#endif
