/* test/script.h -- fibers that each make one call, at a minute of their own
 *
 * A script is a table. Each step is a fiber that makes its call at its minute
 * of the virtual clock; what the call must come to, and when, stands beside it:
 *
 *     struct step steps[] = {{1, receive, .gets = 7, .until = 2},
 *                            {2, send, .item = 7}};
 *     play(steps, 2);
 *
 * Calls that wait at the same time are made at different minutes, so that with
 * any number of workers, and any seed, they are made in this order. */
#ifndef COIR_TEST_SCRIPT_H
#define COIR_TEST_SCRIPT_H

#include <coir/nursery.h>
#include <coir/scope.h>

#include "test/harness.h"
#include "test/story.h"

struct step {
    double at; /* in minutes */
    int (*call)(int *item);
    int item;         /* what it brings */
    double cancelled; /* when it is cancelled, if it still waits; 0: never */

    int rc;       /* what the call must come to, */
    int gets;     /* the item that it must get; 0: none, */
    double until; /* and when; 0: at once */
};

struct script {
    struct step *steps;
    int count;
    coir_time begin;
};

struct played {
    const struct script *script;
    int i, item, rc;
    coir_time until;
};

static int play_step(void *arg)
{
    struct played *played = arg;
    const struct step *step = &played->script->steps[played->i];
    coir_time begin = played->script->begin;
    coir_scope scope;
    played->item = step->item;
    int rc = coir_sleep_until(begin + MINUTES(step->at));
    ck_assert_int_eq(rc, 0);
    coir_scope_open(&scope);
    if (step->cancelled > 0)
        coir_scope_reschedule(&scope, begin + MINUTES(step->cancelled));
    played->rc = step->call(&played->item);
    played->until = coir_now() - begin;
    COIR_IGNORE(coir_scope_close(&scope, 0));
    return 0;
}

static int play_script(void *arg)
{
    struct script *script = arg;
    struct played played[64];
    coir_nursery nursery;
    script->begin = coir_now();
    coir_nursery_open(&nursery);
    for (int i = 0; i < script->count; i++) {
        played[i] = (struct played){script, i, 0, 0, 0};
        int rc = coir_go(&nursery, play_step, &played[i]);
        ck_assert_int_eq(rc, 0);
    }
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    for (int i = 0; i < script->count; i++) {
        const struct step *step = &script->steps[i];
        double until = step->until > 0 ? step->until : step->at;
        ck_assert_msg(played[i].rc == step->rc,
                      "step %d came to %d and not to %d", i, played[i].rc,
                      step->rc);
        ck_assert_msg(played[i].until / MINUTES(1) == (coir_time)until,
                      "step %d took until %.1f and not until %.1f", i,
                      (double)played[i].until / (double)MINUTES(1), until);
        ck_assert_msg(step->gets == 0 || played[i].item == step->gets,
                      "step %d got %d and not %d", i, played[i].item,
                      step->gets);
    }
    return 0;
}

static inline void play(struct step *steps, int count)
{
    struct script script = {steps, count, 0};
    ck_assert_int_le(count, 64);
    ck_assert_int_eq(run_story(0, play_script, &script), 0);
}

#define PLAY(steps) play(steps, (int)(sizeof(steps) / sizeof *(steps)))

#endif
