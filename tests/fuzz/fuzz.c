#include "fuzz.h"

#include "../unit/logfmt.h"

struct cmcwh_ring *fuzz_ring(void) {
    static struct cmcwh_record records[FUZZ_RECORDS];
    static uint32_t links[FUZZ_RECORDS];
    static struct cmcwh_ring ring;
    struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = FUZZ_RECORDS};

    MUST(cmcwh_ring_init(&ring, &config, 1) == CMCWH_OK);
    MUST(cmcwh_ring_attach(&ring, NULL, true) == 0);
    return &ring;
}

/* The length of the character at `text`, as RFC 3629 has it; 0 when there is none. `point` is its
 * number. */
static size_t character(const unsigned char *text, size_t length, uint32_t *point) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = text[0] < 0x80   ? 1
                  : text[0] < 0xC0 ? 0
                  : text[0] < 0xE0 ? 2
                  : text[0] < 0xF0 ? 3
                  : text[0] < 0xF8 ? 4
                                   : 0;

    if (size == 0 || size > length) {
        return 0;
    }
    *point = size == 1 ? text[0] : text[0] & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xC0) != 0x80) {
            return 0;
        }
        *point = *point << 6 | (text[i] & 0x3F);
    }
    return *point >= least[size] && *point <= 0x10FFFF && (*point < 0xD800 || *point > 0xDFFF)
               ? size
               : 0;
}

static void check_text(const char *text, size_t length, bool printable) {
    const unsigned char *at = (const unsigned char *)text;
    uint32_t point = 0;

    for (size_t size; length > 0; at += size, length -= size) {
        size = character(at, length, &point);
        MUST(size > 0);
        MUST(!printable || (point >= 0x20 && (point < 0x7F || point > 0x9F) && point != 0x2028 &&
                            point != 0x2029));
    }
}

/* Behind the nth such byte. */
static struct cmcwh_text behind(struct cmcwh_text text, char byte, unsigned n) {
    for (; n > 0; text.data++, text.length--) {
        MUST(text.length > 0);
        n -= *text.data == byte;
    }
    return text;
}

/* A syslog message of at most `max` bytes: an event of which a part may lack, but in good order. */
static void check_message(const struct cmcwh_record *record, enum cmcwh_encoding encoding,
                          uint32_t max, struct cmcwh_text line) {
    static char out[CMCWH_ENCODED_MAX], name[256];
    struct cmcwh_syslog syslog = {name, name, 23, 540, max};
    struct cmcwh_text message = {out, 0}, text;

    memset(name, 'n', max % 256);
    name[max % 256] = '\0';
    message.length = cmcwh_encode(record, encoding, &syslog, out);
    message = behind(message, ' ', encoding == CMCWH_ENCODE_RFC6587);
    text = encoding == CMCWH_ENCODE_RFC3164 ? behind(behind(message, ']', 1), ' ', 1)
                                            : behind(message, ' ', 7);
    MUST(message.length <= max);
    MUST(logfmt_cut_fault(line.data, line.length, text.data, text.length) == NULL);
}

/* One of all messages that may be made of a record, by its id: each takes long. */
static void check_some_message(const struct cmcwh_record *record, uint64_t id) {
    static char out[CMCWH_ENCODED_MAX];
    struct cmcwh_text line = {out, cmcwh_encode(record, CMCWH_ENCODE_LOGFMT, NULL, out) - 1};
    uint32_t more = (id & 1) != 0 ? 0 : (uint32_t)(id >> 16) % 2048;

    check_message(record, (enum cmcwh_encoding)(CMCWH_ENCODE_RFC5424 + (id >> 8) % 3),
                  CMCWH_SYSLOG_LEAST + more, line);
}

void fuzz_check_record(const struct cmcwh_record *record, bool parsed) {
    static const struct cmcwh_syslog syslog = {"host", "1", 2, 540, 0};
    static char out[CMCWH_ENCODED_MAX];
    struct cmcwh_event event;

    MUST(cmcwh_record_check(record) == CMCWH_OK);
    cmcwh_record_read(record, &event);
    for (int field = 0; field < CMCWH_FIELDS; field++) {
        check_text(event.texts[field].data, event.texts[field].length, false);
    }
    for (int encoding = CMCWH_ENCODE_JSON; encoding <= CMCWH_ENCODE_CMC; encoding++) {
        size_t length = cmcwh_encode(record, (enum cmcwh_encoding)encoding, &syslog, out);

        MUST(length > 0 && length <= sizeof out);
        if (encoding == CMCWH_ENCODE_JSON || encoding == CMCWH_ENCODE_LOGFMT) {
            MUST(out[--length] == '\n');
        }
        if (encoding == CMCWH_ENCODE_BINARY) {
            MUST(memchr(out, 0, length) == out + length - 1);
        } else {
            check_text(out, length, encoding != CMCWH_ENCODE_CMC);
        }
    }
    if (parsed || event.texts[CMCWH_MEMBERS].length == 0) { /* others' need not be JSON */
        check_some_message(record, event.id);
    }
}
