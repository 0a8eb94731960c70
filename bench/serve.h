/* bench/serve.h -- the frame of a server: accept, until it is told to end */
#ifndef COIR_BENCH_SERVE_H
#define COIR_BENCH_SERVE_H

#include <coir.h>

/* A client of its own fiber. It owns the descriptor. What goes wrong with one
 * client concerns no other, so nothing is returned. */
typedef void serve_fn(int fd);

/* To hang up on a client that may still be sending: the last words are sent,
 * and what comes is thrown away for a moment. A close with bytes unread would
 * reset the connection, and our words with it. */
void serve_linger(coir_stream *stream);

/* The main function of a server: listen on `address`, print the address that
 * it got, and serve each client in a fiber. After SIGTERM or SIGINT no client
 * is accepted any more, and those there are have a second to finish. */
int serve_main(const char *address, serve_fn *client);

#endif
