/* Signals as something to wait for. See coir_signals(3). */
#ifndef COIR_SIGNALS_H
#define COIR_SIGNALS_H

#include <coir/base.h>

#include <signal.h>
#include <sys/select.h> /* sigset_t, in strict C too */

COIR_BEGIN

/* Signals, caught and kept from open to close; every open one gets each (equal
 * ones that were not yet taken may count once). coir blocks no signal, sees
 * none that the program blocks, and puts the old disposition back at the last
 * close; programs that are executed meanwhile start with the default. */
typedef struct coir_signals coir_signals;
int coir_signals_open(coir_signals **s, const sigset_t *set) COIR_MUST_USE;
/* [parks] The signal's number. */
int coir_signals_next(coir_signals *s) COIR_MUST_USE;
void coir_signals_close(coir_signals *s);

COIR_END

#endif
