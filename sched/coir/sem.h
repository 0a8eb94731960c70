/* A number of permits, taken in order. See coir_sem(3). */
#ifndef COIR_SEM_H
#define COIR_SEM_H

#include <coir/base.h>

COIR_BEGIN

/* All-zero: no permit is there. */
typedef struct coir_sem {
    COIR_PRIVATE(32);
} coir_sem;

void coir_sem_init(coir_sem *s, unsigned value);
int coir_sem_acquire(coir_sem *s) COIR_MUST_USE;     /* [parks] */
int coir_sem_try_acquire(coir_sem *s) COIR_MUST_USE; /* -EAGAIN */
void coir_sem_release(coir_sem *s);

COIR_END

#endif
