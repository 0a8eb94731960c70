/* Something that has happened, or not yet. See coir_event(3). */
#ifndef COIR_EVENT_H
#define COIR_EVENT_H

#include <coir/base.h>

COIR_BEGIN

/* All-zero: not set. */
typedef struct coir_event {
    COIR_PRIVATE(32);
} coir_event;

/* Whoever waits now goes on, even if it is cleared before they run. */
void coir_event_set(coir_event *e);
void coir_event_clear(coir_event *e);
bool coir_event_is_set(const coir_event *e);
int coir_event_wait(coir_event *e) COIR_MUST_USE; /* [parks] */

COIR_END

#endif
