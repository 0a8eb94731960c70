/* Who the calling fiber is, and what it says of its failure.
 * See coir_fiber(3). */
#ifndef COIR_FIBER_H
#define COIR_FIBER_H

#include <coir/base.h>

COIR_BEGIN

/* Of the calling fiber; 0 outside one. Never used twice. */
uint64_t coir_id(void);

/* [fiber] Longer names are cut. */
void coir_name_set(const char *name);

/* "" if it has none, and outside a fiber. */
const char *coir_name(void);

/* Leave a message beside the failure that the calling fiber is about to
 * return; code comes back. Outside a fiber none is left. */
int coir_fail(int code, const char *format, ...) COIR_PRINTF(2, 3);

/* The latest message: one's own, or left by a call that failed; "" if none. */
const char *coir_message(void);

COIR_END

#endif
