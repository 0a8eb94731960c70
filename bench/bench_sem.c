/* bench/bench_sem.c -- what does it cost where nobody has to wait?
 *
 * Asked of a semaphore, of which a permit is taken and given back, and of an
 * event that is set. A figure is the time for one round. */
#include <coir.h>

#include "bench/bench.h"

enum { WARM_UP = 10000, ROUNDS = 5000000 };

static int take_and_give_back(int rounds)
{
    coir_sem sem;
    int rc = 0;

    coir_sem_init(&sem, 1);
    for (int i = 0; i < rounds && rc == 0; i++) {
        rc = coir_sem_acquire(&sem);
        if (rc == 0)
            coir_sem_release(&sem);
    }
    return rc;
}

static int wait_for_what_is_set(int rounds)
{
    coir_event event = {0};
    int rc = 0;

    coir_event_set(&event);
    for (int i = 0; i < rounds && rc == 0; i++)
        rc = coir_event_wait(&event);
    return rc;
}

static int time_sem(void *ns)
{
    int rc = take_and_give_back(WARM_UP);
    int64_t begin = bench_now();

    if (rc == 0)
        rc = take_and_give_back(ROUNDS);
    *(double *)ns = (double)(bench_now() - begin) / ROUNDS;
    return rc;
}

static int time_event(void *ns)
{
    int rc = wait_for_what_is_set(WARM_UP);
    int64_t begin = bench_now();

    if (rc == 0)
        rc = wait_for_what_is_set(ROUNDS);
    *(double *)ns = (double)(bench_now() - begin) / ROUNDS;
    return rc;
}

static int measure_sem(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_sem, ret_ns);
}

static int measure_event(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_event, ret_ns);
}

int main(void)
{
    static const struct bench_question questions[] = {
        {.id = "sem",
         .text = "acquire and release a semaphore, alone",
         .unit = "ns",
         .measure = measure_sem,
         .targets = {{1, 5}, {2, 5}}},
        {.id = "event",
         .text = "wait for an event that is set",
         .unit = "ns",
         .measure = measure_event,
         .targets = {{1, 5}, {2, 5}}}};
    int status = bench_ask(&questions[0]);

    return bench_ask(&questions[1]) | status;
}
