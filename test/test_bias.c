/* test/test_bias.c -- sched/bias.h: what one thread enters by plain stores
 *
 * An owner goes on taking from its ring, and in and out of a section, while
 * another thread takes its bias away at any moment and then does the same. */
#include "sched/bias.h"
#include "sched/lock.h"
#include "sched/ring.h"
#include "sched/sys.h"
#include "test/harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { FIBERS = 200, VISITS = 2000 };

static struct {
    coir_i_ring ring, thief;
    coir_i_bias bias;
    coir_i_spin lock;
    uint64_t data; /* of the section */
    coir_i_fiber *fibers;
    _Atomic int taken[FIBERS], ready;
    unsigned delay;
} both;

static void make_both(bool biased, unsigned delay)
{
    coir_i_fiber *fibers = both.fibers;
    uint32_t on = biased ? COIR_I_MINE : COIR_I_SHARED;
    memset(&both, 0, sizeof both);
    both.fibers = fibers;
    both.delay = delay;
    store_relaxed(&both.ring.bias.on, on);
    store_relaxed(&both.bias.on, on);
    for (int i = 0; i < FIBERS; i++)
        coir_i_ring_put(&both.ring, &fibers[i]);
}

static bool take(coir_i_ring *ring)
{
    coir_i_fiber *f = coir_i_ring_get(ring);
    if (f)
        both.taken[f - both.fibers]++;
    return f != NULL;
}

static void visit(bool owner)
{
    if (!owner || !coir_i_bias_enter(&both.bias))
        coir_i_spin_lock(&both.lock);
    uint64_t before = both.data;
    if (before % 16 == 0)
        sched_yield(); /* so that it is found inside */
    both.data = before + 1;
    coir_i_spin_unlock(&both.lock);
    coir_i_bias_leave(&both.bias); /* whoever it was: sched/nest.c */
}

static void meet(void)
{
    both.ready++;
    while (both.ready < 2)
        sched_yield();
}

static void *revoke_and_take(void *arg)
{
    coir_i_bias *const biases[] = {&both.ring.bias, &both.bias};
    meet();
    for (unsigned i = 0; i < both.delay; i++)
        coir_i_pause();
    if (!coir_i_bias_is_shared(&both.bias) && !coir_i_bias_revoke(biases, 2))
        return arg;
    for (int i = 0; i < VISITS; i++) {
        visit(false);
        if (i % 16 == 0 && coir_i_ring_steal(&both.thief, &both.ring))
            while (take(&both.thief))
                ;
    }
    return NULL;
}

/* How many fibers were not taken once. */
static int take_together(bool biased, unsigned delay)
{
    pthread_t thread;
    void *failed;
    int wrong = 0;
    make_both(biased, delay);
    ck_assert_int_eq(pthread_create(&thread, NULL, revoke_and_take, &both), 0);
    meet();
    for (int i = 0; i < VISITS; i++) {
        visit(true);
        if (i % 8 == 0)
            take(&both.ring);
    }
    pthread_join(thread, &failed);
    ck_assert_ptr_null(failed);
    while (take(&both.ring))
        ;
    for (int i = 0; i < FIBERS; i++)
        wrong += both.taken[i] != 1;
    return wrong;
}

static void setup(void)
{
    both.fibers = aligned_alloc(128, FIBERS * sizeof *both.fibers);
    ck_assert_ptr_nonnull(both.fibers);
}

START_TEST(bias_can_be_taken_away_at_any_moment)
{
    bool biased = coir_i_sys_can_fence_all();
    uint64_t state = test_seed(1), lost = 0;
    int wrong = 0;
    for (uint64_t i = test_scaled(400); i > 0; i--) {
        wrong +=
            take_together(biased, (unsigned)test_random_below(&state, 4000));
        lost += both.data != 2 * VISITS;
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_uint_eq(lost, 0);
}
END_TEST

START_TEST(bias_is_its_owners_until_it_is_taken_away)
{
    coir_i_bias bias = {COIR_I_MINE, 0}, none = {COIR_I_SHARED, 0};
    coir_i_bias *const biases[] = {&bias};
    ck_assert(coir_i_bias_is_shared(&none));
    ck_assert(!coir_i_bias_enter(&none));
    ck_assert(!coir_i_bias_is_shared(&bias));
    ck_assert(coir_i_bias_enter(&bias));
    coir_i_bias_leave(&bias);
    ck_assert(coir_i_bias_enter(&bias));
    coir_i_bias_leave(&bias);
    if (!coir_i_sys_can_fence_all())
        return;
    ck_assert(coir_i_bias_revoke(biases, 1));
    ck_assert(coir_i_bias_is_shared(&bias));
    ck_assert(!coir_i_bias_enter(&bias));
}
END_TEST

COIR_SUITE(bias, TEST_STRESS)
{
    TCase *revoked = test_case(suite, "taken away");
    tcase_add_checked_fixture(revoked, setup, NULL);
    tcase_add_test(revoked, bias_is_its_owners_until_it_is_taken_away);
    tcase_add_test(revoked, bias_can_be_taken_away_at_any_moment);
}
