/* test/test_nursery.c -- coir_nursery: starting children, and waiting for them
 *
 * What its close gives back is in test_nursery_close.c, failures are in
 * test_nursery_failures.c. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The sanitizers' allocators end the program where malloc(3) gives NULL. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

static _Atomic int ran; /* how many children have come to their end */

static int just_run(void *arg)
{
    (void)arg;
    ran++;
    return 0;
}

/* ---- Waiting ---- */

static int sleep_minutes(void *arg)
{
    int minutes = *(const int *)arg;
    int rc = coir_sleep(MINUTES(minutes));
    tell("%d", minutes);
    return rc;
}

static int wait_for_slow_children(void *arg)
{
    (void)arg;
    int minutes[] = {3, 1, 2};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_go(&nursery, sleep_minutes, &minutes[i]), 0);
    tell("close");
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    tell("closed");
    return 0;
}

START_TEST(close_returns_after_the_last_child)
{
    ck_assert_int_eq(run_story(1, wait_for_slow_children, NULL), 0);
    ck_assert_str_eq(story(), "close 1 2 3 closed");
    run_body(wait_for_slow_children);
    ck_assert_str_eq(story(), "close 1 2 3 closed");
}
END_TEST

static int open_and_close(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    memset(&nursery, 0xa5, sizeof nursery);
    for (int i = 0; i < 100; i++) {
        coir_nursery_open(&nursery);
        if (i % 2)
            ck_assert_int_eq(coir_go(&nursery, just_run, NULL), 0);
        ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    }
    return 0;
}

START_TEST(nursery_may_be_opened_again_and_stay_empty)
{
    ran = 0;
    run_body(open_and_close);
    ck_assert_int_eq(ran, 50);
}
END_TEST

enum { MANY = 100000 };

static int start_many(void *arg)
{
    int count = *(const int *)arg, refused = 0;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (int i = 0; i < count; i++)
        refused += coir_go(&nursery, just_run, NULL) != 0;
    int rc = coir_nursery_close(&nursery);
    return rc < 0 ? rc : refused;
}

START_TEST(nursery_runs_each_of_many_children_once)
{
    int count = (int)test_scaled(MANY);
    ran = 0;
    ck_assert_int_eq(coir_run(start_many, &count), 0);
    ck_assert_int_eq(ran, count);
}
END_TEST

/* ---- Order ---- */

enum { ORDERED = 10000 };

static struct {
    int begun;
    int disorder;
} row;

static int take_place(void *arg)
{
    row.disorder += *(const int *)arg != row.begun++;
    /* Some wait, so that not one stack serves them all. */
    return row.begun % 7 == 0 ? coir_yield() : 0;
}

static int start_in_order(void *arg)
{
    int *places = arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < ORDERED && rc == 0; i++) {
        places[i] = i;
        rc = coir_go(&nursery, take_place, &places[i]);
        if (rc == 0 && i % 1000 == 0)
            rc = coir_yield();
    }
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(children_begin_in_order_with_one_worker)
{
    static int places[ORDERED];
    row.begun = row.disorder = 0;
    ck_assert_int_eq(run_workers(1, start_in_order, places), 0);
    ck_assert_int_eq(row.begun, ORDERED);
    ck_assert_int_eq(row.disorder, 0);
}
END_TEST

/* ---- Who starts ---- */

struct branch {
    coir_nursery *nursery;
    int depth;
};

static int grow(void *arg)
{
    struct branch *branch = arg;
    ran++;
    struct branch next = {branch->nursery, branch->depth - 1};
    int rc = branch->depth % 2 ? coir_yield() : 0;
    for (int i = 0; i < 2 && next.depth > 0 && rc == 0; i++)
        rc = coir_go_copy(branch->nursery, grow, &next, sizeof next);
    return rc;
}

static int start_from_children(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    struct branch root = {&nursery, 10};
    int rc = coir_go(&nursery, grow, &root);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(children_may_start_children_until_close_has_returned)
{
    ran = 0;
    run_body(start_from_children);
    ck_assert_int_eq(ran, (1 << 10) - 1);
}
END_TEST

static int start_far_below(void *arg)
{
    coir_nursery *outer = arg;
    coir_nursery inner;
    coir_nursery_open(&inner);
    int rc = coir_go(outer, just_run, NULL);
    if (rc == 0)
        rc = coir_go(&inner, just_run, NULL);
    return coir_nursery_close_with(&inner, rc);
}

static int start_from_grandchildren(void *arg)
{
    (void)arg;
    coir_nursery outer, middle;
    coir_nursery_open(&outer);
    coir_nursery_open(&middle);
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = coir_go(&middle, start_far_below, &outer);
    rc = coir_nursery_close_with(&middle, rc);
    return coir_nursery_close_with(&outer, rc);
}

START_TEST(any_fiber_inside_may_start_a_child)
{
    ran = 0;
    run_body(start_from_grandchildren);
    ck_assert_int_eq(ran, 200);
}
END_TEST

static int nest(void *arg)
{
    int depth = *(const int *)arg - 1;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = depth > 0 ? coir_go(&nursery, nest, &depth)
                       : coir_go(&nursery, just_run, NULL);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(nurseries_nest_in_each_other)
{
    int depth = 1000;
    ran = 0;
    ck_assert_int_eq(coir_run(nest, &depth), 0);
    ck_assert_int_eq(ran, 1);
}
END_TEST

/* ---- Arguments ---- */

enum { COPY_MAX = 60000 };

struct counted {
    size_t size;
    unsigned char bytes[COPY_MAX];
};

static _Atomic int spoilt, misaligned;

static size_t count_spoilt(const unsigned char *bytes, size_t size)
{
    size_t wrong = 0;
    for (size_t i = 0; i < size; i++)
        wrong += bytes[i] != (unsigned char)(i * 7 + size);
    return wrong;
}

static size_t size_of_copy(const struct counted *copy)
{
    size_t size;
    memcpy(&size, copy, sizeof size);
    return size;
}

static int look_at_copy(void *arg)
{
    size_t size = size_of_copy(arg);
    misaligned += (uintptr_t)arg % _Alignof(max_align_t) != 0;
    unsigned char *bytes = ((struct counted *)arg)->bytes;
    spoilt += count_spoilt(bytes, size) != 0;
    int rc = coir_yield();
    spoilt += count_spoilt(bytes, size) != 0;
    memset(bytes, 0, size); /* it is the fiber's own */
    ran++;
    return rc;
}

static int copy_arguments(void *arg)
{
    struct counted *source = arg;
    static const size_t sizes[] = {1,  7,   8,   9,    15,   16,      24,
                                   56, 64,  100, 255,  1000, 4096,    5000,
                                   20, 300, 48,  9999, 3,    COPY_MAX};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && rc == 0; i++) {
        source->size = sizes[i];
        for (size_t k = 0; k < sizes[i]; k++)
            source->bytes[k] = (unsigned char)(k * 7 + sizes[i]);
        size_t all = offsetof(struct counted, bytes) + sizes[i];
        const coir_spawn_options options = {.copy = all};
        rc = i % 2 ? coir_go_copy(&nursery, look_at_copy, source, all)
                   : coir_spawn_with(&nursery, NULL, &options, look_at_copy,
                                     source);
        memset(source, 0xa5, sizeof *source); /* not used any more */
    }
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(copy_is_the_childs_own)
{
    static struct counted source;
    ran = spoilt = misaligned = 0;
    ck_assert_int_eq(coir_run(copy_arguments, &source), 0);
    ck_assert_int_eq(ran, 20);
    ck_assert_int_eq(spoilt, 0);
    ck_assert_int_eq(misaligned, 0);
}
END_TEST

static int ask_too_much(void *arg)
{
    coir_nursery nursery;
    coir_task task;
    coir_nursery_open(&nursery);
    int rc = coir_go_copy(&nursery, just_run, arg, SIZE_MAX / 2);
    ck_assert_int_eq(rc, -ENOMEM);
    const coir_spawn_options deep = {.stack_size = SIZE_MAX / 4};
    rc = coir_spawn_with(&nursery, &task, &deep, just_run, arg);
    ck_assert_int_eq(rc, -ENOMEM);
    ck_assert(coir_task_done(&task));
    ck_assert_int_eq(coir_task_result(&task), -ENOMEM);
    ck_assert_int_eq(coir_go(&nursery, just_run, NULL), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    return 0;
}

START_TEST(child_for_which_memory_lacks_is_refused)
{
    int item = 0;
    ran = 0;
    ck_assert_int_eq(coir_run(ask_too_much, &item), 0);
    ck_assert_int_eq(ran, 1);
}
END_TEST

static int tell_name(void *arg)
{
    *(int *)arg = (int)strlen(coir_name());
    tell("%s", coir_name());
    return coir_yield();
}

static int name_children(void *arg)
{
    (void)arg;
    int length = 0;
    const coir_spawn_options plain = {.name = NULL}, named = {.name = "Bob"},
                             long_one = {
                                 .name = "a name that is far too long for it"};
    const coir_spawn_options *all[] = {&plain, &named, &long_one};
    const int lengths[] = {0, 3, COIR_NAME_MAX - 1};
    coir_name_set("opener");
    for (int i = 0; i < 3; i++) {
        coir_nursery nursery;
        coir_nursery_open(&nursery);
        int rc = coir_spawn_with(&nursery, NULL, all[i], tell_name, &length);
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(coir_nursery_close(&nursery), 0);
        ck_assert_int_eq(length, lengths[i]);
        ck_assert_str_eq(coir_name(), "opener");
    }
    return 0;
}

START_TEST(child_has_the_name_that_it_is_given)
{
    run_body(name_children);
    ck_assert_str_eq(story(), "Bob a name that is far too ");
}
END_TEST

__attribute__((noinline)) static int descend(size_t bytes)
{
    volatile char frame[4096];
    frame[0] = frame[sizeof frame - 1] = 0;
    int below = bytes > sizeof frame ? descend(bytes - sizeof frame) : 0;
    return below + frame[0];
}

static int use_two_megabytes(void *arg)
{
    (void)arg;
    ran++;
    return descend(2 << 20);
}

static int start_deep_child(void *arg)
{
    (void)arg;
    const coir_spawn_options deep = {.stack_size = 4 << 20};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < 10 && rc == 0; i++)
        rc = coir_spawn_with(&nursery, NULL, &deep, use_two_megabytes, NULL);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(child_has_the_stack_that_it_is_given)
{
    ran = 0;
    ck_assert_int_eq(coir_run(start_deep_child, NULL), 0);
    ck_assert_int_eq(ran, 10);
}
END_TEST

/* ---- Identity ---- */

enum { IDENTITIES = 1000 };

static int note_id(void *arg)
{
    uint64_t id = coir_id();
    int rc = id % 3 == 0 ? coir_yield() : 0;
    *(uint64_t *)arg = id;
    return coir_id() == id ? rc : -EDOM;
}

static int note_ids(void *arg)
{
    uint64_t *ids = arg;
    ids[IDENTITIES] = coir_id();
    int rc = coir_each(note_id, ids, IDENTITIES, sizeof *ids, 0);
    return coir_id() == ids[IDENTITIES] ? rc : -EDOM;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

START_TEST(child_has_an_identity_of_its_own)
{
    static uint64_t ids[IDENTITIES + 1];
    ck_assert_int_eq(coir_run(note_ids, ids), 0);
    qsort(ids, IDENTITIES + 1, sizeof *ids, compare_ids);
    ck_assert_uint_ne(ids[0], 0);
    int twice = 0;
    for (int i = 0; i < IDENTITIES; i++)
        twice += ids[i] == ids[i + 1];
    ck_assert_int_eq(twice, 0);
}
END_TEST

COIR_SUITE(nursery, TEST_WORKERS)
{
    TCase *waiting = test_case(suite, "waiting");
    tcase_add_test(waiting, close_returns_after_the_last_child);
    tcase_add_test(waiting, nursery_may_be_opened_again_and_stay_empty);
    tcase_add_test(waiting, nursery_runs_each_of_many_children_once);
    tcase_add_test(waiting, children_begin_in_order_with_one_worker);

    TCase *starters = test_case(suite, "starters");
    tcase_add_test(starters,
                   children_may_start_children_until_close_has_returned);
    tcase_add_test(starters, any_fiber_inside_may_start_a_child);
    tcase_add_test(starters, nurseries_nest_in_each_other);

    TCase *arguments = test_case(suite, "arguments");
    tcase_add_test(arguments, copy_is_the_childs_own);
    tcase_add_test(arguments, child_has_the_name_that_it_is_given);
    tcase_add_test(arguments, child_has_the_stack_that_it_is_given);
    tcase_add_test(arguments, child_has_an_identity_of_its_own);

    TCase *memory = test_case(suite, "no memory");
    tcase_set_tags(memory, "limits");
    tcase_add_test(memory, child_for_which_memory_lacks_is_refused);
}
