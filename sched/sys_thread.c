/* sched/sys_thread.c -- system calls that tell of threads, or fence them
 *
 * Where the system has no such call the answers are the cautious ones: no fence
 * can be made, and a thread that uses no CPU is asleep.
 * Tests      test/test_spare.c */
#include "fiber/annotate.h"
#include "fiber/platform.h"
#include "sched/sys.h"

#include <time.h>
#include <unistd.h>

#if COIR_I_LINUX
#    include <fcntl.h>
#    include <linux/membarrier.h>
#    include <stdio.h>
#    include <string.h>
#    include <sys/syscall.h>
#    ifdef __GLIBC__
#        include <sys/single_threaded.h>
#    else
static const char __libc_single_threaded = 0;
#    endif

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

/* A process that has threads already waits for 15 ms to be registered: then
 * only when the fence is wanted. TSan does not know this kind of fence. */
bool coir_i_sys_can_fence_all(void)
{
#    ifdef COIR_I_TSAN
    return false;
#    else
    const long both = MEMBARRIER_CMD_PRIVATE_EXPEDITED |
                      MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    long there = membarrier(MEMBARRIER_CMD_QUERY);
    if (there < 0 || (there & both) != both)
        return false;
    return !__libc_single_threaded ||
           membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
#    endif
}

bool coir_i_sys_fence_all(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
           membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

uint32_t coir_i_sys_thread_id(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

/* "tid (name) S ...": a name may have any characters. */
bool coir_i_sys_thread_sleeps(uint32_t id)
{
    char path[48], text[128];
    snprintf(path, sizeof path, "/proc/self/task/%u/stat", (unsigned)id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return !name_end || name_end[1] != ' ' || name_end[2] == 'S' ||
           name_end[2] == 'D';
}

#else

bool coir_i_sys_can_fence_all(void)
{
    return false;
}

bool coir_i_sys_fence_all(void)
{
    return false;
}

uint32_t coir_i_sys_thread_id(void)
{
    return 1;
}

bool coir_i_sys_thread_sleeps(uint32_t id)
{
    (void)id;
    return true;
}

#endif

coir_time coir_i_sys_thread_cpu(pthread_t thread)
{
    struct timespec t = {0, 0};
#if defined(_POSIX_THREAD_CPUTIME) && _POSIX_THREAD_CPUTIME >= 0
    clockid_t clock;
    if (pthread_getcpuclockid(thread, &clock) == 0)
        clock_gettime(clock, &t);
#else
    (void)thread;
#endif
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
