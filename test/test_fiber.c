/* test/test_fiber.c -- slots, and the lives that are led in them */
#include <coir/fiber.h>

#include "fiber/invariant.h"
#include "test/harness.h"
#include "test/lone.h"

#include <errno.h>
#include <signal.h>

/* ---- Slots ---- */

START_TEST(slot_is_found_by_its_index)
{
    enum { SLOTS = 10000 }; /* three chunks */
    static coir_i_fiber *slots[SLOTS];
    int wrong = 0;

    for (int i = 0; i < SLOTS; i++)
        slots[i] = coir_i_fiber_new();
    for (int i = 0; i < SLOTS; i++) {
        wrong += coir_i_fiber_at(slots[i]->index) != slots[i];
        wrong += (uintptr_t)slots[i] % 128 != 0;
    }
    ck_assert_int_eq(wrong, 0);
}
END_TEST

START_TEST(new_slot_waits_for_nothing)
{
    coir_i_fiber *fiber = coir_i_fiber_new();

    ck_assert_uint_eq(load_relaxed(&fiber->word), 0);
    ck_assert_int_eq(load_relaxed(&fiber->deadline), INT64_MAX);
    ck_assert_int_eq(load_relaxed(&fiber->linked), INT64_MAX);
    ck_assert_ptr_null(fiber->life);
    ck_assert_ptr_null(fiber->stack);
}
END_TEST

/* ---- Names ---- */

static int check_names(void *arg)
{
    (void)arg;
    ck_assert_uint_eq(coir_id(), 12);
    ck_assert_str_eq(coir_name(), "");
    coir_name_set("listener");
    ck_assert_str_eq(coir_name(), "listener");
    coir_name_set("123456789012345678901234567890");
    ck_assert_str_eq(coir_name(), "12345678901234567890123");
    /* The 23rd byte is the first of two that make one character. */
    coir_name_set("1234567890123456789012\xc3\xa4");
    ck_assert_str_eq(coir_name(), "1234567890123456789012");
    coir_name_set(coir_name() + 20);
    ck_assert_str_eq(coir_name(), "12");
    return 0;
}

START_TEST(fiber_has_an_id_and_a_name)
{
    struct lone lone;

    lone_start(&lone, 0);
    lone_run(&lone, check_names, NULL);
    lone_stop(&lone);
}
END_TEST

/* ---- Messages ---- */

static int check_messages(void *arg)
{
    coir_i_life *life = coir_i_self()->life;

    (void)arg;
    ck_assert_str_eq(coir_message(), "");
    ck_assert_int_eq(coir_fail(-EIO, "disk %d", 3), -EIO);
    ck_assert_str_eq(coir_message(), "disk 3");
    ck_assert_str_eq(coir_i_life_message(life, -EIO), "disk 3");
    ck_assert_str_eq(coir_i_life_message(life, -EPERM), "");
    ck_assert_str_eq(coir_i_life_message(life, 0), "");

    ck_assert_int_eq(coir_fail(-EPERM, "copy: %s", coir_message()), -EPERM);
    ck_assert_str_eq(coir_message(), "copy: disk 3");
    ck_assert_str_eq(coir_i_life_message(life, -EIO), "");

    coir_i_life_take_message(life, -EPIPE, "of a child");
    ck_assert_str_eq(coir_message(), "of a child");
    ck_assert_str_eq(coir_i_life_message(life, -EPIPE), "of a child");
    return 0;
}

START_TEST(message_goes_with_its_code)
{
    struct lone lone;

    lone_start(&lone, 64 << 10);
    lone_run(&lone, check_messages, NULL);
    lone_stop(&lone);
}
END_TEST

static int check_long_message(void *arg)
{
    (void)arg;
    COIR_IGNORE(coir_fail(-EIO, "%0200d", 1));
    return (int)strlen(coir_message());
}

START_TEST(long_message_is_cut)
{
    struct lone lone;

    lone_start(&lone, 64 << 10);
    ck_assert_int_eq(lone_run(&lone, check_long_message, NULL),
                     COIR_MESSAGE_MAX - 1);
    lone_stop(&lone);
}
END_TEST

/* ---- Outside ---- */

START_TEST(outside_a_fiber_there_is_no_life)
{
    ck_assert_uint_eq(coir_id(), 0);
    ck_assert_str_eq(coir_name(), "");
    ck_assert_str_eq(coir_message(), "");
    ck_assert_int_eq(coir_fail(-EIO, "lost"), -EIO);
    ck_assert_str_eq(coir_message(), "");
}
END_TEST

static int set_name_outside(void *arg)
{
    coir_name_set(arg);
    return 0;
}

START_TEST(name_set_outside_a_fiber_stops_the_program)
{
    test_dies(SIGABRT,
              "coir: broken rule: coir_name_set is for fibers "
              "(not in a fiber)\n",
              set_name_outside, NULL);
}
END_TEST

static int break_rule(void *arg)
{
    if (arg)
        coir_name_set(arg);
    coir_i_rule(false, "what is open is closed once");
    return 0;
}

static int break_rule_alone(void *arg)
{
    struct lone lone;
    lone_start(&lone, 64 << 10);
    return lone_run(&lone, break_rule, arg);
}

START_TEST(broken_rule_names_the_fiber)
{
    char name[] = "x";

    test_dies(SIGABRT,
              "coir: broken rule: what is open is closed once (fiber 12)\n",
              break_rule_alone, NULL);
    test_dies(SIGABRT,
              "coir: broken rule: what is open is closed once (fiber 12 'x')\n",
              break_rule_alone, name);
}
END_TEST

COIR_SUITE(fiber, TEST_ONCE)
{
    TCase *slots = test_case(suite, "slots");
    tcase_add_test(slots, slot_is_found_by_its_index);
    tcase_add_test(slots, new_slot_waits_for_nothing);

    TCase *lives = test_case(suite, "lives");
    tcase_add_test(lives, fiber_has_an_id_and_a_name);
    tcase_add_test(lives, message_goes_with_its_code);
    tcase_add_test(lives, long_message_is_cut);

    TCase *outside = test_case(suite, "outside a fiber");
    tcase_add_test(outside, outside_a_fiber_there_is_no_life);

    TCase *misuse = test_case(suite, "misuse");
    tcase_add_test(misuse, name_set_outside_a_fiber_stops_the_program);
    tcase_add_test(misuse, broken_rule_names_the_fiber);
}
