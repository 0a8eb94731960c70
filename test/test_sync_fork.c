/* test/test_sync_fork.c -- what fibers wait on, in the child of a fork
 *
 * The child has copies of all of it, with waiters that are not its own. */
#include <coir/barrier.h>
#include <coir/cond.h>
#include <coir/event.h>
#include <coir/mutex.h>
#include <coir/once.h>
#include <coir/run.h>
#include <coir/rwlock.h>
#include <coir/sem.h>

#include "test/sync.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

struct things {
    coir_mutex mutex;
    coir_rwlock rwlock;
    coir_cond cond;
    coir_sem sem;
    coir_event event;
    coir_barrier barrier;
    coir_once once;
};

static int wait_for_one(int number, void *arg)
{
    struct things *things = arg;
    if (number == 0)
        return coir_sem_acquire(&things->sem);
    if (number == 1)
        return coir_event_wait(&things->event);
    int rc = coir_mutex_lock(&things->mutex);
    if (rc == 0)
        rc = coir_cond_wait(&things->cond, &things->mutex);
    coir_mutex_unlock(&things->mutex);
    return rc;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* How many calls do not say -EPERM. */
static int count_wrong(struct things *things)
{
    const int results[] = {
        coir_mutex_lock(&things->mutex),
        coir_mutex_try_lock(&things->mutex),
        coir_rwlock_read(&things->rwlock),
        coir_rwlock_write(&things->rwlock),
        coir_rwlock_try_read(&things->rwlock),
        coir_rwlock_try_write(&things->rwlock),
        coir_cond_wait(&things->cond, &things->mutex),
        coir_sem_acquire(&things->sem),
        coir_sem_try_acquire(&things->sem),
        coir_event_wait(&things->event),
        coir_barrier_wait(&things->barrier),
        coir_once_do(&things->once, do_nothing, NULL),
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        wrong += results[i] != -EPERM;
    return wrong;
}

static int be_the_child(struct things *things)
{
    coir_sem_release(&things->sem);
    coir_event_set(&things->event);
    coir_event_clear(&things->event);
    coir_cond_signal(&things->cond);
    coir_cond_broadcast(&things->cond);
    return count_wrong(things);
}

static int fork_beside_waiters(void *arg)
{
    struct things things;
    struct crew crew;
    memset(&things, 0, sizeof things);
    coir_barrier_init(&things.barrier, 1);
    crew_start(&crew, 3, wait_for_one, &things);
    pid_t child = fork();
    if (child == 0)
        _exit(be_the_child(&things));
    ck_assert_int_eq(waitpid(child, arg, 0), child);
    settle();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_task_result(&crew.task[i]), -EINPROGRESS);
    coir_sem_release(&things.sem);
    coir_event_set(&things.event);
    coir_cond_signal(&things.cond);
    return crew_end(&crew);
}

/* The locks of ASan's own allocator may be held by another thread at a fork,
 * and then stay so in the child. */
#ifdef __SANITIZE_ADDRESS__
enum { CAN_FORK = false };
#else
enum { CAN_FORK = true };
#endif

START_TEST(child_of_a_fork_wakes_nobody_and_waits_for_nothing)
{
    int status = -1;
    if (!CAN_FORK)
        return;
    ck_assert_int_eq(run_story(0, fork_beside_waiters, &status), 0);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

COIR_SUITE(sync_fork, TEST_WORKERS)
{
    TCase *child = test_case(suite, "child");
    tcase_add_test(child, child_of_a_fork_wakes_nobody_and_waits_for_nothing);
}
