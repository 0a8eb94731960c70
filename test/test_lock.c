/* test/test_lock.c -- the two small locks, sched/lock.c and sys.c */
#include "sched/lock.h"
#include "sched/sys.h"
#include "test/harness.h"

#include <pthread.h>

enum { THREADS = 4 };

static coir_i_spin spin;
static coir_i_mutex mutex;
static uint64_t counted; /* under the lock: not atomic on purpose */

static void *count_under_spin(void *arg)
{
    for (uint64_t i = *(const uint64_t *)arg; i > 0; i--) {
        coir_i_spin_lock(&spin);
        counted++;
        coir_i_spin_unlock(&spin);
    }
    return NULL;
}

static void *count_under_mutex(void *arg)
{
    for (uint64_t i = *(const uint64_t *)arg; i > 0; i--) {
        coir_i_mutex_lock(&mutex);
        counted++;
        coir_i_mutex_unlock(&mutex);
    }
    return NULL;
}

static void check_counts(void *(*count)(void *))
{
    pthread_t threads[THREADS];
    uint64_t times = test_scaled(100000);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count, &times), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(counted, THREADS * times);
}

START_TEST(spin_excludes)
{
    check_counts(count_under_spin);
}
END_TEST

START_TEST(mutex_excludes)
{
    check_counts(count_under_mutex);
}
END_TEST

START_TEST(spin_try_fails_while_it_is_held)
{
    ck_assert(coir_i_spin_try(&spin));
    ck_assert(!coir_i_spin_try(&spin));
    coir_i_spin_unlock(&spin);
    ck_assert(coir_i_spin_try(&spin));
}
END_TEST

/* ---- Sleeping on a word ---- */

static _Atomic uint32_t word;

static void *set_word(void *arg)
{
    word = 1;
    coir_i_futex_wake(&word, 1);
    return arg;
}

START_TEST(futex_wait_ends_by_a_wake)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, set_word, NULL), 0);
    while (word == 0)
        coir_i_futex_wait(&word, 0, COIR_NEVER);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(futex_wait_ends_in_time)
{
    coir_time until = coir_i_sys_now() + COIR_MS(5);
    while (coir_i_sys_now() < until)
        coir_i_futex_wait(&word, 0, until);
    coir_i_futex_wait(&word, 1, COIR_NEVER); /* it is not 1: at once */
}
END_TEST

COIR_SUITE(lock, TEST_ONCE)
{
    TCase *locks = test_case(suite, "locks");
    tcase_add_test(locks, spin_excludes);
    tcase_add_test(locks, mutex_excludes);
    tcase_add_test(locks, spin_try_fails_while_it_is_held);

    TCase *words = test_case(suite, "words");
    tcase_add_test(words, futex_wait_ends_by_a_wake);
    tcase_add_test(words, futex_wait_ends_in_time);
}
