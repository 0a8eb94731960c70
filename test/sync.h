/* test/sync.h -- fibers that come to an object one after another
 *
 * On the virtual clock (story.h), with any number of workers: member 0 comes
 * after a minute, member 1 after two. When crew_start returns all have come,
 * and those that had to wait do.
 *
 *     struct crew crew;
 *     crew_start(&crew, 3, lock_and_tell, &mutex);
 *     coir_task_cancel(&crew.task[1]);
 *     ...
 *     return crew_end(&crew);  */
#ifndef COIR_TEST_SYNC_H
#define COIR_TEST_SYNC_H

#include <coir/nursery.h>
#include <coir/task.h>

#include "test/must.h"
#include "test/story.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CREW = 8 };

struct crew;

struct member {
    struct crew *crew;
    int number;
};

struct crew {
    coir_nursery nursery;
    coir_task task[CREW];
    struct member member[CREW];
    coir_time pace;
    int (*work)(int number, void *arg);
    void *arg;
};

static inline int work_as_member(void *arg)
{
    const struct member *member = arg;
    int rc = coir_sleep((member->number + 1) * member->crew->pace);
    return rc < 0 ? rc : member->crew->work(member->number, member->crew->arg);
}

static inline void crew_start_paced(struct crew *crew, coir_time pace,
                                    int count,
                                    int (*work)(int number, void *arg),
                                    void *arg)
{
    crew->pace = pace;
    crew->work = work;
    crew->arg = arg;
    coir_nursery_open(&crew->nursery);
    coir_nursery_keep_going(&crew->nursery);
    for (int i = 0; i < count; i++) {
        crew->member[i] = (struct member){crew, i};
        ck_assert_int_eq(coir_spawn(&crew->nursery, &crew->task[i],
                                    work_as_member, &crew->member[i]),
                         0);
    }
    ck_assert_int_eq(coir_sleep((count + 1) * pace), 0);
}

static inline void crew_start(struct crew *crew, int count,
                              int (*work)(int number, void *arg), void *arg)
{
    crew_start_paced(crew, MINUTES(1), count, work, arg);
}

/* When all that can go on have gone on, and wait again or have ended. */
static inline void settle(void)
{
    ck_assert_int_eq(coir_sleep(COIR_MS(1)), 0);
}

static inline int crew_end(struct crew *crew)
{
    return coir_nursery_close(&crew->nursery);
}

/* A thread that is no worker; it has ended when this returns. */
static inline void on_a_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, fn, arg), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* ---- Objects that go as soon as one may let them go ----
 *
 * An object that a fiber has done with is overwritten, and looked at again when
 * the next one is buried: whoever still wrote to it is found out, not only by
 * ASan. All of one run have the same size. NULL: the last one. */
static inline void bury(void *object, size_t size)
{
    static _Atomic(unsigned char *) buried;
    if (object)
        memset(object, 0xa5, size);
    unsigned char *last = atomic_exchange(&buried, (unsigned char *)object);
    for (size_t i = 0; last && i < size; i++)
        must_not(last[i] != 0xa5);
    free(last);
}

/* A thread that is no worker calls give(object) for each that is passed to it,
 * until that is `giver_ends`. Its wake takes a system call, and so a while: who
 * was woken goes on, and lets the object go, before it has returned. */
struct giver {
    void (*give)(void *object);
    _Atomic(void *) object;
    pthread_t thread;
};

static char giver_ends;

static inline void *run_giver(void *arg)
{
    struct giver *giver = arg;
    for (;;) {
        void *object = atomic_exchange(&giver->object, NULL);
        if (object == &giver_ends)
            return NULL;
        if (object)
            giver->give(object);
        else
            sched_yield();
    }
}

static inline void giver_start(struct giver *giver, void (*give)(void *))
{
    giver->give = give;
    giver->object = NULL;
    ck_assert_int_eq(pthread_create(&giver->thread, NULL, run_giver, giver), 0);
}

/* When it has taken the one before. */
static inline void giver_pass(struct giver *giver, void *object)
{
    while (giver->object)
        must_not(coir_yield() != 0);
    giver->object = object;
}

static inline void giver_stop(struct giver *giver)
{
    giver_pass(giver, &giver_ends);
    ck_assert_int_eq(pthread_join(giver->thread, NULL), 0);
}

#endif
