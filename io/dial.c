/* io/dial.c -- connecting to whichever address answers first
 *
 * Does       what RFC 8305 says (section 5): an attempt for each address of a
 *            name, in order; the next one begins 250 ms after the one before,
 *            or at once when that has failed; the first that is connected is
 *            the result, and the others are given up.
 *
 * An attempt is a fiber of one nursery. Each, when it begins, starts the next,
 * which first waits for it to fail, but no longer than 250 ms:
 *
 *      0    connect ........................... cancelled
 *      1            250 ms, connect .. refused
 *      2                    wait ....... at once, connect, won
 *
 * Invariants
 *   A1  `won` is set once, by the attempt whose socket it is; every other
 *       socket is closed by the attempt that made it.
 *
 * Edges      none: the nursery's close orders all that attempts write.
 * Fails      with what says most of all the failures; see tells_more.
 * Tests      test/test_dial.c */
#include <coir/io.h>
#include <coir/net.h>
#include <coir/nursery.h>
#include <coir/scope.h>
#include <coir/task.h>

#include "fiber/atomics.h"
#include "io/address.h"
#include "io/connection.h"
#include "io/sys.h"
#include "sched/park.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_DELAY COIR_MS(250) /* RFC 8305, section 8 */

static int dial_to(const coir_i_address *a)
{
    int fd = coir_i_socket_make(a->is.any.sa_family);
    if (fd < 0)
        return fd;
    int rc = coir_connect(fd, &a->is.any, a->length);
    if (rc < 0) {
        coir_close(fd);
        return rc;
    }
    return fd;
}

/* ---- The race. */

typedef struct race race;

struct attempt {
    race *race;
    coir_task task;
    int rc; /* why it failed */
};

struct race {
    coir_nursery nursery;
    const coir_i_addresses *to;
    struct attempt *attempts; /* one for each address */
    _Atomic(int) won;         /* -1: nobody has */
};

static int join_attempt(void *arg)
{
    struct attempt *a = arg;
    return coir_join(&a->task, NULL);
}

static int run_attempt(void *arg);

static void start_attempt(race *r, size_t i)
{
    static const coir_spawn_options options = {.name = "dial"};
    struct attempt *a = &r->attempts[i];
    a->race = r;
    int rc = coir_spawn_with(&r->nursery, &a->task, &options, run_attempt, a);
    if (rc < 0)
        a->rc = rc; /* else it is the attempt's own */
}

/* After the one before has failed, or has had its time. */
static int wait_for_start(struct attempt *a)
{
    if (a == a->race->attempts)
        return 0;
    int rc = coir_timeout(ATTEMPT_DELAY, join_attempt, a - 1);
    return rc == -ETIMEDOUT ? 0 : rc;
}

static int run_attempt(void *arg)
{
    struct attempt *a = arg;
    race *r = a->race;
    size_t i = (size_t)(a - r->attempts);
    int none = -1;

    a->rc = wait_for_start(a);
    if (a->rc < 0)
        return 0;
    if (i + 1 < r->to->count)
        start_attempt(r, i + 1);
    int fd = dial_to(&r->to->at[i]);
    a->rc = fd < 0 ? fd : 0;
    /* relaxed: nobody reads more by it than the number. */
    if (fd >= 0 && !cas_relaxed(&r->won, &none, fd))
        coir_close(fd);
    else if (fd >= 0)
        coir_nursery_cancel(&r->nursery);
    return 0;
}

/* ---- How it ends. */

/* What this machine lacks says more than what a host answers, and that more
 * than an address which cannot be used from here. */
static int weight_of(int rc)
{
    switch (-rc) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return 3;
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
        return 1;
    }
    return rc < 0 && rc != -ECANCELED ? 2 : 0;
}

static int worst_of(const race *r)
{
    int worst = -ECANCELED;
    for (size_t i = 0; i < r->to->count; i++) {
        if (weight_of(r->attempts[i].rc) > weight_of(worst))
            worst = r->attempts[i].rc;
    }
    return worst;
}

static int dial_all(const coir_i_addresses *to)
{
    race r = {.to = to, .won = -1};
    size_t size = to->count * sizeof *r.attempts;
    r.attempts = coir_i_sys_alloc(size);
    if (!r.attempts)
        return -ENOMEM;
    memset(r.attempts, 0, size);
    coir_nursery_open(&r.nursery);
    start_attempt(&r, 0);
    int rc = coir_nursery_close(&r.nursery);
    int won = load_relaxed(&r.won); /* they have all ended */
    if (won < 0 && rc == 0)
        rc = worst_of(&r);
    free(r.attempts);
    return won < 0 ? rc : won;
}

int coir_dial(const char *address)
{
    coir_i_addresses to;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    rc = coir_i_addresses_find(address, COIR_I_TO_DIAL, &to);
    if (rc < 0)
        return rc;
    rc = to.count == 1 ? dial_to(&to.at[0]) : dial_all(&to);
    coir_i_addresses_free(&to);
    return rc;
}
