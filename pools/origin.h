/* pools/origin.h -- is a function the same in a worker process?
 *
 * Worker processes are copies of the program as it was when coir_run was
 * called. A function of an object that was loaded then stands at the same
 * address in them. */
#ifndef COIR_POOLS_ORIGIN_H
#define COIR_POOLS_ORIGIN_H

#include <stdint.h>

/* What is loaded now is what workers will have. -ENOMEM. */
int coir_i_origin_record(void);
void coir_i_origin_forget(void);

/* 0; -ENOENT: the code at this address is not in what was recorded. */
int coir_i_origin_check(uintptr_t fn);

#endif
