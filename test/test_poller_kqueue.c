/* test/test_poller_kqueue.c -- io/poller_kqueue.c, over a kevent of our own
 *
 * This suite is linked with what is not for Linux in the place of what is: see
 * test/portable/. `make portable` runs others that way, too. */
#include "io/descriptor.h"
#include "io/reactor.h"
#include "io/sys.h"
#include "test/harness.h"
#include "test/portable/kevent_shim.h"
#include "test/signals.h"
#include "test/sockets.h"

#include <stdlib.h>

static int read_one(void *arg)
{
    char byte;
    return (int)coir_read(*(int *)arg, &byte, 1);
}

static int expect_one(void *arg)
{
    return read_one(arg) == 1 ? 0 : -EIO;
}

static int write_one(int fd)
{
    return (int)coir_write(fd, "x", 1);
}

/* ---- Waiting. */

static int wait_to_read(void *arg)
{
    int ends[2];
    coir_nursery n;
    if (*(bool *)arg)
        make_pipe(ends);
    else
        make_pair(ends);
    for (int i = 0; i < 3; i++) {
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, expect_one, &ends[0]), 0);
        let_others_park();
        ck_assert_int_eq(write_one(ends[1]), 1);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
    }
    close_both(ends);
    return 0;
}

struct flood {
    int fd;
    size_t size;
};

static int pour(void *arg)
{
    static char bytes[1 << 20];
    struct flood *flood = arg;
    fill_bytes(bytes, flood->size);
    ssize_t rc = coir_write_full(flood->fd, bytes, flood->size);
    return rc == (ssize_t)flood->size ? 0 : -EIO;
}

static int read_a_flood(void *arg)
{
    static char bytes[1 << 20];
    int ends[2];
    coir_nursery n;
    (void)arg;
    make_pair(ends);
    struct flood flood = {ends[0], sizeof bytes};
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, pour, &flood), 0);
    let_others_park(); /* until the writer waits, too */
    ck_assert_int_eq(coir_read_full(ends[1], bytes, sizeof bytes),
                     sizeof bytes);
    ck_assert(are_bytes(bytes, sizeof bytes));
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    close_both(ends);
    return 0;
}

START_TEST(readers_and_writers_are_woken)
{
    for (int is_pipe = 0; is_pipe < 2; is_pipe++) {
        bool which = is_pipe;
        ck_assert_int_eq(coir_run(wait_to_read, &which), 0);
    }
    ck_assert_int_eq(coir_run(read_a_flood, NULL), 0);
}
END_TEST

static int end_after_data(void *arg)
{
    int ends[2];
    char bytes[8];
    (void)arg;
    make_connection(ends);
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &ends[0]), -ETIMEDOUT);
    ck_assert_int_eq(coir_write(ends[1], "abc", 3), 3);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    ck_assert_int_eq(coir_read(ends[0], bytes, sizeof bytes), 3);
    ck_assert_int_eq(coir_read(ends[0], bytes, sizeof bytes), 0);
    ck_assert(coir_i_slot_find(ends[0])->state & COIR_I_ENDED);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    return 0;
}

START_TEST(an_end_that_comes_with_data_is_not_lost)
{
    ck_assert_int_eq(coir_run(end_after_data, NULL), 0);
}
END_TEST

enum { PAIRS = 256 }; /* as many events as the poller takes in one call */

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
    for (int i = 0; i < PAIRS; i++)
        ck_assert_int_eq(write(ends[i][1], "x", 1), 1);
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
    return write_one(*(int *)arg) - 1;
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
    const coir_config config = {.virtual_clock = true};
    ck_assert_int_eq(coir_run(sleep_and_read, NULL), 0);
    ck_assert_int_eq(coir_run_with(&config, sleep_and_read, NULL), 0);
}
END_TEST

static int nap(void *arg)
{
    (void)arg;
    return usleep(2000);
}

static int be_woken_by_threads(void *arg)
{
    int ends[2];
    coir_nursery n;
    (void)arg;
    make_pair(ends);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, expect_one, &ends[0]), 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(coir_blocking(nap, NULL), 0);
    ck_assert_int_eq(write_one(ends[1]), 1);
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(every_wake_ends_a_sleep)
{
    ck_assert_int_eq(coir_run(be_woken_by_threads, NULL), 0);
}
END_TEST

/* ---- What the reactor says. Tags of no generation that there is. */

static int add_by_hand(void *arg)
{
    const uint32_t never = 4000000000U;
    int ends[2];
    (void)arg;
    make_pair(ends);
    int fd = ends[0], copy = dup(fd);
    ck_assert_int_eq(coir_i_reactor_add(fd, coir_i_tag(fd, never)), 0);
    ck_assert_int_eq(coir_i_reactor_add(fd, coir_i_tag(fd, never)), -EEXIST);
    ck_assert_int_eq(coir_i_reactor_add(fd, coir_i_tag(fd, never + 1)),
                     -EEXIST);
    ck_assert_int_eq(coir_i_reactor_retag(fd, coir_i_tag(fd, never)), 0);
    coir_i_reactor_remove(fd);
    coir_i_reactor_remove(fd);
    ck_assert_int_eq(coir_i_reactor_add(fd, coir_i_tag(fd, never)), 0);
    close(fd);
    ck_assert_int_eq(coir_i_reactor_add(fd, coir_i_tag(fd, never)), -EBADF);
    ck_assert_int_eq(dup2(copy, fd), fd);
    ck_assert_int_eq(coir_i_reactor_add(fd, coir_i_tag(fd, never)), 0);
    close(copy);
    close_both(ends);
    return 0;
}

START_TEST(what_is_there_is_told)
{
    ck_assert_int_eq(coir_run(add_by_hand, NULL), 0);
}
END_TEST

static int add_plain_files(void *arg)
{
    char name[] = TEST_TEMPLATE;
    int fd = mkstemp(name);
    (void)arg;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(name), 0);
    ck_assert_int_eq(coir_i_reactor_add(fd, 1), -EPERM);
    ck_assert_int_eq(coir_poll(fd, COIR_READABLE), COIR_READABLE);
    ck_assert_int_eq(coir_close(fd), 0);
    return 0;
}

START_TEST(plain_files_have_no_edges)
{
    ck_assert_int_eq(coir_run(add_plain_files, NULL), 0);
}
END_TEST

/* Every error but "too little memory" says that this is no such file. */
static int add_in_vain(void *arg)
{
    int ends[2],
        *errors[] = {&kevent_shim_read_error, &kevent_shim_write_error};
    (void)arg;
    make_pair(ends);
    for (int i = 0; i < 2; i++) {
        *errors[i] = ENOMEM;
        ck_assert_int_eq(coir_poll(ends[0], COIR_READABLE), -ENOMEM);
        *errors[i] = 0;
        ck_assert_int_eq(coir_i_reactor_add(ends[0], 1), 0); /* nothing left */
        coir_i_reactor_remove(ends[0]);
    }
    kevent_shim_read_error = EINVAL;
    ck_assert_int_eq(coir_i_reactor_add(ends[0], 1), -EPERM);
    kevent_shim_read_error = 0;
    ck_assert_int_eq(coir_i_reactor_add(ends[0], 1), 0);
    close_both(ends);
    return 0;
}

/* Nobody reads the other end: FreeBSD has no filter for that. */
static int have_no_way_out(void *arg)
{
    int ends[2];
    (void)arg;
    make_pair(ends);
    kevent_shim_write_error = EPIPE;
    ck_assert_int_eq(coir_timeout(COIR_MS(2), read_one, &ends[0]), -ETIMEDOUT);
    ck_assert_int_eq(write(ends[1], "xy", 2), 2);
    ck_assert_int_eq(read_one(&ends[0]), 1);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    ck_assert_int_eq(write_one(ends[0]), -EPIPE);
    ck_assert_int_eq(read_one(&ends[0]), 1);
    ck_assert_int_eq(read_one(&ends[0]), 0);
    kevent_shim_write_error = 0;
    ck_assert_int_eq(coir_close(ends[0]), 0);
    return 0;
}

/* The side that has none is told that it need not wait. */
static int have_no_filter(void *arg)
{
    coir_i_descriptor *slot;
    int ends[2];
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_i_slot_get(ends[0], &slot), 0);
    for (int i = 0; i < 2; i++) {
        slot->side[COIR_I_WRITER] = COIR_I_DRY;
        kevent_shim_write_error = i ? EPIPE : EINVAL;
        uint32_t generation = (uint32_t)(slot->state >> 32);
        ck_assert_int_eq(
            coir_i_reactor_add(ends[0], coir_i_tag(ends[0], generation)), 0);
        kevent_shim_write_error = 0;
        ck_assert(slot->side[COIR_I_WRITER] == COIR_I_READY);
        coir_i_reactor_remove(ends[0]);
    }
    close_both(ends);
    return 0;
}

START_TEST(what_cannot_be_added_is_told)
{
    ck_assert_int_eq(coir_run(have_no_filter, NULL), 0);
    ck_assert_int_eq(coir_run(add_in_vain, NULL), 0);
    ck_assert_int_eq(coir_run(have_no_way_out, NULL), 0);
}
END_TEST

/* ---- Children and signals. */

static int wait_for(void *pid)
{
    return coir_waitpid(*(pid_t *)pid, NULL);
}

static int wait_for_children(void *arg)
{
    int status;
    (void)arg;
    pid_t child = start_shell("sleep 0.01; exit 7");
    ck_assert_int_eq(coir_waitpid(child, &status), 0);
    ck_assert_int_eq(WEXITSTATUS(status), 7);
    child = start_shell("exec sleep 1000");
    ck_assert_int_eq(coir_timeout(COIR_MS(3), wait_for, &child), -ETIMEDOUT);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(coir_waitpid(child, NULL), 0);
    ck_assert_int_eq(coir_waitpid(child, NULL), -ECHILD);
    return 0;
}

START_TEST(a_child_is_a_kqueue_of_its_own)
{
    ck_assert_int_eq(coir_run(wait_for_children, NULL), 0);
}
END_TEST

static int send_later(void *arg)
{
    let_others_park();
    send_signal(*(int *)arg);
    return 0;
}

static int wait_for_signals(void *arg)
{
    coir_signals *s = open_signals(SIGUSR1, SIGUSR2);
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int number = i % 3 ? SIGUSR1 : SIGUSR2;
        coir_nursery n;
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, send_later, &number), 0);
        ck_assert_int_eq(coir_signals_next(s), number);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
    }
    ck_assert(has_none(s));
    coir_signals_close(s);
    return 0;
}

/* More than a pipe takes, while nobody reads it. */
START_TEST(signals_ring_a_pipe)
{
    ck_assert_int_eq(coir_run(wait_for_signals, NULL), 0);
    coir_signals *s = open_signals(SIGUSR1, 0);
    int kept = 0;
    for (int i = 0; i < 100000; i++) {
        errno = 77;
        raise(SIGUSR1);
        kept += errno == 77;
    }
    ck_assert_int_eq(kept, 100000);
    ck_assert_int_eq(coir_run(next_of, s), SIGUSR1);
    ck_assert_int_eq(coir_run(wait_for_none, s), 0);
    raise(SIGUSR1);
    ck_assert_int_eq(coir_run(next_of, s), SIGUSR1);
    coir_signals_close(s);
}
END_TEST

/* ---- Bad luck. */

static _Atomic(int) calls_left;
static _Atomic(bool) has_failed;

static int fail_nth(const char *name)
{
    if (strcmp(name, "close") == 0 || strcmp(name, "kevent_wait") == 0 ||
        --calls_left != 0)
        return 0;
    has_failed = true;
    return -ENOBUFS;
}

/* Once it has failed, it goes well. */
static int converse(void *arg)
{
    int *ends = arg;
    int rc = coir_timeout(COIR_MS(1), read_one, &ends[0]);
    if (rc != -ETIMEDOUT)
        return rc;
    rc = write_one(ends[1]);
    if (rc > 0)
        rc = read_one(&ends[0]);
    return rc < 0 ? rc : 0;
}

START_TEST(the_nth_failure_is_told_and_leaves_nothing)
{
    int ends[2], told = 0;
    char byte;
    make_pair(ends);
    int number = next_number();
    for (int n = 1; n == 1 || has_failed; n++) {
        has_failed = false;
        calls_left = n;
        coir_i_sys_fault = fail_nth;
        int rc = coir_run(converse, ends);
        coir_i_sys_fault = NULL;
        ck_assert(rc == 0 || (has_failed && (rc == -ENOBUFS || rc == -ENOMEM)));
        recv(ends[0], &byte, 1, MSG_DONTWAIT); /* not read yet */
        ck_assert_int_eq(next_number(), number);
        told += rc < 0;
    }
    ck_assert_int_ge(told, 4);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static int fork_and_go_on(void *arg)
{
    int ends[2], status;
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &ends[0]), -ETIMEDOUT);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(coir_run(sleep_and_read, NULL));
    }
    ck_assert_int_eq(coir_waitpid(child, &status), 0);
    ck_assert_int_eq(status, 0);
    coir_nursery n;
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, expect_one, &ends[0]), 0);
    let_others_park();
    ck_assert_int_eq(write_one(ends[1]), 1);
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(a_forked_child_begins_with_nothing)
{
    ck_assert_int_eq(coir_run(fork_and_go_on, NULL), 0);
}
END_TEST

COIR_SUITE(poller_kqueue, TEST_WORKERS)
{
    if (!can_follow_signals())
        return;
    TCase *waiting = test_case(suite, "waiting");
    tcase_add_test(waiting, readers_and_writers_are_woken);
    tcase_add_test(waiting, an_end_that_comes_with_data_is_not_lost);
    if (!is_tsan) /* which does not see that the shim closes a number */
        tcase_add_test(waiting, hundreds_that_are_ready_at_once_are_all_woken);
    tcase_add_test(waiting, timers_and_descriptors_end_the_same_sleep);
    tcase_add_test(waiting, every_wake_ends_a_sleep);
    tcase_add_test(waiting, a_child_is_a_kqueue_of_its_own);
    tcase_add_test(waiting, signals_ring_a_pipe);
    TCase *numbers = test_case(suite, "numbers");
    tcase_add_test(numbers, what_is_there_is_told);
    tcase_add_test(numbers, plain_files_have_no_edges);
    tcase_add_test(numbers, what_cannot_be_added_is_told);

    TCase *luck = test_case(suite, "bad luck");
    tcase_add_test(luck, the_nth_failure_is_told_and_leaves_nothing);
    if (can_fork)
        tcase_add_test(luck, a_forked_child_begins_with_nothing);
}
