/* Names of hosts and services. See coir_getaddrinfo(3). */
#ifndef COIR_NAMES_H
#define COIR_NAMES_H

#include <coir/base.h>

COIR_BEGIN

struct addrinfo;

/* [parks] 0 and a list for freeaddrinfo(3), or why there is none. */
int coir_getaddrinfo(const char *host, const char *service,
                     const struct addrinfo *hints,
                     struct addrinfo **found) COIR_MUST_USE;

COIR_END

#endif
