/* sched/bias.c -- taking a bias away
 *
 * Does       the end of a bias, once for all, while its owner may be anywhere.
 * Edges      bias.inside (observe), bias.shared (publish)
 * Fails      the system refuses the fence: then the owner keeps its bias.
 * Tests      test/test_bias.c, test/models/bias.pml */
#include "sched/bias.h"

#include "sched/sys.h"

#include <sched.h>

static void set_all(coir_i_bias *const *biases, unsigned count, uint32_t on)
{
    for (unsigned i = 0; i < count; i++)
        store_relaxed(&biases[i]->on, on);
}

static void wait_until_out(coir_i_bias *bias)
{
    /* @observe bias.inside: what the owner did inside. It may have lost its
     * CPU there. */
    while (load_acquire(&bias->inside))
        sched_yield();
    /* @publish bias.shared: likewise, to whoever asks. */
    store_release(&bias->on, COIR_I_SHARED);
}

bool coir_i_bias_revoke(coir_i_bias *const *biases, unsigned count)
{
    set_all(biases, count, COIR_I_REVOKED);
    if (!coir_i_sys_fence_all()) {
        set_all(biases, count, COIR_I_MINE);
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        wait_until_out(biases[i]);
    return true;
}
