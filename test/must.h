/* test/must.h -- checks for loops that hunt a race
 *
 * An assertion of libcheck takes a lock and writes to a file even where it
 * holds. These cost next to nothing, may stand on any fiber and thread, and
 * are told once, at the end, by the test's main thread:
 *
 *     must_not(rc != 0 && rc != -ECANCELED);
 *     ...
 *     assert_nothing_happened(); */
#ifndef COIR_TEST_MUST_H
#define COIR_TEST_MUST_H

#include "test/harness.h"

static struct {
    _Atomic int count;           /* of what must not have happened */
    const char *_Atomic example; /* one of the first */
} happened;

#define MUST_TEXT_(x) #x
#define MUST_TEXT(x) MUST_TEXT_(x)

#define must_not(happens)                                                 \
    do {                                                                  \
        if (happens) {                                                    \
            happened.example = "line " MUST_TEXT(__LINE__) ": " #happens; \
            happened.count++;                                             \
        }                                                                 \
    } while (0)

static inline void assert_nothing_happened(void)
{
    const char *example = happened.example;
    ck_assert_msg(happened.count == 0, "%d times, for example %s",
                  happened.count, example ? example : "");
}

#endif
