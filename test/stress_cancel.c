/* test/stress_cancel.c -- cancellation everywhere
 *
 * Fibers walk through random trees of scopes, timeouts, shields and nurseries
 * while other fibers and threads cancel parts of them. Whatever happens:
 *   - everything ends, and every child that was accepted has run;
 *   - a fiber that is cancelled stays so until the scope is closed;
 *   - a shield is not cancelled from around it;
 *   - a scope that the fiber itself has cancelled is seen at once. */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { TARGETS = 16, STEPS = 6, DEPTH = 6, CHILDREN = 5 };

static _Atomic uint64_t accepted, ran;
static _Atomic int budget;
static _Atomic bool over;

/* ---- What threads may cancel ---- */

static struct target {
    pthread_mutex_t lock;
    coir_scope *scope;
} targets[TARGETS];

/* NULL: somebody else's is shown there. */
static struct target *show(coir_scope *scope, uint64_t *state)
{
    struct target *target = &targets[test_random_below(state, TARGETS)];
    pthread_mutex_lock(&target->lock);
    bool free = !target->scope;
    if (free)
        target->scope = scope;
    pthread_mutex_unlock(&target->lock);
    return free ? target : NULL;
}

static void hide(struct target *target)
{
    if (!target)
        return;
    pthread_mutex_lock(&target->lock);
    target->scope = NULL;
    pthread_mutex_unlock(&target->lock);
}

static void *cancel_at_random(void *arg)
{
    uint64_t state = *(const uint64_t *)arg;
    while (!over) {
        struct target *target = &targets[test_random_below(&state, TARGETS)];
        pthread_mutex_lock(&target->lock);
        if (target->scope && test_random_below(&state, 2))
            coir_scope_cancel(target->scope);
        else if (target->scope)
            coir_scope_reschedule(target->scope, coir_now());
        pthread_mutex_unlock(&target->lock);
        for (uint64_t i = test_random_below(&state, 30); i > 0; i--)
            sched_yield();
    }
    return NULL;
}

/* ---- The walk ---- */

struct walker {
    uint64_t state;
    coir_nursery *nursery; /* that it lives in; NULL: the root */
    int depth;
};

/* Where a walker is: the innermost scope of its own, if any. */
struct place {
    coir_scope *scope;
    coir_nursery *nursery;
    bool cancelled; /* has been seen, or done by the walker itself */
};

static void walk(struct walker *walker, struct place *place);

static int park_somehow(uint64_t *state)
{
    coir_task *none[1] = {NULL};
    switch (test_random_below(state, 5)) {
    case 0:
        return coir_sleep((coir_time)test_random_below(state, 50000));
    case 1:
        return coir_checkpoint();
    case 2:
        return coir_wait(none, 0, COIR_NOW);
    case 3:
        return coir_sleep_until(0);
    default:
        return coir_yield();
    }
}

static void step(struct walker *walker, struct place *place)
{
    int rc = park_somehow(&walker->state);
    must_not(rc != 0 && rc != -ECANCELED);
    must_not(rc == 0 && place->cancelled);
    place->cancelled = rc == -ECANCELED;
}

/* What the close gives, having been told whether the body was cancelled. If it
 * is so around the scope, then the outer one is who reports. */
static void check_close(int rc, bool around)
{
    must_not(rc != 0 && rc != -ECANCELED && rc != -ETIMEDOUT);
    must_not(around && rc != -ECANCELED);
}

static void walk_in_scope(struct walker *walker, const struct place *around)
{
    coir_scope scope;
    struct place place = {&scope, around->nursery, around->cancelled};
    if (test_random_below(&walker->state, 2))
        coir_scope_open(&scope);
    else
        coir_timeout_open(&scope,
                          (coir_time)test_random_below(&walker->state, 400000));
    struct target *shown = show(&scope, &walker->state);
    walk(walker, &place);
    hide(shown);
    check_close(coir_scope_close(&scope, place.cancelled ? -ECANCELED : 0),
                around->cancelled);
    memset(&scope, 0xa5, sizeof scope);
}

static void walk_in_shield(struct walker *walker, const struct place *around)
{
    coir_scope scope;
    struct place place = {&scope, around->nursery, false};
    coir_shield_open(&scope);
    must_not(coir_yield() != 0); /* nobody else knows of it */
    must_not(coir_sleep(1) != 0);
    walk(walker, &place);
    check_close(coir_scope_close(&scope, place.cancelled ? -ECANCELED : 0),
                false);
    memset(&scope, 0xa5, sizeof scope);
}

static int live(void *arg)
{
    struct walker *walker = arg;
    ran++;
    struct place place = {NULL, walker->nursery, false};
    walk(walker, &place);
    if (test_random_below(&walker->state, 40) == 0)
        return -EIO;
    return place.cancelled ? -ECANCELED : 0;
}

static void start_child(struct walker *walker, struct place *place)
{
    struct walker child = {test_random(&walker->state), place->nursery,
                           walker->depth - 1};
    int rc = coir_go_copy(place->nursery, live, &child, sizeof child);
    must_not(rc != 0 && rc != -ECANCELED);
    accepted += rc == 0;
}

static void walk_in_nursery(struct walker *walker, const struct place *around)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    struct place place = {coir_nursery_scope(&nursery), &nursery,
                          around->cancelled};
    if (test_random_below(&walker->state, 3) == 0)
        coir_scope_reschedule(
            place.scope,
            coir_now() + (coir_time)test_random_below(&walker->state, 400000));
    struct target *shown = show(place.scope, &walker->state);
    for (uint64_t i = test_random_below(&walker->state, CHILDREN); i > 0; i--)
        if (budget-- > 0)
            start_child(walker, &place);
    walk(walker, &place);
    hide(shown);
    int rc = coir_nursery_close_with(&nursery, 0);
    if (rc != -EIO)
        check_close(rc, around->cancelled);
    must_not((rc == -EIO) != (coir_nursery_failed(&nursery) > 0));
    memset(&nursery, 0xa5, sizeof nursery);
}

static void cancel_something(struct walker *walker, struct place *place)
{
    switch (test_random_below(&walker->state, 4)) {
    case 0:
        if (place->nursery)
            coir_nursery_cancel(place->nursery);
        break;
    default:
        if (!place->scope)
            break;
        coir_scope_cancel(place->scope);
        place->cancelled = true;
    }
}

static void walk(struct walker *walker, struct place *place)
{
    if (walker->depth-- > 0) {
        for (uint64_t i = test_random_below(&walker->state, STEPS); i > 0;
             i--) {
            switch (test_random_below(&walker->state, 8)) {
            case 0:
                walk_in_scope(walker, place);
                break;
            case 1:
                walk_in_shield(walker, place);
                break;
            case 2:
            case 3:
                walk_in_nursery(walker, place);
                break;
            case 4:
                cancel_something(walker, place);
                break;
            default:
                step(walker, place);
            }
        }
    }
    walker->depth++;
    step(walker, place);
}

static int walk_whole_tree(void *arg)
{
    struct walker *root = arg;
    struct place place = {NULL, NULL, false};
    walk(root, &place);
    must_not(place.cancelled);
    return coir_yield();
}

START_TEST(cancelling_at_random_leaves_nothing_undone)
{
    struct stress_clock clock = stress_clock_start();
    pthread_t threads[2];
    uint64_t seeds[2] = {test_seed(1000001), test_seed(1000002)};
    over = false;
    for (int i = 0; i < TARGETS; i++)
        pthread_mutex_init(&targets[i].lock, NULL);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, cancel_at_random, &seeds[i]), 0);
    for (uint64_t round = 0; stress_goes_on(&clock) && happened.count == 0;
         round++) {
        struct walker root = {test_seed(round), NULL, DEPTH};
        accepted = ran = 0;
        budget = (int)test_scaled(5000);
        must_not(coir_run(walk_whole_tree, &root) != 0);
        must_not(ran != accepted);
    }
    over = true;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_nothing_happened();
}
END_TEST

COIR_SUITE(cancel, TEST_STRESS | TEST_WORKERS | TEST_SEEDED)
{
    TCase *everywhere = test_case(suite, "everywhere");
    tcase_add_test(everywhere, cancelling_at_random_leaves_nothing_undone);
}
