/* test/test_stack.c -- stacks, their slabs and guards */
#include "fiber/stack.h"
#include "test/harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define KIB(n) ((size_t)(n) << 10)

static coir_i_stack_pool pool;

static void end_pool(void)
{
    coir_i_stack_pool_end(&pool);
    ck_assert_uint_eq(load_relaxed(&pool.stacks), 0);
    ck_assert_uint_eq(load_relaxed(&pool.bytes), 0);
}

/* ---- Shape ---- */

START_TEST(sizes_are_rounded_up)
{
    static const size_t asked[] = {0, 1, KIB(16), KIB(16) + 1, 100000};

    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        coir_i_stack_pool_init(&pool, asked[i]);
        coir_i_stack *stack = coir_i_stack_new(&pool);
        ck_assert_ptr_nonnull(stack);
        ck_assert_uint_ge(stack->size, asked[i]);
        ck_assert_uint_ge(stack->size, KIB(16));
        ck_assert_uint_lt(
            stack->size, (asked[i] > KIB(16) ? asked[i] : KIB(16)) + pool.page);
        ck_assert_uint_eq(stack->size % pool.page, 0);
        end_pool();
    }
}
END_TEST

START_TEST(header_is_at_the_top)
{
    coir_i_stack_pool_init(&pool, KIB(64));
    coir_i_stack *stack = coir_i_stack_new(&pool);
    ck_assert_ptr_eq((char *)(stack + 1), stack->low + stack->size);
    ck_assert_uint_eq((uintptr_t)stack % 16, 0);
    ck_assert_ptr_null(stack->slab);
    end_pool();
}
END_TEST

START_TEST(guard_is_a_quarter_but_64_kib_at_most)
{
    coir_i_stack_pool_init(&pool, KIB(64));
    ck_assert_uint_eq(coir_i_stack_new(&pool)->guard, KIB(16));
    end_pool();
    coir_i_stack_pool_init(&pool, KIB(1024));
    ck_assert_uint_eq(coir_i_stack_new(&pool)->guard, KIB(64));
    end_pool();
}
END_TEST

START_TEST(stacks_are_all_there_and_apart)
{
    enum { STACKS = 100 }; /* three slabs */
    coir_i_stack *stacks[STACKS];
    int wrong = 0;

    coir_i_stack_pool_init(&pool, 0);
    for (int i = 0; i < STACKS; i++) {
        coir_i_stack *stack = stacks[i] = coir_i_stack_new(&pool);
        char *low = stack->low + stack->guard;
        memset(low, i, (size_t)((char *)stack - low));
    }
    for (int i = 0; i < STACKS; i++)
        for (char *at = stacks[i]->low + stacks[i]->guard;
             at < (char *)stacks[i]; at++)
            wrong += *at != (char)i;
    ck_assert_int_eq(wrong, 0);
    ck_assert_uint_eq(load_relaxed(&pool.stacks), STACKS);
    ck_assert_uint_ge(load_relaxed(&pool.bytes), STACKS * pool.size);
    end_pool();
}
END_TEST

static int touch_guard(void *arg)
{
    volatile char *low;
    signal(SIGSEGV, SIG_DFL); /* and not a sanitizer's report */
    coir_i_stack_pool_init(&pool, KIB(64));
    low = coir_i_stack_new(&pool)->low;
    low[*(size_t *)arg] = 1;
    return 0;
}

START_TEST(guard_faults)
{
    size_t first = 0, last = KIB(16) - 1, beyond = KIB(16);
    test_dies(SIGSEGV, "", touch_guard, &first);
    test_dies(SIGSEGV, "", touch_guard, &last);
    test_survives(NULL, touch_guard, &beyond);
}
END_TEST

START_TEST(idle_stack_keeps_its_top)
{
    coir_i_stack_pool_init(&pool, KIB(256));
    coir_i_stack *stack = coir_i_stack_new(&pool);
    char *kept = stack->low + stack->size - COIR_I_STACK_KEPT;
    memset(stack->low + stack->guard, 1,
           stack->size - stack->guard - sizeof *stack);
    coir_i_stack_trim(stack);
    ck_assert_int_eq(kept[0], 1);
    ck_assert_int_eq(((char *)stack)[-1], 1);
    kept[-1] = 2;
    ck_assert_int_eq(kept[-1], 2);
    end_pool();
}
END_TEST

/* ---- One by one ---- */

START_TEST(sized_stack_comes_and_goes_alone)
{
    coir_i_stack_pool_init(&pool, KIB(64));
    coir_i_stack *stack = coir_i_stack_new_sized(&pool, KIB(1000));
    ck_assert_ptr_nonnull(stack);
    ck_assert_ptr_nonnull(stack->slab);
    ck_assert_uint_eq(stack->size, KIB(1000));
    ck_assert_uint_eq(load_relaxed(&pool.stacks), 1);
    ck_assert_uint_eq(load_relaxed(&pool.bytes), KIB(1000));
    coir_i_stack_free(&pool, stack);
    ck_assert_uint_eq(load_relaxed(&pool.stacks), 0);
    ck_assert_uint_eq(load_relaxed(&pool.bytes), 0);
    end_pool();
}
END_TEST

/* ---- Whose an address is ---- */

START_TEST(address_leads_to_its_stack)
{
    coir_i_place place;

    coir_i_stack_pool_init(&pool, KIB(64));
    coir_i_stack *ours[] = {coir_i_stack_new(&pool), coir_i_stack_new(&pool),
                            coir_i_stack_new_sized(&pool, KIB(128))};
    for (int i = 0; i < 3; i++) {
        char *low = ours[i]->low;
        size_t size = ours[i]->size;
        for (int end = 0; end < 2; end++) {
            ck_assert(coir_i_slab_find(low + (end ? size - 1 : 0), &place));
            ck_assert_ptr_eq(place.low, low);
            ck_assert_uint_eq(place.size, size);
            ck_assert_uint_eq(place.guard, ours[i]->guard);
        }
    }
    ck_assert(!coir_i_slab_find(&place, &place));
    ck_assert(!coir_i_slab_find(NULL, &place));
    char *gone = ours[2]->low;
    coir_i_stack_free(&pool, ours[2]);
    ck_assert(!coir_i_slab_find(gone, &place));
    gone = ours[0]->low;
    end_pool();
    ck_assert(!coir_i_slab_find(gone, &place));
}
END_TEST

/* ---- Many, and none ---- */

static int count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int lines = 0, c;

    while ((c = getc(maps)) != EOF)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

START_TEST(guards_cost_no_mappings)
{
    int stacks = (int)test_stacks(3000);
    int before = count_mappings();
    int missing = 0;

    coir_i_stack_pool_init(&pool, KIB(64));
    for (int i = 0; i < stacks; i++)
        missing += coir_i_stack_new(&pool) == NULL;
    ck_assert_int_eq(missing, 0);
    /* Before Linux 6.13 they do. */
    if (pool.slabs->guards == 0)
        ck_assert_int_lt(count_mappings() - before, 30);
    end_pool();
}
END_TEST

START_TEST(impossible_size_is_refused)
{
    coir_i_stack_pool_init(&pool, SIZE_MAX);
    ck_assert_ptr_null(coir_i_stack_new(&pool));
    end_pool();
    coir_i_stack_pool_init(&pool, KIB(64));
    ck_assert_ptr_null(coir_i_stack_new_sized(&pool, SIZE_MAX));
    ck_assert_ptr_null(coir_i_stack_new_sized(&pool, PTRDIFF_MAX));
    ck_assert_ptr_nonnull(coir_i_stack_new(&pool));
    ck_assert_uint_eq(load_relaxed(&pool.stacks), 1);
    end_pool();
}
END_TEST

START_TEST(pool_goes_on_when_there_is_memory_again)
{
    struct rlimit all, some;
    coir_i_stack *stack = NULL;
    uint64_t had = 0;

    /* The limit would hit a sanitizer or Valgrind before us. */
    if (test_scaled(1000) < 1000)
        return;
    coir_i_stack_pool_init(&pool, KIB(1024));
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &all), 0);
    some = all;
    some.rlim_cur = (rlim_t)KIB(300 * 1024);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &some), 0);
    do
        stack = coir_i_stack_new(&pool);
    while (stack && ++had < 1000);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &all), 0);
    ck_assert_ptr_null(stack);
    ck_assert_uint_eq(load_relaxed(&pool.stacks), had);
    /* Down to the last stack that fits. */
    ck_assert_uint_gt(had, 200);
    ck_assert_ptr_nonnull(coir_i_stack_new(&pool));
    end_pool();
}
END_TEST

COIR_SUITE(stack, TEST_ONCE)
{
    TCase *one = test_case(suite, "one stack");
    tcase_add_test(one, sizes_are_rounded_up);
    tcase_add_test(one, header_is_at_the_top);
    tcase_add_test(one, guard_is_a_quarter_but_64_kib_at_most);
    tcase_add_test(one, guard_faults);
    tcase_add_test(one, idle_stack_keeps_its_top);
    tcase_add_test(one, sized_stack_comes_and_goes_alone);
    tcase_add_test(one, address_leads_to_its_stack);

    TCase *many = test_case(suite, "many stacks");
    tcase_add_test(many, stacks_are_all_there_and_apart);
    tcase_add_test(many, guards_cost_no_mappings);

    TCase *none = test_case(suite, "out of memory");
    tcase_add_test(none, impossible_size_is_refused);
    tcase_add_test(none, pool_goes_on_when_there_is_memory_again);
}
