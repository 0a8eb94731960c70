/* sched/sys.c -- the system calls of sched
 *
 * Linux has futexes with absolute timeouts; elsewhere a table of condition
 * variables, hashed by address, stands in for them.
 * Tests      test/test_lock.c */
#include "sched/sys.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct timespec timespec_of(coir_time t)
{
    return (struct timespec){.tv_sec = t / 1000000000,
                             .tv_nsec = t % 1000000000};
}

#ifdef __linux__
#    include <linux/futex.h>
#    include <sys/prctl.h>
#    include <sys/syscall.h>

void coir_i_futex_wait(_Atomic(uint32_t) *word, uint32_t value, coir_time until)
{
    struct timespec at = timespec_of(until);
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value,
            until == COIR_NEVER ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
}

void coir_i_futex_wake(_Atomic(uint32_t) *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void coir_i_sys_sharp_timers(void)
{
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

void coir_i_sys_thread_name(const char *name, unsigned number)
{
    char digits[12], text[16];
    int length = snprintf(digits, sizeof digits, "-%u", number);
    snprintf(text, sizeof text, "%.*s%s", (int)sizeof text - 1 - length, name,
             digits);
    prctl(PR_SET_NAME, (unsigned long)text, 0UL, 0UL, 0UL);
}

#else

enum { BUCKETS = 64 };

static struct bucket {
    pthread_mutex_t lock;
    pthread_cond_t woken;
} buckets[BUCKETS];
static pthread_once_t buckets_once = PTHREAD_ONCE_INIT;

static void make_buckets(void)
{
    for (int i = 0; i < BUCKETS; i++) {
        pthread_mutex_init(&buckets[i].lock, NULL);
        pthread_cond_init(&buckets[i].woken, NULL);
    }
}

static struct bucket *bucket_of(const void *word)
{
    pthread_once(&buckets_once, make_buckets);
    return &buckets[(uintptr_t)word / 64 % BUCKETS];
}

void coir_i_futex_wait(_Atomic(uint32_t) *word, uint32_t value, coir_time until)
{
    struct bucket *b = bucket_of(word);
    pthread_mutex_lock(&b->lock);
    if (load_relaxed(word) == value) {
        if (until == COIR_NEVER) {
            pthread_cond_wait(&b->woken, &b->lock);
        } else {
            struct timespec wall;
            coir_time left = until - coir_i_sys_now();
            clock_gettime(CLOCK_REALTIME, &wall);
            left = left > 0 ? left : 0;
            wall =
                timespec_of(wall.tv_sec * 1000000000LL + wall.tv_nsec + left);
            pthread_cond_timedwait(&b->woken, &b->lock, &wall);
        }
    }
    pthread_mutex_unlock(&b->lock);
}

void coir_i_futex_wake(_Atomic(uint32_t) *word, int count)
{
    struct bucket *b = bucket_of(word);
    (void)count;
    pthread_mutex_lock(&b->lock);
    pthread_cond_broadcast(&b->woken);
    pthread_mutex_unlock(&b->lock);
}

void coir_i_sys_sharp_timers(void)
{
}

void coir_i_sys_thread_name(const char *name, unsigned number)
{
    (void)name, (void)number;
}

#endif

void coir_i_sys_no_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

coir_time coir_i_sys_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

unsigned coir_i_sys_cpus(void)
{
    long n = 0;
#ifdef __linux__
    for (int cpus = CPU_SETSIZE; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            break;
        size_t size = CPU_ALLOC_SIZE(cpus);
        bool fits = sched_getaffinity(0, size, set) == 0;
        if (fits)
            n = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (fits)
            break;
    }
#endif
    if (n < 1)
        n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (unsigned)n;
}
