/* Looking inside. See coir_dump(3). */
#ifndef COIR_DUMP_H
#define COIR_DUMP_H

#include <coir/base.h>

COIR_BEGIN

/* Write every fiber, as a tree of nurseries: its state, what it waits for, who
 * holds that, and its backtrace. Also on SIGQUIT, where $COIR_DUMP is set. */
int coir_dump(int fd);

COIR_END

#endif
