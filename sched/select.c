/* sched/select.c -- one of several channels
 *
 * Does       takes the locks of all its channels, one after another by address,
 *            so that two selects never wait for each other; with the locks it
 *            chooses among the cases that are ready, or has a waiter in the
 *            queue of each. They share one ticket: only one can be taken.
 * Does not   keep order among its cases: any that is ready may be chosen.
 *
 * Invariants
 *   S1  a channel is locked once, however many cases it has.
 *   S2  its own waiters are in the queues only after it has found no case
 *       ready: it never hands over to itself.
 *   S3  it returns when each waiter was taken or withdrawn, under the lock of
 *       its channel: nobody looks at it any more.
 *
 * Locks      the words of its channels, by address.
 * Edges      waitq.word
 * Fails      -ENOMEM, for more than FEW cases; -EINVAL: nothing was done.
 * Tests      test/test_select.c, test/test_select_several.c,
 *            test/stress_chan.c */
#include "sched/chan.h"
#include "sched/choice.h"
#include "sched/module.h"

#include <limits.h>
#include <stdlib.h>

enum { FEW = 8 }; /* cases for which no memory is asked */

struct selection {
    coir_case *cases;
    size_t count;
    coir_chan **chans; /* by address, each once */
    size_t locks;
    coir_i_chan_waiter *waiters; /* a case has one */
    void *memory;                /* of these, if they are not few */
    coir_chan *few_chans[FEW];
    coir_i_chan_waiter few_waiters[FEW];
};

/* ---- which channels ---- */

static int compare_addresses(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t) * (coir_chan *const *)a;
    uintptr_t right = (uintptr_t) * (coir_chan *const *)b;
    return (left > right) - (left < right);
}

static void sort_few(coir_chan **chans, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        coir_chan *c = chans[i];
        size_t to = i;
        for (; to > 0 && (uintptr_t)chans[to - 1] > (uintptr_t)c; to--)
            chans[to] = chans[to - 1];
        chans[to] = c;
    }
}

/* -EINVAL: there is a case with neither operation. */
static int list_chans(struct selection *s)
{
    size_t count = 0;
    s->locks = 0;
    for (size_t i = 0; i < s->count; i++) {
        const coir_case *one = &s->cases[i];
        if (one->op != COIR_SEND && one->op != COIR_RECV)
            return -EINVAL;
        if (one->chan)
            s->chans[count++] = one->chan;
    }
    if (count <= FEW)
        sort_few(s->chans, count);
    else
        qsort(s->chans, count, sizeof *s->chans, compare_addresses);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || s->chans[i] != s->chans[i - 1])
            s->chans[s->locks++] = s->chans[i];
    return 0;
}

static int begin(struct selection *s, coir_case *cases, size_t count)
{
    const size_t each = sizeof *s->waiters + sizeof *s->chans;
    s->cases = cases;
    s->count = count;
    s->chans = s->few_chans;
    s->waiters = s->few_waiters;
    s->memory = NULL;
    if (count > INT_MAX)
        return -EINVAL;
    if (count > FEW) {
        if (count > SIZE_MAX / each || !(s->memory = malloc(count * each)))
            return -ENOMEM;
        s->waiters = s->memory;
        s->chans = (coir_chan **)(void *)(s->waiters + count);
    }
    int rc = list_chans(s);
    if (rc < 0)
        free(s->memory);
    return rc;
}

static void lock_all(struct selection *s)
{
    for (size_t i = 0; i < s->locks; i++)
        coir_i_word_lock(&s->chans[i]->word);
}

static void unlock_all(struct selection *s)
{
    for (size_t i = 0; i < s->locks; i++) {
        _Atomic(uint64_t) *word = &s->chans[i]->word;
        /* relaxed: nobody else writes it while it is locked. */
        coir_i_word_unlock(word, load_relaxed(word) & ~COIR_I_LOCKED);
    }
}

/* ---- under the locks ---- */

static bool is_ready(const coir_case *one)
{
    return one->chan && coir_i_chan_is_ready(one->chan, one->op);
}

static size_t count_ready(const struct selection *s)
{
    size_t ready = 0;
    for (size_t i = 0; i < s->count; i++)
        ready += is_ready(&s->cases[i]);
    return ready;
}

/* The case that is ready after `skip` others. */
static size_t find_ready(const struct selection *s, size_t skip)
{
    size_t i = 0;
    while (!is_ready(&s->cases[i]) || skip-- > 0)
        i++;
    return i;
}

/* Take one of those that are ready: its index, or -EAGAIN. */
static int take_ready(struct selection *s, coir_i_waiter **woken)
{
    size_t ready;
    while ((ready = count_ready(s)) > 0) {
        size_t i =
            find_ready(s, ready > 1 ? coir_i_choose((unsigned)ready) : 0);
        coir_case *one = &s->cases[i];
        int rc = coir_i_chan_pass(one->chan, one->op, one->item, woken);
        if (rc != -EAGAIN) { /* else those who waited there were cancelled */
            one->rc = rc;
            return (int)i;
        }
    }
    return -EAGAIN;
}

/* ---- waiting ---- */

static const coir_i_wait waits_for_any = {.what = "select"};

static void await_all(struct selection *s)
{
    coir_i_ticket ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_any, s->cases);
    for (size_t i = 0; i < s->count; i++) {
        const coir_case *one = &s->cases[i];
        s->waiters[i].taken = false;
        s->waiters[i].waiter.ticket = ticket;
        s->waiters[i].waiter.item = one->item;
        if (one->chan)
            coir_i_chan_await(one->chan, one->op, &s->waiters[i]);
    }
}

/* The case by which the wait has ended; -ECANCELED: none. */
static int withdraw_all(struct selection *s)
{
    int taken = -ECANCELED;
    for (size_t i = 0; i < s->count; i++) {
        coir_chan *c = s->cases[i].chan;
        if (s->waiters[i].taken) {
            taken = (int)i;
        } else if (c) {
            uint64_t state = coir_i_word_lock(&c->word);
            coir_i_chan_withdraw(c, s->cases[i].op, &s->waiters[i]);
            coir_i_word_unlock(&c->word, state);
        }
    }
    return taken;
}

/* With the locks, which are given back. */
static int wait_for_any(struct selection *s)
{
    await_all(s);
    unlock_all(s);
    int rc = coir_i_chan_result(coir_i_park());
    int taken = withdraw_all(s);
    if (taken >= 0)
        s->cases[taken].rc = rc;
    return taken;
}

int coir_select(coir_case *cases, size_t count)
{
    struct selection s;
    coir_i_waiter *woken = NULL;
    int rc = coir_i_enter();
    if (rc < 0 || (rc = begin(&s, cases, count)) < 0)
        return rc;
    coir_i_waitq_prepare();
    lock_all(&s);
    rc = take_ready(&s, &woken);
    if (rc == -EAGAIN) {
        rc = wait_for_any(&s);
    } else {
        unlock_all(&s);
        coir_i_waitq_deliver(woken);
    }
    free(s.memory);
    return rc;
}

int coir_try_select(coir_case *cases, size_t count)
{
    struct selection s;
    coir_i_waiter *woken = NULL;
    int rc = coir_i_is_forked() ? -EPERM : begin(&s, cases, count);
    if (rc < 0)
        return rc;
    lock_all(&s);
    rc = take_ready(&s, &woken);
    unlock_all(&s);
    coir_i_waitq_deliver(woken);
    free(s.memory);
    return rc;
}
