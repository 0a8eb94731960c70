/* bench/bench_sockets.c -- two fibers over a socket pair, and connections that
 * say nothing
 *
 * A figure of the first is the CPU time of the process for a message there and
 * back; of the second the memory of the process for a fiber that waits for a
 * connection's first byte (what the kernel keeps of it is not in there). */
#include <coir.h>

#include "bench/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 200000, CONNECTIONS = 9000 };

/* ---- ping-pong ---- */

static int answer_all(void *arg)
{
    int fd = *(int *)arg;
    char byte;
    ssize_t n;
    while ((n = coir_read(fd, &byte, 1)) == 1)
        if ((n = coir_write(fd, &byte, 1)) != 1)
            break;
    return (int)n;
}

static int ask_often(int fd, int rounds)
{
    char byte = 'x';
    for (int i = 0; i < rounds; i++) {
        ssize_t n = coir_write(fd, &byte, 1);
        if (n == 1)
            n = coir_read(fd, &byte, 1);
        if (n != 1)
            return n < 0 ? (int)n : -EPROTO;
    }
    return 0;
}

static int play(void *us)
{
    int ends[2];
    coir_nursery nursery;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, answer_all, &ends[1]);
    if (rc == 0)
        rc = ask_often(ends[0], ROUNDS / 10);
    double begin = bench_cpu();
    if (rc == 0)
        rc = ask_often(ends[0], ROUNDS);
    *(double *)us = (bench_cpu() - begin) * 1e6 / ROUNDS;
    coir_close(ends[0]);
    rc = coir_nursery_close_with(&nursery, rc);
    coir_close(ends[1]);
    return rc;
}

static int measure_rounds(unsigned workers, double *ret_us)
{
    coir_config config = {.workers = workers};
    return coir_run_with(&config, play, ret_us);
}

/* ---- idle connections ---- */

static int await_byte(void *arg)
{
    char byte;
    ssize_t n = coir_read(*(int *)arg, &byte, 1);
    return n == -ECANCELED ? 0 : (int)n;
}

static int open_all(int (*ends)[2])
{
    for (int i = 0; i < CONNECTIONS; i++)
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[i]) < 0)
            return -errno;
    return 0;
}

static int wait_on_all(void *bytes)
{
    static int ends[CONNECTIONS][2];
    coir_nursery nursery;
    int rc = open_all(ends);
    double before = bench_resident();
    coir_nursery_open(&nursery);
    for (int i = 0; i < CONNECTIONS && rc == 0; i++)
        rc = coir_go(&nursery, await_byte, &ends[i][0]);
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = coir_yield(); /* all have begun, and wait */
    if (rc == 0)
        rc = coir_sleep(COIR_MS(200));
    *(double *)bytes = (bench_resident() - before) / CONNECTIONS;
    coir_nursery_cancel(&nursery);
    return coir_nursery_close_with(&nursery, rc);
}

static int measure_idle(unsigned workers, double *ret_bytes)
{
    struct rlimit limit;
    coir_config config = {.workers = workers, .stack_size = 64 << 10};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit); /* or it says EMFILE */
    }
    return coir_run_with(&config, wait_on_all, ret_bytes);
}

int main(void)
{
    static const struct bench_question rounds = {
        .id = "ping_pong",
        .text = "ping-pong over a socket pair, CPU",
        .unit = "us",
        .measure = measure_rounds,
        .targets = {{1, 6.5}}};
    static const struct bench_question idle = {
        .id = "idle_connection",
        .text = "a fiber that waits on a connection",
        .unit = "bytes",
        .measure = measure_idle,
        .targets = {{1, 4506}}};

    return bench_ask(&rounds) || bench_ask(&idle);
}
