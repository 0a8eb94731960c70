/* test/test_ring.c -- the fibers that are ready on one worker, sched/ring.c */
#include "sched/ring.h"
#include "test/harness.h"

#include <pthread.h>
#include <stdlib.h>

static coir_i_ring ring, other;
static coir_i_fiber *fibers; /* never run: only their addresses count */

static void fill(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ck_assert(coir_i_ring_put(&ring, &fibers[i]));
}

static void setup(void)
{
    fibers = aligned_alloc(128, 2 * COIR_I_RING * sizeof *fibers);
    ck_assert_ptr_nonnull(fibers);
}

START_TEST(ring_is_first_in_first_out)
{
    fill(COIR_I_RING);
    for (int i = 0; i < COIR_I_RING; i++)
        ck_assert_ptr_eq(coir_i_ring_get(&ring), &fibers[i]);
    ck_assert_ptr_null(coir_i_ring_get(&ring));
    ck_assert_ptr_null(coir_i_ring_get(&ring));
}
END_TEST

START_TEST(ring_says_that_it_is_full)
{
    fill(COIR_I_RING);
    ck_assert(!coir_i_ring_put(&ring, &fibers[COIR_I_RING]));
    ck_assert_ptr_eq(coir_i_ring_get(&ring), &fibers[0]);
    ck_assert(coir_i_ring_put(&ring, &fibers[COIR_I_RING]));
}
END_TEST

START_TEST(ring_spills_its_older_half_in_order)
{
    coir_i_fiber *first, *last;
    fill(10);
    ck_assert_uint_eq(coir_i_ring_spill(&ring, &first, &last), 5);
    for (int i = 0; i < 5; i++, first = first->next)
        ck_assert_ptr_eq(first, &fibers[i]);
    ck_assert_ptr_null(first);
    ck_assert_ptr_eq(last, &fibers[4]);
    ck_assert_ptr_eq(coir_i_ring_get(&ring), &fibers[5]);
}
END_TEST

START_TEST(ring_gives_a_thief_its_older_half)
{
    fill(7);
    ck_assert_uint_eq(coir_i_ring_steal(&other, &ring), 4);
    for (int i = 0; i < 4; i++)
        ck_assert_ptr_eq(coir_i_ring_get(&other), &fibers[i]);
    ck_assert_ptr_null(coir_i_ring_get(&other));
    ck_assert_uint_eq(coir_i_ring_length(&ring), 3);
}
END_TEST

START_TEST(ring_gives_all_to_who_evicts)
{
    coir_i_fiber *first, *last;
    fill(COIR_I_RING);
    ck_assert_uint_eq(coir_i_ring_evict(&ring, &first, &last), COIR_I_RING);
    ck_assert_ptr_eq(last, &fibers[COIR_I_RING - 1]);
    for (int i = 0; i < COIR_I_RING; i++, first = first->next)
        ck_assert_ptr_eq(first, &fibers[i]);
    ck_assert_ptr_null(first);
    ck_assert_uint_eq(coir_i_ring_evict(&ring, &first, &last), 0);
    ck_assert_ptr_null(first);
    ck_assert_ptr_null(last);
}
END_TEST

/* ---- Thieves ---- */

static _Atomic uint64_t got[2]; /* the sum of what each side took */
static _Atomic bool over;

static void *steal_all(void *arg)
{
    uint64_t sum = 0;
    (void)arg;
    for (bool last = false; !last;) {
        last = over; /* look once more after the end */
        while (coir_i_ring_steal(&other, &ring))
            for (coir_i_fiber *f; (f = coir_i_ring_get(&other));)
                sum += (uint64_t)(f - fibers) + 1;
    }
    got[1] = sum;
    return NULL;
}

START_TEST(ring_loses_nothing_to_a_thief_and_doubles_nothing)
{
    pthread_t thief;
    uint64_t rounds = test_scaled(300000), put = 0, sum = 0,
             seed = test_seed(1);
    ck_assert_int_eq(pthread_create(&thief, NULL, steal_all, NULL), 0);
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t which = test_random_below(&seed, COIR_I_RING);
        if (coir_i_ring_put(&ring, &fibers[which]))
            put += which + 1;
        coir_i_fiber *f = which % 3 ? coir_i_ring_get(&ring) : NULL;
        if (f)
            sum += (uint64_t)(f - fibers) + 1;
    }
    over = true;
    pthread_join(thief, NULL);
    for (coir_i_fiber *f; (f = coir_i_ring_get(&ring));)
        sum += (uint64_t)(f - fibers) + 1;
    ck_assert_uint_eq(sum + got[1], put);
}
END_TEST

COIR_SUITE(ring, TEST_ONCE)
{
    TCase *alone = test_case(suite, "its owner alone");
    tcase_add_checked_fixture(alone, setup, NULL);
    tcase_add_test(alone, ring_is_first_in_first_out);
    tcase_add_test(alone, ring_says_that_it_is_full);
    tcase_add_test(alone, ring_spills_its_older_half_in_order);

    TCase *thieves = test_case(suite, "thieves");
    tcase_add_checked_fixture(thieves, setup, NULL);
    tcase_add_test(thieves, ring_gives_a_thief_its_older_half);
    tcase_add_test(thieves, ring_gives_all_to_who_evicts);
    tcase_add_test(thieves, ring_loses_nothing_to_a_thief_and_doubles_nothing);
}
