/* bench/bench_chan.c -- what does a message through a channel cost?
 *
 * Fibers send numbers, others receive and add them up: one to one by rendezvous
 * and through a channel of 128, and four to four through one channel. A figure
 * is all of the time by all of the messages. */
#include <coir.h>

#include "bench/bench.h"

#include <errno.h>

enum { WARM_UP = 10000, MESSAGES = 4000000 };

struct traffic {
    size_t capacity;
    int pairs;
    int each; /* messages of each sender */
    coir_chan *chan;
};

static int send_all(void *arg)
{
    const struct traffic *t = arg;
    int rc = 0;

    for (int64_t i = 0; i < t->each && rc == 0; i++)
        rc = coir_chan_send(t->chan, &i);
    return rc;
}

struct receiver {
    const struct traffic *traffic;
    int64_t sum;
};

static int receive_all(void *arg)
{
    struct receiver *r = arg;
    int64_t number;
    int rc = 0;

    for (int i = 0; i < r->traffic->each && rc == 0; i++) {
        rc = coir_chan_recv(r->traffic->chan, &number);
        r->sum += number;
    }
    return rc;
}

static int run_traffic(struct traffic *t)
{
    struct receiver receivers[4] = {{0}};
    coir_nursery nursery;
    int64_t sum = 0;
    int rc = coir_chan_new(&t->chan, sizeof(int64_t), t->capacity);

    if (rc < 0)
        return rc;
    coir_nursery_open(&nursery);
    for (int i = 0; i < t->pairs && rc == 0; i++) {
        receivers[i].traffic = t;
        rc = coir_go(&nursery, receive_all, &receivers[i]);
        if (rc == 0)
            rc = coir_go(&nursery, send_all, t);
    }
    rc = coir_nursery_close_with(&nursery, rc);
    coir_chan_free(t->chan);
    for (int i = 0; i < t->pairs; i++)
        sum += receivers[i].sum;
    if (rc == 0 && sum != t->pairs * ((int64_t)t->each * (t->each - 1) / 2))
        return -EBADMSG;
    return rc;
}

static size_t capacity;
static int pairs;

static int time_traffic(void *ns)
{
    struct traffic t = {.capacity = capacity, .pairs = pairs};
    t.each = WARM_UP / pairs;
    int rc = run_traffic(&t);
    int64_t begin = bench_now();

    t.each = MESSAGES / pairs;
    if (rc == 0)
        rc = run_traffic(&t);
    *(double *)ns = (double)(bench_now() - begin) / MESSAGES;
    return rc;
}

static int measure(unsigned workers, double *ret_ns)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, time_traffic, ret_ns);
}

static int ask(const struct bench_question *question, size_t of, int from_to)
{
    capacity = of;
    pairs = from_to;
    return bench_ask(question);
}

int main(void)
{
    static const struct bench_question rendezvous = {
        .id = "rendezvous",
        .text = "a message by rendezvous",
        .unit = "ns",
        .measure = measure,
        .targets = {{1, 40}, {2, 45}}};
    static const struct bench_question one = {
        .id = "chan_one",
        .text = "a message through a channel of 128, one to one",
        .unit = "ns",
        .measure = measure,
        .targets = {{1, 15}, {2, 20}}};
    static const struct bench_question four = {.id = "chan_four",
                                               .text = "the same, four to four",
                                               .unit = "ns",
                                               .measure = measure,
                                               .targets = {{1, 17}, {2, 25}}};

    int failed = ask(&rendezvous, 0, 1);
    failed |= ask(&one, 128, 1);
    failed |= ask(&four, 128, 4);
    return failed;
}
