/* test/story.h -- runs on the virtual clock, told as a text
 *
 * What happens, and in which order, is a text that the fibers tell and the
 * test compares as a whole:
 *
 *     tell("a%d", i);
 *     ...
 *     ck_assert_str_eq(story(), "a0 a1 a2");
 *
 * On the virtual clock things that happen minutes apart happen in that order
 * with any number of workers. */
#ifndef COIR_TEST_STORY_H
#define COIR_TEST_STORY_H

#include <coir/run.h>
#include <coir/time.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define MINUTES(n) COIR_SECONDS((n)*60.0)
#define HOURS(n) MINUTES((n)*60.0)

static struct {
    pthread_mutex_t lock; /* never held over a call that parks */
    char text[4096];
    size_t length;
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Any thread: one more word. Past the end of the text it is cut. */
__attribute__((format(printf, 1, 2))) static inline void
tell(const char *format, ...)
{
    pthread_mutex_lock(&told.lock);
    size_t room = sizeof told.text - told.length;
    const char *between = told.length > 0 ? " " : "";
    int used = snprintf(told.text + told.length, room, "%s", between);
    told.length += (size_t)used < room ? (size_t)used : room - 1;

    room = sizeof told.text - told.length;
    va_list args;
    va_start(args, format);
    used = vsnprintf(told.text + told.length, room, format, args);
    va_end(args);
    told.length += (size_t)used < room ? (size_t)used : room - 1;
    pthread_mutex_unlock(&told.lock);
}

/* What has been told; to be read when nobody tells any more. */
static inline const char *story(void)
{
    return told.text;
}

/* coir_run on the virtual clock, with a new story. workers 0: the default. */
static inline int run_story(unsigned workers, coir_fn *body, void *arg)
{
    const coir_config config = {.workers = workers, .virtual_clock = true};
    told.length = 0;
    told.text[0] = '\0';
    return coir_run_with(&config, body, arg);
}

#endif
