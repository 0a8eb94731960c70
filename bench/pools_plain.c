/* bench/pools_plain.c -- calls and jobs elsewhere, in plain C */
#include "bench/pools_plain.h"

#include "bench/bench.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Calls ---- */

struct call {
    struct call *next;
    bool done;
    pthread_cond_t over;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct call *first, **last;
    bool stopping;
    int calls; /* of each caller */
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER};

static void *serve_calls(void *arg)
{
    pthread_mutex_lock(&queue.lock);
    for (;;) {
        while (!queue.first && !queue.stopping)
            pthread_cond_wait(&queue.some, &queue.lock);
        struct call *call = queue.first;
        if (!call)
            break;
        queue.first = call->next;
        if (!queue.first)
            queue.last = &queue.first;
        pthread_mutex_unlock(&queue.lock);
        /* Here it would be made. */
        pthread_mutex_lock(&queue.lock);
        call->done = true;
        pthread_cond_signal(&call->over);
    }
    pthread_mutex_unlock(&queue.lock);
    return arg;
}

static void *make_calls(void *arg)
{
    struct call call;
    pthread_cond_init(&call.over, NULL);
    for (int i = 0; i < queue.calls; i++) {
        call.next = NULL;
        call.done = false;
        pthread_mutex_lock(&queue.lock);
        *queue.last = &call;
        queue.last = &call.next;
        pthread_cond_signal(&queue.some);
        while (!call.done)
            pthread_cond_wait(&call.over, &queue.lock);
        pthread_mutex_unlock(&queue.lock);
    }
    pthread_cond_destroy(&call.over);
    return arg;
}

static int start(pthread_t *threads, int count, void *(*fn)(void *arg))
{
    for (int i = 0; i < count; i++) {
        int error = pthread_create(&threads[i], NULL, fn, NULL);
        if (error)
            return -error;
    }
    return 0;
}

int plain_calls(int threads, int callers, int calls, double *ret_us)
{
    pthread_t *servers = calloc((size_t)(threads + callers), sizeof *servers);
    pthread_t *makers = servers + threads;
    if (!servers)
        return -ENOMEM;
    queue.last = &queue.first;
    queue.calls = calls / callers;
    int rc = start(servers, threads, serve_calls);
    int64_t begin = bench_now();
    if (rc == 0)
        rc = start(makers, callers, make_calls);
    if (rc < 0)
        return rc; /* and so does the process */
    for (int i = 0; i < callers; i++)
        pthread_join(makers[i], NULL);
    *ret_us = (double)(bench_now() - begin) / 1e3 / calls;
    pthread_mutex_lock(&queue.lock);
    queue.stopping = true;
    pthread_cond_broadcast(&queue.some);
    pthread_mutex_unlock(&queue.lock);
    for (int i = 0; i < threads; i++)
        pthread_join(servers[i], NULL);
    free(servers);
    return 0;
}

/* ---- Jobs ---- */

static bool read_all(int fd, char *bytes, int size)
{
    for (int done = 0; done < size;) {
        ssize_t n = read(fd, bytes + done, (size_t)(size - done));
        if (n <= 0)
            return false;
        done += (int)n;
    }
    return true;
}

static bool write_all(int fd, const char *bytes, int size)
{
    for (int done = 0; done < size;) {
        ssize_t n = write(fd, bytes + done, (size_t)(size - done));
        if (n <= 0)
            return false;
        done += (int)n;
    }
    return true;
}

static void serve_jobs(int fd, char *bytes, int size)
{
    while (read_all(fd, bytes, size) && write_all(fd, bytes, size))
        continue;
    _exit(0);
}

static int start_processes(struct pollfd *sockets, int count, char *bytes,
                           int size)
{
    for (int i = 0; i < count; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
            return -errno;
        pid_t pid = fork();
        if (pid < 0)
            return -errno;
        if (pid == 0) {
            close(pair[0]);
            for (int j = 0; j < i; j++)
                close(sockets[j].fd);
            serve_jobs(pair[1], bytes, size);
        }
        close(pair[1]);
        sockets[i] = (struct pollfd){.fd = pair[0], .events = POLLIN};
    }
    return 0;
}

/* A process that is done with a job gets the next. */
static int keep_busy(struct pollfd *sockets, int count, char *bytes, int size,
                     int jobs)
{
    int given = 0, done = 0;
    for (; given < count; given++) {
        if (!write_all(sockets[given].fd, bytes, size))
            return -EIO;
    }
    while (done < jobs) {
        if (count > 1 && poll(sockets, (nfds_t)count, -1) < 0)
            return -errno;
        for (int i = 0; i < count && done < jobs; i++) {
            if (count > 1 && !sockets[i].revents)
                continue;
            if (!read_all(sockets[i].fd, bytes, size))
                return -EIO;
            done++;
            if (given < jobs && !write_all(sockets[i].fd, bytes, size))
                return -EIO;
            given++;
        }
    }
    return 0;
}

int plain_jobs(int processes, int size, int jobs, double *ret_us)
{
    struct pollfd *sockets = calloc((size_t)processes, sizeof *sockets);
    char *bytes = calloc(1, (size_t)size);
    int rc = sockets && bytes ? 0 : -ENOMEM;
    if (rc == 0)
        rc = start_processes(sockets, processes, bytes, size);
    int64_t begin = bench_now();
    if (rc == 0)
        rc = keep_busy(sockets, processes, bytes, size, jobs);
    *ret_us = (double)(bench_now() - begin) / 1e3 / jobs;
    for (int i = 0; i < processes && rc == 0; i++)
        close(sockets[i].fd);
    while (wait(NULL) > 0)
        continue;
    free(sockets);
    free(bytes);
    return rc;
}

int plain_births(int births, double *ret_us)
{
    int64_t begin = bench_now();
    for (int i = 0; i < births; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return -errno;
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
    *ret_us = (double)(bench_now() - begin) / 1e3 / births;
    return 0;
}
