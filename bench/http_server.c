/* bench/http_server.c -- an HTTP/1.1 server: keep-alive, pipelining, bounds
 *
 *     http_server [ADDRESS]                      ":8080", "127.0.0.1:0"
 *
 * GET and HEAD of / say hello, POST gives its body back. Requests may follow
 * each other without waiting; a head, a body and the time that each may take
 * are bounded, so that a slow client costs a fiber and nothing else. SIGTERM
 * and SIGINT end it: requests under way have a second to finish. It prints the
 * address that it got. */
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BUFFER = 8192, LINES_MAX = 100, BODY_MAX = 1 << 20 };
static const coir_time IDLE = COIR_SECONDS(30), REQUEST = COIR_SECONDS(10);

struct request {
    char method[8];
    size_t body; /* bytes that follow the head */
    bool keep;   /* the connection, after the answer */
};

static int answer(coir_stream *s, const struct request *r, const char *status,
                  const char *body, size_t size)
{
    int rc = coir_stream_printf(s,
                                "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
                                "Content-Length: %zu\r\n"
                                "Connection: %s\r\n\r\n",
                                status, size, r->keep ? "keep-alive" : "close");
    if (rc >= 0 && strcmp(r->method, "HEAD") != 0)
        rc = (int)coir_stream_write(s, body, size);
    return rc < 0 ? rc : coir_stream_flush(s);
}

/* Say no, and hang up: what follows is not understood. */
static int refuse(coir_stream *s, struct request *r, const char *status)
{
    r->keep = false;
    int rc = answer(s, r, status, "", 0);
    serve_linger(s);
    return rc;
}

/* The next line without its end, in place; below 0: there is none. */
static ssize_t read_line(coir_stream *s, char **line)
{
    ssize_t size = coir_stream_read_until(s, '\n', line);
    if (size <= 0)
        return size < 0 ? size : -ENODATA;
    if ((*line)[size - 1] != '\n')
        return -ENODATA; /* it ended in the middle */
    size -= size > 1 && (*line)[size - 2] == '\r' ? 2 : 1;
    (*line)[size] = '\0';
    return size;
}

/* "Name: value", one of the head's. NULL: all is well; else why not. */
static const char *read_field(struct request *r, char *line)
{
    char *value = strchr(line, ':'), *end;
    if (!value)
        return "400 Bad Request";
    *value++ = '\0';
    value += strspn(value, " \t");
    if (strcasecmp(line, "Content-Length") == 0) {
        unsigned long long n = strtoull(value, &end, 10);
        if (*value < '0' || *value > '9' || *end)
            return "400 Bad Request";
        if (n > BODY_MAX)
            return "413 Content Too Large";
        r->body = (size_t)n;
    } else if (strcasecmp(line, "Connection") == 0) {
        r->keep = strcasecmp(value, "close") != 0 &&
                  (r->keep || strcasecmp(value, "keep-alive") == 0);
    } else if (strcasecmp(line, "Transfer-Encoding") == 0) {
        return "501 Not Implemented";
    }
    return NULL;
}

/* After its first line: "" if all is well, else why not. */
static int read_head(coir_stream *s, struct request *r, char *line,
                     const char **status)
{
    int minor, used = 0;
    *status = "400 Bad Request";
    if (sscanf(line, "%7[A-Z] %*s HTTP/1.%1d%n", r->method, &minor, &used) <
            2 ||
        line[used])
        return 0;
    r->keep = minor > 0;
    for (int lines = 0; lines < LINES_MAX; lines++) {
        ssize_t size = read_line(s, &line);
        if (size <= 0) {
            if (size == 0)
                *status = NULL;
            return (int)size;
        }
        if ((*status = read_field(r, line)) != NULL)
            return 0;
    }
    *status = "431 Request Header Fields Too Large";
    return 0;
}

static int serve_request(coir_stream *s, struct request *r, char *line)
{
    static const char hello[] = "Hello, world\n";
    const char *status;
    int rc = read_head(s, r, line, &status);
    if (rc < 0)
        return rc == -EMSGSIZE ? refuse(s, r, "431 Line Too Long") : rc;
    if (status)
        return refuse(s, r, status);
    if (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0)
        return r->body ? refuse(s, r, "400 Bad Request")
                       : answer(s, r, "200 OK", hello, sizeof hello - 1);
    if (strcmp(r->method, "POST") != 0)
        return refuse(s, r, "405 Method Not Allowed");

    char *body = malloc(r->body + 1);
    if (!body)
        return refuse(s, r, "503 Service Unavailable");
    for (size_t at = 0; at < r->body && rc >= 0; at += (size_t)rc) {
        rc = (int)coir_stream_read(s, body + at, r->body - at);
        if (rc == 0)
            rc = -ENODATA;
    }
    if (rc >= 0)
        rc = answer(s, r, "200 OK", body, r->body);
    free(body);
    return rc;
}

/* One request and its answer. 1: there may be another; else it is over. */
static int serve_next(coir_stream *s)
{
    struct request r = {.method = "GET"};
    coir_scope limit;
    char *line;

    coir_timeout_open(&limit, IDLE);
    int rc = coir_scope_close(&limit, (int)read_line(s, &line));
    if (rc == 0)
        return 1; /* an empty line between two requests */
    if (rc == -EMSGSIZE)
        return refuse(s, &r, "414 URI Too Long");
    if (rc < 0)
        return rc;
    coir_timeout_open(&limit, REQUEST);
    rc = coir_scope_close(&limit, serve_request(s, &r, line));
    return rc < 0 ? rc : r.keep;
}

static void serve_client(int fd)
{
    coir_stream *stream;
    if (coir_stream_new(&stream, fd, BUFFER) < 0) {
        coir_close(fd);
        return;
    }
    while (serve_next(stream) > 0)
        ;
    COIR_IGNORE(coir_stream_close(stream));
}

int main(int argc, char **argv)
{
    return serve_main(argc > 1 ? argv[1] : ":8080", serve_client);
}
