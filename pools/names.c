/* pools/names.c -- names of hosts and services, looked up on threads
 *
 * Does       coir_getaddrinfo, and the names that io dials.
 *
 * The C library's resolver blocks, and may take as long as a server that does
 * not answer. What a look-up needs is in memory of its own, so that a cancelled
 * caller goes on at once; the last who has to do with it frees it, and with it
 * a list that nobody came for. It is not interrupted: the resolver starts again
 * after a signal, and what modules it may load do after one is not known.
 *
 * Fails      as coir_i_sys_resolve(); -ENOMEM.
 * Tests      test/test_names.c */
#include <coir/fiber.h>
#include <coir/names.h>

#include "io/offload.h"
#include "io/sys.h"
#include "pools/own_pools.h"
#include "sched/module.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
    coir_i_call call;             /* first */
    const char *host, *service;   /* const: in text, or NULL */
    const struct addrinfo *hints; /* const: ours, or NULL */
    struct addrinfo copy;
    struct addrinfo *found;
    int result;
    char text[];
};

static const coir_i_wait waits_for_name = {.what = "name"};

static int look_up_now(void *arg)
{
    struct lookup *l = arg;
    l->result = coir_i_sys_resolve(l->host, l->service, l->hints, &l->found);
    return 0;
}

static void abandon_lookup(coir_i_call *call)
{
    struct lookup *l = (struct lookup *)call;
    if (l->found)
        freeaddrinfo(l->found);
    free(l);
}

/* NULL: no memory. */
static struct lookup *new_lookup(const char *host, const char *service,
                                 const struct addrinfo *hints)
{
    size_t host_size = host ? strlen(host) + 1 : 0;
    size_t service_size = service ? strlen(service) + 1 : 0;
    struct lookup *l = malloc(sizeof *l + host_size + service_size);
    if (!l)
        return NULL;
    *l = (struct lookup){.call = {.fn = look_up_now,
                                  .wait = &waits_for_name,
                                  .abandon = abandon_lookup,
                                  .item = (char *)l,
                                  .waiting = 1}};
    if (host)
        l->host = memcpy(l->text, host, host_size);
    if (service)
        l->service = memcpy(l->text + host_size, service, service_size);
    if (hints) {
        l->copy.ai_flags = hints->ai_flags;
        l->copy.ai_family = hints->ai_family;
        l->copy.ai_socktype = hints->ai_socktype;
        l->copy.ai_protocol = hints->ai_protocol;
        l->hints = &l->copy;
    }
    return l;
}

int coir_getaddrinfo(const char *host, const char *service,
                     const struct addrinfo *hints, struct addrinfo **found)
{
    struct lookup *l = new_lookup(host, service, hints);
    if (!l)
        return -ENOMEM;
    int rc = coir_i_names_call(&l->call);
    if (rc < 0)
        return rc;
    rc = l->result;
    if (rc == 0)
        *found = l->found;
    free(l);
    return rc;
}

coir_i_constructor(2) static void install(void)
{
    coir_i_resolve_install(coir_getaddrinfo);
}
