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

enum { COIR_I_ADDRESSES = 2 }; /* that one text may stand for */

/* [parks] How many addresses the text stands for, in the order in which to try
 * them. -EINVAL: it is not an address; -ENAMETOOLONG: a unix path that is too
 * long; -ENOENT: a host that is a name, or a service that is not known. */
int coir_i_address_parse(const char *text, enum coir_i_address_use use,
                         coir_i_address found[COIR_I_ADDRESSES]);

/* The length of its text. -ENOSPC: size is too small; -EAFNOSUPPORT: it has no
 * text. */
int coir_i_address_print(const coir_i_address *address, char *text,
                         size_t size);

#endif
