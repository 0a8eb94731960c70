/* fiber/guard.c -- memory that must not be touched
 *
 * Does       installs a guard by MADV_GUARD_INSTALL, which costs no mapping;
 *            where the kernel lacks it (before Linux 6.13, or the memory is
 *            locked), by mprotect, which splits the mapping: two for each.
 *            These are counted, and an eighth of what the kernel grants a
 *            process (vm.max_map_count) is left to the rest of the program.
 * Locks      none; any thread.
 * Fails      -ENOMEM when that bound is reached, or the kernel refuses.
 * Tests      test/test_stack.c
 */
#include "fiber/guard.h"

#include "fiber/atomics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#    define MADV_GUARD_INSTALL 102
#endif

static _Atomic(size_t) protected_guards;
static _Atomic(size_t) bound; /* 0: not read yet */

/* How many guards may be made by mprotect. */
static size_t find_bound(void)
{
    char text[24] = "";
    size_t maps = 65530;
    size_t guards = load_relaxed(&bound); /* all who read it find the same */
    int fd;

    if (guards > 0)
        return guards;
    fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) > 0)
            maps = strtoul(text, NULL, 10);
        close(fd);
    }
    guards = (maps - maps / 8) / 2 + 1;
    store_relaxed(&bound, guards);
    return guards;
}

int coir_i_guard_install(void *low, size_t size)
{
    if (madvise(low, size, MADV_GUARD_INSTALL) == 0)
        return 0;
    /* relaxed: a count, which is looked at for its own sake. */
    if (fetch_add_relaxed(&protected_guards, 1) < find_bound() &&
        mprotect(low, size, PROT_NONE) == 0)
        return 1;
    fetch_sub_relaxed(&protected_guards, 1);
    return -ENOMEM;
}

void coir_i_guards_gone(size_t count)
{
    fetch_sub_relaxed(&protected_guards, count);
}
