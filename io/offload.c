/* io/offload.c -- run this where it may block, and wake me after
 *
 * Edges      offload.run (publish: install; observe: who offloads)
 *            offload.resolve (publish: install; observe: who looks up)
 * Fails      as what was installed.
 * Tests      test/test_readwrite_kinds.c, test/test_dial.c */
#include "io/offload.h"

#include "fiber/atomics.h"
#include "io/sys.h"

static _Atomic(coir_i_offload_fn *) run_elsewhere;
static _Atomic(coir_i_resolve_fn *) resolve_elsewhere;

void coir_i_offload_install(coir_i_offload_fn *run)
{
    /* @publish offload.run: what it needs is there. */
    store_release(&run_elsewhere, run);
}

int coir_i_offload(coir_fn *fn, void *arg)
{
    /* @observe offload.run: what it needs is there. */
    coir_i_offload_fn *run = load_acquire(&run_elsewhere);
    return run ? run(fn, arg) : fn(arg);
}

/* ---- Names. */

struct question {
    const char *host, *service;
    const struct addrinfo *hints;
    struct addrinfo *found;
    int rc;
};

static int ask(void *arg)
{
    struct question *q = arg;
    q->rc = coir_i_sys_resolve(q->host, q->service, q->hints, &q->found);
    return 0;
}

void coir_i_resolve_install(coir_i_resolve_fn *resolve)
{
    /* @publish offload.resolve: what it needs is there. */
    store_release(&resolve_elsewhere, resolve);
}

int coir_i_resolve(const char *host, const char *service,
                   const struct addrinfo *hints, struct addrinfo **ret_found)
{
    /* @observe offload.resolve: what it needs is there. */
    coir_i_resolve_fn *resolve = load_acquire(&resolve_elsewhere);
    if (resolve)
        return resolve(host, service, hints, ret_found);
    struct question q = {.host = host, .service = service, .hints = hints};
    int rc = coir_i_offload(ask, &q);
    if (rc == 0)
        rc = q.rc;
    if (rc == 0)
        *ret_found = q.found;
    return rc;
}
