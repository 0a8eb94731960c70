/* bench/fetch.c -- fetch many URLs at once, and be polite about it
 *
 *     fetch URL...                             http://host[:port]/path
 *
 * At most PER_HOST connections to one host at a time; an attempt has
 * ATTEMPT_TIME, and what may pass by (refused, reset, too slow, 5xx) is tried
 * again after a wait that doubles, with a random part so that many clients do
 * not come back together. A line for each URL, as they come: status, bytes,
 * attempts. The exit status is 1 if one of them failed. */
#include <coir.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PER_HOST = 4, ATTEMPTS = 4 };
static const coir_time ATTEMPT_TIME = COIR_SECONDS(10), WAIT = COIR_MS(50);

/* Hosts live as long as the program; there are as many as are asked for. */
struct host {
    struct host *next;
    coir_sem free; /* connections */
    char address[];
};

struct fetch {
    const char *url;
    struct host *host;
    const char *path;
    unsigned attempts;
    int status; /* of the answer */
    size_t bytes;
};

static struct host *hosts;

/* Before the fibers: nobody else looks. */
static struct host *host_of(const char *name, size_t length)
{
    for (struct host *h = hosts; h; h = h->next)
        if (strncmp(h->address, name, length) == 0 &&
            (!h->address[length] || strcmp(h->address + length, ":80") == 0))
            return h;
    struct host *h = malloc(sizeof *h + length + sizeof ":80");
    if (!h)
        return NULL;
    const char *after = *name == '[' ? memchr(name, ']', length) : name;
    bool has_port =
        after && memchr(after, ':', length - (size_t)(after - name));
    sprintf(h->address, "%.*s%s", (int)length, name, has_port ? "" : ":80");
    h->next = hosts;
    coir_sem_init(&h->free, PER_HOST);
    return hosts = h;
}

static int parse(struct fetch *f, const char *url)
{
    static const char scheme[] = "http://";
    *f = (struct fetch){.url = url};
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return -EINVAL;
    const char *name = url + sizeof scheme - 1;
    size_t length = strcspn(name, "/");
    if (length == 0 || length > 255)
        return -EINVAL;
    f->path = name[length] ? name + length : "/";
    f->host = host_of(name, length);
    return f->host ? 0 : -ENOMEM;
}

/* HTTP/1.0: the answer ends with the connection. */
static int converse(struct fetch *f, coir_stream *s)
{
    char *line, buffer[4096];
    ssize_t size;
    int rc = coir_stream_printf(s, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n",
                                f->path, f->host->address);
    if (rc >= 0)
        rc = coir_stream_flush(s);
    if (rc < 0)
        return rc;
    size = coir_stream_read_until(s, '\n', &line);
    if (size <= 0)
        return size < 0 ? (int)size : -ECONNRESET;
    line[size - 1] = '\0';
    if (sscanf(line, "HTTP/%*d.%*d %d", &f->status) != 1)
        return -EPROTO;
    do /* the head, up to an empty line */
        size = coir_stream_read_until(s, '\n', &line);
    while (size > 2 || (size == 2 && line[0] != '\r'));
    for (f->bytes = 0; size > 0; f->bytes += (size_t)size)
        if ((size = coir_stream_read(s, buffer, sizeof buffer)) <= 0)
            break;
    return (int)size;
}

static int try_once(void *arg)
{
    struct fetch *f = arg;
    coir_stream *stream;
    int fd = coir_dial(f->host->address);
    if (fd < 0)
        return fd;
    int rc = coir_stream_new(&stream, fd, 0);
    if (rc < 0) {
        coir_close(fd);
        return rc;
    }
    rc = converse(f, stream);
    COIR_IGNORE(coir_stream_close(stream));
    return rc;
}

static bool may_pass(const struct fetch *f, int rc)
{
    switch (rc) {
    case 0:
        return f->status >= 500;
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -ETIMEDOUT:
    case -EAGAIN: /* the name server had no time */
        return true;
    }
    return false;
}

/* The host's turn is given back while we wait for the next attempt. */
static int attempt(struct fetch *f)
{
    int rc = coir_sem_acquire(&f->host->free);
    if (rc < 0)
        return rc;
    f->attempts++;
    rc = coir_timeout(ATTEMPT_TIME, try_once, f);
    coir_sem_release(&f->host->free);
    return rc;
}

static int fetch_one(void *arg)
{
    struct fetch *f = arg;
    coir_time wait = WAIT;
    int rc = attempt(f);
    while (may_pass(f, rc) && f->attempts < ATTEMPTS) {
        if ((rc = coir_sleep(wait + rand() % wait)) < 0)
            break;
        wait *= 2;
        rc = attempt(f);
    }
    if (rc < 0)
        printf("%s: %s, %u attempts\n", f->url, strerror(-rc), f->attempts);
    else
        printf("%s: %d, %zu bytes, %u attempts\n", f->url, f->status, f->bytes,
               f->attempts);
    return rc;
}

struct all {
    struct fetch *fetches;
    size_t count;
};

/* One that fails does not stop the others. */
static int fetch_all(void *arg)
{
    struct all *all = arg;
    coir_nursery nursery;
    int rc = 0;
    coir_nursery_open(&nursery);
    coir_nursery_keep_going(&nursery);
    for (size_t i = 0; i < all->count && rc == 0; i++)
        rc = coir_go(&nursery, fetch_one, &all->fetches[i]);
    return coir_nursery_close_with(&nursery, rc);
}

int main(int argc, char **argv)
{
    struct all all = {calloc((size_t)argc, sizeof(struct fetch)), 0};
    int bad = !all.fetches;
    for (int i = 1; i < argc && all.fetches; i++) {
        if (parse(&all.fetches[all.count], argv[i]) == 0) {
            all.count++;
        } else {
            fprintf(stderr, "fetch: not a URL for me: %s\n", argv[i]);
            bad = 1;
        }
    }
    if (coir_run(fetch_all, &all) < 0)
        bad = 1;
    free(all.fetches);
    for (struct host *next; hosts; hosts = next) {
        next = hosts->next;
        free(hosts);
    }
    return bad;
}
