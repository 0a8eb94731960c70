/* test/test_signals.c -- io/signals.c: signals, caught and taken */
#include "io/sys.h"
#include "test/signals.h"

/* ---- Taking. */

static int take_real_time_ones(void *arg)
{
    coir_signals *s = open_signals(SIGRTMIN, SIGRTMAX - 1);
    (void)arg;
    send_signal(SIGRTMAX - 1);
    ck_assert_int_eq(coir_signals_next(s), SIGRTMAX - 1);
    send_signal(SIGRTMIN);
    ck_assert_int_eq(coir_signals_next(s), SIGRTMIN);
    coir_signals_close(s);
    return 0;
}

static int take_two(void *arg)
{
    coir_signals *s = open_signals(SIGUSR1, SIGUSR2);
    (void)arg;
    ck_assert(has_none(s));
    send_signal(SIGUSR2);
    ck_assert_int_eq(coir_signals_next(s), SIGUSR2);
    send_signal(SIGUSR1);
    ck_assert_int_eq(coir_signals_next(s), SIGUSR1);
    ck_assert(has_none(s));
    coir_signals_close(s);
    return 0;
}

START_TEST(next_is_the_number_of_a_signal_that_has_come)
{
    ck_assert_int_eq(coir_run(take_two, NULL), 0);
    ck_assert_int_eq(coir_run(take_real_time_ones, NULL), 0);
}
END_TEST

static int send_later(void *arg)
{
    let_others_park();
    send_signal(*(int *)arg);
    return 0;
}

static int wait_parked(void *arg)
{
    coir_signals *s = open_signals(SIGUSR1, SIGTERM);
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int number = i % 3 ? SIGUSR1 : SIGTERM;
        coir_nursery n;
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, send_later, &number), 0);
        ck_assert_int_eq(coir_signals_next(s), number);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
    }
    coir_signals_close(s);
    return 0;
}

START_TEST(a_fiber_that_waits_is_woken)
{
    ck_assert_int_eq(coir_run(wait_parked, NULL), 0);
}
END_TEST

static int take_from_another_process(void *arg)
{
    coir_signals *s = open_signals(SIGTERM, 0);
    int status;
    (void)arg;
    pid_t child = start_shell("kill -TERM $PPID");
    ck_assert_int_eq(coir_signals_next(s), SIGTERM);
    ck_assert_int_gt(waitpid(child, &status, 0), 0);
    coir_signals_close(s);
    return 0;
}

START_TEST(another_process_may_send_it)
{
    ck_assert_int_eq(coir_run(take_from_another_process, NULL), 0);
}
END_TEST

static int take_from_each(void *arg)
{
    coir_signals *three[3];
    (void)arg;
    three[0] = open_signals(SIGUSR1, 0);
    three[1] = open_signals(SIGUSR1, SIGUSR2);
    send_signal(SIGUSR1);
    ck_assert_int_eq(coir_signals_next(three[0]), SIGUSR1);
    three[2] = open_signals(SIGUSR1, SIGUSR2);
    ck_assert(has_none(three[2]));
    ck_assert_int_eq(coir_signals_next(three[1]), SIGUSR1);
    send_signal(SIGUSR2);
    ck_assert_int_eq(coir_signals_next(three[1]), SIGUSR2);
    ck_assert_int_eq(coir_signals_next(three[2]), SIGUSR2);
    for (int i = 0; i < 3; i++) {
        ck_assert(has_none(three[i]));
        coir_signals_close(three[i]);
    }
    return 0;
}

START_TEST(every_open_one_gets_each_of_its_own_from_its_open_on)
{
    ck_assert_int_eq(coir_run(take_from_each, NULL), 0);
}
END_TEST

static int take_equal_ones(void *arg)
{
    coir_signals *s = open_signals(SIGUSR1, SIGUSR2);
    (void)arg;
    for (int i = 0; i < 10; i++) {
        send_signal(SIGUSR1);
        send_signal(SIGUSR2);
    }
    int ones = 0, twos = 0, number = 0;
    while (number >= 0) {
        number = ones && twos ? coir_timeout(COIR_MS(5), next_of, s)
                              : coir_signals_next(s);
        ones += number == SIGUSR1;
        twos += number == SIGUSR2;
    }
    ck_assert_int_eq(number, -ETIMEDOUT);
    ck_assert(ones <= 10 && twos <= 10);
    coir_signals_close(s);
    return 0;
}

START_TEST(equal_ones_may_count_once_but_not_less)
{
    ck_assert_int_eq(coir_run(take_equal_ones, NULL), 0);
}
END_TEST

static int open_after(void *arg)
{
    coir_signals *before = open_signals(SIGUSR1, 0);
    (void)arg;
    raise(SIGUSR1);
    coir_signals *after = open_signals(SIGUSR1, 0);
    ck_assert(has_none(after));
    ck_assert_int_eq(coir_signals_next(before), SIGUSR1);
    coir_signals_close(before);
    coir_signals_close(after);
    return 0;
}

START_TEST(what_came_before_an_open_is_not_for_it)
{
    ck_assert_int_eq(coir_run(open_after, NULL), 0);
}
END_TEST

enum { SHARERS = 4 };

struct share {
    coir_signals *signals;
    _Atomic(int) taken;
};

static int take_share(void *arg)
{
    struct share *share = arg;
    int rc = coir_signals_next(share->signals);
    ck_assert_int_eq(rc, SIGUSR1);
    share->taken++;
    return 0;
}

static int share_signals(void *arg)
{
    struct share share = {.signals = open_signals(SIGUSR1, 0)};
    coir_nursery n;
    (void)arg;
    coir_nursery_open(&n);
    for (int i = 0; i < SHARERS; i++)
        ck_assert_int_eq(coir_go(&n, take_share, &share), 0);
    for (int i = 1; i <= SHARERS; i++) {
        let_others_park();
        send_signal(SIGUSR1);
        while (share.taken < i)
            let_others_park();
        ck_assert_int_eq(share.taken, i);
    }
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    coir_signals_close(share.signals);
    return 0;
}

START_TEST(fibers_that_wait_on_one_take_one_each)
{
    ck_assert_int_eq(coir_run(share_signals, NULL), 0);
}
END_TEST

/* The bell is calm again before the poller has heard it. */
static int take_at_once(void *arg)
{
    struct share slow = {.signals = open_signals(SIGUSR1, 0)};
    coir_signals *quick = open_signals(SIGUSR1, 0);
    coir_nursery n;
    (void)arg;
    for (int i = 0; i < 20; i++) {
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, take_share, &slow), 0);
        let_others_park();
        raise(SIGUSR1);
        ck_assert_int_eq(coir_signals_next(quick), SIGUSR1);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
    }
    coir_signals_close(slow.signals);
    coir_signals_close(quick);
    return 0;
}

START_TEST(who_takes_one_at_once_wakes_those_who_wait)
{
    ck_assert_int_eq(coir_run(take_at_once, NULL), 0);
}
END_TEST

static int cancel_a_wait(void *arg)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    coir_nursery n;
    (void)arg;
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, next_of, s), 0);
    let_others_park();
    coir_nursery_cancel(&n);
    ck_assert_int_eq(coir_signals_next(s), -ECANCELED);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    send_signal(SIGUSR1);
    ck_assert_int_eq(coir_signals_next(s), SIGUSR1);
    coir_signals_close(s);
    return 0;
}

START_TEST(a_cancelled_wait_takes_nothing)
{
    ck_assert_int_eq(coir_run(cancel_a_wait, NULL), 0);
}
END_TEST

/* ---- Closing. */

static int expect_closed(void *s)
{
    int rc = coir_signals_next(s);
    return rc == -EBADF ? 0 : -EIO;
}

static int close_under_waits(void *arg)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    struct share other = {.signals = open_signals(SIGUSR1, 0)};
    coir_nursery n;
    (void)arg;
    coir_nursery_open(&n);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_go(&n, expect_closed, s), 0);
    ck_assert_int_eq(coir_go(&n, take_share, &other), 0);
    let_others_park();
    coir_signals_close(s);
    let_others_park();
    send_signal(SIGUSR1);
    int rc = coir_nursery_close(&n);
    coir_signals_close(other.signals);
    return rc;
}

START_TEST(close_wakes_those_who_wait_on_it_alone)
{
    ck_assert_int_eq(coir_run(close_under_waits, NULL), 0);
}
END_TEST

static int close_the_last_under_waits(void *arg)
{
    int number = next_number();
    coir_signals *s = open_signals(SIGUSR1, 0);
    coir_nursery n;
    (void)arg;
    coir_nursery_open(&n);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_go(&n, expect_closed, s), 0);
    let_others_park();
    coir_signals_close(s);
    ck_assert(handler_of(SIGUSR1) == SIG_DFL);
    int rc = coir_nursery_close(&n);
    ck_assert_int_le(next_number(), number + 2); /* the poller's */
    return rc;
}

START_TEST(the_last_that_waits_on_a_closed_one_clears_up)
{
    ck_assert_int_eq(coir_run(close_the_last_under_waits, NULL), 0);
}
END_TEST

static _Atomic(int) ran; /* handlers of the test's */

static void count_it(int number)
{
    (void)number;
    ran++;
}

START_TEST(the_last_close_puts_the_old_disposition_back)
{
    void (*const before[])(int) = {SIG_DFL, SIG_IGN, count_it};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        set_handler(SIGUSR1, before[i]);
        coir_signals *one = open_signals(SIGUSR1, SIGUSR2);
        coir_signals *other = open_signals(SIGUSR1, 0);
        ck_assert(handler_of(SIGUSR1) != before[i]);
        raise(SIGUSR1);
        ck_assert_int_eq(ran, 0);
        coir_signals_close(one);
        ck_assert(handler_of(SIGUSR1) != before[i]);
        ck_assert(handler_of(SIGUSR2) == SIG_DFL);
        coir_signals_close(other);
        ck_assert(handler_of(SIGUSR1) == before[i]);
    }
    raise(SIGUSR1);
    ck_assert_int_eq(ran, 1);
}
END_TEST

START_TEST(a_handler_that_came_meanwhile_stays)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    set_handler(SIGUSR1, count_it);
    coir_signals_close(s);
    ck_assert(handler_of(SIGUSR1) == count_it);
}
END_TEST

static int catch_again(void *arg)
{
    coir_signals *one = open_signals(SIGUSR1, 0);
    (void)arg;
    set_handler(SIGUSR1, count_it);
    coir_signals *other = open_signals(SIGUSR1, 0);
    send_signal(SIGUSR1);
    ck_assert_int_eq(coir_signals_next(one), SIGUSR1);
    ck_assert_int_eq(coir_signals_next(other), SIGUSR1);
    coir_signals_close(one);
    coir_signals_close(other);
    ck_assert(handler_of(SIGUSR1) == count_it);
    ck_assert_int_eq(ran, 0);
    return 0;
}

START_TEST(an_open_catches_again_what_was_replaced)
{
    ck_assert_int_eq(coir_run(catch_again, NULL), 0);
}
END_TEST

START_TEST(what_came_to_one_that_is_closed_is_not_for_the_next)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    raise(SIGUSR1);
    coir_signals_close(s);
    s = open_signals(SIGUSR1, 0);
    ck_assert_int_eq(coir_run(wait_for_none, s), 0);
    coir_signals_close(s);
}
END_TEST

/* ---- Errors. */

START_TEST(some_signals_are_refused)
{
    const int refused[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,
                           SIGILL,  SIGFPE,  SIGTRAP, SIGSYS};
    coir_signals *s = NULL;
    sigset_t set;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        set = set_of(SIGUSR1, refused[i]);
        ck_assert_int_eq(coir_signals_open(&s, &set), -EINVAL);
    }
    sigemptyset(&set);
    ck_assert_int_eq(coir_signals_open(&s, &set), -EINVAL);
    ck_assert_int_eq(coir_signals_open(&s, NULL), -EINVAL);
    ck_assert_ptr_null(s);
    ck_assert(handler_of(SIGUSR1) == SIG_DFL);
}
END_TEST

START_TEST(only_fibers_wait)
{
    coir_signals *s = open_signals(SIGUSR1, 0);
    ck_assert_int_eq(coir_signals_next(s), -EPERM);
    coir_signals_close(s);
    coir_signals_close(NULL);
}
END_TEST

static int calls_left;
static bool has_failed;

static int fail_nth(const char *name)
{
    if (strcmp(name, "close") == 0 || --calls_left != 0)
        return 0;
    has_failed = true;
    return -ENOBUFS;
}

START_TEST(the_nth_failure_of_an_open_leaves_nothing)
{
    int number = next_number(), told = 0;
    for (int n = 1; n == 1 || has_failed; n++) {
        coir_signals *s = NULL;
        sigset_t set = set_of(SIGUSR1, SIGUSR2);
        has_failed = false;
        calls_left = n;
        coir_i_sys_fault = fail_nth;
        int rc = coir_signals_open(&s, &set);
        coir_i_sys_fault = NULL;
        ck_assert(rc == 0 || (has_failed && s == NULL));
        told += rc < 0;
        if (rc == 0)
            coir_signals_close(s);
        ck_assert(handler_of(SIGUSR1) == SIG_DFL);
        ck_assert(handler_of(SIGUSR2) == SIG_DFL);
        ck_assert_int_eq(next_number(), number);
    }
    ck_assert_int_ge(told, 5);
}
END_TEST

START_TEST(without_a_descriptor_there_is_no_open)
{
    coir_signals *s = NULL;
    sigset_t set = set_of(SIGUSR1, 0);
    struct rlimit before = limit_descriptors(0);
    ck_assert_int_eq(coir_signals_open(&s, &set), -EMFILE);
    ck_assert(handler_of(SIGUSR1) == SIG_DFL);
    unlimit_descriptors(before);
    s = open_signals(SIGUSR1, 0);
    before = limit_descriptors(0);
    ck_assert_int_eq(coir_run(next_of, s), -EMFILE);
    unlimit_descriptors(before);
    raise(SIGUSR1);
    ck_assert_int_eq(coir_run(next_of, s), SIGUSR1);
    coir_signals_close(s);
}
END_TEST

COIR_SUITE(signals, TEST_WORKERS)
{
    if (!can_follow_signals())
        return;
    TCase *taking = test_case(suite, "taking");
    tcase_add_test(taking, next_is_the_number_of_a_signal_that_has_come);
    tcase_add_test(taking, a_fiber_that_waits_is_woken);
    if (!is_tsan)
        tcase_add_test(taking, another_process_may_send_it);
    tcase_add_test(taking,
                   every_open_one_gets_each_of_its_own_from_its_open_on);
    tcase_add_test(taking, equal_ones_may_count_once_but_not_less);
    tcase_add_test(taking, fibers_that_wait_on_one_take_one_each);
    tcase_add_test(taking, what_came_before_an_open_is_not_for_it);
    tcase_add_test(taking, who_takes_one_at_once_wakes_those_who_wait);
    tcase_add_test(taking, a_cancelled_wait_takes_nothing);

    TCase *closing = test_case(suite, "closing");
    tcase_add_test(closing, close_wakes_those_who_wait_on_it_alone);
    tcase_add_test(closing, the_last_that_waits_on_a_closed_one_clears_up);
    tcase_add_test(closing, the_last_close_puts_the_old_disposition_back);
    tcase_add_test(closing, a_handler_that_came_meanwhile_stays);
    tcase_add_test(closing, an_open_catches_again_what_was_replaced);
    tcase_add_test(closing,
                   what_came_to_one_that_is_closed_is_not_for_the_next);

    TCase *errors = test_case(suite, "errors");
    tcase_add_test(errors, some_signals_are_refused);
    tcase_add_test(errors, only_fibers_wait);
    tcase_add_test(errors, the_nth_failure_of_an_open_leaves_nothing);

    TCase *out = test_case(suite, "out of descriptors");
    tcase_set_tags(out, "limits");
    tcase_add_test(out, without_a_descriptor_there_is_no_open);
}
