/* bench/bench.c -- runs, medians, rows
 *
 * Does       run a function in a process of its own and say what that cost;
 *            ask a question several times and print it beside its target.
 *
 * Invariants
 *   I1  a run finds nothing of the run before it: it has its own process, and
 *       the one that starts it stays small.
 *   I2  a run ends: SIGALRM ends it at its limit, SIGKILL with its parent.
 *   I3  CPU time and the peak come from wait4(), so they hold whatever the run
 *       itself has waited for: its worker processes too.
 *
 * Fails      with a message and a negated error number; a question that could
 *            not be answered makes the program's exit status 1.
 */
#include "bench/bench.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    RUNS = 5,
    RUNS_MAX = 99,
    RUN_SECONDS = 60, /* for one run of a question */
    BAR_WIDTH = 22
};

int64_t bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double sum_of_usage(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

double bench_cpu(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) < 0)
        return 0;
    return sum_of_usage(&usage);
}

double bench_resident(void)
{
    long pages = -1;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file == NULL)
        return -1;
    if (fscanf(file, "%*s %ld", &pages) != 1)
        pages = -1;
    fclose(file);
    return pages < 0 ? -1 : (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *samples, size_t count)
{
    if (count == 0)
        return 0;
    qsort(samples, count, sizeof(*samples), compare_doubles);
    if (count % 2 == 1)
        return samples[count / 2];
    return (samples[count / 2 - 1] + samples[count / 2]) / 2;
}

void *bench_shared_new(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void bench_shared_free(void *memory, size_t size)
{
    if (memory != NULL)
        munmap(memory, size);
}

/* ---- a run ---- */

/* What a run leaves for its parent, in shared memory. */
struct outcome {
    double wall;
    int rc;
};

static _Noreturn void run_here(bench_fn *fn, void *arg, unsigned limit,
                               struct outcome *outcome)
{
    int64_t begin;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(limit);
    begin = bench_now();
    outcome->rc = fn(arg);
    outcome->wall = (double)(bench_now() - begin) / 1e9;
    fflush(NULL);
    _exit(0);
}

/* Wait for the run, and see how it came to its end. */
static int await_run(pid_t pid, unsigned limit, struct rusage *usage)
{
    int status;

    while (wait4(pid, &status, 0, usage) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    if (!WIFSIGNALED(status))
        return 0;
    if (WTERMSIG(status) == SIGALRM) {
        fprintf(stderr, "bench: not done after %u s\n", limit);
        return -ETIME;
    }
    fprintf(stderr, "bench: a run was ended by %s\n",
            strsignal(WTERMSIG(status)));
    return -EOWNERDEAD;
}

int bench_apart(bench_fn *fn, void *arg, unsigned limit,
                struct bench_cost *ret_cost)
{
    struct outcome *outcome = bench_shared_new(sizeof(*outcome));
    struct rusage usage;
    pid_t pid;
    int rc;

    if (outcome == NULL)
        return -ENOMEM;
    outcome->rc = -EOWNERDEAD;
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        run_here(fn, arg, limit, outcome);
    rc = pid < 0 ? -errno : await_run(pid, limit, &usage);
    if (rc == 0) {
        rc = outcome->rc;
        *ret_cost = (struct bench_cost){outcome->wall, sum_of_usage(&usage),
                                        (double)usage.ru_maxrss / 1024};
    }
    bench_shared_free(outcome, sizeof(*outcome));
    return rc;
}

/* ---- rows ---- */

bool bench_is_tsv(void)
{
    const char *tsv = getenv("TSV");

    return tsv != NULL && strcmp(tsv, "1") == 0;
}

/* Three digits, or all of those before the point. */
static const char *number_text(double value, char *text, size_t size)
{
    int digits = value < 10 ? 2 : value < 100 ? 1 : 0;

    snprintf(text, size, "%.*f", digits, value);
    return text;
}

static void print_tsv(const struct bench_row *row, double ratio)
{
    printf("%s\t%u\t%.6g\t%.6g\t%s", row->id, row->workers, row->median,
           row->least, row->unit);
    if (row->target > 0)
        printf("\t%.6g\t%.3f", row->target, ratio);
    else
        printf("\t-\t-");
    printf("\t%s\n", row->text);
}

static void print_line(const struct bench_row *row, double ratio)
{
    static bool headed;
    char median[32];
    char least[32];
    char target[32];

    if (!headed)
        printf("%-45s %7s %8s %8s %8s\n", "", "workers", "median", "least",
               "target");
    headed = true;
    printf("%-38s %6s %7u %8s %8s", row->text, row->unit, row->workers,
           number_text(row->median, median, sizeof(median)),
           number_text(row->least, least, sizeof(least)));
    if (row->target > 0)
        printf(" %8s  x %.2f%s",
               number_text(row->target, target, sizeof(target)), ratio,
               ratio > 1 ? " missed" : "");
    printf("\n");
}

void bench_row_print(const struct bench_row *row)
{
    double ratio = row->more_is_better ? row->target / row->median
                                       : row->median / row->target;

    if (bench_is_tsv())
        print_tsv(row, ratio);
    else
        print_line(row, ratio);
    fflush(stdout);
}

/* Pieces of a bar, an eighth of a column each. */
static const char *const eighths[] = {"",       "\u258f", "\u258e",
                                      "\u258d", "\u258c", "\u258b",
                                      "\u258a", "\u2589", "\u2588"};

void bench_bar_print(double share)
{
    static int utf8 = -1;
    int length;

    if (!isatty(STDOUT_FILENO))
        return;
    if (utf8 < 0) {
        setlocale(LC_CTYPE, "");
        utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    }
    length = (int)(share * BAR_WIDTH * 8 + 0.5);
    if (length < 1)
        length = 1;
    for (; length >= 8; length -= 8)
        fputs(utf8 ? eighths[8] : "#", stdout);
    fputs(utf8 ? eighths[length] : length >= 4 ? "#" : "", stdout);
}

/* ---- questions ---- */

/* The argument of one run of a question. */
struct asked {
    const struct bench_question *question;
    unsigned workers;
    double *value; /* shared with the process that asks */
};

static int run_question(void *arg)
{
    struct asked *asked = arg;

    return asked->question->measure(asked->workers, asked->value);
}

static unsigned runs_of(const struct bench_question *question)
{
    const char *text = getenv("RUNS");
    unsigned long runs = text != NULL ? strtoul(text, NULL, 10) : 0;

    if (runs == 0)
        runs = question->runs != 0 ? question->runs : RUNS;
    return runs < RUNS_MAX ? (unsigned)runs : RUNS_MAX;
}

/* All runs of a question with one number of workers. */
static int sample(struct asked *asked, unsigned runs, double *values,
                  double *peaks)
{
    struct bench_cost cost;

    for (unsigned i = 0; i < runs; i++) {
        int rc = bench_apart(run_question, asked, RUN_SECONDS, &cost);

        if (rc < 0) {
            fprintf(stderr, "bench: %s with %u workers: %s\n",
                    asked->question->id, asked->workers, strerror(-rc));
            return rc;
        }
        values[i] = *asked->value;
        peaks[i] = cost.peak;
    }
    return 0;
}

static int ask_with(struct asked *asked, double target)
{
    const struct bench_question *question = asked->question;
    unsigned runs = runs_of(question);
    double values[RUNS_MAX];
    double peaks[RUNS_MAX];
    struct bench_row row = {.id = question->id,
                            .text = question->text,
                            .unit = question->unit,
                            .workers = asked->workers,
                            .target = target};
    int rc = sample(asked, runs, values, peaks);

    if (rc < 0)
        return rc;
    row.median = bench_median(values, runs);
    row.least = values[0];
    bench_row_print(&row);
    if (question->peak_id == NULL)
        return 0;
    row.id = question->peak_id;
    row.text = "  memory at its peak";
    row.unit = "MiB";
    row.median = bench_median(peaks, runs);
    row.least = peaks[0];
    row.target = question->peak_target;
    bench_row_print(&row);
    return 0;
}

int bench_ask(const struct bench_question *question)
{
    struct asked asked = {.question = question};
    int status = 0;

    asked.value = bench_shared_new(sizeof(*asked.value));
    if (asked.value == NULL) {
        fprintf(stderr, "bench: no memory to share\n");
        return 1;
    }
    for (size_t i = 0; i < 2 && question->targets[i].workers != 0; i++) {
        asked.workers = question->targets[i].workers;
        if (ask_with(&asked, question->targets[i].value) < 0)
            status = 1;
    }
    bench_shared_free(asked.value, sizeof(*asked.value));
    return status;
}
