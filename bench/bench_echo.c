/* bench/bench_echo.c -- what does a request cost a server?
 *
 * 64 connections over loopback send 64 bytes and wait for them to come back,
 * again and again. A figure is the CPU time of the server's process, user and
 * system, for one request: requests a second would only show who asks. The
 * server on epoll and that on coir take turns, so that both meet the same
 * machine; where there are two CPUs, who asks has one to itself. */
#include "bench/bench.h"
#include "bench/echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS = 64,
    WARM_UP = 20000,
    REQUESTS = 100000,
    SECONDS = 60,
    RUNS = 5,
    RUNS_MAX = 99
};

#define TARGET 1.10 /* times the CPU of the server on epoll */

/* Servers are told apart by how many workers they have. */
enum { ON_EPOLL = 0, KINDS = 3 };

static void use_cpu(int cpu)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus); /* or it is noisier */
}

static int make_listener(unsigned short *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 ||
        listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static _Noreturn void become_server(int listener, unsigned workers)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (workers < 2)
        use_cpu(0);
    if (workers == ON_EPOLL)
        _exit(echo_serve_epoll(listener) < 0);
    _exit(echo_serve_coir(listener, workers) < 0);
}

/* Seconds that the process has run. */
static int cpu_of(pid_t process, double *ret_seconds)
{
    clockid_t clock;
    struct timespec used;
    int rc = clock_getcpuclockid(process, &clock);

    if (rc != 0)
        return -rc;
    if (clock_gettime(clock, &used) < 0)
        return -errno;
    *ret_seconds = (double)used.tv_sec + (double)used.tv_nsec / 1e9;
    return 0;
}

static int load_server(pid_t server, unsigned short port, double *ret_us)
{
    struct echo_load load = {.port = port,
                             .connections = CONNECTIONS,
                             .requests = WARM_UP,
                             .seconds = SECONDS};
    double before, after;
    int rc = echo_load(&load);

    load.requests = REQUESTS;
    if (rc == 0)
        rc = cpu_of(server, &before);
    if (rc == 0)
        rc = echo_load(&load);
    if (rc == 0)
        rc = cpu_of(server, &after);
    if (rc == 0)
        *ret_us = (after - before) * 1e6 / REQUESTS;
    return rc;
}

static int measure(unsigned workers, double *ret_us)
{
    unsigned short port = 0;
    int listener = make_listener(&port);

    if (listener < 0)
        return listener;
    pid_t server = fork();
    if (server == 0)
        become_server(listener, workers);
    close(listener);
    if (server < 0)
        return -EAGAIN;
    int rc = load_server(server, port, ret_us);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return rc;
}

static size_t wanted_runs(void)
{
    const char *text = getenv("RUNS");
    long runs = text ? strtol(text, NULL, 10) : RUNS;

    return runs < 1 || runs > RUNS_MAX ? RUNS : (size_t)runs;
}

static void print(double samples[KINDS][RUNS_MAX], size_t runs)
{
    struct bench_row row = {.id = "echo_epoll",
                            .text = "echo on epoll alone, CPU a request",
                            .unit = "us",
                            .workers = 1};
    double floor = bench_median(samples[ON_EPOLL], runs);

    row.median = floor;
    row.least = samples[ON_EPOLL][0];
    bench_row_print(&row);
    row.id = "echo";
    row.text = "echo, 64 connections, CPU a request";
    for (unsigned workers = 1; workers < KINDS; workers++) {
        row.workers = workers;
        row.median = bench_median(samples[workers], runs);
        row.least = samples[workers][0];
        row.target = workers == 1 ? TARGET * floor : 0;
        bench_row_print(&row);
    }
}

int main(void)
{
    static double samples[KINDS][RUNS_MAX];
    size_t runs = wanted_runs();

    use_cpu(1);
    for (size_t i = 0; i < runs; i++) {
        for (unsigned workers = 0; workers < KINDS; workers++) {
            int rc = measure(workers, &samples[workers][i]);

            if (rc < 0) {
                fprintf(stderr, "bench_echo: %s\n", strerror(-rc));
                return 1;
            }
        }
    }
    print(samples, runs);
    return 0;
}
