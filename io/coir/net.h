/* Addresses in words: listening and dialling. See coir_listen(3). */
#ifndef COIR_NET_H
#define COIR_NET_H

#include <coir/base.h>

COIR_BEGIN

/* [parks] "host:port", "127.0.0.1:http", "[::1]:8080", ":0", "unix:path". A
 * descriptor comes back, or why not; -EINVAL: not an address. dial tries every
 * address of a name (RFC 8305). */
int coir_listen(const char *address, int backlog) COIR_MUST_USE;
int coir_dial(const char *address) COIR_MUST_USE;

/* The length of the text; -ENOSPC: size is too small. */
int coir_local_address(int fd, char *text, size_t size);
int coir_peer_address(int fd, char *text, size_t size);

COIR_END

#endif
