/* URIs of sinks. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "said.h"
#include "sink/sink.h"

static struct sink sink;

static void right(const char *uri, const char *target, enum cmcwh_encoding encoding,
                  bool required) {
    assert_true(sink_parse(&sink, uri, true));
    assert_quiet();
    assert_string_equal(sink.target, target);
    assert_int_equal(sink.encoding, encoding);
    assert_int_equal(sink.required, required);
    assert_int_equal(sink.descriptor, -1);
    assert_true(sink.durable);
    assert_ptr_equal(sink.uri, uri);
    sink_free(&sink);
}

static void wrong(const char *uri, const char *why) {
    assert_false(sink_parse(&sink, uri, true));
    assert_true(outcome_of(errno) == OUTCOME_WRONG);
    assert_said(why);
}

static void each_medium(void **state) {
    (void)state;
    right("file:/var/log/mails", "/var/log/mails", CMCWH_ENCODE_JSON, true);
    right("file:a:b", "a:b", CMCWH_ENCODE_JSON, true);
    right("file:///x", "///x", CMCWH_ENCODE_JSON, true);
    right("stdout:", "", CMCWH_ENCODE_JSON, true);
    right("syslog:", "", CMCWH_ENCODE_RFC3164, true);
    right("syslog:/run/log", "/run/log", CMCWH_ENCODE_RFC3164, true);
    right("syslog+udp://log.example.jp:514", "log.example.jp:514", CMCWH_ENCODE_RFC5424, false);
    right("syslog+udp:[::1]:514", "[::1]:514", CMCWH_ENCODE_RFC5424, false);
    right("syslog+tcp://192.0.2.1:601", "192.0.2.1:601", CMCWH_ENCODE_RFC6587, true);
    right("serial:/dev/ttyS0", "/dev/ttyS0", CMCWH_ENCODE_JSON, true);
}

static void parameters(void **state) {
    (void)state;
    right("file:x?format=logfmt", "x", CMCWH_ENCODE_LOGFMT, true);
    right("file:x?format=binary&policy=besteffort", "x", CMCWH_ENCODE_BINARY, false);
    right("file:x?policy=besteffort&policy=required", "x", CMCWH_ENCODE_JSON, true);
    right("file:x?", "x", CMCWH_ENCODE_JSON, true);
    right("file:x?&&format=json&", "x", CMCWH_ENCODE_JSON, true);
    right("file:x?rotate=512k&keep=1", "x", CMCWH_ENCODE_JSON, true);
    right("file:x?rotate=1&keep=1000", "x", CMCWH_ENCODE_JSON, true);
    right("file:x?rotate=4294967296G", "x", CMCWH_ENCODE_JSON, true);
    right("stdout:?format=logfmt", "", CMCWH_ENCODE_LOGFMT, true);
    right("serial:/dev/x?baud=9600&format=binary", "/dev/x", CMCWH_ENCODE_BINARY, true);
    right("syslog:?format=logfmt", "", CMCWH_ENCODE_RFC3164, true);
    right("syslog+udp://h:1?policy=required&format=logfmt", "h:1", CMCWH_ENCODE_RFC5424, true);
    right("syslog+tcp://h:1?policy=besteffort", "h:1", CMCWH_ENCODE_RFC6587, false);
    right("syslog+tcp://h:1?max=65507", "h:1", CMCWH_ENCODE_RFC6587, true);
    assert_int_equal(sink.identity.max, 65507);
    right("syslog+udp://h:1?max=480", "h:1", CMCWH_ENCODE_RFC5424, false);
    assert_int_equal(sink.identity.max, 480);
    right("syslog:?max=240", "", CMCWH_ENCODE_RFC3164, true);
    assert_int_equal(sink.identity.max, 240);
    right("syslog:", "", CMCWH_ENCODE_RFC3164, true);
    assert_int_equal(sink.identity.max, 0); /* the encoding's own */
}

static bool passes(enum cmcwh_kind kind, unsigned status) {
    struct cmcwh_event event = {.kind = kind, .status = status};

    return cmcwh_filter_passes(&sink.only, &event);
}

/* Which events come: all, unless the URI says otherwise. */
static void only(void **state) {
    (void)state;
    right("file:x", "x", CMCWH_ENCODE_JSON, true);
    assert_true(passes(CMCWH_DELIVERIES, CMCWH_QUEUED) && passes(CMCWH_OTHER, 0));
    right("file:x?only=bounces,failed&format=logfmt", "x", CMCWH_ENCODE_LOGFMT, true);
    assert_true(passes(CMCWH_DELIVERIES, CMCWH_FAILED) && passes(CMCWH_BOUNCES, 1));
    assert_false(passes(CMCWH_DELIVERIES, CMCWH_QUEUED) || passes(CMCWH_OTHER, 0));
    right("file:x?only=bounces&only=other", "x", CMCWH_ENCODE_JSON, true);
    assert_false(passes(CMCWH_BOUNCES, 1));
    right("syslog+udp://h:1?only=bounces:2", "h:1", CMCWH_ENCODE_RFC5424, false);
    assert_true(passes(CMCWH_BOUNCES, 2) && !passes(CMCWH_BOUNCES, 1));
    right("serial:/dev/x?baud=9600&only=blocks", "/dev/x", CMCWH_ENCODE_JSON, true);
    assert_true(passes(CMCWH_BLOCKS, 0) && !passes(CMCWH_BOUNCES, 1));
    wrong("file:x?only", "'only': expected NAME=VALUE");
    wrong("file:x?only=", "'only=': expected deliveries, bounces, ");
    wrong("file:x?only=", "with commas between, not '' as word 1\n");
    wrong("file:x?only=failed,fialed,bounces", "commas between, not 'fialed' as word 2\n");
    wrong("file:x?only=bounces,", "commas between, not '' as word 2\n");
    wrong("file:x?only=bounces:12", "bounces:NUMBER (1 to 11, 99, 0: others), ");
    /* What was wrong before is not said again. */
    wrong("file:x?policy=often", "expected policy=required or besteffort\n");
}

static void no_medium(void **state) {
    static const char *const uris[] = {"",      "file",    "x",       ":",         "FILE:x",
                                       "fil:x", "files:x", "mqttx:x", "syslog+:x", " file:x"};

    (void)state;
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        wrong(uris[i], "expected file:, stdout:, syslog:, syslog+udp:, syslog+tcp:");
    }
}

static void wrong_targets(void **state) {
    static char longest[PATH_MAX + 16];

    (void)state;
    wrong("file:", "expected a path after the colon");
    wrong("file:?format=json", "expected a path after the colon");
    wrong("serial:", "expected a path after the colon");
    wrong("stdout:x", "expected nothing after 'stdout:'");
    wrong("syslog+udp:", "expected //HOST:PORT after the colon");
    wrong("syslog+udp://host", "expected //HOST:PORT after the colon");
    wrong("syslog+tcp://:601", "expected //HOST:PORT after the colon");
    wrong("syslog+tcp://host:65536", "expected //HOST:PORT after the colon");
    wrong("syslog+tcp://host:601/", "expected //HOST:PORT after the colon");
    memset(longest, 'x', sizeof longest - 1);
    memcpy(longest, "file:", 5);
    longest[5 + PATH_MAX - 1] = '\0';
    assert_true(sink_parse(&sink, longest, false));
    assert_false(sink.durable);
    sink_free(&sink);
    longest[5 + PATH_MAX - 1] = 'x';
    wrong(longest, "expected a shorter path");
}

static void wrong_parameters(void **state) {
    (void)state;
    wrong("file:x?format", "'format': expected NAME=VALUE");
    wrong("file:x?=json", "'=json': expected format, policy");
    wrong("file:x?format=", "expected format=json, logfmt or binary");
    wrong("file:x?format=xml", "expected format=json, logfmt or binary");
    wrong("file:x?format=JSON", "expected format=json, logfmt or binary");
    wrong("file:x? format=json", "expected format, policy");
    wrong("file:x?format=json?policy=required", "expected format=json");
    wrong("syslog:?format=json", "expected format=logfmt, as syslog always has it\n");
    wrong("file:x?policy=often", "expected policy=required or besteffort");
    wrong("file:x?rotate=0", "expected rotate=SIZE, such as 512k, 10M or 1G");
    wrong("file:x?rotate=", "expected rotate=SIZE");
    wrong("file:x?rotate=-1", "expected rotate=SIZE");
    wrong("file:x?rotate=1K", "expected rotate=SIZE");
    wrong("file:x?rotate=1kk", "expected rotate=SIZE");
    wrong("file:x?rotate=4294967297", "expected rotate=SIZE");
    wrong("file:x?rotate=18446744073709551617", "expected rotate=SIZE");
    wrong("file:x?keep=0", "expected keep=N, from 1 to 1000");
    wrong("file:x?keep=1001", "expected keep=N, from 1 to 1000");
    wrong("file:x?keep=", "expected keep=N, from 1 to 1000");
    wrong("file:x?keep=1 ", "expected keep=N, from 1 to 1000");
    wrong("file:x?keep=18446744073709551617", "expected keep=N, from 1 to 1000");
    wrong("serial:x?baud=4000001", "expected baud=RATE, such as 9600 or 115200");
    wrong("serial:x?baud=12345", "expected baud=RATE");
    wrong("serial:x?baud=fast", "expected baud=RATE, such as 9600 or 115200");
    wrong("serial:x?baud=", "expected baud=RATE");
    wrong("syslog:?max=239", "expected max=BYTES, from 240 to 65507");
    wrong("syslog:?max=0", "expected max=BYTES, from 240 to 65507");
    wrong("syslog:?max=1k", "expected max=BYTES, from 240 to 65507");
    wrong("syslog+udp://h:1?max=65508", "expected max=BYTES, from 240 to 65507");
    wrong("syslog+tcp://h:1?max=", "expected max=BYTES, from 240 to 65507");
    /* What is another medium's. */
    wrong("file:x?max=240", "expected format, policy, only, rotate, keep\n");
    wrong("file:x?baud=9600", "expected format, policy");
    wrong("stdout:?rotate=1M", "expected format, policy, only\n");
    wrong("serial:x?keep=1", "expected format, policy, only, baud\n");
    wrong("file:x?a_name_that_is_longer_than_any=1",
          "expected format, policy, only, rotate, keep\n");
}

/* An eighth of its length shares a sync, or it would become much longer. */
static void a_file_that_is_rotated(void **state) {
    static char bytes[SINK_BUFFER];
    char uri[512];

    (void)state;
    (void)snprintf(uri, sizeof uri, "file:%s?rotate=1M", file_of("", 0, 0600));
    assert_true(sink_parse(&sink, uri, true));
    assert_int_equal(sink.medium->open(&sink), 0);
    for (int group = 0; group < 2; group++) {
        assert_int_equal(sink.medium->write(&sink, bytes, sizeof bytes), 0);
        assert_int_equal(sink.medium->write(&sink, bytes, sizeof bytes), 1);
        assert_int_equal(sink.medium->sync(&sink), 0);
    }
    sink.medium->close(&sink);
    sink_free(&sink);
}

#if !CMCWH_HTTP || !CMCWH_MQTT

/* What a build was made without is named, without a password that is in it. */
static void not_built(void **state) {
    (void)state;
#if !CMCWH_HTTP
    wrong("https://me:secret@h/", "'https://***@h/': this build has no HTTP: build it with HTTP=1");
#endif
#if !CMCWH_MQTT
    wrong("mqtt://me:secret@h", "'mqtt://***@h': this build has no MQTT: build it with MQTT=1");
#endif
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
#if !CMCWH_HTTP || !CMCWH_MQTT
        cmocka_unit_test(not_built),
#endif
        cmocka_unit_test(each_medium),
        cmocka_unit_test(parameters),
        cmocka_unit_test(only),
        cmocka_unit_test(no_medium),
        cmocka_unit_test(wrong_targets),
        cmocka_unit_test(wrong_parameters),
        cmocka_unit_test(a_file_that_is_rotated)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
