/* test/harness.c -- what every suite is built on: libcheck, and leak checks
 *
 * Does       main(): the suite once for each number of workers. Around each
 *            test, in its own process: what was open before is what is open
 *            after. Helpers for sizes, randomness, time and death.
 * Invariants The parent process starts no thread, scheduler or reactor: it is
 *            what the tests are forked from.
 * Fails      by ending the test's process, after which libcheck kills what
 *            remains of the test's process group.
 * Tests      test/test_harness.c: that it sees each leak. */
#include "test/harness.h"

#include <coir/run.h>
#include <coir/stats.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#undef _ck_assert_failed

/* How many times slower the program is, and how many stacks TSan can follow:
 * it knows 8128 threads and fibers. */
#if defined(__has_feature)
#    define HAS(sanitizer) __has_feature(sanitizer)
#else
#    define HAS(sanitizer) 0
#endif
#if defined(__SANITIZE_THREAD__) || HAS(thread_sanitizer)
enum { SLOWNESS = 20, STACKS_MAX = 3000, STARTS_A_THREAD = 1 };
#elif defined(__SANITIZE_ADDRESS__) || HAS(address_sanitizer)
enum { SLOWNESS = 4, STACKS_MAX = 20000, STARTS_A_THREAD = 0 };
#else
enum { SLOWNESS = 1, STACKS_MAX = INT32_MAX, STARTS_A_THREAD = 0 };
#endif

static struct {
    unsigned flags;
    uint64_t seed;
    bool forks; /* each test has a process of its own */
    const char *program;
} harness;

static const int64_t second = 1000000000;

/* ---- Leaks ---- */

enum { FDS_MAX = 1024, LEAK_WAIT_MS = 3000 };

/* What the test's process had before the test. */
static struct {
    bool fds[FDS_MAX];
    unsigned threads;
} before;

/* Call seen(number) for every entry of a folder of numbers in /proc. */
static unsigned count_entries(const char *folder, void (*seen)(int number))
{
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    unsigned count = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        int number = e->d_name[0] == '.' ? -1 : atoi(e->d_name);
        if (number < 0 || number == dirfd(dir))
            continue;
        count++;
        if (seen)
            seen(number);
    }
    closedir(dir);
    return count;
}

static void remember_fd(int fd)
{
    if (fd < FDS_MAX)
        before.fds[fd] = true;
}

static void refuse_new_fd(int fd)
{
    struct rlimit limit; /* Valgrind has its own beyond it */
    getrlimit(RLIMIT_NOFILE, &limit);
    if ((rlim_t)fd >= limit.rlim_cur || (fd < FDS_MAX && before.fds[fd]))
        return;
    char link[64], what[256] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, what, sizeof what - 1);
    what[size < 0 ? 0 : size] = '\0';
    ck_abort_msg("leak: descriptor %d is still open (%s)", fd, what);
}

static char names[256]; /* of the threads there are */

static void note_thread(int id)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", id);
    FILE *file = fopen(path, "r");
    if (!file)
        return; /* it has just ended */
    if (fgets(name, sizeof name, file))
        name[strcspn(name, "\n")] = '\0';
    fclose(file);
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, " %s", name);
}

static void *end_at_once(void *arg)
{
    return arg;
}

/* TSan starts a thread of its own with the first of the test's process. */
static void let_sanitizer_start_its_thread(void)
{
    pthread_t thread;
    if (STARTS_A_THREAD &&
        pthread_create(&thread, NULL, end_at_once, NULL) == 0)
        pthread_join(thread, NULL);
}

static void look_before(void)
{
    memset(&before, 0, sizeof before);
    let_sanitizer_start_its_thread();
    count_entries("/proc/self/fd", remember_fd);
    before.threads = count_entries("/proc/self/task", NULL);
}

/* pthread_join returns a moment before the kernel takes the thread out of the
 * list, and nothing else tells: hence the only wait by time in the harness. */
static void refuse_new_threads(void)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    unsigned threads = count_entries("/proc/self/task", NULL);
    for (int ms = 0; threads > before.threads && ms < LEAK_WAIT_MS; ms++) {
        nanosleep(&moment, NULL);
        threads = count_entries("/proc/self/task", NULL);
    }
    names[0] = '\0';
    count_entries("/proc/self/task", note_thread);
    ck_assert_msg(threads <= before.threads, "leak: %u threads, not %u:%s",
                  threads, before.threads, names);
}

static void look_after(void)
{
    count_entries("/proc/self/fd", refuse_new_fd);
    refuse_new_threads();

    int status;
    pid_t child = waitpid(-1, &status, WNOHANG | __WALL);
    ck_assert_msg(child < 0 && errno == ECHILD,
                  "leak: a child process %s (%d, status %d)",
                  child > 0 ? "was not reaped" : "is still there", (int)child,
                  child > 0 ? status : 0);

    coir_stats stats;
    coir_stats_get(&stats);
    ck_assert_msg(stats.stacks == 0, "leak: %" PRIu64 " stacks are mapped",
                  stats.stacks);
}

/* ---- Sizes and randomness ---- */

static double number_from_environment(const char *name, double otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtod(text, NULL) : otherwise;
}

uint64_t test_scaled(uint64_t n)
{
    double slowness = number_from_environment("TEST_SLOWNESS", SLOWNESS);
    uint64_t scaled = slowness > 1 ? (uint64_t)((double)n / slowness) : n;
    return scaled > 0 ? scaled : 1;
}

uint64_t test_stacks(uint64_t n)
{
    uint64_t scaled = test_scaled(n);
    return scaled < STACKS_MAX ? scaled : STACKS_MAX;
}

/* splitmix64: one addition and a mix, good from any seed. */
uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint64_t test_random_below(uint64_t *state, uint64_t bound)
{
    return test_random(state) % bound;
}

uint64_t test_seed(uint64_t salt)
{
    uint64_t state = harness.seed ^ (salt * 0xd1342543de82ef95);
    return test_random(&state);
}

static void choose_seed(void)
{
    const char *text = getenv("COIR_STRESS_SEED");
    if (text && *text)
        harness.seed = strtoull(text, NULL, 0);
    else if (getrandom(&harness.seed, sizeof harness.seed, 0) < 0)
        harness.seed = (uint64_t)time(NULL);
}

/* ---- How long ---- */

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * second + t.tv_nsec;
}

static double stress_seconds(void)
{
    double minutes = number_from_environment("MINUTES", 0);
    return minutes > 0 ? minutes * 60 : 1;
}

struct stress_clock stress_clock_start(void)
{
    double length = stress_seconds() * (double)second;
    return (struct stress_clock){.end = now() + (int64_t)length};
}

bool stress_goes_on(const struct stress_clock *clock)
{
    return now() < clock->end;
}

/* ---- Workers ---- */

unsigned test_workers(void)
{
    return (unsigned)number_from_environment("COIR_WORKERS", 1);
}

int run_workers(unsigned workers, coir_fn *body, void *arg)
{
    const coir_config config = {.workers = workers};
    return coir_run_with(&config, body, arg);
}

/* ---- Death ---- */

struct end {
    int status;
    char errors[16384]; /* what it wrote to standard error, cut */
};

/* A file and not a pipe: who outlives the child cannot hold us up. */
static struct end run_in_child(coir_fn *body, void *arg)
{
    struct end end = {0};
    int file = memfd_create("standard error", MFD_CLOEXEC);
    ck_assert_int_ge(file, 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(file, STDERR_FILENO);
        close(file);
        _exit(body(arg));
    }
    ck_assert_int_eq(waitpid(child, &end.status, 0), child);
    ssize_t size = pread(file, end.errors, sizeof end.errors - 1, 0);
    ck_assert_int_ge(size, 0);
    close(file);
    return end;
}

static void check_text(const struct end *end, const char *text)
{
    ck_assert_msg(strstr(end->errors, text) != NULL,
                  "\"%s\" is not in what was written:\n%s", text, end->errors);
}

void test_dies(int signal, const char *text, coir_fn *body, void *arg)
{
    struct end end = run_in_child(body, arg);
    ck_assert_msg(WIFSIGNALED(end.status) && WTERMSIG(end.status) == signal,
                  "ended with wait status %#x, not by signal %d, having "
                  "written:\n%s",
                  (unsigned)end.status, signal, end.errors);
    check_text(&end, text);
}

void test_survives(const char *text, coir_fn *body, void *arg)
{
    struct end end = run_in_child(body, arg);
    ck_assert_msg(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0,
                  "ended with wait status %#x, not well, having written:\n%s",
                  (unsigned)end.status, end.errors);
    if (text)
        check_text(&end, text);
}

/* ---- libcheck ---- */

void test_assertion_failed(const char *file, int line, const char *expression,
                           const char *format, ...)
{
    char text[2048] = "";
    if (format) {
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
    }
    if (harness.forks)
        _ck_assert_failed(file, line, format ? text : expression, NULL);
    fprintf(stderr, "%s:%d: %s\n", file, line, format ? text : expression);
    abort();
}

TCase *test_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, look_before, look_after);
    double longer = harness.flags & TEST_STRESS ? stress_seconds() : 0;
    tcase_set_timeout(tcase, 60 + longer);
    suite_add_tcase(suite, tcase);
    return tcase;
}

static const char *setting(const char *variable)
{
    const char *text = getenv(variable);
    return text && *text ? text : NULL;
}

static void repeat_with(const char *variable)
{
    if (setting(variable))
        printf("%s=%s ", variable, setting(variable));
}

static bool run_suite(const char *name, void (*fill)(Suite *suite))
{
    const char *workers = setting("COIR_WORKERS"), *seed = setting("COIR_SEED");
    char title[128];
    if (seed)
        snprintf(title, sizeof title, "%s, COIR_SEED=%s", name, seed);
    else if (harness.flags & TEST_WORKERS)
        snprintf(title, sizeof title, "%s, COIR_WORKERS=%s", name, workers);
    else
        snprintf(title, sizeof title, "%s", name);
    Suite *suite = suite_create(title);
    fill(suite);
    SRunner *runner = srunner_create(suite);
    harness.forks = srunner_fork_status(runner) == CK_FORK;
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (failed > 0 && (seed || harness.flags & TEST_STRESS)) {
        printf("To repeat this: ");
        repeat_with("COIR_SEED");
        repeat_with("COIR_WORKERS");
        printf("COIR_STRESS_SEED=%#" PRIx64 " %s\n", harness.seed,
               harness.program);
    }
    return failed == 0;
}

static bool run_with_workers(const char *name, void (*fill)(Suite *suite))
{
    static const char *const counts[] = {"1", "2", "8"};
    bool all = harness.flags & TEST_WORKERS && !setting("COIR_WORKERS");
    bool good = true;
    if (!all && !setting("COIR_WORKERS"))
        setenv("COIR_WORKERS", counts[0], 1);
    for (size_t i = 0; i < (all ? sizeof counts / sizeof *counts : 1); i++) {
        if (all)
            setenv("COIR_WORKERS", counts[i], 1);
        good = run_suite(name, fill) && good;
    }
    if (all)
        unsetenv("COIR_WORKERS");
    return good;
}

static bool run_with_seeds(const char *name, void (*fill)(Suite *suite))
{
    double count = number_from_environment("TEST_SEEDS", 2);
    uint64_t state = harness.seed;
    bool good = true;
    setenv("COIR_WORKERS", "1", 1);
    for (int i = 0; i < count; i++) {
        char seed[32];
        snprintf(seed, sizeof seed, "%" PRIu64, test_random(&state) >> 32 | 1);
        setenv("COIR_SEED", seed, 1);
        good = run_suite(name, fill) && good;
    }
    return good;
}

int test_main(const char *name, unsigned flags, void (*fill)(Suite *suite))
{
    setvbuf(stdout, NULL, _IONBF, 0); /* forked tests would print it again */
    harness.flags = flags;
    harness.program = program_invocation_name;
    choose_seed();
    if (setting("COIR_SEED") && !(flags & TEST_SEEDED)) {
        printf("%s: not with a seed\n", name);
        return EXIT_SUCCESS;
    }
    bool fixed = setting("COIR_SEED") || setting("COIR_WORKERS");
    bool good = setting("COIR_SEED") ? run_suite(name, fill)
                                     : run_with_workers(name, fill);
    if (!fixed && flags & TEST_SEEDED)
        good = run_with_seeds(name, fill) && good;
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
