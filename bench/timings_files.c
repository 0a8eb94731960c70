/* bench/timings_files.c -- the job that cannot be polled: reading files
 *
 * Does       read and checksum C headers that are on the machine, with open(2)
 *            and read(2), which block: one after another, by threads, and by
 *            fibers that call the same code on coir's thread pool. Both have
 *            THREADS threads: more would be no faster.
 * Answer     a sum over all checksums.
 * Edges      all files are read once before, so that they lie in memory for
 *            every way.
 */
#include "bench/timings.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 64, PIECE = 16 * 1024 };

#define FOLDER "/usr/include"

struct file {
    char *path;
    uint64_t sum; /* 0: not known yet */
};

struct files {
    size_t count;
    struct file *items;
};

/* ---- blocking ---- */

static int sum_open(int fd, uint64_t *sum)
{
    unsigned char piece[PIECE];
    ssize_t got;

    do {
        got = read(fd, piece, sizeof(piece));
        if (got < 0 && errno != EINTR)
            return -errno;
        for (ssize_t i = 0; i < got; i++)
            *sum = timings_mix(*sum, piece[i]);
    } while (got != 0);
    return 0;
}

static int sum_file(void *arg)
{
    struct file *file = arg;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return -errno;
    rc = sum_open(fd, &file->sum);
    close(fd);
    return rc;
}

static struct timings_work work_of(const struct files *files)
{
    return (struct timings_work){sum_file, files->items, files->count,
                                 sizeof(*files->items)};
}

int timings_files_in_turn(void *data)
{
    struct timings_work work = work_of(data);

    return timings_in_turn(&work);
}

int timings_files_threads(void *data)
{
    struct timings_work work = work_of(data);

    return timings_by_threads(&work, THREADS);
}

/* ---- fibers ---- */

/* What blocks runs on a thread of the pool; only this fiber waits for it. */
static int sum_in_fiber(void *arg)
{
    const struct file *file = arg;
    int rc = coir_blocking(sum_file, arg);

    if (rc < 0 && rc != -ECANCELED)
        return coir_fail(rc, "%s", file->path);
    return rc;
}

int timings_files_fibers(void *data)
{
    const struct files *files = data;
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    for (size_t i = 0; i < files->count && rc == 0; i++)
        rc = coir_go(&nursery, sum_in_fiber, &files->items[i]);
    return coir_nursery_close_with(&nursery, rc);
}

/* ---- the ways ---- */

static uint64_t answer_of(const void *data)
{
    const struct files *files = data;
    uint64_t answer = 0;

    for (size_t i = 0; i < files->count; i++)
        answer = timings_mix(answer, files->items[i].sum);
    return answer;
}

static const struct timings_way ways[] = {
    {.name = "sequential", .plain = timings_files_in_turn},
    {.name = "threads", .plain = timings_files_threads, .may_be_refused = true},
    {.name = "fibers + pool", .fibers = timings_files_fibers},
    {.name = NULL}};

/* ---- which files ---- */

static bool is_header(const FTSENT *entry)
{
    size_t length = entry->fts_namelen;

    return entry->fts_info == FTS_F && length > 2 &&
           strcmp(entry->fts_name + length - 2, ".h") == 0 &&
           access(entry->fts_path, R_OK) == 0;
}

/* As many headers as there are, at most count; their bytes in *ret_bytes. */
static int find_headers(struct files *files, size_t count, int64_t *ret_bytes)
{
    char folder[] = FOLDER;
    char *const folders[] = {folder, NULL};
    FTS *tree = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    const FTSENT *entry;
    int rc = 0;

    if (tree == NULL)
        return -errno;
    for (entry = fts_read(tree); entry != NULL && files->count < count;
         entry = fts_read(tree)) {
        struct file *file = &files->items[files->count];

        if (!is_header(entry))
            continue;
        file->path = strdup(entry->fts_path);
        if (file->path == NULL) {
            rc = -ENOMEM;
            break;
        }
        files->count++;
        *ret_bytes += entry->fts_statp->st_size;
    }
    fts_close(tree);
    return rc == 0 && files->count == 0 ? -ENOENT : rc;
}

static int fill(struct files *files, size_t count, int64_t *ret_bytes)
{
    int rc;

    files->items = calloc(count, sizeof(*files->items));
    if (files->items == NULL)
        return -ENOMEM;
    rc = find_headers(files, count, ret_bytes);
    if (rc == 0)
        rc = timings_files_in_turn(files);
    for (size_t i = 0; i < files->count; i++)
        files->items[i].sum = 0;
    return rc;
}

int timings_files_new(struct timings_job *job, size_t count)
{
    struct files *files = calloc(1, sizeof(*files));
    int64_t bytes = 0;
    int rc = files == NULL ? -ENOMEM : fill(files, count, &bytes);

    if (rc < 0) {
        fprintf(stderr, "timings: headers of " FOLDER ": %s\n", strerror(-rc));
        return rc;
    }
    *job = (struct timings_job){.id = "files",
                                .count = files->count,
                                .data = files,
                                .answer = answer_of,
                                .ways = ways};
    snprintf(job->title, sizeof(job->title),
             "%zu C headers, %.1f MiB, read and checksummed", files->count,
             (double)bytes / (1024 * 1024));
    return 0;
}
