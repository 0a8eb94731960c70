/* test/signals.h -- sending signals to oneself, and what is done with them */
#ifndef COIR_TEST_SIGNALS_H
#define COIR_TEST_SIGNALS_H

#include "test/harness.h"
#include "test/sockets.h"

#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* TSan keeps a signal that comes to a thread in a system call that it does not
 * know until that call is over, which the call may be waiting for. */
#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define IS_TSAN 1
#    endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(IS_TSAN)
static const bool is_tsan = true;
#else
static const bool is_tsan = false;
#endif
/* The locks of a sanitizer's allocator may be held at a fork. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    defined(IS_TSAN)
static const bool can_fork = false;
#else
static const bool can_fork = true;
#endif

/* Valgrind loses its way between stacks where a signal comes on an alternate
 * one; it knows no pidfds either, nor the calls of the kevent shim. */
static inline bool can_follow_signals(void)
{
    long pidfd = syscall(SYS_pidfd_open, getpid(), 0U);
    if (pidfd >= 0)
        close((int)pidfd);
    return pidfd >= 0;
}

static inline void send_signal(int number)
{
    if (is_tsan)
        raise(number);
    else
        kill(getpid(), number);
}

static inline sigset_t set_of(int one, int other)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, one);
    if (other)
        sigaddset(&set, other);
    return set;
}

static inline coir_signals *open_signals(int one, int other)
{
    coir_signals *s = NULL;
    sigset_t set = set_of(one, other);
    ck_assert_int_eq(coir_signals_open(&s, &set), 0);
    ck_assert_ptr_nonnull(s);
    return s;
}

extern char **environ;

static inline pid_t start_shell(const char *script)
{
    char sh[] = "sh", option[] = "-c", text[128];
    char *const argv[] = {sh, option, text, NULL};
    pid_t child;
    snprintf(text, sizeof text, "%s", script);
    ck_assert_int_eq(posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ),
                     0);
    return child;
}

/* A fiber's body. */
static inline int next_of(void *s)
{
    return coir_signals_next(s);
}

static inline bool has_none(coir_signals *s)
{
    return coir_timeout(COIR_MS(3), next_of, s) == -ETIMEDOUT;
}

static inline int wait_for_none(void *s)
{
    return has_none(s) ? 0 : -EIO;
}

static inline void (*handler_of(int number))(int)
{
    struct sigaction now;
    ck_assert_int_eq(sigaction(number, NULL, &now), 0);
    return now.sa_handler;
}

static inline void set_handler(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    ck_assert_int_eq(sigaction(number, &action, NULL), 0);
}

#endif
