/* pools/origin.h -- where a worker process finds the code of a function
 *
 * Workers are copies of the program as it was when coir_run was called. A
 * function of an object that was loaded then stands at the same address in
 * them. One of an object that was loaded since is named by the object's file,
 * its identity (of name and build id), and an offset in it: the worker loads
 * the file. */
#ifndef COIR_POOLS_ORIGIN_H
#define COIR_POOLS_ORIGIN_H

#include <stdint.h>

typedef struct coir_i_origin {
    uint64_t identity; /* 0: workers have the object */
    uint64_t at;       /* then the address, else the offset */
    char *path;        /* else NULL; its owner frees it */
} coir_i_origin;

/* What is loaded now is what workers will have. -ENOMEM. */
int coir_i_origin_record(void);
void coir_i_origin_forget(void);

/* In a fiber. 0; -ENOENT, with a message: there is no code of an object at this
 * address; -ENOMEM. */
int coir_i_origin_find(uintptr_t fn, coir_i_origin *ret_origin);

/* In a worker: the address. -ENOENT: the file is not there or another. */
int coir_i_origin_load(const coir_i_origin *origin, uintptr_t *ret_fn);

#endif
