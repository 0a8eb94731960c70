/* sched/bias.h -- what one thread alone enters, until others want to
 *
 * An atomic exchange costs 2 to 5 ns, which is as much as a whole switch. Where
 * there is one worker, nobody else takes from its ring or its nest, and it goes
 * in and out by plain stores: `on` says so. The day that a spare worker is to
 * take from them, too, the bias is revoked, once for all; from then on everyone
 * takes the lock, or the CAS, that is there for that.
 *
 *     its owner                          who revokes
 *       inside = 1                         on = REVOKED
 *       (no instruction)                   a fence on every CPU: membarrier(2)
 *       on == MINE? then it is in          wait until inside == 0
 *       ...                                on = SHARED
 *       inside = 0
 *
 * After that fence the owner has either shown that it is inside, or will see
 * that the bias is gone. The compiler alone must not turn the owner's two
 * around; the CPU may, as long as nobody revokes.
 *
 * Model      test/models/bias.pml */
#ifndef COIR_SCHED_BIAS_H
#define COIR_SCHED_BIAS_H

#include <coir/base.h>

#include "fiber/atomics.h"
#include "fiber/invariant.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    COIR_I_SHARED, /* all-zero: there is no bias */
    COIR_I_REVOKED,
    COIR_I_MINE
};

typedef struct coir_i_bias {
    _Atomic(uint32_t) on;     /* the owner at first, then who revokes */
    _Atomic(uint32_t) inside; /* the owner; means nothing without a bias */
} coir_i_bias;

/* Its owner. False: not by bias; take the lock. */
static inline bool coir_i_bias_enter(coir_i_bias *bias)
{
    /* relaxed: a hint, which spares two stores where there is none. */
    if (load_relaxed(&bias->on) != COIR_I_MINE)
        return false;
    /* relaxed, like the load below: whoever revokes makes a fence for us. */
    store_relaxed(&bias->inside, 1);
    fence_compiler();
    if (coir_i_likely(load_relaxed(&bias->on) == COIR_I_MINE))
        return true;
    store_relaxed(&bias->inside, 0);
    return false;
}

static inline void coir_i_bias_leave(coir_i_bias *bias)
{
    /* @publish bias.inside: what was done inside. */
    store_release(&bias->inside, 0);
}

/* Anyone but the owner: of biases that one thread has; false: they cannot be
 * taken away. Afterwards all may take the locks. */
bool coir_i_bias_revoke(coir_i_bias *const *biases,
                        unsigned count) COIR_MUST_USE;

/* May others than its owner take the lock? */
static inline bool coir_i_bias_is_shared(coir_i_bias *bias)
{
    /* @observe bias.shared: the owner is not inside any more. */
    return load_acquire(&bias->on) == COIR_I_SHARED;
}

#endif
