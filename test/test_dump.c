/* test/test_dump.c -- coir_dump: the tree of nurseries, and what it says */
#include "sched/backtrace.h"
#include "test/dumped.h"

#include <errno.h>

/* ---- the tree ---- */

static int dump_sleepers(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_name_set("the first");
    coir_nursery_open(&nursery);
    go(&nursery, sleep_as, "early");
    wait_for(1);
    take_dump();
    line_must_have("coir: process ", "2 fibers on ");
    line_must_have("fiber 1 'the first' runs", " runs on worker ");
    line_must_have("'early'", " waits: sleep, ");
    line_must_have("'early'", " so far, ");
    line_must_have("'early'", " to go");
    must_have("coir: end of dump\n");
    return cancel_all(&nursery);
}

START_TEST(dump_names_every_fiber_and_what_it_waits_for)
{
    ck_assert_int_eq(coir_run(dump_sleepers, NULL), 0);
}
END_TEST

static int open_another(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_name_set("opener");
    coir_nursery_open(&nursery);
    go(&nursery, sleep_as, "grandchild");
    while (waiting == 0)
        ck_assert_int_eq(coir_yield(), 0);
    waiting++;
    return coir_nursery_close(&nursery);
}

static int dump_nested(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    go(&nursery, open_another, NULL);
    wait_for(2);
    go(&nursery, sleep_as, "younger");
    wait_for(3);
    take_dump();
    const char *opener = must_have("'opener'");
    const char *grandchild = must_have("'grandchild'");
    ck_assert(must_have("fiber 1 ") < opener);
    ck_assert(opener < grandchild);
    ck_assert(grandchild < must_have("'younger'"));
    ck_assert_uint_eq(column_of("fiber 1 "), 0);
    ck_assert_uint_eq(column_of("'opener'"), 4);
    ck_assert_uint_eq(column_of("'grandchild'"), 8);
    ck_assert_uint_eq(column_of("'younger'"), 4);
    ck_assert_uint_eq(count_of("nursery 0x"), 2);
    line_must_have("'opener' ", " waits: children 0x");
    return cancel_all(&nursery);
}

START_TEST(dump_is_a_tree_of_nurseries_oldest_first)
{
    ck_assert_int_eq(coir_run(dump_nested, NULL), 0);
}
END_TEST

static int sleep_on_opener(void *arg)
{
    (void)arg;
    coir_name_set("inside");
    waiting++;
    int rc = coir_sleep(LONG);
    return rc < 0 ? rc : 1;
}

static int close_at_once(void *arg)
{
    coir_nursery nursery;
    coir_name_set("lender");
    coir_nursery_open(&nursery);
    go(&nursery, sleep_on_opener, arg);
    int rc = coir_nursery_close(&nursery);
    return rc < 0 ? rc : 1;
}

static int dump_lender(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    go(&nursery, close_at_once, NULL);
    wait_for(1);
    take_dump();
    line_must_have("'lender' closes", "'inside' runs on its stack");
    ck_assert_uint_eq(column_of("'lender' closes"), 4);
    ck_assert_uint_eq(column_of("'inside' waits"), 8);
    if (COIR_I_BACKTRACE) { /* to each its own calls */
        const char *lender = must_have("close_at_once+");
        const char *inside = must_have("sleep_on_opener+");
        ck_assert(must_have("'lender' closes") < lender);
        ck_assert(lender < must_have("'inside' waits"));
        ck_assert(must_have("'inside' waits") < inside);
    }
    return cancel_all(&nursery);
}

START_TEST(dump_tells_apart_who_runs_on_whose_stack)
{
    ck_assert_int_eq(run_workers(1, dump_lender, NULL), 0);
}
END_TEST

static int dump_unbegun(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 100; i++)
        go(&nursery, sleep_as, "later");
    take_dump();
    line_must_have("coir: process ", "1 fiber on 1 worker, 100 more not begun");
    line_must_have("nursery 0x", "100 have not begun");
    return cancel_all(&nursery);
}

START_TEST(dump_counts_children_that_have_not_begun)
{
    ck_assert_int_eq(run_workers(1, dump_unbegun, NULL), 0);
}
END_TEST

static _Atomic bool may_stop;

static int spin_as(void *name)
{
    coir_name_set(name);
    waiting++;
    while (!may_stop)
        continue;
    return 0;
}

static int dump_runner(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    may_stop = false;
    coir_nursery_open(&nursery);
    go(&nursery, spin_as, "spinner");
    while (waiting < 1)
        ck_assert_int_eq(coir_sleep(COIR_MS(1)), 0);
    take_dump();
    line_must_have("'spinner' runs", " runs on worker ");
    ck_assert_uint_eq(column_of("'spinner' runs"), 4);
    may_stop = true;
    waiting = 0;
    return coir_nursery_close(&nursery);
}

START_TEST(dump_shows_who_runs_and_has_never_waited)
{
    ck_assert_int_eq(run_workers(2, dump_runner, NULL), 0);
}
END_TEST

/* ---- what it says ---- */

static int dump_joiner(void *arg)
{
    coir_nursery nursery;
    coir_task task;
    (void)arg;
    coir_nursery_open(&nursery);
    spawn(&nursery, &task, sleep_as, "holder");
    go(&nursery, join_it, &task);
    wait_for(2);
    take_dump();
    char held[64];
    snprintf(held, sizeof held, ", held by fiber %llu 'holder'",
             (unsigned long long)coir_task_id(&task));
    line_must_have("'joiner' waits", "waits: task 0x");
    line_must_have("'joiner' waits", held);
    return cancel_all(&nursery);
}

START_TEST(dump_says_who_holds_what_is_waited_for)
{
    ck_assert_int_eq(coir_run(dump_joiner, NULL), 0);
}
END_TEST

static int read_it(void *fd)
{
    char byte;
    coir_name_set("reader");
    waiting++;
    ssize_t rc = coir_read(*(int *)fd, &byte, 1);
    return rc < 0 ? (int)rc : 0;
}

static int dump_reader(void *arg)
{
    coir_nursery nursery;
    int ends[2];
    char expected[64];
    (void)arg;
    ck_assert_int_eq(pipe(ends), 0);
    coir_nursery_open(&nursery);
    go(&nursery, read_it, &ends[0]);
    wait_for(1);
    take_dump();
    snprintf(expected, sizeof expected, "waits: input on descriptor %d, ",
             ends[0]);
    line_must_have("'reader' waits", expected);
    int rc = cancel_all(&nursery);
    close(ends[0]);
    close(ends[1]);
    return rc;
}

START_TEST(dump_gives_the_number_of_a_descriptor)
{
    ck_assert_int_eq(coir_run(dump_reader, NULL), 0);
}
END_TEST

static int fail_early(void *arg)
{
    (void)arg;
    coir_name_set("culprit");
    return -EIO;
}

static int join_in_scopes(void *task)
{
    coir_scope shield, limit;
    coir_shield_open(&shield);
    coir_timeout_open(&limit, COIR_SECONDS(500));
    int rc = join_it(task);
    rc = coir_scope_close(&limit, rc);
    return coir_scope_close(&shield, rc);
}

static int dump_scopes(void *arg)
{
    coir_nursery outer, inner;
    coir_task gate;
    (void)arg;
    coir_nursery_open(&outer);
    spawn(&outer, &gate, sleep_as, "gate");
    coir_nursery_open(&inner);
    go(&inner, join_in_scopes, &gate);
    wait_for(2);
    take_dump();
    line_must_have("'joiner' waits", ", shielded, deadline in ");
    must_not_have("cancelled");
    go(&inner, fail_early, NULL);
    while (!coir_scope_cancelled(coir_nursery_scope(&inner)))
        COIR_IGNORE(coir_yield());
    take_dump();
    line_must_have("cancelled", "  nursery 0x");
    line_must_have("cancelled", ", cancelled by fiber ");
    line_must_have("cancelled", " 'culprit' (-5)");
    coir_task_cancel(&gate);
    ck_assert_int_eq(coir_nursery_close(&inner), -EIO);
    waiting = 0;
    return coir_nursery_close(&outer);
}

START_TEST(dump_tells_of_deadlines_shields_and_cancellations)
{
    ck_assert_int_eq(coir_run(dump_scopes, NULL), 0);
}
END_TEST

static int dump_odd_name(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    go(&nursery, sleep_as, "a\nb\033[2Jc");
    wait_for(1);
    take_dump();
    line_must_have("'a?b?[2Jc'", " waits: sleep");
    return cancel_all(&nursery);
}

START_TEST(dump_keeps_a_line_a_line_whatever_the_names)
{
    ck_assert_int_eq(coir_run(dump_odd_name, NULL), 0);
}
END_TEST

COIR_SUITE(dump, TEST_WORKERS)
{
    TCase *shape = test_case(suite, "tree");
    tcase_add_test(shape, dump_names_every_fiber_and_what_it_waits_for);
    tcase_add_test(shape, dump_is_a_tree_of_nurseries_oldest_first);
    tcase_add_test(shape, dump_tells_apart_who_runs_on_whose_stack);
    tcase_add_test(shape, dump_counts_children_that_have_not_begun);
    tcase_add_test(shape, dump_shows_who_runs_and_has_never_waited);

    TCase *words = test_case(suite, "words");
    tcase_add_test(words, dump_says_who_holds_what_is_waited_for);
    tcase_add_test(words, dump_gives_the_number_of_a_descriptor);
    tcase_add_test(words, dump_tells_of_deadlines_shields_and_cancellations);
    tcase_add_test(words, dump_keeps_a_line_a_line_whatever_the_names);
}
