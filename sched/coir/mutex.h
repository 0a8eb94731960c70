/* A lock that parks who waits. See coir_mutex(3). */
#ifndef COIR_MUTEX_H
#define COIR_MUTEX_H

#include <coir/base.h>

COIR_BEGIN

/* All-zero: unlocked. */
typedef struct coir_mutex {
    COIR_PRIVATE(32);
} coir_mutex;

int coir_mutex_lock(coir_mutex *m) COIR_MUST_USE;     /* [parks] */
int coir_mutex_try_lock(coir_mutex *m) COIR_MUST_USE; /* [fiber] -EBUSY */
void coir_mutex_unlock(coir_mutex *m); /* [fiber] the one that locked it */

COIR_END

#endif
