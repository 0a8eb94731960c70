/* test/stress_reuse.c -- io/: a number that is used again begins anew
 *
 * Fibers on eight workers open, use and close descriptors, again and again, so
 * that every number is another file a moment later, and another fiber's. Files
 * are of several kinds and end in several ways: read to their end or not, under
 * a fiber that waits, by close(2) behind coir's back.
 *
 * What a file says is told apart by a token that was never used before. So a
 * readiness that is left over from the file before shows as "ready" where
 * nothing was written; what belongs to another as a wrong token; and an edge
 * that has gone to the file before as a fiber that waits for ever. It has found
 * this one, now prevented by L2 of io/watch.c:
 *
 *     closes the number                   polls the next file of that number
 *       the slot begins generation g
 *       close(2)
 *                                           registers it as of g
 *       it is in use already: g + 1,
 *       and whoever waits is stirred
 *                                           lists itself, parks: its events
 *                                           are of g, and are dropped
 *
 * A million with MINUTES, else a tenth of that. */
#include "io/descriptor.h"
#include "test/harness.h"
#include "test/must.h"
#include "test/sockets.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { WORKERS = 8, LANES = 16, REUSES = 1000000, FEWER = 100000 };

static _Atomic uint64_t reuses, tokens;
static uint64_t wanted; /* of the former */

struct round {
    int ends[2];
    uint64_t token;
    uint64_t *random;
};

/* ---- Beginnings. */

static void make_ends(struct round *r, const char *address, int listener)
{
    uint64_t kind = test_random_below(r->random, 32);
    int rc;
    if (kind == 0) { /* which coir has made, and trusts */
        r->ends[0] = coir_dial(address);
        r->ends[1] = coir_accept(listener, NULL, NULL);
        rc = r->ends[0] < 0 ? r->ends[0] : r->ends[1];
    } else if (kind < 12) {
        rc = pipe2(r->ends, kind % 2 ? O_NONBLOCK : 0);
    } else {
        int type = SOCK_STREAM | (kind % 2 ? SOCK_NONBLOCK : 0);
        rc = socketpair(AF_UNIX, type, 0, r->ends);
    }
    must_not(rc < 0);
}

static void check_fresh(const struct round *r)
{
    char byte;
    must_not(coir_try_poll(r->ends[0], COIR_READABLE) != 0);
    must_not(coir_try_poll(r->ends[1], COIR_WRITABLE) != COIR_WRITABLE);
    ssize_t n = coir_recv(r->ends[0], &byte, 1, MSG_DONTWAIT);
    must_not(n != -EAGAIN && n != -ENOTSOCK);
}

/* ---- Uses. */

static int write_token(void *arg)
{
    struct round *r = arg;
    ssize_t n = coir_write(r->ends[1], &r->token, sizeof r->token);
    must_not(n != sizeof r->token);
    return 0;
}

static void read_token(struct round *r)
{
    uint64_t got = 0;
    ssize_t n = coir_read_full(r->ends[0], &got, sizeof got);
    must_not(n != sizeof got);
    must_not(got != r->token);
}

static void read_late(struct round *r)
{
    coir_nursery n;
    coir_nursery_open(&n);
    must_not(coir_go(&n, write_token, r) != 0);
    if (test_random_below(r->random, 2))
        must_not(coir_poll(r->ends[0], COIR_READABLE) != COIR_READABLE);
    read_token(r);
    must_not(coir_nursery_close(&n) != 0);
}

/* Not before somebody is inside: it could be another file by then. */
static int close_under(void *arg)
{
    struct round *r = arg;
    coir_i_descriptor *slot = coir_i_slot_find(r->ends[0]);
    while (!(slot->state & COIR_I_CALLS))
        COIR_IGNORE(coir_yield());
    must_not(coir_close(r->ends[0]) != 0);
    return 0;
}

static void read_and_lose(struct round *r)
{
    coir_nursery n;
    char byte;
    coir_nursery_open(&n);
    must_not(coir_go(&n, close_under, r) != 0);
    must_not(coir_read(r->ends[0], &byte, 1) != -EBADF);
    must_not(coir_nursery_close(&n) != 0);
    r->ends[0] = -1;
}

/* ---- Ends. */

static void end(int fd, uint64_t *random)
{
    if (fd < 0)
        return;
    int rc = test_random_below(random, 512) ? coir_close(fd) : close(fd);
    must_not(rc != 0);
}

static bool goes_on(void)
{
    return atomic_fetch_add(&reuses, 2) < wanted;
}

static int run_lane(void *arg)
{
    char address[64];
    struct round r = {.random = arg};
    int listener = coir_listen("127.0.0.1:0", 0);
    must_not(coir_local_address(listener, address, sizeof address) < 0);
    while (goes_on()) {
        r.token = ++tokens;
        make_ends(&r, address, listener);
        check_fresh(&r);
        switch (test_random_below(r.random, 5)) {
        case 0:
            write_token(&r);
            read_token(&r);
            break;
        case 1: /* left unread */
            write_token(&r);
            break;
        case 2:
            read_and_lose(&r);
            break;
        default:
            read_late(&r);
        }
        end(r.ends[0], r.random);
        end(r.ends[1], r.random);
        COIR_IGNORE(coir_checkpoint());
    }
    return coir_close(listener);
}

static int run_lanes(void *arg)
{
    static uint64_t randoms[LANES];
    coir_nursery n;
    (void)arg;
    coir_nursery_open(&n);
    for (int i = 0; i < LANES; i++) {
        randoms[i] = test_seed((uint64_t)i);
        ck_assert_int_eq(coir_go(&n, run_lane, &randoms[i]), 0);
    }
    return coir_nursery_close(&n);
}

START_TEST(numbers_that_are_used_again_begin_anew)
{
    int number = next_number();
    wanted = test_scaled(getenv("MINUTES") ? REUSES : FEWER);
    ck_assert_int_eq(run_workers(WORKERS, run_lanes, NULL), 0);
    assert_nothing_happened();
    ck_assert_int_eq(next_number(), number);
}
END_TEST

COIR_SUITE(reuse_stress, TEST_STRESS)
{
    TCase *all = test_case(suite, "descriptors");
    tcase_add_test(all, numbers_that_are_used_again_begin_anew);
}
