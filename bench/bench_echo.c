/* bench/bench_echo.c -- what does a request cost a server?
 *
 * Connections over loopback send a message and wait for the answer, again and
 * again: 64 bytes that come back, over 64 and over 10,000 connections; a small
 * GET of HTTP; or one message, for which a connection is made. A figure is the
 * CPU time of the server's process, user and system, for one request: requests
 * a second would only show who asks. The server on epoll and that on coir take
 * turns, so that both meet the same machine; where there are two CPUs, who asks
 * has one to itself. */
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 60, RUNS = 5, RUNS_MAX = 99 };

#define TARGET 1.05 /* times the CPU of the server on epoll */

static const struct question {
    const char *id, *text;
    enum echo_kind kind;
    unsigned connections;
    unsigned long warm_up, requests;
} questions[] = {
    {"echo", "echo, 64 connections", ECHO_MESSAGES, 64, 20000, 100000},
    {"echo_10000", "echo, 10,000 connections", ECHO_MESSAGES, 10000, 20000,
     100000},
    {"http", "HTTP, 64 connections", ECHO_HTTP, 64, 20000, 100000},
    {"accept", "accept, message, close", ECHO_ONCE, 1, 500, 5000},
};
enum { QUESTIONS = sizeof questions / sizeof *questions };

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

static _Noreturn void become_server(int listener, enum echo_kind kind,
                                    unsigned workers)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (workers < 2)
        use_cpu(0);
    if (workers == ON_EPOLL)
        _exit(echo_serve_epoll(listener, kind) < 0);
    _exit(echo_serve_coir(listener, kind, workers) < 0);
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

static int load_server(const struct question *q, pid_t server,
                       unsigned short port, double *ret_us)
{
    struct echo_load load = {.kind = q->kind,
                             .port = port,
                             .connections = q->connections,
                             .requests = q->warm_up,
                             .seconds = SECONDS};
    double before, after;
    int rc = echo_load(&load);

    load.requests = q->requests;
    if (rc == 0)
        rc = cpu_of(server, &before);
    if (rc == 0)
        rc = echo_load(&load);
    if (rc == 0)
        rc = cpu_of(server, &after);
    if (rc == 0)
        *ret_us = (after - before) * 1e6 / (double)q->requests;
    return rc;
}

static int measure(const struct question *q, unsigned workers, double *ret_us)
{
    unsigned short port = 0;
    int listener = make_listener(&port);

    if (listener < 0)
        return listener;
    pid_t server = fork();
    if (server == 0)
        become_server(listener, q->kind, workers);
    close(listener);
    if (server < 0)
        return -EAGAIN;
    int rc = load_server(q, server, port, ret_us);
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

static void print(const struct question *q, double samples[KINDS][RUNS_MAX],
                  size_t runs)
{
    char id[32], text[64];
    struct bench_row row = {.id = id, .text = text, .unit = "us", .workers = 1};
    double floor = bench_median(samples[ON_EPOLL], runs);

    snprintf(id, sizeof id, "%s_epoll", q->id);
    snprintf(text, sizeof text, "%s, epoll alone", q->text);
    row.median = floor;
    row.least = samples[ON_EPOLL][0];
    bench_row_print(&row);
    snprintf(id, sizeof id, "%s", q->id);
    snprintf(text, sizeof text, "%s", q->text);
    for (unsigned workers = 1; workers < KINDS; workers++) {
        row.workers = workers;
        row.median = bench_median(samples[workers], runs);
        row.least = samples[workers][0];
        row.target = workers == 1 ? TARGET * floor : 0;
        bench_row_print(&row);
    }
}

static int ask(const struct question *q, size_t runs)
{
    static double samples[KINDS][RUNS_MAX];

    for (size_t i = 0; i < runs; i++) {
        for (unsigned workers = 0; workers < KINDS; workers++) {
            int rc = measure(q, workers, &samples[workers][i]);

            if (rc < 0) {
                fprintf(stderr, "bench_echo: %s: %s\n", q->id, strerror(-rc));
                return rc;
            }
        }
    }
    print(q, samples, runs);
    return 0;
}

/* Ten thousand connections take as many descriptors, in either process. */
static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max < 20000 ? limit.rlim_max : 20000;
        setrlimit(RLIMIT_NOFILE, &limit); /* or it says EMFILE */
    }
}

int main(void)
{
    size_t runs = wanted_runs();
    int rc = 0;

    use_cpu(1);
    allow_descriptors();
    for (size_t i = 0; i < QUESTIONS && rc == 0; i++)
        rc = ask(&questions[i], runs);
    return rc < 0;
}
