/* io/offload.h -- run this where it may block, and wake me after
 *
 * For the few places where io meets what cannot be polled: files that are not
 * cached, and names. Pools installs its threads here, and its look-ups; without
 * them the call is made at once, and blocks its worker. */
#ifndef COIR_IO_OFFLOAD_H
#define COIR_IO_OFFLOAD_H

#include <coir/base.h>

/* What fn(arg) returned, once it has; below 0 also where it was not called. fn
 * never returns below 0. */
typedef int coir_i_offload_fn(coir_fn *fn, void *arg);

/* Before coir_run; NULL: at once. */
void coir_i_offload_install(coir_i_offload_fn *run);

/* [parks] arg may lie on the caller's stack: a call that has begun is waited
 * for. -ECANCELED: it had not begun. */
int coir_i_offload(coir_fn *fn, void *arg);

/* As getaddrinfo(3), but a negated error number comes back: -ENOENT, no such
 * name; -EAGAIN, nobody could tell now; -ENOMEM; -EINVAL, and what the system
 * says. It may be left behind when the caller is cancelled: -ECANCELED, and
 * then nothing of the caller's is used any more. */
struct addrinfo;
typedef int coir_i_resolve_fn(const char *host, const char *service,
                              const struct addrinfo *hints,
                              struct addrinfo **ret_found);

/* Before coir_run; NULL: getaddrinfo(3) through coir_i_offload. */
void coir_i_resolve_install(coir_i_resolve_fn *resolve);

/* [parks] 0 and a list for freeaddrinfo(3), or why not. */
int coir_i_resolve(const char *host, const char *service,
                   const struct addrinfo *hints, struct addrinfo **ret_found);

#endif
