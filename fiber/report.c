/* fiber/report.c -- a line to standard error, from anywhere
 *
 * Does       puts a line together and writes it: async-signal-safe.
 * Fails      silently, when standard error does not take the line.
 * Tests      test/test_fiber.c
 */
#include "fiber/report.h"

#include <coir/base.h>

#include <unistd.h>

void coir_i_report_text(coir_i_report *report, const char *text)
{
    /* One byte is left for the newline. */
    while (*text && report->length < sizeof report->text - 1)
        report->text[report->length++] = *text++;
}

void coir_i_report_number(coir_i_report *report, uint64_t number)
{
    char digits[21];
    char *first = digits + sizeof digits - 1;

    *first = '\0';
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    coir_i_report_text(report, first);
}

void coir_i_report_fiber(coir_i_report *report, uint64_t id, const char *name)
{
    coir_i_report_text(report, "fiber ");
    coir_i_report_number(report, id);
    if (name[0]) {
        coir_i_report_text(report, " '");
        coir_i_report_text(report, name);
        coir_i_report_text(report, "'");
    }
}

void coir_i_report_send(coir_i_report *report)
{
    report->text[report->length++] = '\n';
    COIR_IGNORE(write(STDERR_FILENO, report->text, report->length));
}
