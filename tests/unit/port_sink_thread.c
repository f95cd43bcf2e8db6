/* The thread of a sink, with a medium that fails and hangs as a test likes. */
#include "cmcwh.c"

#include "support.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "platform/platform.h"

static uint32_t ahead; /* ms that the sink's clock is before the real one; atomic */
static bool stands;    /* the clock does, at that; while no thread runs */

static uint32_t strides; /* ms that pass whenever it is looked at; while no thread runs */

static uint64_t test_ticks(void) {
    return (stands ? 0 : platform_ticks()) + __atomic_fetch_add(&ahead, strides, __ATOMIC_RELAXED);
}

static uint32_t drawn; /* what is drawn next; while no thread runs */

static uint32_t test_random(void) {
    return drawn;
}

#define platform_ticks  test_ticks
#define platform_random test_random
#include "sink/sink.c"
#undef platform_ticks
#undef platform_random
#include "said.h"

enum { PATIENCE = 30000 /* ms */ };

/* Atomic. */
static unsigned opens, writes, undos, idles, closes;
static bool cannot_open, hangs;
static uint32_t wants, rejects; /* what the peer asks for, and how many it will never take */

static void count(unsigned *number) {
    (void)__atomic_fetch_add(number, 1, __ATOMIC_RELAXED);
}

static unsigned number(const unsigned *counted) {
    return __atomic_load_n(counted, __ATOMIC_RELAXED);
}

static void set(bool *flag, bool value) {
    __atomic_store_n(flag, value, __ATOMIC_RELAXED);
}

static bool is(const bool *flag) {
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static int fake_open(struct sink *sink) {
    count(&opens);
    if (is(&cannot_open)) {
        if (__atomic_load_n(&wants, __ATOMIC_RELAXED) > 0) {
            sink->retry = __atomic_load_n(&wants, __ATOMIC_RELAXED);
        }
        return sink_trouble(sink, "is not there", 0);
    }
    sink->descriptor = 1000;
    return 0;
}

static int fake_write(void *context, const void *bytes, size_t length) {
    (void)bytes;
    (void)length;
    count(&writes);
    if (rejects > 0) {
        sink_rejected(context, rejects);
    }
    while (is(&hangs)) {
        (void)poll(NULL, 0, 1);
    }
    return 0;
}

static void fake_undo(void *context) {
    (void)context;
    count(&undos);
}

static int fake_idle(struct sink *unused) {
    (void)unused;
    count(&idles);
    return 0;
}

static void fake_close(struct sink *sink) {
    count(&closes);
    sink->descriptor = -1;
}

static const struct sink_medium medium = {.scheme = "fake",
                                          .open = fake_open,
                                          .write = fake_write,
                                          .undo = fake_undo,
                                          .idle = fake_idle,
                                          .close = fake_close};

static struct platform platform;
static struct cmcwh_ring ring;
static struct cmcwh_record records[16];
static uint32_t links[16];
static char buffer[SINK_BUFFER];
static struct sink sink;

static int setup_ring(bool confirm) {
    struct cmcwh_ring_config config = {.records = records,
                                       .links = links,
                                       .capacity = 16,
                                       .port = &platform.port,
                                       .confirm = confirm};

    opens = writes = undos = idles = closes = 0;
    cannot_open = hangs = false;
    ahead = drawn = wants = rejects = 0;
    assert_int_equal(platform_init(&platform), 0);
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    sink = (struct sink){.uri = "fake:", .medium = &medium, .required = true, .descriptor = -1};
    assert_int_equal(sink_prepare(&sink, &ring, buffer), OUTCOME_RIGHT);
    return 0;
}

static int setup(void **state) {
    (void)state;
    return setup_ring(true);
}

/* No request waits for the sink. */
static int setup_unconfirmed(void **state) {
    (void)state;
    return setup_ring(false);
}

/* Until `reached`, which must come. */
#define await(reached)                                                                             \
    for (unsigned waited = 0; !(reached); waited++) {                                              \
        assert_true(waited < PATIENCE);                                                            \
        (void)poll(NULL, 0, 1);                                                                    \
    }

static void ask_again(void *context) {
    (void)context;
}

/* A request of one event, which does not wait: what became of it so far. */
static struct cmcwh_batch batch;

static enum cmcwh_kind posted_kind = CMCWH_OTHER;

static int post_one(void) {
    struct cmcwh_text none = {"", 0};
    struct cmcwh_record *record;
    struct cmcwh_draft draft;
    int result;

    batch_begin(&batch, &ring);
    record = batch_add(&batch);
    assert_non_null(record);
    draft_begin(&draft, record, posted_kind);
    draft_close(&draft);
    batch.settled = ask_again;
    result = batch_commit(&batch, none, (struct cmcwh_text){0});
    if (result < 0) {
        batch_abort(&batch);
        return result;
    }
    return batch_confirm(&batch);
}

static void await_good_post(void) {
    int result = CMCWH_PENDING;

    await((result = post_one()) >= CMCWH_OK || result == CMCWH_PENDING);
    await((result = batch_confirm(&batch)) != CMCWH_PENDING);
    assert_int_equal(result, CMCWH_OK);
}

static void end(void) {
    sink_hurry(&sink);
    sink_finish(&sink, PATIENCE);
    (void)sink_end(&sink, PATIENCE);
    assert_false(sink.running);
    assert_int_equal(sink.descriptor, -1);
    (void)said();
}

static struct sink_news ask(void) {
    struct sink_news news;

    sink_ask(&sink, &news);
    return news;
}

/* Its pauses grow to half a minute, but whoever has mended it need not wait for their end. */
static void asked_to_try_again(void **state) {
    (void)state;
    set(&cannot_open, true);
    assert_true(sink_start(&sink));
    for (unsigned i = 1; i < 20; i++) {
        await(number(&opens) >= i);
        sink_reopen(&sink);
    }
    set(&cannot_open, false);
    sink_reopen(&sink);
    await_good_post();
    await_said("fake:': is not there; trying again, requests may get 503\n"
               "sink 'fake:': works again after ");
    end();
}

static uint32_t waited_for; /* ms, the last time */

static bool note_wait(void *context, uint32_t ms) {
    (void)context;
    waited_for = ms;
    return false;
}

/* The end of a pause that comes while it is looked at the clock does not make it endless. */
static void a_pause_that_ends_just_now(void **state) {
    struct cmcwh_port port = platform.port;

    (void)state;
    port.wait = note_wait;
    ring.config.port = &port;
    stands = true;
    strides = 2;
    waited_for = 0;
    (void)rest(&sink, 3);
    stands = false;
    strides = 0;
    ring.config.port = &platform.port;
    assert_in_range(waited_for, 1, 3);
}

/* Those who have failed together do not come back together. */
static void pauses(void **state) {
    (void)state;
    drawn = 0;
    assert_int_equal(spread(100, 0), 75);
    assert_int_equal(spread(30000, 0), 22500);
    assert_int_equal(spread(30000, 22501), 22501);
    assert_int_equal(spread(100, 3600000), 3600000);
    drawn = 25;
    assert_int_equal(spread(100, 0), 100);
    drawn = 26;
    assert_int_equal(spread(100, 0), 75);
    drawn = 7500;
    assert_int_equal(spread(30000, 0), 30000);
    drawn = 1200000;
    assert_int_equal(spread(100, 3600000), 4800000);
}

/* When it is tried next, in ms from now; it rests. */
static uint64_t next_try(void) {
    uint64_t next = 0;

    await((next = ask().next_try) != 0);
    return next - platform_now();
}

/* What the peer asks for holds for the next try, and no longer. */
static void a_peer_that_wants_time(void **state) {
    (void)state;
    wants = 3600000;
    set(&cannot_open, true);
    assert_true(sink_start(&sink));
    assert_in_range(next_try(), 3600000 - PATIENCE, 3600000);
    __atomic_store_n(&wants, 0, __ATOMIC_RELAXED);
    sink_reopen(&sink);
    await(number(&opens) >= 2);
    await(ask().next_try != 0 && ask().next_try - platform_now() <= 30000);
    set(&cannot_open, false);
    sink_reopen(&sink);
    await_good_post();
    await(ask().delivered == 1);
    assert_true(ask().next_try == 0);
    end();
}

static void post_good(void) {
    assert_int_equal(post_one(), CMCWH_OK);
}

/* It runs, and has had the time to take the first of those that are to be waited for. */
static void start_with_one(uint32_t most, uint32_t wait) {
    sink.batch = most;
    sink.wait = wait;
    assert_true(sink_start(&sink));
    await(number(&idles) > 0); /* nothing that comes from here on is written with its opening */
    post_good();
    (void)poll(NULL, 0, 50);
}

/* As many as its URI says go out together. */
static void as_many_as_are_wanted(void **state) {
    (void)state;
    start_with_one(5, 60000);
    for (unsigned i = 1; i < 5; i++) {
        post_good();
    }
    await(ask().delivered == 5);
    assert_int_equal(number(&writes), 1);
    end();
}

/* Fewer go out when their time is over, */
static void fewer_after_a_while(void **state) {
    (void)state;
    start_with_one(5, 600000);
    post_good();
    await(((void)__atomic_fetch_add(&ahead, 600000, __ATOMIC_RELAXED), ask().delivered == 2));
    end();
}

/* when the ring fills, */
static void fewer_when_the_ring_fills(void **state) {
    (void)state;
    start_with_one(1000, 60000);
    for (unsigned i = 1; i < 8; i++) {
        post_good();
    }
    await(ask().delivered == 8);
    end();
}

/* and at the end. */
static void fewer_at_the_end(void **state) {
    (void)state;
    start_with_one(5, 60000);
    sink_hurry(&sink);
    sink_finish(&sink, PATIENCE);
    assert_int_equal(sink_end(&sink, PATIENCE), 0);
    assert_int_equal(number(&writes), 1);
    (void)said();
}

/* What was set aside is counted, and when that was. */
static void what_is_rejected(void **state) {
    uint64_t start = platform_now();

    (void)state;
    rejects = 3;
    assert_true(ask().rejected == 0 && ask().last_rejected == 0);
    assert_true(sink_start(&sink));
    await_good_post();
    await_good_post();
    assert_true(ask().rejected == 6);
    assert_true(ask().last_rejected >= start && ask().last_rejected <= platform_now());
    end();
}

/* What its filter holds back is safe without being written, and shows nothing of whether it works.
 */
static void what_does_not_pass(void **state) {
    (void)state;
    assert_int_equal(cmcwh_filter_parse(&sink.only, (struct cmcwh_text){"bounces", 7}, NULL), 0);
    set(&cannot_open, true);
    assert_true(sink_start(&sink));
    await(ask().failing[0] != '\0');
    assert_true(ask().delivered == 0);
    set(&cannot_open, false);
    sink_reopen(&sink);
    for (unsigned i = 0; i < 40; i++) { /* more than the ring has */
        await_good_post();
    }
    assert_int_equal(number(&writes), 0);
    assert_true(ask().delivered == 0);
    assert_said("fake:': is not there; trying again, requests may get 503\n");
    posted_kind = CMCWH_BOUNCES;
    await_good_post();
    posted_kind = CMCWH_OTHER;
    await_said("sink 'fake:': works again after ");
    await(ask().delivered == 1);
    assert_string_equal(ask().failing, "");
    assert_int_equal(number(&writes), 1);
    assert_int_equal(number(&undos), 0);
    end();
}

/* A connection is kept alive also where nothing passes of all that comes. */
static void nothing_that_passes(void **state) {
    (void)state;
    assert_int_equal(cmcwh_filter_parse(&sink.only, (struct cmcwh_text){"bounces", 7}, NULL), 0);
    post_good();
    assert_int_equal(open_and_pump(&sink, false), 1);
    assert_int_equal(idles, 1);
    posted_kind = CMCWH_BOUNCES;
    post_good();
    posted_kind = CMCWH_OTHER;
    assert_int_equal(open_and_pump(&sink, false), 1);
    assert_int_equal(writes, 1);
    assert_int_equal(idles, 1);
    assert_int_equal(open_and_pump(&sink, false), 0);
    assert_int_equal(idles, 2);
}

/* Nobody waits for a write that does not return; when it does, it does not count. */
static void a_write_that_hangs(void **state) {
    (void)state;
    set(&hangs, true);
    assert_true(sink_start(&sink));
    await(post_one() == CMCWH_PENDING);
    await(number(&writes) == 1);
    sink_watch(&sink);
    assert_quiet();
    assert_int_equal(batch_confirm(&batch), CMCWH_PENDING);
    __atomic_store_n(&ahead, SINK_HANGS + 1, __ATOMIC_RELAXED);
    sink_watch(&sink);
    assert_said("sink 'fake:': hangs: a call of the system has not returned for 6 s; requests may "
                "get 503\n");
    assert_int_equal(batch_confirm(&batch), CMCWH_ERR_STORAGE);
    assert_int_equal(post_one(), CMCWH_ERR_STORAGE);
    sink_watch(&sink);
    assert_quiet();
    assert_true(ask().hangs);
    assert_true(ask().failures == 1);
    assert_string_equal(ask().failing, "hangs: a call of the system has not returned for 6 s");
    set(&hangs, false);
    await(number(&undos) == 1);
    await_good_post();
    await_said("sink 'fake:': works again after ");
    assert_int_equal(number(&undos), 1);
    assert_false(ask().hangs);
    end();
}

/* What is told of it: nothing before it was opened, then that it works, since when it does not, how
 * often that was and why, and that it works again. */
static void what_is_told(void **state) {
    uint64_t start = platform_now(), since;

    (void)state;
    assert_false(ask().opened);
    assert_true(ask().last_success == 0);
    assert_true(sink_start(&sink));
    await(ask().opened);
    assert_true(ask().last_success >= start);
    assert_true(ask().failures == 0 && ask().failing_since == 0);
    set(&cannot_open, true);
    sink_reopen(&sink);
    await(ask().failures == 1);
    since = ask().failing_since;
    assert_true(since >= start && since <= platform_now());
    assert_string_equal(ask().failing, "is not there");
    sink_reopen(&sink);
    await(ask().failures >= 2);
    assert_true(ask().failing_since == since);
    assert_true(ask().last_error_at >= since);
    set(&cannot_open, false);
    sink_reopen(&sink);
    await_good_post();
    await(ask().delivered == 1 && ask().failing_since == 0);
    assert_string_equal(ask().failing, "");
    assert_string_equal(ask().last_error, "is not there");
    assert_true(ask().last_success >= ask().last_error_at);
    end();
}

/* A stop does not wait for it either. */
static void a_stop_while_it_hangs(void **state) {
    (void)state;
    set(&hangs, true);
    assert_true(sink_start(&sink));
    await(post_one() == CMCWH_PENDING);
    await(number(&writes) == 1);
    sink_hurry(&sink);
    __atomic_store_n(&ahead, SINK_LAST + 1, __ATOMIC_RELAXED);
    sink_finish(&sink, PATIENCE);
    assert_int_equal(sink_end(&sink, 0), 1);
    assert_true(sink.running);
    set(&hangs, false);
    end();
}

/* Several are waited for at the same time: since they were asked, not since it is their turn. */
static void a_stop_of_many(void **state) {
    (void)state;
    stands = true;
    (void)alarm(PATIENCE / 1000);
    sink.running = true; /* so it is where no thread gets on, and none is at its medium */
    sink_hurry(&sink);
    ahead = SINK_LAST + 1;
    sink_finish(&sink, PATIENCE);
    assert_true(sink_stopping(&sink));
    (void)alarm(0);
    sink.running = false;
    stands = false;
}

/* One that fails gets one more try, at once, and what it takes then is not lost. */
static void a_stop_while_it_fails(void **state) {
    (void)state;
    set(&cannot_open, true);
    assert_true(sink_start(&sink));
    for (unsigned i = 1; i < 10; i++) {
        await(number(&opens) >= i);
        sink_reopen(&sink);
    }
    sink_hurry(&sink);
    sink_finish(&sink, PATIENCE);
    assert_int_equal(sink_end(&sink, PATIENCE), 0);
    assert_false(sink.running);
    assert_true(number(&opens) > 9);
    (void)said();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses),
        cmocka_unit_test_setup(asked_to_try_again, setup),
        cmocka_unit_test_setup(a_pause_that_ends_just_now, setup),
        cmocka_unit_test_setup(a_peer_that_wants_time, setup),
        cmocka_unit_test_setup(as_many_as_are_wanted, setup_unconfirmed),
        cmocka_unit_test_setup(fewer_after_a_while, setup_unconfirmed),
        cmocka_unit_test_setup(fewer_when_the_ring_fills, setup_unconfirmed),
        cmocka_unit_test_setup(fewer_at_the_end, setup_unconfirmed),
        cmocka_unit_test_setup(what_is_rejected, setup),
        cmocka_unit_test_setup(what_does_not_pass, setup),
        cmocka_unit_test_setup(nothing_that_passes, setup_unconfirmed),
        cmocka_unit_test_setup(what_is_told, setup),
        cmocka_unit_test_setup(a_write_that_hangs, setup),
        cmocka_unit_test_setup(a_stop_while_it_hangs, setup),
        cmocka_unit_test_setup(a_stop_of_many, setup),
        cmocka_unit_test_setup(a_stop_while_it_fails, setup)};

    return cmocka_run_group_tests_name("the thread of a sink", tests, NULL, NULL);
}
