/* test/portable/kevent_shim.c -- as much of kqueue(2) on Linux as coir uses
 *
 * A kqueue is three epolls. The outer one is the descriptor that the program
 * has; in it are one for each direction, so that an edge of one direction says
 * nothing of the other, the user's event, and pidfds.
 *
 * The user's event needs a descriptor that is always ready: modified in an
 * epoll, it is an edge. There is one for all, from before main() on.
 *
 * Locks      shim.lock, for all but waiting.
 * Fails      as the calls underneath; a kqueue that could not be made is gone.
 * Tests      test/test_poller_kqueue.c */
#include "test/portable/kevent_shim.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int kevent_shim_read_error, kevent_shim_write_error;

struct knote {
    struct knote *next;
    struct kevent event; /* as it was added */
    int pidfd;           /* EVFILT_PROC; -1 */
};

struct queue {
    struct queue *next;
    int outer, inner[2]; /* inner[0] to read, inner[1] to write */
    struct knote *notes[256];
};

static struct {
    pthread_mutex_t lock;
    struct queue *queues;
    int ready; /* always readable */
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int close_plainly(int fd)
{
    return (int)syscall(SYS_close, fd);
}

/* ---- Finding. Under the lock, as all that follows. */

static struct queue *queue_of(int kq)
{
    struct queue *q = shim.queues;
    while (q && q->outer != kq)
        q = q->next;
    return q;
}

static struct knote **place_of(struct queue *q, uintptr_t ident, int filter)
{
    struct knote **at = &q->notes[ident % 256];
    while (*at &&
           ((*at)->event.ident != ident || (*at)->event.filter != filter))
        at = &(*at)->next;
    return at;
}

/* ---- Knotes. Error numbers come back. */

/* Which epoll a filter is in, as what descriptor, and what it waits for. */
static int control(struct queue *q, const struct knote *note, int op)
{
    struct epoll_event event = {.data = {.u64 = note->event.ident}};
    int epoll = q->outer, fd = note->pidfd;
    switch (note->event.filter) {
    case EVFILT_READ:
        epoll = q->inner[0];
        fd = (int)note->event.ident;
        event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
        break;
    case EVFILT_WRITE:
        epoll = q->inner[1];
        fd = (int)note->event.ident;
        event.events = EPOLLOUT | EPOLLET;
        break;
    case EVFILT_USER:
        fd = shim.ready;
        event.events =
            EPOLLET | (note->event.fflags & NOTE_TRIGGER ? EPOLLIN : 0);
        break;
    default:
        event.events = EPOLLIN;
    }
    return epoll_ctl(epoll, op, fd, &event) < 0 ? errno : 0;
}

static void drop(struct queue *q, struct knote **at)
{
    struct knote *note = *at;
    control(q, note, EPOLL_CTL_DEL);
    if (note->pidfd >= 0)
        close_plainly(note->pidfd);
    *at = note->next;
    free(note);
}

static int refuse_add(const struct kevent *change)
{
    switch (change->filter) {
    case EVFILT_READ:
        return kevent_shim_read_error;
    case EVFILT_WRITE:
        return queue_of((int)change->ident) ? EINVAL : kevent_shim_write_error;
    }
    return 0;
}

static bool is_plain_file(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 &&
           (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

static int add(struct queue *q, struct knote **at, const struct kevent *change)
{
    int error = refuse_add(change);
    if (error)
        return error;
    struct knote *note = calloc(1, sizeof *note);
    if (!note)
        return ENOMEM;
    note->event = *change;
    note->pidfd = -1;
    if (change->filter == EVFILT_PROC) {
        note->pidfd = (int)syscall(SYS_pidfd_open, (long)change->ident, 0UL);
        error = note->pidfd < 0 ? errno : 0;
    }
    if (!error)
        error = control(q, note, EPOLL_CTL_ADD);
    if (error == EPERM) /* epoll has no use for it */
        error = is_plain_file((int)change->ident) ? 0 : ENODEV;
    if (error) {
        if (note->pidfd >= 0)
            close_plainly(note->pidfd);
        free(note);
        return error;
    }
    note->next = *at;
    *at = note;
    return 0;
}

static int apply(struct queue *q, const struct kevent *change)
{
    struct knote **at = place_of(q, change->ident, change->filter);
    if (!*at)
        return change->flags & EV_ADD ? add(q, at, change) : ENOENT;
    if (change->flags & EV_DELETE) {
        drop(q, at);
        return 0;
    }
    (*at)->event.fflags = change->fflags;
    if (change->filter == EVFILT_USER && !(change->fflags & NOTE_TRIGGER))
        return 0;
    (*at)->event.udata = change->udata;
    return control(q, *at, EPOLL_CTL_MOD);
}

/* ---- Kqueues. */

static void drop_queue(struct queue *q)
{
    for (int i = 0; i < 256; i++) {
        while (q->notes[i])
            drop(q, &q->notes[i]);
    }
    struct queue **at = &shim.queues;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    for (int i = 0; i < 2; i++) {
        if (q->inner[i] >= 0)
            close_plainly(q->inner[i]);
    }
    free(q);
}

static int fill_queue(struct queue *q)
{
    q->outer = epoll_create1(0);
    for (int i = 0; i < 2 && q->outer >= 0; i++) {
        struct epoll_event event = {
            .events = EPOLLIN,
            .data = {.u64 = (uint64_t)(i + 1) << 32},
        };
        q->inner[i] = epoll_create1(EPOLL_CLOEXEC);
        if (q->inner[i] < 0 ||
            epoll_ctl(q->outer, EPOLL_CTL_ADD, q->inner[i], &event) < 0)
            return errno;
    }
    return q->outer < 0 ? errno : 0;
}

int kqueue(void)
{
    struct queue *q = calloc(1, sizeof *q);
    if (!q) {
        errno = ENOMEM;
        return -1;
    }
    q->outer = q->inner[0] = q->inner[1] = -1;
    pthread_mutex_lock(&shim.lock);
    q->next = shim.queues;
    shim.queues = q;
    int error = fill_queue(q), outer = q->outer;
    if (error) {
        drop_queue(q);
        if (outer >= 0)
            close_plainly(outer);
    }
    pthread_mutex_unlock(&shim.lock);
    errno = error ? error : errno;
    return error ? -1 : outer;
}

/* In the place of the C library's. */
int close(int fd)
{
    pthread_mutex_lock(&shim.lock);
    struct queue *own = queue_of(fd);
    if (own)
        drop_queue(own);
    for (struct queue *q = shim.queues; q && fd >= 0; q = q->next) {
        for (int filter = EVFILT_WRITE; filter <= EVFILT_READ; filter++) {
            struct knote **at = place_of(q, (uintptr_t)fd, filter);
            if (*at)
                drop(q, at);
        }
    }
    pthread_mutex_unlock(&shim.lock);
    return close_plainly(fd);
}

/* ---- Events. */

static int give(struct queue *q, uintptr_t ident, int filter, unsigned events,
                struct kevent *ret_event)
{
    struct knote *note = *place_of(q, ident, filter);
    if (!note)
        return 0;
    *ret_event = note->event;
    ret_event->flags = EV_CLEAR;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ret_event->flags |= EV_EOF;
    return 1;
}

static int take_inner(struct queue *q, int side, struct kevent *events,
                      int room)
{
    struct epoll_event ready[256];
    int most = room < 256 ? room : 256, given = 0;
    int count = epoll_wait(q->inner[side], ready, most, 0);
    for (int i = 0; i < count; i++)
        given += give(q, (uintptr_t)ready[i].data.u64, -1 - side,
                      ready[i].events, &events[given]);
    return given;
}

static int take(int kq, const struct epoll_event *ready, int count,
                struct kevent *events, int room)
{
    int given = 0;
    struct queue *q = queue_of(kq);
    for (int i = 0; q && i < count && given < room; i++) {
        uint64_t data = ready[i].data.u64;
        if (data >> 32)
            given += take_inner(q, (int)(data >> 32) - 1, &events[given],
                                room - given);
        else if (*place_of(q, (uintptr_t)data, EVFILT_USER))
            given += give(q, (uintptr_t)data, EVFILT_USER, 0, &events[given]);
        else
            given += give(q, (uintptr_t)data, EVFILT_PROC, 0, &events[given]);
    }
    return given;
}

static int make_changes(int kq, const struct kevent *changes, int count,
                        struct kevent *events, int room)
{
    int given = 0;
    struct queue *q = queue_of(kq);
    if (!q) {
        errno = EBADF;
        return -1;
    }
    for (int i = 0; i < count; i++) {
        const struct kevent change = changes[i]; /* it may be events[i] */
        int error = apply(q, &change);
        if (!error && !(change.flags & EV_RECEIPT))
            continue;
        if (given == room) {
            errno = error;
            return error ? -1 : given;
        }
        events[given] = change;
        events[given].flags = EV_ERROR;
        events[given++].data = error;
    }
    return given;
}

int kevent(int kq, const struct kevent *changes, int count,
           struct kevent *events, int room, const struct timespec *timeout)
{
    struct epoll_event ready[16];
    pthread_mutex_lock(&shim.lock);
    int given = make_changes(kq, changes, count, events, room);
    pthread_mutex_unlock(&shim.lock);
    if (given != 0 || room == 0)
        return given;
    count = epoll_pwait2(kq, ready, room < 16 ? room : 16, timeout, NULL);
    if (count < 0)
        return -1;
    pthread_mutex_lock(&shim.lock);
    given = take(kq, ready, count, events, room);
    pthread_mutex_unlock(&shim.lock);
    return given;
}

/* ---- A process, and those that it forks off. */

static void before_fork(void)
{
    pthread_mutex_lock(&shim.lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&shim.lock);
}

/* The epolls are shared with the parent: nothing is taken out of them. */
static void in_child(void)
{
    while (shim.queues) {
        struct queue *q = shim.queues;
        close_plainly(q->outer);
        close_plainly(q->inner[0]);
        close_plainly(q->inner[1]);
        shim.queues = q->next; /* its notes stay behind, with their pidfds */
    }
    pthread_mutex_unlock(&shim.lock);
}

__attribute__((constructor)) static void start(void)
{
    shim.ready = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_atfork(before_fork, in_parent, in_child);
}
