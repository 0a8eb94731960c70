/* test/test_processes.c -- coir_process_pool: jobs and results
 *
 * Beside it: test_worker_process.c, what workers are; test_process_death.c,
 * what dies or is cancelled; test_process_end.c, what ends. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/processes.h>
#include <coir/run.h>

#include "test/processes.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Jobs ---- */

static ssize_t echo(const void *arg, size_t size, void *result, size_t capacity)
{
    if (size <= capacity && size > 0)
        memcpy(result, arg, size);
    return (ssize_t)size;
}

static ssize_t negate(const void *arg, size_t size, void *result,
                      size_t capacity)
{
    (void)size, (void)result, (void)capacity;
    return -*(const int *)arg;
}

/* 1 + 2: no argument; 4: it is aligned; and the like for the result. */
static ssize_t describe(const void *arg, size_t size, void *result,
                        size_t capacity)
{
    unsigned seen = (arg == NULL) + 2U * (size == 0) +
                    4U * ((uintptr_t)arg % 64 == 0) + 8U * (result == NULL) +
                    16U * (capacity == 0) + 32U * ((uintptr_t)result % 64 == 0);
    return -1000 - (ssize_t)seen;
}

static ssize_t do_nothing(const void *arg, size_t size, void *result,
                          size_t capacity)
{
    (void)arg, (void)size, (void)result, (void)capacity;
    return 0;
}

/* ---- Results ---- */

static int return_results(coir_process_pool *pool)
{
    char text[] = "from here to there", back[64] = "";
    int number = 77;
    ssize_t n =
        coir_process_pool_run(pool, echo, text, sizeof text, back, sizeof back);
    ck_assert_int_eq(n, sizeof text);
    ck_assert_str_eq(back, text);
    n = coir_process_pool_run(pool, negate, &number, sizeof number, NULL, 0);
    ck_assert_int_eq(n, -77);
    return 0;
}

START_TEST(run_returns_the_result_of_the_job)
{
    run_on(2, return_results);
}
END_TEST

static ssize_t run_describe(coir_process_pool *pool, const void *arg,
                            size_t size, void *result, size_t capacity)
{
    return -1000 -
           coir_process_pool_run(pool, describe, arg, size, result, capacity);
}

static int pass_nothing(coir_process_pool *pool)
{
    char some[64];
    ck_assert_int_eq(run_describe(pool, NULL, 0, NULL, 0), 63);
    ck_assert_int_eq(run_describe(pool, some, 0, some, 0), 2 + 4 + 16 + 32);
    ck_assert_int_eq(run_describe(pool, some, 1, some, 1), 4 + 32);
    ck_assert_int_eq(run_describe(pool, some, 33, NULL, 0), 4 + 8 + 16 + 32);
    ck_assert_int_eq(run_describe(pool, NULL, 1, some, 1), -1000 + EINVAL);
    ck_assert_int_eq(run_describe(pool, some, 1, NULL, 1), -1000 + EINVAL);
    return 0;
}

START_TEST(run_passes_null_and_nothing)
{
    run_on(1, pass_nothing);
}
END_TEST

static int refuse_long_result(coir_process_pool *pool)
{
    char text[100] = "long", back[100] = "";
    ssize_t n = coir_process_pool_run(pool, echo, text, 100, back, 99);
    ck_assert_int_eq(n, -EMSGSIZE);
    ck_assert_str_eq(back, "");
    n = coir_process_pool_run(pool, echo, text, 100, back, 100);
    ck_assert_int_eq(n, 100);
    return 0;
}

START_TEST(run_refuses_a_result_that_does_not_fit)
{
    run_on(1, refuse_long_result);
}
END_TEST

static void fill(unsigned char *bytes, size_t size, uint64_t salt)
{
    uint64_t random = test_seed(salt);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)test_random(&random);
}

static int pass_sizes(coir_process_pool *pool)
{
    static const size_t sizes[] = {
        1,   63,      65100,   65536, 65537, 200000,  1 << 20,
        300, 4194304, 9000001, 100,   70000, 8 << 20, 0,
    };
    unsigned char *bytes = malloc(9000001), *back = malloc(9000001);
    fill(bytes, 9000001, 1);
    int wrong = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        memset(back, 0, size);
        ssize_t n = coir_process_pool_run(pool, echo, bytes, size, back, size);
        wrong += n != (ssize_t)size || memcmp(back, bytes, size) != 0;
    }
    ck_assert_int_eq(wrong, 0);
    free(bytes);
    free(back);
    return 0;
}

START_TEST(run_passes_arguments_of_any_size)
{
    run_on(1, pass_sizes);
}
END_TEST

static int ask_for_impossible(coir_process_pool *pool)
{
    char byte = 1, back = 0;
    ssize_t n =
        coir_process_pool_run(pool, echo, &byte, 1, &back, SIZE_MAX / 2);
    ck_assert_int_eq(n, -ENOMEM);
    n = coir_process_pool_run(pool, echo, &byte, 1, &back, SIZE_MAX);
    ck_assert_int_eq(n, -ENOMEM);
    n = coir_process_pool_run(pool, echo, &byte, 1, &back, 1);
    ck_assert_int_eq(n, 1);
    return 0;
}

START_TEST(run_refuses_sizes_that_no_machine_has)
{
    run_on(1, ask_for_impossible);
}
END_TEST

static int run_code_of_no_file(coir_process_pool *pool)
{
    unsigned char code[64];
    coir_job_fn *fn;
    unsigned char *at = code;
    memcpy(&fn, &at, sizeof fn);
    ck_assert_int_eq(coir_process_pool_run(pool, fn, NULL, 0, NULL, 0),
                     -ENOENT);
    ck_assert_ptr_nonnull(strstr(coir_message(), "no loaded file"));
    ck_assert_int_eq(coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0),
                     0);
    return 0;
}

START_TEST(run_refuses_code_of_no_file)
{
    run_on(1, run_code_of_no_file);
}
END_TEST

/* adler32(sum, NULL, size) of zlib is 1: a job of sorts that is found on any
 * machine, and that nothing here has loaded. */
static coir_job_fn *adler32_of(void *library)
{
    void *at = library ? dlsym(library, "adler32") : NULL;
    coir_job_fn *fn;
    memcpy(&fn, &at, sizeof fn);
    return fn;
}

static int load_since(coir_process_pool *pool)
{
    char back = 0;
    void *library = dlopen("libz.so.1", RTLD_NOW);
    coir_job_fn *fn = adler32_of(library);
    if (!fn)
        return 0;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(coir_process_pool_run(pool, fn, NULL, 0, &back, 1), 1);
        ck_assert_int_eq(
            coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0), 0);
    }
    dlclose(library);
    return 0;
}

START_TEST(run_loads_code_that_was_loaded_since)
{
    run_on(1, load_since);
}
END_TEST

/* A copy of the library that is gone when the worker looks for it. */
static void *load_and_remove(const char *copy)
{
    char bytes[4096];
    Dl_info info;
    void *library = dlopen("libz.so.1", RTLD_NOW);
    void *at = library ? dlsym(library, "adler32") : NULL;
    if (!at || !dladdr(at, &info))
        return NULL;
    FILE *from = fopen(info.dli_fname, "r"), *to = fopen(copy, "w");
    ck_assert(from != NULL && to != NULL);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, from)) > 0;)
        ck_assert_uint_eq(fwrite(bytes, 1, n, to), n);
    fclose(from);
    fclose(to);
    dlclose(library);
    library = dlopen(copy, RTLD_NOW);
    unlink(copy);
    return library;
}

static int load_what_is_gone(coir_process_pool *pool)
{
    char copy[64], back = 0;
    snprintf(copy, sizeof copy, "/tmp/coir-test-%d.so", (int)getpid());
    void *library = load_and_remove(copy);
    coir_job_fn *fn = adler32_of(library);
    if (!fn)
        return 0;
    for (int i = 0; i < 2; i++) {
        ssize_t n = coir_process_pool_run(pool, fn, NULL, 0, &back, 1);
        ck_assert_int_eq(n, -ENOENT);
        ck_assert_ptr_nonnull(strstr(coir_message(), "cannot be loaded"));
        n = coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0);
        ck_assert_int_eq(n, 0);
    }
    dlclose(library);
    return 0;
}

START_TEST(run_refuses_code_that_a_worker_cannot_load)
{
    run_on(1, load_what_is_gone);
}
END_TEST

START_TEST(run_outside_a_fiber_is_refused)
{
    coir_process_pool *pool;
    ck_assert_int_eq(coir_process_pool_new(&pool, NULL), 0);
    ck_assert_int_eq(coir_process_pool_run(pool, do_nothing, NULL, 0, NULL, 0),
                     -EPERM);
    coir_process_pool_free(pool);
    coir_process_pool_free(NULL);
}
END_TEST

/* ---- Many ---- */

enum { MANY = 64, ROUNDS = 20 };

static int echo_often(void *arg)
{
    int id = *(const int *)arg, wrong = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int numbers[3] = {id, i, id * i}, back[3] = {0};
        ssize_t n = coir_process_pool_run(shared_pool, echo, numbers,
                                          sizeof numbers, back, sizeof back);
        wrong += n != sizeof numbers || memcmp(numbers, back, sizeof back) != 0;
    }
    return wrong;
}

static int echo_together(coir_process_pool *pool)
{
    int ids[MANY];
    shared_pool = pool;
    for (int i = 0; i < MANY; i++)
        ids[i] = i;
    return coir_each(echo_often, ids, MANY, sizeof *ids, 0);
}

START_TEST(run_serves_64_callers)
{
    run_on(2, echo_together);
}
END_TEST

COIR_SUITE(processes, TEST_WORKERS)
{
    if (!has_process_pools())
        return;
    TCase *result = test_case(suite, "result");
    tcase_add_test(result, run_returns_the_result_of_the_job);
    tcase_add_test(result, run_passes_null_and_nothing);
    tcase_add_test(result, run_refuses_a_result_that_does_not_fit);
    tcase_add_test(result, run_passes_arguments_of_any_size);
    tcase_add_test(result, run_refuses_sizes_that_no_machine_has);
    tcase_add_test(result, run_refuses_code_of_no_file);
    tcase_add_test(result, run_loads_code_that_was_loaded_since);
    tcase_add_test(result, run_refuses_code_that_a_worker_cannot_load);
    tcase_add_test(result, run_outside_a_fiber_is_refused);
    tcase_add_test(result, run_serves_64_callers);
}
