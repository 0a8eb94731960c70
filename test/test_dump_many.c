/* test/test_dump_many.c -- coir_dump: of many fibers, and of deep stacks */
#include "sched/backtrace.h"
#include "test/dumped.h"

/* ---- those that are alike ---- */

enum { ALIKE = 50 };

static int dump_alike(void *arg)
{
    coir_nursery nursery;
    coir_task task;
    (void)arg;
    coir_nursery_open(&nursery);
    spawn(&nursery, &task, sleep_as, "odd");
    go(&nursery, join_it, &task);
    for (int i = 0; i < ALIKE; i++)
        go(&nursery, sleep_as, "many");
    wait_for(ALIKE + 2);
    take_dump();
    line_must_have(" fibers wait: sleep", "51 fibers wait: sleep, ");
    ck_assert_uint_eq(count_of("'many'"), 7); /* and 'odd': 8 are shown */
    line_must_have("'joiner'", " waits: task ");
    return cancel_all(&nursery);
}

START_TEST(dump_says_once_what_many_do)
{
    ck_assert_int_eq(coir_run(dump_alike, NULL), 0);
}
END_TEST

static int open_alike(void *task_or_null)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    go(&nursery, sleep_as, "part");
    if (task_or_null)
        go(&nursery, join_it, task_or_null);
    else
        go(&nursery, sleep_as, "part");
    return coir_nursery_close_with(&nursery, sleep_named("connection"));
}

static int dump_alike_trees(void *arg)
{
    coir_nursery nursery;
    coir_task task;
    (void)arg;
    coir_nursery_open(&nursery);
    spawn(&nursery, &task, sleep_as, "odd");
    for (int i = 0; i < 10; i++)
        go(&nursery, open_alike, NULL);
    go(&nursery, open_alike, &task);
    wait_for(1 + 11 * 3);
    take_dump();
    must_have("    10 fibers wait: sleep, ");
    must_have("      each of them with:\n      nursery 0x");
    must_have("        2 fibers wait: sleep, ");
    ck_assert_uint_eq(count_of("each of them with:"), 1);
    ck_assert_uint_eq(count_of("'joiner'"), 1);
    ck_assert_uint_eq(column_of("'joiner'"), 8);
    return cancel_all(&nursery);
}

START_TEST(dump_says_once_what_is_below_many)
{
    ck_assert_int_eq(coir_run(dump_alike_trees, NULL), 0);
}
END_TEST

static int dump_crowd(void *count)
{
    coir_nursery nursery;
    int crowd = *(int *)count;
    char expected[64];
    coir_nursery_open(&nursery);
    for (int i = 0; i < crowd; i++)
        go(&nursery, sleep_as, "one of them");
    wait_for(crowd);
    take_dump();
    snprintf(expected, sizeof expected, "%d fibers on ", crowd + 1);
    line_must_have("coir: process ", expected);
    /* Most are alike; the backtraces of some are not read. */
    ck_assert_uint_lt(strlen(text), 20000);
    if (COIR_I_BACKTRACE && crowd > 4096) {
        snprintf(expected, sizeof expected, "%d backtraces were not read",
                 crowd - 4096);
        must_have(expected);
        must_have("    4096 fibers wait: sleep, ");
    }
    return cancel_all(&nursery);
}

START_TEST(dump_of_very_many_is_short)
{
    int crowd = (int)test_stacks(20000);
    ck_assert_int_eq(coir_run(dump_crowd, &crowd), 0);
}
END_TEST

static int deepest;

static int go_deeper(void *left)
{
    coir_nursery nursery;
    int next = *(int *)left - 1, rc = 0;
    coir_nursery_open(&nursery);
    if (next > 0)
        go(&nursery, go_deeper, &next);
    else
        coir_name_set("the deepest");
    waiting++;
    rc = coir_sleep(LONG);
    return coir_nursery_close_with(&nursery, rc);
}

static int dump_deep(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    go(&nursery, go_deeper, &deepest);
    wait_for(deepest);
    take_dump();
    must_have("'the deepest'");
    ck_assert_uint_eq(count_of("nursery 0x"), (size_t)deepest + 1);
    return cancel_all(&nursery);
}

START_TEST(dump_of_a_deep_tree_takes_no_deep_stack)
{
    deepest = (int)test_stacks(3000);
    ck_assert_int_eq(coir_run(dump_deep, NULL), 0);
}
END_TEST

/* ---- backtraces ---- */

static __attribute__((noinline)) int sleep_down_here(int levels)
{
    int rc = levels ? sleep_down_here(levels - 1) : sleep_named("deep");
    __asm__ volatile(""); /* no jump: the frame stays */
    return rc;
}

static int sleep_deep(void *levels)
{
    return sleep_down_here(*(int *)levels);
}

static int dump_deep_stack(void *levels)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    go(&nursery, sleep_deep, levels);
    wait_for(1);
    take_dump();
    return cancel_all(&nursery);
}

START_TEST(a_backtrace_has_the_names_of_static_functions)
{
    int levels = 3;
    ck_assert_int_eq(coir_run(dump_deep_stack, &levels), 0);
    if (!COIR_I_BACKTRACE)
        return;
    ck_assert_uint_ge(count_of(" sleep_down_here+0x"), 3);
    line_must_have(" sleep_down_here+0x", "  test_dump_many+0x");
    const char *sleep = must_have(" coir_sleep");
    ck_assert(must_have("'deep'") < sleep);
    ck_assert(sleep < must_have(" sleep_down_here+0x"));
    must_not_have("coir_i_switch");
    must_not_have("coir_i_child_run");
    must_not_have("...");
}
END_TEST

START_TEST(a_backtrace_is_cut_after_64_calls)
{
    int levels = 200;
    ck_assert_int_eq(coir_run(dump_deep_stack, &levels), 0);
    if (!COIR_I_BACKTRACE)
        return;
    ck_assert_uint_ge(count_of(" sleep_down_here+0x"), 50);
    ck_assert_uint_le(count_of(" sleep_down_here+0x"), 64);
    must_have("          ...\n");
}
END_TEST

COIR_SUITE(dump_many, TEST_WORKERS)
{
    TCase *many = test_case(suite, "many");
    tcase_add_test(many, dump_says_once_what_many_do);
    tcase_add_test(many, dump_says_once_what_is_below_many);
    tcase_add_test(many, dump_of_very_many_is_short);
    tcase_add_test(many, dump_of_a_deep_tree_takes_no_deep_stack);

    TCase *deep = test_case(suite, "backtraces");
    tcase_add_test(deep, a_backtrace_has_the_names_of_static_functions);
    tcase_add_test(deep, a_backtrace_is_cut_after_64_calls);
}
