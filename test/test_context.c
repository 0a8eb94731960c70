/* test/test_context.c -- the one switch */
#include "test/harness.h"
#include "test/lone.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>

/* ---- There and back ---- */

static int count_to(void *arg)
{
    int *count = arg;
    while (*count < 3) {
        (*count)++;
        lone_pause();
    }
    return 7;
}

START_TEST(switch_goes_on_where_the_other_was_left)
{
    struct lone lone;
    int count = 0;

    lone_start(&lone, 0);
    lone_run(&lone, count_to, &count);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(count, i);
        ck_assert(!lone.over);
        lone_go_on(&lone);
    }
    ck_assert(lone.over);
    ck_assert_int_eq(lone.result, 7);
    lone_stop(&lone);
}
END_TEST

static int return_at_once(void *arg)
{
    return *(int *)arg;
}

START_TEST(stack_serves_one_context_after_another)
{
    struct lone lone;
    int wrong = 0;

    lone_start(&lone, 0);
    for (int i = 0; i < 1000; i++)
        wrong += lone_run(&lone, return_at_once, &i) != i;
    ck_assert_int_eq(wrong, 0);
    lone_stop(&lone);
}
END_TEST

/* ---- Commit ---- */

static struct {
    coir_i_fiber *left, *running;
    void *context;
    char *frame;
} committed;

static void note_commit(coir_i_thread *here, coir_i_fiber *left)
{
    committed.left = left;
    committed.running = here->running;
    committed.context = left->context;
    committed.frame = __builtin_frame_address(0);
}

static bool is_on(const coir_i_stack *stack, const char *address)
{
    return address >= stack->low + stack->guard &&
           address < stack->low + stack->size;
}

static int leave_with_commit(void *arg)
{
    coir_i_thread *here = coir_i_here();
    (void)arg;
    here->running->context = NULL;
    coir_i_switch(here, &here->own, note_commit);
    return 0;
}

START_TEST(commit_runs_on_the_target_with_the_context_saved)
{
    struct lone lone;

    lone_start(&lone, 0);
    lone_run(&lone, leave_with_commit, NULL);
    ck_assert_ptr_eq(committed.left, lone.fiber);
    ck_assert_ptr_eq(committed.running, &lone.thread.own);
    ck_assert(is_on(lone.fiber->stack, committed.context));
    ck_assert(!is_on(lone.fiber->stack, committed.frame));
    ck_assert_ptr_eq(coir_i_here()->running, &lone.thread.own);
    lone_stop(&lone);
}
END_TEST

/* ---- Many ---- */

enum { MEMBERS = 64, TURNS = 100 };

static struct {
    coir_i_fiber *queue[MEMBERS + 1];
    unsigned first, last;
    unsigned turns, wrong;
} ring;

static void queue_up(coir_i_thread *here, coir_i_fiber *left)
{
    (void)here;
    ring.queue[ring.last++ % (MEMBERS + 1)] = left;
}

static void take_turns(void)
{
    coir_i_fiber *self = coir_i_here()->running;
    for (;;) {
        ring.wrong += ring.turns++ % MEMBERS != self->index % MEMBERS;
        if (ring.turns == MEMBERS * TURNS)
            lone_pause();
        coir_i_fiber *next = ring.queue[ring.first++ % (MEMBERS + 1)];
        coir_i_switch(coir_i_here(), next, queue_up);
    }
}

START_TEST(fibers_in_a_ring_take_turns)
{
    coir_i_thread thread;
    coir_i_stack_pool pool;

    coir_i_thread_init(&thread);
    coir_i_stack_pool_init(&pool, 0);
    for (int i = 0; i < MEMBERS; i++) {
        coir_i_fiber *fiber = coir_i_fiber_new();
        fiber->stack = coir_i_stack_new(&pool);
        coir_i_context_make(fiber, take_turns);
        queue_up(&thread, fiber);
    }
    coir_i_switch(&thread, ring.queue[ring.first++], NULL);
    ck_assert_uint_eq(ring.turns, MEMBERS * TURNS);
    ck_assert_uint_eq(ring.wrong, 0);
    coir_i_thread_end(&thread);
    coir_i_stack_pool_end(&pool);
}
END_TEST

/* ---- errno, threads ---- */

static int keep_errno(void *arg)
{
    (void)arg;
    errno = 1234;
    lone_pause();
    return *coir_i_here()->error_number;
}

START_TEST(errno_is_the_fibers_own)
{
    struct lone lone;

    lone_start(&lone, 0);
    errno = 99;
    lone_run(&lone, keep_errno, NULL);
    ck_assert_int_eq(*coir_i_here()->error_number, 99);
    lone_go_on(&lone);
    ck_assert_int_eq(lone.result, 1234);
    lone_stop(&lone);
}
END_TEST

static int note_threads(void *arg)
{
    coir_i_thread **seen = arg;
    seen[0] = coir_i_here();
    errno = 4321;
    lone_pause();
    seen[1] = coir_i_here();
    return *coir_i_here()->error_number;
}

static void *go_on_elsewhere(void *arg)
{
    coir_i_thread thread;
    coir_i_thread_init(&thread);
    lone_go_on(arg);
    coir_i_thread_end(&thread);
    return NULL;
}

START_TEST(fiber_goes_on_on_another_thread)
{
    struct lone lone;
    coir_i_thread *seen[2] = {NULL, NULL};
    pthread_t other;

    lone_start(&lone, 0);
    lone_run(&lone, note_threads, seen);
    ck_assert_int_eq(pthread_create(&other, NULL, go_on_elsewhere, &lone), 0);
    pthread_join(other, NULL);
    ck_assert(lone.over);
    ck_assert_int_eq(lone.result, 4321);
    ck_assert_ptr_eq(seen[0], &lone.thread);
    ck_assert_ptr_ne(seen[1], NULL);
    ck_assert_ptr_ne(seen[1], &lone.thread);
    lone_stop(&lone);
}
END_TEST

/* ---- What the entry finds ---- */

static int count_frames(void *arg)
{
    void *frames[64];
    (void)arg;
    return backtrace(frames, 64);
}

START_TEST(backtrace_ends_at_the_entry)
{
    struct lone lone;
    int frames;

    lone_start(&lone, 64 << 10);
    frames = lone_run(&lone, count_frames, NULL);
    ck_assert_int_ge(frames, 2);
    ck_assert_int_lt(frames, 10);
    lone_stop(&lone);
}
END_TEST

static int is_misaligned(void *arg)
{
    _Alignas(16) volatile char bytes[16];
    (void)arg;
    bytes[0] = 0;
    return (uintptr_t)bytes % 16 != 0 ||
           (uintptr_t)__builtin_frame_address(0) % 16 != 0;
}

START_TEST(frames_of_a_fiber_are_aligned)
{
    struct lone lone;

    lone_start(&lone, 0);
    ck_assert_int_eq(lone_run(&lone, is_misaligned, NULL), 0);
    lone_stop(&lone);
}
END_TEST

COIR_SUITE(context, TEST_ONCE)
{
    TCase *one = test_case(suite, "one fiber");
    tcase_add_test(one, switch_goes_on_where_the_other_was_left);
    tcase_add_test(one, stack_serves_one_context_after_another);
    tcase_add_test(one, commit_runs_on_the_target_with_the_context_saved);
    tcase_add_test(one, errno_is_the_fibers_own);

    TCase *many = test_case(suite, "many fibers");
    tcase_add_test(many, fibers_in_a_ring_take_turns);

    TCase *threads = test_case(suite, "two threads");
    tcase_add_test(threads, fiber_goes_on_on_another_thread);

    TCase *entry = test_case(suite, "entry");
    tcase_add_test(entry, backtrace_ends_at_the_entry);
    tcase_add_test(entry, frames_of_a_fiber_are_aligned);
}
