/* bench/echo.h -- servers of three kinds, on epoll alone and on coir, and who
 * asks them */
#ifndef COIR_BENCH_ECHO_H
#define COIR_BENCH_ECHO_H

#include <stddef.h>

enum { ECHO_SIZE = 64 }; /* bytes of a message */

/* What a server does. */
enum echo_kind {
    ECHO_MESSAGES, /* send back what comes, for as long as it comes */
    ECHO_ONCE,     /* send one message back and hang up */
    ECHO_HTTP      /* answer each head with a small page */
};

/* Serve whoever connects to the listener, without end. Below 0: it could not
 * begin. */
int echo_serve_epoll(int listener, enum echo_kind kind);
int echo_serve_coir(int listener, enum echo_kind kind, unsigned workers);

/* For both: the answer to what has come, in *answer; 0: more has to come. */
size_t echo_answer(enum echo_kind kind, const char *bytes, size_t size,
                   const char **answer);

/* Ask the server on that port of 127.0.0.1 over so many connections, each with
 * one message under way, until all of `requests` have been answered (ECHO_ONCE:
 * each over a connection of its own). 0; -EPROTO: with something else than had
 * to come; -ETIME: not in so many seconds; or what a system call said. */
struct echo_load {
    enum echo_kind kind;
    unsigned short port;
    unsigned connections;
    unsigned long requests;
    unsigned seconds;
};
int echo_load(const struct echo_load *load);

#endif
