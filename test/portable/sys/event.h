/* <sys/event.h>, for those who build what is not for Linux on Linux */
#include "test/portable/kevent_shim.h"
