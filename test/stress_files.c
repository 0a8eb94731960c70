/* test/stress_files.c -- random opens, reads and writes, many of them cancelled
 *
 * No descriptor is lost, and every byte is what was written there last. */
#include <coir/files.h>
#include <coir/io.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIBERS = 10, STEPS = 40, BLOCK = 3000, BLOCKS = 8 };

static char path[64];

/* A fiber has a piece of the file to itself. */
struct user {
    uint64_t id, random;
    char bytes[BLOCKS][BLOCK]; /* what its piece must be */
    bool known[BLOCKS];        /* false: a write was cancelled half-way */
};

static off_t place(const struct user *me, int block)
{
    return (off_t)(me->id * BLOCKS + (uint64_t)block) * BLOCK;
}

static void write_block(struct user *me, int fd, int block)
{
    char *bytes = me->bytes[block];
    memset(bytes, (int)test_random_below(&me->random, 256), BLOCK);
    ssize_t n = coir_pwrite(fd, bytes, BLOCK, place(me, block));
    must_not(n != BLOCK && n != -ECANCELED);
    if (n < 0) /* it never began */
        me->known[block] = false;
    else
        me->known[block] = true;
}

static void read_block(struct user *me, int fd, int block)
{
    char bytes[BLOCK];
    ssize_t n = coir_pread(fd, bytes, BLOCK, place(me, block));
    must_not(n < 0 && n != -ECANCELED);
    must_not(n == BLOCK && me->known[block] &&
             memcmp(bytes, me->bytes[block], BLOCK) != 0);
}

static void take_step(struct user *me, int fd)
{
    int block = (int)test_random_below(&me->random, BLOCKS);
    switch (test_random_below(&me->random, 4)) {
    case 0:
        write_block(me, fd, block);
        break;
    case 1:
        must_not(coir_fsync(fd) > 0);
        break;
    default:
        read_block(me, fd, block);
        break;
    }
}

static int use_file(void *arg)
{
    struct user *me = arg;
    for (int i = 0; i < STEPS; i++) {
        coir_scope scope;
        coir_time length = COIR_NEVER;
        if (test_random_below(&me->random, 2))
            length = (coir_time)test_random_below(&me->random, 100000);
        coir_timeout_open(&scope, length);
        int fd = coir_open(path, O_RDWR, 0);
        must_not(fd < 0 && fd != -ECANCELED);
        if (fd >= 0) {
            take_step(me, fd);
            must_not(coir_close(fd) != 0);
        }
        COIR_IGNORE(coir_scope_close(&scope, 0));
    }
    return 0;
}

static int use_file_together(void *arg)
{
    struct user *users = calloc(FIBERS, sizeof *users);
    if (!users)
        return -ENOMEM;
    for (uint64_t i = 0; i < FIBERS; i++) {
        users[i].id = i;
        users[i].random = test_seed(*(uint64_t *)arg + i);
    }
    int rc = coir_each(use_file, users, FIBERS, sizeof *users, 0);
    free(users);
    return rc;
}

START_TEST(files_keep_what_was_written)
{
    struct stress_clock clock = stress_clock_start();
    uint64_t round = 0;
    snprintf(path, sizeof path, "/tmp/coir-stress-%d", (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    do {
        ck_assert_int_eq(coir_run(use_file_together, &round), 0);
        round += FIBERS;
    } while (stress_goes_on(&clock));
    unlink(path);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(stress_files, TEST_WORKERS | TEST_STRESS)
{
    TCase *files = test_case(suite, "files");
    tcase_add_test(files, files_keep_what_was_written);
}
