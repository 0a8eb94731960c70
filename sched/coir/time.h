/* Points in time, lengths of time, and sleeping. See coir_sleep(3). */
#ifndef COIR_TIME_H
#define COIR_TIME_H

#include <coir/base.h>

COIR_BEGIN

/* Nanoseconds: a point on the runtime's monotonic clock, or a length. */
typedef int64_t coir_time;

#define COIR_NEVER INT64_MAX
#define COIR_NS_(ns) ((ns) >= 9.2e18 ? COIR_NEVER : (coir_time)(ns))
#define COIR_US(n) COIR_NS_((n)*1e3)
#define COIR_MS(n) COIR_NS_((n)*1e6)
#define COIR_SECONDS(n) COIR_NS_((n)*1e9)

coir_time coir_now(void); /* outside a runtime: the system's monotonic clock */

int coir_sleep(coir_time length);   /* [parks] */
int coir_sleep_until(coir_time at); /* [parks] */

COIR_END

#endif
