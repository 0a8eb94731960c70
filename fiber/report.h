/* fiber/report.h -- a line to standard error, from anywhere
 *
 * Written with one write(2), without stdio, locks or memory of its own: good
 * in a signal handler and in a program about to abort. */
#ifndef COIR_FIBER_REPORT_H
#define COIR_FIBER_REPORT_H

#include <stddef.h>
#include <stdint.h>

typedef struct coir_i_report {
    size_t length;  /* starts at 0 */
    char text[512]; /* what is longer is cut */
} coir_i_report;

void coir_i_report_text(coir_i_report *report, const char *text);
void coir_i_report_number(coir_i_report *report, uint64_t number);
/* "fiber 2 'name'", or "fiber 2" if it has none. */
void coir_i_report_fiber(coir_i_report *report, uint64_t id, const char *name);
/* Send it, with a newline. */
void coir_i_report_send(coir_i_report *report);

#endif
