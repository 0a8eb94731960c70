/* test/test_deadlock_none.c -- what looks like a deadlock and is none
 *
 * In each test all workers sleep for a while, and then something comes that
 * wakes a fiber. Where that is no other thread it is the handler of a signal,
 * so that the process has no threads but coir's. */
#include <coir.h>

#include "sched/park.h"
#include "test/harness.h"
#include "test/must.h"
#include "test/processes.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { SOON = 60 /* ms: until it comes */ };

/* Nothing in here is a deadlock: the run ends as its body does. */
static void assert_none(coir_fn *body, void *arg)
{
    ck_assert_int_eq(coir_run(body, arg), 0);
}

/* ---- A signal that does something for a descriptor ---- */

static int pair[2], caller = -1;
static struct sockaddr_in address;

static void on_alarm(int number)
{
    int error = errno;
    (void)number;
    if (caller < 0)
        COIR_IGNORE(write(pair[1], "x", 1));
    else
        COIR_IGNORE(
            connect(caller, (struct sockaddr *)&address, sizeof address));
    errno = error;
}

static void start_alarm(void)
{
    const struct itimerval soon = {.it_value.tv_usec = SOON * 1000};
    signal(SIGALRM, on_alarm);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
}

static void open_pair(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static void close_pair(void)
{
    close(pair[0]);
    close(pair[1]);
}

static int read_one(void *arg)
{
    char c;
    (void)arg;
    return coir_read(pair[0], &c, 1) == 1 ? 0 : -EIO;
}

static int poll_one(void *arg)
{
    (void)arg;
    return coir_poll(pair[0], COIR_READABLE) == COIR_READABLE ? 0 : -EIO;
}

static int shield_reader(void *arg)
{
    return coir_shielded(read_one, arg);
}

static void assert_alarm_helps(coir_fn *body)
{
    open_pair();
    start_alarm();
    assert_none(body, NULL);
    close_pair();
}

START_TEST(fiber_that_reads)
{
    assert_alarm_helps(read_one);
}
END_TEST

START_TEST(fiber_that_polls)
{
    assert_alarm_helps(poll_one);
}
END_TEST

START_TEST(fiber_that_reads_behind_a_shield)
{
    assert_alarm_helps(shield_reader);
}
END_TEST

static coir_task reader;

static int join_reader(void *arg)
{
    int result;
    (void)arg;
    int rc = coir_join(&reader, &result);
    return rc < 0 ? rc : result;
}

static int wait_for_reader(void *arg)
{
    coir_nursery n;
    coir_nursery_open(&n);
    int rc = coir_spawn(&n, &reader, read_one, arg);
    for (int i = 0; rc == 0 && i < 10; i++)
        rc = coir_go(&n, join_reader, NULL);
    return coir_nursery_close_with(&n, rc);
}

START_TEST(many_that_wait_for_one_that_reads)
{
    assert_alarm_helps(wait_for_reader);
}
END_TEST

static int accept_one(void *arg)
{
    int peer = coir_accept(*(int *)arg, NULL, NULL);
    if (peer < 0)
        return peer;
    return coir_close(peer);
}

START_TEST(server_that_nobody_calls_yet)
{
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    caller = socket(AF_INET, SOCK_STREAM, 0);
    start_alarm();
    assert_none(accept_one, &fd);
    close(caller);
    close(fd);
}
END_TEST

/* ---- Timers, pool calls, jobs ---- */

static int nap(void *arg)
{
    (void)arg;
    return coir_sleep(COIR_MS(SOON));
}

static int nap_behind_shield(void *arg)
{
    return coir_shielded(nap, arg);
}

static const coir_i_wait waits_for_stranger = {.what = "a stranger"};

/* Its deadline is the only thing that ends it. */
static int wait_until_late(void *arg)
{
    (void)arg;
    coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_stranger, NULL);
    return coir_i_park() == COIR_I_CANCELLED ? -ECANCELED : -EIO;
}

static int time_out(void *arg)
{
    int rc = coir_timeout(COIR_MS(SOON), wait_until_late, arg);
    return rc == -ETIMEDOUT ? 0 : -EIO;
}

START_TEST(fiber_that_sleeps)
{
    assert_none(nap, NULL);
    assert_none(nap_behind_shield, NULL);
}
END_TEST

START_TEST(fiber_with_a_deadline)
{
    assert_none(time_out, NULL);
}
END_TEST

static int nap_outside(void *arg)
{
    (void)arg;
    return usleep(SOON * 1000);
}

static int call(void *arg)
{
    return coir_blocking(nap_outside, arg);
}

START_TEST(fiber_that_calls_a_pool)
{
    assert_none(call, NULL);
}
END_TEST

static void let_go(int number)
{
    (void)number;
    atomic_store(&notes->go, true);
}

static int run_slow_job(coir_process_pool *pool)
{
    const enum act what = AWAIT_GO;
    const struct itimerval soon = {.it_value.tv_usec = SOON * 1000};
    shared_pool = pool;
    signal(SIGALRM, let_go);
    must_not(setitimer(ITIMER_REAL, &soon, NULL) != 0);
    return run_act_of((void *)(uintptr_t)&what);
}

START_TEST(fiber_that_waits_for_another_process)
{
    if (!has_process_pools())
        return;
    make_notes();
    struct pooled pooled = {{.workers = 1}, run_slow_job};
    assert_none(with_pool, &pooled);
}
END_TEST

/* ---- Foreign threads ---- */

static struct {
    pthread_t thread;
    coir_i_ticket ticket;
    _Atomic bool armed;
    unsigned rounds;
    bool slowly;
} stranger;

static void *wake_each_time(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < stranger.rounds; i++) {
        while (!stranger.armed)
            sched_yield();
        if (stranger.slowly)
            usleep(SOON * 1000);
        stranger.armed = false;
        coir_i_wake(stranger.ticket, COIR_I_WOKEN);
    }
    return NULL;
}

static int wait_each_time(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < stranger.rounds; i++) {
        stranger.ticket = coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE,
                                     &waits_for_stranger, NULL);
        stranger.armed = true;
        must_not(coir_i_park() != COIR_I_WOKEN);
    }
    return 0;
}

static void be_woken(unsigned rounds, bool slowly)
{
    stranger.rounds = rounds;
    stranger.slowly = slowly;
    ck_assert_int_eq(
        pthread_create(&stranger.thread, NULL, wake_each_time, NULL), 0);
    assert_none(wait_each_time, NULL);
    pthread_join(stranger.thread, NULL);
    assert_nothing_happened();
}

START_TEST(fiber_that_another_thread_will_wake)
{
    be_woken(1, true);
}
END_TEST

START_TEST(fiber_that_another_thread_wakes_often)
{
    be_woken((unsigned)test_scaled(20000), false);
}
END_TEST

static coir_i_ticket awaited;

static int wake_awaited(void *arg)
{
    (void)arg;
    return coir_i_wake(awaited, COIR_I_WOKEN) ? 0 : -EIO;
}

static void *start_in_background(void *arg)
{
    (void)arg;
    usleep(SOON * 1000);
    must_not(coir_background(NULL, wake_awaited, NULL) != 0);
    return NULL;
}

static int wait_for_background(void *arg)
{
    (void)arg;
    awaited =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_stranger, NULL);
    must_not(pthread_create(&stranger.thread, NULL, start_in_background, NULL));
    must_not(coir_i_park() != COIR_I_WOKEN);
    pthread_join(stranger.thread, NULL);
    return 0;
}

START_TEST(fiber_that_another_thread_will_start)
{
    assert_none(wait_for_background, NULL);
    assert_nothing_happened();
}
END_TEST

/* ---- Often ---- */

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int call_often(void *arg)
{
    for (unsigned i = *(unsigned *)arg; i > 0; i--)
        must_not(coir_blocking(do_nothing, NULL) != 0);
    return 0;
}

START_TEST(calls_that_come_back_at_once)
{
    unsigned calls = (unsigned)test_scaled(20000);
    assert_none(call_often, &calls);
    assert_nothing_happened();
}
END_TEST

static int nap_often(void *arg)
{
    for (unsigned i = *(unsigned *)arg; i > 0; i--)
        must_not(coir_sleep(COIR_US(20)) != 0);
    return 0;
}

START_TEST(naps_one_after_another)
{
    unsigned naps = (unsigned)test_scaled(5000);
    assert_none(nap_often, &naps);
    assert_nothing_happened();
}
END_TEST

static int answer_often(void *arg)
{
    char c;
    unsigned rounds = *(unsigned *)arg;
    for (unsigned i = 0; i < rounds; i++) {
        must_not(coir_read(pair[0], &c, 1) != 1);
        must_not(coir_write(pair[0], &c, 1) != 1);
    }
    return 0;
}

static int echo_often(void *arg)
{
    char c = 'x';
    unsigned rounds = *(unsigned *)arg;
    coir_nursery n;
    coir_nursery_open(&n);
    int rc = coir_go(&n, answer_often, arg);
    for (unsigned i = 0; rc == 0 && i < rounds; i++) {
        must_not(coir_write(pair[1], &c, 1) != 1);
        must_not(coir_read(pair[1], &c, 1) != 1);
    }
    return coir_nursery_close_with(&n, rc);
}

START_TEST(fibers_that_answer_each_other_through_the_kernel)
{
    unsigned rounds = (unsigned)test_scaled(10000);
    open_pair();
    assert_none(echo_often, &rounds);
    close_pair();
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(deadlock_none, TEST_WORKERS)
{
    TCase *outside = test_case(suite, "outside");
    tcase_add_test(outside, fiber_that_reads);
    tcase_add_test(outside, fiber_that_polls);
    tcase_add_test(outside, fiber_that_reads_behind_a_shield);
    tcase_add_test(outside, many_that_wait_for_one_that_reads);
    tcase_add_test(outside, server_that_nobody_calls_yet);
    tcase_add_test(outside, fiber_that_calls_a_pool);
    tcase_add_test(outside, fiber_that_waits_for_another_process);

    TCase *timers = test_case(suite, "timers");
    tcase_add_test(timers, fiber_that_sleeps);
    tcase_add_test(timers, fiber_with_a_deadline);

    TCase *threads = test_case(suite, "threads");
    tcase_add_test(threads, fiber_that_another_thread_will_wake);
    tcase_add_test(threads, fiber_that_another_thread_will_start);

    TCase *often = test_case(suite, "often");
    tcase_add_test(often, fiber_that_another_thread_wakes_often);
    tcase_add_test(often, calls_that_come_back_at_once);
    tcase_add_test(often, naps_one_after_another);
    tcase_add_test(often, fibers_that_answer_each_other_through_the_kernel);
}
