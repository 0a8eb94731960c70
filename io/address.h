/* io/address.h -- addresses in words, and as the kernel has them */
#ifndef COIR_IO_ADDRESS_H
#define COIR_IO_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What a text with nothing before its port stands for. */
enum coir_i_address_use { COIR_I_TO_LISTEN, COIR_I_TO_DIAL };

typedef struct coir_i_address {
    socklen_t length;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } is;
} coir_i_address;

/* What one text may stand for, in the order in which to try them. It does not
 * move. */
typedef struct coir_i_addresses {
    size_t count;
    coir_i_address *at; /* `few`, or the heap's */
    coir_i_address few[2];
} coir_i_addresses;

/* [parks] 0. -EINVAL: it is not an address; -ENAMETOOLONG: a unix path that is
 * too long; -ENOENT: a host, a service or an interface that is not known; and
 * what coir_i_resolve says. */
int coir_i_addresses_find(const char *text, enum coir_i_address_use use,
                          coir_i_addresses *ret_found);
void coir_i_addresses_free(coir_i_addresses *found);

/* Those of getaddrinfo(3), families in turn (RFC 8305, 4), with that port. 0;
 * -ENOENT: there is none of a family that we know; -ENOMEM. */
struct addrinfo;
int coir_i_addresses_take(const struct addrinfo *list, int port,
                          coir_i_addresses *ret_found);

/* The length of its text. -ENOSPC: size is too small; -EAFNOSUPPORT: it has no
 * text. */
int coir_i_address_print(const coir_i_address *address, char *text,
                         size_t size);

#endif
