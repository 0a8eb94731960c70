/* bench/bench_parked.c -- how much memory does a fiber take that waits?
 *
 * A million fibers, each with a stack of 64 KiB and a guard below it, sleep for
 * longer than anybody looks. A figure is the memory that is resident more than
 * before they were started, by their number. A machine with less memory has
 * fewer of them, and it says so. */
#include <coir.h>

#include "bench/bench.h"

#include <stdatomic.h>
#include <stdio.h>

enum { FIBERS = 1000000, STACK_KIB = 64, ROOM = 16384 /* bytes for each */ };

static atomic_int parked;

static int count_and_sleep(void *arg)
{
    (void)arg;
    atomic_fetch_add(&parked, 1);
    return coir_sleep(COIR_SECONDS(3600));
}

/* As many as there is room for. */
static int affordable_fibers(void)
{
    double kib = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");
    int fibers = FIBERS;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "MemAvailable: %lf kB", &kib) == 1)
            break;
    }
    if (file != NULL)
        fclose(file);
    if (kib > 0 && kib * 1024 < (double)FIBERS * ROOM) {
        fibers = (int)(kib * 1024 / ROOM);
        fprintf(stderr, "parked: memory for %d fibers only\n", fibers);
    }
    return fibers;
}

static int weigh(void *bytes)
{
    coir_nursery nursery;
    double before = bench_resident();
    int fibers = affordable_fibers();
    int rc = 0;

    coir_nursery_open(&nursery);
    for (int i = 0; i < fibers && rc == 0; i++)
        rc = coir_go(&nursery, count_and_sleep, NULL);
    while (rc == 0 && atomic_load(&parked) < fibers)
        rc = coir_sleep(COIR_MS(10));
    *(double *)bytes = (bench_resident() - before) / fibers;
    coir_nursery_cancel(&nursery);
    return coir_nursery_close_with(&nursery, rc);
}

static int measure(unsigned workers, double *ret_bytes)
{
    coir_config config = {.workers = workers, .stack_size = STACK_KIB * 1024};

    return coir_run_with(&config, weigh, ret_bytes);
}

int main(void)
{
    static const struct bench_question question = {
        .id = "parked",
        .text = "1,000,000 parked fibers, one",
        .unit = "bytes",
        .measure = measure,
        .targets = {{1, 4300}, {2, 4300}},
        .runs = 3};

    return bench_ask(&question);
}
