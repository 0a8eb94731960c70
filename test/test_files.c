/* test/test_files.c -- coir_open, coir_pread, coir_pwrite, coir_fsync */
#include <coir/fiber.h>
#include <coir/files.h>
#include <coir/io.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/stats.h>
#include <coir/task.h>
#include <coir/threads.h>
#include <coir/time.h>

#include "test/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[32], path[64], fifo[64];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/coir-files-%d", (int)getpid());
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
}

static void remove_folder(void)
{
    unlink(path);
    unlink(fifo);
    rmdir(folder);
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(coir_run(body, NULL), 0);
}

/* ---- Results ---- */

static int write_and_read(void *arg)
{
    char text[32] = "";
    struct stat status;
    (void)arg;
    int fd = coir_open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_eq(status.st_mode & 0777, 0640);
    ck_assert_int_eq(coir_pwrite(fd, "from here to there", 18, 100), 18);
    ck_assert_int_eq(coir_fsync(fd), 0);
    ck_assert_int_eq(coir_pread(fd, text, sizeof text, 105), 13);
    ck_assert_str_eq(text, "here to there");
    ck_assert_int_eq(coir_pread(fd, text, sizeof text, 98), 20);
    ck_assert_mem_eq(text, "\0\0from here", 11);
    ck_assert_int_eq(coir_pread(fd, text, sizeof text, 118), 0);
    ck_assert_int_eq(coir_pread(fd, text, sizeof text, 5000), 0);
    ck_assert_int_eq(coir_pread(fd, text, 0, 0), 0);
    ck_assert_int_eq(coir_pwrite(fd, text, 0, 0), 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
    return coir_close(fd);
}

START_TEST(file_gives_back_what_was_written)
{
    umask(0);
    run_body(write_and_read);
}
END_TEST

static int fail_in_all_ways(void *arg)
{
    char text[8] = "", longest[PATH_MAX + 10];
    int ends[2];
    (void)arg;
    ck_assert_int_eq(coir_open("/no/such/file", O_RDONLY, 0), -ENOENT);
    ck_assert_int_eq(coir_open(folder, O_WRONLY, 0), -EISDIR);
    ck_assert_int_eq(coir_open(NULL, O_RDONLY, 0), -EFAULT);
    memset(longest, '/', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    ck_assert_int_eq(coir_open(longest, O_RDONLY, 0), -ENAMETOOLONG);
    ck_assert_int_eq(coir_pread(-1, text, sizeof text, 0), -EBADF);
    ck_assert_int_eq(coir_pwrite(-1, text, sizeof text, 0), -EBADF);
    ck_assert_int_eq(coir_fsync(-1), -EBADF);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(coir_pread(ends[0], text, sizeof text, 0), -ESPIPE);
    ck_assert_int_eq(coir_pwrite(ends[1], text, sizeof text, 0), -ESPIPE);
    ck_assert_int_eq(coir_fsync(ends[0]), -EINVAL);
    close(ends[0]);
    close(ends[1]);
    int fd = coir_open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(coir_pwrite(fd, "x", 1, 0), 1);
    ck_assert_int_eq(coir_pread(fd, text, 1, 0), -EBADF);
    ck_assert_int_eq(coir_pwrite(fd, "x", 1, -1), -EINVAL);
    return coir_close(fd);
}

START_TEST(file_fails_as_the_system_calls_do)
{
    run_body(fail_in_all_ways);
}
END_TEST

START_TEST(file_outside_a_fiber_is_refused)
{
    char byte;
    ck_assert_int_eq(coir_open("/dev/null", O_RDONLY, 0), -EPERM);
    ck_assert_int_eq(coir_pread(0, &byte, 1, 0), -EPERM);
    ck_assert_int_eq(coir_pwrite(1, &byte, 1, 0), -EPERM);
    ck_assert_int_eq(coir_fsync(1), -EPERM);
}
END_TEST

/* /proc cannot be asked for what is in memory. */
static int read_from_proc(void *arg)
{
    char text[64] = "";
    (void)arg;
    int fd = coir_open("/proc/sys/kernel/ostype", O_RDONLY, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(coir_pread(fd, text, sizeof text, 0), 6);
    ck_assert_str_eq(text, "Linux\n");
    ck_assert_int_eq(coir_pread(fd, text, sizeof text, 2), 4);
    return coir_close(fd);
}

START_TEST(file_that_is_never_in_memory_is_read)
{
    run_body(read_from_proc);
}
END_TEST

static uint64_t count_calls(void)
{
    coir_stats stats;
    coir_stats_get(&stats);
    return stats.blocking_calls;
}

static int read_cached(void *arg)
{
    char text[16] = "";
    (void)arg;
    int fd = coir_open(path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(coir_pwrite(fd, "in memory", 9, 0), 9);
    uint64_t before = count_calls();
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(coir_pread(fd, text, sizeof text, 0), 9);
    ck_assert_uint_eq(count_calls(), before);
    return coir_close(fd);
}

START_TEST(file_in_memory_is_read_at_once)
{
    run_body(read_cached);
}
END_TEST

/* ---- Cancelling ---- */

static int use_all(void *arg)
{
    char byte = 0;
    int fd = *(int *)arg;
    ck_assert_int_eq(coir_open(path, O_RDWR | O_CREAT, 0600), -ECANCELED);
    ck_assert_int_eq(coir_pread(fd, &byte, 1, 0), -ECANCELED);
    ck_assert_int_eq(coir_pwrite(fd, &byte, 1, 0), -ECANCELED);
    ck_assert_int_eq(coir_fsync(fd), -ECANCELED);
    return -ECANCELED;
}

static int use_in_cancelled_scope(void *arg)
{
    coir_scope scope;
    int fd = coir_open(path, O_RDWR | O_CREAT, 0600);
    (void)arg;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(path), 0);
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    int rc = use_all(&fd);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ECANCELED);
    ck_assert_int_lt(access(path, F_OK), 0);
    return coir_close(fd);
}

START_TEST(file_in_a_cancelled_scope_is_left_alone)
{
    run_body(use_in_cancelled_scope);
}
END_TEST

/* Nobody writes to the pipe, so it is not opened before it is cancelled. */
static int open_fifo(void *arg)
{
    (void)arg;
    return coir_open(fifo, O_RDONLY, 0);
}

static int cancel_open(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(coir_timeout(COIR_US(i * 10.0), open_fifo, NULL),
                         -ETIMEDOUT);
    return 0;
}

/* More than there are threads, so none may have been lost to one that waits for
 * ever; and none is left when the run has ended. */
START_TEST(open_that_is_cancelled_returns_at_once)
{
    run_body(cancel_open);
}
END_TEST

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* The pipe is opened for writing when the caller has just gone, or is about to.
 * Who comes first gets the other end, and closes it. */
static int race_with_open(void *arg)
{
    uint64_t random = test_seed(1);
    unsigned before = count_descriptors();
    int wrong = 0;
    (void)arg;
    for (uint64_t i = 0; i < test_scaled(500); i++) {
        coir_scope scope;
        coir_time moment = (coir_time)test_random_below(&random, 200000);
        coir_timeout_open(&scope, moment);
        int fd = coir_open(fifo, O_RDONLY, 0);
        wrong += fd < 0 && fd != -ECANCELED;
        int writer = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        int rc = coir_scope_close(&scope, fd < 0 ? fd : 0);
        wrong += rc != 0 && rc != -ETIMEDOUT;
        if (writer >= 0)
            close(writer);
        if (fd >= 0)
            wrong += coir_close(fd) < 0;
    }
    /* Those left behind close what they have opened when they can. */
    while (count_descriptors() > before)
        ck_assert_int_eq(coir_sleep(COIR_MS(1)), 0);
    ck_assert_int_eq(wrong, 0);
    return 0;
}

START_TEST(open_that_is_left_behind_closes_what_it_opened)
{
    run_body(race_with_open);
}
END_TEST

/* ---- Beside others ---- */

static int wait_for_post(void *arg)
{
    while (sem_wait(arg) < 0) {
    }
    return 0;
}

static int call_wait_for_post(void *arg)
{
    return coir_blocking(wait_for_post, arg);
}

static int use_files_beside(void *arg)
{
    sem_t sem;
    coir_nursery nursery;
    sem_init(&sem, 0, 0);
    coir_nursery_open(&nursery);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(coir_go(&nursery, call_wait_for_post, &sem), 0);
    ck_assert_int_eq(coir_sleep(COIR_MS(2)), 0);
    ck_assert_int_eq(write_and_read(arg), 0);
    sem_post(&sem);
    sem_post(&sem);
    int rc = coir_nursery_close(&nursery);
    sem_destroy(&sem);
    return rc;
}

START_TEST(file_does_not_wait_for_blocking_calls)
{
    const coir_config config = {.blocking_threads = 1};
    umask(0);
    ck_assert_int_eq(coir_run_with(&config, use_files_beside, NULL), 0);
}
END_TEST

static int use_in_child(void *arg)
{
    int status = -1, null = coir_open("/dev/null", O_RDONLY, 0);
    (void)arg;
    ck_assert_int_ge(null, 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(coir_open(path, O_RDWR | O_CREAT, 0600) == -EPERM &&
                      coir_fsync(null) == -EPERM
                  ? coir_run(write_and_read, NULL)
                  : 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    return coir_close(null);
}

/* The locks of ASan's own allocator may be held by another thread at a fork,
 * and stay so in the child. */
#ifdef __SANITIZE_ADDRESS__
enum { CAN_FORK = false };
#else
enum { CAN_FORK = true };
#endif

START_TEST(file_in_a_child_needs_a_runtime_of_its_own)
{
    if (!CAN_FORK)
        return;
    umask(0);
    run_body(use_in_child);
}
END_TEST

/* ---- The end ---- */

static int leave_open_behind(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(coir_go(&nursery, open_fifo, NULL), 0);
    ck_assert_int_eq(coir_sleep(COIR_MS(5)), 0);
    coir_nursery_cancel(&nursery);
    return coir_nursery_close(&nursery);
}

/* What is left behind is interrupted: the harness finds no thread. */
START_TEST(runtime_ends_though_an_open_was_left_behind)
{
    for (int i = 0; i < 3; i++)
        run_body(leave_open_behind);
}
END_TEST

COIR_SUITE(files, TEST_WORKERS)
{
    TCase *result = test_case(suite, "result");
    TCase *cancel = test_case(suite, "cancel");
    TCase *beside = test_case(suite, "beside");
    TCase *const all[] = {result, cancel, beside};
    for (int i = 0; i < 3; i++)
        tcase_add_checked_fixture(all[i], make_folder, remove_folder);

    tcase_add_test(result, file_gives_back_what_was_written);
    tcase_add_test(result, file_fails_as_the_system_calls_do);
    tcase_add_test(result, file_outside_a_fiber_is_refused);
    tcase_add_test(result, file_that_is_never_in_memory_is_read);
    tcase_add_test(result, file_in_memory_is_read_at_once);

    tcase_add_test(cancel, file_in_a_cancelled_scope_is_left_alone);
    tcase_add_test(cancel, open_that_is_cancelled_returns_at_once);
    tcase_add_test(cancel, open_that_is_left_behind_closes_what_it_opened);
    tcase_add_test(cancel, runtime_ends_though_an_open_was_left_behind);

    tcase_add_test(beside, file_does_not_wait_for_blocking_calls);
    tcase_add_test(beside, file_in_a_child_needs_a_runtime_of_its_own);
}
