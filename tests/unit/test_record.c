/* The record: its bytes, its check, who gives way, what identifies an event. */
#include "cmcwh.c"

#include "support.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static struct fixture f;

/* CRC-32 bit by bit, to compare the tables with. */
static uint32_t crc_bitwise(const uint8_t *bytes, size_t length) {
    uint32_t crc = 0xFFFFFFFF;

    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
        }
    }
    return ~crc;
}

static struct cmcwh_draft draft;

/* Commits what was drafted, and reads it back. */
static struct cmcwh_record sealed(const char *composition) {
    struct cmcwh_record *built = draft.record, *place;
    struct cmcwh_batch batch;

    draft_close(&draft);
    fixture_init(&f, 2, false);
    batch_begin(&batch, &f.ring);
    place = batch_add(&batch);
    assert_non_null(place);
    *place = *built;
    assert_int_equal(batch_commit(&batch, text_of(composition), (struct cmcwh_text){0}), 1);
    return take(&f);
}

static struct cmcwh_record sample(void) {
    struct cmcwh_record record;

    draft_begin(&draft, &record, CMCWH_BOUNCES);
    draft_text(&draft, CMCWH_TO, text_of("a@b"));
    draft_text(&draft, CMCWH_STATUS, text_of("2"));
    draft_text(&draft, CMCWH_EVENT_TYPE, text_of("bounces"));
    return sealed("pro");
}

/* The layout of cmcwh.h, byte by byte; CRC and id come from another program (zlib's crc32 and a
 * MurmurHash64A written in Python). */
static void layout(void **state) {
    static const uint8_t golden[] = {'C',  'M',  'C',  'R',  1,    CMCWH_BOUNCES,
                                     2,    0, /* magic, version, kind, status */
                                     1,    0,    0,    0,    0,    0,
                                     0,    0, /* seq */
                                     1,    0,    0,    0,    0,    0,
                                     0,    0, /* batch */
                                     1,    0,    0,    0,    98,   0,
                                     0,    0, /* batch size, length, truncated */
                                     0x88, 0xe7, 0x4e, 0xe7, 0x85, 0x01,
                                     0,    0, /* received */
                                     0,    0,    0,    0,    0,    0,
                                     0,    0, /* id, compared below */
                                     0,    0,    0,    0,    0,    0,
                                     0,    0, /* reason ... created */
                                     0,    0,    0,    0,    0,    0,
                                     0,    0, /* subject ... from */
                                     3,    0,    0,    0,    1,    0,
                                     0,    0, /* to, senderIp, status, members */
                                     7,    0,    3,    0,    0,    0,
                                     0,    0, /* type, composition; reserved */
                                     'a',  '@',  'b',  '2',  'b',  'o',
                                     'u',  'n',  'c',  'e',  's',  'p',
                                     'r',  'o'};
    struct cmcwh_record record = sample();
    uint32_t crc = crc_bitwise(record.bytes, sizeof golden);

    (void)state;
    assert_int_equal(sizeof golden, 94);
    assert_memory_equal(record.bytes, golden, 40);
    assert_memory_equal(record.bytes + 48, golden + 48, sizeof golden - 48);
    assert_int_equal(event_of(&record).id, UINT64_C(0xd717889486ed54e9));
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(record.bytes[40 + i], event_of(&record).id >> 8 * i & 0xFF);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(record.bytes[94 + i], crc >> 8 * i & 0xFF);
    }
    for (size_t i = 98; i < CMCWH_RECORD_SIZE; i++) {
        assert_int_equal(record.bytes[i], 0);
    }
}

static void crc_of_every_length(void **state) {
    (void)state;
    for (size_t length = 1; length < CMCWH_RECORD_TEXT; length += 3) {
        char text[CMCWH_RECORD_TEXT + 1];
        struct cmcwh_record record;
        size_t used;

        for (size_t i = 0; i < length; i++) {
            text[i] = (char)(' ' + (i * 7 + length) % 90);
        }
        text[length] = '\0';
        draft_begin(&draft, &record, CMCWH_OTHER);
        draft_text(&draft, CMCWH_REASON, text_of(text));
        record = sealed("");
        used = record_length(&record);
        assert_int_equal(used, CMCWH_RECORD_HEADER + length + CMCWH_RECORD_CRC);
        assert_int_equal(crc_bitwise(record.bytes, used - 4),
                         record.bytes[used - 4] | (uint32_t)record.bytes[used - 3] << 8 |
                             (uint32_t)record.bytes[used - 2] << 16 |
                             (uint32_t)record.bytes[used - 1] << 24);
    }
}

static void every_flipped_bit_is_seen(void **state) {
    struct cmcwh_record record = sample();

    (void)state;
    assert_int_equal(cmcwh_record_check(&record), CMCWH_OK);
    for (size_t bit = 0; bit < 8 * record_length(&record); bit++) {
        struct cmcwh_record flipped = record;

        flipped.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(cmcwh_record_check(&flipped), CMCWH_ERR_RECORD);
    }
}

/* Texts that no record of ours has, under a CRC that is right. */
static void texts_are_checked(void **state) {
    static const struct {
        enum cmcwh_field field;
        const char *text;
        int result;
    } cases[] = {{CMCWH_TO, "\xe3\x81\x82", CMCWH_OK},
                 {CMCWH_TO, "a\xff", CMCWH_ERR_RECORD},
                 {CMCWH_TO, "\xe3\x81", CMCWH_ERR_RECORD},
                 {CMCWH_TO, "\xed\xa0\x80", CMCWH_ERR_RECORD},
                 {CMCWH_TO, "\xc0\x80", CMCWH_ERR_RECORD},
                 {CMCWH_MEMBERS, "\"a\":1\n\"b\\\"\":\"\"\n", CMCWH_OK},
                 {CMCWH_MEMBERS, "\"a\":1", CMCWH_ERR_RECORD},
                 {CMCWH_MEMBERS, "\"a\":1\n\n", CMCWH_ERR_RECORD},
                 {CMCWH_MEMBERS, "\"a\":\n", CMCWH_ERR_RECORD},
                 {CMCWH_MEMBERS, "\"a\"\n", CMCWH_ERR_RECORD},
                 {CMCWH_MEMBERS, "\"a:1\n", CMCWH_ERR_RECORD},
                 {CMCWH_MEMBERS, "\"a\\", CMCWH_ERR_RECORD},
                 {CMCWH_MEMBERS, "a\":1\n", CMCWH_ERR_RECORD},
                 {CMCWH_MEMBERS, "\n", CMCWH_ERR_RECORD}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char plain[CMCWH_RECORD_TEXT];
        struct cmcwh_record record;
        size_t used, length = strlen(cases[i].text);
        uint32_t crc;

        memset(plain, 'x', length);
        draft_begin(&draft, &record, CMCWH_OTHER);
        draft_text(&draft, CMCWH_TO, (struct cmcwh_text){plain, length});
        record = sealed("");
        record.bytes[48 + 2 * CMCWH_TO] = 0;
        record.bytes[48 + 2 * cases[i].field] = (uint8_t)length;
        memcpy(record.bytes + CMCWH_RECORD_HEADER, cases[i].text, length);
        used = record_length(&record) - CMCWH_RECORD_CRC;
        crc = crc_bitwise(record.bytes, used);
        for (unsigned byte = 0; byte < 4; byte++) {
            record.bytes[used + byte] = (uint8_t)(crc >> 8 * byte);
        }
        assert_int_equal(cmcwh_record_check(&record), cases[i].result);
    }
}

/* A field of each rank, from the first that gives way to the last. */
static const enum cmcwh_field ranks[] = {
    CMCWH_REASON,     CMCWH_SUBJECT,     CMCWH_API_DATA,  CMCWH_SERVER_COMPOSITION,
    CMCWH_EVENT_TYPE, CMCWH_SOURCE_IP,   CMCWH_SENDER_IP, CMCWH_CREATED,
    CMCWH_STATUS,     CMCWH_RETURN_PATH, CMCWH_FROM,      CMCWH_TO,
    CMCWH_MESSAGE_ID};

enum { RANKS = sizeof ranks / sizeof *ranks };

/* Texts of `length` bytes in all fields, put in an order that `shuffle` chooses. */
static struct cmcwh_record filled(size_t length, unsigned shuffle) {
    static char text[CMCWH_RECORD_SIZE + 1];
    struct cmcwh_record record;

    draft_begin(&draft, &record, CMCWH_OTHER);
    for (unsigned i = 0; i < RANKS; i++) {
        unsigned rank = (i * (1 + 2 * (shuffle % 6)) + shuffle / 6) % RANKS;

        memset(text, 'a' + (int)rank, length);
        text[length] = '\0';
        draft_text(&draft, ranks[rank], text_of(text));
    }
    return sealed("");
}

/* However the fields come, the last ranks are whole, one is cut, and the first are empty. */
static void who_gives_way(void **state) {
    (void)state;
    for (size_t length = 1; length <= CMCWH_RECORD_SIZE; length += length < 100 ? 1 : 41) {
        for (unsigned shuffle = 0; shuffle < 78; shuffle++) {
            struct cmcwh_record record;
            size_t room = CMCWH_RECORD_TEXT;

            if ((1 + 2 * (shuffle % 6)) % 13 == 0) {
                continue;
            }
            record = filled(length, shuffle);
            for (unsigned rank = RANKS; rank-- > 0;) {
                size_t expected = length < room ? length : room;
                struct cmcwh_text text = field_text(&record, ranks[rank]);

                assert_int_equal(text.length, expected);
                assert_int_equal(field_cut(&record, ranks[rank]), expected < length);
                for (size_t i = 0; i < text.length; i++) {
                    assert_int_equal(text.data[i], 'a' + (int)rank);
                }
                room -= expected;
            }
        }
    }
}

/* Cut at a character in every field, wherever the room ends. */
static void cut_at_a_character(void **state) {
    static char text[3 * CMCWH_RECORD_SIZE + 1], pad[CMCWH_RECORD_SIZE];

    (void)state;
    (void)repeat(text, "\xe6\x97\xa5", CMCWH_RECORD_SIZE);
    for (unsigned rank = 0; rank < RANKS; rank++) {
        for (size_t taken = 0; taken < 12; taken++) {
            enum cmcwh_field other = rank == RANKS - 1 ? CMCWH_TO : CMCWH_MESSAGE_ID;
            size_t room = CMCWH_RECORD_TEXT - (rank == RANKS - 1 ? 0 : taken);
            struct cmcwh_record record;

            (void)repeat(pad, "p", taken);
            for (int order = 0; order < 2; order++) {
                draft_begin(&draft, &record, CMCWH_OTHER);
                draft_text(&draft, order == 0 ? other : ranks[rank],
                           text_of(order == 0 ? pad : text));
                draft_text(&draft, order == 0 ? ranks[rank] : other,
                           text_of(order == 0 ? text : pad));
                record = sealed("");
                assert_int_equal(field_text(&record, ranks[rank]).length, room / 3 * 3);
                assert_memory_equal(field_text(&record, ranks[rank]).data, text, room / 3 * 3);
                assert_true(field_cut(&record, ranks[rank]));
            }
        }
    }
}

static void putting_again_replaces(void **state) {
    struct cmcwh_record record, other;

    (void)state;
    draft_begin(&draft, &record, CMCWH_DELIVERIES);
    draft_text(&draft, CMCWH_REASON, text_of("a longer text at first"));
    draft_text(&draft, CMCWH_TO, text_of("to"));
    draft_text(&draft, CMCWH_REASON, text_of("then"));
    draft_text(&draft, CMCWH_FROM, text_of("x"));
    draft_text(&draft, CMCWH_FROM, text_of(""));
    record = sealed("pro");
    draft_begin(&draft, &other, CMCWH_DELIVERIES);
    draft_text(&draft, CMCWH_TO, text_of("to"));
    draft_text(&draft, CMCWH_REASON, text_of("then"));
    other = sealed("pro");
    assert_memory_equal(&record, &other, sizeof record);
}

/* The id depends on the five fields that identify an event, and on no other. */
static void what_identifies_an_event(void **state) {
    uint64_t ids[CMCWH_FIELDS + 1];

    (void)state;
    for (unsigned changed = 0; changed <= CMCWH_FIELDS; changed++) {
        struct cmcwh_record record;

        draft_begin(&draft, &record, CMCWH_DELIVERIES);
        for (unsigned field = 0; field < CMCWH_FIELDS; field++) {
            if (field != CMCWH_MEMBERS) {
                draft_text(&draft, field, text_of(field == changed ? "other" : "value"));
            }
        }
        record = sealed("");
        ids[changed] = event_of(&record).id;
    }
    for (unsigned field = 0; field < CMCWH_FIELDS; field++) {
        bool identifies = field == CMCWH_EVENT_TYPE || field == CMCWH_MESSAGE_ID ||
                          field == CMCWH_TO || field == CMCWH_STATUS || field == CMCWH_CREATED;

        assert_int_equal(ids[field] != ids[CMCWH_FIELDS], identifies);
    }
}

/* Text that moves from one field to the next makes another event. */
static void fields_do_not_run_together(void **state) {
    struct cmcwh_record one, two;

    (void)state;
    draft_begin(&draft, &one, CMCWH_DELIVERIES);
    draft_text(&draft, CMCWH_MESSAGE_ID, text_of("ab"));
    draft_text(&draft, CMCWH_TO, text_of("c"));
    one = sealed("");
    draft_begin(&draft, &two, CMCWH_DELIVERIES);
    draft_text(&draft, CMCWH_MESSAGE_ID, text_of("a"));
    draft_text(&draft, CMCWH_TO, text_of("bc"));
    two = sealed("");
    assert_int_not_equal(event_of(&one).id, event_of(&two).id);
}

static void names(void **state) {
    (void)state;
    assert_string_equal(cmcwh_field_name(CMCWH_MESSAGE_ID), "messageId");
    assert_string_equal(cmcwh_field_name(CMCWH_MEMBERS), "");
    assert_string_equal(cmcwh_field_name(CMCWH_FIELDS), "");
    assert_string_equal(cmcwh_result_name(CMCWH_OK), "ok");
    assert_string_equal(cmcwh_result_name(7), "ok");
    assert_string_equal(cmcwh_result_name(CMCWH_ERR_JSON), "malformed_json");
    assert_string_equal(cmcwh_result_name(CMCWH_ERR_FULL), "ring_full");
    assert_string_equal(cmcwh_result_name(CMCWH_ERR_WRITE), "write_failed");
    assert_string_equal(cmcwh_result_name(CMCWH_PENDING), "pending");
    assert_string_equal(cmcwh_result_name(-99), "unknown");
}

/* What the documentation of CMC says. */
static void bounce_names(void **state) {
    static const char *const documented[] = {
        "unknown",          "unknown host",           "unknown user",
        "resend time-out",  "rejected by policy",     "mailbox over capacity",
        "forwarding error", "receiving server error", "message too large",
        "address format",   "blocked address",        "unsubscribed"};

    (void)state;
    for (unsigned number = 0; number < 12; number++) {
        assert_string_equal(cmcwh_bounce_name(number), documented[number]);
    }
    assert_string_equal(cmcwh_bounce_name(CMCWH_BOUNCE_OTHER), "other permanent error");
    assert_string_equal(cmcwh_bounce_name(12), "unknown");
    assert_string_equal(cmcwh_bounce_name(98), "unknown");
    assert_string_equal(cmcwh_bounce_name(100), "unknown");
    assert_string_equal(cmcwh_bounce_name(UINT_MAX), "unknown");
}

/* The beginning or a repetition of another one is not that one. */
static void secrets(void **state) {
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {{"", "", true},        {"a", "a", true},     {"a", "b", false},
                 {"a", "", false},      {"", "a", false},     {"ab", "a", false},
                 {"aa", "a", false},    {"a", "aa", false},   {"abab", "ab", false},
                 {"ab", "abab", false}, {"key", "key", true}, {"kez", "key", false},
                 {"Key", "key", false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(secret_equal(text_of(cases[i].a), text_of(cases[i].b)), cases[i].equal);
    }
}

/* Texts that are looked at as one: if all are plain, then each is right when it is decoded, and
 * where nothing is odd they are. */
static void plain_texts(void **state) {
    static const char *const pieces[] = {
        "a",        "~ ",       "abcdefgh", "\xE3\x83\xA1", "\xED\x9F\xBF", "\"",
        "\xC3\xA9", "\xE3\x83", "\xA1",     "\x7F",         "\xED\xA0\x80"};
    enum { PIECES = sizeof pieces / sizeof *pieces, FINE = 5 };
    unsigned plain = 0;

    (void)state;
    for (unsigned seed = 1; seed <= 20000; seed++) {
        char bytes[64 + CMCWH_RECORD_CRC] = "";
        struct cmcwh_text texts[CMCWH_FIELDS];
        size_t used = 0, begin = 0;
        uint32_t chance = seed * 2654435761U;
        bool fine = seed % 2 == 0, good = true;

        for (unsigned field = 0; field < CMCWH_FIELDS; field++, begin = used) {
            for (; chance % 3 == 0 && used < 40; chance = chance * 1664525 + 1013904223) {
                const char *piece = pieces[(chance >> 16) % (fine ? FINE : PIECES)];

                used += (size_t)snprintf(bytes + used, sizeof bytes - used, "%s", piece);
            }
            chance = chance * 1664525 + 1013904223;
            texts[field] = (struct cmcwh_text){bytes + begin, used - begin};
            good = good && text_valid(texts[field]);
        }
        assert_true(good || !texts_plain(texts));
        assert_true(good || !fine);
        plain += texts_plain(texts);
    }
    assert_in_range(plain, 3000, 20000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(layout),
                                       cmocka_unit_test(plain_texts),
                                       cmocka_unit_test(crc_of_every_length),
                                       cmocka_unit_test(every_flipped_bit_is_seen),
                                       cmocka_unit_test(texts_are_checked),
                                       cmocka_unit_test(who_gives_way),
                                       cmocka_unit_test(cut_at_a_character),
                                       cmocka_unit_test(putting_again_replaces),
                                       cmocka_unit_test(what_identifies_an_event),
                                       cmocka_unit_test(fields_do_not_run_together),
                                       cmocka_unit_test(names),
                                       cmocka_unit_test(bounce_names),
                                       cmocka_unit_test(secrets)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
