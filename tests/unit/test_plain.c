/* What is written several bytes at a time is what a way that looks at one after the other writes:
 * odd bytes at every place of short texts, at every alignment; numbers and times; frames. */
#include "cmcwh.c"

#include "support.h"

#include <stdio.h>
#include <time.h>

enum { GUARD = 32, LONGEST = 40 };

/* No byte behind the room that was asked for may be written. */
static char out[CMCWH_ENCODED_MAX + GUARD];
static struct cmcwh_record record;

/* Marks of direction. */
static const char embedding[] = {'\xE2', '\x80', '\xAE', 0},
                  isolate[] = {'\xE2', '\x81', '\xA6', 0};

/* What fast ways must not take for harmless, or for odd; the last ones are cut characters, which no
 * record that was checked has: only at the end of a text is it known what they come out as. */
static const char *const units[] = {"\"",
                                    "\\",
                                    "/",
                                    "=",
                                    " ",
                                    "!",
                                    "#",
                                    "[",
                                    "]",
                                    "~",
                                    "\x01",
                                    "\x08",
                                    "\t",
                                    "\n",
                                    "\v",
                                    "\f",
                                    "\r",
                                    "\x1b",
                                    "\x1f",
                                    "\x7f",
                                    "\xc2\x80",
                                    "\xc2\x9f",
                                    "\xc2\xa0",
                                    "\xc3\xa9",
                                    "\xdf\xbf",
                                    "\xe0\xa4\x85",
                                    "\xe2\x80\x8d",
                                    "\xe2\x80\x8e",
                                    "\xe2\x80\x8f",
                                    "\xe2\x80\xa8",
                                    embedding,
                                    "\xe2\x80\xaf",
                                    "\xe2\x81\xa5",
                                    isolate,
                                    "\xe2\x81\xa9",
                                    "\xe2\x82\xac",
                                    "\xe3\x83\xa1",
                                    "\xed\x9f\xbf",
                                    "\xef\xbb\xbf",
                                    "\xf0\x9f\x98\x80",
                                    "", /* a zero byte */
                                    "\xc2",
                                    "\xe2",
                                    "\xe2\x80",
                                    "\xe3\x83",
                                    "\xf0\x9f\x98"};
enum { UNITS = sizeof units / sizeof *units, BROKEN = 5 };

static char *add_unit(char *text, const char *unit) {
    size_t length = strlen(unit);

    memcpy(text, unit, length + 1);
    return text + (length == 0 ? 1 : length);
}

/* A record with these two texts, and the numbers. */
static void make_record(struct cmcwh_text reason, struct cmcwh_text subject) {
    memset(&record, 0, sizeof record);
    memcpy(record.bytes, CMCWH_RECORD_MAGIC, 4);
    record.bytes[AT_VERSION] = CMCWH_RECORD_VERSION;
    record.bytes[AT_KIND] = CMCWH_DELIVERIES;
    record_number(&record, 1, 1);
    field_set_length(&record, CMCWH_REASON, reason.length);
    field_set_length(&record, CMCWH_SUBJECT, subject.length);
    memcpy(record.bytes + CMCWH_RECORD_HEADER, reason.data, reason.length);
    memcpy(record.bytes + CMCWH_RECORD_HEADER + reason.length, subject.data, subject.length);
    put16(record.bytes + AT_LENGTH,
          CMCWH_RECORD_HEADER + reason.length + subject.length + CMCWH_RECORD_CRC);
    record_seal(&record);
}

/* Into `out`, ended by a zero. */
static size_t encode(enum cmcwh_encoding encoding) {
    size_t length;

    memset(out + CMCWH_ENCODED_MAX, 0x5A, GUARD);
    length = cmcwh_encode(&record, encoding, NULL, out);
    assert_true(length < CMCWH_ENCODED_MAX);
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(out[CMCWH_ENCODED_MAX + i], 0x5A);
    }
    out[length] = '\0';
    return length;
}

/* Line separators, and what changes the direction of what follows. */
static bool turns(unsigned code) {
    return code == 0x2028 || code == 0x2029 || code == 0x200E || code == 0x200F ||
           (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

/* The character at `in` as it must come out. Returns how many bytes it has. */
static size_t put_plainly(char *to, const unsigned char *in, size_t length) {
    static const char controls[] = "\b\t\n\f\r", letters[] = "btnfr";
    const char *control = in[0] == 0 ? NULL : strchr(controls, in[0]);
    unsigned wide = length < 3 ? 0 : (in[0] & 0xFu) << 12 | (in[1] & 0x3Fu) << 6 | (in[2] & 0x3Fu);

    if (control != NULL) {
        (void)sprintf(to, "\\%c", letters[control - controls]);
    } else if (in[0] == '"' || in[0] == '\\') {
        (void)sprintf(to, "\\%c", in[0]);
    } else if (in[0] < 0x20 || in[0] == 0x7F) {
        (void)sprintf(to, "\\u%04x", in[0]);
    } else if (in[0] == 0xC2 && length > 1 && in[1] < 0xA0) {
        (void)sprintf(to, "\\u%04x", in[1]);
        return 2;
    } else if (in[0] == 0xE2 && turns(wide)) {
        (void)sprintf(to, "\\u%04x", wide);
        return 3;
    } else {
        (void)sprintf(to, "%c", in[0]);
    }
    return 1;
}

/* The text between quotes. */
static void escape(char *escaped, struct cmcwh_text text) {
    const unsigned char *in = (const unsigned char *)text.data;

    *escaped = '\0';
    for (size_t i = 0; i < text.length;) {
        i += put_plainly(escaped, in + i, text.length - i);
        escaped += strlen(escaped);
    }
}

static bool quotes_needed(struct cmcwh_text text) {
    bool needed = text.length == 0;

    for (size_t i = 0; i < text.length; i++) {
        needed = needed || (unsigned char)text.data[i] <= ' ' ||
                 strchr("\"\\=\x7f\xc2\xe2", text.data[i]) != NULL;
    }
    return needed;
}

static void assert_said(const char *said) {
    if (strstr(out, said) == NULL) {
        fail_msg("expected %s\nin %s", said, out);
    }
}

/* The subject behind a reason of so many bytes. */
static void check_text(struct cmcwh_text subject, size_t before) {
    static char escaped[6 * CMCWH_RECORD_SIZE], said[sizeof escaped + 64];
    static const char reason[] = "0123456";

    make_record((struct cmcwh_text){reason, before}, subject);
    escape(escaped, subject);
    (void)encode(CMCWH_ENCODE_JSON);
    (void)sprintf(said,
                  "\"returnPath\":\"\",\"subject\":\"%s\",\"reason\":\"%.*s\",\"sourceIp\":\"\"",
                  escaped, (int)before, reason);
    assert_said(said);
    (void)encode(CMCWH_ENCODE_LOGFMT);
    (void)sprintf(said,
                  quotes_needed(subject) ? " subject=\"%s\" id=" : " subject=%s id=", escaped);
    assert_said(said);
}

/* Each byte in each of eight lanes. */
static void every_byte(void **state) {
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool is_bare = byte >= '$' && byte < 0x7F && byte != '=' && byte != '\\';

        for (unsigned lane = 0; lane < LANES; lane++) {
            lanes word = (EACH('a') & ~((lanes)0xFF << 8 * lane)) | (lanes)byte << 8 * lane;
            lanes odd = not_plain(word), quotable = not_fine(word, &bare_ascii);

            assert_int_equal(odd == 0, plain_byte(byte));
            assert_int_equal(quotable == 0, is_bare);
            assert_true(odd == 0 || lowest_lane(odd) == lane);
            assert_true(quotable == 0 || lowest_lane(quotable) == lane);
            assert_int_equal(has_zero(word), byte == 0);
        }
    }
}

/* One odd unit at every place. */
static void odd_units(void **state) {
    char text[2 * LONGEST];

    (void)state;
    for (size_t unit = 0; unit < UNITS; unit++) {
        for (size_t before = 0; before <= LONGEST; before++) {
            for (size_t behind = 0; before + behind <= LONGEST; behind++) {
                char *end;

                memset(text, 'a', sizeof text);
                end = add_unit(text + before, units[unit]);
                *end = 'a';
                check_text((struct cmcwh_text){text, (size_t)(end - text) + behind},
                           (before + behind) % 8);
            }
        }
    }
}

/* Many of them. */
static void mixed_units(void **state) {
    uint64_t random = 4711;
    char text[5 * LONGEST];

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        char *end = text;

        for (uint32_t left = below(&random, LONGEST); left > 0; left--) {
            end = below(&random, 3) == 0 ? add_unit(end, units[below(&random, UNITS - BROKEN)])
                                         : add_unit(end, "x");
        }
        end = add_unit(end, units[UNITS - 1 - below(&random, BROKEN)]);
        check_text((struct cmcwh_text){text, (size_t)(end - text)}, below(&random, 8));
    }
}

/* Whole records of one unit: what comes out is as long as it can be. */
static void full_records(void **state) {
    static char text[CMCWH_RECORD_SIZE];

    (void)state;
    for (size_t unit = 0; unit < UNITS; unit++) {
        char *end = text;

        while (end + 4 <= text + CMCWH_RECORD_TEXT) {
            end = add_unit(end, units[unit]);
        }
        check_text((struct cmcwh_text){text, (size_t)(end - text)}, 0);
    }
}

static void numbers(void **state) {
    uint64_t random = 42;

    (void)state;
    make_record((struct cmcwh_text){"", 0}, (struct cmcwh_text){"", 0});
    for (unsigned round = 0; round < 20000; round++) {
        uint64_t seq = next_random(&random) >> below(&random, 64), id = next_random(&random);
        uint64_t received = next_random(&random) % UINT64_C(253402300800000);
        time_t seconds = (time_t)(received / 1000);
        char expected[128], day[32];

        record_number(&record, seq, 1);
        put64(record.bytes + AT_ID, id);
        put64(record.bytes + AT_RECEIVED, received);
        (void)encode(CMCWH_ENCODE_JSON);
        (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", gmtime(&seconds));
        (void)sprintf(expected, "{\"seq\":%llu,\"id\":\"%016llx\",\"received\":\"%s.%03uZ\",",
                      (unsigned long long)seq, (unsigned long long)id, day,
                      (unsigned)(received % 1000));
        if (sizeof seconds >= 8 || received < UINT64_C(2147483648000)) {
            assert_memory_equal(out, expected, strlen(expected));
        }
    }
}

/* A frame, one byte after the other. */
static size_t frame(uint8_t *framed, const uint8_t *bytes, size_t length) {
    size_t code = 0, used = 1;

    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0) {
            framed[used++] = bytes[i];
        }
        if (bytes[i] == 0 || used - code == 255) {
            framed[code] = (uint8_t)(used - code);
            code = used++;
        }
    }
    framed[code] = (uint8_t)(used - code);
    framed[used++] = 0;
    return used;
}

/* Zero bytes far from each other, near, and so that runs are just as long as they may be. */
static void frames(void **state) {
    static char text[CMCWH_RECORD_SIZE];
    static uint8_t framed[CMCWH_ENCODED_MAX];
    uint64_t random = 99;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        uint32_t gap = 1 + below(&random, round % 3 == 0 ? 10 : 600), start = below(&random, 260);
        size_t length = below(&random, CMCWH_RECORD_TEXT + 1), used;

        for (size_t i = 0; i < length; i++) {
            bool zero =
                i >= start && (round % 2 == 0 ? below(&random, gap) == 0 : (i - start) % gap == 0);

            text[i] = (char)(zero ? 0 : 1 + below(&random, 255));
        }
        make_record((struct cmcwh_text){"", 0}, (struct cmcwh_text){text, length});
        used = frame(framed, record.bytes, record_length(&record));
        assert_int_equal(encode(CMCWH_ENCODE_BINARY), used);
        assert_memory_equal(out, framed, used);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte),   cmocka_unit_test(odd_units), cmocka_unit_test(mixed_units),
        cmocka_unit_test(full_records), cmocka_unit_test(numbers),   cmocka_unit_test(frames)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
