/* fiber/platform.h -- what there is to build on
 *
 * COIR_I_LINUX is 1 where Linux's own calls may be used, and 0 where POSIX and
 * kqueue must do: on the BSDs, on macOS, and in `make portable`, which builds
 * the second kind on Linux to see that it still can be built. */
#ifndef COIR_FIBER_PLATFORM_H
#define COIR_FIBER_PLATFORM_H

#if defined(__linux__) && !defined(COIR_I_NO_LINUX)
#    define COIR_I_LINUX 1
#else
#    define COIR_I_LINUX 0
#endif

#endif
