/* test/test_deadlock.c -- a program in which nobody can wake anybody ends */
#include <coir.h>

#include "sched/park.h"
#include "test/harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- What a fiber waits for in here, if it is nothing that coir has ---- */

static const coir_i_wait waits_for_nobody = {.what = "nobody"};

/* A wait that no other fiber ends. */
static int wait_for_nobody(enum coir_i_wait_kind kind)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_arm(COIR_NEVER, kind, &waits_for_nobody, NULL);
    return coir_i_park() == COIR_I_CANCELLED ? -ECANCELED : 0;
}

static int wait_in_vain(void *arg)
{
    (void)arg;
    return wait_for_nobody(COIR_I_CANCELLABLE);
}

static int wait_whatever_comes(void *arg)
{
    (void)arg;
    return wait_for_nobody(COIR_I_UNCANCELLABLE);
}

/* Tests of deadlocks are processes of their own: the report is theirs. 0: the
 * run has ended as one in a deadlock does. */
static int run_into_deadlock(void *body)
{
    int rc = coir_run(*(coir_fn **)body, NULL);
    return rc == -EDEADLK ? 0 : 1;
}

static void assert_deadlock(coir_fn *body)
{
    test_survives("coir: deadlock: ", run_into_deadlock, &body);
}

/* ---- Deadlocks ---- */

START_TEST(fiber_that_waits_for_nobody)
{
    assert_deadlock(wait_in_vain);
}
END_TEST

static int see_the_cause(void *arg)
{
    coir_failure cause;
    (void)arg;
    if (wait_in_vain(NULL) != -ECANCELED || coir_cancel_cause(&cause) != 0)
        return -EIO;
    return cause.code == -EDEADLK && cause.id == 0 ? 17 : -EIO;
}

static int return_whether_17(void *arg)
{
    (void)arg;
    coir_nursery n;
    coir_task task;
    int result = -EIO;
    coir_nursery_open(&n);
    int rc = coir_spawn(&n, &task, see_the_cause, NULL);
    rc = coir_nursery_close_with(&n, rc);
    (void)rc; /* it is cancelled, too */
    result = coir_task_result(&task);
    if (result != 17)
        abort();
    return 0;
}

START_TEST(cause_is_the_deadlock_and_so_is_the_result_of_the_run)
{
    assert_deadlock(return_whether_17);
}
END_TEST

/* Each locks its own, and then the other's. */
static coir_mutex locks[2];
static coir_event both_have_one;
static _Atomic int have_one;

static int lock_crosswise(void *arg)
{
    int mine = *(const int *)arg;
    int rc = coir_mutex_lock(&locks[mine]);
    if (rc < 0)
        return rc;
    if (++have_one == 2)
        coir_event_set(&both_have_one);
    rc = coir_event_wait(&both_have_one);
    if (rc == 0 && (rc = coir_mutex_lock(&locks[!mine])) == 0)
        coir_mutex_unlock(&locks[!mine]);
    coir_mutex_unlock(&locks[mine]);
    return rc;
}

static int cross_locks(void *arg)
{
    static int who[2] = {0, 1};
    (void)arg;
    return coir_each(lock_crosswise, who, 2, sizeof *who, 0);
}

START_TEST(two_mutexes_crossed)
{
    assert_deadlock(cross_locks);
}
END_TEST

static int receive_from_nobody(void *arg)
{
    coir_chan *chan;
    int item, rc = coir_chan_new(&chan, sizeof item, 1);
    (void)arg;
    if (rc < 0)
        return rc;
    rc = coir_chan_recv(chan, &item);
    int end = coir_chan_free(chan);
    return rc < 0 ? rc : end;
}

START_TEST(channel_without_a_sender)
{
    assert_deadlock(receive_from_nobody);
}
END_TEST

static int get_from_nobody(void *arg)
{
    coir_queue *queue;
    int item, rc = coir_queue_new(&queue, sizeof item, 0, COIR_FIFO, NULL);
    (void)arg;
    if (rc < 0)
        return rc;
    rc = coir_queue_get(queue, &item);
    int end = coir_queue_free(queue);
    return rc < 0 ? rc : end;
}

START_TEST(queue_that_nobody_fills)
{
    assert_deadlock(get_from_nobody);
}
END_TEST

static coir_task joined[2];

static int join_other(void *arg)
{
    int result;
    return coir_join(&joined[*(const int *)arg], &result);
}

static int join_in_a_circle(void *arg)
{
    static int other[2] = {1, 0};
    (void)arg;
    coir_nursery n;
    coir_nursery_open(&n);
    int rc = coir_spawn(&n, &joined[0], join_other, &other[0]);
    if (rc == 0)
        rc = coir_spawn(&n, &joined[1], join_other, &other[1]);
    return coir_nursery_close_with(&n, rc);
}

START_TEST(circle_of_joins)
{
    assert_deadlock(join_in_a_circle);
}
END_TEST

static coir_event closed;

static int wait_until_closed(void *arg)
{
    (void)arg;
    return coir_event_wait(&closed);
}

static int close_before_setting(void *arg)
{
    (void)arg;
    coir_nursery n;
    coir_nursery_open(&n);
    int rc = coir_go(&n, wait_until_closed, NULL);
    rc = coir_nursery_close_with(&n, rc);
    coir_event_set(&closed);
    return rc;
}

START_TEST(closer_of_a_child_that_waits_for_the_close)
{
    assert_deadlock(close_before_setting);
}
END_TEST

/* A timer that was set is not one that waits. */
static int nap_in_time(void *arg)
{
    (void)arg;
    int rc = coir_sleep(COIR_MS(1));
    return rc < 0 ? rc : wait_in_vain(NULL);
}

static int nap_within_an_hour(void *arg)
{
    coir_scope scope;
    coir_timeout_open(&scope, COIR_SECONDS(3600));
    int rc = coir_scope_close(&scope, coir_sleep(COIR_MS(1)));
    return rc < 0 ? rc : wait_in_vain(arg);
}

START_TEST(sleeper_that_has_slept)
{
    assert_deadlock(nap_in_time);
}
END_TEST

START_TEST(timeout_that_was_not_used_up)
{
    assert_deadlock(nap_within_an_hour);
}
END_TEST

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int call_and_wait(void *arg)
{
    int rc = coir_blocking(do_nothing, arg);
    return rc < 0 ? rc : wait_in_vain(arg);
}

START_TEST(threads_of_the_pool_that_have_nothing_to_do)
{
    assert_deadlock(call_and_wait);
}
END_TEST

/* The last one who could have done something does it and goes. */
static pthread_t stranger;
static coir_i_ticket stranger_wakes;
static _Atomic bool stranger_goes;

static void *wake_and_go(void *arg)
{
    (void)arg;
    while (!stranger_goes)
        usleep(1000);
    coir_i_wake(stranger_wakes, COIR_I_WOKEN);
    return NULL;
}

static int wait_for_stranger(void *arg)
{
    (void)arg;
    stranger_wakes =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_nobody, NULL);
    if (pthread_create(&stranger, NULL, wake_and_go, NULL))
        abort();
    pthread_detach(stranger);
    stranger_goes = true;
    return coir_i_park() == COIR_I_WOKEN ? wait_in_vain(NULL) : -EIO;
}

START_TEST(threads_that_have_ended_meanwhile)
{
    assert_deadlock(wait_for_stranger);
}
END_TEST

static int wait_shielded(void *arg)
{
    return coir_shielded(wait_in_vain, arg);
}

static int wait_for_background(void *arg)
{
    (void)arg;
    return coir_background(NULL, wait_shielded, NULL);
}

START_TEST(background_that_waits_behind_a_shield_after_the_body)
{
    assert_deadlock(wait_for_background);
}
END_TEST

/* ---- What is cancelled when ---- */

static int steps[4];
static int count_steps;

static int clean_up(void *arg)
{
    (void)arg;
    int rc = coir_sleep(COIR_MS(1));
    steps[count_steps++] = rc == 0 ? 2 : -1;
    return rc;
}

static int wait_and_clean_up(void *arg)
{
    int rc = wait_in_vain(arg);
    steps[count_steps++] = rc == -ECANCELED ? 1 : -1;
    if (coir_shielded(clean_up, NULL) != 0)
        abort();
    return rc;
}

static int run_and_see_steps(void *arg)
{
    int rc = coir_run(wait_and_clean_up, arg);
    return rc == -EDEADLK && count_steps == 2 && steps[0] == 1 && steps[1] == 2
               ? 0
               : 1;
}

START_TEST(cleanup_behind_a_shield_is_let_be)
{
    test_survives("coir: deadlock: ", run_and_see_steps, NULL);
}
END_TEST

static int see_cause_behind_shield(void *arg)
{
    coir_failure cause;
    int rc = wait_in_vain(arg);
    if (rc != -ECANCELED || coir_cancel_cause(&cause) != 0 ||
        cause.code != -EDEADLK)
        abort();
    return rc;
}

static int wait_behind_shield(void *arg)
{
    if (coir_shielded(see_cause_behind_shield, arg) != -ECANCELED)
        abort();
    return 0;
}

START_TEST(shields_are_pierced_if_that_does_not_help)
{
    coir_fn *body = wait_behind_shield;
    test_survives("coir: deadlock again, of what was left", run_into_deadlock,
                  &body);
}
END_TEST

START_TEST(what_cannot_be_cancelled_stops_the_program)
{
    coir_fn *body = wait_whatever_comes;
    test_dies(SIGABRT, "a deadlock of fibers that cannot be cancelled",
              run_into_deadlock, &body);
}
END_TEST

static int wait_in_virtual_vain(void *arg)
{
    coir_time begin = coir_now();
    coir_scope scope;
    coir_timeout_open(&scope, COIR_SECONDS(60));
    int rc = coir_scope_close(&scope, coir_sleep(COIR_SECONDS(1)));
    rc = rc < 0 ? rc : wait_in_vain(arg);
    return coir_now() - begin == COIR_SECONDS(1) ? rc : -EIO;
}

static int run_virtually(void *arg)
{
    const coir_config config = {.virtual_clock = true};
    return coir_run_with(&config, wait_in_virtual_vain, arg) == -EDEADLK ? 0
                                                                         : 1;
}

START_TEST(virtual_clock_does_not_jump_in_one)
{
    test_survives("coir: deadlock: ", run_virtually, NULL);
}
END_TEST

static int run_seeded(void *arg)
{
    const coir_config config = {.seed = 3};
    return coir_run_with(&config, join_in_a_circle, arg) == -EDEADLK ? 0 : 1;
}

START_TEST(seeded_runs_know_them_too)
{
    test_survives("coir: deadlock: ", run_seeded, NULL);
}
END_TEST

static int nap_only(void *arg)
{
    (void)arg;
    return coir_sleep(COIR_MS(1));
}

static int run_again(void *body)
{
    int rc = run_into_deadlock(body);
    return rc ? rc
              : coir_run(nap_only, NULL) ||
                    coir_run(wait_in_vain, NULL) != -EDEADLK;
}

START_TEST(runtime_after_it_is_like_new)
{
    coir_fn *body = wait_behind_shield;
    test_survives(NULL, run_again, &body);
}
END_TEST

COIR_SUITE(deadlock, TEST_WORKERS)
{
    TCase *found = test_case(suite, "found");
    tcase_add_test(found, fiber_that_waits_for_nobody);
    tcase_add_test(found,
                   cause_is_the_deadlock_and_so_is_the_result_of_the_run);
    tcase_add_test(found, two_mutexes_crossed);
    tcase_add_test(found, channel_without_a_sender);
    tcase_add_test(found, queue_that_nobody_fills);
    tcase_add_test(found, circle_of_joins);
    tcase_add_test(found, closer_of_a_child_that_waits_for_the_close);
    tcase_add_test(found, sleeper_that_has_slept);
    tcase_add_test(found, timeout_that_was_not_used_up);
    tcase_add_test(found, threads_of_the_pool_that_have_nothing_to_do);
    tcase_add_test(found, threads_that_have_ended_meanwhile);
    tcase_add_test(found, background_that_waits_behind_a_shield_after_the_body);
    tcase_add_test(found, virtual_clock_does_not_jump_in_one);
    tcase_add_test(found, seeded_runs_know_them_too);

    TCase *ended = test_case(suite, "ended");
    tcase_add_test(ended, cleanup_behind_a_shield_is_let_be);
    tcase_add_test(ended, shields_are_pierced_if_that_does_not_help);
    tcase_add_test(ended, what_cannot_be_cancelled_stops_the_program);
    tcase_add_test(ended, runtime_after_it_is_like_new);
}
