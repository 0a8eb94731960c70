/* test/refuse.h -- a system call that fails, for the calling thread and all
 * threads and processes that it starts, for good */
#ifndef COIR_TEST_REFUSE_H
#define COIR_TEST_REFUSE_H

#include "test/harness.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* LeakSanitizer clones a process to look at this one; it asks here first. */
int __lsan_is_turned_off(void);

static bool is_refused;

int __lsan_is_turned_off(void)
{
    return is_refused;
}

/* flag: only where its first argument has one of these bits; 0: always. */
static inline void refuse_call(long call, unsigned flag, int error)
{
    const unsigned number = offsetof(struct seccomp_data, nr);
    const unsigned first = offsetof(struct seccomp_data, args);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flag, 0, flag ? 1 : 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    is_refused = true;
    int rc = prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
    ck_assert_int_eq(rc, 0);
    rc = prctl(PR_SET_SECCOMP, (unsigned long)SECCOMP_MODE_FILTER, &program,
               0UL, 0UL);
    ck_assert_int_eq(rc, 0);
}

#endif
