/* test/test_spare.c -- what goes on beside fibers that are stuck */
#include <coir.h>

#include "test/stuck.h"

#include <pthread.h>
#include <sys/socket.h>

/* ---- What goes on ---- */

START_TEST(timers_go_on)
{
    run_beside(_i, sleep_often, NULL);
}
END_TEST

static int yield_often(void *arg)
{
    int rc = 0;
    (void)arg;
    for (int i = 0; i < 100 * ROUNDS && rc == 0; i++)
        rc = coir_yield();
    return rc;
}

static int yield_in_turn(void *arg)
{
    char items[3];
    (void)arg;
    return coir_each(yield_often, items, 3, 1, 0);
}

START_TEST(fibers_that_are_ready_go_on)
{
    run_beside(_i, yield_in_turn, NULL);
}
END_TEST

static int count_child(void *arg)
{
    ++*(_Atomic int *)arg;
    return 0;
}

static int start_many(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++)
        rc = coir_go(&nursery, count_child, arg);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(children_are_started)
{
    _Atomic int count = 0;
    run_beside(_i, start_many, &count);
    ck_assert_int_eq(count, 1000);
}
END_TEST

/* The last of those behind the stuck ones, in the same nursery, frees them. */
static int count_and_release(void *arg)
{
    _Atomic int *count = arg;
    return ++*count == 1000 ? release(0) : 0;
}

static int start_behind_stuck(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = go_stuck(&nursery);
    for (int i = 0; i < 1000 && rc == 0; i++)
        rc = coir_go(&nursery, count_and_release, arg);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(children_behind_a_stuck_one_begin)
{
    _Atomic int count = 0;
    make_stuck(_i, (int)test_workers());
    ck_assert_int_eq(coir_run(start_behind_stuck, &count), 0);
    drop_stuck();
    ck_assert_int_eq(count, 1000);
}
END_TEST

static int echo(void *arg)
{
    int *ends = arg;
    char byte = 0;
    ssize_t n = 1;
    for (int i = 0; i < ROUNDS && n == 1; i++) {
        n = coir_read(ends[1], &byte, 1);
        if (n == 1)
            n = coir_write(ends[1], &byte, 1);
    }
    return n == 1 ? 0 : -EIO;
}

static int talk(void *arg)
{
    int *ends = arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, echo, ends);
    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        char byte = (char)i, answer = -1;
        if (coir_write(ends[0], &byte, 1) != 1 ||
            coir_read(ends[0], &answer, 1) != 1 || answer != byte)
            rc = -EIO;
    }
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(a_conversation_goes_on)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    run_beside(_i, talk, ends);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static int accept_some(void *arg)
{
    int rc = 0;
    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        int fd = coir_accept(*(int *)arg, NULL, NULL);
        rc = fd < 0 ? fd : coir_close(fd);
    }
    return rc;
}

static int serve(void *arg)
{
    char address[64];
    int listener = coir_listen("127.0.0.1:0", 0);
    int rc = coir_local_address(listener, address, sizeof address);
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    rc = rc < 0 ? rc : coir_go(&nursery, accept_some, &listener);
    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        int fd = coir_dial(address);
        rc = fd < 0 ? fd : coir_close(fd);
    }
    rc = coir_nursery_close_with(&nursery, rc);
    int closed = coir_close(listener);
    return rc < 0 ? rc : closed;
}

START_TEST(connections_are_accepted)
{
    run_beside(_i, serve, NULL);
}
END_TEST

static int be_background(void *arg)
{
    *(_Atomic bool *)arg = true;
    return 0;
}

static void *start_background(void *arg)
{
    while (stuck.begun < stuck.count)
        usleep(1000);
    return coir_background(NULL, be_background, arg) == 0 ? NULL : arg;
}

static int wait_for_flag(void *arg)
{
    int rc = 0;
    while (!*(_Atomic bool *)arg && rc == 0)
        rc = coir_sleep(COIR_MS(1));
    return rc;
}

START_TEST(other_threads_start_fibers)
{
    pthread_t thread;
    void *failed;
    _Atomic bool begun = false;
    make_stuck(_i, (int)test_workers());
    struct other other = {wait_for_flag, &begun};
    ck_assert_int_eq(pthread_create(&thread, NULL, start_background, &begun),
                     0);
    ck_assert_int_eq(coir_run(run_beside_stuck, &other), 0);
    pthread_join(thread, &failed);
    ck_assert_ptr_null(failed);
    drop_stuck();
}
END_TEST

/* ---- Who was woken last, and is to run next ---- */

static int wait_to_release(void *arg)
{
    coir_scope_open(arg);
    int rc = coir_sleep(COIR_NEVER);
    rc = coir_scope_close(arg, rc);
    return release(rc == -ECANCELED ? 0 : -EIO);
}

static int wake_and_be_stuck(void *arg)
{
    int rc = coir_sleep(COIR_MS(5));
    coir_scope_cancel(arg);
    return rc < 0 ? rc : be_stuck(NULL);
}

static int be_stuck_after_waking(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, wait_to_release, arg);
    if (rc == 0)
        rc = coir_go(&nursery, wake_and_be_stuck, arg);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(a_fiber_that_was_woken_by_a_stuck_one_goes_on)
{
    coir_scope scope;
    make_stuck(_i, 1);
    ck_assert_int_eq(coir_run(be_stuck_after_waking, &scope), 0);
    drop_stuck();
}
END_TEST

/* ---- Those that are always busy see to what is left behind ---- */

static int yield_until_released(void *arg)
{
    int rc = 0;
    (void)arg;
    while (!stuck.released && rc == 0)
        rc = coir_yield();
    return rc;
}

/* Each spare that comes finds fibers that never park, and so never steals
 * again: the rest must be brought to it. */
static int start_busy(void *arg)
{
    coir_nursery nursery;
    _Atomic int *count = arg;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < 20 && rc == 0; i++)
        rc = coir_go(&nursery, yield_until_released, NULL);
    if (rc == 0)
        rc = go_stuck(&nursery);
    for (int i = 0; i < 1000 && rc == 0; i++)
        rc = coir_go(&nursery, count_and_release, count);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(workers_that_are_never_idle_take_what_is_left_behind)
{
    _Atomic int count = 0;
    make_stuck(_i, (int)test_workers());
    ck_assert_int_eq(coir_run(start_busy, &count), 0);
    drop_stuck();
}
END_TEST

/* ---- Pinned ---- */

static struct {
    pid_t thread;
    _Atomic bool pinned, woken, strays;
} pin;

static int sleep_pinned(void *arg)
{
    (void)arg;
    coir_pin();
    pin.thread = gettid();
    pin.pinned = true;
    int rc = coir_sleep(COIR_MS(1));
    pin.woken = true;
    pin.strays = gettid() != pin.thread;
    coir_unpin();
    return rc;
}

static int sleep_and_look(void *arg)
{
    int rc = coir_sleep(COIR_MS(50));
    *(bool *)arg = pin.woken;
    return release(rc);
}

static int pin_beside_stuck(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, sleep_pinned, NULL);
    while (rc == 0 && !pin.pinned)
        rc = coir_yield();
    if (rc == 0)
        rc = coir_go(&nursery, be_stuck, NULL);
    if (rc == 0)
        rc = coir_go(&nursery, sleep_and_look, arg);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(a_fiber_pinned_to_a_stuck_worker_waits)
{
    bool woken = false;
    pin.pinned = pin.woken = pin.strays = false;
    make_stuck(_i, 1);
    ck_assert_int_eq(run_workers(1, pin_beside_stuck, &woken), 0);
    drop_stuck();
    ck_assert(!woken);
    ck_assert(pin.woken);
    ck_assert(!pin.strays);
}
END_TEST

/* Begins on a spare, and comes back to it when it has sat down. */
static int stay_on_spare(void *arg)
{
    pid_t thread = gettid();
    int rc = 0;
    coir_pin();
    rc = release(thread == getpid() ? -EIO : 0); /* that is the stuck worker */
    while (stuck.ended < stuck.count && rc == 0)
        rc = coir_sleep(COIR_MS(1));
    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        rc = coir_sleep(COIR_MS(5));
        *(_Atomic bool *)arg |= gettid() != thread;
    }
    coir_unpin();
    return rc;
}

static int pin_to_spare(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = go_stuck(&nursery);
    if (rc == 0)
        rc = coir_go(&nursery, stay_on_spare, arg);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(a_fiber_pinned_to_a_spare_stays_there)
{
    _Atomic bool strays = false;
    make_stuck(_i, 1);
    ck_assert_int_eq(run_workers(1, pin_to_spare, &strays), 0);
    drop_stuck();
    ck_assert(!strays);
}
END_TEST

COIR_SUITE(spare, TEST_WORKERS)
{
    TCase *on = test_case(suite, "all workers are stuck");
    tcase_add_loop_test(on, timers_go_on, 0, KINDS);
    tcase_add_loop_test(on, fibers_that_are_ready_go_on, 0, KINDS);
    tcase_add_loop_test(on, children_are_started, 0, KINDS);
    tcase_add_loop_test(on, children_behind_a_stuck_one_begin, 0, KINDS);
    tcase_add_loop_test(on, a_conversation_goes_on, 0, KINDS);
    tcase_add_loop_test(on, connections_are_accepted, 0, KINDS);
    tcase_add_loop_test(on, other_threads_start_fibers, 0, KINDS);
    tcase_add_loop_test(on, a_fiber_that_was_woken_by_a_stuck_one_goes_on, 0,
                        KINDS);
    tcase_add_loop_test(
        on, workers_that_are_never_idle_take_what_is_left_behind, 0, KINDS);

    TCase *pinned = test_case(suite, "pinned");
    tcase_add_loop_test(pinned, a_fiber_pinned_to_a_stuck_worker_waits, 0,
                        KINDS);
    tcase_add_loop_test(pinned, a_fiber_pinned_to_a_spare_stays_there, 0,
                        KINDS);
}
