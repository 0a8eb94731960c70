/* io/sys_epoll.h -- the system calls of epoll
 *
 * As those of io/sys.h, and made to fail by the same hook. On Linux. */
#ifndef COIR_IO_SYS_EPOLL_H
#define COIR_IO_SYS_EPOLL_H

#include <coir/time.h>

#include <sys/epoll.h>

int coir_i_sys_epoll(void);
int coir_i_sys_epoll_ctl(int epoll, int op, int fd, uint32_t events,
                         uint64_t tag);
/* until: as of coir_i_poller.wait. */
int coir_i_sys_epoll_wait(int epoll, struct epoll_event *events, int count,
                          coir_time until);
int coir_i_sys_eventfd(void);
void coir_i_sys_eventfd_add(int fd);

#endif
