/* The snapshot as metrics and as JSON: what stands there, and that all of it fits whatever it is
 * of. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "admin/metrics.h"
#include "admin/status_json.h"
#include "said.h"

enum { ROOM = 65536, LONGEST = 4000 };

static struct status status;
static char text[ROOM + 1];

static void write_metrics(bool openmetrics) {
    struct writer writer = {.bytes = text, .size = ROOM};

    metrics_write(&writer, &status, openmetrics);
    assert_false(writer.full);
    text[writer.used] = '\0';
}

static void write_json(void) {
    struct writer writer = {.bytes = text, .size = ROOM};

    status_json_write(&writer, &status);
    assert_false(writer.full);
    text[writer.used] = '\0';
}

static void assert_has(const char *part) {
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, text);
    }
}

static void assert_has_not(const char *part) {
    if (strstr(text, part) != NULL) {
        fail_msg("'%s' is in '%s'", part, text);
    }
}

static int setup(void **state) {
    (void)state;
    memset(&status, 0, sizeof status);
    status.now = 1700003600123;
    status.started = 1700000000000;
    status.ring.capacity = 1000;
    status.sinks[0] = (struct status_sink){.uri = "file:/var/log/a?format=json",
                                           .reader = 1,
                                           .required = true,
                                           .state = STATUS_WORKS,
                                           .delivered = 6,
                                           .last_success = 1700003600001};
    status.sinks[1] = (struct status_sink){.uri = "syslog:",
                                           .reader = 0,
                                           .state = STATUS_FAILS,
                                           .failures = 2,
                                           .rejected = 8,
                                           .last_error_at = 1700003600000,
                                           .last_error = "\x1B[2J\"no\"\n"};
    status.sink_count = 2;
    status.ring.behind[0] = 7;
    status.ring.lost[0] = 3;
    status.ring.behind[1] = 1;
    return 0;
}

/* ---- Metrics ---- */

static void values(void **state) {
    (void)state;
    status.server.answers[0] = 5;
    status.server.answers[CMCWH_STATUSES - 1] = 2;
    status.server.errors[3] = 4;
    status.events.totals[CMCWH_COUNT_BOUNCES + 2] = 8;
    status.events.totals[CMCWH_COUNT_BOUNCES + 12] = 1;
    status.events.totals[CMCWH_COUNT_BLOCKS] = 9;
    status.events.totals[CMCWH_COUNT_REPEATS] = 10;
    status.events.last_event = 1700000000050;
    status.door.queued = 11;
    status.door.handshakes_bad = 12;
    write_metrics(false);
    assert_has("cmcwh_build_info{version=\"" CMCWH_VERSION "\"} 1\n");
    assert_has("\nprocess_start_time_seconds 1700000000.0\n");
    assert_has("\ncmcwh_http_requests_total{code=\"200\"} 5\n");
    assert_has("\ncmcwh_http_requests_total{code=\"other\"} 2\n");
    assert_has("\ncmcwh_request_errors_total{error=\"missing_field\"} 4\n");
    assert_has("\ncmcwh_events_total{type=\"bounces\",status=\"unknown user\"} 8\n");
    assert_has("\ncmcwh_events_total{type=\"bounces\",status=\"other permanent error\"} 1\n");
    assert_has("\ncmcwh_events_total{type=\"blocks\",status=\"\"} 9\n");
    assert_has("\ncmcwh_events_repeated_total 10\n");
    assert_has("\ncmcwh_last_event_timestamp_seconds 1700000000.05\n");
    assert_has("\ncmcwh_last_request_timestamp_seconds 0.0\n");
    assert_has("\ncmcwh_ring_capacity_records 1000\n");
    assert_has("\ncmcwh_connections{state=\"queued\"} 11\n");
    assert_has("\ncmcwh_tls_handshakes_total{result=\"bad\"} 12\n");
}

/* The one that fails is not the first reader. */
static void sinks(void **state) {
    (void)state;
    write_metrics(false);
    assert_has("\ncmcwh_sink_up{sink=\"file:/var/log/a\"} 1\ncmcwh_sink_up{sink=\"syslog:\"} 0\n");
    assert_has("\ncmcwh_sink_required{sink=\"file:/var/log/a\"} 1\n");
    assert_has("\ncmcwh_sink_behind_records{sink=\"file:/var/log/a\"} 1\n"
               "cmcwh_sink_behind_records{sink=\"syslog:\"} 7\n");
    assert_has("\ncmcwh_sink_lost_records_total{sink=\"syslog:\"} 3\n");
    assert_has("\ncmcwh_sink_rejected_records_total{sink=\"syslog:\"} 8\n");
    assert_has("\ncmcwh_sink_failures_total{sink=\"syslog:\"} 2\n");
    assert_has("\ncmcwh_sink_last_success_timestamp_seconds{sink=\"file:/var/log/a\"} "
               "1700003600.001\n");
    status.sinks[0].state = STATUS_OPENING;
    status.sinks[1].state = STATUS_HANGS;
    write_metrics(false);
    assert_has_not("cmcwh_sink_up{sink=\"file:/var/log/a\"} 1");
    assert_has_not("cmcwh_sink_up{sink=\"syslog:\"} 1");
}

/* Buckets are of what took so long at most. */
static void histogram(void **state) {
    (void)state;
    status.sync_time = (struct timing){.count = 6, .sum_us = 12345678};
    status.sync_time.buckets[0] = 1;
    status.sync_time.buckets[1] = 2;
    status.sync_time.buckets[TIMING_BUCKETS - 1] = 3;
    write_metrics(false);
    assert_has("\ncmcwh_ring_sync_seconds_bucket{le=\"0.0001\"} 1\n");
    assert_has("_bucket{le=\"10.0\"} 3\ncmcwh_ring_sync_seconds_bucket{le=\"+Inf\"} 6\n"
               "cmcwh_ring_sync_seconds_sum 12.345678\ncmcwh_ring_sync_seconds_count 6\n");
}

/* What the process before this one has counted is no rise of its counters. */
static void found_at_start(void **state) {
    (void)state;
    status.events.totals[CMCWH_QUEUED] = 100;
    status.found[CMCWH_QUEUED] = 98;
    status.events.totals[CMCWH_COUNT_REPEATS] = status.found[CMCWH_COUNT_REPEATS] = 7;
    write_metrics(false);
    assert_has("\ncmcwh_events_total{type=\"deliveries\",status=\"queued\"} 2\n");
    assert_has("\ncmcwh_events_repeated_total 0\n");
}

/* Without TLS there is no certificate, not one that ended in 1970; a reload that never was has not
 * failed. */
static void what_there_is_not(void **state) {
    (void)state;
    write_metrics(false);
    assert_has_not("\ncmcwh_tls_certificate_expiry_timestamp_seconds");
    assert_has("\ncmcwh_config_last_reload_successful 1\n");
    status.certificate_end = 1700000000000;
    status.reload.time = 1;
    write_metrics(false);
    assert_has("\ncmcwh_tls_certificate_expiry_timestamp_seconds 1700000000.0\n");
    assert_has("\ncmcwh_config_last_reload_successful 0\n");
}

static void two_formats(void **state) {
    (void)state;
    write_metrics(false);
    assert_has("# TYPE cmcwh_build_info gauge\n");
    assert_has("# TYPE cmcwh_http_requests_total counter\n");
    assert_has_not("# UNIT");
    assert_has_not("# EOF");
    write_metrics(true);
    assert_has("# TYPE cmcwh_build info\n");
    assert_has("# TYPE cmcwh_http_requests counter\n");
    assert_has("# UNIT cmcwh_sink_lost_records records\n");
    assert_has("\ncmcwh_sink_lost_records_total{sink=\"syslog:\"} 3\n");
    assert_string_equal(strstr(text, "# EOF"), "# EOF\n");
}

static void label(void **state) {
    (void)state;
    status.sinks[0].uri = "file:a\"b\\c\nd?x=\"";
    write_metrics(true);
    assert_has("\ncmcwh_sink_up{sink=\"file:a\\\"b\\\\c\\\\u000ad\"} 1\n");
}

/* ---- As much as there can be ---- */

static void fill_texts(char byte) {
    static char uris[CMCWH_READERS_MAX][LONGEST + 1];

    for (unsigned i = 0; i < CMCWH_READERS_MAX; i++) {
        struct status_sink *sink = &status.sinks[i];

        memcpy(uris[i], "file:", 5);
        memset(uris[i] + 5, byte, LONGEST - 5);
        *sink = (struct status_sink){.uri = uris[i],
                                     .reader = (int)i,
                                     .required = i % 2 == 0,
                                     .state = STATUS_FAILS,
                                     .delivered = UINT64_MAX,
                                     .failures = UINT64_MAX,
                                     .rejected = UINT64_MAX,
                                     .last_rejected = 1700000000999,
                                     .next_try = 1700000000999,
                                     .last_success = 1700000000999,
                                     .failing_since = 1700000000999,
                                     .last_loss = 1700000000999,
                                     .last_error_at = 1700000000999};
        memset(sink->trouble, byte, sizeof sink->trouble - 1);
        memset(sink->last_error, byte, sizeof sink->last_error - 1);
    }
    status.sink_count = CMCWH_READERS_MAX;
    for (unsigned i = 0; i < REFUSALS_LAST; i++) {
        struct status_refusal *refusal = &status.refusals[i];

        *refusal = (struct status_refusal){.time = 1700000000999,
                                           .times = UINT32_MAX,
                                           .status = 422,
                                           .offset = UINT64_MAX,
                                           .has_offset = true};
        memset(refusal->peer, byte, sizeof refusal->peer - 1);
        memset(refusal->path, byte, sizeof refusal->path - 1);
        memset(refusal->error, byte, sizeof refusal->error - 1);
        memset(refusal->detail, byte, sizeof refusal->detail - 1);
        memset(refusal->field, byte, sizeof refusal->field - 1);
    }
    status.refusal_count = REFUSALS_LAST;
    memset(status.reload.said, byte, sizeof status.reload.said - 1);
}

/* Everything is at its most and wrong at once. */
static void fill(char byte) {
    memset(&status.server, 0xFF, sizeof status.server);
    memset(&status.door, 0xFF, sizeof status.door);
    memset(&status.events.totals, 0xFF, sizeof status.events.totals);
    memset(&status.events.hours, 0xFF, sizeof status.events.hours);
    memset(&status.request_time, 0xFF, sizeof status.request_time);
    memset(&status.sync_time, 0xFF, sizeof status.sync_time);
    memset(&status.ring.lost, 0xFF, sizeof status.ring.lost);
    status.now = 1700003600123;
    for (uint32_t i = 0; i < CMCWH_HOURS; i++) {
        uint32_t hour = (uint32_t)(status.now / 3600000) - i;

        status.events.hours[hour % CMCWH_HOURS].hour = hour;
    }
    for (unsigned i = 0; i < CMCWH_READERS_MAX; i++) {
        status.ring.behind[i] = status.ring.capacity = status.ring.in_use = UINT32_MAX;
    }
    status.events.last_event = status.last_unauthorized = status.last_unavailable = 1700000000999;
    status.server.last_request = status.server.last_ok = 1700000000000;
    status.certificate_end = 1700000000999;
    status.ring.fulls = status.sync_failures = UINT64_MAX;
    status.storage_fails = status.confirms = status.ring_in_file = true;
    status.quiet_after = 1000;
    status.reload.time = 1;
    fill_texts(byte);
}

/* What reads webhooks knows JSON: it is, and no webhook. */
static void assert_json(void) {
    static struct fixture fixture;

    fixture_init(&fixture, 1, false);
    assert_int_equal(feed(&fixture, CMCWH_JSON, text, strlen(text), strlen(text)),
                     CMCWH_ERR_MISSING);
    cmcwh_parser_abort(&fixture.parser);
}

/* No series is there twice. */
static void assert_unique(void) {
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        char key[1024];
        size_t length = line[0] == '#' ? strcspn(line, "\n") : strcspn(line, "}") + 1;

        length = line[0] == '#' || length < strcspn(line, "\n") ? length : strcspn(line, " ");
        assert_true(length + 3 < sizeof key);
        (void)snprintf(key, sizeof key, "\n%.*s%s", (int)length, line, line[0] == '#' ? "\n" : " ");
        if (strstr(line, key) != NULL) {
            fail_msg("twice: %s", key);
        }
    }
}

/* Names of sinks that differ only where they are cut are told apart by their numbers. */
static void all_fits(void **state) {
    static const char bytes[] = "a\"\x01\xFF";

    (void)state;
    for (unsigned i = 0; bytes[i] != '\0'; i++) {
        fill(bytes[i]);
        write_metrics(true);
        assert_has("...#7\"} ");
        assert_unique();
        print_message("metrics: %zu bytes", strlen(text));
        write_json();
        assert_json();
        print_message(", JSON: %zu\n", strlen(text));
    }
}

/* ---- JSON ---- */

static void json(void **state) {
    (void)state;
    status.server.answers[0] = 5;
    status.events.totals[CMCWH_COUNT_BOUNCES + 12] = 1;
    status.events.at_least = true;
    write_json();
    assert_json();
    assert_has("{\"time\":\"2023-11-14T23:13:20Z\",\"version\":\"" CMCWH_VERSION "\",");
    assert_has("\"ready\":true,\"not_ready\":\"\",\"verdict\":{\"colour\":\"");
    assert_has("\"answers\":{\"200\":5,\"400\":0,");
    assert_has("\"last\":null,");
    assert_has("\"bounces\":{\"99\":1},\"blocks\":0,");
    assert_has("{\"uri\":\"syslog:\",\"required\":false,\"state\":\"fails\",\"behind\":7,");
    assert_has("\"last_error\":\"\\u001b[2J\\\"no\\\"\\u000a\"}");
    assert_has("\"refusals\":[],");
}

/* The last 48, oldest first; what the places still hold of earlier ones, or of a clock that was
 * wrong, is not told. */
static void json_hours(void **state) {
    uint32_t now = (uint32_t)(status.now / 3600000);
    const char *first, *last;

    (void)state;
    status.events.hours[now % CMCWH_HOURS] = (struct cmcwh_hour){now, {0, 1}};
    status.events.hours[(now - 1) % CMCWH_HOURS] = (struct cmcwh_hour){now - 1, {0, 2}};
    status.events.hours[(now - 2) % CMCWH_HOURS] = (struct cmcwh_hour){now - 50, {0, 3}};
    status.events.hours[(now - 3) % CMCWH_HOURS] = (struct cmcwh_hour){now + 45, {0, 4}};
    write_json();
    assert_has("\"hours\":[{\"begin\":\"2023-11-13T00:00:00Z\",");
    assert_has_not("\"queued\":3");
    assert_has_not("\"queued\":4");
    first = strstr(
        text, "{\"begin\":\"2023-11-14T22:00:00Z\",\"deliveries\":{\"unknown\":0,\"queued\":2,");
    last = strstr(
        text, "{\"begin\":\"2023-11-14T23:00:00Z\",\"deliveries\":{\"unknown\":0,\"queued\":1,");
    assert_non_null(first);
    assert_true(last > first);
    status.now = 0; /* no clock yet */
    write_json();
    assert_has("\"hours\":[],");
}

static void json_refusal(void **state) {
    (void)state;
    status.refusals[0] = (struct status_refusal){.time = 1700000000999,
                                                 .times = 2,
                                                 .status = 404,
                                                 .peer = "192.0.2.1",
                                                 .path = "/<script>\"\xE2\x80\x8F",
                                                 .error = "not_found"};
    status.refusal_count = 1;
    write_json();
    assert_json();
    assert_has("\"refusals\":[{\"time\":\"2023-11-14T22:13:20Z\",\"times\":2,\"status\":404,"
               "\"peer\":\"192.0.2.1\",\"path\":\"/<script>\\\"\\u200f\",\"error\":\"not_found\","
               "\"detail\":\"\",\"field\":\"\"}],");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(values, setup),
                                       cmocka_unit_test_setup(sinks, setup),
                                       cmocka_unit_test_setup(histogram, setup),
                                       cmocka_unit_test_setup(found_at_start, setup),
                                       cmocka_unit_test_setup(what_there_is_not, setup),
                                       cmocka_unit_test_setup(two_formats, setup),
                                       cmocka_unit_test_setup(label, setup),
                                       cmocka_unit_test_setup(all_fits, setup),
                                       cmocka_unit_test_setup(json, setup),
                                       cmocka_unit_test_setup(json_hours, setup),
                                       cmocka_unit_test_setup(json_refusal, setup)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
