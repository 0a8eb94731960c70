/* A lock for one writer or many readers. See coir_rwlock(3). */
#ifndef COIR_RWLOCK_H
#define COIR_RWLOCK_H

#include <coir/base.h>

COIR_BEGIN

/* All-zero: unlocked. */
typedef struct coir_rwlock {
    COIR_PRIVATE(48);
} coir_rwlock;

int coir_rwlock_read(coir_rwlock *l) COIR_MUST_USE;      /* [parks] */
int coir_rwlock_write(coir_rwlock *l) COIR_MUST_USE;     /* [parks] */
int coir_rwlock_try_read(coir_rwlock *l) COIR_MUST_USE;  /* [fiber] -EBUSY */
int coir_rwlock_try_write(coir_rwlock *l) COIR_MUST_USE; /* [fiber] -EBUSY */
void coir_rwlock_unlock(coir_rwlock *l);                 /* [fiber] */

COIR_END

#endif
