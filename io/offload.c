/* io/offload.c -- run this where it may block, and wake me after
 *
 * Edges      offload.run (publish: install; observe: who offloads)
 * Fails      as what was installed.
 * Tests      test/test_readwrite_kinds.c */
#include "io/offload.h"

#include "fiber/atomics.h"

static _Atomic(coir_i_offload_fn *) run_elsewhere;

void coir_i_offload_install(coir_i_offload_fn *run)
{
    /* @publish offload.run: what it needs is there. */
    store_release(&run_elsewhere, run);
}

int coir_i_offload(coir_fn *fn, void *arg)
{
    /* @observe offload.run: what it needs is there. */
    coir_i_offload_fn *run = load_acquire(&run_elsewhere);
    return run ? run(fn, arg) : fn(arg);
}
