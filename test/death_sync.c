/* test/death_sync.c -- misuse of what fibers wait on stops the program
 *
 * With a message that names the rule and the fiber. Each body is the misuse;
 * what it returns is never reached. */
#include <coir/barrier.h>
#include <coir/cond.h>
#include <coir/fiber.h>
#include <coir/mutex.h>
#include <coir/nursery.h>
#include <coir/once.h>
#include <coir/run.h>
#include <coir/rwlock.h>
#include <coir/sem.h>

#include "test/harness.h"

#include <limits.h>
#include <signal.h>

/* A coir_fn without its type, as an argument of test_dies. */
struct misuse {
    coir_fn *body;
};

static int run_misuse(void *arg)
{
    struct misuse *misuse = arg;
    COIR_IGNORE(coir_run(misuse->body, NULL));
    return 0;
}

static void dies(const char *rule, coir_fn *body)
{
    struct misuse misuse = {body};
    test_dies(SIGABRT, rule, run_misuse, &misuse);
    test_dies(SIGABRT, "'culprit'", run_misuse, &misuse);
}

static int be_culprit(coir_fn *misuse, void *arg)
{
    coir_name_set("culprit");
    return misuse(arg);
}

/* ---- Mutex ---- */

static const char unlock_rule[] =
    "a coir_mutex is unlocked by the fiber that has locked it";

static int unlock_mutex(void *mutex)
{
    coir_mutex_unlock(mutex);
    return 0;
}

static int unlock_unlocked(void *arg)
{
    coir_mutex mutex = {0};
    (void)arg;
    return be_culprit(unlock_mutex, &mutex);
}

START_TEST(unlock_of_an_unlocked_mutex_dies)
{
    dies(unlock_rule, unlock_unlocked);
}
END_TEST

static int unlock_as_culprit(void *mutex)
{
    return be_culprit(unlock_mutex, mutex);
}

static int let_child_unlock(void *arg)
{
    coir_mutex mutex = {0};
    coir_nursery nursery;
    (void)arg;
    COIR_IGNORE(coir_mutex_lock(&mutex));
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, unlock_as_culprit, &mutex);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(unlock_by_another_fiber_dies)
{
    dies(unlock_rule, let_child_unlock);
}
END_TEST

static int unlock_outside(void *arg)
{
    coir_mutex mutex = {0};
    (void)arg;
    coir_mutex_unlock(&mutex);
    return 0;
}

START_TEST(unlock_outside_a_fiber_dies)
{
    test_dies(SIGABRT, unlock_rule, unlock_outside, NULL);
}
END_TEST

static int lock_twice(void *arg)
{
    coir_mutex mutex = {0};
    (void)arg;
    coir_name_set("culprit");
    COIR_IGNORE(coir_mutex_lock(&mutex));
    COIR_IGNORE(coir_mutex_lock(&mutex));
    return 0;
}

START_TEST(lock_by_who_holds_it_dies)
{
    dies("who holds a coir_mutex would wait for itself", lock_twice);
}
END_TEST

/* ---- Rwlock ---- */

static int unlock_rwlock(void *lock)
{
    coir_rwlock_unlock(lock);
    return 0;
}

static int unlock_unlocked_rwlock(void *arg)
{
    coir_rwlock lock = {0};
    (void)arg;
    return be_culprit(unlock_rwlock, &lock);
}

START_TEST(unlock_of_an_unlocked_rwlock_dies)
{
    dies("a coir_rwlock is unlocked by who has locked it",
         unlock_unlocked_rwlock);
}
END_TEST

static int unlock_once_too_often(void *arg)
{
    coir_rwlock lock = {0};
    (void)arg;
    COIR_IGNORE(coir_rwlock_read(&lock));
    coir_rwlock_unlock(&lock);
    return be_culprit(unlock_rwlock, &lock);
}

START_TEST(unlock_of_an_rwlock_that_was_read_before_dies)
{
    dies("a coir_rwlock is unlocked by who has locked it",
         unlock_once_too_often);
}
END_TEST

static int unlock_rwlock_as_culprit(void *lock)
{
    return be_culprit(unlock_rwlock, lock);
}

static int let_child_unlock_rwlock(void *arg)
{
    coir_rwlock lock = {0};
    coir_nursery nursery;
    (void)arg;
    COIR_IGNORE(coir_rwlock_write(&lock));
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, unlock_rwlock_as_culprit, &lock);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(unlock_of_what_another_fiber_writes_dies)
{
    dies("a coir_rwlock is unlocked by the fiber that writes",
         let_child_unlock_rwlock);
}
END_TEST

static const char again_rule[] =
    "who holds a coir_rwlock to write would wait for itself";

static int write_twice(void *arg)
{
    coir_rwlock lock = {0};
    (void)arg;
    coir_name_set("culprit");
    COIR_IGNORE(coir_rwlock_write(&lock));
    COIR_IGNORE(coir_rwlock_write(&lock));
    return 0;
}

static int read_while_writing(void *arg)
{
    coir_rwlock lock = {0};
    (void)arg;
    coir_name_set("culprit");
    COIR_IGNORE(coir_rwlock_write(&lock));
    COIR_IGNORE(coir_rwlock_read(&lock));
    return 0;
}

START_TEST(writer_that_asks_again_dies)
{
    dies(again_rule, write_twice);
    dies(again_rule, read_while_writing);
}
END_TEST

/* ---- Cond ---- */

static int wait_unlocked(void *arg)
{
    coir_mutex mutex = {0};
    coir_cond cond = {0};
    (void)arg;
    coir_name_set("culprit");
    return coir_cond_wait(&cond, &mutex);
}

START_TEST(wait_without_the_mutex_dies)
{
    dies("coir_cond_wait is for the fiber that holds the mutex", wait_unlocked);
}
END_TEST

/* ---- Semaphore ---- */

static const char sem_rule[] = "a semaphore has no more than UINT_MAX permits";

static int release_too_often(void *arg)
{
    coir_sem sem;
    (void)arg;
    coir_name_set("culprit");
    coir_sem_init(&sem, UINT_MAX - 1);
    coir_sem_release(&sem);
    coir_sem_release(&sem);
    return 0;
}

START_TEST(release_past_uint_max_dies)
{
    dies(sem_rule, release_too_often);
}
END_TEST

static int release_outside(void *arg)
{
    coir_sem sem;
    (void)arg;
    coir_sem_init(&sem, UINT_MAX);
    coir_sem_release(&sem);
    return 0;
}

START_TEST(release_past_uint_max_outside_a_fiber_dies)
{
    test_dies(SIGABRT, sem_rule, release_outside, NULL);
}
END_TEST

/* ---- Barrier ---- */

static int begin_for_nobody(void *arg)
{
    coir_barrier barrier;
    (void)arg;
    coir_name_set("culprit");
    coir_barrier_init(&barrier, 0);
    return 0;
}

START_TEST(barrier_for_nobody_dies)
{
    dies("a barrier is for one fiber or more", begin_for_nobody);
}
END_TEST

static int wait_before_init(void *arg)
{
    coir_barrier barrier = {0};
    (void)arg;
    coir_name_set("culprit");
    return coir_barrier_wait(&barrier);
}

START_TEST(wait_before_init_dies)
{
    dies("coir_barrier_wait before coir_barrier_init", wait_before_init);
}
END_TEST

/* ---- Once ---- */

static int do_again(void *once)
{
    return coir_once_do(once, do_again, once);
}

static int do_inside(void *arg)
{
    coir_once once = {0};
    (void)arg;
    coir_name_set("culprit");
    return coir_once_do(&once, do_again, &once);
}

START_TEST(once_inside_its_own_function_dies)
{
    dies("coir_once_do inside its own function waits for itself", do_inside);
}
END_TEST

COIR_SUITE(sync, TEST_WORKERS)
{
    TCase *mutex = test_case(suite, "mutex");
    tcase_add_test(mutex, unlock_of_an_unlocked_mutex_dies);
    tcase_add_test(mutex, unlock_by_another_fiber_dies);
    tcase_add_test(mutex, unlock_outside_a_fiber_dies);
    tcase_add_test(mutex, lock_by_who_holds_it_dies);

    TCase *rwlock = test_case(suite, "rwlock");
    tcase_add_test(rwlock, unlock_of_an_unlocked_rwlock_dies);
    tcase_add_test(rwlock, unlock_of_an_rwlock_that_was_read_before_dies);
    tcase_add_test(rwlock, unlock_of_what_another_fiber_writes_dies);
    tcase_add_test(rwlock, writer_that_asks_again_dies);

    TCase *cond = test_case(suite, "cond");
    tcase_add_test(cond, wait_without_the_mutex_dies);

    TCase *sem = test_case(suite, "semaphore");
    tcase_add_test(sem, release_past_uint_max_dies);
    tcase_add_test(sem, release_past_uint_max_outside_a_fiber_dies);

    TCase *barrier = test_case(suite, "barrier");
    tcase_add_test(barrier, barrier_for_nobody_dies);
    tcase_add_test(barrier, wait_before_init_dies);

    TCase *once = test_case(suite, "once");
    tcase_add_test(once, once_inside_its_own_function_dies);
}
