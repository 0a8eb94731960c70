/* coir: stackful fibers on all cores. The whole public interface; every object
 * has a page of the manual, coir(7) is their map.
 *
 * In every header: a result below 0 is a negated errno value. [parks] marks a
 * call that may park the calling fiber and is a cancellation point; outside a
 * fiber it returns -EPERM, unless it closes or frees: that it does anywhere.
 * [fiber] marks one that belongs to the calling fiber but does not park. Any
 * other may be called from any thread. */
#ifndef COIR_H
#define COIR_H

#include <coir/barrier.h>
#include <coir/base.h>
#include <coir/chan.h>
#include <coir/child.h>
#include <coir/cond.h>
#include <coir/dump.h>
#include <coir/event.h>
#include <coir/fiber.h>
#include <coir/files.h>
#include <coir/io.h>
#include <coir/local.h>
#include <coir/mutex.h>
#include <coir/names.h>
#include <coir/net.h>
#include <coir/nursery.h>
#include <coir/once.h>
#include <coir/processes.h>
#include <coir/queue.h>
#include <coir/run.h>
#include <coir/rwlock.h>
#include <coir/scope.h>
#include <coir/sem.h>
#include <coir/signals.h>
#include <coir/stats.h>
#include <coir/stream.h>
#include <coir/task.h>
#include <coir/threads.h>
#include <coir/time.h>

#endif
