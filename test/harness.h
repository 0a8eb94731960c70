/* test/harness.h -- what every suite is built on: libcheck, and leak checks
 *
 * A whole suite:
 *
 *     #include "test/harness.h"
 *     #include <coir.h>
 *
 *     static int wait_for_child(void *arg)
 *     {
 *         ...
 *         return 7;
 *     }
 *
 *     START_TEST(close_waits_for_the_last_child)
 *     {
 *         ck_assert_int_eq(coir_run(wait_for_child, NULL), 7);
 *     }
 *     END_TEST
 *
 *     COIR_SUITE(nursery, TEST_WORKERS)
 *     {
 *         TCase *empty = test_case(suite, "empty");
 *         tcase_add_test(empty, close_waits_for_the_last_child);
 *     }
 *
 * One suite an object and a file, one TCase a situation, a test's name is a
 * sentence about the object. Each test runs in a process of its own (Check's
 * fork mode), and fails where it leaves behind a descriptor, a thread, a child
 * process or a stack. In a TEST_WORKERS suite every test runs with
 * $COIR_WORKERS (so with coir_run's default) at 1, 2 and 8; if that is set
 * already, with that alone. In a TEST_SEEDED suite every test also runs with
 * $COIR_SEED at $TEST_SEEDS (2) random numbers; if that is set already, with
 * that alone.
 *
 * Files: test_<file>.c, stress_<property>.c, death_<misuse>.c; the Makefile
 * finds them. They may include internal headers ("sched/park.h"): they are
 * linked with libcoir.a.
 *
 * Rules: no ck_assert in a loop that hunts a race, since each takes a lock of
 * the whole process and writes to a file: count, then assert once. Assert no
 * upper bound of a time. ck_assert may be called on a fiber or on any thread.
 * Divide big loop counts by the tool's slowness: test_scaled(). Tag a TCase
 * with "limits" if it lowers a limit to what is in use, or asks for more memory
 * than there can be: `make valgrind`, where that ends otherwise, leaves it out.
 *
 * Environment: CK_VERBOSITY, CK_RUN_CASE, CK_FORK=no (for a debugger: a failed
 * assertion then aborts), CK_TIMEOUT_MULTIPLIER, COIR_WORKERS,
 * COIR_SEED, TEST_SEEDS, COIR_STRESS_SEED, MINUTES, TEST_SLOWNESS. */
#ifndef COIR_TEST_HARNESS_H
#define COIR_TEST_HARNESS_H

#include <coir/base.h>

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    TEST_ONCE = 0,    /* the number of workers makes no difference */
    TEST_WORKERS = 1, /* run with 1, 2 and 8 workers */
    TEST_STRESS = 2,  /* random: prints how to repeat a failure */
    TEST_SEEDED = 4   /* holds in any order: run with some seeds, too */
};

/* main() and the head of the function that fills in `suite`. */
#define COIR_SUITE(name, flags)                     \
    static void fill_suite(Suite *suite);           \
    int main(void)                                  \
    {                                               \
        return test_main(#name, flags, fill_suite); \
    }                                               \
    static void fill_suite(Suite *suite)

int test_main(const char *name, unsigned flags, void (*fill)(Suite *suite));

/* A situation of the suite, with the leak checks and a timeout of 60 s (of
 * MINUTES and 60 s in a TEST_STRESS suite). */
TCase *test_case(Suite *suite, const char *name);

/* ---- Workers ---- */

/* How many a coir_run of this test has by default; 1 in a TEST_ONCE suite. */
unsigned test_workers(void);

/* coir_run with a fixed number of workers. */
int run_workers(unsigned workers, coir_fn *body, void *arg);

/* ---- Sizes ---- */

/* n, divided by how much slower the program runs under a sanitizer or
 * Valgrind; at least 1. */
uint64_t test_scaled(uint64_t n);

/* Likewise, and no more than may be parked at once: TSan can follow only a few
 * thousand stacks. */
uint64_t test_stacks(uint64_t n);

/* ---- Randomness: COIR_STRESS_SEED repeats a run's choices ---- */

/* The state of a generator of one's own: as many as there are salts. */
uint64_t test_seed(uint64_t salt);
uint64_t test_random(uint64_t *state);
uint64_t test_random_below(uint64_t *state, uint64_t bound); /* bound > 0 */

/* ---- How long a stress test goes on: MINUTES, or else one second ----
 *
 *     struct stress_clock clock = stress_clock_start();
 *     while (stress_goes_on(&clock))
 *         one round;  */
struct stress_clock {
    int64_t end; /* ns of CLOCK_MONOTONIC */
};
struct stress_clock stress_clock_start(void);
bool stress_goes_on(const struct stress_clock *clock);

/* ---- Death ----
 *
 * Run body(arg) in a child process (outside any runtime: it calls coir_run if
 * it needs one), which must be killed by `signal` after it has written `text`,
 * among other things, to standard error. */
void test_dies(int signal, const char *text, coir_fn *body, void *arg);

/* Likewise, but it must return 0; text may be NULL. */
void test_survives(const char *text, coir_fn *body, void *arg);

/* ---- Why the harness stands between libcheck and its assertions ----
 *
 * In fork mode a failed assertion ends the process. Without it, libcheck jumps
 * to the runner's stack, off the fiber or the thread that failed, which nothing
 * survives: then we abort, where the debugger has the failure before it. */
_Noreturn void test_assertion_failed(const char *file, int line,
                                     const char *expression, const char *format,
                                     ...) __attribute__((format(printf, 4, 5)));
#define _ck_assert_failed test_assertion_failed

#endif
