/* Fiber-local values. See coir_local(3). */
#ifndef COIR_LOCAL_H
#define COIR_LOCAL_H

#include <coir/base.h>

COIR_BEGIN

typedef struct coir_key coir_key;

/* destroy, which may be NULL, runs when a fiber with a value ends. */
int coir_key_new(coir_key **key, void (*destroy)(void *value)) COIR_MUST_USE;
void coir_key_free(coir_key *key);

int coir_local_set(coir_key *key, void *value) COIR_MUST_USE; /* [fiber] */
void *coir_local(coir_key *key); /* [fiber] NULL until it is set */

COIR_END

#endif
