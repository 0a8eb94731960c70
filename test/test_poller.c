/* test/test_poller.c -- io/poller_epoll.c and module.c: where workers sleep */
#include "io/sys.h"
#include "test/harness.h"
#include "test/sockets.h"

#include <sys/wait.h>

static int read_one(void *arg)
{
    char byte;
    return (int)coir_read(*(int *)arg, &byte, 1);
}

static int expect_one(void *arg)
{
    return read_one(arg) == 1 ? 0 : -EIO;
}

/* ---- Coming and going. */

static int use_no_descriptor(void *arg)
{
    int before = *(int *)arg;
    COIR_IGNORE(coir_sleep(COIR_MS(1)));
    ck_assert_int_eq(next_number(), before);
    /* Nor does a call that need not wait. */
    int ends[2];
    char byte = 'x';
    make_pair(ends);
    int number = next_number();
    ck_assert_int_eq(coir_write(ends[0], &byte, 1), 1);
    ck_assert_int_eq(coir_read(ends[1], &byte, 1), 1);
    ck_assert_int_eq(next_number(), number);
    close_both(ends);
    return 0;
}

START_TEST(without_a_wait_there_is_no_poller)
{
    int number = next_number();
    ck_assert_int_eq(coir_run(use_no_descriptor, &number), 0);
}
END_TEST

struct kept {
    int ends[2];
    int listener;
};

static int wait_a_little(void *arg)
{
    struct kept *k = arg;
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &k->ends[0]),
                     -ETIMEDOUT);
    ck_assert_int_eq(coir_write(k->ends[1], "x", 1), 1);
    ck_assert_int_eq(read_one(&k->ends[0]), 1);
    return 0;
}

static int make_kept(void *arg)
{
    struct kept *k = arg;
    make_connection(k->ends);
    return wait_a_little(arg);
}

static int close_kept(void *arg)
{
    struct kept *k = arg;
    close_both(k->ends);
    return 0;
}

START_TEST(a_connection_outlives_its_runtime)
{
    struct kept k;
    int number = next_number();
    ck_assert_int_eq(coir_run(make_kept, &k), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_run(wait_a_little, &k), 0);
    const coir_config config = {.virtual_clock = true};
    ck_assert_int_eq(coir_run_with(&config, wait_a_little, &k), 0);
    ck_assert_int_eq(coir_run(wait_a_little, &k), 0);
    ck_assert_int_eq(coir_run(close_kept, &k), 0);
    ck_assert_int_eq(next_number(), number);
}
END_TEST

/* ---- Many at once. */

enum { PAIRS = 300 }; /* more events than the poller takes in one call */

static int read_many_at_once(void *arg)
{
    static int ends[PAIRS][2];
    coir_nursery n;
    (void)arg;
    coir_nursery_open(&n);
    for (int i = 0; i < PAIRS; i++) {
        make_pair(ends[i]);
        ck_assert_int_eq(coir_go(&n, expect_one, &ends[i][0]), 0);
    }
    let_others_park();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < PAIRS; i++) {
            if (i % 2 == round)
                ck_assert_int_eq(write(ends[i][1], "x", 1), 1);
        }
        COIR_IGNORE(coir_yield());
    }
    int rc = coir_nursery_close(&n);
    for (int i = 0; i < PAIRS; i++)
        close_both(ends[i]);
    return rc;
}

START_TEST(hundreds_that_are_ready_at_once_are_all_woken)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 2000 ? limit.rlim_max : 2000;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(coir_run(read_many_at_once, NULL), 0);
}
END_TEST

static int sleep_some(void *arg)
{
    for (int i = 0; i < 20; i++)
        COIR_IGNORE(coir_sleep(COIR_US(300)));
    return (int)coir_write(*(int *)arg, "x", 1) - 1;
}

static int sleep_and_read(void *arg)
{
    int ends[2];
    coir_nursery n;
    (void)arg;
    make_pair(ends);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, expect_one, &ends[0]), 0);
    ck_assert_int_eq(coir_go(&n, sleep_some, &ends[1]), 0);
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(timers_and_descriptors_end_the_same_sleep)
{
    ck_assert_int_eq(coir_run(sleep_and_read, NULL), 0);
}
END_TEST

static int write_out(void *arg)
{
    COIR_IGNORE(coir_sleep(COIR_SECONDS(3600)));
    return (int)coir_write(*(int *)arg, "x", 1) - 1;
}

static int read_on_virtual_clock(void *arg)
{
    int ends[2];
    coir_nursery n;
    (void)arg;
    coir_time begin = coir_now();
    for (int kind = 0; kind < 2; kind++) {
        if (kind)
            make_pair(ends);
        else
            make_connection(ends);
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, write_out, &ends[1]), 0);
        ck_assert_int_eq(read_one(&ends[0]), 1);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        close_both(ends);
    }
    ck_assert(coir_now() - begin >= COIR_SECONDS(7200));
    return 0;
}

START_TEST(on_the_virtual_clock_it_only_looks)
{
    const coir_config config = {.virtual_clock = true};
    ck_assert_int_eq(coir_run_with(&config, read_on_virtual_clock, NULL), 0);
}
END_TEST

/* ---- After a fork. TSan follows no threads into the child of one. */

#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define IS_TSAN 1
#    endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(IS_TSAN)
static const bool is_followed_by_tsan = true;
#else
static const bool is_followed_by_tsan = false;
#endif

static int be_child(void)
{
    int ends[2];
    char text[64];
    if (pipe(ends) < 0)
        return 1;
    if (coir_close(ends[0]) != -EPERM)
        return 2;
    if (coir_local_address(ends[0], text, sizeof text) != -EPERM)
        return 3;
    if (coir_read(ends[0], text, 1) != -EPERM)
        return 4;
    if (coir_run(sleep_and_read, NULL) != 0)
        return 5;
    return coir_close(ends[0]) == 0 ? 0 : 6;
}

static int fork_and_go_on(void *arg)
{
    struct kept *k = arg;
    int status;
    ck_assert_int_eq(make_kept(arg), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(be_child());
    while (waitpid(child, &status, 0) < 0) {
    }
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_int_eq(wait_a_little(arg), 0);
    close_both(k->ends);
    return 0;
}

START_TEST(a_forked_child_begins_with_nothing)
{
    struct kept k;
    ck_assert_int_eq(coir_run(fork_and_go_on, &k), 0);
}
END_TEST

/* ---- Bad luck. */

static int wait_without_descriptors(void *arg)
{
    int ends[2];
    (void)arg;
    make_pair(ends);
    for (int more = 0; more < 2; more++) {
        struct rlimit before = limit_descriptors(more);
        ck_assert_int_eq(read_one(&ends[0]), -EMFILE);
        ck_assert_int_eq(coir_poll(ends[0], COIR_READABLE), -EMFILE);
        unlimit_descriptors(before);
    }
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &ends[0]), -ETIMEDOUT);
    ck_assert_int_eq(coir_write(ends[1], "x", 1), 1);
    ck_assert_int_eq(read_one(&ends[0]), 1);
    close_both(ends);
    return 0;
}

START_TEST(without_descriptors_there_is_no_poller_until_there_are_some)
{
    ck_assert_int_eq(coir_run(wait_without_descriptors, NULL), 0);
}
END_TEST

/* The n-th of the calls that can fail does. */
static _Atomic(int) calls_left;
static _Atomic(int) failed;

static int fail_nth(const char *name)
{
    static const char *const never[] = {"close", "epoll_wait", "epoll_pwait2"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        if (strcmp(name, never[i]) == 0)
            return 0;
    }
    if (--calls_left != 0)
        return 0;
    failed = 1;
    return -ENOBUFS;
}

/* Of every step it says whether it failed, and leaves nothing behind. */
static int converse(void *arg)
{
    char address[64], byte = 'x';
    int rc, one = -1, other = -1;
    (void)arg;
    int listener = rc = coir_listen("127.0.0.1:0", 4);
    if (rc >= 0)
        rc = coir_local_address(listener, address, sizeof address);
    if (rc >= 0)
        rc = one = coir_dial(address);
    if (rc >= 0)
        rc = other = coir_accept(listener, NULL, NULL);
    if (rc >= 0) {
        rc = coir_timeout(COIR_US(200), read_one, &other);
        rc = rc == -ETIMEDOUT ? 0 : rc;
    }
    if (rc >= 0)
        rc = coir_timeout(COIR_US(200), read_one, &one) == -ETIMEDOUT
                 ? 0
                 : -ENOBUFS;
    if (rc >= 0)
        rc = (int)coir_write(one, &byte, 1);
    if (rc >= 0)
        rc = (int)coir_read(other, &byte, 1);
    if (rc >= 0)
        rc = coir_poll(other, COIR_WRITABLE);
    if (listener >= 0)
        coir_close(listener);
    if (one >= 0)
        coir_close(one);
    if (other >= 0)
        coir_close(other);
    return rc < 0 ? rc : 0;
}

START_TEST(the_nth_failure_is_told_and_leaves_nothing)
{
    int number = next_number();
    int n = 0, told = 0;
    do {
        calls_left = ++n;
        failed = 0;
        coir_i_sys_fault = fail_nth;
        int rc = coir_run(converse, NULL);
        coir_i_sys_fault = NULL;
        ck_assert_msg(rc == 0 || (failed && (rc == -ENOBUFS || rc == -ENOMEM)),
                      "call %d: %d", n, rc);
        ck_assert_int_eq(next_number(), number);
        told += rc < 0;
    } while (failed);
    ck_assert_int_gt(told, 10);
    ck_assert_int_eq(coir_run(converse, NULL), 0);
}
END_TEST

COIR_SUITE(poller, TEST_WORKERS)
{
    TCase *life = test_case(suite, "comes and goes");
    tcase_add_test(life, without_a_wait_there_is_no_poller);
    tcase_add_test(life, a_connection_outlives_its_runtime);
    if (!is_followed_by_tsan)
        tcase_add_test(life, a_forked_child_begins_with_nothing);

    TCase *sleeps = test_case(suite, "sleeps");
    tcase_add_test(sleeps, hundreds_that_are_ready_at_once_are_all_woken);
    tcase_add_test(sleeps, timers_and_descriptors_end_the_same_sleep);
    tcase_add_test(sleeps, on_the_virtual_clock_it_only_looks);

    TCase *luck = test_case(suite, "bad luck");
    tcase_add_test(luck, the_nth_failure_is_told_and_leaves_nothing);

    TCase *out = test_case(suite, "out of descriptors");
    tcase_set_tags(out, "limits");
    tcase_add_test(out,
                   without_descriptors_there_is_no_poller_until_there_are_some);
}
