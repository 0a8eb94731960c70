/* test/test_address.c -- io/net.c and address.c: listening and dialling */
#include "io/address.h"
#include "test/harness.h"
#include "test/sockets.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* A directory for unix paths, of this test alone. */
static char directory[32];

static void enter_directory(void)
{
    strcpy(directory, TEST_TEMPLATE);
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
}

static void leave_directory(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(rmdir(directory), 0);
}

static int read_one(void *arg)
{
    char byte;
    return (int)coir_read(*(int *)arg, &byte, 1);
}

/* ---- Listening and dialling. */

/* Listen, dial what it says it is, and talk. */
static void meet(const char *where, const char *dialled)
{
    char address[200], local[200], peer[200], byte = 'x';
    int listener = coir_listen(where, 4);
    ck_assert_int_ge(listener, 0);
    int length = coir_local_address(listener, address, sizeof address);
    ck_assert_int_eq(length, (int)strlen(address));
    char to[200];
    const char *port = strrchr(address, ':');
    snprintf(to, sizeof to, "%s%s", dialled ? dialled : "",
             dialled ? port + 1 : address);

    int one = coir_dial(to);
    ck_assert_int_ge(one, 0);
    int other = coir_accept(listener, NULL, NULL);
    ck_assert_int_ge(other, 0);
    ck_assert_int_eq(coir_write(one, &byte, 1), 1);
    ck_assert_int_eq(read_one(&other), 1);
    ck_assert_int_gt(coir_peer_address(one, peer, sizeof peer), 0);
    ck_assert_int_gt(coir_local_address(other, local, sizeof local), 0);
    ck_assert_str_eq(peer, local);
    ck_assert_int_gt(coir_local_address(one, local, sizeof local), 0);
    ck_assert_int_gt(coir_peer_address(other, peer, sizeof peer), 0);
    ck_assert_str_eq(peer, local);
    int made[] = {listener, one, other};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_ne(fcntl(made[i], F_GETFD) & FD_CLOEXEC, 0);
        ck_assert_int_eq(coir_close(made[i]), 0);
    }
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6,
                             .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

static int meet_everywhere(void *arg)
{
    (void)arg;
    meet("127.0.0.1:0", NULL);
    meet(":0", NULL);
    meet(":0", ":");
    meet(":0", "127.0.0.1:");
    meet("unix:here", NULL);
    ck_assert_int_eq(unlink("here"), 0);
    if (has_ipv6()) {
        meet("[::1]:0", NULL);
        meet("[::1]:0", ":");
        meet(":0", "[::1]:");
    }
    return 0;
}

START_TEST(what_dials_meets_what_listens)
{
    enter_directory();
    ck_assert_int_eq(coir_run(meet_everywhere, NULL), 0);
    leave_directory();
}
END_TEST

static int use_wrong_words(void *arg)
{
    static const char *const wrong[] = {"",
                                        "80",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "[::1]",
                                        "[::1]80",
                                        "[::1:80",
                                        "[127.0.0.1]:80",
                                        "[]:80",
                                        "1.2.3.4:x:y",
                                        "::1:80",
                                        "127.0.0.1:65536",
                                        "unix:",
                                        "a b:80",
                                        "300.1.1.1 :80",
                                        ":-1",
                                        ":99999999999999999999",
                                        "127.0.0.1:/80"};
    char path[300] = "unix:";
    (void)arg;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(coir_listen(wrong[i], 1) == -EINVAL, "%s", wrong[i]);
        ck_assert_msg(coir_dial(wrong[i]) == -EINVAL, "%s", wrong[i]);
    }
    memset(path + 5, 'a', 200);
    ck_assert_int_eq(coir_listen(path, 1), -ENAMETOOLONG);
    ck_assert_int_eq(coir_dial(path), -ENAMETOOLONG);
    ck_assert_int_eq(coir_dial("a.name.invalid:80"), -ENOENT);
    ck_assert_int_eq(coir_dial("127.0.0.1:no-such-service"), -ENOENT);
    ck_assert_int_eq(coir_dial("unix:nobody/here"), -ENOENT);
    return 0;
}

START_TEST(what_is_not_an_address_is_refused)
{
    ck_assert_int_eq(coir_dial("127.0.0.1:80"), -EPERM);
    ck_assert_int_eq(coir_listen(":0", 1), -EPERM);
    ck_assert_int_eq(coir_run(use_wrong_words, NULL), 0);
}
END_TEST

static int dial_nobody(void *arg)
{
    char address[64];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        int listener = coir_listen("127.0.0.1:0", 1);
        coir_local_address(listener, address, sizeof address);
        ck_assert_int_eq(coir_close(listener), 0);
        const char *port = strrchr(address, ':');
        ck_assert_int_eq(coir_dial(i ? port : address), -ECONNREFUSED);
    }
    return 0;
}

START_TEST(a_refusal_is_told)
{
    ck_assert_int_eq(coir_run(dial_nobody, NULL), 0);
}
END_TEST

static int write_addresses(void *arg)
{
    char text[64], small[8];
    int ends[2];
    (void)arg;
    make_connection(ends);
    int length = coir_peer_address(ends[0], text, sizeof text);
    ck_assert_int_gt(length, 10);
    ck_assert_int_eq(strncmp(text, "127.0.0.1:", 10), 0);
    ck_assert_int_eq(coir_peer_address(ends[0], small, sizeof small), -ENOSPC);
    ck_assert_int_eq(coir_peer_address(ends[0], text, (size_t)length), -ENOSPC);
    ck_assert_int_eq(coir_peer_address(ends[0], text, (size_t)length + 1),
                     length);
    close_both(ends);
    make_pair(ends);
    ck_assert_int_eq(coir_peer_address(ends[0], text, sizeof text), 5);
    ck_assert_str_eq(text, "unix:");
    close_both(ends);
    make_pipe(ends);
    ck_assert_int_eq(coir_local_address(ends[0], text, 9), -ENOTSOCK);
    close_both(ends);
    ck_assert_int_eq(coir_local_address(ends[0], text, 9), -EBADF);
    int listener = coir_listen("127.0.0.1:0", 1);
    ck_assert_int_eq(coir_peer_address(listener, text, 9), -ENOTCONN);
    ck_assert_int_eq(coir_close(listener), 0);
    return 0;
}

START_TEST(addresses_have_words)
{
    ck_assert_int_eq(coir_run(write_addresses, NULL), 0);
}
END_TEST

/* ---- Unix paths. */

static int replace_paths(void *arg)
{
    (void)arg;
    int first = coir_listen("unix:path", 1);
    ck_assert_int_ge(first, 0);
    ck_assert_int_eq(coir_listen("unix:path", 1), -EADDRINUSE);
    int one = coir_dial("unix:path"); /* it still listens */
    ck_assert_int_ge(one, 0);
    ck_assert_int_eq(coir_close(one), 0);
    ck_assert_int_eq(coir_close(first), 0);
    ck_assert_int_eq(coir_dial("unix:path"), -ECONNREFUSED);
    int second = coir_listen("unix:path", 1);
    ck_assert_int_ge(second, 0);
    ck_assert_int_eq(coir_close(second), 0);
    ck_assert_int_eq(unlink("path"), 0);

    int file = open("path", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_eq(close(file), 0);
    ck_assert_int_eq(coir_listen("unix:path", 1), -EADDRINUSE);
    ck_assert_int_eq(unlink("path"), 0);
    return 0;
}

START_TEST(a_path_on_which_nobody_listens_is_replaced)
{
    enter_directory();
    ck_assert_int_eq(coir_run(replace_paths, NULL), 0);
    leave_directory();
}
END_TEST

static int dial_path(void *arg)
{
    (void)arg;
    int fd = coir_dial("unix:full");
    ck_assert_int_ge(fd, 0);
    return coir_close(fd);
}

/* As long as it can be, the kernel counts an end for which there is no room. */
START_TEST(the_longest_path_is_shown)
{
    struct {
        coir_i_address a;
        char behind[8];
    } the;
    char text[128];
    memset(&the, 'y', sizeof the);
    the.a.is.local.sun_family = AF_UNIX;
    memset(the.a.is.local.sun_path, 'x', sizeof the.a.is.local.sun_path);
    the.a.length = sizeof the.a.is.local + 1;
    ck_assert_int_eq(coir_i_address_print(&the.a, text, sizeof text),
                     5 + (int)sizeof the.a.is.local.sun_path);
    ck_assert_int_eq(strncmp(text, "unix:xxx", 8), 0);
}
END_TEST

static int fill_backlog(void *arg)
{
    enum { DIALLERS = 12 };
    coir_nursery n;
    (void)arg;
    int listener = coir_listen("unix:full", 1);
    coir_nursery_open(&n);
    for (int i = 0; i < DIALLERS; i++)
        ck_assert_int_eq(coir_go(&n, dial_path, NULL), 0);
    let_others_park();
    for (int i = 0; i < DIALLERS; i++) {
        int fd = coir_accept(listener, NULL, NULL);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(coir_close(fd), 0);
    }
    int rc = coir_nursery_close(&n);
    ck_assert_int_eq(coir_close(listener), 0);
    ck_assert_int_eq(unlink("full"), 0);
    return rc;
}

START_TEST(a_full_backlog_is_waited_for)
{
    enter_directory();
    ck_assert_int_eq(coir_run(fill_backlog, NULL), 0);
    leave_directory();
}
END_TEST

COIR_SUITE(address, TEST_WORKERS)
{
    TCase *words = test_case(suite, "addresses");
    tcase_add_test(words, what_dials_meets_what_listens);
    tcase_add_test(words, what_is_not_an_address_is_refused);
    tcase_add_test(words, a_refusal_is_told);
    tcase_add_test(words, addresses_have_words);

    TCase *paths = test_case(suite, "unix paths");
    tcase_add_test(paths, a_path_on_which_nobody_listens_is_replaced);
    tcase_add_test(paths, a_full_backlog_is_waited_for);
    tcase_add_test(paths, the_longest_path_is_shown);
}
