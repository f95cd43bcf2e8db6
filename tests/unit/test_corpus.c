/* Every case of tests/corpus: whole, byte by byte, and split at every byte; and what is stored of
 * it posted onward. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 16384, TEXT_MAX = 1 << 17, SPLITS_MAX = 700, RECORDS = 64 };

static struct cmcwh_record records[RECORDS];
static uint32_t links[RECORDS];
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;
static const char *file_name;
static unsigned line_number, faults, cases;

/* What a body should come to. */
struct expected {
    enum cmcwh_format format;
    int result; /* events, or an error */
    uint64_t offset;
};

/* ---- Reading a file ---- */

static unsigned hex(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Writes out what ~ stands for. Returns the end of what was written. */
static char *expand(const char *in, const char *end, char *out) {
    while (in < end) {
        if (*in != '~') {
            *out++ = *in++;
        } else if (in[1] == '(') {
            char *text;
            unsigned long times = strtoul(in + 2, &text, 10);
            const char *close = text + 1, *once = out;
            size_t length;

            for (unsigned depth = 0; *close != ')' || depth > 0; close++) {
                depth += *close == '(';
                depth -= *close == ')';
            }
            out = expand(text + 1, close, out);
            length = (size_t)(out - once);
            for (; times > 1; times--, out += length) {
                memcpy(out, once, length);
            }
            in = close + 1;
        } else if (in[1] == 'n') {
            *out++ = '\r';
            *out++ = '\n';
            in += 2;
        } else {
            *out++ = (char)(hex(in[1]) << 4 | hex(in[2]));
            in += 3;
        }
    }
    *out = '\0';
    return out;
}

/* Calls `take` with each line's first part and its expanded text. */
static void each_line(const char *name,
                      void (*take_line)(const char *what, const char *text, size_t length)) {
    static char line[LINE_SIZE], text[TEXT_MAX];
    FILE *file = fopen(name, "rb");

    assert_non_null(file); /* the tests run from the project's top level */
    file_name = name;
    faults = cases = 0;
    for (line_number = 1; fgets(line, sizeof line, file) != NULL; line_number++) {
        char *tab = strchr(line, '\t'), *end = line + strlen(line) - 1;

        assert_int_equal(*end, '\n'); /* or it is too long */
        if (line[0] != '#' && line[0] != '\n') {
            assert_non_null(tab);
            *tab = '\0';
            take_line(line, text, (size_t)(expand(tab + 1, end, text) - text));
            cases++;
        }
    }
    (void)fclose(file);
    printf("# %u cases in %s\n", cases, name);
    assert_true(cases > 50);
    assert_int_equal(faults, 0);
}

/* ---- One body ---- */

static void feed_pieces(const char *body, size_t length, enum cmcwh_format format, size_t first,
                        size_t step) {
    const struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = RECORDS};

    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_OK);
    assert_int_equal(cmcwh_ring_attach(&ring, NULL, true), 0);
    cmcwh_parser_init(&parser, &ring, format);
    if (format == CMCWH_MULTIPART) {
        assert_int_equal(cmcwh_parser_boundary(&parser, (struct cmcwh_text){"b", 1}), CMCWH_OK);
    }
    for (size_t at = 0, piece = first; at < length; at += piece, piece = step) {
        piece = length - at < piece ? length - at : piece;
        if (cmcwh_parser_feed(&parser, body + at, piece) < 0) {
            break;
        }
    }
}

static void check(const char *body, size_t length, const struct expected *expected, size_t first,
                  size_t step) {
    const struct cmcwh_error *error;
    int result;

    feed_pieces(body, length, expected->format, first, step);
    result = cmcwh_parser_end(&parser);
    error = cmcwh_parser_error(&parser);
    if (result != expected->result || (result < 0 && error->offset != expected->offset)) {
        print_error("%s:%u: %d at %llu, not %d at %llu (pieces of %zu and %zu): %.*s\n", file_name,
                    line_number, result, (unsigned long long)error->offset, expected->result,
                    (unsigned long long)expected->offset, first, step,
                    length < 200 ? (int)length : 200, body);
        faults++;
    }
    cmcwh_parser_abort(&parser);
    assert_int_equal(ring.in_use, 0);
}

static void check_splits(const char *body, size_t length, const struct expected *expected) {
    unsigned before = faults;

    check(body, length, expected, length + 1, 1);
    if (faults == before) {
        check(body, length, expected, 1, 1);
        check(body, length, expected, 4095, 4096);
    }
    for (size_t first = 1; first < length && length <= SPLITS_MAX && faults == before; first++) {
        check(body, length, expected, first, length);
    }
}

/* Reads a body with `count` events whole, and takes these. */
static void read_in(const char *body, size_t length, enum cmcwh_format format,
                    struct cmcwh_record *out, int count) {
    feed_pieces(body, length, format, length, 1);
    assert_int_equal(cmcwh_parser_end(&parser), count);
    assert_int_equal(cmcwh_parser_commit(&parser), count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(cmcwh_ring_read(&ring, 0, &out[i]), 1);
    }
}

/* What is stored of a good body, posted onward, is stored as it is; that a text was cut, only the
 * first knows. */
static void check_onward(const char *body, size_t length, const struct expected *expected) {
    static struct cmcwh_record first[RECORDS], again[RECORDS];
    int count = expected->result;

    if (count <= 0) {
        return;
    }
    read_in(body, length, expected->format, first, count);
    for (int format = CMCWH_JSON; format <= CMCWH_FORM; format++) {
        const char *onward = posted(first, (size_t)count, (enum cmcwh_format)format);

        read_in(onward, strlen(onward), (enum cmcwh_format)format, again, count);
        for (int i = 0; i < count; i++) {
            if (!same_event(&first[i], &again[i])) {
                print_error("%s:%u: another event comes out: %s\n", file_name, line_number, onward);
                faults++;
            }
        }
    }
}

/* ---- values.txt ---- */

static void check_value(const char *what, const char *value, size_t length) {
    static const struct {
        const char *before, *after;
        unsigned events;
    } places[] = {
        {"{\"x\":", ",\"event_type\":\"blocks\",\"event\":{\"blocks\":[]}}", 0},
        {"{\"event_type\":\"bounces\",\"event\":{\"x\":", ",\"bounces\":[]}}", 0},
        {"{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"x\":", "}]}}", 1},
        {"{\"event_type\":\"bounces\",\"event\":{\"bounces\":[{\"x\":[0,", "]}]}}", 1},
        {"{\"event_type\":\"clicks\",\"event\":{\"clicks\":[{\"x\":", "}]}}", 1},
        {"{\"event_type\":\"clicks\",\"event\":{\"clicks\":[{\"x\":[0,", "]}]}}", 1},
    };
    static char body[TEXT_MAX];
    struct expected expected = {.format = CMCWH_JSON};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        size_t start = strlen(places[i].before);
        char *end;

        memcpy(body, places[i].before, start);
        memcpy(body + start, value, length);
        end = body + start + length + sprintf(body + start + length, "%s", places[i].after);
        expected.result = what[0] == 'y' ? (int)places[i].events : CMCWH_ERR_JSON;
        expected.offset = what[0] == 'y' ? 0 : start + strtoul(what + 1, NULL, 10);
        check_splits(body, (size_t)(end - body), &expected);
        check_onward(body, (size_t)(end - body), &expected);
    }
}

/* A value in a form, every byte of it percent-encoded: offsets are those of what was sent. */
static void check_value_in_form(const char *what, const char *value, size_t length) {
    static const char before[] = "event_type=bounces&event={\"bounces\":[{\"x\":";
    static char body[3 * TEXT_MAX];
    size_t start = sizeof before - 1;
    struct expected expected = {.format = CMCWH_FORM,
                                .result = what[0] == 'y' ? 1 : CMCWH_ERR_JSON,
                                .offset = start + 3 * strtoul(what + 1, NULL, 10)};
    char *out = body + start;

    memcpy(body, before, start);
    for (size_t i = 0; i < length; i++) {
        out += sprintf(out, "%%%02X", (unsigned char)value[i]);
    }
    out += sprintf(out, "}]}");
    check_splits(body, (size_t)(out - body), &expected);
}

static void values(void **state) {
    (void)state;
    each_line("tests/corpus/values.txt", check_value);
}

static void values_in_forms(void **state) {
    (void)state;
    each_line("tests/corpus/values.txt", check_value_in_form);
}

/* ---- bodies.txt ---- */

static void check_body(const char *what, const char *body, size_t length) {
    struct expected expected = {.format = what[0] == 'j'   ? CMCWH_JSON
                                          : what[0] == 'f' ? CMCWH_FORM
                                                           : CMCWH_MULTIPART};
    char *end;

    expected.result = (int)strtol(what + 2, &end, 10);
    if (end == what + 2) {
        const char *space = strchr(what + 2, ' ');
        size_t name = (size_t)(space - (what + 2));

        do {
            expected.result--;
            assert_true(expected.result >= CMCWH_ERR_FORMAT);
        } while (strlen(cmcwh_result_name(expected.result)) != name ||
                 memcmp(cmcwh_result_name(expected.result), what + 2, name) != 0);
        expected.offset = strtoul(space, NULL, 10);
    }
    check_splits(body, length, &expected);
    check_onward(body, length, &expected);
}

static void bodies(void **state) {
    (void)state;
    each_line("tests/corpus/bodies.txt", check_body);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(values_in_forms),
                                       cmocka_unit_test(bodies)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
