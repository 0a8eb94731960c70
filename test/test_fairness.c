/* test/test_fairness.c -- a call that never has to wait gives way all the same
 *
 * One fiber floods: its calls always succeed at once. Others yield, sleep and
 * answer each other meanwhile; what they need ends the flood. With one worker
 * the flood must have given way each time its share was used up: nobody else
 * can have helped, if the monitor has not sent another worker. */
#include <coir.h>

#include "sched/spare.h"
#include "test/harness.h"
#include "test/must.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHARE = 256, YIELDS = 20, NAPS = 5, ROUNDS = 10 };

/* ---- What always succeeds ---- */

static struct {
    int pair[2], zero;
    coir_chan *chan;
    coir_queue *queue;
    coir_mutex mutex;
    coir_rwlock rwlock;
    coir_sem sem;
    coir_event event;
    coir_barrier alone;
    coir_once once;
    coir_task ended;
} with;

static int flood_connection(void)
{
    char c = 'x';
    if (coir_write(with.pair[0], &c, 1) != 1)
        return -EIO;
    return coir_read(with.pair[1], &c, 1) == 1 ? 0 : -EIO;
}

static int read_device(void)
{
    char c;
    return coir_read(with.zero, &c, 1) == 1 ? 0 : -EIO;
}

static int poll_writable(void)
{
    int rc = coir_poll(with.pair[0], COIR_WRITABLE);
    return rc == COIR_WRITABLE ? 0 : -EIO;
}

static int flood_channel(void)
{
    int item = 1, rc = coir_chan_send(with.chan, &item);
    return rc < 0 ? rc : coir_chan_recv(with.chan, &item);
}

static int flood_select(void)
{
    int item = 1;
    coir_case one = {.chan = with.chan, .op = COIR_SEND, .item = &item};
    int rc = coir_select(&one, 1);
    one.op = COIR_RECV;
    return rc < 0 ? rc : coir_select(&one, 1);
}

static int flood_queue(void)
{
    int item = 1, rc = coir_queue_put(with.queue, &item);
    if (rc == 0)
        rc = coir_queue_get(with.queue, &item);
    return rc < 0 ? rc : coir_queue_done(with.queue);
}

static int join_queue(void)
{
    return coir_queue_join(with.queue);
}

static int lock_mutex(void)
{
    int rc = coir_mutex_lock(&with.mutex);
    if (rc == 0)
        coir_mutex_unlock(&with.mutex);
    return rc;
}

static int lock_to_read(void)
{
    int rc = coir_rwlock_read(&with.rwlock);
    if (rc == 0)
        coir_rwlock_unlock(&with.rwlock);
    return rc;
}

static int lock_to_write(void)
{
    int rc = coir_rwlock_write(&with.rwlock);
    if (rc == 0)
        coir_rwlock_unlock(&with.rwlock);
    return rc;
}

static int acquire_permit(void)
{
    int rc = coir_sem_acquire(&with.sem);
    if (rc == 0)
        coir_sem_release(&with.sem);
    return rc;
}

static int wait_for_set_event(void)
{
    return coir_event_wait(&with.event);
}

static int meet_nobody(void)
{
    int rc = coir_barrier_wait(&with.alone);
    return rc < 0 ? rc : 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int do_once(void)
{
    return coir_once_do(&with.once, do_nothing, NULL);
}

static int join_ended(void)
{
    int result;
    return coir_join(&with.ended, &result);
}

static int wait_for_ended(void)
{
    coir_task *tasks[] = {&with.ended};
    int rc = coir_wait(tasks, 1, COIR_ALL_DONE);
    return rc < 0 ? rc : 0;
}

static int sleep_for_nothing(void)
{
    return coir_sleep(0);
}

static int start_child(void)
{
    coir_nursery n;
    coir_nursery_open(&n);
    return coir_nursery_close_with(&n, coir_go(&n, do_nothing, NULL));
}

static const struct call {
    const char *name;
    int (*make)(void);
} calls[] = {
    {"coir_write, coir_read", flood_connection},
    {"coir_read of a device", read_device},
    {"coir_poll", poll_writable},
    {"coir_chan_send, coir_chan_recv", flood_channel},
    {"coir_select", flood_select},
    {"coir_queue_put, coir_queue_get", flood_queue},
    {"coir_queue_join", join_queue},
    {"coir_mutex_lock", lock_mutex},
    {"coir_rwlock_read", lock_to_read},
    {"coir_rwlock_write", lock_to_write},
    {"coir_sem_acquire", acquire_permit},
    {"coir_event_wait", wait_for_set_event},
    {"coir_barrier_wait", meet_nobody},
    {"coir_once_do", do_once},
    {"coir_join", join_ended},
    {"coir_wait", wait_for_ended},
    {"coir_sleep", sleep_for_nothing},
    {"coir_nursery_close", start_child},
};
enum { CALLS = sizeof calls / sizeof *calls };

static int prepare(void)
{
    coir_nursery n;
    int rc = socketpair(AF_UNIX, SOCK_STREAM, 0, with.pair);
    with.zero = open("/dev/zero", O_RDONLY);
    if (rc == 0)
        rc = coir_chan_new(&with.chan, sizeof(int), 1);
    if (rc == 0)
        rc = coir_queue_new(&with.queue, sizeof(int), 1, COIR_FIFO, NULL);
    coir_sem_init(&with.sem, 1);
    coir_event_set(&with.event);
    coir_barrier_init(&with.alone, 1);
    coir_nursery_open(&n);
    if (rc == 0)
        rc = coir_spawn(&n, &with.ended, do_nothing, NULL);
    return coir_nursery_close_with(&n, rc);
}

static int clean_up(int rc)
{
    must_not(coir_chan_free(with.chan) != 0);
    must_not(coir_queue_free(with.queue) != 0);
    must_not(coir_close(with.pair[0]) != 0);
    must_not(coir_close(with.pair[1]) != 0);
    must_not(coir_close(with.zero) != 0);
    return rc;
}

/* ---- The flood, and the others ---- */

static struct {
    const struct call *call;
    _Atomic bool over;
    uint64_t made; /* calls of the flood */
    uint64_t spares;
    const char *greedy; /* a call that took more than its share; or NULL */
} flood;

static int pour(void *arg)
{
    int rc = 0;
    (void)arg;
    while (rc == 0 && !flood.over) {
        rc = flood.call->make();
        flood.made++;
    }
    return rc;
}

static int yield_often(void *arg)
{
    int rc = 0;
    (void)arg;
    for (int i = 0; i < YIELDS && rc == 0; i++)
        rc = coir_yield();
    return rc;
}

static int nap_often(void *arg)
{
    int rc = 0;
    (void)arg;
    for (int i = 0; i < NAPS && rc == 0; i++)
        rc = coir_sleep(COIR_MS(1));
    return rc;
}

static int quiet[2]; /* a connection that is read from now and then */

static int answer(void *arg)
{
    char c;
    (void)arg;
    for (int i = 0; i < ROUNDS; i++)
        if (coir_read(quiet[1], &c, 1) != 1 || coir_write(quiet[1], &c, 1) != 1)
            return -EIO;
    return 0;
}

static int ask(void *arg)
{
    char c = '?';
    (void)arg;
    for (int i = 0; i < ROUNDS; i++)
        if (coir_write(quiet[0], &c, 1) != 1 || coir_read(quiet[0], &c, 1) != 1)
            return -EIO;
    return 0;
}

/* The others run while the flood goes on; when they are done it is over. */
static int run_beside_flood(coir_fn *const *others, int count)
{
    coir_nursery all, served;
    coir_nursery_open(&all);
    flood.over = false;
    flood.made = 0;
    int rc = coir_go(&all, pour, NULL);
    coir_nursery_open(&served);
    for (int i = 0; i < count && rc == 0; i++)
        rc = coir_go(&served, others[i], NULL);
    rc = coir_nursery_close_with(&served, rc);
    flood.over = true;
    return coir_nursery_close_with(&all, rc);
}

static int flood_with_each(void *arg)
{
    coir_fn *const others[] = {yield_often};
    (void)arg;
    int rc = prepare();
    for (int i = 0; i < CALLS && rc == 0; i++) {
        flood.call = &calls[i];
        rc = run_beside_flood(others, 1);
        /* Its share each time that the other one yields, and each of us goes
         * on; a call may be of three. */
        if (test_workers() == 1 && flood.made > (YIELDS + 5) * SHARE)
            flood.greedy = calls[i].name;
    }
    flood.spares = coir_i_spare_hired();
    return clean_up(rc);
}

START_TEST(each_call_gives_way_after_its_share)
{
    ck_assert_int_eq(coir_run(flood_with_each, NULL), 0);
    assert_nothing_happened();
    ck_assert_msg(!flood.greedy, "%s does not give way", flood.greedy);
    if (test_scaled(1000) == 1000 && test_workers() == 1)
        ck_assert_uint_eq(flood.spares, 0);
}
END_TEST

static int flood_beside_all(void *arg)
{
    coir_fn *const others[] = {yield_often, nap_often, answer, ask};
    flood.call = arg;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, quiet) < 0)
        return -EIO;
    int rc = prepare();
    if (rc == 0)
        rc = run_beside_flood(others, 4);
    must_not(coir_close(quiet[0]) != 0);
    must_not(coir_close(quiet[1]) != 0);
    flood.spares = coir_i_spare_hired();
    return clean_up(rc);
}

static void assert_all_are_served(int (*make)(void))
{
    struct call call = {"flood", make};
    ck_assert_int_eq(coir_run(flood_beside_all, &call), 0);
    assert_nothing_happened();
    ck_assert_uint_gt(flood.made, 0);
    if (test_scaled(1000) == 1000)
        ck_assert_uint_eq(flood.spares, 0);
}

START_TEST(timers_and_connections_are_served_beside_a_flooding_connection)
{
    assert_all_are_served(flood_connection);
}
END_TEST

START_TEST(timers_and_connections_are_served_beside_a_flooding_channel)
{
    assert_all_are_served(flood_channel);
}
END_TEST

START_TEST(timers_and_connections_are_served_beside_a_flooding_queue)
{
    assert_all_are_served(flood_queue);
}
END_TEST

COIR_SUITE(fairness, TEST_WORKERS)
{
    TCase *share = test_case(suite, "share");
    tcase_add_test(share, each_call_gives_way_after_its_share);

    TCase *served = test_case(suite, "served");
    tcase_add_test(
        served, timers_and_connections_are_served_beside_a_flooding_connection);
    tcase_add_test(served,
                   timers_and_connections_are_served_beside_a_flooding_channel);
    tcase_add_test(served,
                   timers_and_connections_are_served_beside_a_flooding_queue);
}
