/* fiber/guard.h -- memory that must not be touched */
#ifndef COIR_FIBER_GUARD_H
#define COIR_FIBER_GUARD_H

#include <stddef.h>

/* Let every access to [low, low + size) fault. 0: done; 1: done, at the cost
 * of two of the process's mappings, until coir_i_guards_gone; -ENOMEM. */
int coir_i_guard_install(void *low, size_t size);

/* `count` guards that were installed with 1 have been unmapped. */
void coir_i_guards_gone(size_t count);

#endif
