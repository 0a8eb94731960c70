/* bench/httpd.h -- what the server of `make timings` answers: who asks it
 * knows too, and can tell whether an answer is right. */
#ifndef COIR_BENCH_HTTPD_H
#define COIR_BENCH_HTTPD_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { HTTPD_BODY = 512, HTTPD_ANSWER_MAX = HTTPD_BODY + 128 };

/* The whole answer to "GET /number", headers and body; its length. */
static inline size_t httpd_answer(uint64_t number, char *text)
{
    int head = snprintf(text, HTTPD_ANSWER_MAX,
                        "HTTP/1.1 200 OK\r\n"
                        "Content-Type: text/plain\r\n"
                        "Content-Length: %d\r\n"
                        "Connection: close\r\n\r\n",
                        (int)HTTPD_BODY);
    int line = snprintf(text + head, HTTPD_BODY,
                        "%" PRIu64 " squared is %" PRIu64 "\n", number,
                        number * number);

    memset(text + head + line, '.', (size_t)(HTTPD_BODY - line - 1));
    text[head + HTTPD_BODY - 1] = '\n';
    return (size_t)head + HTTPD_BODY;
}

#endif
