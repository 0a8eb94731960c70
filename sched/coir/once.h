/* What is done once, by whoever comes first. See coir_once(3). */
#ifndef COIR_ONCE_H
#define COIR_ONCE_H

#include <coir/base.h>

COIR_BEGIN

/* All-zero: not done yet. */
typedef struct coir_once {
    COIR_PRIVATE(32);
} coir_once;

/* [parks] 0 once fn has succeeded; if it fails, its code, and the next caller
 * or waiter tries again. */
int coir_once_do(coir_once *o, coir_fn *fn, void *arg) COIR_MUST_USE;

COIR_END

#endif
