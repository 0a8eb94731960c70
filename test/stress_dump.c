/* test/stress_dump.c -- a program at full load is dumped over and over
 *
 * Fibers start and end, wait and are cancelled, rename themselves, run on the
 * stacks of their openers, while threads and fibers ask for dumps. Nothing is
 * lost by it: every fiber ends as it would have, every byte and every turn
 * arrives, and every dump is whole. */
#include <coir.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHURNS = 24, PAIRS = 4, DUMPS = 1000 };

static _Atomic bool over;
static _Atomic uint64_t started, ended, dumps;
static _Atomic uint64_t sent, received;
static coir_mutex mutex;
static uint64_t turns, turns_taken; /* under the mutex */

static void take_name(uint64_t *state)
{
    char name[COIR_NAME_MAX];
    uint64_t length = test_random_below(state, sizeof name);
    memset(name, 'a' + (int)test_random_below(state, 26), sizeof name);
    name[length] = '\0';
    coir_name_set(name);
}

/* Who never waits is in no tree. */
static int compute(uint64_t *state)
{
    uint64_t sum = 0;
    for (uint64_t i = test_random_below(state, 2000); i > 0; i--)
        sum += test_random(state);
    must_not(sum == 1);
    return 0;
}

/* 0 or -ECANCELED. */
static int wait_somehow(uint64_t *state)
{
    coir_scope limit;
    int rc;
    switch (test_random_below(state, 5)) {
    case 4:
        return compute(state);
    case 0:
        return coir_yield();
    case 1:
        return coir_sleep((coir_time)test_random_below(state, 100000));
    case 2:
        coir_timeout_open(&limit, COIR_US(50));
        rc = coir_scope_close(&limit, coir_sleep(COIR_NEVER));
        must_not(rc == 0);
        return rc == -ETIMEDOUT ? 0 : rc;
    default:
        rc = coir_mutex_lock(&mutex);
        if (rc < 0)
            return rc;
        turns++;
        if (test_random_below(state, 8) == 0)
            rc = coir_yield();
        turns_taken++;
        must_not(turns != turns_taken);
        coir_mutex_unlock(&mutex);
        return rc;
    }
}

struct child {
    uint64_t state;
    int depth;
};

static int live(void *arg);

static int start_some(coir_nursery *nursery, struct child *parent)
{
    uint64_t count = test_random_below(&parent->state, 5);
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        struct child child = {test_random(&parent->state), parent->depth - 1};
        coir_spawn_options own = {.copy = sizeof child};
        if (test_random_below(&parent->state, 4) == 0)
            own.stack_size = 64 << 10; /* which is unmapped when it ends */
        rc = coir_spawn_with(nursery, NULL, &own, live, &child);
        started += rc == 0;
    }
    return rc;
}

static int join_one(struct child *self)
{
    coir_nursery nursery;
    coir_task task;
    struct child child = {test_random(&self->state), self->depth - 1};
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &task, live, &child);
    started += rc == 0;
    if (rc == 0 && test_random_below(&self->state, 2))
        coir_task_cancel(&task);
    if (rc == 0)
        rc = coir_join(&task, NULL);
    return coir_nursery_close_with(&nursery, rc);
}

static int live(void *arg)
{
    struct child *self = arg;
    coir_nursery nursery;
    int rc = 0;
    if (test_random_below(&self->state, 2))
        take_name(&self->state);
    if (self->depth > 0 && test_random_below(&self->state, 4) == 0) {
        rc = join_one(self);
    } else if (self->depth > 0) {
        coir_nursery_open(&nursery);
        rc = start_some(&nursery, self);
        if (rc == 0)
            rc = wait_somehow(&self->state);
        if (test_random_below(&self->state, 4) == 0)
            coir_nursery_cancel(&nursery);
        rc = coir_nursery_close_with(&nursery, rc);
    } else {
        rc = wait_somehow(&self->state);
    }
    must_not(rc != 0 && rc != -ECANCELED);
    ended++;
    return rc;
}

static int churn(void *salt)
{
    struct child root = {test_seed(*(int *)salt), 3};
    while (!over) {
        coir_nursery nursery;
        coir_nursery_open(&nursery);
        int rc = start_some(&nursery, &root);
        rc = coir_nursery_close_with(&nursery, rc);
        must_not(rc != 0 && rc != -ECANCELED);
        must_not(coir_yield() != 0);
    }
    return 0;
}

/* ---- bytes from hand to hand ---- */

static int feed(void *fd)
{
    for (unsigned char byte = 0; !over; byte++) {
        must_not(coir_write(*(int *)fd, &byte, 1) != 1);
        sent++;
    }
    return close(*(int *)fd);
}

static int drain(void *fd)
{
    unsigned char byte, expected = 0;
    ssize_t got;
    while ((got = coir_read(*(int *)fd, &byte, 1)) == 1) {
        must_not(byte != expected++);
        received++;
    }
    must_not(got != 0);
    return close(*(int *)fd);
}

/* ---- dumps ---- */

struct reader {
    int fd;
    uint64_t ends; /* of dumps that came */
};

static void *read_dumps(void *arg)
{
    static const char end[] = "coir: end of dump\n";
    struct reader *reader = arg;
    size_t fits = 0;
    char bytes[4096];
    ssize_t got;
    while ((got = read(reader->fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            fits = bytes[i] == end[fits] ? fits + 1 : bytes[i] == end[0];
            if (!end[fits]) {
                reader->ends++;
                fits = 0;
            }
        }
    }
    return NULL;
}

static void *dump_into(void *fd)
{
    struct stress_clock clock = stress_clock_start();
    uint64_t enough = test_scaled(DUMPS);
    while (dumps < enough || stress_goes_on(&clock)) {
        must_not(coir_dump(*(int *)fd) != 0);
        dumps++;
    }
    return NULL;
}

static int dump_in_fiber(void *fd)
{
    while (!over) {
        must_not(coir_dump(*(int *)fd) != 0);
        must_not(coir_sleep(COIR_MS(5)) != 0);
    }
    return 0;
}

struct load {
    int pipes[PAIRS][2], salts[CHURNS];
    int null, dumps[2];
};

static int start_load(coir_nursery *nursery, struct load *load)
{
    int rc = 0;
    for (int i = 0; i < CHURNS; i++) {
        load->salts[i] = i;
        rc |= coir_go(nursery, churn, &load->salts[i]);
    }
    for (int i = 0; i < PAIRS; i++) {
        rc |= pipe2(load->pipes[i], O_CLOEXEC);
        rc |= coir_go(nursery, feed, &load->pipes[i][1]);
        rc |= coir_go(nursery, drain, &load->pipes[i][0]);
    }
    return rc | coir_go(nursery, dump_in_fiber, &load->null);
}

static int wait_for_thread(void *thread)
{
    return pthread_join(*(pthread_t *)thread, NULL);
}

static int dump_under_load(void *arg)
{
    struct load load = {.null = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    pthread_t thread, into_pipe, reading;
    coir_nursery nursery;
    (void)arg;
    over = false;
    must_not(pipe2(load.dumps, O_CLOEXEC) != 0);
    struct reader reader = {.fd = load.dumps[0]};
    coir_nursery_open(&nursery);
    must_not(start_load(&nursery, &load) != 0);
    must_not(pthread_create(&reading, NULL, read_dumps, &reader) != 0);
    must_not(pthread_create(&thread, NULL, dump_into, &load.null) != 0);
    must_not(pthread_create(&into_pipe, NULL, dump_into, &load.dumps[1]) != 0);
    must_not(coir_blocking(wait_for_thread, &thread) != 0);
    must_not(coir_blocking(wait_for_thread, &into_pipe) != 0);
    over = true;
    int rc = coir_nursery_close(&nursery);
    close(load.dumps[1]);
    pthread_join(reading, NULL);
    close(load.dumps[0]);
    close(load.null);
    must_not(reader.ends == 0);
    return rc;
}

START_TEST(a_program_at_full_load_goes_on_while_it_is_dumped)
{
    ck_assert_int_eq(coir_run(dump_under_load, NULL), 0);
    ck_assert_uint_gt(started, 0);
    ck_assert_uint_eq(started, ended);
    ck_assert_uint_eq(sent, received);
    ck_assert_uint_eq(turns, turns_taken);
    ck_assert_uint_ge(dumps, test_scaled(DUMPS));
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(stress_dump, TEST_WORKERS | TEST_STRESS)
{
    TCase *load = test_case(suite, "full load");
    tcase_add_test(load, a_program_at_full_load_goes_on_while_it_is_dumped);
}
