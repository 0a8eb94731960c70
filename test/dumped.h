/* test/dumped.h -- fibers that wait, and what a dump says of them */
#ifndef COIR_TEST_DUMPED_H
#define COIR_TEST_DUMPED_H

#include <coir.h>

#include "sched/census.h"
#include "sched/word.h"
#include "test/harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONG COIR_SECONDS(1000)

/* ---- reading a dump ---- */

static char text[1 << 22];

/* What is in the file, up to its end. */
static inline void read_text(int fd)
{
    size_t used = 0;
    ssize_t got;
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    while ((got = read(fd, text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
}

static inline void take_dump(void)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(coir_dump(fd), 0);
    read_text(fd);
    close(fd);
}

/* The line that has this in it; NULL: none has. */
static inline char *find_line(const char *from, const char *what)
{
    char *at = strstr(from, what);
    while (at && at > text && at[-1] != '\n')
        at--;
    return at;
}

static inline char *must_have(const char *what)
{
    char *line = find_line(text, what);
    ck_assert_msg(line, "no '%s' in:\n%.8000s", what, text);
    return line;
}

/* A copy of the line. */
static inline const char *line_of(const char *what)
{
    static char copy[512];
    const char *line = must_have(what);
    snprintf(copy, sizeof copy, "%.*s", (int)strcspn(line, "\n"), line);
    return copy;
}

static inline void line_must_have(const char *line, const char *what)
{
    ck_assert_msg(strstr(line_of(line), what),
                  "no '%s' beside '%s' in:\n%.8000s", what, line, text);
}

static inline void must_not_have(const char *what)
{
    ck_assert_msg(!strstr(text, what), "there is '%s' in:\n%.8000s", what,
                  text);
}

static inline size_t column_of(const char *what)
{
    return strspn(must_have(what), " ");
}

/* How often. */
static inline size_t count_of(const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* ---- fibers to look at ---- */

static _Atomic int waiting;

/* Sleep under a name, until cancelled. */
static inline int sleep_named(const char *name)
{
    coir_name_set(name);
    waiting++;
    int rc = coir_sleep(LONG);
    waiting--; /* so that no call is the last one */
    return rc;
}

static inline int sleep_as(void *name)
{
    return sleep_named(name);
}

static inline int join_it(void *task)
{
    coir_name_set("joiner");
    waiting++;
    return coir_join(task, NULL);
}

/* Until so many have come to their waits, as far as can be seen. */
static inline void wait_for(int count)
{
    while (waiting < count)
        ck_assert_int_eq(coir_yield(), 0);
    coir_i_census census;
    for (int parked = 0; parked < count;) {
        ck_assert_int_eq(coir_yield(), 0);
        ck_assert_int_eq(coir_i_census_take(&census), 0);
        parked = 0;
        for (size_t i = 0; i < census.count; i++) {
            const coir_i_record *r = &census.records[i];
            parked += r->doing == COIR_I_DOES_WAIT &&
                      coir_i_word_phase(r->fiber->word) == COIR_I_PARKED;
        }
        coir_i_census_drop(&census);
    }
}

static inline int cancel_all(coir_nursery *nursery)
{
    coir_nursery_cancel(nursery);
    int rc = coir_nursery_close(nursery);
    waiting = 0;
    return rc;
}

static inline void go(coir_nursery *nursery, coir_fn *fn, const void *arg)
{
    ck_assert_int_eq(coir_go(nursery, fn, (void *)(uintptr_t)arg), 0);
}

static inline void spawn(coir_nursery *nursery, coir_task *task, coir_fn *fn,
                         const void *arg)
{
    int rc = coir_spawn(nursery, task, fn, (void *)(uintptr_t)arg);
    ck_assert_int_eq(rc, 0);
}

#endif
