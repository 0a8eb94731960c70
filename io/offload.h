/* io/offload.h -- run this where it may block, and wake me after
 *
 * For the few places where io meets what cannot be polled: files that are not
 * cached, and names. Pools installs its threads here; without them the call is
 * made at once, and blocks its worker. */
#ifndef COIR_IO_OFFLOAD_H
#define COIR_IO_OFFLOAD_H

#include <coir/base.h>

/* What fn(arg) returned, once it has; below 0 also where it was not called. fn
 * never returns below 0. */
typedef int coir_i_offload_fn(coir_fn *fn, void *arg);

/* Before coir_run; NULL: at once. */
void coir_i_offload_install(coir_i_offload_fn *run);

/* [parks] arg may lie on the caller's stack: a call that has begun is waited
 * for. -ECANCELED: it had not begun. */
int coir_i_offload(coir_fn *fn, void *arg);

#endif
