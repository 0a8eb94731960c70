/* test/test_local.c -- fiber-local values */
#include <coir/local.h>

#include "test/harness.h"
#include "test/lone.h"

#include <errno.h>
#include <signal.h>

static int destroyed;
static void *last_destroyed;

static void note_destroyed(void *value)
{
    destroyed++;
    last_destroyed = value;
}

static void run_alone(coir_fn *body)
{
    struct lone lone;
    lone_start(&lone, 64 << 10);
    lone_run(&lone, body, NULL);
    ck_assert(lone.over);
    lone_stop(&lone);
}

static coir_key *make_key(void (*destroy)(void *value))
{
    coir_key *key;
    ck_assert_int_eq(coir_key_new(&key, destroy), 0);
    return key;
}

/* Values are small numbers. */
static void *value_of(intptr_t n)
{
    return (void *)n;
}

static void set(coir_key *key, intptr_t n)
{
    ck_assert_int_eq(coir_local_set(key, value_of(n)), 0);
}

/* ---- One key ---- */

static int check_one_key(void *arg)
{
    coir_key *key = make_key(NULL);

    (void)arg;
    ck_assert_ptr_null(coir_local(key));
    set(key, 1);
    ck_assert_ptr_eq(coir_local(key), value_of(1));
    set(key, 2);
    ck_assert_ptr_eq(coir_local(key), value_of(2));
    set(key, 0);
    ck_assert_ptr_null(coir_local(key));
    coir_key_free(key);
    return 0;
}

START_TEST(value_is_what_was_set_last)
{
    run_alone(check_one_key);
}
END_TEST

static coir_key *shared;

static int check_unset_then_set(void *arg)
{
    (void)arg;
    ck_assert_ptr_null(coir_local(shared));
    set(shared, 5);
    return 0;
}

START_TEST(each_life_has_its_own_values)
{
    shared = make_key(NULL);
    run_alone(check_unset_then_set);
    run_alone(check_unset_then_set);
    coir_key_free(shared);
}
END_TEST

/* ---- Many keys ---- */

enum { KEYS = 500 };

static int check_many_keys(void *arg)
{
    coir_key *keys[KEYS];
    int wrong = 0;

    (void)arg;
    for (int i = 0; i < KEYS; i++)
        keys[i] = make_key(NULL);
    for (int i = 0; i < KEYS; i++)
        set(keys[i], i + 1);
    for (int i = 0; i < KEYS; i++)
        wrong += coir_local(keys[i]) != value_of(i + 1);
    ck_assert_int_eq(wrong, 0);
    for (int i = 0; i < KEYS; i++)
        coir_key_free(keys[i]);
    return 0;
}

START_TEST(there_is_room_for_any_number_of_keys)
{
    run_alone(check_many_keys);
}
END_TEST

static int check_made_again(void *arg)
{
    coir_key *other = make_key(NULL);
    int wrong = 0;

    (void)arg;
    set(other, 9);
    for (int i = 0; i < 1000; i++) {
        coir_key *key = make_key(note_destroyed);
        wrong += coir_local(key) != NULL;
        set(key, 1);
        coir_key_free(key);
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_ptr_eq(coir_local(other), value_of(9));
    coir_key_free(other);
    return 0;
}

START_TEST(key_made_again_shows_no_old_value)
{
    run_alone(check_made_again);
    ck_assert_int_eq(destroyed, 0);
}
END_TEST

/* ---- The end ---- */

static int set_shared(void *arg)
{
    (void)arg;
    set(shared, 7);
    return 0;
}

START_TEST(value_is_destroyed_when_the_fiber_ends)
{
    shared = make_key(note_destroyed);
    run_alone(set_shared);
    ck_assert_int_eq(destroyed, 1);
    ck_assert_ptr_eq(last_destroyed, value_of(7));
    coir_key_free(shared);
}
END_TEST

static int set_and_clear_shared(void *arg)
{
    set_shared(arg);
    set(shared, 0);
    return 0;
}

START_TEST(null_is_not_destroyed)
{
    shared = make_key(note_destroyed);
    run_alone(set_and_clear_shared);
    ck_assert_int_eq(destroyed, 0);
    coir_key_free(shared);
}
END_TEST

/* Sets a value of another key, and so grows the table under the destroyer. */
static void destroy_and_set(void *value)
{
    note_destroyed(value);
    if ((intptr_t)value > 1)
        set(make_key(destroy_and_set), (intptr_t)value - 1);
}

static int set_to_destroy_and_set(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        set(make_key(destroy_and_set), 3);
    return 0;
}

START_TEST(values_set_while_destroying_are_destroyed_too)
{
    run_alone(set_to_destroy_and_set);
    ck_assert_int_eq(destroyed, 15);
}
END_TEST

static void destroy_and_set_again(void *value)
{
    note_destroyed(value);
    set(shared, 1);
}

START_TEST(destroying_comes_to_an_end)
{
    shared = make_key(destroy_and_set_again);
    run_alone(set_shared);
    ck_assert_int_ge(destroyed, 2);
    ck_assert_int_le(destroyed, 10);
    coir_key_free(shared);
}
END_TEST

/* ---- Misuse ---- */

START_TEST(outside_a_fiber_there_are_no_values)
{
    coir_key *key = make_key(NULL);
    ck_assert_int_eq(coir_local_set(key, value_of(1)), -EPERM);
    ck_assert_ptr_null(coir_local(key));
    coir_key_free(key);
    coir_key_free(NULL);
}
END_TEST

static int free_twice(void *arg)
{
    coir_key *key = make_key(NULL);
    (void)arg;
    coir_key_free(key);
    coir_key_free(key);
    return 0;
}

static int use_after_end(void *arg)
{
    coir_key *key = make_key(NULL);
    (void)arg;
    coir_key_free(key);
    set(key, 1);
    return 0;
}

START_TEST(key_used_after_its_end_stops_the_program)
{
    test_dies(SIGABRT, "coir_key_free", free_twice, NULL);
    test_dies(SIGABRT, "a fiber-local key", use_after_end, NULL);
}
END_TEST

COIR_SUITE(local, TEST_ONCE)
{
    TCase *one = test_case(suite, "one key");
    tcase_add_test(one, value_is_what_was_set_last);
    tcase_add_test(one, each_life_has_its_own_values);

    TCase *many = test_case(suite, "many keys");
    tcase_add_test(many, there_is_room_for_any_number_of_keys);
    tcase_add_test(many, key_made_again_shows_no_old_value);

    TCase *end = test_case(suite, "end of a fiber");
    tcase_add_test(end, value_is_destroyed_when_the_fiber_ends);
    tcase_add_test(end, null_is_not_destroyed);
    tcase_add_test(end, values_set_while_destroying_are_destroyed_too);
    tcase_add_test(end, destroying_comes_to_an_end);

    TCase *misuse = test_case(suite, "misuse");
    tcase_add_test(misuse, outside_a_fiber_there_are_no_values);
    tcase_add_test(misuse, key_used_after_its_end_stops_the_program);
}
