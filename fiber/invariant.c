/* fiber/invariant.c -- the end of a program that broke a rule
 *
 * Does       names what is wrong and the fiber, then aborts.
 * Tests      test/test_fiber.c
 */
#include "fiber/invariant.h"

#include "fiber/current.h"
#include "fiber/report.h"

#include <stdlib.h>

_Noreturn void coir_i_die(const char *kind, const char *text)
{
    coir_i_report report = {0};
    coir_i_fiber *self = coir_i_self();

    coir_i_report_text(&report, "coir: ");
    coir_i_report_text(&report, kind);
    coir_i_report_text(&report, text);
    if (!self) {
        coir_i_report_text(&report, " (not in a fiber)");
    } else {
        coir_i_report_text(&report, " (");
        coir_i_report_fiber(&report, self->life->id, self->life->name);
        coir_i_report_text(&report, ")");
    }
    coir_i_report_send(&report);
    abort();
}
