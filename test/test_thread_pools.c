/* test/test_thread_pools.c -- coir_thread_pool: pools of the program's own
 *
 * How threads come and go is in test_thread_pool.c, how a pool interrupts in
 * test_interrupt.c, how it ends in test_thread_pool_free.c. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/threads.h>
#include <coir/time.h>

#include "test/harness.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static coir_thread_pool *pool;

static void make_pool(unsigned max)
{
    const coir_thread_pool_config config = {.max_threads = max};
    ck_assert_int_eq(coir_thread_pool_new(&pool, &config), 0);
}

static int return_number(void *arg)
{
    return *(const int *)arg;
}

static int wait_for_post(void *arg)
{
    while (sem_wait(arg) < 0) {
    }
    return 0;
}

static int run_return_number(void *arg)
{
    return coir_thread_pool_run(pool, return_number, arg);
}

/* ---- Run ---- */

static int run_on_pools(void *arg)
{
    int numbers[] = {0, 7, -EIO};
    (void)arg;
    make_pool(2);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(run_return_number(&numbers[i]), numbers[i]);
        ck_assert_int_eq(coir_thread_pool_run(NULL, return_number, &numbers[i]),
                         numbers[i]);
    }
    coir_thread_pool_free(pool);
    coir_thread_pool_free(NULL);
    return 0;
}

START_TEST(run_returns_what_the_call_returned)
{
    ck_assert_int_eq(coir_run(run_on_pools, NULL), 0);
}
END_TEST

START_TEST(run_outside_a_fiber_is_refused)
{
    int number = 7;
    make_pool(1);
    ck_assert_int_eq(run_return_number(&number), -EPERM);
    ck_assert_int_eq(
        coir_thread_pool_each(pool, return_number, &number, 1, sizeof number),
        -EPERM);
    ck_assert_int_eq(coir_thread_pool_each(pool, return_number, NULL, 0, 0),
                     -EPERM);
    coir_thread_pool_free(pool);
}
END_TEST

static int tell_name(void *arg)
{
    return prctl(PR_GET_NAME, (unsigned long)arg, 0UL, 0UL, 0UL);
}

/* Fifteen characters are all that a thread's name has. */
static int ask_for_names(void *arg)
{
    static const char *const names[][2] = {
        {NULL, "coir-pool-0"},
        {"db", "db-0"},
        {"a-database-with-a-long-name", "a-database-wi-0"}};
    (void)arg;
    for (int i = 0; i < 3; i++) {
        char name[17] = "";
        coir_thread_pool_config config = {.name = names[i][0]};
        ck_assert_int_eq(coir_thread_pool_new(&pool, &config), 0);
        ck_assert_int_eq(coir_thread_pool_run(pool, tell_name, name), 0);
        ck_assert_str_eq(name, names[i][1]);
        coir_thread_pool_free(pool);
    }
    return 0;
}

START_TEST(threads_have_the_name_of_their_pool)
{
    ck_assert_int_eq(coir_run(ask_for_names, NULL), 0);
}
END_TEST

static int run_seven(void *arg)
{
    int number = 7;
    (void)arg;
    return run_return_number(&number);
}

START_TEST(pool_serves_one_runtime_after_another)
{
    make_pool(4);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_run(run_seven, NULL), 7);
    coir_thread_pool_free(pool);
}
END_TEST

/* Of libcheck's nothing may be used here. */
static int use_in_child(void *arg)
{
    int number = 7;
    (void)arg;
    if (run_return_number(&number) != -EPERM ||
        coir_thread_pool_each(pool, return_number, &number, 1, 4) != -EPERM ||
        coir_thread_pool_run(NULL, return_number, &number) != 7)
        return 1;
    coir_thread_pool_free(pool);
    return 0;
}

static int fork_beside_threads(void *arg)
{
    int number = 7, status = -1;
    (void)arg;
    make_pool(4);
    ck_assert_int_eq(run_return_number(&number), 7);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        int rc = run_return_number(&number) == -EPERM ? 0 : 2;
        _exit(rc ? rc : coir_run(use_in_child, NULL));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(run_return_number(&number), 7);
    coir_thread_pool_free(pool);
    return 0;
}

/* The locks of ASan's own allocator may be held by another thread at a fork,
 * and stay so in the child. */
#ifdef __SANITIZE_ADDRESS__
enum { CAN_FORK = false };
#else
enum { CAN_FORK = true };
#endif

START_TEST(pool_of_the_parent_is_refused_in_a_child)
{
    if (!CAN_FORK)
        return;
    ck_assert_int_eq(coir_run(fork_beside_threads, NULL), 0);
}
END_TEST

/* ---- Each ---- */

enum { ITEMS = 500, LIMIT = 3 };

struct item {
    int number;
    _Atomic(int) *now, *most;
    int done;
};

static int visit(void *arg)
{
    struct item *item = arg;
    int now = atomic_fetch_add(item->now, 1) + 1;
    int most = atomic_load(item->most);
    while (now > most &&
           !atomic_compare_exchange_weak(item->most, &most, now)) {
    }
    if (item->number % 16 == 0)
        usleep(50);
    item->done++;
    atomic_fetch_sub(item->now, 1);
    return item->number; /* above 0: no failure */
}

static int visit_all(void *arg)
{
    static struct item items[ITEMS];
    _Atomic(int) now = 0, most = 0;
    int wrong = 0;
    (void)arg;
    for (int i = 0; i < ITEMS; i++)
        items[i] = (struct item){i, &now, &most, 0};
    make_pool(LIMIT);
    ck_assert_int_eq(
        coir_thread_pool_each(pool, visit, items, ITEMS, sizeof *items), 0);
    for (int i = 0; i < ITEMS; i++)
        wrong += items[i].done != 1;
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_le(most, LIMIT);
    ck_assert_int_eq(coir_thread_pool_each(pool, visit, items, 0, 1), 0);
    ck_assert_int_eq(
        coir_thread_pool_each(NULL, visit, items, ITEMS, sizeof *items), 0);
    coir_thread_pool_free(pool);
    return 0;
}

START_TEST(each_visits_every_item_once)
{
    ck_assert_int_eq(coir_run(visit_all, NULL), 0);
}
END_TEST

static pthread_barrier_t all_there;

static int meet(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&all_there);
    return 0;
}

static int meet_all(void *arg)
{
    char items[16];
    (void)arg;
    make_pool(16);
    int rc = coir_thread_pool_each(pool, meet, items, sizeof items, 1);
    coir_thread_pool_free(pool);
    return rc;
}

START_TEST(each_uses_all_threads_at_once)
{
    pthread_barrier_init(&all_there, NULL, 16);
    ck_assert_int_eq(coir_run(meet_all, NULL), 0);
    pthread_barrier_destroy(&all_there);
}
END_TEST

static struct {
    char text[64];
    size_t length;
} order;

static int note(void *arg)
{
    order.text[order.length++] = *(const char *)arg;
    return *(const char *)arg == 'f' ? -EIO : 0;
}

static int note_until_failure(void *arg)
{
    char letters[] = "abcdefghijklmnopqrstuvwxyz";
    (void)arg;
    make_pool(1);
    int rc = coir_thread_pool_each(pool, note, letters, 26, 1);
    coir_thread_pool_free(pool);
    return rc;
}

START_TEST(each_begins_in_order_and_ends_at_the_first_failure)
{
    ck_assert_int_eq(coir_run(note_until_failure, NULL), -EIO);
    ck_assert_str_eq(order.text, "abcdef");
}
END_TEST

static struct {
    sem_t begun, go_on;
    _Atomic(int) calls;
} gate;

static int pass_gate(void *arg)
{
    atomic_fetch_add(&gate.calls, 1);
    sem_post(&gate.begun);
    wait_for_post(&gate.go_on);
    return *(const int *)arg;
}

static int each_through_gate(void *arg)
{
    return coir_thread_pool_each(pool, pass_gate, arg, 8, sizeof(int));
}

static int await_post(void *arg)
{
    return coir_blocking(wait_for_post, arg);
}

/* Two of eight have begun; they are waited for, the others never begin. */
static int cancel_each(void *arg)
{
    int numbers[8] = {0};
    coir_task task;
    coir_nursery nursery;
    (void)arg;
    make_pool(2);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, each_through_gate, numbers),
                     0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(await_post(&gate.begun), 0);
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_sleep(COIR_MS(5)), 0);
    ck_assert(!coir_task_done(&task));
    for (int i = 0; i < 8; i++)
        sem_post(&gate.go_on);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&task), -ECANCELED);
    ck_assert_int_eq(gate.calls, 2);
    coir_thread_pool_free(pool);
    return 0;
}

START_TEST(each_that_is_cancelled_drops_what_has_not_begun)
{
    sem_init(&gate.begun, 0, 0);
    sem_init(&gate.go_on, 0, 0);
    ck_assert_int_eq(coir_run(cancel_each, NULL), 0);
}
END_TEST

/* All had begun: they succeed, and so does it. */
static int cancel_begun_each(void *arg)
{
    int numbers[8] = {0};
    coir_task task;
    coir_nursery nursery;
    (void)arg;
    make_pool(8);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, each_through_gate, numbers),
                     0);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(await_post(&gate.begun), 0);
    coir_task_cancel(&task);
    for (int i = 0; i < 8; i++)
        sem_post(&gate.go_on);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&task), 0);
    coir_thread_pool_free(pool);
    return 0;
}

START_TEST(each_of_which_all_had_begun_succeeds)
{
    sem_init(&gate.begun, 0, 0);
    sem_init(&gate.go_on, 0, 0);
    ck_assert_int_eq(coir_run(cancel_begun_each, NULL), 0);
}
END_TEST

COIR_SUITE(thread_pools, TEST_WORKERS)
{
    TCase *run = test_case(suite, "run");
    tcase_add_test(run, run_returns_what_the_call_returned);
    tcase_add_test(run, run_outside_a_fiber_is_refused);
    tcase_add_test(run, threads_have_the_name_of_their_pool);
    tcase_add_test(run, pool_serves_one_runtime_after_another);
    tcase_add_test(run, pool_of_the_parent_is_refused_in_a_child);

    TCase *each = test_case(suite, "each");
    tcase_add_test(each, each_visits_every_item_once);
    tcase_add_test(each, each_uses_all_threads_at_once);
    tcase_add_test(each, each_begins_in_order_and_ends_at_the_first_failure);
    tcase_add_test(each, each_that_is_cancelled_drops_what_has_not_begun);
    tcase_add_test(each, each_of_which_all_had_begun_succeeds);
}
