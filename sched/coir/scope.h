/* Scopes: cancellation and deadlines. See coir_scope(3) and
 * coir_cancellation(7). */
#ifndef COIR_SCOPE_H
#define COIR_SCOPE_H

#include <coir/base.h>
#include <coir/time.h>

COIR_BEGIN

/* Opened and closed by one fiber, innermost first. */
typedef struct coir_scope {
    COIR_PRIVATE(96);
} coir_scope;

void coir_scope_open(coir_scope *scope); /* [fiber] until it is cancelled */
void coir_timeout_open(coir_scope *scope, coir_time length); /* [fiber] */
void coir_deadline_open(coir_scope *scope, coir_time at);    /* [fiber] */
void coir_shield_open(coir_scope *scope); /* [fiber] cancellation waits */

/* [fiber] rc is what the body came to; -ETIMEDOUT or -ECANCELED if it was this
 * scope that cancelled it. */
int coir_scope_close(coir_scope *scope, int rc) COIR_MUST_USE;

/* [fiber] fn(arg) in a shield, or under a timeout. */
int coir_shielded(coir_fn *fn, void *arg) COIR_MUST_USE;
int coir_timeout(coir_time length, coir_fn *fn, void *arg) COIR_MUST_USE;

void coir_scope_cancel(coir_scope *scope);                   /* any thread */
void coir_scope_reschedule(coir_scope *scope, coir_time at); /* any thread */
bool coir_scope_cancelled(const coir_scope *scope);
bool coir_scope_expired(const coir_scope *scope);
coir_time coir_scope_deadline(const coir_scope *scope);
coir_time coir_deadline(void); /* [fiber] the nearest one around the caller */

typedef struct coir_failure {
    int code;
    uint64_t id; /* of the fiber; 0 where it was none */
    char name[COIR_NAME_MAX];
    char message[COIR_MESSAGE_MAX];
} coir_failure;

/* [fiber] Why the caller is cancelled. -ENOENT: it is not. */
int coir_cancel_cause(coir_failure *cause);

COIR_END

#endif
