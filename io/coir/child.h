/* Child processes. See coir_waitpid(3). */
#ifndef COIR_CHILD_H
#define COIR_CHILD_H

#include <coir/base.h>

#include <sys/types.h>

COIR_BEGIN

/* [parks] 0 once the child pid > 0 has ended; status may be NULL. -ECHILD: no
 * such child, or another fiber waits for it. SIGCHLD is left alone. */
int coir_waitpid(pid_t pid, int *status) COIR_MUST_USE;

COIR_END

#endif
