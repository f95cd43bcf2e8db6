/* What the encoder writes for an event without anything odd: its members in their order, and
 * between their quotes what comes out as it is, or with a letter. Not here: all other lines
 * (line.c). */
#include "command/plain.h"

#include <endian.h>
#include <string.h>

#include "platform/when.h"
#include "sink/outlet.h"

/* A small build has the other way only. */
#ifdef CMCWH_NO_SHORTCUTS
enum { SHORTCUTS = 0 };
#else
enum { SHORTCUTS = 1 };
#endif

/* ---- Text ---- */

#define ALL(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Has a bit set in the first byte that is not printable ASCII, or a quote, or a backslash; perhaps
 * in some behind that. */
static uint64_t odd_bytes(uint64_t word) {
    uint64_t quote = word ^ ALL('"'), backslash = word ^ ALL('\\');

    return ((word - ALL(0x20)) | (word + ALL(1)) | (quote - ALL(1)) | (backslash - ALL(1)) | word) &
           ALL(0x80);
}

/* Behind the bytes that are none of these; eight at a time. */
static const char *pass_ascii(const char *at, const char *end) {
    uint64_t word, odd;

    while (end - at >= (ptrdiff_t)sizeof word) {
        memcpy(&word, at, sizeof word);
        odd = odd_bytes(le64toh(word));
        if (odd != 0) {
            return at + __builtin_ctzll(odd) / 8;
        }
        at += sizeof word;
    }
    while (at < end && *at >= 0x20 && *at < 0x7F && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

/* Which bytes may come second, by the first. Without C1 controls: these begin with C2. */
static bool second_good(unsigned first, unsigned second) {
    unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;

    return first >= 0xC3 && first <= 0xF4 && second >= low && second <= high;
}

/* Of those that begin with E2: what separates lines or changes direction, U+200E, U+200F, U+2028 to
 * U+202E and U+2066 to U+2069. */
static bool is_mark(unsigned second, unsigned third) {
    return (second == 0x80 &&
            (third == 0x8E || third == 0x8F || (third >= 0xA8 && third <= 0xAE))) ||
           (second == 0x81 && third >= 0xA6 && third <= 0xA9);
}

/* The length of the character at `at`, one of several bytes that comes out as it is; 0: it is
 * another. */
static size_t wide_length(const char *at, const char *end) {
    const unsigned char *bytes = (const unsigned char *)at;
    size_t length = bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;

    if ((size_t)(end - at) < length || !second_good(bytes[0], bytes[1])) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return bytes[0] == 0xE2 && is_mark(bytes[1], bytes[2]) ? 0 : length;
}

/* ---- Members ---- */

/* What is left of a line. */
struct rest {
    struct plain *plain;
    const char *at, *end;
};

static bool skip(struct rest *rest, const char *word, size_t length) {
    if ((size_t)(rest->end - rest->at) < length || memcmp(rest->at, word, length) != 0) {
        return false;
    }
    rest->at += length;
    return true;
}

/* What is escaped with this letter, or 0. */
static char unescaped(char letter) {
    switch (letter) {
    case '"':
    case '\\':
        return letter;
    case 'b':
        return '\b';
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'f':
        return '\f';
    case 'r':
        return '\r';
    default:
        return '\0';
    }
}

/* The length of what stands at `at` and is no plain ASCII; 0: it cannot stand within a text here.
 */
static size_t odd_length(const char *at, const char *end) {
    if (*at == '\\') {
        return end - at > 1 && unescaped(at[1]) != '\0' ? 2 : 0;
    }
    return (unsigned char)*at >= 0x80 ? wide_length(at, end) : 0;
}

/* Makes of a text with so many escapes what it says. */
static bool unescape(struct plain *plain, struct cmcwh_text *text, size_t escapes) {
    char *out = plain->texts + plain->used;
    size_t length = text->length - escapes;

    if (length > sizeof plain->texts - plain->used) {
        return false;
    }
    for (size_t i = 0; i < text->length; i++) {
        char c = text->data[i];

        *out++ = c == '\\' ? unescaped(text->data[++i]) : c;
    }
    *text = (struct cmcwh_text){plain->texts + plain->used, length};
    plain->used += length;
    return true;
}

/* Up to its quote, which stays. */
static bool take_text(struct rest *rest, struct cmcwh_text *text) {
    const char *begin = rest->at;
    size_t escapes = 0;

    while ((rest->at = pass_ascii(rest->at, rest->end)) < rest->end && *rest->at != '"') {
        size_t length = odd_length(rest->at, rest->end);

        if (length == 0) {
            return false;
        }
        escapes += *rest->at == '\\';
        rest->at += length;
    }
    *text = (struct cmcwh_text){begin, (size_t)(rest->at - begin)};
    return rest->at < rest->end && (escapes == 0 || unescape(rest->plain, text, escapes));
}

/* As it is printed: from 1, without zeros before it. */
static bool take_seq(struct rest *rest, uint64_t *seq) {
    const char *begin = rest->at;

    *seq = 0;
    while (rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9') {
        *seq = 10 * *seq + (unsigned)(*rest->at++ - '0');
    }
    return rest->at > begin && rest->at - begin < 19 && *begin != '0';
}

static bool take_id(struct rest *rest, uint64_t *id) {
    enum { DIGITS = 16 };

    if (rest->end - rest->at < DIGITS) {
        return false;
    }
    *id = 0;
    for (int i = 0; i < DIGITS; i++) {
        char c = *rest->at++;
        bool digit = c >= '0' && c <= '9';

        if (!digit && (c < 'a' || c > 'f')) {
            return false;
        }
        *id = *id << 4 | (unsigned)(digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

/* ---- When ---- */

static const char clock_form[] = "T00:00:00.000Z", clock_most[] = "T29:59:59.999Z";
enum { DATE = sizeof((struct plain *)NULL)->date, CLOCK = sizeof clock_form - 1 };

/* Milliseconds since midnight. */
static bool clock_read(const char *at, uint32_t *ms) {
    static const uint32_t worth[CLOCK] = {
        [1] = 36000000, [2] = 3600000, [4] = 600000, [5] = 60000, [7] = 10000,
        [8] = 1000,     [10] = 100,    [11] = 10,    [12] = 1};

    *ms = 0;
    for (int i = 0; i < CLOCK; i++) {
        if (at[i] < clock_form[i] || at[i] > clock_most[i]) {
            return false;
        }
        *ms += worth[i] * (uint32_t)(at[i] - clock_form[i]);
    }
    return *ms < 86400000;
}

static bool date_read(struct plain *plain, const char *at) {
    char midnight[DATE + sizeof clock_form];

    memcpy(midnight, at, DATE);
    memcpy(midnight + DATE, clock_form, sizeof clock_form);
    if (!when_read(midnight, 0, &plain->begin)) {
        return false;
    }
    memcpy(plain->date, at, DATE);
    return true;
}

static bool take_received(struct rest *rest, uint64_t *received) {
    struct plain *plain = rest->plain;
    const char *at = rest->at;
    uint32_t ms;

    if (rest->end - at < DATE + CLOCK || !clock_read(at + DATE, &ms) ||
        (memcmp(at, plain->date, DATE) != 0 && !date_read(plain, at))) {
        return false;
    }
    *received = plain->begin + ms;
    rest->at += DATE + CLOCK;
    return true;
}

/* ---- Kind and status ---- */

static bool is(struct cmcwh_text text, const char *word) {
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

static bool take_delivery(struct cmcwh_event *event) {
    static const unsigned severities[] = {6, 6, 6, 3, 5};

    for (unsigned status = CMCWH_QUEUED; status <= CMCWH_DEFERRED; status++) {
        if (is(event->texts[CMCWH_STATUS], cmcwh_count_status(CMCWH_COUNT_DELIVERIES + status))) {
            event->status = status;
            event->severity = severities[status];
            return true;
        }
    }
    return false;
}

/* A number, with what it means behind it. */
static bool take_bounce(struct rest *rest, struct cmcwh_event *event) {
    struct cmcwh_text status = event->texts[CMCWH_STATUS], bounce;

    if (status.length < 1 || status.length > 2 || status.data[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < status.length; i++) {
        if (status.data[i] < '0' || status.data[i] > '9') {
            return false;
        }
        event->status = 10 * event->status + (unsigned)(status.data[i] - '0');
    }
    event->severity = 3;
    return skip(rest, "\",\"bounce\":\"", 12) && take_text(rest, &bounce) &&
           is(bounce, cmcwh_bounce_name(event->status)) && !is(bounce, cmcwh_bounce_name(0));
}

static bool take_kind(struct rest *rest, struct cmcwh_event *event) {
    struct cmcwh_text type = event->texts[CMCWH_EVENT_TYPE];

    event->kind = is(type, cmcwh_count_type(CMCWH_COUNT_DELIVERIES)) ? CMCWH_DELIVERIES
                  : is(type, cmcwh_count_type(CMCWH_COUNT_BOUNCES))  ? CMCWH_BOUNCES
                                                                     : CMCWH_OTHER;
    return event->kind == CMCWH_DELIVERIES ? take_delivery(event)
           : event->kind == CMCWH_BOUNCES  ? take_bounce(rest, event)
                                           : false;
}

/* ---- A line ---- */

static bool take_stamps(struct rest *rest, struct cmcwh_event *event) {
    const char *begin = outlet_begins(CMCWH_ENCODE_JSON);

    return skip(rest, begin, strlen(begin)) && take_seq(rest, &event->seq) &&
           skip(rest, ",\"id\":\"", 7) && take_id(rest, &event->id) &&
           skip(rest, "\",\"received\":\"", 14) && take_received(rest, &event->received);
}

/* The texts, in their order. */
static const struct {
    enum cmcwh_field field;
    unsigned length;
    const char *before; /* the end of the last one, and its name */
} members[] = {
#define MEMBER(field, name)                                                                        \
    { (field), sizeof(name) + 5, "\",\"" name "\":\"" }
    MEMBER(CMCWH_EVENT_TYPE, "event_type"),
    MEMBER(CMCWH_SERVER_COMPOSITION, "server_composition"),
    MEMBER(CMCWH_STATUS, "status"),
    MEMBER(CMCWH_CREATED, "created"),
    MEMBER(CMCWH_MESSAGE_ID, "messageId"),
    MEMBER(CMCWH_FROM, "from"),
    MEMBER(CMCWH_TO, "to"),
    MEMBER(CMCWH_RETURN_PATH, "returnPath"),
    MEMBER(CMCWH_SUBJECT, "subject"),
    MEMBER(CMCWH_REASON, "reason"),
    MEMBER(CMCWH_SOURCE_IP, "sourceIp"),
    MEMBER(CMCWH_SENDER_IP, "senderIp"),
    MEMBER(CMCWH_API_DATA, "apiData")};

static bool take_texts(struct rest *rest, struct cmcwh_event *event) {
    size_t used = 0;

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        struct cmcwh_text *text = &event->texts[members[i].field];

        if (!skip(rest, members[i].before, members[i].length) || !take_text(rest, text) ||
            (members[i].field == CMCWH_STATUS && !take_kind(rest, event))) {
            return false;
        }
        used += text->length;
    }
    return used <= CMCWH_RECORD_TEXT &&
           event->texts[CMCWH_SERVER_COMPOSITION].length <= CMCWH_SECRET_MAX;
}

bool plain_read(struct plain *plain, struct cmcwh_text line, struct cmcwh_event *event) {
    struct rest rest = {plain, line.data, line.data + line.length};

    plain->used = 0;
    *event = (struct cmcwh_event){.batch_size = 1};
    if (!SHORTCUTS || !take_stamps(&rest, event) || !take_texts(&rest, event) ||
        !skip(&rest, "\"}", 2)) {
        return false;
    }
    event->batch = event->seq;
    return rest.at == rest.end;
}
