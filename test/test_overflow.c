/* test/test_overflow.c -- the report of a stack overflow */
#include <coir/fiber.h>

#include "fiber/overflow.h"
#include "test/harness.h"
#include "test/lone.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

struct run {
    coir_fn *body;
    const char *name;            /* of the fiber; may be NULL */
    void (*handler)(int signal); /* that was there before; may be NULL */
};

static int run_watched(void *arg)
{
    const struct run *run = arg;
    struct lone lone;

    if (run->handler)
        signal(SIGSEGV, run->handler);
    lone_start(&lone, 128 << 10);
    ck_assert_int_eq(coir_i_overflow_start(), 0);
    ck_assert_int_eq(coir_i_overflow_thread_start(&lone.thread), 0);
    lone_run(&lone, run->body, arg);
    coir_i_overflow_thread_end(&lone.thread);
    coir_i_overflow_stop();
    lone_stop(&lone);
    return 0;
}

static int dig(int depth)
{
    volatile char bytes[500];
    bytes[depth % 500] = 1;
    return depth > 0 ? dig(depth - 1) + bytes[depth % 500] : 0;
}

static int dig_too_deep(void *arg)
{
    const struct run *run = arg;
    if (run->name)
        coir_name_set(run->name);
    return dig(1000000);
}

static int dig_a_little(void *arg)
{
    (void)arg;
    return dig(10);
}

static int fault_elsewhere(void *arg)
{
    volatile char *page =
        mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)arg;
    page[0] = 1;
    return 0;
}

static void say_and_exit(int signal)
{
    static const char text[] = "the handler of before\n";
    (void)signal;
    COIR_IGNORE(write(STDERR_FILENO, text, sizeof text - 1));
    kill(getpid(), SIGKILL);
}

START_TEST(overflow_is_reported_with_the_fiber)
{
    test_dies(SIGSEGV,
              "coir: stack overflow in fiber 12 'digger' (128 KiB): see "
              "stack_size in coir_run(3)\n",
              run_watched, &(struct run){dig_too_deep, "digger", NULL});
    test_dies(SIGSEGV, "coir: stack overflow in fiber 12 (128 KiB)",
              run_watched, &(struct run){dig_too_deep, NULL, NULL});
}
END_TEST

START_TEST(other_faults_go_to_the_handler_of_before)
{
    test_dies(SIGKILL, "the handler of before\n", run_watched,
              &(struct run){fault_elsewhere, NULL, say_and_exit});
}
END_TEST

START_TEST(handler_of_before_is_put_back)
{
    struct sigaction now;

    run_watched(&(struct run){dig_a_little, NULL, say_and_exit});
    ck_assert_int_eq(sigaction(SIGSEGV, NULL, &now), 0);
    ck_assert(now.sa_handler == say_and_exit);
}
END_TEST

START_TEST(signal_stack_of_the_user_stays)
{
    static char bytes[64 << 10];
    stack_t users = {.ss_sp = bytes, .ss_size = sizeof bytes}, now;

    ck_assert_int_eq(sigaltstack(&users, NULL), 0);
    run_watched(&(struct run){dig_a_little, NULL, NULL});
    ck_assert_int_eq(sigaltstack(NULL, &now), 0);
    ck_assert_ptr_eq(now.ss_sp, bytes);
}
END_TEST

COIR_SUITE(overflow, TEST_ONCE)
{
    TCase *overflow = test_case(suite, "overflow");
    tcase_add_test(overflow, overflow_is_reported_with_the_fiber);

    TCase *others = test_case(suite, "what was there before");
    tcase_add_test(others, other_faults_go_to_the_handler_of_before);
    tcase_add_test(others, handler_of_before_is_put_back);
    tcase_add_test(others, signal_stack_of_the_user_stays);
}
