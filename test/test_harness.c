/* test/test_harness.c -- that the harness sees what it is there to see
 *
 * Each of these tests must fail. libcheck can expect a signal of a test but no
 * failed assertion, so a suite of them runs in a child of a test, quietly. */
#include "test/harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(leaves_nothing)
{
}
END_TEST

START_TEST(leaves_a_descriptor)
{
    ck_assert_int_ge(dup(STDIN_FILENO), 0);
}
END_TEST

static void *wait_forever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

START_TEST(leaves_a_thread)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_forever, NULL), 0);
}
END_TEST

START_TEST(leaves_a_child)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        wait_forever(NULL);
}
END_TEST

START_TEST(leaves_a_zombie)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(0);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
}
END_TEST

/* How many of one test's runs fail: 0 or 1. */
static int failures_of(const TTest *test)
{
    Suite *suite = suite_create("inner");
    tcase_add_test(test_case(suite, "inner"), test);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

START_TEST(sees_each_leak)
{
    ck_assert_int_eq(failures_of(leaves_nothing), 0);
    ck_assert_int_eq(failures_of(leaves_a_descriptor), 1);
    ck_assert_int_eq(failures_of(leaves_a_thread), 1);
    ck_assert_int_eq(failures_of(leaves_a_child), 1);
    ck_assert_int_eq(failures_of(leaves_a_zombie), 1);
}
END_TEST

static int say_and_abort(void *arg)
{
    fputs(arg, stderr);
    abort();
}

static int say(void *arg)
{
    fputs(arg, stderr);
    return 0;
}

START_TEST(sees_death_and_its_message)
{
    char text[] = "the rule is broken";
    test_dies(SIGABRT, "rule", say_and_abort, text);
    test_survives("rule", say, text);
    test_survives(NULL, say, text);
}
END_TEST

START_TEST(repeats_the_choices_of_a_seed)
{
    uint64_t a = test_seed(1), b = test_seed(1), c = test_seed(2);
    ck_assert_uint_eq(test_random(&a), test_random(&b));
    ck_assert_uint_ne(test_random(&a), test_random(&c));
    ck_assert_uint_lt(test_random_below(&a, 10), 10);
}
END_TEST

COIR_SUITE(harness, TEST_ONCE)
{
    TCase *failing = test_case(suite, "failing tests");
    tcase_add_test(failing, sees_each_leak);
    tcase_add_test(failing, sees_death_and_its_message);
    TCase *random = test_case(suite, "randomness");
    tcase_add_test(random, repeats_the_choices_of_a_seed);
}
