/* Calls that block, on threads of their own. See coir_blocking(3). */
#ifndef COIR_THREADS_H
#define COIR_THREADS_H

#include <coir/base.h>
#include <coir/time.h>

COIR_BEGIN

/* [parks] Run fn(arg) on a thread of the default pool; its result. */
int coir_blocking(coir_fn *fn, void *arg) COIR_MUST_USE;

/* For fn to ask: has my caller been cancelled? */
bool coir_blocking_cancelled(void);

COIR_END

#endif
