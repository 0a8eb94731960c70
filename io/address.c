/* io/address.c -- addresses in words, and as the kernel has them
 *
 *     127.0.0.1:80   [::1]:8080   [fe80::1%eth0]:80   :http   unix:path
 *     host.example:443
 *
 * Does       both directions. Numbers are read here; names, of hosts and of
 *            services, need the system, which may block: io/offload.h.
 * Does not   take what only looks like a number (1.2.3, 0x7f.1) for one, nor
 *            for a name.
 * Fails      see address.h; nothing is held.
 * Tests      test/test_address.c, test/test_dial.c */
#include "io/address.h"

#include "io/offload.h"
#include "io/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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
    return 0;
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
static int set_unnamed(coir_i_addresses *found, enum coir_i_address_use use,
                       int port)
{
    found->count = 2;
    if (use == COIR_I_TO_LISTEN) {
        set_v6(&found->at[0], in6addr_any, port);
        set_v4(&found->at[1], (struct in_addr){htonl(INADDR_ANY)}, port);
    } else {
        set_v4(&found->at[0], (struct in_addr){htonl(INADDR_LOOPBACK)}, port);
        set_v6(&found->at[1], in6addr_loopback, port);
    }
    return 0;
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
    return 0;
}

/* ---- Names of hosts. */

/* Does the last of its parts look like a number? Then getaddrinfo(3) would take
 * it for an address in one of the forms of old. */
static bool ends_in_number(const char *host)
{
    static const char digits[] = "0123456789";
    size_t length = strlen(host);
    if (length > 0 && host[length - 1] == '.')
        length--;
    size_t from = length;
    while (from > 0 && host[from - 1] != '.')
        from--;
    if (length - from > 2 && host[from] == '0' && (host[from + 1] | 32) == 'x')
        return strspn(host + from + 2, "0123456789abcdefABCDEF") >=
               length - from - 2;
    return strspn(host + from, digits) >= length - from;
}

/* Might it be a name, as far as its letters go? */
static bool is_name(const char *host)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    return host[strspn(host, letters)] == '\0' && !ends_in_number(host);
}

/* No name in this domain is ever given to anyone (RFC 6761, 6.4): so nobody
 * need be asked. */
static bool is_invalid(const char *host)
{
    static const char domain[] = ".invalid";
    size_t length = strlen(host);
    return length >= sizeof domain &&
           strcasecmp(host + length - (sizeof domain - 1), domain) == 0;
}

/* The next one from a on that is, or is not, of that family. */
static const struct addrinfo *find_family(const struct addrinfo *a, int family,
                                          bool is)
{
    while (a && ((a->ai_family != AF_INET && a->ai_family != AF_INET6) ||
                 (a->ai_family == family) != is))
        a = a->ai_next;
    return a;
}

static void set_found(coir_i_address *a, const struct addrinfo *found, int port)
{
    memcpy(&a->is, found->ai_addr, found->ai_addrlen);
    a->length = found->ai_addrlen;
    if (found->ai_family == AF_INET)
        a->is.v4.sin_port = htons((uint16_t)port);
    else
        a->is.v6.sin6_port = htons((uint16_t)port);
}

int coir_i_addresses_take(const struct addrinfo *list, int port,
                          coir_i_addresses *ret_found)
{
    size_t count = 0;
    for (const struct addrinfo *a = list; a; a = a->ai_next)
        count++;
    const struct addrinfo *first = find_family(list, AF_UNSPEC, false);
    if (!first)
        return -ENOENT;
    coir_i_address *at = coir_i_sys_alloc(count * sizeof *at);
    if (!at)
        return -ENOMEM;
    memset(at, 0, count * sizeof *at);

    const int family = first->ai_family;
    const struct addrinfo *others = find_family(list, family, false);
    for (count = 0; first || others;) {
        if (first) {
            set_found(&at[count++], first, port);
            first = find_family(first->ai_next, family, true);
        }
        if (others) {
            set_found(&at[count++], others, port);
            others = find_family(others->ai_next, family, false);
        }
    }
    ret_found->at = at;
    ret_found->count = count;
    return 0;
}

static int look_up_host(const char *host, int port, coir_i_addresses *found)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    if (!is_name(host))
        return -EINVAL;
    if (is_invalid(host))
        return -ENOENT;
    int rc = coir_i_resolve(host, NULL, &hints, &list);
    if (rc < 0)
        return rc;
    rc = coir_i_addresses_take(list, port, found);
    freeaddrinfo(list);
    return rc;
}

/* ---- All of them. */

int coir_i_addresses_find(const char *text, enum coir_i_address_use use,
                          coir_i_addresses *ret_found)
{
    char host[HOST_MAX];
    struct in_addr number;
    memset(ret_found, 0, sizeof *ret_found);
    ret_found->at = ret_found->few;
    ret_found->count = 1;
    if (strncmp(text, unix_prefix, sizeof unix_prefix - 1) == 0)
        return parse_unix(text + sizeof unix_prefix - 1, ret_found->at);

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
        return parse_v6(host, port, ret_found->at);
    if (!*host)
        return set_unnamed(ret_found, use, port);
    if (inet_pton(AF_INET, host, &number) != 1)
        return look_up_host(host, port, ret_found);
    set_v4(ret_found->at, number, port);
    return 0;
}

void coir_i_addresses_free(coir_i_addresses *found)
{
    if (found->at != found->few)
        free(found->at);
    found->at = found->few;
    found->count = 0;
}

/* ---- Into words. */

/* A unix address may have no name, one without an end, or an abstract one,
 * which begins with a zero and is shown with an @. */
static int print_unix(const coir_i_address *a, char *text, size_t size)
{
    const size_t before = offsetof(struct sockaddr_un, sun_path);
    size_t room = a->length > before ? a->length - before : 0;
    const char *path = a->is.local.sun_path;
    if (room > sizeof a->is.local.sun_path) /* it counts an end, too */
        room = sizeof a->is.local.sun_path;
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
