/* io/sys_process.h -- the system calls for signals and children
 *
 * As those of io/sys.h, and made to fail by the same hook. */
#ifndef COIR_IO_SYS_PROCESS_H
#define COIR_IO_SYS_PROCESS_H

#include <signal.h>
#include <sys/types.h>

int coir_i_sys_sigaction(int number, const struct sigaction *action,
                         struct sigaction *before);

/* ---- A bell: a descriptor to wait on, rung from signal handlers. */

/* It is rung at *ring (a descriptor of its own, or the bell itself) and then
 * becomes readable. Both are close-on-exec and do not block. */
int coir_i_sys_bell(int *bell, int *ring);
/* From a signal handler, which keeps errno. */
void coir_i_sys_bell_ring(int ring);
/* Not readable any more, unless it is rung again. */
void coir_i_sys_bell_calm(int bell);

/* ---- Children. */

/* A descriptor that becomes readable when the process has ended. -ESRCH: there
 * is none, or it has ended already; -EMFILE, -ENFILE, -ENOMEM; -ENOSYS: Linux
 * before 5.3. */
int coir_i_sys_child(pid_t pid);
/* 1: the child has ended, here is its status, and now it is gone; 0: it has
 * not ended; -ECHILD: it is none of ours. */
int coir_i_sys_reap(pid_t pid, int *status);

#endif
