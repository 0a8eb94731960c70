/* test/stress_signals.c -- no signal gets lost while coir_signals open and
 * close around it
 *
 * Fibers and threads open, send and close at random. Whoever has one open when
 * it sends a signal must get it, however many others take the same one, and
 * whatever is opened and closed meanwhile; if not, the test hangs. In between,
 * children are forked off, which must die of the signal. */
#include "fiber/current.h"
#include "sched/park.h"
#include "test/must.h"
#include "test/signals.h"

#include <pthread.h>

enum { FIBERS = 12, THREADS = 2, NUMBERS = 5 };

static const int numbers[NUMBERS] = {SIGUSR1, SIGUSR2, SIGTERM, SIGHUP,
                                     SIGWINCH};

struct actor {
    uint64_t random;
    struct stress_clock clock;
};

static coir_signals *open_with(struct actor *a, int number)
{
    coir_signals *s = NULL;
    sigset_t set = set_of(number, 0);
    for (int i = 0; i < NUMBERS; i++) {
        if (test_random_below(&a->random, 3) == 0)
            sigaddset(&set, numbers[i]);
    }
    must_not(coir_signals_open(&s, &set) != 0);
    return s;
}

static int number_of(struct actor *a)
{
    return numbers[test_random_below(&a->random, NUMBERS)];
}

/* Until it has come; others come, too. */
static void await(coir_signals *s, int number)
{
    int rc;
    do {
        rc = coir_signals_next(s);
        must_not(rc <= 0);
    } while (rc != number && rc > 0);
}

static void fork_one_off(int number)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        raise(number);
        _exit(3);
    }
    must_not(child < 0);
    must_not(waitpid(child, &status, 0) != child);
    /* SIGWINCH is ignored by default. */
    must_not(number != SIGWINCH &&
             !(WIFSIGNALED(status) && WTERMSIG(status) == number));
}

/* A fiber that waits for what nobody sends. */
struct waiter {
    coir_signals *signals;
    _Atomic(coir_i_fiber *) fiber; /* once it is about to wait */
};

static int wait_till_closed(void *arg)
{
    struct waiter *w = arg;
    w->fiber = coir_i_here()->running;
    must_not(coir_signals_next(w->signals) != -EBADF);
    return 0;
}

static bool waits_for_signals(coir_i_fiber *f)
{
    coir_i_ticket ticket;
    if (!f || !coir_i_look(f, &ticket))
        return false;
    bool does = strcmp(f->stack->wait->what, "signals") == 0;
    coir_i_look_end(f);
    return does;
}

static void close_under_a_wait(void)
{
    sigset_t set = set_of(SIGURG, 0);
    struct waiter waiter = {.fiber = NULL};
    coir_nursery n;
    must_not(coir_signals_open(&waiter.signals, &set) != 0);
    coir_nursery_open(&n);
    must_not(coir_go(&n, wait_till_closed, &waiter) != 0);
    while (!waits_for_signals(waiter.fiber))
        COIR_IGNORE(coir_sleep(COIR_US(50)));
    coir_signals_close(waiter.signals);
    must_not(coir_nursery_close(&n) != 0);
}

static int act_on_fiber(void *arg)
{
    struct actor *a = arg;
    while (stress_goes_on(&a->clock)) {
        int number = number_of(a);
        coir_signals *s = open_with(a, number);
        for (uint64_t i = test_random_below(&a->random, 4); i > 0; i--) {
            send_signal(number);
            await(s, number);
        }
        if (test_random_below(&a->random, 8) == 0)
            COIR_IGNORE(coir_timeout(COIR_US(100), next_of, s));
        coir_signals_close(s);
        if (test_random_below(&a->random, 8) == 0)
            close_under_a_wait();
        if (can_fork && test_random_below(&a->random, 64) == 0)
            fork_one_off(number);
        COIR_IGNORE(coir_yield());
    }
    return 0;
}

static void *act_on_thread(void *arg)
{
    struct actor *a = arg;
    while (stress_goes_on(&a->clock)) {
        int number = number_of(a);
        coir_signals *s = open_with(a, number);
        send_signal(number);
        coir_signals_close(s);
    }
    return NULL;
}

/* The ones that keep the process alive: a signal may come to a thread after
 * those that sent it have closed. */
static coir_signals *keep_all_caught(void)
{
    coir_signals *s = NULL;
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < NUMBERS; i++)
        sigaddset(&set, numbers[i]);
    ck_assert_int_eq(coir_signals_open(&s, &set), 0);
    return s;
}

static int run_actors(void *arg)
{
    struct actor *actors = arg;
    coir_nursery n;
    coir_nursery_open(&n);
    for (int i = 0; i < FIBERS; i++)
        ck_assert_int_eq(coir_go(&n, act_on_fiber, &actors[i]), 0);
    return coir_nursery_close(&n);
}

START_TEST(who_is_open_gets_what_it_sends)
{
    struct actor actors[FIBERS + THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < FIBERS + THREADS; i++)
        actors[i] =
            (struct actor){test_seed((uint64_t)i), stress_clock_start()};
    for (int i = 0; i < NUMBERS; i++)
        set_handler(numbers[i], SIG_DFL); /* libcheck has some */
    coir_signals *all = keep_all_caught();
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, act_on_thread,
                                        &actors[FIBERS + i]),
                         0);
    ck_assert_int_eq(coir_run(run_actors, actors), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    coir_signals_close(all);
    for (int i = 0; i < NUMBERS; i++)
        ck_assert(handler_of(numbers[i]) == SIG_DFL);
    ck_assert(handler_of(SIGURG) == SIG_DFL);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(stress_signals, TEST_WORKERS | TEST_STRESS)
{
    TCase *random = test_case(suite, "random");
    tcase_add_test(random, who_is_open_gets_what_it_sends);
}
