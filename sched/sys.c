/* sched/sys.c -- the system calls of sched
 *
 * Linux has futexes with absolute timeouts; elsewhere a table of condition
 * variables, hashed by address, stands in for them (tested by
 * `make portable`).
 * Tests      test/test_lock.c */
#include "sched/sys.h"

#include "fiber/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct timespec timespec_of(coir_time t)
{
    return (struct timespec){.tv_sec = t / 1000000000,
                             .tv_nsec = t % 1000000000};
}

#if COIR_I_LINUX
#    include <linux/futex.h>
#    include <sys/prctl.h>
#    include <sys/syscall.h>

void coir_i_futex_wait(_Atomic(uint32_t) *word, uint32_t value, coir_time until)
{
    struct timespec at = timespec_of(until);
    int before = errno; /* the caller's, who may be on the way to a park */
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value,
            until == COIR_NEVER ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
    errno = before;
}

void coir_i_futex_wake(_Atomic(uint32_t) *word, int count)
{
    int before = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    errno = before;
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

/* procfs counts them in the number of links of their directory: so no
 * descriptor is needed, of which there may be none left. */
long coir_i_sys_threads(void)
{
    struct stat task;
    if (stat("/proc/self/task", &task) < 0 || task.st_nlink < 3)
        return -1;
    return (long)task.st_nlink - 2;
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

/* The child of a fork makes them anew: nobody waits there any more. */
static void begin_buckets(void)
{
    make_buckets();
    pthread_atfork(NULL, NULL, make_buckets);
}

static struct bucket *bucket_of(const void *word)
{
    pthread_once(&buckets_once, begin_buckets);
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

long coir_i_sys_threads(void)
{
    return -1;
}

void coir_i_sys_thread_name(const char *name, unsigned number)
{
    (void)name, (void)number;
}

#endif

int coir_i_sys_write_all(int fd, const void *from, size_t size)
{
    for (const char *at = from; size > 0;) {
        ssize_t written = write(fd, at, size);
        struct pollfd when = {.fd = fd, .events = POLLOUT};
        if (written >= 0) {
            at += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            poll(&when, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

const void *coir_i_sys_map_file(const char *path, size_t *ret_size)
{
    struct stat status;
    void *file = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        *ret_size = (size_t)status.st_size;
        file = mmap(NULL, *ret_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    close(fd);
    return file == MAP_FAILED ? NULL : file;
}

void coir_i_sys_unmap_file(const void *file, size_t size)
{
    munmap((void *)(uintptr_t)file, size);
}

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
#if COIR_I_LINUX
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
