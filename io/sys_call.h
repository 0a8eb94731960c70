/* io/sys_call.h -- how io makes a system call
 *
 * Included by the files of thin calls alone, sys.c and sys_*.c. */
#ifndef COIR_IO_SYS_CALL_H
#define COIR_IO_SYS_CALL_H

#include "fiber/invariant.h"
#include "io/sys.h"

#include <errno.h>

/* rc = call, -ERRNO for a failure; `again` while a signal interrupts. */
#define CALL(rc, name, again, call)                    \
    do {                                               \
        rc = 0;                                        \
        if (coir_i_unlikely(coir_i_sys_fault != NULL)) \
            rc = coir_i_sys_fault(name);               \
        if (coir_i_likely(rc == 0)) {                  \
            rc = (call);                               \
            if (rc < 0)                                \
                rc = -errno;                           \
        }                                              \
    } while ((again) && rc == -EINTR)

#endif
