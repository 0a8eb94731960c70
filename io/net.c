/* io/net.c -- listening, and whose ends there are
 *
 * Does       the steps from an address in words to a listener, and from a
 *            socket to addresses in words.
 * Fails      what was made is closed, and a unix path that was bound removed.
 * Tests      test/test_address.c */
#include <coir/io.h>
#include <coir/net.h>

#include "io/address.h"
#include "io/connection.h"
#include "io/descriptor.h"
#include "io/module.h"
#include "io/sys.h"

#include <netinet/in.h>

/* The path of a unix listener is taken: 0 if nobody listens there any more,
 * and the path is free now. */
static int replace_path(const coir_i_address *a)
{
    const char *path = a->is.local.sun_path;
    if (coir_i_sys_is_socket_path(path) != 1)
        return -EADDRINUSE;
    int fd = coir_i_sys_socket(AF_UNIX, SOCK_STREAM);
    if (fd < 0)
        return fd;
    int rc = coir_i_sys_connect(fd, &a->is.any, a->length);
    coir_i_sys_close(fd);
    return rc == -ECONNREFUSED ? coir_i_sys_unlink(path) : -EADDRINUSE;
}

static int bind_to(int fd, const coir_i_address *a)
{
    static const int on = 1, off;
    int rc = 0;
    if (a->is.any.sa_family != AF_UNIX)
        rc =
            coir_i_sys_option_set(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (rc == 0 && a->is.any.sa_family == AF_INET6 &&
        IN6_IS_ADDR_UNSPECIFIED(&a->is.v6.sin6_addr))
        rc = coir_i_sys_option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off,
                                   sizeof off);
    if (rc == 0)
        rc = coir_i_sys_bind(fd, &a->is.any, a->length);
    if (rc == -EADDRINUSE && a->is.any.sa_family == AF_UNIX) {
        rc = replace_path(a);
        if (rc == 0)
            rc = coir_i_sys_bind(fd, &a->is.any, a->length);
    }
    return rc;
}

static int listen_on(const coir_i_address *a, int backlog)
{
    int fd = coir_i_socket_make(a->is.any.sa_family);
    if (fd < 0)
        return fd;
    int rc = bind_to(fd, a);
    if (rc == 0) {
        rc = coir_i_sys_listen(fd, backlog > 0 ? backlog : SOMAXCONN);
        if (rc < 0 && a->is.any.sa_family == AF_UNIX)
            coir_i_sys_unlink(a->is.local.sun_path);
    }
    if (rc < 0) {
        coir_close(fd);
        return rc;
    }
    return fd;
}

/* Is it worth trying the next address: does this machine not have that one? */
static bool is_not_here(int rc)
{
    return rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL || rc == -ENOPROTOOPT;
}

int coir_listen(const char *address, int backlog)
{
    coir_i_addresses found;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    rc = coir_i_addresses_find(address, COIR_I_TO_LISTEN, &found);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < found.count; i++) {
        rc = listen_on(&found.at[i], backlog);
        if (!is_not_here(rc))
            break;
    }
    coir_i_addresses_free(&found);
    return rc;
}

/* ---- Whose ends they are. */

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *length);

static int print_name(int fd, name_fn *name, char *text, size_t size)
{
    coir_i_address a = {.length = sizeof a.is};
    if (coir_i_io_is_forked())
        return -EPERM;
    int rc = name(fd, &a.is.any, &a.length);
    return rc < 0 ? rc : coir_i_address_print(&a, text, size);
}

int coir_local_address(int fd, char *text, size_t size)
{
    return print_name(fd, coir_i_sys_local, text, size);
}

int coir_peer_address(int fd, char *text, size_t size)
{
    return print_name(fd, coir_i_sys_peer, text, size);
}
