/* bench/echo.h -- servers that send back what they get, and who asks them */
#ifndef COIR_BENCH_ECHO_H
#define COIR_BENCH_ECHO_H

enum { ECHO_SIZE = 64 }; /* bytes of a message */

/* Serve whoever connects to the listener, without end. Below 0: it could not
 * begin. */
int echo_serve_epoll(int listener);
int echo_serve_coir(int listener, unsigned workers);

/* Ask the server on that port of 127.0.0.1 over so many connections, each with
 * one message under way, until all of `requests` have been answered. 0;
 * -EPROTO: with something else than was sent; -ETIME: not in so many seconds;
 * or what a system call said. */
struct echo_load {
    unsigned short port;
    unsigned connections;
    unsigned long requests;
    unsigned seconds;
};
int echo_load(const struct echo_load *load);

#endif
