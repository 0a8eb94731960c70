/* test/test_dump_ask.c -- who may ask for a dump, how, and what may fail */
#include "fiber/annotate.h"
#include "test/dumped.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- from where, and what may fail ---- */

static void *take_in_thread(void *done)
{
    take_dump();
    *(_Atomic bool *)done = true;
    return NULL;
}

static int dump_from_thread(void *arg)
{
    coir_nursery nursery;
    pthread_t thread;
    _Atomic bool done = false;
    (void)arg;
    coir_name_set("busy");
    coir_nursery_open(&nursery);
    go(&nursery, sleep_as, "asleep");
    wait_for(1);
    ck_assert_int_eq(pthread_create(&thread, NULL, take_in_thread, &done), 0);
    while (!done) /* without a pause: it must not need one */
        continue;
    pthread_join(thread, NULL);
    line_must_have("fiber 1 'busy' runs", " runs on worker ");
    line_must_have("'asleep'", " waits: sleep");
    return cancel_all(&nursery);
}

START_TEST(any_thread_may_ask_for_a_dump_while_fibers_run)
{
    ck_assert_int_eq(coir_run(dump_from_thread, NULL), 0);
}
END_TEST

static int dump_itself(void *arg)
{
    (void)arg;
    take_dump();
    return 0;
}

START_TEST(dump_without_a_runtime_is_refused)
{
    ck_assert_int_eq(coir_dump(1), -EPERM);
    ck_assert_int_eq(coir_run(dump_itself, NULL), 0);
    ck_assert_int_eq(coir_dump(1), -EPERM);
}
END_TEST

#if !defined(COIR_I_ASAN) && !defined(COIR_I_TSAN)
#    define HAS_SMALL_STACKS
static int dump_from_small_stack(void *arg)
{
    coir_spawn_options small = {.stack_size = 16384};
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    int rc = coir_spawn_with(&nursery, NULL, &small, dump_itself, NULL);
    ck_assert_int_eq(rc, 0);
    return coir_nursery_close(&nursery);
}

START_TEST(dump_from_the_smallest_stack_does_not_overflow_it)
{
    ck_assert_int_eq(coir_run(dump_from_small_stack, NULL), 0);
}
END_TEST
#endif

static int dump_in_fork(void *arg)
{
    int status = 0;
    pid_t child = fork();
    (void)arg;
    if (child == 0)
        _exit(coir_dump(1) == -EPERM ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    return 0;
}

START_TEST(dump_in_the_child_of_a_fork_is_refused)
{
    ck_assert_int_eq(run_workers(1, dump_in_fork, NULL), 0);
}
END_TEST

static int dump_badly(void *arg)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    (void)arg;
    ck_assert_int_eq(coir_dump(-1), -EBADF);
    ck_assert_int_ge(full, 0);
    ck_assert_int_eq(coir_dump(full), -ENOSPC);
    close(full);
    return 0;
}

START_TEST(dump_says_what_writing_failed_of)
{
    ck_assert_int_eq(coir_run(dump_badly, NULL), 0);
}
END_TEST

static void *read_slowly(void *fd)
{
    size_t used = 0;
    ssize_t got;
    while ((got = read(*(int *)fd, text + used, 100)) > 0) {
        used += (size_t)got;
        sched_yield();
    }
    text[used] = '\0';
    return NULL;
}

static int dump_into_pipe(void *arg)
{
    enum { MANY = 200 };
    static coir_task tasks[MANY];
    coir_nursery nursery;
    pthread_t reader;
    int ends[2];
    (void)arg;
    coir_nursery_open(&nursery);
    for (int i = 0; i < MANY; i++) { /* of joiners no two are alike */
        spawn(&nursery, &tasks[i], sleep_as, "x");
        go(&nursery, join_it, &tasks[i]);
    }
    wait_for(2 * MANY);
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    fcntl(ends[0], F_SETFL, 0);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    ck_assert_int_eq(pthread_create(&reader, NULL, read_slowly, &ends[0]), 0);
    ck_assert_int_eq(coir_dump(ends[1]), 0);
    close(ends[1]);
    pthread_join(reader, NULL);
    close(ends[0]);
    ck_assert_uint_gt(strlen(text), 8192);
    ck_assert_uint_eq(count_of("'joiner'"), MANY);
    must_have("coir: end of dump\n");
    return cancel_all(&nursery);
}

START_TEST(dump_into_a_full_pipe_is_whole)
{
    ck_assert_int_eq(coir_run(dump_into_pipe, NULL), 0);
}
END_TEST

#if !defined(COIR_I_ASAN) && !defined(COIR_I_TSAN)
#    define HAS_LIMITS /* under them memory that is refused ends the program */

/* What is left of a heap that may not grow. */
static void use_up_memory(void)
{
    const struct rlimit none = {0, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
    for (size_t size = 1 << 16; size >= 16; size /= 2)
        while (malloc(size))
            continue;
}

static int dump_without_memory(void *arg)
{
    (void)arg;
    use_up_memory();
    int rc = coir_dump(1);
    const struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &any), 0);
    ck_assert_int_eq(rc, -ENOMEM);
    take_dump();
    must_have("coir: end of dump\n");
    return 0;
}

START_TEST(dump_without_memory_is_refused)
{
    ck_assert_int_eq(run_workers(1, dump_without_memory, NULL), 0);
}
END_TEST

#endif

/* ---- the census itself ---- */

static int count_twice(void *arg)
{
    coir_nursery nursery;
    coir_task task;
    coir_i_census first, second;
    (void)arg;
    coir_nursery_open(&nursery);
    spawn(&nursery, &task, sleep_as, "sleeper");
    wait_for(1);
    ck_assert_int_eq(coir_i_census_take(&first), 0);
    ck_assert_int_eq(coir_i_census_take(&second), 0);
    const coir_i_record *a = coir_i_census_find(&first, coir_task_id(&task));
    const coir_i_record *b = coir_i_census_find(&second, coir_task_id(&task));
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_nonnull(b);
    ck_assert_int_eq(a->doing, COIR_I_DOES_WAIT);
    ck_assert_uint_eq(a->seq, b->seq);
    ck_assert_str_eq(a->name, "sleeper");
    ck_assert_ptr_nonnull(coir_i_census_find(&first, coir_id()));
    ck_assert_ptr_null(coir_i_census_find(&first, 123456789));
    coir_i_census_drop(&first);
    coir_i_census_drop(&second);
    return cancel_all(&nursery);
}

START_TEST(a_census_twice_shows_who_has_not_gone_on)
{
    ck_assert_int_eq(coir_run(count_twice, NULL), 0);
}
END_TEST

/* ---- SIGQUIT ---- */

/* Standard error becomes the pipe's one end; the other comes back. */
static int redirect_errors(void)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    return ends[0];
}

static void read_dump_of(int fd)
{
    size_t used = 0;
    text[0] = '\0';
    while (!strstr(text, "coir: end of dump\n")) {
        ssize_t got = coir_read(fd, text + used, 1000);
        ck_assert_int_gt(got, 0);
        used += (size_t)got;
        text[used] = '\0';
    }
}

/* To whichever thread takes it. TSan keeps it until that thread does something:
 * so there it has to be ours. */
static void send_quit(void)
{
#ifdef COIR_I_TSAN
    ck_assert_int_eq(raise(SIGQUIT), 0);
#else
    ck_assert_int_eq(kill(getpid(), SIGQUIT), 0);
#endif
}

static int quit_twice(void *arg)
{
    int errors = redirect_errors();
    (void)arg;
    coir_name_set("survivor");
    for (int i = 0; i < 2; i++) {
        send_quit();
        read_dump_of(errors);
        must_have("coir: SIGQUIT\n");
        must_have("'survivor'");
    }
    close(errors);
    return 0;
}

static void heed_quit(int signal)
{
    (void)signal;
}

static int quit_in_a_run(void *arg)
{
    struct sigaction before = {.sa_handler = heed_quit}, after;
    (void)arg;
    setenv("COIR_DUMP", "1", 1);
    sigaction(SIGQUIT, &before, NULL);
    int rc = coir_run(quit_twice, NULL);
    sigaction(SIGQUIT, NULL, &after);
    return rc == 0 && after.sa_handler == heed_quit ? 0 : 1;
}

START_TEST(sigquit_makes_a_dump_and_the_program_goes_on)
{
    test_survives(NULL, quit_in_a_run, NULL);
}
END_TEST

static int take_quit(void *arg)
{
    struct sigaction ours = {.sa_handler = heed_quit};
    (void)arg;
    return sigaction(SIGQUIT, &ours, NULL);
}

static int take_quit_in_a_run(void *arg)
{
    struct sigaction after;
    (void)arg;
    setenv("COIR_DUMP", "1", 1);
    int rc = coir_run(take_quit, NULL);
    sigaction(SIGQUIT, NULL, &after);
    return rc == 0 && after.sa_handler == heed_quit ? 0 : 1;
}

START_TEST(sigquit_stays_with_whoever_has_taken_it_meanwhile)
{
    test_survives(NULL, take_quit_in_a_run, NULL);
}
END_TEST

static int quit_itself(void *arg)
{
    (void)arg;
    kill(getpid(), SIGQUIT);
    return coir_sleep(LONG);
}

static int quit_unasked(void *is_set)
{
    if (is_set)
        setenv("COIR_DUMP", "", 1);
    else
        unsetenv("COIR_DUMP");
    return coir_run(quit_itself, NULL);
}

START_TEST(sigquit_ends_the_program_where_no_dump_is_wanted)
{
    int is_set = 1;
    test_dies(SIGQUIT, "", quit_unasked, NULL);
    test_dies(SIGQUIT, "", quit_unasked, &is_set);
}
END_TEST

static int quit_in_fork(void *arg)
{
    int status = 0;
    pid_t child = fork();
    (void)arg;
    if (child == 0) {
        kill(getpid(), SIGQUIT);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT ? 0 : 1;
}

static int quit_in_fork_of_run(void *arg)
{
    (void)arg;
    setenv("COIR_DUMP", "1", 1);
    return coir_run(quit_in_fork, NULL);
}

START_TEST(sigquit_does_in_the_child_of_a_fork_what_it_did_before)
{
    test_survives(NULL, quit_in_fork_of_run, NULL);
}
END_TEST

COIR_SUITE(dump_ask, TEST_WORKERS)
{
    TCase *asked = test_case(suite, "asked");
    tcase_add_test(asked, any_thread_may_ask_for_a_dump_while_fibers_run);
    tcase_add_test(asked, dump_without_a_runtime_is_refused);
    tcase_add_test(asked, dump_in_the_child_of_a_fork_is_refused);
#ifdef HAS_SMALL_STACKS
    tcase_add_test(asked, dump_from_the_smallest_stack_does_not_overflow_it);
#endif
    tcase_add_test(asked, dump_says_what_writing_failed_of);
    tcase_add_test(asked, dump_into_a_full_pipe_is_whole);
    tcase_add_test(asked, a_census_twice_shows_who_has_not_gone_on);

#ifdef HAS_LIMITS
    TCase *limits = test_case(suite, "out of memory");
    tcase_set_tags(limits, "limits");
    tcase_add_test(limits, dump_without_memory_is_refused);
#endif

    TCase *quit = test_case(suite, "sigquit");
    tcase_add_test(quit, sigquit_makes_a_dump_and_the_program_goes_on);
    tcase_add_test(quit, sigquit_stays_with_whoever_has_taken_it_meanwhile);
    tcase_add_test(quit, sigquit_ends_the_program_where_no_dump_is_wanted);
    tcase_add_test(quit,
                   sigquit_does_in_the_child_of_a_fork_what_it_did_before);
}
