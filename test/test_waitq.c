/* test/test_waitq.c -- who waits for an object, in order; and its word
 *
 * A gate: who comes waits in its queue until somebody takes it. */
#include <coir/run.h>
#include <coir/time.h>

#include "sched/waitq.h"
#include "test/must.h"
#include "test/sync.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

struct gate {
    _Atomic(uint64_t) word;
    coir_i_waitq waiters;
    coir_i_waiter waiter[CREW];
    int put_first; /* the number of a member; -1: none */
    int unlinked;  /* cancelled, but taken off before in vain */
};

static const coir_i_wait waits_at_gate = {.what = "gate"};

static int wait_at_gate(int number, void *arg)
{
    struct gate *gate = arg;
    coir_i_waiter *waiter = &gate->waiter[number];
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_waitq_prepare();
    uint64_t state = coir_i_word_lock(&gate->word);
    waiter->ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_at_gate, gate);
    if (number == gate->put_first)
        coir_i_waitq_put_first(&gate->waiters, waiter);
    else
        coir_i_waitq_put(&gate->waiters, waiter);
    coir_i_word_unlock(&gate->word, state);
    unsigned reason = coir_i_park();
    if (reason != COIR_I_CANCELLED) {
        tell("%d", number);
        return (int)reason;
    }
    state = coir_i_word_lock(&gate->word);
    gate->unlinked += !coir_i_waitq_withdraw(&gate->waiters, waiter);
    coir_i_word_unlock(&gate->word, state);
    tell("-%d", number);
    return -ECANCELED;
}

/* The number of who was taken; -1: nobody. */
static int take_one(struct gate *gate)
{
    uint64_t state = coir_i_word_lock(&gate->word);
    coir_i_waiter *waiter = coir_i_waitq_take(&gate->waiters, COIR_I_OWN + 3);
    int number = waiter ? (int)(waiter - gate->waiter) : -1;
    coir_i_word_unlock(&gate->word, state);
    coir_i_waitq_deliver(waiter);
    return number;
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* ---- The queue ---- */

static int take_in_order(void *arg)
{
    (void)arg;
    struct gate gate = {.put_first = 2};
    struct crew crew;
    ck_assert(coir_i_waitq_empty(&gate.waiters));
    crew_start(&crew, 4, wait_at_gate, &gate);
    ck_assert(!coir_i_waitq_empty(&gate.waiters));
    ck_assert_int_eq(take_one(&gate), 2);
    ck_assert_int_eq(take_one(&gate), 0);
    ck_assert_int_eq(take_one(&gate), 1);
    ck_assert_int_eq(take_one(&gate), 3);
    ck_assert_int_eq(take_one(&gate), -1);
    ck_assert(coir_i_waitq_empty(&gate.waiters));
    settle();
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(coir_task_result(&crew.task[i]), COIR_I_OWN + 3);
    return crew_end(&crew);
}

START_TEST(queue_is_first_in_first_out_but_for_who_is_put_first)
{
    run_body(take_in_order);
}
END_TEST

static int take_this_one(void *arg)
{
    (void)arg;
    struct gate gate = {.put_first = -1};
    struct crew crew;
    crew_start(&crew, 4, wait_at_gate, &gate);
    uint64_t state = coir_i_word_lock(&gate.word);
    bool taken =
        coir_i_waitq_take_this(&gate.waiters, &gate.waiter[2], COIR_I_WOKEN);
    coir_i_word_unlock(&gate.word, state);
    ck_assert(taken);
    coir_i_waitq_deliver(&gate.waiter[2]);
    settle();
    ck_assert_int_eq(coir_task_result(&crew.task[2]), COIR_I_WOKEN);
    ck_assert_int_eq(take_one(&gate), 0);
    ck_assert_int_eq(take_one(&gate), 1);
    ck_assert_int_eq(take_one(&gate), 3);
    return crew_end(&crew);
}

START_TEST(one_in_the_middle_may_be_taken)
{
    run_body(take_this_one);
}
END_TEST

static int take_everyone(void *arg)
{
    (void)arg;
    struct gate gate = {.put_first = -1};
    struct crew crew;
    crew_start(&crew, 5, wait_at_gate, &gate);
    coir_task_cancel(&crew.task[1]);
    coir_task_cancel(&crew.task[4]);
    uint64_t state = coir_i_word_lock(&gate.word);
    coir_i_waiter *first = coir_i_waitq_take_all(&gate.waiters, COIR_I_WOKEN);
    ck_assert_ptr_eq(first, &gate.waiter[0]);
    ck_assert_ptr_eq(first->next, &gate.waiter[2]);
    ck_assert_ptr_eq(first->next->next, &gate.waiter[3]);
    ck_assert_ptr_null(first->next->next->next);
    coir_i_word_unlock(&gate.word, state);
    coir_i_waitq_deliver_all(first);
    settle();
    ck_assert_int_eq(coir_task_result(&crew.task[1]), -ECANCELED);
    ck_assert_int_eq(coir_task_result(&crew.task[4]), -ECANCELED);
    ck_assert(coir_i_waitq_empty(&gate.waiters));
    return crew_end(&crew);
}

START_TEST(all_are_taken_in_order_but_for_who_was_cancelled)
{
    run_body(take_everyone);
}
END_TEST

START_TEST(those_who_are_delivered_together_run_in_order)
{
    if (getenv("COIR_SEED")) /* there any order may be chosen */
        return;
    ck_assert_int_eq(run_story(1, take_everyone, NULL), 0);
    const char *at = strstr(story(), "0");
    ck_assert_ptr_nonnull(at);
    ck_assert_ptr_nonnull(strstr(at, "2"));
    ck_assert_ptr_nonnull(strstr(strstr(at, "2"), "3"));
}
END_TEST

static int cancel_first(void *arg)
{
    (void)arg;
    struct gate gate = {.put_first = -1};
    struct crew crew;
    crew_start(&crew, 3, wait_at_gate, &gate);
    uint64_t state = coir_i_word_lock(&gate.word);
    coir_task_cancel(&crew.task[0]); /* it cannot withdraw now */
    coir_i_waiter *waiter = coir_i_waitq_take(&gate.waiters, COIR_I_WOKEN);
    ck_assert_ptr_eq(waiter, &gate.waiter[1]);
    coir_i_word_unlock(&gate.word, state);
    coir_task_cancel(&crew.task[1]); /* too late: it was chosen */
    coir_i_waitq_deliver(waiter);
    coir_task_cancel(&crew.task[2]);
    settle();
    ck_assert_int_eq(gate.unlinked, 1);
    ck_assert_int_eq(coir_task_result(&crew.task[0]), -ECANCELED);
    ck_assert_int_eq(coir_task_result(&crew.task[1]), COIR_I_WOKEN);
    ck_assert_int_eq(coir_task_result(&crew.task[2]), -ECANCELED);
    ck_assert(coir_i_waitq_empty(&gate.waiters));
    return crew_end(&crew);
}

START_TEST(turn_goes_to_the_first_that_is_not_cancelled)
{
    run_body(cancel_first);
}
END_TEST

/* ---- The word ---- */

struct counted {
    _Atomic(uint64_t) word;
    uint64_t count; /* not atomic */
    uint64_t rounds;
};

enum { THREADS = 4, STATE = 1000 };

static void *count_under_lock(void *arg)
{
    struct counted *counted = arg;
    for (uint64_t i = 0; i < counted->rounds; i++) {
        uint64_t state = coir_i_word_lock(&counted->word);
        must_not(state != STATE);
        counted->count++;
        if (i % 64 == 0)
            sched_yield();
        coir_i_word_unlock(&counted->word, state);
    }
    return NULL;
}

START_TEST(word_is_a_lock_that_keeps_its_state)
{
    struct counted counted = {.rounds = test_scaled(50000)};
    pthread_t threads[THREADS];
    store_relaxed(&counted.word, STATE);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, count_under_lock, &counted), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(counted.count, THREADS * counted.rounds);
    ck_assert_uint_eq(load_relaxed(&counted.word), STATE);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(waitq, TEST_WORKERS | TEST_SEEDED)
{
    TCase *queue = test_case(suite, "queue");
    tcase_add_test(queue, queue_is_first_in_first_out_but_for_who_is_put_first);
    tcase_add_test(queue, one_in_the_middle_may_be_taken);
    tcase_add_test(queue, all_are_taken_in_order_but_for_who_was_cancelled);
    tcase_add_test(queue, those_who_are_delivered_together_run_in_order);
    tcase_add_test(queue, turn_goes_to_the_first_that_is_not_cancelled);

    TCase *word = test_case(suite, "word");
    tcase_add_test(word, word_is_a_lock_that_keeps_its_state);
}
