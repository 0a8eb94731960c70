/* io/sys_kqueue.h -- the system calls of kqueue
 *
 * As those of io/sys.h, and made to fail by the same hook: "kqueue", "kevent",
 * and "kevent_wait", where there is room for events. Not on Linux. */
#ifndef COIR_IO_SYS_KQUEUE_H
#define COIR_IO_SYS_KQUEUE_H

#include <coir/time.h>

#include <sys/event.h>

/* Close-on-exec. */
int coir_i_sys_kqueue(void);

/* Make one change after the other; receipts[i], which may be changes[i], tells
 * what became of each: its `data` is 0 or an error number. 0, or why there are
 * no receipts. */
int coir_i_sys_kevent(int kq, const struct kevent *changes,
                      struct kevent *receipts, int count);
/* until: as of coir_i_poller.wait. How many events; -EINTR. */
int coir_i_sys_kevent_wait(int kq, struct kevent *events, int room,
                           coir_time until);

/* Is it a file that is always ready? 1, 0 or why that is not known. */
int coir_i_sys_is_plain_file(int fd);

#endif
