/* test/stress_stream.c -- io/stream.c: nothing is lost, doubled or mixed
 *
 * Both ends of a connection are streams of random buffer sizes; a fiber writes
 * and another reads each. What they write is one long text of lines, known in
 * advance, in pieces of random sizes and by random calls, most of them under
 * timeouts that cancel them. What they read must be that text. */
#include "test/harness.h"
#include "test/must.h"
#include "test/sockets.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAIRS = 4, TEXT_MAX = 60000, BUFFER_MAX = 3000, LINE = 61 };

static uint64_t seeds;

struct end {
    coir_stream *stream;
    uint64_t random[2]; /* the reader's, the writer's */
    size_t total;       /* of what it writes */
    size_t expected;    /* of what it reads */
    size_t size;        /* of its buffers */
};

/* A line ends now and then, by a rule. */
static char text_at(size_t i)
{
    return i % LINE == LINE - 1 || i % 7919 == 0 ? '\n' : byte_at(i) | 32;
}

/* ---- One call, which may be cancelled. */

struct call {
    struct end *end;
    const char *out;
    char *in;
    size_t size;
    ssize_t rc;
    int way;
};

static int write_piece(void *arg)
{
    struct call *c = arg;
    coir_stream *s = c->end->stream;
    if (c->way == 0)
        c->rc = coir_stream_printf(s, "%.*s", (int)c->size, c->out);
    else
        c->rc = coir_stream_write(s, c->out, c->size);
    return 0;
}

static int flush_all(void *arg)
{
    struct call *c = arg;
    c->rc = coir_stream_flush(c->end->stream);
    return 0;
}

static int read_piece(void *arg)
{
    struct call *c = arg;
    if (c->way == 0)
        c->rc = coir_stream_read(c->end->stream, c->in, c->size);
    else
        c->rc = coir_stream_read_until(c->end->stream, '\n', &c->in);
    return 0;
}

static ssize_t make(struct call *c, coir_fn *fn, uint64_t *random)
{
    uint64_t us = test_random_below(random, 150);
    if (us > 120)
        COIR_IGNORE(fn(c));
    else
        COIR_IGNORE(coir_timeout(COIR_US((double)us), fn, c));
    return c->rc;
}

/* ---- The two fibers of an end. */

static int run_writer(void *arg)
{
    struct end *e = arg;
    uint64_t *random = &e->random[1];
    char bytes[2 * BUFFER_MAX];
    struct call c = {.end = e, .out = bytes};
    for (size_t sent = 0; sent < e->total;) {
        c.size = 1 + test_random_below(random, sizeof bytes - 1);
        if (test_random_below(random, 4))
            c.size = 1 + c.size % 100;
        if (c.size > e->total - sent)
            c.size = e->total - sent;
        for (size_t i = 0; i < c.size; i++)
            bytes[i] = text_at(sent + i);
        c.way = (int)test_random_below(random, 2);
        ssize_t n = make(&c, write_piece, random);
        if (n > 0)
            sent += (size_t)n;
        must_not(n > 0 && (size_t)n != c.size);
        must_not(n <= 0 && n != -ECANCELED);
        if (test_random_below(random, 8) == 0) {
            n = make(&c, flush_all, random);
            must_not(n != 0 && n != -ECANCELED);
        }
    }
    must_not(coir_stream_flush(e->stream) != 0);
    shutdown(coir_stream_fd(e->stream), SHUT_WR);
    return 0;
}

static void check_piece(const struct call *c, size_t got, size_t n)
{
    bool is_last = got + n == c->end->expected;
    must_not(got + n > c->end->expected);
    for (size_t i = 0; i < n; i++) {
        must_not(c->in[i] != text_at(got + i));
        must_not(c->way != 0 && c->in[i] == '\n' && i + 1 < n);
    }
    must_not(c->way != 0 && !is_last && c->in[n - 1] != '\n');
}

static int run_reader(void *arg)
{
    struct end *e = arg;
    uint64_t *random = &e->random[0];
    char bytes[2 * BUFFER_MAX];
    struct call c = {.end = e};
    bool is_long = false;
    size_t got = 0;
    for (;;) {
        c.in = bytes;
        c.way = is_long ? 0 : (int)test_random_below(random, 4);
        c.size = 1 + test_random_below(random, sizeof bytes - 1);
        ssize_t n = make(&c, read_piece, random);
        if (n == 0)
            break;
        if (n == -ECANCELED)
            continue;
        is_long = n == -EMSGSIZE;
        must_not(is_long && e->size > LINE);
        must_not(n < 0 && !is_long);
        if (n > 0) {
            check_piece(&c, got, (size_t)n);
            got += (size_t)n;
        }
    }
    must_not(got != e->expected);
    return 0;
}

/* ---- Rounds. */

static void make_ends(struct end ends[2], uint64_t *random)
{
    static const int least = 1; /* so that writers wait for room */
    int fds[2];
    if (test_random_below(random, 2))
        make_pair(fds);
    else
        make_connection(fds);
    for (int i = 0; i < 2; i++) {
        struct end *e = &ends[i];
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
        e->size = 1 + test_random_below(random, BUFFER_MAX);
        if (test_random_below(random, 4) == 0)
            e->size = 1 + e->size % LINE;
        must_not(coir_stream_new(&e->stream, fds[i], e->size) != 0);
        e->total = test_random_below(random, TEXT_MAX);
        ends[!i].expected = e->total;
        e->random[0] = test_random(random);
        e->random[1] = test_random(random);
    }
}

static void run_round(uint64_t *random)
{
    struct end(*ends)[2] = calloc(PAIRS, sizeof *ends);
    coir_nursery n;
    coir_nursery_open(&n);
    for (int i = 0; i < PAIRS; i++) {
        make_ends(ends[i], random);
        for (int k = 0; k < 2; k++) {
            ck_assert_int_eq(coir_go(&n, run_writer, &ends[i][k]), 0);
            ck_assert_int_eq(coir_go(&n, run_reader, &ends[i][k]), 0);
        }
    }
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    for (int i = 0; i < 2 * PAIRS; i++)
        ck_assert_int_eq(coir_stream_close(ends[i / 2][i % 2].stream), 0);
    free(ends);
    assert_nothing_happened();
}

static int run_rounds(void *arg)
{
    uint64_t random = test_seed(seeds++);
    struct stress_clock clock = stress_clock_start();
    (void)arg;
    while (stress_goes_on(&clock))
        run_round(&random);
    return 0;
}

START_TEST(nothing_is_lost_doubled_or_mixed)
{
    ck_assert_int_eq(coir_run(run_rounds, NULL), 0);
}
END_TEST

COIR_SUITE(stream_stress, TEST_STRESS | TEST_WORKERS)
{
    TCase *all = test_case(suite, "streams");
    tcase_add_test(all, nothing_is_lost_doubled_or_mixed);
}
