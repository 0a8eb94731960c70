/* The runtime, and giving way inside it. See coir_run(3) and coir_yield(3). */
#ifndef COIR_RUN_H
#define COIR_RUN_H

#include <coir/base.h>

COIR_BEGIN

/* All-zero is the default; the environment fills in what is left at zero. */
typedef struct coir_config {
    unsigned workers;          /* $COIR_WORKERS, else one per usable CPU */
    size_t stack_size;         /* $COIR_STACK_SIZE, else 256 KiB */
    unsigned blocking_threads; /* most threads of the default pool: 64 */
    bool virtual_clock;        /* time jumps when nothing can run */
    uint64_t seed; /* $COIR_SEED; not 0: the same seed, the same run */
    uint64_t reserved[8];
} coir_config;

/* Run body(arg) as the first fiber of a new runtime; what it returned comes
 * back once every fiber has ended. -EBUSY: a runtime runs already. */
int coir_run(coir_fn *body, void *arg);
int coir_run_with(const coir_config *config, coir_fn *body, void *arg);

int coir_yield(void);      /* [parks] let the others run first */
int coir_checkpoint(void); /* [parks] yields only after the fiber's share */

/* [fiber] Between pin and unpin, which nest, the fiber stays on its worker. */
void coir_pin(void);
void coir_unpin(void);

COIR_END

#endif
