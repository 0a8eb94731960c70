/* sched/chunk.h -- memory for the records of children that wait
 *
 * A chunk of 1 KiB holds 41 records. Each worker keeps a few; a common depot
 * evens out between those who start and those who steal. */
#ifndef COIR_SCHED_CHUNK_H
#define COIR_SCHED_CHUNK_H

#include "sched/nest.h"

struct coir_i_worker;

/* An empty one; NULL: no memory. */
coir_i_chunk *coir_i_chunk_new(struct coir_i_worker *w);
void coir_i_chunk_free(struct coir_i_worker *w, coir_i_chunk *chunk);
/* w starts no children for a while: what it has goes to the depot. */
void coir_i_chunks_hand_over(struct coir_i_worker *w);

/* When no worker runs any more: all that there are. */
void coir_i_chunks_stop(void);

/* The child of a fork leaves them where they are. */
void coir_i_chunks_forked(void);

#endif
