/* test/test_circle.c -- fibers that wait for each other's locks are reported
 *
 * What goes to standard error is read back while the program runs on. */
#include <coir.h>

#include "test/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- standard error ---- */

static FILE *report;
static char text[1 << 16];

static void capture(void)
{
    fflush(stderr);
    report = tmpfile();
    ck_assert_ptr_nonnull(report);
    ck_assert_int_ge(dup2(fileno(report), STDERR_FILENO), 0);
}

/* How often `part` has been written. */
static int written(const char *part)
{
    int count = 0;
    ssize_t size = pread(fileno(report), text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static int circles(void)
{
    return written("coir: fibers wait for each other in a circle: ");
}

/* From a fiber: until so many reports are complete. */
static int await_reports(int count)
{
    int rc = 0;
    while (rc == 0 && (circles() < count || written("end of dump") < count))
        rc = coir_sleep(COIR_MS(10));
    return rc;
}

/* Run body, which returns 0, with standard error read back. How many circles
 * were reported. */
static int run_with(unsigned workers, coir_fn *body)
{
    capture();
    int rc = run_workers(workers, body, NULL), count = circles();
    fclose(report);
    ck_assert_int_eq(rc, 0);
    return count;
}

static int run(coir_fn *body)
{
    return run_with(test_workers(), body);
}

/* ---- circles ---- */

enum { LOCKS = 3 };
static coir_mutex locks[LOCKS];
static _Atomic int locked; /* how many have their first lock */

struct wish {
    const char *name;
    int has, wants, of; /* locks; how many wishers there are */
};

static int wish(void *arg)
{
    const struct wish *w = arg;
    coir_name_set(w->name);
    int rc = coir_mutex_lock(&locks[w->has]);
    if (rc < 0)
        return rc;
    locked++;
    while (rc == 0 && locked < w->of)
        rc = coir_yield();
    if (rc == 0 && (rc = coir_mutex_lock(&locks[w->wants])) == 0)
        coir_mutex_unlock(&locks[w->wants]);
    coir_mutex_unlock(&locks[w->has]);
    return rc;
}

static struct wish two[] = {{"left", 0, 1, 2}, {"right", 1, 0, 2}};
static struct wish three[] = {
    {"one", 0, 1, 3}, {"two", 1, 2, 3}, {"three", 2, 0, 3}};

/* Start them, and cancel them once there are `count` reports, or later. */
static int run_wishes(struct wish *wishes, int size, int count, coir_time more)
{
    coir_nursery n;
    int rc = 0;
    locked = 0;
    coir_nursery_open(&n);
    for (int i = 0; i < size && rc == 0; i++)
        rc = coir_go(&n, wish, &wishes[i]);
    if (rc == 0)
        rc = await_reports(count);
    if (rc == 0)
        rc = coir_sleep(more);
    coir_nursery_cancel(&n);
    int end = coir_nursery_close(&n);
    return rc < 0 ? rc : end;
}

static int wish_crosswise(void *arg)
{
    (void)arg;
    return run_wishes(two, 2, 1, 0);
}

START_TEST(two_are_reported_with_their_names)
{
    ck_assert_int_eq(run(wish_crosswise), 1);
    ck_assert_ptr_nonnull(strstr(text, " 'left' waits for mutex 0x"));
    ck_assert_ptr_nonnull(strstr(text, " held by fiber "));
    ck_assert_ptr_nonnull(strstr(text, " 'right', which waits for mutex 0x"));
    ck_assert_ptr_nonnull(strstr(text, "coir: end of dump"));
}
END_TEST

static int wish_in_a_ring(void *arg)
{
    (void)arg;
    return run_wishes(three, 3, 1, 0);
}

/* Of the names 'one', 'two', 'three' in the report, which comes first. */
static int next_name(const char **at)
{
    int number = 0;
    while (number == 0 && (*at = strchr(*at, '\'')) != NULL) {
        for (int i = 0; i < 3; i++)
            if (strncmp(*at + 1, three[i].name, strlen(three[i].name)) == 0)
                number = i + 1;
        ++*at;
    }
    return number;
}

/* It may begin with any of them, and ends with the same. */
START_TEST(three_are_reported_in_order)
{
    ck_assert_int_eq(run(wish_in_a_ring), 1);
    const char *at = strstr(text, "in a circle: ");
    int first = next_name(&at);
    ck_assert_int_ne(first, 0);
    for (int i = 0, before = first; i < 3; i++) {
        int name = next_name(&at);
        ck_assert_int_eq(name, before % 3 + 1);
        before = name;
    }
}
END_TEST

static int stay_in_one(void *arg)
{
    (void)arg;
    return run_wishes(two, 2, 1, COIR_MS(1600));
}

START_TEST(circle_is_reported_once)
{
    ck_assert_int_eq(run(stay_in_one), 1);
}
END_TEST

static int wish_twice(void *arg)
{
    int rc = wish_crosswise(arg);
    return rc < 0 ? rc : run_wishes(two, 2, 2, 0);
}

START_TEST(same_locks_in_another_circle_are_reported_again)
{
    ck_assert_int_eq(run(wish_twice), 2);
}
END_TEST

/* ---- other locks than a mutex ---- */

static coir_task joined;

static int lock_what_joiner_has(void *arg)
{
    (void)arg;
    int rc = coir_mutex_lock(&locks[0]);
    if (rc == 0)
        coir_mutex_unlock(&locks[0]);
    return rc;
}

static int join_with_lock(void *arg)
{
    int result;
    (void)arg;
    int rc = coir_mutex_lock(&locks[0]);
    if (rc < 0)
        return rc;
    locked = 1;
    rc = coir_join(&joined, &result);
    coir_mutex_unlock(&locks[0]);
    return rc;
}

static int join_who_wants_the_lock(void *arg)
{
    coir_nursery n;
    coir_nursery_open(&n);
    int rc = coir_go(&n, join_with_lock, arg);
    while (rc == 0 && !locked)
        rc = coir_sleep(COIR_MS(1));
    if (rc == 0)
        rc = coir_spawn(&n, &joined, lock_what_joiner_has, arg);
    if (rc == 0)
        rc = await_reports(1);
    coir_nursery_cancel(&n);
    int end = coir_nursery_close(&n);
    return rc < 0 ? rc : end;
}

START_TEST(join_counts_as_a_lock_of_the_joined)
{
    ck_assert_int_eq(run(join_who_wants_the_lock), 1);
    ck_assert_ptr_nonnull(strstr(text, " waits for task 0x"));
    ck_assert_ptr_nonnull(strstr(text, " waits for mutex 0x"));
}
END_TEST

static coir_cond changed;

/* Waits for the condition with lock 1, and has lock 0. */
static int wait_for_change(void *arg)
{
    (void)arg;
    int rc = coir_mutex_lock(&locks[0]);
    if (rc < 0)
        return rc;
    if ((rc = coir_mutex_lock(&locks[1])) == 0) {
        locked = 1;
        rc = coir_cond_wait(&changed, &locks[1]);
        coir_mutex_unlock(&locks[1]);
    }
    coir_mutex_unlock(&locks[0]);
    return rc;
}

/* Signals it, keeps lock 1, and wants lock 0. */
static int change(void *arg)
{
    (void)arg;
    int rc = 0;
    while (rc == 0 && !locked)
        rc = coir_sleep(COIR_MS(1));
    if (rc < 0 || (rc = coir_mutex_lock(&locks[1])) < 0)
        return rc;
    coir_cond_signal(&changed);
    rc = coir_mutex_lock(&locks[0]);
    if (rc == 0)
        coir_mutex_unlock(&locks[0]);
    coir_mutex_unlock(&locks[1]);
    return rc;
}

static int signal_with_the_lock(void *arg)
{
    coir_nursery n;
    coir_nursery_open(&n);
    int rc = coir_go(&n, wait_for_change, arg);
    if (rc == 0)
        rc = coir_go(&n, change, arg);
    if (rc == 0)
        rc = await_reports(1);
    coir_nursery_cancel(&n);
    int end = coir_nursery_close(&n);
    return rc < 0 ? rc : end;
}

START_TEST(condition_that_was_signaled_waits_for_its_mutex)
{
    ck_assert_int_eq(run(signal_with_the_lock), 1);
}
END_TEST

/* ---- one stack ---- */

static int want_lock_of_opener(void *arg)
{
    coir_name_set("child");
    return lock_what_joiner_has(arg);
}

static int close_with_lock(void *arg)
{
    coir_nursery n;
    coir_name_set("opener");
    int rc = coir_mutex_lock(&locks[0]);
    if (rc < 0)
        return rc;
    coir_nursery_open(&n);
    rc = coir_go(&n, want_lock_of_opener, arg);
    rc = coir_nursery_close_with(&n, rc);
    coir_mutex_unlock(&locks[0]);
    return rc;
}

static int close_with_lock_beside(void *arg)
{
    coir_nursery n;
    coir_nursery_open(&n);
    int rc = coir_go(&n, close_with_lock, arg);
    if (rc == 0)
        rc = await_reports(1);
    coir_nursery_cancel(&n);
    int end = coir_nursery_close(&n);
    return rc < 0 ? rc : end;
}

START_TEST(child_on_the_stack_of_who_has_its_lock)
{
    ck_assert_int_eq(run_with(1, close_with_lock_beside), 1);
    ck_assert_ptr_nonnull(strstr(text, ", on whose stack runs fiber "));
}
END_TEST

/* ---- what is none ---- */

/* A line: each waits for the one before it, and the first one sleeps. */
static struct wish line[] = {{"end", 1, 0, 2}, {"middle", 2, 1, 3}};

static int wait_in_line(void *arg)
{
    (void)arg;
    int rc = coir_mutex_lock(&locks[0]);
    if (rc < 0)
        return rc;
    coir_nursery n;
    locked = 1;
    coir_nursery_open(&n);
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = coir_go(&n, wish, &line[i]);
    if (rc == 0)
        rc = coir_sleep(COIR_MS(1600));
    coir_mutex_unlock(&locks[0]);
    return coir_nursery_close_with(&n, rc);
}

START_TEST(line_is_no_circle)
{
    ck_assert_int_eq(run(wait_in_line), 0);
    ck_assert_str_eq(text, "");
}
END_TEST

enum { CROWD = 2000 };

static int wait_in_crowd(void *arg)
{
    (void)arg;
    int rc = coir_mutex_lock(&locks[2]);
    if (rc == 0)
        coir_mutex_unlock(&locks[2]);
    return rc;
}

static int wish_in_a_crowd(void *arg)
{
    coir_nursery n;
    int rc = coir_mutex_lock(&locks[2]);
    if (rc < 0)
        return rc;
    coir_nursery_open(&n);
    for (int i = (int)test_stacks(CROWD); i > 0 && rc == 0; i--)
        rc = coir_go(&n, wait_in_crowd, arg);
    if (rc == 0)
        rc = wish_crosswise(arg);
    coir_mutex_unlock(&locks[2]);
    return coir_nursery_close_with(&n, rc);
}

START_TEST(circle_is_found_in_a_crowd)
{
    ck_assert_int_eq(run(wish_in_a_crowd), 1);
}
END_TEST

COIR_SUITE(circle, TEST_WORKERS)
{
    TCase *found = test_case(suite, "found");
    tcase_add_test(found, two_are_reported_with_their_names);
    tcase_add_test(found, three_are_reported_in_order);
    tcase_add_test(found, same_locks_in_another_circle_are_reported_again);
    tcase_add_test(found, join_counts_as_a_lock_of_the_joined);
    tcase_add_test(found, condition_that_was_signaled_waits_for_its_mutex);
    tcase_add_test(found, child_on_the_stack_of_who_has_its_lock);
    tcase_add_test(found, circle_is_found_in_a_crowd);

    TCase *quiet = test_case(suite, "quiet");
    tcase_add_test(quiet, circle_is_reported_once);
    tcase_add_test(quiet, line_is_no_circle);
}
