/* test/stress_locks.c -- random use of everything that fibers wait on
 *
 * Fibers do one random thing after another to a few objects that they share,
 * while others cancel them at random: also those that were chosen at the same
 * moment. What must hold: nobody is where another is, permits are neither lost
 * nor made, each signal is taken, what was begun once is done once, and all
 * come to an end. A wake that is lost is a deadlock, which coir_run reports. */
#include <coir/barrier.h>
#include <coir/cond.h>
#include <coir/event.h>
#include <coir/mutex.h>
#include <coir/nursery.h>
#include <coir/once.h>
#include <coir/run.h>
#include <coir/rwlock.h>
#include <coir/scope.h>
#include <coir/sem.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <string.h>

enum { FIBERS = 12, STEPS = 60, PERMITS = 3, CANCELS = 8 };

static struct stress_clock stress;

struct world {
    coir_mutex mutex;
    uint64_t under_mutex; /* not atomic */
    coir_rwlock rwlock;
    uint64_t a, b; /* not atomic; equal but while somebody writes */
    coir_sem sem;
    _Atomic int inside_sem;
    coir_cond cond;
    int tokens; /* under the mutex */
    coir_event event;
    coir_once once;
    _Atomic int once_done;
    coir_task task[FIBERS];
};

struct walker {
    struct world *world;
    uint64_t state; /* of its random numbers */
};

static bool chance(struct walker *walker, unsigned one_in)
{
    return test_random_below(&walker->state, one_in) == 0;
}

/* Stay a while where one is, or not. What it returns does not matter: who is
 * cancelled gives back what it has all the same. */
static void linger(struct walker *walker)
{
    switch (test_random_below(&walker->state, 8)) {
    case 0:
    case 1:
        COIR_IGNORE(coir_yield());
        break;
    case 2:
        COIR_IGNORE(coir_sleep(COIR_US(1)));
        break;
    default:
        break;
    }
}

static bool is_expected(int rc)
{
    return rc == 0 || rc == -ECANCELED;
}

/* ---- Steps ---- */

static int use_mutex(struct walker *walker)
{
    struct world *world = walker->world;
    int rc = chance(walker, 4) ? coir_mutex_try_lock(&world->mutex) : -EBUSY;
    if (rc == -EBUSY)
        rc = coir_mutex_lock(&world->mutex);
    must_not(!is_expected(rc));
    if (rc < 0)
        return rc;
    uint64_t before = world->under_mutex++;
    linger(walker);
    must_not(world->under_mutex != before + 1);
    coir_mutex_unlock(&world->mutex);
    return 0;
}

static int use_rwlock(struct walker *walker)
{
    struct world *world = walker->world;
    bool write = chance(walker, 3);
    int rc = write ? coir_rwlock_write(&world->rwlock)
                   : coir_rwlock_read(&world->rwlock);
    must_not(!is_expected(rc));
    if (rc < 0)
        return rc;
    if (write)
        world->a++;
    uint64_t a = world->a;
    linger(walker);
    must_not(world->a != a);
    if (write)
        world->b++;
    must_not(world->a != world->b);
    coir_rwlock_unlock(&world->rwlock);
    return 0;
}

static int use_sem(struct walker *walker)
{
    struct world *world = walker->world;
    int rc = chance(walker, 4) ? coir_sem_try_acquire(&world->sem) : -EAGAIN;
    if (rc == -EAGAIN)
        rc = coir_sem_acquire(&world->sem);
    must_not(!is_expected(rc));
    if (rc < 0)
        return rc;
    must_not(++world->inside_sem > PERMITS);
    linger(walker);
    world->inside_sem--;
    coir_sem_release(&world->sem);
    return 0;
}

/* Each token is given with one signal, or all are told. Who is signalled and
 * cancelled takes a token, or leaves the signal to another: if it were lost, a
 * fiber would wait for ever beside a token. */
static int give_token(struct walker *walker)
{
    struct world *world = walker->world;
    int rc = coir_mutex_lock(&world->mutex);
    if (rc < 0)
        return rc;
    world->tokens++;
    bool inside = chance(walker, 2), all = chance(walker, 4);
    if (!inside)
        coir_mutex_unlock(&world->mutex);
    if (all)
        coir_cond_broadcast(&world->cond);
    else
        coir_cond_signal(&world->cond);
    if (inside)
        coir_mutex_unlock(&world->mutex);
    return 0;
}

static int take_token(struct walker *walker)
{
    struct world *world = walker->world;
    int rc = coir_mutex_lock(&world->mutex);
    if (rc < 0)
        return rc;
    uint64_t before = world->under_mutex;
    while (rc == 0 && world->tokens == 0) {
        rc = coir_cond_wait(&world->cond, &world->mutex);
        must_not(world->under_mutex < before);
        before = world->under_mutex++;
        linger(walker);
        must_not(world->under_mutex != before + 1);
    }
    must_not(!is_expected(rc));
    if (rc == 0)
        world->tokens--;
    coir_mutex_unlock(&world->mutex);
    return rc;
}

static int use_event(struct walker *walker)
{
    struct world *world = walker->world;
    int rc = 0;
    if (chance(walker, 2)) {
        coir_event_set(&world->event);
        if (chance(walker, 2))
            coir_event_clear(&world->event);
    } else {
        rc = coir_event_wait(&world->event);
        must_not(!is_expected(rc));
    }
    return rc;
}

static int begin_world(void *arg)
{
    struct walker *walker = arg;
    must_not(walker->world->once_done > 0);
    linger(walker);
    if (chance(walker, 2))
        return -EIO;
    walker->world->once_done++;
    return 1;
}

static int use_once(struct walker *walker)
{
    int rc = coir_once_do(&walker->world->once, begin_world, walker);
    must_not(!is_expected(rc) && rc != -EIO);
    must_not(rc == 0 && walker->world->once_done != 1);
    return rc == -EIO ? 0 : rc;
}

/* ---- A walk ---- */

static int take_step(struct walker *walker)
{
    switch (test_random_below(&walker->state, 8)) {
    case 0:
    case 1:
        return use_mutex(walker);
    case 2:
        return use_rwlock(walker);
    case 3:
        return use_sem(walker);
    case 4:
        return give_token(walker);
    case 5: {
        /* One without a token would wait until the others have ended. */
        int rc = give_token(walker);
        return rc < 0 ? rc : take_token(walker);
    }
    case 6:
        return use_event(walker);
    default:
        return use_once(walker);
    }
}

static int walk(void *arg)
{
    struct walker *walker = arg;
    for (int i = 0; i < STEPS; i++) {
        coir_scope scope;
        bool limited = chance(walker, 4);
        if (limited)
            coir_timeout_open(
                &scope, (coir_time)test_random_below(&walker->state, 20000));
        int rc = take_step(walker);
        if (limited)
            rc = coir_scope_close(&scope, rc);
        if (rc == -ECANCELED)
            return rc;
        must_not(rc != 0 && rc != -ETIMEDOUT);
    }
    return 0;
}

/* Nobody waits for an event that nobody sets any more. */
static int set_until_all_have_ended(void *arg)
{
    struct world *world = arg;
    for (int i = 0; i < FIBERS; i++)
        while (!coir_task_done(&world->task[i])) {
            coir_event_set(&world->event);
            must_not(coir_sleep(COIR_US(20)) != 0);
            coir_event_clear(&world->event);
        }
    return 0;
}

static void check_what_is_left(struct world *world)
{
    must_not(coir_mutex_try_lock(&world->mutex) != 0);
    coir_mutex_unlock(&world->mutex);
    must_not(coir_rwlock_try_write(&world->rwlock) != 0);
    coir_rwlock_unlock(&world->rwlock);
    for (int i = 0; i < PERMITS; i++)
        must_not(coir_sem_try_acquire(&world->sem) != 0);
    must_not(coir_sem_try_acquire(&world->sem) != -EAGAIN);
}

static int play_round(uint64_t *state)
{
    struct world world;
    struct walker walkers[FIBERS];
    coir_nursery nursery;
    int rc = 0;
    memset(&world, 0, sizeof world);
    coir_sem_init(&world.sem, PERMITS);
    coir_nursery_open(&nursery);
    for (int i = 0; i < FIBERS && rc == 0; i++) {
        walkers[i] = (struct walker){&world, test_random(state)};
        rc = coir_spawn(&nursery, &world.task[i], walk, &walkers[i]);
    }
    if (rc == 0)
        rc = coir_go(&nursery, set_until_all_have_ended, &world);
    for (uint64_t i = test_random_below(state, CANCELS); i > 0 && rc == 0;
         i--) {
        if (test_random_below(state, 2))
            rc = coir_yield();
        coir_task_cancel(&world.task[test_random_below(state, FIBERS)]);
    }
    rc = coir_nursery_close_with(&nursery, rc);
    check_what_is_left(&world);
    return rc;
}

static int play_rounds(void *arg)
{
    uint64_t *state = arg;
    int rc = 0;
    while (rc == 0 && stress_goes_on(&stress))
        rc = play_round(state);
    return rc;
}

START_TEST(nothing_is_lost_and_nobody_waits_forever)
{
    uint64_t state = test_seed(1);
    stress = stress_clock_start();
    ck_assert_int_eq(coir_run(play_rounds, &state), 0);
    assert_nothing_happened();
}
END_TEST

/* ---- Barriers ---- */

enum { PARTIES = 3, COMERS = 6 };

struct meeting {
    coir_barrier barrier;
    _Atomic int passed, told, cancelled;
};

static int come(void *arg)
{
    struct meeting *meeting = arg;
    int rc = coir_barrier_wait(&meeting->barrier);
    must_not(rc != 0 && rc != 1 && rc != -ECANCELED);
    meeting->passed += rc >= 0;
    meeting->told += rc == 1;
    meeting->cancelled += rc < 0;
    return rc < 0 ? rc : 0;
}

/* As many pass as a whole number of generations takes, and of each one is told;
 * the rest are cancelled at last. */
static int meet(uint64_t *state)
{
    struct meeting meeting = {.passed = 0};
    coir_task task[COMERS];
    coir_nursery nursery;
    int rc = 0;
    coir_barrier_init(&meeting.barrier, PARTIES);
    coir_nursery_open(&nursery);
    for (int i = 0; i < COMERS && rc == 0; i++)
        rc = coir_spawn(&nursery, &task[i], come, &meeting);
    for (int i = 0; i < COMERS && rc == 0; i++) {
        if (test_random_below(state, 2))
            rc = coir_yield();
        if (test_random_below(state, 4) == 0)
            coir_task_cancel(&task[test_random_below(state, COMERS)]);
    }
    coir_nursery_cancel(&nursery);
    int closed = coir_nursery_close(&nursery);
    must_not(closed != 0);
    must_not(meeting.passed % PARTIES != 0);
    must_not(meeting.told != meeting.passed / PARTIES);
    must_not(meeting.passed + meeting.cancelled != COMERS);
    return rc;
}

static int meet_often(void *arg)
{
    uint64_t *state = arg;
    int rc = 0;
    while (rc == 0 && stress_goes_on(&stress))
        rc = meet(state);
    return rc;
}

START_TEST(barrier_lets_whole_generations_pass)
{
    uint64_t state = test_seed(2);
    stress = stress_clock_start();
    ck_assert_int_eq(coir_run(meet_often, &state), 0);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(locks, TEST_STRESS | TEST_WORKERS | TEST_SEEDED)
{
    TCase *locks = test_case(suite, "locks");
    tcase_add_test(locks, nothing_is_lost_and_nobody_waits_forever);
    tcase_add_test(locks, barrier_lets_whole_generations_pass);
}
