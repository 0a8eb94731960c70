/* io/address.c -- addresses in words, and as the kernel has them
 *
 *     127.0.0.1:80   [::1]:8080   [fe80::1%eth0]:80   :http   unix:path
 *
 * Does       both directions. Numbers are read here; only the names of services
 *            need the system, which may block: io/offload.h.
 * Does not   look up the names of hosts: pools/ will; they are -ENOENT.
 * Fails      see address.h; nothing is held.
 * Tests      test/test_address.c */
#include "io/address.h"

#include "io/offload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { HOST_MAX = 256, SERVICE_MAX = 64, PORT_MAX = 65535 };

static const char unix_prefix[] = "unix:";

/* ---- From words. */

struct service {
    const char *name;
    int port; /* or why not */
};

static int look_up_service(void *arg)
{
    struct service *service = arg;
    struct servent entry, *found = NULL;
    char text[1024];
    int rc = getservbyname_r(service->name, "tcp", &entry, text, sizeof text,
                             &found);
    service->port = rc == 0 && found ? ntohs((uint16_t)found->s_port) : -ENOENT;
    return 0;
}

/* Names of services have letters, digits and a few signs: a letter at least. */
static bool is_service(const char *text)
{
    static const char digits[] = "0123456789-._+";
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t length = 0, found = 0;
    for (; text[length]; length++) {
        if (strchr(letters, text[length]))
            found++;
        else if (!strchr(digits, text[length]))
            return false;
    }
    return found > 0 && length < SERVICE_MAX;
}

/* A port's number, or why not. */
static int parse_port(const char *text)
{
    if (text[strspn(text, "0123456789")] == '\0' && *text) {
        int port = 0;
        for (; *text && port <= PORT_MAX; text++)
            port = 10 * port + (*text - '0');
        return port <= PORT_MAX ? port : -EINVAL;
    }
    if (!is_service(text))
        return -EINVAL;
    struct service service = {.name = text};
    int rc = coir_i_offload(look_up_service, &service);
    return rc < 0 ? rc : service.port;
}

static int parse_unix(const char *path, coir_i_address *ret)
{
    size_t length = strlen(path);
    if (length == 0)
        return -EINVAL;
    if (length >= sizeof ret->is.local.sun_path)
        return -ENAMETOOLONG;
    ret->is.local.sun_family = AF_UNIX;
    memcpy(ret->is.local.sun_path, path, length + 1);
    ret->length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 1;
}

static void set_v4(coir_i_address *a, struct in_addr host, int port)
{
    a->is.v4.sin_family = AF_INET;
    a->is.v4.sin_addr = host;
    a->is.v4.sin_port = htons((uint16_t)port);
    a->length = sizeof a->is.v4;
}

static void set_v6(coir_i_address *a, struct in6_addr host, int port)
{
    a->is.v6.sin6_family = AF_INET6;
    a->is.v6.sin6_addr = host;
    a->is.v6.sin6_port = htons((uint16_t)port);
    a->length = sizeof a->is.v6;
}

/* Nothing before the port. To listen, IPv6 takes IPv4 as well; the second
 * address is for a machine that has but one of them. */
static int set_unnamed(coir_i_address found[COIR_I_ADDRESSES],
                       enum coir_i_address_use use, int port)
{
    if (use == COIR_I_TO_LISTEN) {
        set_v6(&found[0], in6addr_any, port);
        set_v4(&found[1], (struct in_addr){htonl(INADDR_ANY)}, port);
    } else {
        set_v4(&found[0], (struct in_addr){htonl(INADDR_LOOPBACK)}, port);
        set_v6(&found[1], in6addr_loopback, port);
    }
    return 2;
}

/* What stands in brackets, with its %interface. */
static int parse_v6(char *host, int port, coir_i_address *ret)
{
    struct in6_addr number;
    char *interface = strchr(host, '%');
    if (interface)
        *interface++ = '\0';
    if (inet_pton(AF_INET6, host, &number) != 1)
        return -EINVAL;
    set_v6(ret, number, port);
    if (interface) {
        ret->is.v6.sin6_scope_id = if_nametoindex(interface);
        if (!ret->is.v6.sin6_scope_id)
            return -ENOENT;
    }
    return 1;
}

/* Might it be the name of a host, as far as its letters go? */
static bool is_name(const char *host)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    return host[strspn(host, letters)] == '\0';
}

int coir_i_address_parse(const char *text, enum coir_i_address_use use,
                         coir_i_address found[COIR_I_ADDRESSES])
{
    char host[HOST_MAX];
    struct in_addr number;
    memset(found, 0, COIR_I_ADDRESSES * sizeof *found);
    if (strncmp(text, unix_prefix, sizeof unix_prefix - 1) == 0)
        return parse_unix(text + sizeof unix_prefix - 1, found);

    bool is_v6 = text[0] == '[';
    const char *from = is_v6 ? text + 1 : text;
    const char *end = strchr(from, is_v6 ? ']' : ':');
    if (!end || (is_v6 && end[1] != ':') || end - from >= HOST_MAX)
        return -EINVAL;
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = '\0';
    int port = parse_port(end + (is_v6 ? 2 : 1));
    if (port < 0)
        return port;
    if (is_v6)
        return parse_v6(host, port, found);
    if (!*host)
        return set_unnamed(found, use, port);
    if (inet_pton(AF_INET, host, &number) != 1)
        return is_name(host) ? -ENOENT : -EINVAL;
    set_v4(found, number, port);
    return 1;
}

/* ---- Into words. */

/* A unix address may have no name, one without an end, or an abstract one,
 * which begins with a zero and is shown with an @. */
static int print_unix(const coir_i_address *a, char *text, size_t size)
{
    size_t room = a->length > offsetof(struct sockaddr_un, sun_path)
                      ? a->length - offsetof(struct sockaddr_un, sun_path)
                      : 0;
    const char *path = a->is.local.sun_path;
    if (room && !*path)
        return snprintf(text, size, "unix:@%.*s", (int)room - 1, path + 1);
    return snprintf(text, size, "unix:%.*s", (int)strnlen(path, room), path);
}

static int print_v6(const struct sockaddr_in6 *a, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN], interface[IF_NAMESIZE];
    unsigned port = ntohs(a->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr)) {
        inet_ntop(AF_INET, &a->sin6_addr.s6_addr[12], host, sizeof host);
        return snprintf(text, size, "%s:%u", host, port);
    }
    inet_ntop(AF_INET6, &a->sin6_addr, host, sizeof host);
    if (a->sin6_scope_id && if_indextoname(a->sin6_scope_id, interface))
        return snprintf(text, size, "[%s%%%s]:%u", host, interface, port);
    return snprintf(text, size, "[%s]:%u", host, port);
}

int coir_i_address_print(const coir_i_address *address, char *text, size_t size)
{
    char host[INET_ADDRSTRLEN];
    int length;
    switch (address->is.any.sa_family) {
    case AF_UNIX:
        length = print_unix(address, text, size);
        break;
    case AF_INET:
        inet_ntop(AF_INET, &address->is.v4.sin_addr, host, sizeof host);
        length =
            snprintf(text, size, "%s:%u", host, ntohs(address->is.v4.sin_port));
        break;
    case AF_INET6:
        length = print_v6(&address->is.v6, text, size);
        break;
    default:
        return -EAFNOSUPPORT;
    }
    return (size_t)length < size ? length : -ENOSPC;
}
