/* test/test_names.c -- coir_getaddrinfo
 *
 * The resolver here is the test's own, so that it answers, fails and hangs when
 * it is told to. Names that begin with a digit go to the C library's. */
#include <coir/files.h>
#include <coir/io.h>
#include <coir/names.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/threads.h>
#include <coir/time.h>

#include "test/harness.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The resolver ---- */

static struct {
    _Atomic(int) lists;   /* that nobody has freed */
    _Atomic(int) lookups; /* of names that hang: begun */
    sem_t answer;         /* one post lets one of them end */
    pthread_mutex_t lock; /* of all that follows: as the last one was called */
    const char *host;
    const char *service;
    struct addrinfo hints;
    bool has_hints;
} resolver = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int answer(struct addrinfo **ret_found)
{
    struct addrinfo *found = calloc(1, sizeof *found + 16);
    if (!found)
        return EAI_MEMORY;
    found->ai_family = 77;
    atomic_fetch_add(&resolver.lists, 1);
    *ret_found = found;
    return 0;
}

static const struct {
    const char *host;
    int error, number, result;
} failures[] = {
    {"none", EAI_NONAME, 0, -ENOENT},
    {"nothing", EAI_NODATA, 0, -ENOENT},
    {"later", EAI_AGAIN, 0, -EAGAIN},
    {"memory", EAI_MEMORY, 0, -ENOMEM},
    {"system", EAI_SYSTEM, EMFILE, -EMFILE},
    {"service", EAI_SERVICE, 0, -EINVAL},
    {"family", EAI_FAMILY, 0, -EINVAL},
    {"fail", EAI_FAIL, 0, -EINVAL},
};
static char host[] = "host", slow[] = "slow"; /* whom to ask for */

enum { FAILURES = sizeof failures / sizeof *failures };

typedef int resolve_fn(const char *name, const char *service,
                       const struct addrinfo *hints, struct addrinfo **found);

static int resolve_really(const char *name, const char *service,
                          const struct addrinfo *hints, struct addrinfo **found)
{
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    resolve_fn *real;
    memcpy(&real, &symbol, sizeof real);
    int rc = real(name, service, hints, found);
    if (rc == 0)
        atomic_fetch_add(&resolver.lists, 1);
    return rc;
}

static void note_call(const char *name, const char *service,
                      const struct addrinfo *hints)
{
    pthread_mutex_lock(&resolver.lock);
    resolver.host = name;
    resolver.service = service;
    resolver.has_hints = hints != NULL;
    if (hints)
        resolver.hints = *hints;
    pthread_mutex_unlock(&resolver.lock);
}

int getaddrinfo(const char *name, const char *service,
                const struct addrinfo *hints, struct addrinfo **found)
{
    note_call(name, service, hints);
    if (name && *name >= '0' && *name <= '9')
        return resolve_really(name, service, hints, found);
    if (name && strcmp(name, "slow") == 0) {
        atomic_fetch_add(&resolver.lookups, 1);
        while (sem_wait(&resolver.answer) < 0) {
        }
    }
    for (int i = 0; name && i < FAILURES; i++) {
        if (strcmp(name, failures[i].host) == 0) {
            errno = failures[i].number;
            return failures[i].error;
        }
    }
    return answer(found);
}

void freeaddrinfo(struct addrinfo *list)
{
    atomic_fetch_sub(&resolver.lists, 1);
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list->ai_canonname);
        free(list);
        list = next;
    }
}

static void set_up(void)
{
    sem_init(&resolver.answer, 0, 0);
}

static void post(int times)
{
    while (times-- > 0)
        sem_post(&resolver.answer);
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(coir_run(body, NULL), 0);
}

/* ---- Results ---- */

static int look_up(void *arg)
{
    struct addrinfo *found = NULL;
    int rc = coir_getaddrinfo(arg, NULL, NULL, &found);
    if (rc == 0) {
        ck_assert_int_eq(found->ai_family, 77);
        freeaddrinfo(found);
    }
    return rc;
}

static int look_up_all(void *arg)
{
    (void)arg;
    ck_assert_int_eq(look_up(host), 0);
    for (int i = 0; i < FAILURES; i++)
        ck_assert_int_eq(look_up((void *)(uintptr_t)failures[i].host),
                         failures[i].result);
    ck_assert_int_eq(resolver.lists, 0);
    return 0;
}

START_TEST(name_is_found_or_it_is_said_why_not)
{
    run_body(look_up_all);
}
END_TEST

static int look_up_with_hints(void *arg)
{
    char service[] = "http";
    struct addrinfo *found, hints = {.ai_flags = AI_PASSIVE,
                                     .ai_family = AF_INET6,
                                     .ai_socktype = SOCK_DGRAM,
                                     .ai_protocol = 17};
    (void)arg;
    ck_assert_int_eq(coir_getaddrinfo(host, service, &hints, &found), 0);
    freeaddrinfo(found);
    ck_assert_ptr_ne(resolver.host, host);
    ck_assert_ptr_ne(resolver.service, service);
    ck_assert_mem_eq(&resolver.hints, &hints, sizeof hints);
    ck_assert_int_eq(coir_getaddrinfo(NULL, service, NULL, &found), 0);
    freeaddrinfo(found);
    ck_assert_ptr_null(resolver.host);
    ck_assert(!resolver.has_hints);
    ck_assert_int_eq(coir_getaddrinfo(host, NULL, NULL, &found), 0);
    freeaddrinfo(found);
    ck_assert_ptr_null(resolver.service);
    return 0;
}

START_TEST(lookup_passes_copies_of_what_it_was_given)
{
    run_body(look_up_with_hints);
}
END_TEST

static int look_up_numbers(void *arg)
{
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    (void)arg;
    ck_assert_int_eq(coir_getaddrinfo("127.0.0.1", "80", &hints, &found), 0);
    const struct sockaddr_in *address =
        (const struct sockaddr_in *)(const void *)found->ai_addr;
    ck_assert_int_eq(found->ai_family, AF_INET);
    ck_assert_int_eq(address->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    ck_assert_int_eq(address->sin_port, htons(80));
    freeaddrinfo(found);
    hints.ai_flags = AI_NUMERICHOST;
    ck_assert_int_eq(coir_getaddrinfo("1.2.3.4.5", NULL, &hints, &found),
                     -ENOENT);
    return 0;
}

START_TEST(lookup_finds_numeric_addresses)
{
    run_body(look_up_numbers);
}
END_TEST

START_TEST(lookup_outside_a_fiber_is_refused)
{
    struct addrinfo *found;
    ck_assert_int_eq(coir_getaddrinfo("host", NULL, NULL, &found), -EPERM);
}
END_TEST

/* ---- Cancelling ---- */

static int look_up_in_cancelled_scope(void *arg)
{
    coir_scope scope;
    (void)arg;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    int rc = look_up(host);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ECANCELED);
    ck_assert_ptr_null(resolver.host);
    return 0;
}

START_TEST(lookup_in_a_cancelled_scope_is_not_made)
{
    run_body(look_up_in_cancelled_scope);
}
END_TEST

static int await_lookups(int count)
{
    int rc = 0;
    while (rc == 0 && atomic_load(&resolver.lookups) < count)
        rc = coir_sleep(COIR_US(100));
    return rc;
}

enum { SLOW = 10 };

/* Cancelled, they are over though the resolver still hangs; what it finds is
 * freed. */
static int cancel_lookups(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    for (int i = 0; i < SLOW; i++)
        ck_assert_int_eq(coir_go(&nursery, look_up, slow), 0);
    ck_assert_int_eq(await_lookups(SLOW), 0);
    coir_nursery_cancel(&nursery);
    COIR_IGNORE(coir_nursery_close(&nursery));
    ck_assert_int_eq(resolver.lists, 0);
    post(SLOW);
    return 0;
}

START_TEST(lookup_that_is_cancelled_returns_at_once)
{
    run_body(cancel_lookups);
    ck_assert_int_eq(resolver.lookups, SLOW);
    ck_assert_int_eq(resolver.lists, 0);
}
END_TEST

static int race_with_answers(void *arg)
{
    uint64_t random = test_seed(1);
    int wrong = 0;
    (void)arg;
    for (uint64_t i = 0; i < test_scaled(1000); i++) {
        coir_time moment = (coir_time)test_random_below(&random, 60000);
        int rc = coir_timeout(moment, look_up, host);
        wrong += rc != 0 && rc != -ETIMEDOUT;
    }
    ck_assert_int_eq(wrong, 0);
    return 0;
}

START_TEST(lookup_leaves_no_list_behind)
{
    run_body(race_with_answers);
    ck_assert_int_eq(resolver.lists, 0);
}
END_TEST

/* ---- Beside others ---- */

static int return_7(void *arg)
{
    (void)arg;
    return 7;
}

static int use_files_beside(void *arg)
{
    enum { MANY = 100 };
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(coir_go(&nursery, look_up, slow), 0);
    ck_assert_int_eq(await_lookups(SLOW), 0);
    int fd = coir_open("/dev/null", O_WRONLY, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(coir_pwrite(fd, "text", 4, 0), 4);
    ck_assert_int_eq(coir_close(fd), 0);
    ck_assert_int_eq(coir_blocking(return_7, NULL), 7);
    post(MANY);
    return coir_nursery_close(&nursery);
}

START_TEST(slow_names_hold_up_neither_files_nor_calls)
{
    run_body(use_files_beside);
    ck_assert_int_eq(resolver.lists, 0);
}
END_TEST

static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static int leave_lookups(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    for (int i = 0; i < SLOW; i++)
        ck_assert_int_eq(coir_go(&nursery, look_up, slow), 0);
    ck_assert_int_eq(await_lookups(SLOW), 0);
    coir_nursery_cancel(&nursery);
    COIR_IGNORE(coir_nursery_close(&nursery));
    return 0;
}

/* They end when they can, beside another runtime. */
static int let_lookups_end(void *arg)
{
    (void)arg;
    ck_assert_int_eq(look_up(host), 0);
    post(SLOW);
    ck_assert_int_eq(look_up(host), 0);
    return 0;
}

START_TEST(runtime_ends_though_a_resolver_hangs)
{
    unsigned before = count_threads();
    run_body(leave_lookups);
    ck_assert_uint_eq(count_threads(), before + SLOW);
    run_body(let_lookups_end);
    while (count_threads() > before)
        usleep(1000);
    ck_assert_int_eq(resolver.lists, 0);
}
END_TEST

COIR_SUITE(names, TEST_WORKERS)
{
    TCase *result = test_case(suite, "result");
    tcase_add_test(result, name_is_found_or_it_is_said_why_not);
    tcase_add_test(result, lookup_passes_copies_of_what_it_was_given);
    tcase_add_test(result, lookup_finds_numeric_addresses);
    tcase_add_test(result, lookup_outside_a_fiber_is_refused);

    TCase *cancel = test_case(suite, "cancel");
    tcase_add_test(cancel, lookup_in_a_cancelled_scope_is_not_made);
    tcase_add_test(cancel, lookup_that_is_cancelled_returns_at_once);
    tcase_add_test(cancel, lookup_leaves_no_list_behind);

    TCase *beside = test_case(suite, "beside");
    tcase_add_test(beside, slow_names_hold_up_neither_files_nor_calls);
    tcase_add_test(beside, runtime_ends_though_a_resolver_hangs);
    TCase *const all[] = {result, cancel, beside};
    for (int i = 0; i < 3; i++)
        tcase_add_checked_fixture(all[i], set_up, NULL);
}
