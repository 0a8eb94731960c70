/* bench/timings_http.c -- the job that waits for others: HTTP GETs
 *
 * Does       start bench/httpd.c in a process of its own, which answers 20 ms
 *            after it was asked, and ask it many times, each time over a new
 *            connection: one after another, in a thread for each, in a fiber
 *            for each, and with the blocking code of the threads called from
 *            fibers, on coir's thread pool.
 * Answer     a sum over all answers; each is also compared with what the
 *            server is known to send.
 * Fails      a GET that is not answered within PATIENCE fails the job.
 */
#include "bench/httpd.h"
#include "bench/timings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE = 10 /* s */, REQUEST_MAX = 128 };

#define LATENCY "20" /* ms */

struct gets {
    size_t count;
    struct get *items;
    char address[32]; /* of the server, in words */
    struct sockaddr_in name;
    pid_t server;
    int input; /* of the server: it ends when this is closed */
};

struct get {
    const struct gets *gets;
    uint64_t number;
    uint64_t answer;
};

static size_t write_request(const struct get *get, char *request)
{
    return (size_t)snprintf(request, REQUEST_MAX,
                            "GET /%" PRIu64 " HTTP/1.1\r\n"
                            "Host: %s\r\n"
                            "Connection: close\r\n\r\n",
                            get->number, get->gets->address);
}

/* -EBADMSG: that is not what the server answers. */
static int take_answer(struct get *get, const char *text, size_t length)
{
    char right[HTTPD_ANSWER_MAX];
    size_t right_length = httpd_answer(get->number, right);

    if (length != right_length || memcmp(text, right, length) != 0)
        return -EBADMSG;
    for (size_t i = 0; i < length; i++)
        get->answer = timings_mix(get->answer, (unsigned char)text[i]);
    return 0;
}

/* ---- blocking ---- */

static int connect_blocking(const struct gets *gets)
{
    struct timeval patience = {.tv_sec = PATIENCE};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    rc = connect(fd, (const struct sockaddr *)&gets->name, sizeof(gets->name));
    if (rc == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

/* The answer up to its end, which is that of the connection. */
static ssize_t read_blocking(int fd, char *text)
{
    size_t length = 0;
    ssize_t got;

    do {
        got = recv(fd, text + length, HTTPD_ANSWER_MAX - length, 0);
        if (got < 0 && errno != EINTR)
            return -errno;
        length += got > 0 ? (size_t)got : 0;
    } while (got != 0 && length < HTTPD_ANSWER_MAX);
    return (ssize_t)length;
}

static int get_blocking(void *arg)
{
    struct get *get = arg;
    char request[REQUEST_MAX];
    char text[HTTPD_ANSWER_MAX];
    size_t length = write_request(get, request);
    int fd = connect_blocking(get->gets);
    ssize_t got;

    if (fd < 0)
        return fd;
    if (send(fd, request, length, MSG_NOSIGNAL) < 0)
        got = -errno;
    else
        got = read_blocking(fd, text);
    close(fd);
    return got < 0 ? (int)got : take_answer(get, text, (size_t)got);
}

static struct timings_work work_of(const struct gets *gets)
{
    return (struct timings_work){get_blocking, gets->items, gets->count,
                                 sizeof(*gets->items)};
}

int timings_http_in_turn(void *data)
{
    struct timings_work work = work_of(data);

    return timings_in_turn(&work);
}

int timings_http_threads(void *data)
{
    struct timings_work work = work_of(data);

    return timings_by_threads(&work, 0);
}

/* ---- fibers ---- */

/* Ask on an open connection. A transfer that was stopped half-way is seen by
 * the one after it, or by take_answer(). */
static int ask(int fd, struct get *get)
{
    char request[REQUEST_MAX];
    char text[HTTPD_ANSWER_MAX];
    size_t length = write_request(get, request);
    ssize_t rc = coir_write_full(fd, request, length);

    if (rc >= 0)
        rc = coir_read_full(fd, text, sizeof(text));
    return rc < 0 ? (int)rc : take_answer(get, text, (size_t)rc);
}

static int dial_and_ask(void *arg)
{
    struct get *get = arg;
    int fd = coir_dial(get->gets->address);
    int rc;

    if (fd < 0)
        return fd;
    rc = ask(fd, get);
    coir_close(fd);
    return rc;
}

/* The deadline stands here and nowhere below: it is for all of it. */
static int get_in_fiber(void *arg)
{
    struct get *get = arg;
    int rc = coir_timeout(COIR_SECONDS(PATIENCE), dial_and_ask, get);

    if (rc < 0 && rc != -ECANCELED)
        return coir_fail(rc, "GET /%" PRIu64, get->number);
    return rc;
}

/* A fiber for each GET. The first one that fails cancels the others. */
int timings_http_fibers(void *data)
{
    const struct gets *gets = data;
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (size_t i = 0; i < gets->count && rc == 0; i++)
        rc = coir_go(&nursery, get_in_fiber, &gets->items[i]);
    return coir_nursery_close_with(&nursery, rc);
}

/* Code that blocks is called from a fiber as it is. */
static int get_on_pool(void *arg)
{
    return coir_blocking(get_blocking, arg);
}

static int get_all_on_pool(void *data)
{
    const struct gets *gets = data;

    return coir_each(get_on_pool, gets->items, gets->count,
                     sizeof(*gets->items), 0);
}

/* ---- the server ---- */

/* In the new process: become the server, whose file lies beside this
 * program's. */
static _Noreturn void become_server(int input, int output)
{
    char path[PATH_MAX];
    char program[PATH_MAX + sizeof("/httpd")];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length > 0) {
        path[length] = '\0';
        snprintf(program, sizeof(program), "%s/httpd", dirname(path));
        if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0)
            execl(program, program, LATENCY, (char *)NULL);
    }
    perror("timings: httpd");
    _exit(127);
}

/* The port that the server prints. -EPROTO: it did not. */
static int read_port(int output)
{
    struct pollfd ready = {.fd = output, .events = POLLIN};
    char text[16] = "";
    unsigned long port = 0;

    if (poll(&ready, 1, PATIENCE * 1000) == 1 &&
        read(output, text, sizeof(text) - 1) > 0)
        port = strtoul(text, NULL, 10);
    return port > 0 && port <= UINT16_MAX ? (int)port : -EPROTO;
}

static int start_server(struct gets *gets)
{
    int input[2];
    int output[2];
    int port;

    if (pipe2(input, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(output, O_CLOEXEC) < 0) {
        close(input[0]);
        close(input[1]);
        return -EMFILE;
    }
    gets->server = fork();
    if (gets->server == 0)
        become_server(input[0], output[1]);
    close(input[0]);
    close(output[1]);
    gets->input = input[1];
    port = gets->server < 0 ? -EAGAIN : read_port(output[0]);
    close(output[0]);
    if (port < 0)
        return port;
    snprintf(gets->address, sizeof(gets->address), "127.0.0.1:%d", port);
    gets->name =
        (struct sockaddr_in){.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return 0;
}

void timings_http_stop(struct timings_job *job)
{
    struct gets *gets = job->data;

    close(gets->input);
    if (gets->server <= 0)
        return;
    kill(gets->server, SIGTERM);
    waitpid(gets->server, NULL, 0);
    gets->server = 0;
}

/* ---- the ways ---- */

static uint64_t answer_of(const void *data)
{
    const struct gets *gets = data;
    uint64_t answer = 0;

    for (size_t i = 0; i < gets->count; i++)
        answer = timings_mix(answer, gets->items[i].answer);
    return answer;
}

static const struct timings_way ways[] = {
    {.name = "sequential", .plain = timings_http_in_turn},
    {.name = "threads", .plain = timings_http_threads, .may_be_refused = true},
    {.name = "fibers", .fibers = timings_http_fibers},
    {.name = "fibers + pool", .fibers = get_all_on_pool},
    {.name = NULL}};

int timings_http_new(struct timings_job *job, size_t count)
{
    struct gets *gets = calloc(1, sizeof(*gets));
    int rc;

    if (gets != NULL)
        gets->items = calloc(count, sizeof(*gets->items));
    if (gets == NULL || gets->items == NULL) {
        fprintf(stderr, "timings: no memory for %zu GETs\n", count);
        free(gets);
        return -ENOMEM;
    }
    gets->count = count;
    for (size_t i = 0; i < count; i++)
        gets->items[i] = (struct get){.gets = gets, .number = i};
    *job = (struct timings_job){.id = "http",
                                .count = count,
                                .data = gets,
                                .answer = answer_of,
                                .ways = ways};
    snprintf(job->title, sizeof(job->title),
             "%zu HTTP GETs, each answered after " LATENCY " ms", count);
    rc = start_server(gets);
    if (rc < 0) {
        fprintf(stderr, "timings: no server: %s\n", strerror(-rc));
        timings_http_stop(job);
    }
    return rc;
}
