/* test/test_chan_end.c -- coir_chan: close and free; items; who may call */
#include <coir/chan.h>
#include <coir/run.h>
#include <coir/task.h>

#include "test/chan_script.h"
#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The end ---- */

START_TEST(close_lets_receivers_drain_and_then_tells_them)
{
    struct step steps[] = {
        {1, send_item, .item = 11},     {2, send_item, .item = 12},
        {3, close_it, .rc = 0},         {4, receive, .gets = 11},
        {5, try_receive, .gets = 12},   {6, receive, .rc = -EPIPE},
        {7, try_receive, .rc = -EPIPE}, {8, send_item, .rc = -EPIPE},
        {9, try_send, .rc = -EPIPE},    {10, close_it, .rc = 0},
        {11, receive, .rc = -EPIPE},
    };
    make_chan(2);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(close_tells_all_receivers_that_wait)
{
    struct step steps[] = {
        {1, receive, .rc = -EPIPE, .until = 4},
        {2, receive, .rc = -EPIPE, .until = 4},
        {3, receive, .rc = -EPIPE, .until = 4},
        {4, close_it, .rc = 0},
    };
    make_chan(5);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(close_refuses_senders_that_wait_and_keeps_what_was_sent)
{
    struct step steps[] = {
        {1, send_item, .item = 11},
        {2, send_item, .item = 12, .rc = -EPIPE, .until = 4},
        {3, send_item, .item = 13, .rc = -EPIPE, .until = 4},
        {4, close_it, .rc = 0},
        {5, receive, .gets = 11},
        {6, receive, .rc = -EPIPE},
    };
    make_chan(1);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(free_refuses_while_a_fiber_waits)
{
    struct step steps[] = {
        {1, receive, .rc = -EPIPE, .until = 4},
        {2, free_it, .rc = -EBUSY},
        {4, close_it, .rc = 0},
        {5, send_item, .rc = -EPIPE},
        {6, free_it, .rc = 0},
    };
    make_chan(0);
    PLAY(steps);
}
END_TEST

START_TEST(free_refuses_while_a_sender_waits)
{
    struct step steps[] = {
        {1, send_item, .item = 7, .until = 4},
        {2, free_it, .rc = -EBUSY},
        {4, receive, .gets = 7},
        {6, free_it, .rc = 0},
    };
    make_chan(0);
    PLAY(steps);
}
END_TEST

/* A cancelled fiber looks at the channel once more, though it is in no queue:
 * the item has passed it by. */
static int free_before_it_runs(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_task tasks[2];
    int items[2], seven = 7;
    ck_assert_int_eq(start_two_receivers(&nursery, tasks, items), 0);
    coir_task_cancel(&tasks[0]);
    ck_assert_int_eq(coir_chan_try_send(chan, &seven), 0);
    ck_assert_int_eq(coir_chan_free(chan), -EBUSY);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_chan_free(chan), 0);
    return 0;
}

START_TEST(free_waits_for_a_cancelled_fiber_that_will_still_look)
{
    make_chan(0);
    ck_assert_int_eq(run_story(1, free_before_it_runs, NULL), 0);
}
END_TEST

START_TEST(free_drops_what_is_left)
{
    int item = 7;
    make_chan(2);
    ck_assert_int_eq(coir_chan_try_send(chan, &item), 0);
    free_chan();
    ck_assert_int_eq(coir_chan_free(NULL), 0);
}
END_TEST

/* ---- Items ---- */

static int pass_sizes(void *arg)
{
    (void)arg;
    char out[300], in[300];
    for (size_t size = 0; size < sizeof out; size++) {
        coir_chan *c;
        ck_assert_int_eq(coir_chan_new(&c, size, 2), 0);
        for (int n = 0; n < 3; n++) {
            memset(out, 'a' + n, sizeof out);
            memset(in, 'z', sizeof in);
            ck_assert_int_eq(coir_chan_send(c, out), 0);
            ck_assert_int_eq(coir_chan_recv(c, in), 0);
            ck_assert_int_eq(memcmp(in, out, size), 0);
            ck_assert(size == sizeof in || in[size] == 'z');
        }
        ck_assert_int_eq(coir_chan_free(c), 0);
    }
    return 0;
}

START_TEST(items_of_any_size_arrive_whole)
{
    ck_assert_int_eq(coir_run(pass_sizes, NULL), 0);
}
END_TEST

static int pass_signals(void *arg)
{
    (void)arg;
    coir_chan *c;
    ck_assert_int_eq(coir_chan_new(&c, 0, 3), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_chan_send(c, NULL), 0);
    ck_assert_int_eq(coir_chan_try_send(c, NULL), -EAGAIN);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_chan_recv(c, NULL), 0);
    ck_assert_int_eq(coir_chan_try_recv(c, NULL), -EAGAIN);
    return coir_chan_free(c);
}

START_TEST(items_of_no_bytes_are_signals)
{
    ck_assert_int_eq(coir_run(pass_signals, NULL), 0);
}
END_TEST

START_TEST(new_refuses_what_no_memory_could_hold)
{
    coir_chan *none = NULL;
    ck_assert_int_eq(coir_chan_new(&none, 8, SIZE_MAX / 4), -ENOMEM);
    ck_assert_int_eq(coir_chan_new(&none, SIZE_MAX, 1), -ENOMEM);
    ck_assert_int_eq(coir_chan_new(&none, SIZE_MAX, SIZE_MAX), -ENOMEM);
    ck_assert_int_eq(coir_chan_new(&none, 1, SIZE_MAX - 8), -ENOMEM);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(coir_chan_new(&none, 0, SIZE_MAX), 0);
    ck_assert_int_eq(coir_chan_free(none), 0);
}
END_TEST

/* ---- Data handed over by pointer: TSan looks on ---- */

enum { HANDED = 20000 };

struct parcel {
    int number;
};

static int send_parcels(void *arg)
{
    struct parcel *parcels = arg;
    int rc = 0;
    for (int i = 0; i < HANDED && rc == 0; i++) {
        struct parcel *p = &parcels[i];
        p->number = i;
        rc = coir_chan_send(chan, &p);
    }
    coir_chan_close(chan);
    return rc;
}

static int take_parcels(void *arg)
{
    (void)arg;
    struct parcel *p;
    int64_t sum = 0;
    int rc;
    while ((rc = coir_chan_recv(chan, &p)) == 0)
        sum += p->number++; /* and so writes */
    ck_assert_int_eq(rc, -EPIPE);
    ck_assert_int_eq(sum, (int64_t)HANDED * (HANDED - 1) / 2);
    return 0;
}

static int hand_over(void *arg)
{
    static struct parcel parcels[HANDED];
    coir_nursery nursery;
    ck_assert_int_eq(
        coir_chan_new(&chan, sizeof(struct parcel *), *(const size_t *)arg), 0);
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, take_parcels, NULL);
    if (rc == 0)
        rc = coir_go(&nursery, send_parcels, parcels);
    rc = coir_nursery_close_with(&nursery, rc);
    for (int i = 0; i < HANDED && rc == 0; i++)
        rc = parcels[i].number - (i + 1);
    free_chan();
    return rc;
}

START_TEST(what_an_item_points_to_is_handed_over_with_it)
{
    for (size_t capacity = 0; capacity < 300; capacity += 128)
        ck_assert_int_eq(coir_run(hand_over, &capacity), 0);
}
END_TEST

/* ---- From anywhere ---- */

static void *send_from_thread(void *arg)
{
    int *rc = arg, item = 7;
    while ((*rc = coir_chan_try_send(chan, &item)) == -EAGAIN)
        sched_yield();
    return NULL;
}

static int receive_from_thread(void *arg)
{
    int item = 0, rc = 0;
    pthread_t thread;
    (void)arg;
    ck_assert_int_eq(pthread_create(&thread, NULL, send_from_thread, &rc), 0);
    ck_assert_int_eq(coir_chan_recv(chan, &item), 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(item, 7);
    return 0;
}

START_TEST(thread_that_is_no_worker_may_send)
{
    make_chan(0);
    ck_assert_int_eq(coir_run(receive_from_thread, NULL), 0);
    free_chan();
}
END_TEST

START_TEST(call_that_parks_needs_a_fiber)
{
    int item = 7;
    make_chan(1);
    ck_assert_int_eq(coir_chan_send(chan, &item), -EPERM);
    ck_assert_int_eq(coir_chan_recv(chan, &item), -EPERM);
    ck_assert_int_eq(coir_chan_try_send(chan, &item), 0);
    ck_assert_int_eq(coir_chan_try_recv(chan, &item), 0);
    free_chan();
}
END_TEST

static int use_in_fork(void *arg)
{
    int item = 7, status = 0;
    (void)arg;
    pid_t child = fork();
    if (child == 0) {
        coir_chan *other;
        bool refused = coir_chan_send(chan, &item) == -EPERM &&
                       coir_chan_try_send(chan, &item) == -EPERM &&
                       coir_chan_try_recv(chan, &item) == -EPERM &&
                       coir_chan_new(&other, 1, 1) == -EPERM &&
                       coir_chan_free(chan) == -EPERM;
        coir_chan_close(chan);
        _exit(refused ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    return coir_chan_try_send(chan, &item);
}

START_TEST(child_of_a_fork_is_refused)
{
    make_chan(1);
    ck_assert_int_eq(run_workers(1, use_in_fork, NULL), 0);
    free_chan();
}
END_TEST

COIR_SUITE(chan_end, TEST_WORKERS | TEST_SEEDED)
{
    TCase *end = test_case(suite, "the end");
    tcase_add_test(end, close_lets_receivers_drain_and_then_tells_them);
    tcase_add_test(end, close_tells_all_receivers_that_wait);
    tcase_add_test(end,
                   close_refuses_senders_that_wait_and_keeps_what_was_sent);
    tcase_add_test(end, free_refuses_while_a_fiber_waits);
    tcase_add_test(end, free_refuses_while_a_sender_waits);
    tcase_add_test(end, free_waits_for_a_cancelled_fiber_that_will_still_look);
    tcase_add_test(end, free_drops_what_is_left);

    TCase *items = test_case(suite, "items");
    tcase_add_test(items, items_of_any_size_arrive_whole);
    tcase_add_test(items, items_of_no_bytes_are_signals);
    tcase_add_test(items, new_refuses_what_no_memory_could_hold);
    tcase_add_test(items, what_an_item_points_to_is_handed_over_with_it);

    TCase *anywhere = test_case(suite, "from anywhere");
    tcase_add_test(anywhere, thread_that_is_no_worker_may_send);
    tcase_add_test(anywhere, call_that_parks_needs_a_fiber);
    tcase_add_test(anywhere, child_of_a_fork_is_refused);
}
