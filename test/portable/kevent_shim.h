/* test/portable/kevent_shim.h -- as much of kqueue(2) on Linux as coir uses
 *
 * For tests of io/poller_kqueue.c, and for `make portable`. Over epoll, with
 * the rules of the BSDs:
 *
 *   - a filter for each direction, each with a udata of its own; EV_ADD of one
 *     that is there changes its udata, and is an edge if there is something;
 *   - close(2) forgets the filters of that number, also where the file is open
 *     elsewhere, and a kqueue with all it has; a fork has none of them;
 *   - a plain file has filters, which have no events;
 *   - a kqueue can be read while it has an event, and cannot be written;
 *   - with EV_RECEIPT, or where a change fails, a receipt for each change comes
 *     back, and nothing is waited for.
 *
 * Filters: EVFILT_READ and EVFILT_WRITE (EV_CLEAR always), EVFILT_USER (one a
 * kqueue, EV_CLEAR), EVFILT_PROC (NOTE_EXIT). */
#ifndef COIR_TEST_PORTABLE_KEVENT_SHIM_H
#define COIR_TEST_PORTABLE_KEVENT_SHIM_H

#include <stdint.h>
#include <time.h>

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
    int64_t data;
    void *udata;
};

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_PROC (-5)
#define EVFILT_USER (-11)

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

#define NOTE_TRIGGER 0x01000000U
#define NOTE_EXIT 0x80000000U

#define EV_SET(event, i, f, fl, ff, d, u)       \
    (*(event) = (struct kevent){.ident = (i),   \
                                .filter = (f),  \
                                .flags = (fl),  \
                                .fflags = (ff), \
                                .data = (d),    \
                                .udata = (void *)(u)})

int kqueue(void);
int kevent(int kq, const struct kevent *changes, int count,
           struct kevent *events, int room, const struct timespec *timeout);

/* For tests: the error of an EV_ADD of EVFILT_READ or EVFILT_WRITE; 0: none. */
extern int kevent_shim_read_error, kevent_shim_write_error;

#endif
