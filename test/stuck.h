/* test/stuck.h -- fibers that block or compute, and the rest of the program
 *
 * As many fibers as there are workers get stuck at once, each until the others
 * have done what a test is about: so no test would end if nobody stood in for
 * the workers that they keep. Each is run with fibers that block in read(2) and
 * with fibers that compute. */
#ifndef COIR_TEST_STUCK_H
#define COIR_TEST_STUCK_H

#include <coir.h>

#include "test/harness.h"

#include <errno.h>
#include <unistd.h>

enum { BLOCKS, COMPUTES, KINDS };

static struct {
    int kind, count;
    int pipe[2];
    _Atomic int begun, ended;
    _Atomic bool released;
} stuck;

static inline void make_stuck(int kind, int count)
{
    stuck.kind = kind;
    stuck.count = count;
    stuck.begun = stuck.ended = 0;
    stuck.released = false;
    ck_assert_int_eq(pipe(stuck.pipe), 0);
}

static inline void drop_stuck(void)
{
    ck_assert_int_eq(stuck.ended, stuck.count);
    close(stuck.pipe[0]);
    close(stuck.pipe[1]);
}

/* No call to coir. */
static inline int be_stuck(void *arg)
{
    char byte;
    ssize_t n = 1;
    (void)arg;
    stuck.begun++;
    if (stuck.kind == BLOCKS)
        n = read(stuck.pipe[0], &byte, 1);
    while (!stuck.released)
        ;
    stuck.ended++;
    return n == 1 ? 0 : -EIO;
}

static inline int release(int rc)
{
    char bytes[256] = {0};
    stuck.released = true;
    for (int left = stuck.count; stuck.kind == BLOCKS && left > 0;) {
        size_t some = left < 256 ? (size_t)left : 256;
        ssize_t n = write(stuck.pipe[1], bytes, some);
        if (n < 0)
            return -errno;
        left -= (int)n;
    }
    return rc;
}

static inline int go_stuck(coir_nursery *nursery)
{
    int rc = 0;
    for (int i = 0; i < stuck.count && rc == 0; i++)
        rc = coir_go(nursery, be_stuck, NULL);
    return rc;
}

/* Beside fibers that stay stuck until it has ended. */
struct other {
    coir_fn *body;
    void *arg;
};

static inline int run_other(void *arg)
{
    const struct other *other = arg;
    int rc = 0;
    while (stuck.begun < stuck.count && rc == 0)
        rc = coir_yield();
    if (rc == 0)
        rc = other->body(other->arg);
    return release(rc);
}

static inline int run_beside_stuck(void *other)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = go_stuck(&nursery);
    if (rc == 0)
        rc = coir_go(&nursery, run_other, other);
    return coir_nursery_close_with(&nursery, rc);
}

static inline void run_beside(int kind, coir_fn *body, void *arg)
{
    struct other other = {body, arg};
    make_stuck(kind, (int)test_workers());
    ck_assert_int_eq(coir_run(run_beside_stuck, &other), 0);
    drop_stuck();
}

/* The others, for a while. */
enum { ROUNDS = 20 };

static inline int sleep_often(void *arg)
{
    int rc = 0;
    (void)arg;
    for (int i = 0; i < ROUNDS && rc == 0; i++)
        rc = coir_sleep(COIR_MS(1));
    return rc;
}

#endif
