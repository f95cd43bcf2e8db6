/* cmcwh, the portable part; cmcwh.h is its manual. One rule: each function calls only what stands
 * above it; to follow an event, read from the end.
 *
 * The way of one byte of a JSON body, a line a step:
 *
 *   cmcwh_server_handle     the head of the request is right, and who sends it;
 *   read_body               the byte comes with a piece of the body,
 *   cmcwh_parser_feed       which goes where its format says:
 *   json_add                into the window.
 *   json_run                When that is full, or the body whole, what is in it is understood:
 *   short_way               by the short way, from the window into the record (draft_copy),
 *   json_step               or by jsmn, which finds the string that the byte is in;
 *   json_walk               that may stand where it stands,
 *   event_value             and is the value of a member,
 *   item_value              of an event:
 *   draft_put               its text goes to its place in the record.
 *   draft_close             The event is whole: its record has its status and its id.
 *   cmcwh_parser_end        The body is whole and a request of CMC's,
 *   batch_commit            its records get their numbers, all at once,
 *   storage_lead            and with storage are written and synced,
 *   send_answer             before a 200 says so.
 *   cmcwh_sink_pump         A sink, in its own time,
 *   sink_next               takes the record out of the ring,
 *   put_json                makes a line of it, writes it and syncs;
 *   cmcwh_ring_acknowledge  then the record is free again.
 *
 * In a form:
 *
 *   form_add                The byte belongs to the name of a parameter, or to its value:
 *   form_bytes              of a name and of a short value it goes into a kept text,
 *   form_way                of `event`, where all is as CMC sends it, straight into the record,
 *   form_decode             else into the window, where a byte that was sent as %XX has a mark
 *                           (mark_set), so that a fault is found where it was sent.
 *   json_run                From there on it goes as in a JSON body.
 *
 * What must not be here: allocation, stdio, variables that change and belong to nobody, recursion,
 * and what only one operating system has.
 */
#include "cmcwh.h"

#include <string.h>

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

/* ---- Build ------------------------------------------------------------------------------------
 * What this build has, and whether its sizes fit together. No code that works on data.
 */

/* Fails to compile when `condition` does not hold. */
#define CHECK(name, condition) typedef char cmcwh_check_##name[(condition) ? 1 : -1]

CHECK(record_size, CMCWH_RECORD_SIZE >= 256 && CMCWH_RECORD_SIZE <= 4096 &&
                       (CMCWH_RECORD_SIZE & (CMCWH_RECORD_SIZE - 1)) == 0);
CHECK(window_size, CMCWH_WINDOW_SIZE >= 2 * CMCWH_RECORD_SIZE && CMCWH_WINDOW_SIZE % 64 == 0 &&
                       CMCWH_WINDOW_SIZE <= 1 << 20);
CHECK(depth, CMCWH_DEPTH_MAX >= 4 && CMCWH_DEPTH_MAX < 64);
CHECK(tokens, CMCWH_TOKENS >= CMCWH_DEPTH_MAX + 8);
CHECK(readers, CMCWH_READERS_MAX >= 1);
CHECK(secret, CMCWH_SECRET_MAX >= 32 && CMCWH_SECRET_MAX < 4096);
CHECK(crc_slices, CMCWH_CRC_SLICES == 0 || CMCWH_CRC_SLICES == 1 || CMCWH_CRC_SLICES == 8);
CHECK(read_size, CMCWH_READ_SIZE >= 1024);
CHECK(token_size, sizeof(jsmntok_t) == 5 * sizeof(int));
CHECK(field_mask, CMCWH_FIELDS <= 16);
#if defined CMCWH_NO_THREADS && !defined CMCWH_NO_SERVER
#error "the server has threads: CMCWH_NO_THREADS needs CMCWH_NO_SERVER"
#endif

/* Parts that a build has; the compiler drops what a 0 here makes unreachable. */
enum {
#ifdef CMCWH_NO_FORMS
    WITH_FORMS = 0,
#else
    WITH_FORMS = 1,
#endif
#ifdef CMCWH_NO_STORAGE
    WITH_STORAGE = 0,
#else
    WITH_STORAGE = 1,
#endif
#ifdef CMCWH_NO_COUNTERS
    WITH_COUNTERS = 0,
#else
    WITH_COUNTERS = 1,
#endif
#ifdef CMCWH_NO_LOGFMT
    WITH_LOGFMT = 0,
#else
    WITH_LOGFMT = 1,
#endif
#ifdef CMCWH_NO_FRAMES
    WITH_FRAMES = 0,
#else
    WITH_FRAMES = 1,
#endif
#ifdef CMCWH_NO_SHORTCUTS
    WITH_SHORTCUTS = 0,
#else
    WITH_SHORTCUTS = 1,
#endif
#ifdef CMCWH_NO_GATHER
    WITH_GATHER = 0,
#else
    WITH_GATHER = 1,
#endif
#ifdef CMCWH_NO_THREADS
    WITH_THREADS = 0,
#else
    WITH_THREADS = 1,
#endif
    WITH_CHAINS = WITH_FORMS
};

/* Without forms a body is JSON, or was refused before any of it was read. */
static bool is_json(const struct cmcwh_parser *parser) {
    return !WITH_FORMS || parser->format == CMCWH_JSON;
}

static bool is_form(const struct cmcwh_parser *parser) {
    return WITH_FORMS && parser->format == CMCWH_FORM;
}

static bool is_stored(const struct cmcwh_ring *ring) {
    return WITH_STORAGE && ring->config.storage != NULL;
}

/* On storage that can only be looked at. */
static bool is_read_only(const struct cmcwh_ring *ring) {
    return is_stored(ring) && ring->config.storage->write == NULL;
}

/* For how many ms a committed request waits for others. */
static uint32_t gather_time(const struct cmcwh_ring *ring) {
    return WITH_GATHER ? ring->config.gather : 0;
}

static bool has_history(const struct cmcwh_ring *ring) {
    return WITH_COUNTERS && ring->config.history != NULL;
}

/* ---- Bytes and views of text ------------------------------------------------------------------
 * Numbers in bytes, text that somebody else owns, and what headers are made of. Nothing here knows
 * what a text is for, and nothing writes text.
 */

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static struct cmcwh_text text_of(const char *word) {
    struct cmcwh_text text = {word, word == NULL ? 0 : strlen(word)};

    return text;
}

/* The word with this number, from 0, of some that stand behind one another, each ended by a zero.
 * Unlike a table of pointers, these are one object: one that a linker can leave out, and has not to
 * relocate. */
static const char *word_number(const char *words, unsigned number) {
    while (number-- > 0) {
        words += strlen(words) + 1;
    }
    return words;
}

static bool text_is(struct cmcwh_text text, const char *word) {
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

/* Where `byte` first stands; the length when it does not. */
static size_t text_find(struct cmcwh_text text, char byte) {
    size_t i = 0;

    while (i < text.length && text.data[i] != byte) {
        i++;
    }
    return i;
}

/* Are these equal, an ASCII letter being the same in upper and lower case? */
static bool same_letters(const char *a, const char *b, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)a[i], d = (unsigned char)b[i];

        if (c == d) {
            continue;
        }
        c |= c >= 'A' && c <= 'Z' ? 0x20 : 0;
        d |= d >= 'A' && d <= 'Z' ? 0x20 : 0;
        if (c != d) {
            return false;
        }
    }
    return true;
}

static bool text_is_word(struct cmcwh_text text, const char *word) {
    return text.length == strlen(word) && same_letters(text.data, word, text.length);
}

/* A compiler knows the order of its processor's bytes. */
static inline bool lowest_first(void) {
    const uint16_t one = 1;
    uint8_t low;

    memcpy(&low, &one, 1);
    return low == 1;
}

/* Between memory and a number whose first byte is the lowest. Where that takes anything, a compiler
 * finds an instruction or two for it. */
static inline uint32_t half_word_in_order(uint32_t word) {
    return lowest_first() ? word
                          : word >> 24 | (word >> 8 & 0xFF00) | (word & 0xFF00) << 8 | word << 24;
}

static inline uint64_t word_in_order(uint64_t word) {
    return lowest_first() ? word
                          : half_word_in_order((uint32_t)(word >> 32)) |
                                (uint64_t)half_word_in_order((uint32_t)word) << 32;
}

/* Four bytes as one number, the first byte the lowest. */
static inline uint32_t half_word_at(const void *in) {
    uint32_t word;

    memcpy(&word, in, sizeof word);
    return half_word_in_order(word);
}

/* Eight bytes. */
static inline uint64_t word_at(const void *in) {
    uint64_t word;

    memcpy(&word, in, sizeof word);
    return word_in_order(word);
}

/* As much of a text as a register holds, looked at as one number: each byte is a lane of it. */
#if UINTPTR_MAX > UINT32_MAX
typedef uint64_t lanes;
#else
typedef uint32_t lanes;
#endif

enum { LANES = sizeof(lanes) };

static inline lanes lanes_in_order(lanes word) {
    return LANES == 8 ? (lanes)word_in_order(word) : half_word_in_order((uint32_t)word);
}

static inline lanes lanes_at(const void *in) {
    lanes word;

    memcpy(&word, in, sizeof word);
    return lanes_in_order(word);
}

/* Takes the same time wherever they differ. */
static bool secret_equal(struct cmcwh_text a, struct cmcwh_text b) {
    volatile unsigned char differ = a.length != b.length;

    for (size_t i = 0; i < a.length; i++) {
        /* Without b there is nothing to compare with, but it must take as long. */
        const char *other = b.length == 0 ? a.data : b.data + i % b.length;

        differ |= (unsigned char)(a.data[i] ^ *other);
    }
    return differ == 0;
}

static bool is_one_of(char c, const char *set) {
    while (*set != '\0' && *set != c) {
        set++;
    }
    return *set != '\0';
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static void text_skip(struct cmcwh_text *text, size_t length) {
    text->data += length;
    text->length -= length;
}

/* Takes a word off the front, in upper or lower case. False, and nothing is taken, when it is
 * another one. */
static bool text_takes(struct cmcwh_text *text, const char *word) {
    size_t length = strlen(word);

    if (text->length < length || !same_letters(text->data, word, length)) {
        return false;
    }
    text_skip(text, length);
    return true;
}

static void skip_blanks(struct cmcwh_text *text) {
    while (text->length > 0 && is_blank(*text->data)) {
        text_skip(text, 1);
    }
}

/* Takes what stands before a blank or one of `ends`. */
static struct cmcwh_text take_word(struct cmcwh_text *rest, const char *ends) {
    struct cmcwh_text word = {rest->data, 0};

    while (rest->length > 0 && !is_blank(*rest->data) && !is_one_of(*rest->data, ends)) {
        text_skip(rest, 1);
        word.length++;
    }
    return word;
}

/* Takes what stands between quotes, as it was sent: names of ours need no backslash. */
static bool take_quoted(struct cmcwh_text *rest, struct cmcwh_text *value) {
    size_t i = 1;

    while (i < rest->length && rest->data[i] != '"') {
        i += rest->data[i] == '\\' ? 2 : 1;
    }
    if (i >= rest->length) {
        return false;
    }
    value->data = rest->data + 1;
    value->length = i - 1;
    text_skip(rest, i + 1);
    return true;
}

/* Takes `; name=value` off the front of a header. 0 when there is nothing more, negative when it
 * is malformed: then `rest` begins there. Values without quotes may have characters that RFC 2045
 * wants in quotes: boundaries are often sent so. */
static int take_parameter(struct cmcwh_text *rest, struct cmcwh_text *name,
                          struct cmcwh_text *value) {
    skip_blanks(rest);
    if (rest->length > 0 && *rest->data != ';') {
        return -1;
    }
    while (rest->length > 0 && (*rest->data == ';' || is_blank(*rest->data))) {
        text_skip(rest, 1);
    }
    if (rest->length == 0) {
        return 0;
    }
    *name = take_word(rest, "=;\"");
    skip_blanks(rest);
    if (name->length == 0 || rest->length == 0 || *rest->data != '=') {
        return -1;
    }
    text_skip(rest, 1);
    skip_blanks(rest);
    if (rest->length > 0 && *rest->data == '"') {
        return take_quoted(rest, value) ? 1 : -1;
    }
    *value = take_word(rest, ";\"");
    return value->length > 0 ? 1 : -1;
}

static int hex_digit(unsigned byte) {
    if (byte >= '0' && byte <= '9') {
        return (int)byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? (int)byte - 'a' + 10 : -1;
}

/* The byte that two hexadecimal digits at `in` stand for; negative when they are none. */
static inline int hex_pair(const char *in) {
    /* The value of each digit, and 16. */
    static const uint8_t digits[256] = {
        ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21,
        ['6'] = 22, ['7'] = 23, ['8'] = 24, ['9'] = 25, ['A'] = 26, ['B'] = 27,
        ['C'] = 28, ['D'] = 29, ['E'] = 30, ['F'] = 31, ['a'] = 26, ['b'] = 27,
        ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31};
    unsigned char first = (unsigned char)in[0], second = (unsigned char)in[1];

    if (WITH_SHORTCUTS) {
        unsigned high = digits[first], low = digits[second];

        return (high & low & 16) != 0 ? (int)((high & 15) << 4 | (low & 15)) : -1;
    }
    return hex_digit(first) < 0 || hex_digit(second) < 0
               ? -1
               : hex_digit(first) << 4 | hex_digit(second);
}

/* Takes the digits of a number off the front, `most` at most. Returns how many there were. */
static size_t take_digits(struct cmcwh_text *text, int base, size_t most, uint64_t *number) {
    size_t digits = 0;

    for (*number = 0; digits < smaller(most, text->length); digits++) {
        int digit = hex_digit((unsigned char)text->data[digits]);

        if (digit < 0 || digit >= base) {
            break;
        }
        *number = *number * (unsigned)base + (unsigned)digit;
    }
    text_skip(text, digits);
    return digits;
}

static unsigned get16(const uint8_t *at) {
    return at[0] | (unsigned)at[1] << 8;
}

static uint32_t get24(const uint8_t *at) {
    return get16(at) | (uint32_t)at[2] << 16;
}

static uint32_t get32(const uint8_t *at) {
    return WITH_SHORTCUTS ? half_word_at(at) : get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint64_t get64(const uint8_t *at) {
    return WITH_SHORTCUTS ? word_at(at) : get32(at) | (uint64_t)get32(at + 4) << 32;
}

static void put16(uint8_t *at, size_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value) {
    put16(at, value & 0xFFFF);
    put16(at + 2, value >> 16);
}

static void put64(uint8_t *at, uint64_t value) {
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

/* Quotient and remainder, without a 64-bit division where the processor has none. `by` is less than
 * 2^31. */
static uint64_t divide(uint64_t value, uint32_t by, uint32_t *rest) {
#if UINTPTR_MAX > UINT32_MAX
    *rest = (uint32_t)(value % by);
    return value / by;
#else
    if (value <= UINT32_MAX) {
        *rest = (uint32_t)value % by;
        return (uint32_t)value / by;
    }
    *rest = 0;
    /* One bit goes out of `value`, one of the quotient in. */
    for (unsigned bits = 0; bits < 64; bits++) {
        *rest = *rest << 1 | (uint32_t)(value >> 63);
        value <<= 1;
        if (*rest >= by) {
            *rest -= by;
            value |= 1;
        }
    }
    return value;
#endif
}

/* ---- Sums -------------------------------------------------------------------------------------
 * CRC-32 and the hash. They see bytes, and no record or storage.
 */

/* A CRC is linear: an entry is the exclusive or of the entries of its bits. So the eight
 * constants of a table make the table, and the compiler does the work. */
#define CRC_BIT(n, bit, value) ((n) >> (bit)&1 ? value##u : 0u)
#define CRC_ENTRY(n, a, b, c, d, e, f, g, h)                                                       \
    (CRC_BIT(n, 0, a) ^ CRC_BIT(n, 1, b) ^ CRC_BIT(n, 2, c) ^ CRC_BIT(n, 3, d) ^                   \
     CRC_BIT(n, 4, e) ^ CRC_BIT(n, 5, f) ^ CRC_BIT(n, 6, g) ^ CRC_BIT(n, 7, h))
#define CRC_4(n, ...)                                                                              \
    CRC_ENTRY(n, __VA_ARGS__), CRC_ENTRY((n) + 1, __VA_ARGS__), CRC_ENTRY((n) + 2, __VA_ARGS__),   \
        CRC_ENTRY((n) + 3, __VA_ARGS__)
#define CRC_16(n, ...)                                                                             \
    CRC_4(n, __VA_ARGS__), CRC_4((n) + 4, __VA_ARGS__), CRC_4((n) + 8, __VA_ARGS__),               \
        CRC_4((n) + 12, __VA_ARGS__)
#define CRC_64(n, ...)                                                                             \
    CRC_16(n, __VA_ARGS__), CRC_16((n) + 16, __VA_ARGS__), CRC_16((n) + 32, __VA_ARGS__),          \
        CRC_16((n) + 48, __VA_ARGS__)
#define CRC_TABLE(...)                                                                             \
    {                                                                                              \
        CRC_64(0, __VA_ARGS__), CRC_64(64, __VA_ARGS__), CRC_64(128, __VA_ARGS__),                 \
            CRC_64(192, __VA_ARGS__)                                                               \
    }

#if CMCWH_CRC_SLICES == 0
/* Half a byte a step. */
static inline uint32_t crc_add(uint32_t crc, const uint8_t *bytes, size_t length) {
    static const uint32_t steps[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                       0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};

    while (length-- > 0) {
        crc ^= *bytes++;
        crc = crc >> 4 ^ steps[crc & 15];
        crc = crc >> 4 ^ steps[crc & 15];
    }
    return crc;
}
#else
/* Table k: a byte followed by k zero bytes. */
static const uint32_t crc_tables[CMCWH_CRC_SLICES][256] = {
    CRC_TABLE(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8, 0x76dc4190,
              0xedb88320),
#if CMCWH_CRC_SLICES == 8
    CRC_TABLE(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2, 0xf0794f05,
              0x3b83984b),
    CRC_TABLE(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0, 0x709a8dc0,
              0xe1351b80),
    CRC_TABLE(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e, 0x9b14583d,
              0xed59b63b),
    CRC_TABLE(0x3d6029b0, 0x7ac05360, 0xf580a6c0, 0x30704bc1, 0x60e09782, 0xc1c12f04, 0x58f35849,
              0xb1e6b092),
    CRC_TABLE(0xcb5cd3a5, 0x4dc8a10b, 0x9b914216, 0xec53826d, 0x03d6029b, 0x07ac0536, 0x0f580a6c,
              0x1eb014d8),
    CRC_TABLE(0xa6770bb4, 0x979f1129, 0xf44f2413, 0x33ef4e67, 0x67de9cce, 0xcfbd399c, 0x440b7579,
              0x8816eaf2),
    CRC_TABLE(0xccaa009e, 0x4225077d, 0x844a0efa, 0xd3e51bb5, 0x7cbb312b, 0xf9766256, 0x299dc2ed,
              0x533b85da),
#endif
};

/* Eight bytes a step ("slicing by 8") when the tables are there. */
static inline uint32_t crc_add(uint32_t crc, const uint8_t *bytes, size_t length) {
#if CMCWH_CRC_SLICES == 8
    for (; length >= 8; length -= 8, bytes += 8) {
        uint32_t one = crc ^ get32(bytes);
        uint32_t two = get32(bytes + 4);

        crc = crc_tables[7][one & 0xFF] ^ crc_tables[6][one >> 8 & 0xFF] ^
              crc_tables[5][one >> 16 & 0xFF] ^ crc_tables[4][one >> 24] ^
              crc_tables[3][two & 0xFF] ^ crc_tables[2][two >> 8 & 0xFF] ^
              crc_tables[1][two >> 16 & 0xFF] ^ crc_tables[0][two >> 24];
    }
#endif
    while (length-- > 0) {
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *bytes++) & 0xFF];
    }
    return crc;
}
#endif

/* CRC-32 of IEEE 802.3. */
static uint32_t crc32(const uint8_t *bytes, size_t length) {
    uint32_t crc = 0xFFFFFFFF;
#ifdef CMCWH_CRC32
    size_t taken = CMCWH_CRC32(&crc, bytes, length);

    bytes += taken;
    length -= taken;
#endif
    return ~crc_add(crc, bytes, length);
}

/* MurmurHash64A (Austin Appleby, public domain), its words read as little-endian. */
static uint64_t murmur64(const uint8_t *bytes, size_t length, uint64_t seed) {
    const uint64_t m = UINT64_C(0xc6a4a7935bd1e995);
    uint64_t hash = seed ^ length * m;
    bool longer = length >= 8;

    for (; length >= 8; length -= 8, bytes += 8) {
        uint64_t word = get64(bytes) * m;

        hash = (hash ^ (word ^ word >> 47) * m) * m;
    }
    if (length > 0) {
        uint64_t word = 0;

        if (WITH_SHORTCUTS && longer) { /* the last eight bytes, without those that have been */
            word = get64(bytes + length - 8) >> 8 * (8 - length);
            length = 0;
        }
        while (length > 0) {
            word = word << 8 | bytes[--length];
        }
        hash = (hash ^ word) * m;
    }
    hash = (hash ^ hash >> 47) * m;
    return hash ^ hash >> 47;
}

/* ---- Text in ----------------------------------------------------------------------------------
 * From text as it is sent (UTF-8, in JSON with escapes) to valid UTF-8. Comes in pieces of any
 * size: a piece may end inside a character or an escape. Nothing here knows where the text goes.
 */

/* Where decoded text goes. Whole characters only; what does not fit is counted, not kept. */
struct output {
    char *data;
    size_t room, used;
    size_t wanted;
};

static const char bad_utf8[] = "this byte cannot stand here in UTF-8";
static const char bad_escape[] = "not an escape that JSON knows";
static const char lone_surrogate[] = "half a surrogate pair: the other half must follow or precede";
static const char raw_control[] = "a control character must be escaped in a string";

static void decoder_init(struct cmcwh_decoder *decoder, bool json) {
    *decoder = (struct cmcwh_decoder){.json = json};
}

/* Between two characters: the text may end here. */
static bool decoder_clean(const struct cmcwh_decoder *decoder) {
    return (decoder->escape | decoder->more | decoder->high) == 0;
}

/* Appends one character, or counts it where it does not fit whole. */
static inline void output_bytes(struct output *output, const char *bytes, size_t length) {
    output->wanted += length;
    if (output->wanted <= output->room) {
        memcpy(output->data + output->used, bytes, length);
        output->used += length;
    }
}

/* Appends characters of one byte each, as many as fit: they may be cut anywhere. */
static void output_ascii(struct output *output, const char *bytes, size_t length) {
    if (output->wanted == output->used && output->room > output->used) {
        size_t fits = smaller(length, output->room - output->used);

        memcpy(output->data + output->used, bytes, fits);
        output->used += fits;
    }
    output->wanted += length;
}

static void output_code(struct output *output, uint32_t code) {
    unsigned more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3; /* bytes */
    char utf8[4];

    for (unsigned i = more; i > 0; i--) {
        utf8[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    utf8[0] = (char)(more == 0 ? code : 0xFF80 >> more | code);
    output_bytes(output, utf8, more + 1);
}

/* First byte of a character of several bytes (RFC 3629, section 4). */
static bool decode_lead(struct cmcwh_decoder *decoder, unsigned byte) {
    decoder->low = 0x80;
    decoder->top = 0xBF;
    if (byte >= 0xC2 && byte <= 0xDF) {
        decoder->more = 1;
        decoder->code = byte & 0x1F;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
        decoder->more = 2;
        decoder->code = byte & 0x0F;
        if (byte == 0xE0) {
            decoder->low = 0xA0; /* shorter forms exist */
        } else if (byte == 0xED) {
            decoder->top = 0x9F; /* surrogates */
        }
    } else if (byte >= 0xF0 && byte <= 0xF4) {
        decoder->more = 3;
        decoder->code = byte & 0x07;
        if (byte == 0xF0) {
            decoder->low = 0x90;
        } else if (byte == 0xF4) {
            decoder->top = 0x8F; /* past U+10FFFF */
        }
    } else {
        decoder->fault = bad_utf8;
        return false;
    }
    return true;
}

/* The four digits of \uXXXX have come. */
static bool decode_unit(struct cmcwh_decoder *decoder, struct output *output) {
    uint32_t unit = decoder->code;

    decoder->escape = 0;
    if (decoder->high != 0) {
        if (unit < 0xDC00 || unit > 0xDFFF) {
            decoder->fault = lone_surrogate;
            return false;
        }
        output_code(output, 0x10000 + ((uint32_t)(decoder->high & 0x3FF) << 10) + (unit & 0x3FF));
        decoder->high = 0;
    } else if (unit >= 0xD800 && unit <= 0xDBFF) {
        decoder->high = (uint16_t)unit;
    } else if (unit >= 0xDC00 && unit <= 0xDFFF) {
        decoder->fault = lone_surrogate;
        return false;
    } else {
        output_code(output, unit);
    }
    return true;
}

static const char escape_letters[] = "\"\\/bfnrt";
static const char escape_values[] = "\"\\/\b\f\n\r\t";

/* A byte inside an escape: escape == 1 after the backslash, 2 to 5 before each hex digit. */
static bool decode_escape(struct cmcwh_decoder *decoder, unsigned byte, struct output *output) {
    if (decoder->escape > 1) {
        int digit = hex_digit(byte);

        if (digit < 0) {
            decoder->fault = bad_escape;
            return false;
        }
        decoder->code = decoder->code << 4 | (uint32_t)digit;
        return decoder->escape++ < 5 || decode_unit(decoder, output);
    }
    if (byte == 'u') {
        decoder->escape = 2;
        decoder->code = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof escape_letters - 1; i++) {
        if (byte == (unsigned char)escape_letters[i] && decoder->high == 0) {
            decoder->escape = 0;
            output_bytes(output, &escape_values[i], 1);
            return true;
        }
    }
    decoder->fault = decoder->high != 0 ? lone_surrogate : bad_escape;
    return false;
}

/* One byte where no fast way applies. False: decoder->fault says what is wrong with it. */
static bool decode_byte(struct cmcwh_decoder *decoder, unsigned byte, struct output *output) {
    if (decoder->escape != 0) {
        return decode_escape(decoder, byte, output);
    }
    if (decoder->more != 0) {
        if (byte < decoder->low || byte > decoder->top) {
            decoder->fault = bad_utf8;
            return false;
        }
        decoder->low = 0x80;
        decoder->top = 0xBF;
        decoder->code = decoder->code << 6 | (byte & 0x3F);
        if (--decoder->more == 0) {
            output_code(output, decoder->code);
        }
        return true;
    }
    if (byte == '\\' && decoder->json) {
        decoder->escape = 1;
        return true;
    }
    if (decoder->high != 0) {
        decoder->fault = lone_surrogate;
        return false;
    }
    if (byte >= 0x80) {
        return decode_lead(decoder, byte);
    }
    if (byte < 0x20 && decoder->json) {
        decoder->fault = raw_control;
        return false;
    }
    output_code(output, byte);
    return true;
}

/* Plain is what neither the parser nor an encoder must look at: printable ASCII that needs no
 * escape in JSON, and most characters of three bytes. */
static inline bool plain_byte(unsigned byte) {
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

/* In each lane a byte, the lowest bit, the highest. */
#define EACH(c) ((lanes)-1 / 255 * (c))
static const lanes low_bits = EACH(1);
static const lanes high_bits = EACH(0x80);

/* A kind of ASCII that needs no second look: printable, from `least` on once some have changed
 * places by `swap`, without a backslash and `but`. In each lane. */
struct fine {
    lanes swap, least, but;
};

/* Once space and quote have changed places, the quote stands with what is less. */
static const struct fine plain_ascii = {EACH(' ' ^ '"'), EACH(' ' + 1), EACH('\\')};

/* What may stand in a logfmt value without quotes; '!' and '#' may too, after a second look. */
static const struct fine bare_ascii = {0, EACH('$'), EACH('=')};

/* Which bytes are not fine: the highest bit of each such byte's lane is set. A borrow can spoil
 * only lanes above one that is not fine: the lowest one is always right. */
static inline lanes not_fine(lanes word, const struct fine *fine) {
    lanes less = (word ^ fine->swap) - fine->least;
    lanes but = (word ^ fine->but) - low_bits;
    lanes backslash = (word ^ EACH('\\')) - low_bits;

    return ((word + low_bits) | less | but | backslash) & high_bits;
}

static inline lanes not_plain(lanes word) {
    return not_fine(word, &plain_ascii);
}

static inline bool has_zero(lanes word) {
    return ((word - low_bits) & ~word & high_bits) != 0;
}

/* The number of the lowest lane that is set. */
static inline size_t lowest_lane(lanes set) {
    return (size_t)((((set - 1) & ~set & high_bits) >> 7) * low_bits >> 8 * (LANES - 1));
}

/* Is the character in the lower bytes of `word` a plain one of three bytes, as most Japanese ones
 * are? In UTF-8 0xE0 is followed by 0xA0 or more, and 0xED by less: others are too long, or
 * surrogates. With 0xE2 0x80 and 0xE2 0x81 begin line separators and marks of direction. */
static inline bool plain_three(uint32_t word) {
    return (word & 0xC0C0F0) == 0x8080E0 && (word & 0x200F) != 0 && (word & 0x200F) != 0x200D &&
           (word & 0xFEFF) != 0x80E2;
}

/* Copies as many bytes as there are lanes. Returns which of them are not fine. */
static inline lanes copy_lanes(char *out, const char *in, const struct fine *fine) {
    lanes word;

    memcpy(&word, in, LANES);
    memcpy(out, &word, LANES);
    return not_fine(lanes_in_order(word), fine);
}

/* Copies ASCII, of fewer bytes than there are lanes, up to what is not fine, and returns how many:
 * what is behind them is zero, and so not fine. */
static size_t copy_few(char *out, const char *in, size_t length, const struct fine *fine) {
    lanes word = 0;

    for (size_t i = length; i-- > 0;) {
        word = word << 8 | (unsigned char)in[i];
        out[i] = in[i];
    }
    return lowest_lane(not_fine(word, fine));
}

/* The same of any length, the last bytes whether or not some of them have been copied. */
static inline size_t copy_ascii(char *out, const char *in, size_t length, const struct fine *fine) {
    size_t i = 0;

    for (; length - i >= LANES; i += LANES) {
        lanes odd = copy_lanes(out + i, in + i, fine);

        if (odd != 0) {
            return i + lowest_lane(odd);
        }
    }
    if (i < length) {
        lanes odd;

        if (length < LANES) {
            return copy_few(out, in, length, fine);
        }
        i = length - LANES;
        odd = copy_lanes(out + i, in + i, fine);
        return odd == 0 ? length : i + lowest_lane(odd);
    }
    return length;
}

/* Copies plain characters of three bytes that do not begin with `but`, and returns how many bytes.
 */
static size_t copy_threes(char *out, const char *in, size_t length, unsigned char but) {
    size_t i = 0;

    while (length - i >= 4 && (unsigned char)in[i] != but &&
           plain_three(get32((const uint8_t *)in + i))) {
        memcpy(out + i, in + i, 4);
        i += 3;
    }
    if (length - i == 3 && (unsigned char)in[i] != but &&
        plain_three(get24((const uint8_t *)in + i))) {
        memcpy(out + i, in + i, 3);
        i += 3;
    }
    return i;
}

/* Copies text from a character of several bytes on. */
static size_t copy_wide(char *out, const char *in, size_t length, const struct fine *fine,
                        unsigned char but) {
    size_t i = 0, wide;

    while ((wide = copy_threes(out + i, in + i, length - i, but)) > 0) {
        i += wide;
        i += copy_ascii(out + i, in + i, length - i, fine);
    }
    return i;
}

/* Copies text up to what is not plain. `out` has room for `length` bytes, all of which may be
 * written. */
static size_t copy_plain(char *out, const char *in, size_t length) {
    size_t i = 0;

    if (WITH_SHORTCUTS) {
        i = copy_ascii(out, in, length, &plain_ascii);
        return i < length && (in[i] & 0x80) != 0
                   ? i + copy_wide(out + i, in + i, length - i, &plain_ascii, 0)
                   : i;
    }
    for (; i < length && plain_byte((unsigned char)in[i]); i++) {
        out[i] = in[i];
    }
    return i;
}

/* The same up to what is not bare, in which nothing begins with 0xE2. */
static size_t copy_bare(char *out, const char *in, size_t length) {
    size_t i = copy_ascii(out, in, length, &bare_ascii);

    return i < length && (in[i] & 0x80) != 0
               ? i + copy_wide(out + i, in + i, length - i, &bare_ascii, 0xE2)
               : i;
}

/* Goes past plain bytes of text that is not wanted, or for which there is too little room. */
static size_t skip_plain(struct output *output, const char *in, size_t length) {
    size_t i = 0;

    while (WITH_SHORTCUTS && length - i >= LANES && not_plain(lanes_at(in + i)) == 0) {
        i += LANES;
    }
    while (i < length && plain_byte((unsigned char)in[i])) {
        i++;
    }
    output_ascii(output, in, i);
    return i;
}

/* Decodes until the text ends, a quote ends the string, or a fault. Returns how many bytes were
 * taken; fewer than `length` mean the quote or, if decoder->fault is set, the bad byte. */
static size_t decode(struct cmcwh_decoder *decoder, const char *in, size_t length,
                     struct output *output) {
    size_t i = 0;

    while (i < length) {
        if (decoder_clean(decoder)) {
            if (output->room - output->used >= length - i && output->wanted == output->used) {
                size_t copied = copy_plain(output->data + output->used, in + i, length - i);

                output->used += copied;
                output->wanted += copied;
                i += copied;
            } else {
                i += skip_plain(output, in + i, length - i);
            }
            if (i == length || (in[i] == '"' && decoder->json)) {
                break;
            }
        }
        if (!decode_byte(decoder, (unsigned char)in[i], output)) {
            break;
        }
        i++;
    }
    return i;
}

/* ---- Text out ---------------------------------------------------------------------------------
 * Numbers, times and text as somebody will read them: each put_ function writes at `out` and
 * returns the place behind it. What could forge a line, a terminal sequence or a header is escaped
 * here, and nowhere else. Nothing here knows of records.
 */

static char *put_bytes(char *out, const char *bytes, size_t length) {
    memcpy(out, bytes, length);
    return out + length;
}

static char *put_word(char *out, const char *word) {
    return put_bytes(out, word, strlen(word));
}

static char *put_decimal(char *out, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    uint32_t rest;

    do {
        value = divide(value, 10, &rest);
        digits[--at] = (char)('0' + rest);
    } while (value != 0);
    return put_bytes(out, digits + at, sizeof digits - at);
}

static char *put_padded(char *out, uint32_t value, int digits) {
    for (int i = digits; i-- > 0; value /= 10) {
        out[i] = (char)('0' + value % 10);
    }
    return out + digits;
}

/* Two digits of a number below 100. */
static inline char *put_pair(char *out, uint32_t value) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";

    return WITH_SHORTCUTS ? put_bytes(out, pairs + 2 * value, 2) : put_padded(out, value, 2);
}

static inline char *put_year(char *out, uint32_t year) {
    return WITH_SHORTCUTS ? put_pair(put_pair(out, year / 100 % 100), year % 100)
                          : put_padded(out, year, 4);
}

/* Eight hexadecimal digits as one number: the first one goes down to the lowest byte, the half of
 * the number that it is in before it, and each byte's half then becomes a digit. */
static inline uint64_t hex_digits(uint32_t value) {
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t digits = value;

    digits = (digits << 32 | digits >> 16) & UINT64_C(0x0000FFFF0000FFFF);
    digits = (digits << 16 | digits >> 8) & UINT64_C(0x00FF00FF00FF00FF);
    digits = (digits << 8 | digits >> 4) & each * 0x0F;
    return digits + each * '0' + ((digits + each * 6) >> 4 & each) * ('a' - '0' - 10);
}

static char *put_hex(char *out, uint64_t value, int digits) {
    int i = digits;

    for (; WITH_SHORTCUTS && i >= 8; i -= 8, value >>= 32) {
        put64((uint8_t *)out + i - 8, hex_digits((uint32_t)value));
    }
    for (; i-- > 0; value >>= 4) {
        out[i] = "0123456789abcdef"[value & 15];
    }
    return out + digits;
}

struct calendar {
    uint32_t year, month, day, weekday; /* month from 1, weekday from Sunday = 0 */
    uint32_t hour, minute, second, ms;
};

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days to a date after Howard Hinnant's civil_from_days: years begin in March, so that the leap
 * day is a year's last. */
static struct calendar calendar_of(uint64_t time) {
    enum { DAY = 86400000 /* ms: 2^10 times 84375 */ };
    struct calendar c;
    uint32_t in_day, era, day_of_era, year_of_era, day_of_year, shifted;
    uint32_t days = (uint32_t)divide(time >> 10, DAY >> 10, &in_day); /* 32 bits for long yet */

    in_day = (uint32_t)(time - (uint64_t)days * DAY);
    c.ms = in_day % 1000;
    c.second = in_day / 1000 % 60;
    c.minute = in_day / 60000 % 60;
    c.hour = in_day / 3600000;
    c.weekday = (days + 4) % 7;
    days += 719468;
    era = days / 146097;
    day_of_era = days % 146097;
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    shifted = (5 * day_of_year + 2) / 153;
    c.day = day_of_year - (153 * shifted + 2) / 5 + 1;
    c.month = shifted < 10 ? shifted + 3 : shifted - 9;
    c.year = year_of_era + era * 400 + (c.month <= 2);
    return c;
}

static char *put_clock(char *out, const struct calendar *c) {
    out = put_pair(out, c->hour);
    *out++ = ':';
    out = put_pair(out, c->minute);
    *out++ = ':';
    return put_pair(out, c->second);
}

/* RFC 3339 in UTC. */
static char *put_time(char *out, uint64_t time) {
    struct calendar c = calendar_of(time);

    out = put_year(out, c.year);
    *out++ = '-';
    out = put_pair(out, c.month);
    *out++ = '-';
    out = put_pair(out, c.day);
    *out++ = 'T';
    out = put_clock(out, &c);
    *out++ = '.';
    out = put_padded(out, c.ms, 3);
    *out++ = 'Z';
    return out;
}

/* What must not come out as it is. The bytes of UTF-8 that begin a C1 control (U+0080 to U+009F),
 * a line separator (U+2028, U+2029) or a mark of direction need a second look. */
static bool needs_look(unsigned byte) {
    return byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7F || byte == 0xC2 ||
           byte == 0xE2;
}

static char *put_escape(char *out, uint32_t code) {
    static const char letters[] = "btn\0fr";

    *out++ = '\\';
    if (code == '"' || code == '\\') {
        *out++ = (char)code;
    } else if (code >= '\b' && code <= '\r' && code != '\v') {
        *out++ = letters[code - '\b'];
    } else {
        *out++ = 'u';
        out = put_hex(out, code, 4);
    }
    return out;
}

/* A line separator, or what changes the direction in which all that follows is read: U+200E,
 * U+200F, U+2028 to U+202E, U+2066 to U+2069. */
static bool unsafe_mark(uint32_t code) {
    return (code & 0x3FFE) == 0x200E || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069);
}

/* The character of several bytes at `in` that may not come out as it is, or 0. */
static uint32_t unsafe_wide(const unsigned char *in, size_t length, size_t *size) {
    if (length >= 2 && in[0] == 0xC2 && in[1] < 0xA0) {
        *size = 2;
        return in[1];
    }
    if (length >= 3 && in[0] == 0xE2) {
        uint32_t code = 0x2000 | (in[1] & 0x3Fu) << 6 | (in[2] & 0x3Fu);

        *size = unsafe_mark(code) ? 3 : 1;
        return *size == 3 ? code : 0;
    }
    *size = 1;
    return 0;
}

/* Text inside quotes. `json`: it is JSON already, whose own quotes and escapes stay. */
static char *put_escaped(char *out, struct cmcwh_text text, bool json) {
    const unsigned char *in = (const unsigned char *)text.data;

    for (size_t i = 0; i < text.length;) {
        size_t plain = copy_plain(out, text.data + i, text.length - i), size = 1;
        uint32_t code;

        out += plain;
        i += plain;
        if (i == text.length) {
            break;
        }
        if (!needs_look(in[i])) {
            *out++ = (char)in[i++];
            continue;
        }
        code = in[i] < 0x80 ? in[i] : unsafe_wide(in + i, text.length - i, &size);
        if (code == 0 && in[i] != 0) {
            *out++ = (char)in[i];
        } else if (json && code >= 0x20 && code < 0x7F) {
            *out++ = (char)code;
        } else {
            out = put_escape(out, code);
        }
        i += size;
    }
    return out;
}

/* Text inside quotes of JSON that a program reads: escaped is what must be, in one way only. */
static char *put_spelled(char *out, struct cmcwh_text text) {
    for (size_t i = 0; i < text.length;) {
        size_t plain = copy_plain(out, text.data + i, text.length - i);
        unsigned char byte;

        out += plain;
        i += plain;
        if (i == text.length) {
            break;
        }
        byte = (unsigned char)text.data[i++];
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            out = put_escape(out, byte);
        } else {
            *out++ = (char)byte;
        }
    }
    return out;
}

/* Most texts are plain: for these nothing is called. */
static inline char *put_quoted(char *out, struct cmcwh_text text) {
    size_t copied = 0;

    *out++ = '"';
    if (WITH_SHORTCUTS) {
        copied = copy_ascii(out, text.data, text.length, &plain_ascii);
        out += copied;
    }
    if (!WITH_SHORTCUTS || copied < text.length) {
        struct cmcwh_text rest = {text.data + copied, text.length - copied};

        out = put_escaped(out, rest, false);
    }
    *out++ = '"';
    return out;
}

/* The bytes that the first character of a text takes when it is escaped; its own in *bytes. */
static size_t escaped_size(struct cmcwh_text text, size_t *bytes) {
    char escaped[12];

    *bytes = 1;
    while (*bytes < smaller(4, text.length) && (text.data[*bytes] & 0xC0) == 0x80) {
        ++*bytes;
    }
    text.length = *bytes;
    return needs_look((unsigned char)*text.data)
               ? (size_t)(put_escaped(escaped, text, false) - escaped)
               : text.length;
}

/* How much of a text may be escaped into `room` bytes, in whole characters. */
static size_t fit_escaped(struct cmcwh_text text, size_t room) {
    size_t fit = text.length <= room / 6 ? text.length : 0;

    while (fit < text.length) {
        struct cmcwh_text rest = {text.data + fit, text.length - fit};
        size_t bytes = LANES, size = LANES;

        if (!WITH_SHORTCUTS || rest.length < LANES || room < LANES ||
            not_plain(lanes_at(rest.data)) != 0) {
            size = escaped_size(rest, &bytes);
        }
        if (size > room) {
            break;
        }
        room -= size;
        fit += bytes;
    }
    return fit;
}

/* In quotes, cut where it would take more than `room` bytes between them. */
static char *put_quoted_within(char *out, const char *word, size_t room) {
    struct cmcwh_text text = text_of(word);

    text.length = fit_escaped(text, room);
    return put_quoted(out, text);
}

/* ---- Record -----------------------------------------------------------------------------------
 * One event in bytes, as it is once it has been built; the layout is in cmcwh.h. Nothing here knows
 * of the ring that holds it.
 */

enum {
    AT_VERSION = 4,
    AT_KIND = 5,
    AT_STATUS = 6,
    AT_FLAGS = 7,
    AT_SEQ = 8,
    AT_BATCH = 16,
    AT_BATCH_SIZE = 24,
    AT_LENGTH = 28,
    AT_TRUNCATED = 30,
    AT_RECEIVED = 32,
    AT_ID = 40,
    AT_LENGTHS = 48
};

/* Flags that are gone when a record is committed. */
enum { FLAG_FULL = 1 /* a field that gives way after server_composition found too little room */ };

/* What there is to know of a field. */
struct field {
    char name[20];  /* CMC's spelling, */
    uint8_t length; /* and of how many bytes it is */
    uint8_t rank;   /* when texts do not fit, the smallest gives way first */
};

#define FIELD(name, rank)                                                                          \
    { name, sizeof(name) - 1, rank }

static const struct field fields[CMCWH_FIELDS] = {
    [CMCWH_REASON] = FIELD("reason", 0),
    [CMCWH_SOURCE_IP] = FIELD("sourceIp", 6),
    [CMCWH_RETURN_PATH] = FIELD("returnPath", 10),
    [CMCWH_CREATED] = FIELD("created", 8),
    [CMCWH_SUBJECT] = FIELD("subject", 1),
    [CMCWH_API_DATA] = FIELD("apiData", 2),
    [CMCWH_MESSAGE_ID] = FIELD("messageId", 13),
    [CMCWH_FROM] = FIELD("from", 11),
    [CMCWH_TO] = FIELD("to", 12),
    [CMCWH_SENDER_IP] = FIELD("senderIp", 7),
    [CMCWH_STATUS] = FIELD("status", 9),
    [CMCWH_MEMBERS] = FIELD("", 3),
    [CMCWH_EVENT_TYPE] = FIELD("event_type", 5),
    [CMCWH_SERVER_COMPOSITION] = FIELD("server_composition", 4),
};

/* What there is to know of a kind of event, and of a delivery's status: its name in a request, and
 * its severity in syslog. */
struct sort {
    char name[14];
    uint8_t length, severity;
};

#define SORT(name, severity)                                                                       \
    { name, sizeof(name) - 1, severity }

static const struct sort kinds[] = {[CMCWH_OTHER] = SORT("other", 6),
                                    [CMCWH_DELIVERIES] = SORT("deliveries", 6),
                                    [CMCWH_BOUNCES] = SORT("bounces", 3),
                                    [CMCWH_BLOCKS] = SORT("blocks", 4)};

static const struct sort delivery_statuses[] = {[CMCWH_UNKNOWN] = SORT("", 6),
                                                [CMCWH_QUEUED] = SORT("queued", 6),
                                                [CMCWH_SUCCEEDED] = SORT("succeeded", 6),
                                                [CMCWH_FAILED] = SORT("failed", 3),
                                                [CMCWH_DEFERRED] = SORT("deferred", 5)};

static struct cmcwh_text sort_name(const struct sort *sort) {
    struct cmcwh_text name = {sort->name, sort->length};

    return name;
}

static bool name_is(struct cmcwh_text text, const char *name, size_t length) {
    return text.length == length && memcmp(text.data, name, length) == 0;
}

/* Which one, from 1 on, has this name; 0: none. */
static unsigned sort_of(const struct sort *sorts, unsigned count, struct cmcwh_text name) {
    for (unsigned i = 1; i < count; i++) {
        if (name_is(name, sorts[i].name, sorts[i].length)) {
            return i;
        }
    }
    return 0;
}

const char *cmcwh_bounce_name(unsigned number) {
    static const char names[] = "unknown\0"
                                "unknown host\0"
                                "unknown user\0"
                                "resend time-out\0"
                                "rejected by policy\0"
                                "mailbox over capacity\0"
                                "forwarding error\0"
                                "receiving server error\0"
                                "message too large\0"
                                "address format\0"
                                "blocked address\0"
                                "unsubscribed";

    return number == CMCWH_BOUNCE_OTHER
               ? "other permanent error"
               : word_number(names, number <= CMCWH_BOUNCE_UNSUBSCRIBED ? number : CMCWH_UNKNOWN);
}

const char *cmcwh_field_name(enum cmcwh_field field) {
    return (unsigned)field < CMCWH_FIELDS ? fields[field].name : "";
}

static size_t field_length(const struct cmcwh_record *record, unsigned field) {
    return get16(record->bytes + AT_LENGTHS + 2 * field);
}

static void field_set_length(struct cmcwh_record *record, unsigned field, size_t length) {
    put16(record->bytes + AT_LENGTHS + 2 * field, length);
}

/* Where the text of a field begins. */
static size_t field_start(const struct cmcwh_record *record, unsigned field) {
    size_t start = CMCWH_RECORD_HEADER;

    for (unsigned before = 0; before < field; before++) {
        start += field_length(record, before);
    }
    return start;
}

static uint64_t record_seq(const struct cmcwh_record *record) {
    return get64(record->bytes + AT_SEQ);
}

static uint64_t record_batch(const struct cmcwh_record *record) {
    return get64(record->bytes + AT_BATCH);
}

static uint32_t record_batch_size(const struct cmcwh_record *record) {
    return get32(record->bytes + AT_BATCH_SIZE);
}

static enum cmcwh_kind record_kind(const struct cmcwh_record *record) {
    unsigned kind = record->bytes[AT_KIND];

    return kind <= CMCWH_BLOCKS ? (enum cmcwh_kind)kind : CMCWH_OTHER;
}

static size_t record_length(const struct cmcwh_record *record) {
    return get16(record->bytes + AT_LENGTH);
}

static struct cmcwh_text record_text(const struct cmcwh_record *record, unsigned field) {
    struct cmcwh_text text = {(const char *)record->bytes + field_start(record, field),
                              field_length(record, field)};

    return text;
}

/* All texts at once: it takes no longer than the last of them. */
static void record_texts(const struct cmcwh_record *record, struct cmcwh_text *texts) {
    const char *text = (const char *)record->bytes + CMCWH_RECORD_HEADER;

    for (unsigned field = 0; field < CMCWH_FIELDS; field++) {
        texts[field].data = text;
        texts[field].length = field_length(record, field);
        text += texts[field].length;
    }
}

void cmcwh_record_read(const struct cmcwh_record *record, struct cmcwh_event *event) {
    event->seq = record_seq(record);
    event->batch = record_batch(record);
    event->batch_size = record_batch_size(record);
    event->received = get64(record->bytes + AT_RECEIVED);
    event->id = get64(record->bytes + AT_ID);
    event->kind = record_kind(record);
    event->status = record->bytes[AT_STATUS];
    event->severity = event->kind == CMCWH_DELIVERIES && event->status <= CMCWH_DEFERRED
                          ? delivery_statuses[event->status].severity
                          : kinds[event->kind].severity;
    event->truncated = get16(record->bytes + AT_TRUNCATED) & ((1u << CMCWH_FIELDS) - 1);
    record_texts(record, event->texts);
}

struct cmcwh_text cmcwh_event_type(const struct cmcwh_event *event) {
    const struct cmcwh_text *text = &event->texts[CMCWH_EVENT_TYPE];

    return event->kind == CMCWH_OTHER && text->length > 0 ? *text : sort_name(&kinds[event->kind]);
}

/* The next of an event's own members, `"name":value` and a newline, taken from `members`. False
 * when there is none, or what is there is not one. */
static bool next_member(struct cmcwh_text *members, struct cmcwh_text *name,
                        struct cmcwh_text *value) {
    const char *data = members->data;
    size_t length = members->length, quote = 1, end;

    while (quote < length && data[quote] != '"') {
        quote += data[quote] == '\\' ? 2 : 1;
    }
    end = quote + 2;
    while (end < length && data[end] != '\n') { /* behind every member, and nowhere in JSON text */
        end++;
    }
    if (end >= length || data[0] != '"' || data[quote + 1] != ':' || end == quote + 2) {
        return false;
    }
    name->data = data + 1;
    name->length = quote - 1;
    value->data = data + quote + 2;
    value->length = end - quote - 2;
    text_skip(members, end + 1);
    return true;
}

/* Are all texts plain, as most are? They stand in one piece, and each begins with a character. The
 * last bytes are looked at one by one: false if they are no ASCII. */
static bool texts_plain(const struct cmcwh_text *texts) {
    const char *text = texts[0].data;
    size_t left = (size_t)(texts[CMCWH_FIELDS - 1].data - text) + texts[CMCWH_FIELDS - 1].length;

    for (unsigned field = 1; field < CMCWH_FIELDS; field++) {
        if (texts[field].length > 0 && (texts[field].data[0] & 0xC0) == 0x80) {
            return false;
        }
    }
    while (left > LANES) {
        lanes odd = not_plain(lanes_at(text));
        size_t passed = odd == 0 ? LANES : lowest_lane(odd);

        if (odd != 0) {
            if (left - passed < 4 || !plain_three(get32((const uint8_t *)text + passed))) {
                return false;
            }
            passed += 3;
        }
        text += passed;
        left -= passed;
    }
    while (left > 0 && plain_byte((unsigned char)*text)) {
        text++;
        left--;
    }
    return left == 0;
}

static bool text_valid(struct cmcwh_text text) {
    struct output nowhere = {NULL, 0, 0, 0};
    struct cmcwh_decoder decoder;

    decoder_init(&decoder, false);
    return decode(&decoder, text.data, text.length, &nowhere) == text.length &&
           decoder_clean(&decoder);
}

/* Is every text UTF-8, and CMCWH_MEMBERS a list of members? Not so in a record that somebody else
 * has made, CRC and all. */
static bool texts_good(const struct cmcwh_record *record) {
    struct cmcwh_text texts[CMCWH_FIELDS], name, value;

    record_texts(record, texts);
    if (!WITH_SHORTCUTS || !texts_plain(texts)) {
        for (unsigned field = 0; field < CMCWH_FIELDS; field++) {
            if (!text_valid(texts[field])) {
                return false;
            }
        }
    }
    while (next_member(&texts[CMCWH_MEMBERS], &name, &value)) {
    }
    return texts[CMCWH_MEMBERS].length == 0;
}

int cmcwh_record_check(const struct cmcwh_record *record) {
    const uint8_t *bytes = record->bytes;
    size_t length = record_length(record);

    if (memcmp(bytes, CMCWH_RECORD_MAGIC, 4) != 0 || bytes[AT_VERSION] != CMCWH_RECORD_VERSION ||
        length < CMCWH_RECORD_HEADER + CMCWH_RECORD_CRC || length > CMCWH_RECORD_SIZE ||
        field_start(record, CMCWH_FIELDS) + CMCWH_RECORD_CRC != length) {
        return CMCWH_ERR_RECORD;
    }
    length -= CMCWH_RECORD_CRC;
    return get32(bytes + length) == crc32(bytes, length) && texts_good(record) ? CMCWH_OK
                                                                               : CMCWH_ERR_RECORD;
}

/* It is to be read or written soon: in a large ring no record is near the processor. */
static inline void record_fetch(const struct cmcwh_record *record) {
#ifdef CMCWH_PREFETCH
    enum { LINE = 64, USED = 576 }; /* bytes of a processor's cache, and that most events take */

    for (size_t at = 0; at < USED && at < sizeof record->bytes; at += LINE) {
        CMCWH_PREFETCH(record->bytes + at);
    }
#else
    (void)record;
#endif
}

/* All of it but its CRC. */
static void record_copy(struct cmcwh_record *to, const struct cmcwh_record *from) {
    memcpy(to->bytes, from->bytes, record_length(from));
}

static void record_number(struct cmcwh_record *record, uint64_t seq, uint64_t batch) {
    put64(record->bytes + AT_SEQ, seq);
    put64(record->bytes + AT_BATCH, batch);
}

/* Puts the CRC behind a record that leaves the memory in which it was made. */
static void record_seal(struct cmcwh_record *record) {
    size_t length = record_length(record);

    put32(record->bytes + length - CMCWH_RECORD_CRC,
          crc32(record->bytes, length - CMCWH_RECORD_CRC));
    memset(record->bytes + length, 0, CMCWH_RECORD_SIZE - length);
}

/* ---- Draft ------------------------------------------------------------------------------------
 * A record that is being built. Texts come in any order: most in that of the record, and are simply
 * appended. When they do not fit, some give way. draft_put is the one way of a text into a record,
 * member_put that of what is kept as JSON.
 */

static void draft_begin(struct cmcwh_draft *draft, struct cmcwh_record *record,
                        enum cmcwh_kind kind) {
    memset(record->bytes, 0, CMCWH_RECORD_HEADER);
    memcpy(record->bytes, CMCWH_RECORD_MAGIC, 4);
    record->bytes[AT_VERSION] = CMCWH_RECORD_VERSION;
    record->bytes[AT_KIND] = (uint8_t)kind;
    *draft = (struct cmcwh_draft){.record = record};
}

static void mask_change(unsigned *mask, unsigned field, bool on) {
    *mask = (*mask & ~(1u << field)) | (on ? 1u << field : 0);
}

static void draft_mark_cut(struct cmcwh_draft *draft, unsigned field, bool cut) {
    unsigned mask = get16(draft->record->bytes + AT_TRUNCATED);

    mask_change(&mask, field, cut);
    put16(draft->record->bytes + AT_TRUNCATED, mask);
}

/* Where the next text goes, behind all others. */
static char *draft_end(const struct cmcwh_draft *draft) {
    return (char *)draft->record->bytes + CMCWH_RECORD_HEADER + draft->used;
}

/* Shortens a field to its first `keep` bytes, which end between two characters. */
static void field_shorten(struct cmcwh_draft *draft, unsigned field, size_t keep) {
    size_t length = field_length(draft->record, field);
    char *start = (char *)draft->record->bytes + field_start(draft->record, field);
    char *end = start + length;

    memmove(start + keep, end, (size_t)(draft_end(draft) - end));
    field_set_length(draft->record, field, keep);
    draft->used -= (unsigned)(length - keep);
}

/* The longest beginning of a field, not over `keep` (which is less than all), that may stand alone.
 */
static size_t field_boundary(const struct cmcwh_record *record, unsigned field, size_t keep) {
    const char *text = record_text(record, field).data;

    if (field == CMCWH_MEMBERS) {
        while (keep > 0 && text[keep - 1] != '\n') {
            keep--;
        }
    } else {
        while (keep > 0 && ((unsigned char)text[keep] & 0xC0) == 0x80) {
            keep--;
        }
    }
    return keep;
}

static unsigned field_of_rank(unsigned rank) {
    unsigned field = 0;

    while (fields[field].rank != rank) {
        field++;
    }
    return field;
}

/* Takes up to `bytes` from the fields that give way before `field`. True when any did. */
static bool draft_squeeze(struct cmcwh_draft *draft, unsigned field, size_t bytes) {
    bool gave = false;

    for (unsigned rank = 0; rank < fields[field].rank && bytes > 0; rank++) {
        unsigned other = field_of_rank(rank);
        size_t length = field_length(draft->record, other), keep;

        if (length == 0) {
            continue;
        }
        keep = field_boundary(draft->record, other, length - smaller(bytes, length));
        field_shorten(draft, other, keep);
        draft_mark_cut(draft, other, true);
        mask_change(&draft->squeezed, other, true);
        bytes -= smaller(bytes, length - keep);
        gave = true;
    }
    return gave;
}

/* Has a field that gives way after this one found too little room? */
static bool draft_full(const struct cmcwh_draft *draft, unsigned field) {
    for (unsigned other = 0; other < CMCWH_FIELDS; other++) {
        if ((draft->squeezed >> other & 1) != 0 && fields[other].rank > fields[field].rank) {
            return true;
        }
    }
    return false;
}

/* Bytes that a field may use now: none once a field that gives way later found too few, so that
 * the outcome does not depend on the order in which fields come. */
static size_t draft_room(const struct cmcwh_draft *draft, unsigned field) {
    return draft_full(draft, field) ? 0 : CMCWH_RECORD_TEXT - draft->used;
}

static void reverse(char *first, char *end) {
    while (first < end) {
        char byte = *first;

        *first++ = *--end;
        *end = byte;
    }
}

/* Moves the text behind all others to the end of a field that others stand behind. */
static void draft_rotate(struct cmcwh_draft *draft, unsigned field, size_t length) {
    char *place = (char *)draft->record->bytes + field_start(draft->record, field + 1);
    char *end = draft_end(draft);

    reverse(place, end);
    reverse(end, end + length);
    reverse(place, end + length);
}

/* The text of `field` was written behind all others: moves it to its place and counts it. */
static inline void draft_settle(struct cmcwh_draft *draft, unsigned field, size_t length) {
    if (length == 0) {
        return;
    }
    if (field + 1 < draft->highest) {
        draft_rotate(draft, field, length);
    } else {
        draft->highest = field + 1;
    }
    field_set_length(draft->record, field, field_length(draft->record, field) + length);
    draft->used += (unsigned)length;
}

/* Copies plain text behind all others, as much as there is of it and as fits, for draft_settle.
 * False when that is not so simple: another text stands behind the place of this one, or had to
 * give way. */
static inline bool draft_copy(const struct cmcwh_draft *draft, unsigned field,
                              struct cmcwh_text text, size_t *copied) {
    *copied = 0;
    if (field < draft->highest || draft->squeezed != 0) {
        return false;
    }
    *copied = copy_plain(draft_end(draft), text.data,
                         smaller(text.length, CMCWH_RECORD_TEXT - draft->used));
    return true;
}

/* Puts a text into a field, instead of what is there; while it does not fit, those give way that do
 * so before it. Returns how many bytes of it were taken; `decoder` says what is wrong with the next
 * one, and is not touched when all was simple. */
static size_t draft_put(struct cmcwh_draft *draft, unsigned field, struct cmcwh_text raw, bool json,
                        struct cmcwh_decoder *decoder) {
    struct output output;
    size_t taken, copied = 0;

    if (WITH_SHORTCUTS && draft_copy(draft, field, raw, &copied) && copied == raw.length) {
        draft_settle(draft, field, copied);
        return copied;
    }
    if (field_length(draft->record, field) > 0) {
        field_shorten(draft, field, 0); /* of repeated ones the last counts */
    }
    for (;; copied = 0) {
        output.data = draft_end(draft);
        output.room = draft_room(draft, field);
        output.used = output.wanted = copied;
        decoder_init(decoder, json);
        taken = copied + decode(decoder, raw.data + copied, raw.length - copied, &output);
        if (output.wanted == output.used ||
            !draft_squeeze(draft, field, output.wanted - output.room)) {
            break;
        }
    }
    draft_settle(draft, field, output.used);
    mask_change(&draft->squeezed, field, output.wanted != output.used);
    draft_mark_cut(draft, field, output.wanted != output.used);
    return taken;
}

/* Puts a text that has been decoded. */
static void draft_text(struct cmcwh_draft *draft, unsigned field, struct cmcwh_text text) {
    struct cmcwh_decoder decoder;

    (void)draft_put(draft, field, text, false, &decoder);
}

/* A member's name as it is kept, a piece at a time: decoded, and what JSON must have escaped is
 * escaped again, in one way only. */
struct spelling {
    struct cmcwh_text left; /* the rest of the name as it was sent */
    struct cmcwh_decoder decoder;
    size_t length;
    char text[96]; /* the piece */
};

static void spell_begin(struct spelling *spelling, struct cmcwh_text sent) {
    spelling->left = sent;
    decoder_init(&spelling->decoder, true);
}

/* Decodes the next piece of the text. False when nothing is left. */
static bool spell(struct spelling *spelling) {
    enum { PIECE = 12, PENDING = 3 }; /* a character may have begun in the piece before */
    char decoded[PIECE + PENDING];
    struct output output = {decoded, sizeof decoded, 0, 0};
    size_t length = smaller(spelling->left.length, PIECE);

    (void)decode(&spelling->decoder, spelling->left.data, length, &output);
    text_skip(&spelling->left, length);
    spelling->length =
        (size_t)(put_spelled(spelling->text, (struct cmcwh_text){decoded, output.used}) -
                 spelling->text);
    return length > 0;
}

/* Is this the name of a member that is kept? */
static bool spelled_so(struct cmcwh_text sent, struct cmcwh_text kept) {
    struct spelling spelling;

    spell_begin(&spelling, sent);
    while (spell(&spelling)) {
        if (spelling.length > kept.length ||
            memcmp(spelling.text, kept.data, spelling.length) != 0) {
            return false;
        }
        text_skip(&kept, spelling.length);
    }
    return kept.length == 0;
}

/* Makes ready for a member: one of the same name goes, since the last one counts. Returns where in
 * CMCWH_MEMBERS the new one begins. */
static size_t member_begin(struct cmcwh_draft *draft, struct cmcwh_text name) {
    struct cmcwh_text all = record_text(draft->record, CMCWH_MEMBERS), rest = all, had, value;
    size_t member = 0;

    while (next_member(&rest, &had, &value)) {
        if (spelled_so(name, had)) {
            memmove((char *)draft->record->bytes + field_start(draft->record, CMCWH_MEMBERS) +
                        member,
                    rest.data, rest.length);
            field_shorten(draft, CMCWH_MEMBERS, member + rest.length);
            break;
        }
        member = all.length - rest.length;
    }
    return field_length(draft->record, CMCWH_MEMBERS);
}

/* Appends to the member that begins at `start`. False when there is no room: then the member is
 * gone, and the loss marked. The fields behind CMCWH_MEMBERS must still be empty. */
static bool member_put(struct cmcwh_draft *draft, size_t start, const char *bytes, size_t length) {
    size_t room = draft_room(draft, CMCWH_MEMBERS);

    if (length > room) {
        (void)draft_squeeze(draft, CMCWH_MEMBERS, length - room);
        room = draft_room(draft, CMCWH_MEMBERS);
    }
    if (length > room) {
        field_shorten(draft, CMCWH_MEMBERS, start);
        draft_mark_cut(draft, CMCWH_MEMBERS, true);
        return false;
    }
    memcpy(draft_end(draft), bytes, length);
    draft_settle(draft, CMCWH_MEMBERS, length);
    return true;
}

static enum cmcwh_kind kind_of(struct cmcwh_text name) {
    return (enum cmcwh_kind)sort_of(kinds, sizeof kinds / sizeof *kinds, name);
}

static unsigned status_code(enum cmcwh_kind kind, struct cmcwh_text text) {
    unsigned code = 0;

    if (kind == CMCWH_DELIVERIES) {
        return sort_of(delivery_statuses, sizeof delivery_statuses / sizeof *delivery_statuses,
                       text);
    }
    if (kind != CMCWH_BOUNCES || text.length > 2) {
        return CMCWH_UNKNOWN;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return CMCWH_UNKNOWN;
        }
        code = 10 * code + (unsigned)(text.data[i] - '0');
    }
    return code <= CMCWH_BOUNCE_UNSUBSCRIBED || code == CMCWH_BOUNCE_OTHER ? code : CMCWH_UNKNOWN;
}

/* Says how long the record is with the texts it has. */
static void draft_measure(const struct cmcwh_draft *draft) {
    put16(draft->record->bytes + AT_LENGTH, CMCWH_RECORD_HEADER + draft->used + CMCWH_RECORD_CRC);
}

/* The event is whole: what follows from its texts. */
static void draft_close(struct cmcwh_draft *draft) {
    const unsigned identity = 1u << CMCWH_EVENT_TYPE | 1u << CMCWH_MESSAGE_ID | 1u << CMCWH_TO |
                              1u << CMCWH_STATUS | 1u << CMCWH_CREATED;
    struct cmcwh_record *record = draft->record;
    const uint8_t *text = record->bytes + CMCWH_RECORD_HEADER, *status = text;
    uint64_t id = 0;

    for (unsigned field = 0; field < CMCWH_FIELDS; field++) {
        size_t length = field_length(record, field);

        if (identity >> field & 1) {
            id = murmur64(text, length, id);
            status = field == CMCWH_STATUS ? text : status;
        }
        text += length;
    }
    put64(record->bytes + AT_ID, id);
    record->bytes[AT_STATUS] = (uint8_t)status_code(
        record_kind(record),
        (struct cmcwh_text){(const char *)status, field_length(record, CMCWH_STATUS)});
    if (draft->squeezed != 0 && draft_full(draft, CMCWH_SERVER_COMPOSITION)) {
        record->bytes[AT_FLAGS] |= FLAG_FULL;
    }
    draft_measure(draft);
    draft->record = NULL;
}

/* The server's composition comes into a closed record, since a request may name it at its end. */
static void record_compose(struct cmcwh_record *record, struct cmcwh_text composition) {
    size_t length = record_length(record);
    struct cmcwh_draft draft = {.record = record, .highest = CMCWH_SERVER_COMPOSITION};

    draft.used = (unsigned)(length - CMCWH_RECORD_HEADER - CMCWH_RECORD_CRC);
    draft.squeezed = (record->bytes[AT_FLAGS] & FLAG_FULL) != 0 ? 1u << CMCWH_MESSAGE_ID : 0;
    draft_text(&draft, CMCWH_SERVER_COMPOSITION, composition);
    draft_measure(&draft);
}

/* What another cmcwh says of an event that it had before. */
struct origin {
    uint64_t id, received, truncated;
};

/* Takes the next one off a chain. False: there it begins to be something else. */
static bool take_origin(struct cmcwh_text *chain, struct origin *origin) {
    const uint64_t latest = UINT64_C(253402300799999); /* times have years of four digits */

    origin->truncated = 0;
    return take_digits(chain, 16, 16, &origin->id) == 16 && text_takes(chain, "@") &&
           take_digits(chain, 10, 15, &origin->received) > 0 && origin->received <= latest &&
           (!text_takes(chain, "/") || take_digits(chain, 16, 4, &origin->truncated) > 0) &&
           (chain->length == 0 || (text_takes(chain, ",") && chain->length > 0));
}

/* What all records of a request share. */
struct seal {
    uint64_t received;
    uint32_t batch_size;
    struct cmcwh_text composition;
    struct cmcwh_text chain; /* the rest of it, for this record and those behind it */
};

/* The record is complete but for its number and its CRC. */
static void record_finish(struct cmcwh_record *record, struct seal *seal) {
    struct origin origin;

    if (seal->composition.length > 0) {
        record_compose(record, seal->composition);
    }
    put32(record->bytes + AT_BATCH_SIZE, seal->batch_size);
    put64(record->bytes + AT_RECEIVED, seal->received);
    record->bytes[AT_FLAGS] = 0;
    if (WITH_CHAINS && seal->chain.length > 0 && take_origin(&seal->chain, &origin)) {
        put64(record->bytes + AT_ID, origin.id);
        put64(record->bytes + AT_RECEIVED, origin.received);
        put16(record->bytes + AT_TRUNCATED, get16(record->bytes + AT_TRUNCATED) |
                                                (origin.truncated & ((1u << CMCWH_FIELDS) - 1)));
    }
}

/* ---- Encoders ---------------------------------------------------------------------------------
 * One record as JSON, logfmt, a syslog message or a frame, and back from frames. They read the
 * event and change nothing; where the bytes go is the sinks' business.
 */

/* What comes out beside an event's texts. */
enum { SEQ = CMCWH_FIELDS, ID, RECEIVED, BOUNCE, TRUNCATED, CUT, ITEMS };

/* The order in which it comes out; behind it come the event's own members, and CUT. logfmt begins
 * with what it is read for: who reads syslog may cut it. */
static const uint8_t json_order[] = {SEQ,
                                     ID,
                                     RECEIVED,
                                     CMCWH_EVENT_TYPE,
                                     CMCWH_SERVER_COMPOSITION,
                                     CMCWH_STATUS,
                                     BOUNCE,
                                     CMCWH_CREATED,
                                     CMCWH_MESSAGE_ID,
                                     CMCWH_FROM,
                                     CMCWH_TO,
                                     CMCWH_RETURN_PATH,
                                     CMCWH_SUBJECT,
                                     CMCWH_REASON,
                                     CMCWH_SOURCE_IP,
                                     CMCWH_SENDER_IP,
                                     CMCWH_API_DATA,
                                     TRUNCATED};
static const uint8_t logfmt_order[] = {CMCWH_EVENT_TYPE,
                                       CMCWH_STATUS,
                                       BOUNCE,
                                       CMCWH_TO,
                                       CMCWH_REASON,
                                       CMCWH_MESSAGE_ID,
                                       CMCWH_CREATED,
                                       CMCWH_FROM,
                                       CMCWH_SUBJECT,
                                       ID,
                                       SEQ,
                                       RECEIVED,
                                       CMCWH_RETURN_PATH,
                                       CMCWH_SOURCE_IP,
                                       CMCWH_SENDER_IP,
                                       CMCWH_API_DATA,
                                       CMCWH_SERVER_COMPOSITION,
                                       TRUNCATED};

/* The names of the others, a copy of OTHER_LONGEST bytes from each on; and where they begin. */
enum { OTHER_LONGEST = 9 };
static const char others[33 + OTHER_LONGEST] = "seq\0id\0received\0bounce\0truncated\0cut";
static const uint8_t other_starts[] = {0, 4, 7, 16, 23, 33, 37};

static const char *item_name(unsigned item) {
    return item == CMCWH_MEMBERS ? "members"
           : item < CMCWH_FIELDS ? fields[item].name
           : WITH_SHORTCUTS      ? others + other_starts[item - CMCWH_FIELDS]
                                 : word_number(others, item - CMCWH_FIELDS);
}

/* The names of the items in a mask, quoted by `quote` and with commas between. */
static char *put_names(char *out, unsigned items, const char *quote) {
    const char *comma = "";

    for (unsigned item = 0; item < ITEMS; item++) {
        if (items >> item & 1) {
            out = put_word(put_word(out, comma), quote);
            out = put_word(put_word(out, item_name(item)), quote);
            comma = ",";
        }
    }
    return out;
}

/* Copies of one size need no call. */
static inline char *put_name(char *out, unsigned item) {
    if (item < CMCWH_FIELDS) {
        memcpy(out, fields[item].name, sizeof fields[item].name);
        return out + fields[item].length;
    }
    if (!WITH_SHORTCUTS) {
        return put_word(out, item_name(item));
    }
    memcpy(out, item_name(item), OTHER_LONGEST);
    item -= CMCWH_FIELDS;
    return out + other_starts[item + 1] - other_starts[item] - 1;
}

/* Numbers and a time: without anything to escape. */
static bool is_stamp(unsigned item) {
    return item >= SEQ && item <= RECEIVED;
}

static char *put_stamp(char *out, const struct cmcwh_event *event, unsigned item) {
    return item == SEQ  ? put_decimal(out, event->seq)
           : item == ID ? put_hex(out, event->id, 16)
                        : put_time(out, event->received);
}

/* The text of an item that is no stamp; without data where this event has none. TRUNCATED is a
 * list, which the formats write. */
static inline struct cmcwh_text item_text(const struct cmcwh_event *event, unsigned item) {
    if (item < CMCWH_FIELDS) {
        return item == CMCWH_EVENT_TYPE ? cmcwh_event_type(event) : event->texts[item];
    }
    return text_of(item == BOUNCE && event->kind == CMCWH_BOUNCES ? cmcwh_bounce_name(event->status)
                   : is_stamp(item) || (item == TRUNCATED && event->truncated != 0) ? ""
                                                                                    : NULL);
}

/* What an event's own member is called in an output: its name, in a logfmt key with '_' for what
 * cannot stand there, behind a prefix when that is taken. None may pass for one of ours, or for
 * another. */
struct label {
    struct cmcwh_text prefix, name;
    bool key;
};

static bool is_key(const struct label *label) {
    return WITH_LOGFMT && label->key;
}

static char label_byte(char c, bool key) {
    bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '-' || c == '.';

    return fine || !key ? c : '_';
}

/* Does the label come out like this name? `fold` is 0x20 where upper and lower case are the same.
 */
static bool label_is(const struct label *label, struct cmcwh_text name, int fold) {
    size_t before = label->prefix.length;
    bool key = is_key(label);

    if (before + label->name.length != name.length) {
        return false;
    }
    for (size_t i = 0; i < name.length; i++) {
        char c = i < before ? label->prefix.data[i] : label->name.data[i - before];

        if ((label_byte(c, key) | fold) != (label_byte(name.data[i], key) | fold)) {
            return false;
        }
    }
    return true;
}

/* Could it pass for a name of ours? Some readers do not look at the case of letters. A logfmt key
 * is not empty. */
static bool label_ours(const struct label *label) {
    bool taken = is_key(label) && label->prefix.length + label->name.length == 0;

    for (unsigned item = 0; !taken && item < ITEMS; item++) {
        taken = item != CMCWH_MEMBERS && label_is(label, text_of(item_name(item)), 0x20);
    }
    return taken;
}

/* How many of the first members have a name that comes out like this, up to the one at `end`; NULL:
 * of all. */
static unsigned label_count(const struct label *label, struct cmcwh_text members, const char *end,
                            unsigned *position) {
    struct cmcwh_text name, value;
    unsigned same = 0;

    *position = 0;
    while (next_member(&members, &name, &value) && name.data != end) {
        same += label_is(label, name, 0);
        ++*position;
    }
    return same;
}

/* Finds a prefix, if one is needed: `event_`, or with a number where that is taken too. The numbers
 * of two members with one name are never the same: they begin at their places, and grow in steps
 * that are larger than any of those. */
static void label_choose(struct label *label, struct cmcwh_text members, char *prefix) {
    unsigned before = label_ours(label), place, number, all;

    if (before == 0 && !is_key(label)) {
        return; /* in a record names are not repeated */
    }
    before += label_count(label, members, label->name.data, &place);
    number = before == 1 ? 1 : place + 2;
    label->prefix.data = prefix;
    while (before > 0) {
        char *end = put_word(prefix, "event");

        end = number == 1 ? end : put_decimal(end, number);
        *end++ = '_';
        label->prefix.length = (size_t)(end - prefix);
        number = number == 1 ? place + 2 : number + CMCWH_RECORD_SIZE;
        before = label_ours(label) || label_count(label, members, NULL, &all) > 0;
    }
}

static char *put_label(char *out, struct cmcwh_text members, struct cmcwh_text name, bool key) {
    struct label label = {{NULL, 0}, name, key};
    char prefix[32];

    label_choose(&label, members, prefix);
    out = put_bytes(out, prefix, label.prefix.length);
    if (!is_key(&label)) {
        return put_escaped(out, name, true);
    }
    for (size_t i = 0; i < name.length; i++) {
        *out++ = label_byte(name.data[i], key);
    }
    return out;
}

static char *put_json(char *out, const struct cmcwh_event *event) {
    const struct cmcwh_text *texts = event->texts;
    struct cmcwh_text rest = texts[CMCWH_MEMBERS], name, value;
    char *start = out;

    for (size_t i = 0; i < sizeof json_order; i++) {
        unsigned item = json_order[i];
        struct cmcwh_text text = item_text(event, item);

        if (text.data == NULL) {
            continue;
        }
        out = put_word(out, ",\"");
        out = put_word(put_name(out, item), "\":");
        if (item == TRUNCATED) {
            *out++ = '[';
            out = put_names(out, event->truncated, "\"");
            *out++ = ']';
        } else if (is_stamp(item)) {
            const char *quote = item == SEQ ? "" : "\"";

            out = put_word(put_stamp(put_word(out, quote), event, item), quote);
        } else {
            out = put_quoted(out, text);
        }
    }
    *start = '{';
    while (next_member(&rest, &name, &value)) {
        out = put_word(out, ",\"");
        out = put_label(out, texts[CMCWH_MEMBERS], name, false);
        out = put_word(out, "\":");
        out = put_escaped(out, value, true);
    }
    return put_word(out, "}\n");
}

/* Does CMC send this field of such an event also when it is empty? */
static bool always_sent(enum cmcwh_kind kind, unsigned field) {
    return kind == CMCWH_DELIVERIES ||
           (kind == CMCWH_BOUNCES && field != CMCWH_SOURCE_IP && field != CMCWH_SENDER_IP);
}

/* As CMC writes it. No text comes out longer than it can have come in, so none that was not cut
 * when it was read will be cut when it is read again. */
static char *put_cmc(char *out, const struct cmcwh_event *event) {
    const struct cmcwh_text *texts = event->texts;

    *out++ = '{';
    for (unsigned field = 0; field < CMCWH_MEMBERS; field++) {
        if (texts[field].length > 0 || always_sent(event->kind, field)) {
            out = put_name(put_word(out, "\""), field);
            out = put_spelled(put_word(out, "\":\""), texts[field]);
            out = put_word(out, "\",");
        }
    }
    for (size_t i = 0; i < texts[CMCWH_MEMBERS].length; i++) {
        char c = texts[CMCWH_MEMBERS].data[i];

        *out++ = c == '\n' ? ',' : c; /* a newline stands behind every member, and nowhere else */
    }
    out -= out[-1] == ',';
    *out++ = '}';
    return out;
}

/* A logfmt value needs no quotes when it is all letters, digits and harmless marks. */
static bool bare_value(struct cmcwh_text text) {
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];

        if (byte <= ' ' || byte == '=' || needs_look(byte)) {
            return false;
        }
    }
    return text.length > 0;
}

/* A logfmt value. Most need no quotes: so they are copied while they are looked at. */
static char *put_value(char *out, struct cmcwh_text text) {
    size_t bare = WITH_SHORTCUTS ? copy_bare(out, text.data, text.length) : 0;
    struct cmcwh_text rest = {text.data + bare, text.length - bare};

    if (WITH_SHORTCUTS && bare > 0 && rest.length == 0) {
        return out + bare;
    }
    return bare_value(rest) ? put_bytes(out + bare, rest.data, rest.length) : put_quoted(out, text);
}

/* A member's JSON value: a string's quotes serve as logfmt's, a container is quoted as text. */
static char *put_member_value(char *out, struct cmcwh_text value) {
    if (value.data[0] == '"') {
        return put_escaped(out, value, true);
    }
    return put_value(out, value);
}

/* How much of an event comes out as logfmt: so many items, no text longer than so much, and own
 * members while all is within `room`. Then, what was cut, and what is the first to lack. */
struct extent {
    unsigned items, longest;
    size_t room;
    unsigned cut;
};

static const struct extent everything = {ITEMS, 6 * CMCWH_RECORD_SIZE, SIZE_MAX, 0};

/* A text. It is cut if that saves more than its name in `cut=` takes. */
static char *put_text(char *out, struct cmcwh_text text, unsigned item, struct extent *extent) {
    /* What fits however it is escaped, without a look at it. */
    bool fits = WITH_SHORTCUTS && 6 * text.length <= extent->longest;

    if (!fits && item < CMCWH_FIELDS &&
        fit_escaped(text, extent->longest + strlen(item_name(item)) + 1) < text.length) {
        text.length = fit_escaped(text, extent->longest);
        extent->cut |= 1u << item;
    }
    return put_value(out, text);
}

static char *put_cut(char *out, unsigned cut) {
    return cut == 0 ? out : put_names(put_word(out, " cut="), cut, "");
}

static char *put_members(char *out, const char *start, struct cmcwh_text members,
                         struct extent *extent) {
    struct cmcwh_text rest = members, name, value;

    while (next_member(&rest, &name, &value)) {
        char *end = put_word(out, " ");

        end = put_word(put_label(end, members, name, true), "=");
        end = put_member_value(end, value);
        if ((size_t)(put_cut(end, extent->cut | 1u << CMCWH_MEMBERS) - start) > extent->room) {
            extent->cut |= 1u << CMCWH_MEMBERS;
            break;
        }
        out = end;
    }
    return out;
}

static char *put_logfmt(char *out, const struct cmcwh_event *event, struct extent *extent) {
    const char *start = out;

    extent->cut = 0;
    for (unsigned i = 0; i < sizeof logfmt_order; i++) {
        unsigned item = logfmt_order[i];
        struct cmcwh_text text = item_text(event, item);

        if (text.data == NULL) {
            continue;
        }
        if (i >= extent->items) {
            extent->cut |= 1u << item;
            break;
        }
        *out = ' ';
        out = put_word(put_name(out + (i > 0), item), "=");
        if (is_stamp(item)) {
            out = put_stamp(out, event, item);
        } else if (item == TRUNCATED) {
            out = put_names(out, event->truncated, "");
        } else {
            out = put_text(out, text, item, extent);
        }
    }
    out = put_members(out, start, event->texts[CMCWH_MEMBERS], extent);
    return put_cut(out, extent->cut);
}

/* Finds the largest value of `what`, a part of the extent, with which the event fits into `room`:
 * from what it is, which must do, to `most`. Tries at `out`. */
static void extend(char *out, const struct cmcwh_event *event, struct extent *extent,
                   unsigned *what, unsigned most, size_t room) {
    unsigned least = *what;

    while (least < most) {
        *what = most - (most - least) / 2;
        if ((size_t)(put_logfmt(out, event, extent) - out) <= room) {
            least = *what;
        } else {
            most = *what - 1;
        }
    }
    *what = least;
}

/* The event in `room` bytes. The longest texts give way first, down to ENOUGH; then what stands
 * last; then also the texts of the first MUST items. */
static char *put_within(char *out, const struct cmcwh_event *event, size_t room) {
    enum { MUST = 5, ENOUGH = 96 };
    struct extent extent = everything;
    char *end = put_logfmt(out, event, &extent);

    if ((size_t)(end - out) <= room) {
        return end;
    }
    extent = (struct extent){.items = MUST, .longest = ENOUGH};
    extend(out, event, &extent, &extent.items, ITEMS, room);
    extent.longest = 0;
    extend(out, event, &extent, &extent.longest, (unsigned)room, room);
    extent.room = extent.items == ITEMS ? room : 0;
    return put_logfmt(out, event, &extent);
}

/* A header field of RFC 5424: printable ASCII without spaces, "-" for none. */
static char *put_header(char *out, const char *word, size_t longest) {
    const char *start = out;

    for (; word != NULL && *word != '\0' && longest > 0; word++, longest--) {
        *out++ = *word > ' ' && *word < 0x7F ? *word : '?';
    }
    if (out == start) {
        *out++ = '-';
    }
    return out;
}

static char *put_priority(char *out, const struct cmcwh_event *event,
                          const struct cmcwh_syslog *syslog) {
    *out++ = '<';
    out = put_decimal(out, 8 * (syslog->facility & 31) + event->severity);
    *out++ = '>';
    return out;
}

static char *put_rfc5424(char *out, const struct cmcwh_event *event,
                         const struct cmcwh_syslog *syslog) {
    const char *start = out;

    out = put_priority(out, event, syslog);
    out = put_word(out, "1 ");
    out = put_time(out, event->received);
    *out++ = ' ';
    out = put_header(out, syslog->hostname, smaller(255, syslog->max / 4));
    out = put_word(out, " cmcwh ");
    out = put_header(out, syslog->process_id, smaller(128, syslog->max / 16));
    *out++ = ' ';
    out = put_word(out, kinds[event->kind].name);
    out = put_word(out, " - ");
    return put_within(out, event, syslog->max - (size_t)(out - start));
}

static char *put_rfc3164(char *out, const struct cmcwh_event *event,
                         const struct cmcwh_syslog *syslog) {
    int64_t local = (int64_t)event->received + (int64_t)syslog->utc_offset * 60000;
    struct calendar c = calendar_of(local < 0 ? 0 : (uint64_t)local);
    const char *start = out;

    out = put_priority(out, event, syslog);
    out = put_bytes(out, month_names + 3 * (c.month - 1), 3);
    *out++ = ' ';
    *out++ = c.day < 10 ? ' ' : (char)('0' + c.day / 10);
    *out++ = (char)('0' + c.day % 10);
    *out++ = ' ';
    out = put_clock(out, &c);
    out = put_word(out, " cmcwh");
    if (syslog->process_id != NULL) {
        *out++ = '[';
        out = put_header(out, syslog->process_id, smaller(128, syslog->max / 16));
        *out++ = ']';
    }
    out = put_word(out, ": ");
    return put_within(out, event, syslog->max - (size_t)(out - start));
}

/* Octet counting: the length stands before the message, so the message is written behind the
 * room for the longest length and moved up. */
static char *put_rfc6587(char *out, const struct cmcwh_event *event,
                         const struct cmcwh_syslog *syslog) {
    enum { LONGEST = 6 };
    char *message = out + LONGEST;
    size_t length = (size_t)(put_rfc5424(message, event, syslog) - message);

    out = put_decimal(out, length);
    *out++ = ' ';
    memmove(out, message, length);
    return out + length;
}

/* Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): runs of up to 254 bytes without
 * a zero, each behind a byte that says its length, then a zero byte. Where a zero was, stands the
 * length of the next run. */
static char *put_frame(char *out, const struct cmcwh_record *record) {
    const char *in = (const char *)record->bytes, *end = in + record_length(record);
    char *code = out++;

    while (in < end) {
        size_t left = WITH_SHORTCUTS ? smaller((size_t)(end - in), (size_t)(code + 255 - out)) : 1;

        for (; WITH_SHORTCUTS && left >= LANES && !has_zero(lanes_at(in));
             left -= LANES, in += LANES) {
            out = put_bytes(out, in, LANES);
        }
        for (left = smaller(left, LANES); left > 0; left--) {
            char byte = *in++;

            *out = byte;
            if (byte == 0) {
                *code = (char)(out - code);
                code = out;
            }
            out++;
        }
        if (out - code == 255) {
            *code = (char)255;
            code = out++;
        }
    }
    *code = (char)(out - code);
    *out++ = 0;
    return out;
}

/* logfmt, and syslog, which carries it. */
static char *put_lines(char *out, const struct cmcwh_event *event, enum cmcwh_encoding encoding,
                       const struct cmcwh_syslog *syslog) {
    struct cmcwh_syslog who = {.facility = 1};
    struct extent extent = everything;

    if (syslog != NULL) {
        who = *syslog;
    }
    if (who.max == 0) {
        who.max = encoding == CMCWH_ENCODE_RFC3164   ? 1024
                  : encoding == CMCWH_ENCODE_RFC5424 ? 1180
                                                     : 8192;
    } else if (who.max < CMCWH_SYSLOG_LEAST) {
        who.max = CMCWH_SYSLOG_LEAST;
    }
    switch (encoding) {
    case CMCWH_ENCODE_RFC5424:
        return put_rfc5424(out, event, &who);
    case CMCWH_ENCODE_RFC6587:
        return put_rfc6587(out, event, &who);
    case CMCWH_ENCODE_RFC3164:
        return put_rfc3164(out, event, &who);
    default:
        return put_word(put_logfmt(out, event, &extent), "\n");
    }
}

/* Is it one that this build has? */
static bool encoding_here(enum cmcwh_encoding encoding) {
    return encoding == CMCWH_ENCODE_JSON ||
           (encoding == CMCWH_ENCODE_BINARY ? WITH_FRAMES : WITH_LOGFMT);
}

size_t cmcwh_encode(const struct cmcwh_record *record, enum cmcwh_encoding encoding,
                    const struct cmcwh_syslog *syslog, char *out) {
    struct cmcwh_event event;
    char *end;

    if (!encoding_here(encoding)) {
        return 0;
    }
    if (WITH_FRAMES && encoding == CMCWH_ENCODE_BINARY) {
        return (size_t)(put_frame(out, record) - out);
    }
    cmcwh_record_read(record, &event);
    if (!WITH_LOGFMT || encoding == CMCWH_ENCODE_JSON) {
        end = put_json(out, &event);
    } else if (encoding == CMCWH_ENCODE_CMC) {
        end = put_cmc(out, &event);
    } else {
        end = put_lines(out, &event, encoding, syslog);
    }
    return (size_t)(end - out);
}

void cmcwh_deframer_init(struct cmcwh_deframer *deframer) {
    memset(deframer, 0, sizeof *deframer);
}

/* Undoes put_frame. False when the bytes are no frame of a whole record. */
static bool unframe(const uint8_t *frame, size_t used, struct cmcwh_record *record) {
    size_t length = 0;

    for (size_t i = 0; i < used;) {
        size_t run = frame[i++] - 1u;

        if (run > used - i || run + length > CMCWH_RECORD_SIZE) {
            return false;
        }
        memcpy(record->bytes + length, frame + i, run);
        length += run;
        i += run;
        if (i < used && run < 254) {
            if (length == CMCWH_RECORD_SIZE) {
                return false;
            }
            record->bytes[length++] = 0;
        }
    }
    memset(record->bytes + length, 0, CMCWH_RECORD_SIZE - length);
    return cmcwh_record_check(record) == CMCWH_OK && record_length(record) == length;
}

void cmcwh_deframer_end(struct cmcwh_deframer *deframer) {
    deframer->skipped += deframer->used;
    deframer->used = 0;
    deframer->overflow = false;
}

size_t cmcwh_deframer_feed(struct cmcwh_deframer *deframer, const void *bytes, size_t length,
                           struct cmcwh_record *record, bool *found) {
    const uint8_t *in = bytes;

    *found = false;
    for (size_t i = 0; i < length; i++) {
        if (in[i] != 0) {
            if (deframer->used < sizeof deframer->frame && !deframer->overflow) {
                deframer->frame[deframer->used++] = in[i];
            } else {
                deframer->overflow = true;
                deframer->skipped++;
            }
            continue;
        }
        if (deframer->used > 0 && !deframer->overflow &&
            unframe(deframer->frame, deframer->used, record)) {
            deframer->records++;
            deframer->used = 0;
            *found = true;
            return i + 1;
        }
        cmcwh_deframer_end(deframer);
    }
    return length;
}

/* ---- Filter -----------------------------------------------------------------------------------
 * Which sort an event is of, as what it counts, and which sorts somebody wants. Nothing here reads
 * the texts of an event.
 */

/* A status or number that is not known counts as 0, also when another version knew it. */
static inline unsigned count_of(enum cmcwh_kind kind, unsigned status) {
    switch (kind) {
    case CMCWH_DELIVERIES:
        return CMCWH_COUNT_DELIVERIES + (status <= CMCWH_DEFERRED ? status : CMCWH_UNKNOWN);
    case CMCWH_BOUNCES:
        return status <= CMCWH_BOUNCE_UNSUBSCRIBED ? CMCWH_COUNT_BOUNCES + status
               : status == CMCWH_BOUNCE_OTHER      ? CMCWH_COUNT_BLOCKS - 1u
                                                   : CMCWH_COUNT_BOUNCES;
    case CMCWH_BLOCKS:
        return CMCWH_COUNT_BLOCKS;
    default:
        return CMCWH_COUNT_OTHER;
    }
}

unsigned cmcwh_count_of(const struct cmcwh_event *event) {
    return count_of(event->kind, event->status);
}

/* The bit of a sort. */
#define COUNT_BIT(count) (UINT32_C(1) << (count))

/* Those of all events of a kind. */
static const uint32_t kind_bits[] = {
    [CMCWH_DELIVERIES] = COUNT_BIT(CMCWH_COUNT_BOUNCES) - COUNT_BIT(CMCWH_COUNT_DELIVERIES),
    [CMCWH_BOUNCES] = COUNT_BIT(CMCWH_COUNT_BLOCKS) - COUNT_BIT(CMCWH_COUNT_BOUNCES),
    [CMCWH_BLOCKS] = COUNT_BIT(CMCWH_COUNT_BLOCKS),
    [CMCWH_OTHER] = COUNT_BIT(CMCWH_COUNT_OTHER)};

/* The bits of the events that a word names; 0: it is none. */
static uint32_t bits_named(struct cmcwh_text word) {
    struct cmcwh_text name = {word.data, text_find(word, ':')}, number = word;
    enum cmcwh_kind kind = kind_of(name);
    unsigned status = status_code(CMCWH_DELIVERIES, word);

    if (name.length < word.length) {
        text_skip(&number, name.length + 1);
        status = status_code(kind, number);
        return kind == CMCWH_BOUNCES && (status != CMCWH_UNKNOWN || text_is(number, "0"))
                   ? COUNT_BIT(count_of(kind, status))
                   : 0;
    }
    if (kind != CMCWH_OTHER || text_is(word, kinds[CMCWH_OTHER].name)) {
        return kind_bits[kind];
    }
    return status != CMCWH_UNKNOWN ? COUNT_BIT(count_of(CMCWH_DELIVERIES, status)) : 0;
}

int cmcwh_filter_parse(struct cmcwh_filter *filter, struct cmcwh_text list, size_t *at) {
    uint32_t events = 0;

    for (size_t start = 0; start <= list.length;) {
        struct cmcwh_text word = {list.data + start, list.length - start};
        uint32_t bits;

        word.length = text_find(word, ',');
        bits = bits_named(word);
        if (bits == 0) {
            if (at != NULL) {
                *at = start;
            }
            return CMCWH_ERR_ARGUMENT;
        }
        events |= bits;
        start += word.length + 1;
    }
    filter->events = events;
    return CMCWH_OK;
}

static bool filter_has(const struct cmcwh_filter *filter, enum cmcwh_kind kind, unsigned status) {
    return filter->events == 0 || (filter->events >> count_of(kind, status) & 1) != 0;
}

bool cmcwh_filter_passes(const struct cmcwh_filter *filter, const struct cmcwh_event *event) {
    return filter_has(filter, event->kind, event->status);
}

/* ---- Port -------------------------------------------------------------------------------------
 * What the platform gives, for a program that may have no port, or one without these functions.
 * Nobody else calls a function of struct cmcwh_port, but for `nap`.
 */

/* A wait may always end early; this one ends often enough for whoever waits without limit. */
#define WAIT_LONGEST 1000

/* In a program with one thread there may be no port, or one without these functions. */
static void port_lock(const struct cmcwh_ring *ring) {
    if (WITH_THREADS && ring->config.port != NULL && ring->config.port->lock != NULL) {
        ring->config.port->lock(ring->config.port->context);
    }
}

static void port_unlock(const struct cmcwh_ring *ring) {
    if (WITH_THREADS && ring->config.port != NULL && ring->config.port->unlock != NULL) {
        ring->config.port->unlock(ring->config.port->context);
    }
}

static bool port_can_wait(const struct cmcwh_ring *ring) {
    return WITH_THREADS && ring->config.port != NULL && ring->config.port->wait != NULL;
}

static bool port_wait(const struct cmcwh_ring *ring, uint64_t ms) {
    return port_can_wait(ring) &&
           ring->config.port->wait(ring->config.port->context,
                                   ms < WAIT_LONGEST ? (uint32_t)ms : WAIT_LONGEST);
}

static void port_wake(const struct cmcwh_ring *ring) {
    if (WITH_THREADS && ring->config.port != NULL && ring->config.port->wake != NULL) {
        ring->config.port->wake(ring->config.port->context);
    }
}

static uint64_t port_now(const struct cmcwh_ring *ring) {
    return ring->config.port != NULL && ring->config.port->now != NULL
               ? ring->config.port->now(ring->config.port->context)
               : 0;
}

/* Steady time, for pauses. */
static uint64_t port_ticks(const struct cmcwh_ring *ring) {
    return ring->config.port != NULL && ring->config.port->ticks != NULL
               ? ring->config.port->ticks(ring->config.port->context)
               : port_now(ring);
}

/* When a pause of `ms` is over. Without a clock it would never be: then there is none. */
static uint64_t port_after(const struct cmcwh_ring *ring, uint32_t ms) {
    const struct cmcwh_port *port = ring->config.port;
    bool clock = port != NULL && (port->ticks != NULL || port->now != NULL);

    return clock ? port_ticks(ring) + ms : 0;
}

/* ---- History ----------------------------------------------------------------------------------
 * What is known of events once they are safe: counts, and where each is that the ring still holds.
 * With the lock held, once others know of the ring; nothing here changes a record.
 *
 * A place is a number's remainder by the capacity, so the last `capacity` numbers have one each.
 * history.places says in which slot an event is; a slot that a request takes has no place any more,
 * so what stands in a place may always be read. Events with the same low bits in their ids are a
 * chain of places, newest first, that begins in the first half of history.marks and goes on in the
 * second, where each place has the one behind it and the other bits of its id. Nothing is ever
 * taken out of a chain: it ends where a place is not older than the one before, because that is
 * used again and with it all behind it.
 */

static bool history_good(const struct cmcwh_ring_config *config) {
    const struct cmcwh_history *history = config->history;

    return !WITH_COUNTERS || history == NULL ||
           (history->places != NULL &&
            (history->marks == NULL ? history->mark_count == 0
                                    : history->mark_count / 2 >= config->capacity &&
                                          (history->mark_count & (history->mark_count - 1)) == 0));
}

static void history_clear(struct cmcwh_ring *ring) {
    struct cmcwh_history *history = ring->config.history;

    memset(&history->counters, 0, sizeof history->counters);
    history->counters.since = port_now(ring);
    history->received = 0;
    history->hour = 0;
    history->next = CMCWH_NONE;
    memset(history->places, 0xFF, ring->config.capacity * sizeof *history->places); /* CMCWH_NONE */
    if (history->marks != NULL) {
        memset(history->marks, 0, history->mark_count * sizeof *history->marks);
    }
}

/* Of 32 bits, because many processors divide no more: once in 2^32 events, some places are used
 * again too early. */
static uint32_t place_of(const struct cmcwh_ring *ring, uint64_t seq) {
    return (uint32_t)seq % ring->config.capacity; /* NOLINT: config_good has seen it is not 0 */
}

/* A request takes this slot, and will write to it without the lock. */
static void history_forget(const struct cmcwh_ring *ring, uint32_t slot) {
    uint32_t *place =
        &ring->config.history->places[place_of(ring, record_seq(&ring->config.records[slot]))];

    if (*place == slot) {
        *place = CMCWH_NONE;
    }
}

/* The record in a place, or NULL. */
static const struct cmcwh_record *history_at(const struct cmcwh_ring *ring, uint32_t place) {
    uint32_t slot = ring->config.history->places[place];

    return slot == CMCWH_NONE ? NULL : &ring->config.records[slot];
}

/* Of a record and what stands in a place. */
static bool same_id(const struct cmcwh_record *a, const struct cmcwh_record *b) {
    return b != NULL && memcmp(a->bytes + AT_ID, b->bytes + AT_ID, 8) == 0;
}

/* How many numbers the place `at` was used before `place`. */
static uint32_t place_age(const struct cmcwh_ring *ring, uint32_t place, uint32_t at) {
    return place - at + (place >= at ? 0 : ring->config.capacity);
}

/* Does the ring hold an event with the same id as this one, whose place is `place`? Puts it at the
 * head of its chain. */
static bool history_repeats(const struct cmcwh_ring *ring, const struct cmcwh_record *record,
                            uint32_t place) {
    uint32_t half = ring->config.history->mark_count / 2, mask = half - 1;
    uint32_t id = get32(record->bytes + AT_ID), age = 0, older;
    uint32_t *heads = ring->config.history->marks, *behind = heads + half;
    uint32_t at = heads[id & mask];

    heads[id & mask] = place;
    behind[place] = (id & ~mask) | at;
    while ((older = place_age(ring, place, at)) > age) {
        if (((behind[at] ^ id) & ~mask) == 0 && same_id(record, history_at(ring, at))) {
            return true;
        }
        age = older;
        at = behind[at] & mask;
    }
    return false;
}

static void totals_add(uint64_t *totals, const uint32_t *counts) {
    for (unsigned i = 0; i < CMCWH_COUNTS; i++) {
        totals[i] += counts[i];
    }
}

static uint32_t hour_of(uint64_t time) {
    uint32_t rest;

    return (uint32_t)divide(time, 3600000, &rest);
}

/* Events of another time than the last come. Only then is an hour looked for, and one that gives
 * way added to the totals: counting an event is one addition. None gives way to events that come so
 * late, through a chain, that nobody would be shown their hour. */
static void history_turn(const struct cmcwh_ring *ring, uint64_t received) {
    struct cmcwh_history *history = ring->config.history;
    struct cmcwh_hour *hour;
    uint32_t number;

    if (received == history->received) {
        return;
    }
    history->received = received;
    history->hour = CMCWH_HOURS;
    number = hour_of(received);
    hour = &history->counters.hours[number % CMCWH_HOURS];
    if (hour->hour > number && hour_of(port_now(ring)) >= number + CMCWH_HOURS) {
        return;
    }
    if (hour->hour != number) {
        totals_add(history->counters.totals, hour->counts);
        memset(hour->counts, 0, sizeof hour->counts);
        hour->hour = number;
    }
    history->hour = number % CMCWH_HOURS;
}

static void history_count(struct cmcwh_history *history, unsigned count, uint32_t more) {
    if (history->hour < CMCWH_HOURS) {
        history->counters.hours[history->hour].counts[count] += more;
    } else {
        history->counters.totals[count] += more;
    }
}

/* Counts a record that is safe, and remembers where it is. */
static void history_add(const struct cmcwh_ring *ring, uint32_t slot) {
    struct cmcwh_history *history = ring->config.history;
    const struct cmcwh_record *record = &ring->config.records[slot];
    uint32_t place = place_of(ring, record_seq(record));

    history_turn(ring, get64(record->bytes + AT_RECEIVED));
    if (history->marks != NULL && history_repeats(ring, record, place)) {
        history_count(history, CMCWH_COUNT_REPEATS, 1);
    } else {
        history_count(history, count_of(record_kind(record), record->bytes[AT_STATUS]), 1);
        history_count(history, CMCWH_COUNT_TRUNCATED, get16(record->bytes + AT_TRUNCATED) != 0);
    }
    history->places[place] = slot;
}

/* Every committed event before seq `safe` is safe. What was damaged on its storage is none. */
static void history_settle(const struct cmcwh_ring *ring, uint64_t safe) {
    uint32_t slot = ring->config.history->next;

    while (slot != CMCWH_NONE && record_seq(&ring->config.records[slot]) < safe) {
        if (ring->config.records[slot].bytes[0] != 0) {
            history_add(ring, slot);
        }
        slot = ring->config.links[slot];
    }
    ring->config.history->next = slot;
}

/* Committed events from seq `first` on are taken back. */
static void history_drop(const struct cmcwh_ring *ring, uint64_t first) {
    struct cmcwh_history *history = ring->config.history;

    if (history->next != CMCWH_NONE && record_seq(&ring->config.records[history->next]) >= first) {
        history->next = CMCWH_NONE;
    }
}

const char *cmcwh_count_type(unsigned count) {
    return count < CMCWH_COUNT_BOUNCES   ? kinds[CMCWH_DELIVERIES].name
           : count < CMCWH_COUNT_BLOCKS  ? kinds[CMCWH_BOUNCES].name
           : count == CMCWH_COUNT_BLOCKS ? kinds[CMCWH_BLOCKS].name
           : count == CMCWH_COUNT_OTHER  ? kinds[CMCWH_OTHER].name
                                         : "";
}

unsigned cmcwh_count_bounce(unsigned count) {
    return count < CMCWH_COUNT_BOUNCES || count >= CMCWH_COUNT_BLOCKS ? 0u
           : count == CMCWH_COUNT_BLOCKS - 1                          ? (unsigned)CMCWH_BOUNCE_OTHER
                                                                      : count - CMCWH_COUNT_BOUNCES;
}

const char *cmcwh_count_status(unsigned count) {
    if (count > CMCWH_COUNT_DELIVERIES && count < CMCWH_COUNT_BOUNCES) {
        return delivery_statuses[count - CMCWH_COUNT_DELIVERIES].name;
    }
    return count >= CMCWH_COUNT_BLOCKS ? "" : cmcwh_bounce_name(cmcwh_count_bounce(count));
}

/* ---- Ring: chains and readers -----------------------------------------------------------------
 * Every record is free, or held by a request, or committed. Those of a request are a chain, linked
 * through config.links, and so are the committed ones in the order of seq, from head to tail. So a
 * slow request holds only its own records, and every step is short. All of it with the lock held,
 * once others know of the ring; none of it waits, or touches the storage.
 */

/* The link of a record on storage that nobody has; numbers of records are smaller. */
#define SLOT_FREE (CMCWH_NONE - 1)

/* Whoever has a lock has threads. */
static bool port_good(const struct cmcwh_port *port) {
    return WITH_THREADS || port == NULL || port->lock == NULL;
}

static bool config_good(const struct cmcwh_ring_config *config) {
    return config->records != NULL && config->links != NULL && config->capacity >= 1 &&
           config->capacity <= UINT32_C(1) << 30 && (WITH_GATHER || config->gather == 0) &&
           port_good(config->port) && history_good(config);
}

static void ring_clear(struct cmcwh_ring *ring, const struct cmcwh_ring_config *config) {
    memset(ring, 0, sizeof *ring);
    ring->config = *config;
    ring->head = ring->tail = ring->free = ring->keeper.tainted = CMCWH_NONE;
    if (has_history(ring)) {
        history_clear(ring);
    }
}

static uint64_t seq_at(const struct cmcwh_ring *ring, uint32_t slot) {
    return record_seq(&ring->config.records[slot]);
}

/* False for a stand-in of one that was damaged on its storage. */
static bool record_whole(const struct cmcwh_ring *ring, uint32_t slot) {
    return ring->config.records[slot].bytes[0] != 0;
}

/* The record with this number, or the first one behind it. */
static uint32_t slot_of(const struct cmcwh_ring *ring, uint64_t seq) {
    uint32_t slot = ring->head;

    while (slot != CMCWH_NONE && seq_at(ring, slot) < seq) {
        slot = ring->config.links[slot];
    }
    return slot;
}

/* The number of the record in a slot, or, without one, of the event that comes next. */
static uint64_t seq_or_next(const struct cmcwh_ring *ring, uint32_t slot) {
    return slot == CMCWH_NONE ? ring->next_seq : seq_at(ring, slot);
}

/* A reader has acknowledged everything before this. */
static uint64_t reader_done(const struct cmcwh_ring *ring, const struct cmcwh_reader *reader) {
    return seq_or_next(ring, reader->oldest);
}

/* Goes on from *reader, if need be, to one that is attached. False when there is none. */
static bool reader_next(const struct cmcwh_ring *ring, int *reader) {
    while (*reader < ring->readers_end && !ring->readers[*reader].attached) {
        ++*reader;
    }
    return *reader < ring->readers_end;
}

/* Every required reader has acknowledged everything before this. */
static uint64_t ring_confirmed(const struct cmcwh_ring *ring) {
    uint64_t confirmed = ring->next_seq;

    for (int i = 0; reader_next(ring, &i); i++) {
        const struct cmcwh_reader *reader = &ring->readers[i];

        if (reader->required) {
            uint64_t done = reader_done(ring, reader);

            confirmed = done < confirmed ? done : confirmed;
        }
    }
    return confirmed;
}

/* The oldest record that a reader is still to acknowledge, or CMCWH_NONE. */
static uint32_t ring_oldest(const struct cmcwh_ring *ring) {
    uint32_t oldest = CMCWH_NONE;

    for (int i = 0; reader_next(ring, &i); i++) {
        const struct cmcwh_reader *reader = &ring->readers[i];

        if (reader_done(ring, reader) < seq_or_next(ring, oldest)) {
            oldest = reader->oldest;
        }
    }
    return oldest;
}

/* No reader is to acknowledge anything before this. What storage holds is kept until the readers
 * have come. */
static uint64_t ring_low(const struct cmcwh_ring *ring) {
    int first = 0;

    return seq_or_next(ring, is_stored(ring) && !reader_next(ring, &first) ? ring->head
                                                                           : ring_oldest(ring));
}

static bool ring_has_room(const struct cmcwh_ring *ring) {
    return ring->in_use < ring->config.capacity;
}

static uint32_t slot_behind(const struct cmcwh_ring *ring, uint32_t slot) {
    return slot + 1 < ring->config.capacity ? slot + 1 : 0;
}

/* Takes a free record; there is one. In memory the free ones are a chain. On storage they are
 * marked, and taken in turn from ring->free on: so requests lie in one piece, and old events can be
 * looked at for long. */
static uint32_t free_take(struct cmcwh_ring *ring) {
    uint32_t slot = ring->free;

    if (is_stored(ring)) {
        while (ring->config.links[slot] != SLOT_FREE) {
            slot = slot_behind(ring, slot);
        }
        ring->free = slot_behind(ring, slot);
    } else {
        ring->free = ring->config.links[slot];
    }
    if (has_history(ring)) {
        history_forget(ring, slot);
    }
    ring->config.links[slot] = CMCWH_NONE;
    ring->in_use++;
    return slot;
}

static uint32_t chain_last(const struct cmcwh_ring *ring, uint32_t slot) {
    while (ring->config.links[slot] != CMCWH_NONE) {
        slot = ring->config.links[slot];
    }
    return slot;
}

/* Frees the chain first..last. In memory what was used last is used first: it is in the processor's
 * caches. */
static void free_chain(struct cmcwh_ring *ring, uint32_t first, uint32_t last, uint32_t count) {
    if (is_stored(ring)) {
        ring->config.links[last] = CMCWH_NONE;
        while (first != CMCWH_NONE) {
            uint32_t next = ring->config.links[first];

            ring->config.links[first] = SLOT_FREE;
            first = next;
        }
    } else {
        ring->free_last = ring->free == CMCWH_NONE ? last : ring->free_last;
        ring->config.links[last] = ring->free;
        ring->free = first;
    }
    ring->in_use -= count;
}

/* Frees the chain first..last of records that a request did not need. On storage too they come
 * next, if nobody has taken any since: no gap stays, and refused requests do not take one old event
 * after the other. */
static void free_unused(struct cmcwh_ring *ring, uint32_t first, uint32_t last, uint32_t count) {
    if (is_stored(ring) && slot_behind(ring, last) == ring->free) {
        ring->free = first;
    }
    free_chain(ring, first, last, count);
}

/* Frees the chain first..last of events. With a history they come last in memory too, so that they
 * can be looked at for long. */
static void free_events(struct cmcwh_ring *ring, uint32_t first, uint32_t last, uint32_t count) {
    if (has_history(ring) && !is_stored(ring) && ring->free != CMCWH_NONE) {
        ring->config.links[ring->free_last] = first;
        ring->config.links[last] = CMCWH_NONE;
        ring->free_last = last;
        ring->in_use -= count;
    } else {
        free_chain(ring, first, last, count);
    }
}

static void ring_moves(struct cmcwh_ring *ring) {
    if (ring->config.room_waiters > 0) {
        ring->moved = port_ticks(ring);
    }
}

/* Frees the committed records before seq `low`. */
static void ring_free_to(struct cmcwh_ring *ring, uint64_t low) {
    uint32_t first = ring->head, last = CMCWH_NONE, count = 0;

    while (ring->head != CMCWH_NONE && seq_at(ring, ring->head) < low) {
        last = ring->head;
        ring->head = ring->config.links[last];
        count++;
    }
    if (ring->head == CMCWH_NONE) {
        ring->tail = CMCWH_NONE;
    }
    if (count > 0) {
        free_events(ring, first, last, count);
        ring_moves(ring);
    }
}

/* Frees what every reader has acknowledged. With storage a record is kept until a place behind it
 * is stable: otherwise its own would be missed after a power cut. */
static void ring_free(struct cmcwh_ring *ring) {
    ring_free_to(ring, is_stored(ring) ? ring->keeper.low : ring_low(ring));
}

/* Whoever was told that this request is pending is to ask again. */
static void batch_call(struct cmcwh_batch *batch) {
    bool parked = batch->parked;

    batch->parked = false;
    if (WITH_THREADS && parked && batch->settled != NULL) {
        batch->settled(batch->context);
    }
}

/* For how many ms it still waits for others. */
static uint64_t batch_gathers(const struct cmcwh_batch *batch) {
    uint32_t gather = gather_time(batch->ring);
    uint64_t left = gather == 0 ? 0 : batch->since - port_ticks(batch->ring);

    return left <= gather ? left : 0; /* else that was before now */
}

/* Whoever is to lead now is called, if the storage is free. */
static void ring_call_leader(const struct cmcwh_ring *ring) {
    if (is_stored(ring) && !ring->keeper.busy && ring->waiting != NULL &&
        batch_gathers(ring->waiting) == 0) {
        batch_call(ring->waiting);
    }
}

/* Nobody waits for others any longer. */
static void ring_hasten(struct cmcwh_ring *ring) {
    bool some = false;

    for (struct cmcwh_batch *batch = ring->waiting; batch != NULL; batch = batch->next_waiting) {
        uint64_t left = batch_gathers(batch);

        some = some || left > 0;
        batch->since -= left;
    }
    if (some) {
        ring_call_leader(ring);
        port_wake(ring);
    }
}

/* Tells a committed request, and takes it off the list. */
static void batch_settle(struct cmcwh_batch **at, int outcome) {
    struct cmcwh_batch *batch = *at;

    *at = batch->next_waiting;
    batch->outcome = outcome;
    batch_call(batch);
}

/* Frees what every reader has acknowledged, and settles the requests that waited for it. Wakes
 * nobody for nothing: requests that wait for room would all come running at each commit. */
static void ring_settle(struct cmcwh_ring *ring) {
    uint64_t confirmed = ring_confirmed(ring);
    uint32_t in_use = ring->in_use;
    bool settled = false;

    if (has_history(ring)) {
        history_settle(ring, ring->config.confirm ? confirmed : ring->next_seq);
    }
    ring_free(ring);
    for (struct cmcwh_batch **at = &ring->waiting; ring->config.confirm && *at != NULL;) {
        if ((*at)->first_seq + (*at)->count <= confirmed) {
            batch_settle(at, CMCWH_OK);
            settled = true;
        } else {
            at = &(*at)->next_waiting;
        }
    }
    if (settled || ring->in_use < in_use || ring->waiting_readers > 0) {
        port_wake(ring);
    }
}

/* What a ring on storage does besides. Only cmcwh_ring_open names these functions: a program that
 * does not call it is linked without them. */
struct cmcwh_keeping {
    void (*lead)(struct cmcwh_ring *ring);        /* brings all that waits onto the storage */
    void (*note_places)(struct cmcwh_ring *ring); /* a reader has moved on */
    bool (*make_room)(struct cmcwh_ring *ring);   /* frees some records, if it can */
};

/* Takes the oldest record from readers that need not get everything. */
static bool ring_evict(struct cmcwh_ring *ring) {
    uint32_t slot = ring_oldest(ring);

    if (slot == CMCWH_NONE) {
        return false;
    }
    for (int i = 0; reader_next(ring, &i); i++) {
        if (ring->readers[i].required && ring->readers[i].oldest == slot) {
            return false;
        }
    }
    for (int i = 0; reader_next(ring, &i); i++) {
        struct cmcwh_reader *reader = &ring->readers[i];

        if (reader->oldest != slot) {
            continue;
        }
        if (reader->next == slot) {
            reader->next = ring->config.links[slot];
            reader->lost++;
        } else {
            reader->evicted++;
        }
        reader->oldest = ring->config.links[slot];
    }
    ring->keeper.dirty = true;
    ring_free(ring);
    return true;
}

/* Starts a request's hold on the ring. No memory is taken yet. */
static void batch_begin(struct cmcwh_batch *batch, struct cmcwh_ring *ring) {
    memset(batch, 0, sizeof *batch);
    batch->ring = ring;
    batch->first = batch->last = batch->spare = CMCWH_NONE;
    batch->outcome = CMCWH_ERR_ARGUMENT; /* not committed */
}

/* Numbers the records of a batch, which goes on holding them. Returns the next number. */
static uint64_t batch_number(struct cmcwh_batch *batch, uint64_t seq) {
    batch->first_seq = seq;
    for (uint32_t slot = batch->first; slot != CMCWH_NONE; slot = batch->ring->config.links[slot]) {
        record_number(&batch->ring->config.records[slot], seq++, batch->first_seq);
    }
    return seq;
}

/* Puts the numbered records behind the committed ones, where the readers see them. */
static void batch_publish(struct cmcwh_batch *batch) {
    struct cmcwh_ring *ring = batch->ring;

    if (ring->tail == CMCWH_NONE) {
        ring->head = batch->first;
    } else {
        ring->config.links[ring->tail] = batch->first;
    }
    ring->tail = batch->last;
    for (int i = 0; reader_next(ring, &i); i++) {
        struct cmcwh_reader *reader = &ring->readers[i];

        if (reader->next == CMCWH_NONE) {
            reader->next = batch->first;
            if (reader->oldest == CMCWH_NONE) {
                reader->oldest = batch->first;
            }
        }
    }
    if (has_history(ring) && ring->config.history->next == CMCWH_NONE) {
        ring->config.history->next = batch->first;
    }
    batch->first = batch->last = CMCWH_NONE;
    ring->next_seq = batch->first_seq + batch->count;
}

/* ---- Storage ----------------------------------------------------------------------------------
 * Where a ring outlives the power; the layout, and what the storage must promise, are in cmcwh.h.
 * All that reads or writes it is from here to the end of its recovery, and none of it with the lock
 * held.
 */

enum {
    AT_STORAGE_VERSION = 8,
    AT_STORAGE_RECORD_VERSION = 10,
    AT_STORAGE_RECORD_SIZE = 12,
    AT_STORAGE_RECORDS = 16,
    AT_STORAGE_BLOCK = 20,
    AT_STORAGE_READERS = 24,
    AT_STORAGE_CRC = 60,

    AT_STATE_READERS = 4,
    AT_STATE_GENERATION = 8,
    AT_STATE_LOW = 16,
    AT_STATE_END = 24,
    AT_STATE_PLACES = 32
};

static const uint8_t storage_magic[8] = {'C', 'M', 'C', 'W', 'R', 'I', 'N', 'G'};
static const uint8_t state_magic[4] = {'C', 'M', 'C', 'S'};

static bool storage_refuses(const struct cmcwh_ring *ring, uint64_t now) {
    return ring->keeper.pause > 0 && now < ring->keeper.retry;
}

static uint64_t record_offset(uint32_t block, uint32_t slot) {
    return 3 * (uint64_t)block + (uint64_t)slot * CMCWH_RECORD_SIZE;
}

static bool block_good(uint32_t block) {
    return block >= CMCWH_STATE_SIZE && block >= CMCWH_STORAGE_HEADER &&
           block <= UINT32_C(1) << 20 && (block & (block - 1)) == 0;
}

/* The only calls of the storage's functions. CMCWH_OK, or CMCWH_ERR_STORAGE. */
static int storage_read(const struct cmcwh_storage *storage, uint64_t offset, void *bytes,
                        size_t length) {
    return storage->read(storage->context, offset, bytes, length) < 0 ? CMCWH_ERR_STORAGE
                                                                      : CMCWH_OK;
}

static int storage_write(const struct cmcwh_storage *storage, uint64_t offset, const void *bytes,
                         size_t length) {
    return storage->write(storage->context, offset, bytes, length) < 0 ? CMCWH_ERR_STORAGE
                                                                       : CMCWH_OK;
}

static int storage_sync(const struct cmcwh_storage *storage) {
    return storage->sync != NULL && storage->sync(storage->context) < 0 ? CMCWH_ERR_STORAGE
                                                                        : CMCWH_OK;
}

/* Writes the records of `count` slots in a row. */
static int records_write(const struct cmcwh_ring *ring, uint32_t slot, uint32_t count) {
    return storage_write(ring->config.storage, record_offset(ring->keeper.block, slot),
                         ring->config.records + slot, (size_t)count * CMCWH_RECORD_SIZE);
}

/* Makes sure that a record is not found again. All of it: were only its head cleared, a torn write
 * of another record with the same number could bring it back. */
static int record_clear(const struct cmcwh_ring *ring, uint32_t slot) {
    memset(ring->config.records[slot].bytes, 0, CMCWH_RECORD_SIZE);
    return records_write(ring, slot, 1);
}

/* ---- Storage: header --------------------------------------------------------------------------
 * What is written once, when a ring is made. Needs no ring in memory.
 */

int cmcwh_storage_format(const struct cmcwh_storage *storage, struct cmcwh_geometry *geometry) {
    static const uint8_t zeros[64] = {0};
    uint8_t header[CMCWH_STORAGE_HEADER] = {0}, state[CMCWH_STATE_SIZE] = {0};
    uint32_t block = geometry->block, records = geometry->records;
    int result;

    if (records < 1 || records > UINT32_C(1) << 30 || !block_good(block) ||
        storage->write == NULL) {
        return CMCWH_ERR_ARGUMENT;
    }
    geometry->record_size = CMCWH_RECORD_SIZE;
    geometry->size = record_offset(block, records);
    memcpy(header, storage_magic, 8);
    put16(header + AT_STORAGE_VERSION, CMCWH_STORAGE_VERSION);
    put16(header + AT_STORAGE_RECORD_VERSION, CMCWH_RECORD_VERSION);
    put32(header + AT_STORAGE_RECORD_SIZE, CMCWH_RECORD_SIZE);
    put32(header + AT_STORAGE_RECORDS, records);
    put32(header + AT_STORAGE_BLOCK, block);
    put32(header + AT_STORAGE_READERS, CMCWH_READERS_MAX);
    put32(header + AT_STORAGE_CRC, crc32(header, AT_STORAGE_CRC));

    memcpy(state, state_magic, 4);
    put64(state + AT_STATE_GENERATION, 1);
    put64(state + AT_STATE_LOW, 1);
    put64(state + AT_STATE_END, 1);
    put32(state + AT_STATE_PLACES, crc32(state, AT_STATE_PLACES));

    /* The old header goes first and the new one comes last: half a ring is none. */
    result = storage_write(storage, 0, zeros, sizeof zeros);
    if (result >= 0) {
        result = storage_sync(storage);
    }
    for (uint64_t at = 3 * (uint64_t)block; result >= 0 && at < geometry->size;
         at += sizeof zeros) {
        result = storage_write(storage, at, zeros, sizeof zeros);
    }
    return result < 0 || storage_write(storage, block, state, AT_STATE_PLACES + 4) < 0 ||
                   storage_write(storage, 2 * (uint64_t)block, state, AT_STATE_PLACES + 4) < 0 ||
                   storage_sync(storage) < 0 ||
                   storage_write(storage, 0, header, sizeof header) < 0 || storage_sync(storage) < 0
               ? CMCWH_ERR_STORAGE
               : CMCWH_OK;
}

/* What keeps this program from opening it; NULL: nothing. */
static const char *header_fault(const uint8_t *header) {
    if (memcmp(header, storage_magic, 8) != 0) {
        return "it is no ring of cmcwh";
    }
    if (get32(header + AT_STORAGE_CRC) != crc32(header, AT_STORAGE_CRC)) {
        return "its header is damaged";
    }
    if (get16(header + AT_STORAGE_VERSION) != CMCWH_STORAGE_VERSION ||
        get16(header + AT_STORAGE_RECORD_VERSION) != CMCWH_RECORD_VERSION) {
        return "it was made by another version of cmcwh";
    }
    if (get32(header + AT_STORAGE_RECORD_SIZE) != CMCWH_RECORD_SIZE) {
        return "its records have another size than this program's (CMCWH_RECORD_SIZE)";
    }
    if (get32(header + AT_STORAGE_READERS) > CMCWH_READERS_MAX ||
        !block_good(get32(header + AT_STORAGE_BLOCK))) {
        return "it was made for another number of readers (CMCWH_READERS_MAX)";
    }
    return NULL;
}

int cmcwh_storage_probe(const struct cmcwh_storage *storage, struct cmcwh_geometry *geometry,
                        const char **why) {
    uint8_t header[CMCWH_STORAGE_HEADER];
    const char *fault;

    if (storage_read(storage, 0, header, sizeof header) < 0) {
        return CMCWH_ERR_STORAGE;
    }
    fault = header_fault(header);
    if (why != NULL) {
        *why = fault;
    }
    geometry->records = get32(header + AT_STORAGE_RECORDS);
    geometry->block = get32(header + AT_STORAGE_BLOCK);
    geometry->record_size = get32(header + AT_STORAGE_RECORD_SIZE);
    geometry->size =
        3 * (uint64_t)geometry->block + (uint64_t)geometry->records * geometry->record_size;
    return fault == NULL ? CMCWH_OK : CMCWH_ERR_FORMAT;
}

/* ---- Storage: records -------------------------------------------------------------------------
 * Chains of records on the storage, and those whose write has failed: they are cleared before their
 * numbers are used again. Does not say when.
 */

/* Writes the records of a chain, those that stand side by side at once. */
static int chain_write(const struct cmcwh_ring *ring, uint32_t first) {
    struct cmcwh_record *records = ring->config.records;
    uint32_t next;

    for (uint32_t slot = first; slot != CMCWH_NONE; slot = next) {
        uint32_t count = 1;

        record_seal(&records[slot]);
        next = ring->config.links[slot];
        while (next == slot + count) {
            record_seal(&records[next]);
            next = ring->config.links[next];
            count++;
        }
        if (records_write(ring, slot, count) < 0) {
            return CMCWH_ERR_STORAGE;
        }
    }
    return CMCWH_OK;
}

static int chain_clear(const struct cmcwh_ring *ring, uint32_t first) {
    for (uint32_t slot = first; slot != CMCWH_NONE; slot = ring->config.links[slot]) {
        if (record_clear(ring, slot) < 0) {
            return CMCWH_ERR_STORAGE;
        }
    }
    return CMCWH_OK;
}

/* Clears what a failed group has left: its numbers are used again. */
static int tainted_clear(const struct cmcwh_ring *ring) {
    if (ring->keeper.tainted == CMCWH_NONE) {
        return CMCWH_OK;
    }
    return chain_clear(ring, ring->keeper.tainted) < 0 ? CMCWH_ERR_STORAGE
                                                       : storage_sync(ring->config.storage);
}

static void tainted_free(struct cmcwh_ring *ring) {
    struct cmcwh_keeper *keeper = &ring->keeper;

    if (keeper->tainted != CMCWH_NONE) {
        free_chain(ring, keeper->tainted, chain_last(ring, keeper->tainted), keeper->tainted_count);
        keeper->tainted = CMCWH_NONE;
        keeper->tainted_count = 0;
    }
}

/* ---- Storage: state ---------------------------------------------------------------------------
 * The readers' places, in two copies. Also what is freed once they are stable: records wait for
 * that.
 */

/* The state as it is now. Returns its length. With the lock held. */
static size_t state_make(struct cmcwh_ring *ring, uint8_t *state) {
    uint8_t *at = state + AT_STATE_PLACES;
    uint32_t readers = 0;

    for (int i = 0; i < CMCWH_READERS_MAX; i++) {
        const struct cmcwh_reader *reader = &ring->readers[i];

        if (reader->name != 0) {
            put64(at, reader->name);
            put64(at + 8, reader->attached ? reader_done(ring, reader) : reader->place);
            at += 16;
            readers++;
        }
    }
    memcpy(state, state_magic, 4);
    put32(state + AT_STATE_READERS, readers);
    put64(state + AT_STATE_GENERATION, ++ring->keeper.generation);
    put64(state + AT_STATE_LOW, ring_low(ring));
    put64(state + AT_STATE_END, ring->next_seq);
    put32(at, crc32(state, (size_t)(at - state)));
    ring->keeper.dirty = false;
    return (size_t)(at - state) + 4;
}

/* Writes a state over the copy that is not the last synced one. */
static int state_write(const struct cmcwh_ring *ring, const uint8_t *state, size_t length) {
    uint64_t offset = (uint64_t)ring->keeper.block * (2 - ring->keeper.copy);

    return storage_write(ring->config.storage, offset, state, length);
}

/* The written state is stable: what it no longer keeps is free. */
static void state_settle(struct cmcwh_ring *ring, const uint8_t *state) {
    ring->keeper.copy = 1 - ring->keeper.copy;
    ring->keeper.low = get64(state + AT_STATE_LOW);
    ring->keeper.unsynced = false;
}

/* The storage is free for the next one. */
static void storage_leave(struct cmcwh_ring *ring) {
    ring->keeper.busy = false;
    ring_call_leader(ring);
    port_wake(ring);
}

/* Writes the places of the readers. With `sync` makes all stable, and clears what a failed group
 * has left. The lock is let go meanwhile. */
static int storage_write_places(struct cmcwh_ring *ring, bool sync) {
    uint8_t state[CMCWH_STATE_SIZE];
    size_t length = state_make(ring, state);
    int result;

    ring->keeper.busy = true;
    port_unlock(ring);
    result = sync ? tainted_clear(ring) : CMCWH_OK;
    if (result >= 0) {
        result = state_write(ring, state, length);
    }
    if (result >= 0 && sync) {
        result = storage_sync(ring->config.storage);
    }
    port_lock(ring);
    ring->keeper.unsynced = true;
    if (result < 0) {
        ring->keeper.dirty = true;
    } else if (sync || ring->config.storage->sync == NULL) {
        state_settle(ring, state);
        ring_free(ring);
    }
    if (result >= 0 && sync) {
        tainted_free(ring);
    }
    storage_leave(ring);
    return result;
}

/* A reader has moved on. Whoever is using the storage will write it; if nobody is, at once, so that
 * a killed process repeats nothing; but where writes are to be few, with the next group. */
static void storage_note_places(struct cmcwh_ring *ring) {
    if (!is_read_only(ring)) {
        ring->keeper.dirty = true;
        if (!ring->keeper.busy && gather_time(ring) == 0) {
            (void)storage_write_places(ring, false);
        }
    }
}

int cmcwh_ring_flush(struct cmcwh_ring *ring) {
    int result = CMCWH_OK;

    if (!is_stored(ring) || is_read_only(ring)) {
        return CMCWH_OK;
    }
    port_lock(ring);
    while (ring->keeper.busy && port_can_wait(ring)) {
        (void)port_wait(ring, WAIT_LONGEST);
    }
    if (ring->keeper.dirty || ring->keeper.unsynced) {
        result = storage_write_places(ring, true);
    }
    port_unlock(ring);
    return result;
}

/* Frees records that only wait for their readers' places to become stable. Where none does, takes
 * some from readers that need not get everything: many at a time, because each time costs a sync.
 */
static bool storage_make_room(struct cmcwh_ring *ring) {
    uint32_t evicted = 0;

    if (ring->keeper.busy || is_read_only(ring) || storage_refuses(ring, port_ticks(ring))) {
        return false;
    }
    if (ring_low(ring) == ring->keeper.low && ring->keeper.tainted == CMCWH_NONE) {
        while (evicted <= ring->config.capacity / 8 && ring_evict(ring)) {
            evicted++;
        }
        if (evicted == 0) {
            return false;
        }
    }
    return storage_write_places(ring, true) == CMCWH_OK && ring_has_room(ring);
}

/* ---- Storage: group commit --------------------------------------------------------------------
 * Whoever finds the storage free leads: writes and syncs for all who wait. The others sleep
 * meanwhile, or go on parsing. The only place that lets the lock go for a write of events.
 */

/* Writes and syncs a group of requests, numbered from `seq` on, and the state, if it is to be. */
static int group_write(struct cmcwh_ring *ring, struct cmcwh_batch *group, uint64_t seq,
                       const uint8_t *state, size_t length) {
    for (struct cmcwh_batch *batch = group; batch != NULL; batch = batch->next_waiting) {
        seq = batch_number(batch, seq);
        if (chain_write(ring, batch->first) < 0) {
            return CMCWH_ERR_STORAGE;
        }
    }
    if (length > 0 && state_write(ring, state, length) < 0) {
        return CMCWH_ERR_STORAGE;
    }
    return storage_sync(ring->config.storage);
}

/* A failed group may be on the storage in part: nothing of it may ever be found again. */
static int group_clear(const struct cmcwh_ring *ring, const struct cmcwh_batch *group) {
    for (const struct cmcwh_batch *batch = group; batch != NULL; batch = batch->next_waiting) {
        if (chain_clear(ring, batch->first) < 0) {
            return CMCWH_ERR_STORAGE;
        }
    }
    return storage_sync(ring->config.storage);
}

static void group_succeeded(struct cmcwh_ring *ring, struct cmcwh_batch *group,
                            const uint8_t *state, size_t length) {
    ring->keeper.pause = 0;
    tainted_free(ring);
    if (length > 0) {
        state_settle(ring, state);
    }
    ring->keeper.unsynced = true; /* the state does not know the group yet */
    while (group != NULL) {
        batch_publish(group);
        batch_settle(&group, CMCWH_OK);
    }
}

static uint32_t group_size(const struct cmcwh_batch *group) {
    uint32_t size = 0;

    for (; group != NULL; group = group->next_waiting) {
        size++;
    }
    return size;
}

/* Gives the records of a group back, or keeps them apart until they have been cleared. */
static void group_refuse(struct cmcwh_ring *ring, struct cmcwh_batch *group, bool cleared) {
    struct cmcwh_keeper *keeper = &ring->keeper;

    while (group != NULL) {
        if (cleared) {
            free_chain(ring, group->first, group->last, group->count);
        } else {
            ring->config.links[group->last] = keeper->tainted;
            keeper->tainted = group->first;
            keeper->tainted_count += group->count;
        }
        group->first = group->last = CMCWH_NONE;
        batch_settle(&group, CMCWH_ERR_STORAGE);
    }
}

#define PAUSE_FIRST   100
#define PAUSE_LONGEST 30000

/* The storage has failed: it is not tried again for a while, longer each time. */
static void storage_pause(struct cmcwh_ring *ring) {
    struct cmcwh_keeper *keeper = &ring->keeper;

    keeper->pause = keeper->pause == 0                  ? PAUSE_FIRST
                    : keeper->pause < PAUSE_LONGEST / 2 ? 2 * keeper->pause
                                                        : PAUSE_LONGEST;
    keeper->retry = port_after(ring, keeper->pause);
    keeper->dirty = keeper->unsynced = true;
}

/* Those who shared the last sync are likely to come again at once: wait for them a moment, or every
 * other sync would be for the first of them alone. */
static void storage_gather(struct cmcwh_ring *ring) {
    const struct cmcwh_port *port = ring->config.port;
    uint32_t waiting = group_size(ring->waiting);

    if (ring->config.storage->sync != NULL && port != NULL && port->nap != NULL &&
        gather_time(ring) == 0 && waiting < ring->keeper.last_group) {
        port_unlock(ring);
        port->nap(port->context);
        port_lock(ring);
    }
    ring->keeper.last_group = group_size(ring->waiting);
}

/* With the lock held: brings everything that waits onto the storage, as one group. The lock is let
 * go meanwhile. */
static void storage_lead(struct cmcwh_ring *ring) {
    struct cmcwh_batch *group = ring->waiting;
    uint8_t state[CMCWH_STATE_SIZE];
    uint64_t seq = ring->next_seq;
    size_t length = 0;
    bool begun, written, cleared;

    if (storage_refuses(ring, port_ticks(ring))) {
        ring->waiting = NULL;
        group_refuse(ring, group, true);
        port_wake(ring);
        return;
    }
    ring->keeper.busy = true;
    storage_gather(ring);
    group = ring->waiting;
    ring->waiting = NULL;
    /* Its end tells what was acknowledged and damaged since from what was torn: a question that
     * only arises where writes wait for a sync. */
    if (ring->config.storage->sync != NULL || ring->keeper.dirty) {
        length = state_make(ring, state);
    }
    port_unlock(ring);
    begun = tainted_clear(ring) >= 0;
    written = begun && group_write(ring, group, seq, state, length) >= 0;
    cleared = !begun || written || group_clear(ring, group) >= 0;
    port_lock(ring);
    if (written) {
        group_succeeded(ring, group, state, length);
    } else {
        group_refuse(ring, group, cleared);
        storage_pause(ring);
    }
    ring_settle(ring);
    storage_leave(ring); /* wakes the requests of the group, and who leads the next one */
}

/* ---- Storage: recovery ------------------------------------------------------------------------
 * Every record is read into its slot of config.records; one that is not whole is marked by a zero
 * as its first byte. config.links serves as a table meanwhile: the records of any `capacity` seqs
 * in a row have places of their own in it, seq % capacity. So that this always holds for what is
 * kept, a damaged record goes on taking a slot until all readers are past its number. None of this
 * runs once the ring is open.
 */

struct survey {
    struct cmcwh_ring *ring;
    uint64_t low, end;    /* what the state keeps */
    uint32_t first, last; /* the chain that is being made */
    uint32_t count;
};

static bool state_good(const struct cmcwh_ring *ring, const uint8_t *state) {
    uint32_t readers = get32(state + AT_STATE_READERS);
    uint64_t low = get64(state + AT_STATE_LOW), end = get64(state + AT_STATE_END);
    size_t length = AT_STATE_PLACES + 16 * (size_t)readers;

    return memcmp(state, state_magic, 4) == 0 && readers <= CMCWH_READERS_MAX &&
           get32(state + length) == crc32(state, length) && low >= 1 && low <= end &&
           end - low <= ring->config.capacity && end < UINT64_MAX / 2;
}

static void state_take(struct survey *survey, const uint8_t *state, uint32_t copy) {
    struct cmcwh_ring *ring = survey->ring;
    const uint8_t *at = state + AT_STATE_PLACES;
    uint32_t readers = get32(state + AT_STATE_READERS);

    ring->keeper.generation = get64(state + AT_STATE_GENERATION);
    ring->keeper.copy = copy;
    survey->low = get64(state + AT_STATE_LOW);
    survey->end = get64(state + AT_STATE_END);
    memset(ring->readers, 0, sizeof ring->readers);
    for (uint32_t i = 0; i < readers && i < CMCWH_READERS_MAX; i++, at += 16) {
        ring->readers[i].name = get64(at);
        ring->readers[i].place = get64(at + 8);
    }
}

/* Takes the newer of the two copies that is whole. */
static int survey_state(struct survey *survey, struct cmcwh_recovery *found) {
    uint32_t good = 0;

    for (uint32_t copy = 0; copy < 2; copy++) {
        uint64_t offset = (uint64_t)survey->ring->keeper.block * (1 + copy);
        uint8_t state[CMCWH_STATE_SIZE];

        if (storage_read(survey->ring->config.storage, offset, state, sizeof state) < 0) {
            return CMCWH_ERR_STORAGE;
        }
        if (state_good(survey->ring, state)) {
            if (good == 0 || get64(state + AT_STATE_GENERATION) > survey->ring->keeper.generation) {
                state_take(survey, state, copy);
            }
            good++;
        }
    }
    found->why = good > 0 ? NULL : "both copies of its readers' places are damaged";
    return good > 0 ? CMCWH_OK : CMCWH_ERR_FORMAT;
}

/* While the chains are made, config.links is a table: the links to come are kept in each record, in
 * four bytes that are 0 at all other times, as they are for a record that is free. */
enum { AT_LINK = 76 };

static void link_keep(const struct cmcwh_ring *ring, uint32_t slot, uint32_t next) {
    put32(ring->config.records[slot].bytes + AT_LINK, next ^ SLOT_FREE);
}

/* The table is done with: the links go to their place. */
static void links_take(const struct cmcwh_ring *ring) {
    for (uint32_t slot = 0; slot < ring->config.capacity; slot++) {
        uint8_t *kept = ring->config.records[slot].bytes + AT_LINK;

        ring->config.links[slot] = get32(kept) ^ SLOT_FREE;
        if (get32(kept) != 0) {
            put32(kept, 0);
        }
    }
}

/* Byte by byte it would be half of what opening an empty ring takes: each is compared with the
 * next. */
static bool is_zero(const struct cmcwh_record *record) {
    const uint8_t *bytes = record->bytes;

    return bytes[0] == 0 && memcmp(bytes, bytes + 1, CMCWH_RECORD_SIZE - 1) == 0;
}

/* Takes the record of a slot that was read to `from`. What is not whole is cleared, so that no torn
 * write of another record makes it whole. Where nothing was, memory that is zero is not written to:
 * a system need not have given it yet. */
static int survey_take(const struct cmcwh_ring *ring, uint32_t slot,
                       const struct cmcwh_record *from) {
    struct cmcwh_record *record = &ring->config.records[slot];

    if (cmcwh_record_check(from) == CMCWH_OK) {
        memmove(record->bytes, from->bytes, record_length(from));
        link_keep(ring, slot, SLOT_FREE);
        return CMCWH_OK;
    }
    if (!is_zero(from) && !is_read_only(ring)) {
        return record_clear(ring, slot);
    }
    if (record->bytes[0] != 0 || get32(record->bytes + AT_LINK) != 0) {
        record->bytes[0] = 0;
        link_keep(ring, slot, SLOT_FREE);
    }
    return CMCWH_OK;
}

/* Records that are read at a time. */
#ifndef READ_AHEAD
#define READ_AHEAD 64
#endif

/* Reads all records, in pieces, to where the last piece will stay: what comes there is still in the
 * processor's caches when it is taken from there. */
static int survey_read(const struct survey *survey) {
    const struct cmcwh_ring *ring = survey->ring;
    uint32_t count;

    for (uint32_t slot = 0; slot < ring->config.capacity; slot += count) {
        struct cmcwh_record *piece;

        count = ring->config.capacity - slot;
        count = count < READ_AHEAD ? count : READ_AHEAD;
        piece = ring->config.records + ring->config.capacity - count;
        if (storage_read(ring->config.storage, record_offset(ring->keeper.block, slot), piece,
                         (size_t)count * CMCWH_RECORD_SIZE) < 0) {
            return CMCWH_ERR_STORAGE;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (survey_take(ring, slot + i, &piece[i]) < 0) {
                return CMCWH_ERR_STORAGE;
            }
        }
    }
    return CMCWH_OK;
}

/* Where in the survey's table the record of this number stands. */
static uint32_t *survey_at(const struct survey *survey, uint64_t seq) {
    const struct cmcwh_ring_config *config = &survey->ring->config;

    return &config->links[seq % config->capacity]; /* NOLINT: config_good has seen it is not 0 */
}

/* The slot that holds the record of this number, or CMCWH_NONE. */
static uint32_t survey_slot(const struct survey *survey, uint64_t seq) {
    uint32_t slot = *survey_at(survey, seq);

    return slot != CMCWH_NONE && seq_at(survey->ring, slot) == seq ? slot : CMCWH_NONE;
}

/* Fills the survey's table. Of two records with one place, the newer one has it. */
static void survey_sort(struct survey *survey) {
    const struct cmcwh_ring *ring = survey->ring;

    for (uint32_t i = 0; i < ring->config.capacity; i++) {
        ring->config.links[i] = CMCWH_NONE;
    }
    for (uint32_t slot = 0; slot < ring->config.capacity; slot++) {
        uint32_t *at;

        if (record_whole(ring, slot) && seq_at(ring, slot) < survey->low + ring->config.capacity) {
            at = survey_at(survey, seq_at(ring, slot));
            if (*at == CMCWH_NONE || seq_at(ring, *at) < seq_at(ring, slot)) {
                *at = slot;
            }
        }
    }
}

/* Is a whole request there whose records begin at seq? Returns how many they are, 0 if not. */
static uint32_t survey_batch(const struct survey *survey, uint64_t seq) {
    const struct cmcwh_record *records = survey->ring->config.records;
    uint32_t slot = survey_slot(survey, seq), size;

    if (slot == CMCWH_NONE || record_batch(&records[slot]) != seq) {
        return 0;
    }
    size = record_batch_size(&records[slot]);
    for (uint32_t i = 1; i < size; i++) {
        slot = i < survey->ring->config.capacity ? survey_slot(survey, seq + i) : CMCWH_NONE;
        if (slot == CMCWH_NONE || record_batch(&records[slot]) != seq ||
            record_batch_size(&records[slot]) != size) {
            return 0;
        }
    }
    return size;
}

static bool survey_keeps(const struct survey *survey, uint32_t slot) {
    return record_whole(survey->ring, slot) && seq_at(survey->ring, slot) >= survey->low &&
           *survey_at(survey, seq_at(survey->ring, slot)) == slot;
}

/* Puts something in the place of each acknowledged record that cannot be read. What the slot held
 * may be a record of a number to come: it must not be found when that number has been used. */
static int survey_mend(const struct survey *survey, struct cmcwh_recovery *found) {
    struct cmcwh_record *records = survey->ring->config.records;
    uint32_t spare = 0;

    for (uint64_t seq = survey->low; seq < survey->end; seq++) {
        if (survey_slot(survey, seq) != CMCWH_NONE) {
            continue;
        }
        found->damaged++;
        if (is_read_only(survey->ring)) {
            continue; /* nothing will be added, so nothing can be in the way */
        }
        while (survey_keeps(survey, spare)) {
            spare++;
        }
        if (record_whole(survey->ring, spare) && record_clear(survey->ring, spare) < 0) {
            return CMCWH_ERR_STORAGE;
        }
        records[spare].bytes[0] = 0;
        put64(records[spare].bytes + AT_SEQ, seq);
        *survey_at(survey, seq) = spare++;
    }
    return CMCWH_OK;
}

/* Finds the end: behind what the state knows come whole requests, as far as none is missing. */
static void survey_end(struct survey *survey, struct cmcwh_recovery *found) {
    uint32_t size;

    while ((size = survey_batch(survey, survey->end)) > 0) {
        survey->end += size;
    }
    found->next_seq = survey->end;
}

/* What comes behind the end was never acknowledged: it must not be found again when its numbers
 * have been used by others. */
static int survey_drop(struct survey *survey, struct cmcwh_recovery *found) {
    const struct cmcwh_ring *ring = survey->ring;
    uint64_t batch = 0;

    for (uint64_t seq = survey->end; seq < survey->low + ring->config.capacity; seq++) {
        uint32_t slot = survey_slot(survey, seq);

        if (slot != CMCWH_NONE && record_batch(&ring->config.records[slot]) != batch) {
            batch = record_batch(&ring->config.records[slot]);
            found->dropped++;
        }
    }
    for (uint32_t slot = 0; slot < ring->config.capacity; slot++) {
        if (!record_whole(ring, slot) || seq_at(ring, slot) < survey->end) {
            continue;
        }
        if (is_read_only(ring)) {
            ring->config.records[slot].bytes[0] = 0;
        } else if (record_clear(ring, slot) < 0) {
            return CMCWH_ERR_STORAGE;
        }
    }
    return CMCWH_OK;
}

/* Makes a chain of the records from seq `from` on, up to `to`. */
static void survey_chain(struct survey *survey, uint64_t from, uint64_t to) {
    survey->first = survey->last = CMCWH_NONE;
    survey->count = 0;
    for (uint64_t seq = from; seq < to; seq++) {
        uint32_t slot = survey_slot(survey, seq);

        if (slot == CMCWH_NONE) {
            continue;
        }
        link_keep(survey->ring, slot, CMCWH_NONE);
        if (survey->first == CMCWH_NONE) {
            survey->first = slot;
        } else {
            link_keep(survey->ring, survey->last, slot);
        }
        survey->last = slot;
        survey->count++;
    }
}

/* Counts every event that can still be read, from the record `slot` on, delivered or not. */
static void survey_count(const struct cmcwh_ring *ring, uint32_t slot) {
    struct cmcwh_history *history = ring->config.history;
    uint64_t found = 0;

    for (uint32_t at = slot; at != CMCWH_NONE; at = ring->config.links[at]) {
        if (record_whole(ring, at) && found++ == 0) {
            history->counters.since = get64(ring->config.records[at].bytes + AT_RECEIVED);
        }
    }
    history->counters.at_least = found + 1 < ring->next_seq;
    history->next = slot;
    history_settle(ring, ring->next_seq);
}

/* Makes a chain of all that can be read, which is counted, and frees what of it was delivered. */
static void survey_settle(struct survey *survey) {
    struct cmcwh_ring *ring = survey->ring;
    uint64_t oldest = survey->end > ring->config.capacity ? survey->end - ring->config.capacity : 1;

    if (is_read_only(ring)) {
        survey->low = oldest; /* to look at: what was delivered is shown as well, to anybody */
        memset(ring->readers, 0, sizeof ring->readers);
    }
    survey_chain(survey, oldest, survey->end);
    links_take(ring);
    ring->head = survey->first;
    ring->tail = survey->last;
    ring->in_use = survey->count;
    ring->free = ring->tail == CMCWH_NONE ? 0 : slot_behind(ring, ring->tail);
    ring->next_seq = survey->end;
    ring->keeper.low = survey->low;
    if (has_history(ring)) {
        survey_count(ring, ring->head);
    }
    ring_free(ring);
    ring->peak = ring->in_use;
}

/* Somebody may have written while the records were read: what was overwritten had been delivered,
 * and is no damage. What has come since need not have been seen. */
static int survey_look_again(struct survey *survey, struct cmcwh_recovery *found) {
    uint64_t end = survey->end;
    int result = survey_state(survey, found);

    survey->low = survey->low < end ? survey->low : end;
    survey->end = end;
    return result;
}

static int survey_run(struct survey *survey, struct cmcwh_recovery *found) {
    struct cmcwh_ring *ring = survey->ring;
    int result = survey_state(survey, found);

    if (result >= 0) {
        result = survey_read(survey);
    }
    if (result >= 0 && is_read_only(ring)) {
        result = survey_look_again(survey, found);
    }
    found->low = survey->low;
    if (result >= 0) {
        survey_sort(survey);
        result = survey_mend(survey, found);
    }
    if (result >= 0) {
        survey_end(survey, found);
        result = survey_drop(survey, found);
    }
    if (result >= 0) {
        survey_settle(survey);
        found->kept = ring->in_use;
        if (!is_read_only(ring)) {
            found->kept -= found->damaged; /* which have stand-ins */
            /* From here on the end is known, and what was dropped is gone. */
            ring->keeper.dirty = true;
            result = cmcwh_ring_flush(ring);
        }
    }
    return result;
}

int cmcwh_ring_open(struct cmcwh_ring *ring, const struct cmcwh_ring_config *config,
                    struct cmcwh_recovery *found) {
    static const struct cmcwh_keeping keeping = {storage_lead, storage_note_places,
                                                 storage_make_room};
    struct survey survey = {.ring = ring};
    struct cmcwh_geometry geometry;
    int result;

    memset(found, 0, sizeof *found);
    if (!WITH_STORAGE || !config_good(config) || config->storage == NULL || config->confirm) {
        return CMCWH_ERR_ARGUMENT;
    }
    result = cmcwh_storage_probe(config->storage, &geometry, &found->why);
    if (result < 0) {
        return result;
    }
    if (geometry.records != config->capacity) {
        found->why = "it holds another number of records";
        return CMCWH_ERR_FORMAT;
    }
    ring_clear(ring, config);
    ring->keeper.keeping = &keeping;
    ring->keeper.block = geometry.block;
    return survey_run(&survey, found);
}

/* ---- Ring: what others call -------------------------------------------------------------------
 * The public functions of ring, batch and reader, and what only they need. Here the lock is taken,
 * and here requests wait; nothing knows how an event is parsed or encoded.
 */

int cmcwh_ring_init(struct cmcwh_ring *ring, const struct cmcwh_ring_config *config,
                    uint64_t first_seq) {
    if (!config_good(config) || config->storage != NULL || first_seq < 1) {
        return CMCWH_ERR_ARGUMENT;
    }
    ring_clear(ring, config);
    ring->next_seq = first_seq;
    for (uint32_t i = 0; i < config->capacity; i++) {
        config->links[i] = i + 1 < config->capacity ? i + 1 : CMCWH_NONE;
    }
    ring->free = 0;
    ring->free_last = config->capacity - 1;
    return CMCWH_OK;
}

/* Where a reader of this name goes: to its own place, to a new one, to one that nobody came for. */
static struct cmcwh_reader *reader_entry(struct cmcwh_ring *ring, uint64_t name) {
    struct cmcwh_reader *unused = NULL, *left = NULL;

    for (int i = 0; i < CMCWH_READERS_MAX; i++) {
        struct cmcwh_reader *reader = &ring->readers[i];

        if (!reader->attached && name != 0 && reader->name == name) {
            return reader;
        }
        if (!reader->attached && reader->name == 0 && unused == NULL) {
            unused = reader;
        }
        if (!reader->attached) {
            left = reader;
        }
    }
    return unused != NULL ? unused : left;
}

int cmcwh_ring_attach(struct cmcwh_ring *ring, const char *name, bool required) {
    uint64_t hash =
        WITH_STORAGE && name != NULL ? murmur64((const uint8_t *)name, strlen(name), 0) : 0;
    struct cmcwh_reader *reader;
    int found = CMCWH_ERR_ARGUMENT;

    port_lock(ring);
    reader = reader_entry(ring, hash);
    if (reader != NULL) {
        uint64_t place = hash != 0 && reader->name == hash ? reader->place : 0;

        memset(reader, 0, sizeof *reader);
        reader->name = hash;
        reader->attached = true;
        reader->required = required;
        reader->next = reader->oldest = slot_of(ring, place);
        ring->keeper.dirty = true;
        found = (int)(reader - ring->readers);
        ring->readers_end = found < ring->readers_end ? ring->readers_end : found + 1;
    }
    port_unlock(ring);
    return found;
}

/* Takes free records for a batch, with the lock held and one at least there: for a request of many
 * events several at once, unless the ring is nearly full. They are linked behind those in use here,
 * because links are only written with the lock held: free_take looks at all of them. */
static void batch_stock(struct cmcwh_batch *batch) {
    enum { MOST = 64, SHARE = 32 };
    struct cmcwh_ring *ring = batch->ring;
    uint32_t room = (ring->config.capacity - ring->in_use) / SHARE, last = batch->last;
    bool one = !WITH_SHORTCUTS || batch->count == 0 || room < 1;

    batch->spares = one ? 1 : room < MOST ? room : MOST;
    for (uint32_t i = 0; i < batch->spares; i++) {
        uint32_t slot = free_take(ring);

        if (i == 0) {
            batch->spare = slot;
        }
        if (last != CMCWH_NONE) {
            ring->config.links[last] = slot;
        }
        last = slot;
    }
    ring->peak = ring->in_use > ring->peak ? ring->in_use : ring->peak;
    ring_moves(ring);
}

/* Gives back what was not needed, with the lock held. */
static void batch_unstock(struct cmcwh_batch *batch) {
    struct cmcwh_ring *ring = batch->ring;
    uint32_t last;

    if (batch->spare == CMCWH_NONE) {
        return;
    }
    ring->config.links[batch->last] = CMCWH_NONE;
    last = chain_last(ring, batch->spare);
    free_unused(ring, batch->spare, last, batch->spares);
    batch->spare = CMCWH_NONE;
    batch->spares = 0;
}

/* Is there a free record, or can one be had at once? With the lock held. */
static bool ring_finds_room(struct cmcwh_ring *ring) {
    bool room = ring_has_room(ring) ||
                (is_stored(ring) ? ring->keeper.keeping->make_room(ring) : ring_evict(ring));

    if (WITH_GATHER && !room) {
        ring_hasten(ring); /* no more can come */
    }
    return room;
}

#define ROOM_LOOK 250 /* ms */

/* May one more wait for room? Not if as many do as may, and nothing has come free for a while. */
static bool ring_may_wait(const struct cmcwh_ring *ring) {
    return ring->config.room_waiters == 0 || ring->room_waiters <= ring->config.room_waiters ||
           port_ticks(ring) - ring->moved < ROOM_LOOK;
}

/* Waits for a free record, with the lock held. Not if every one is held by this very batch. */
static bool batch_wait(const struct cmcwh_batch *batch) {
    struct cmcwh_ring *ring = batch->ring;
    const struct cmcwh_ring_config *config = &ring->config;
    bool room = !is_read_only(ring) && ring_finds_room(ring);
    bool hopeless = is_read_only(ring) || batch->count == config->capacity || !port_can_wait(ring);
    uint64_t start = room || hopeless ? 0 : port_ticks(ring), passed = 0;

    ring->room_waiters++;
    while (!room && !hopeless && passed < config->room_wait && ring_may_wait(ring)) {
        (void)port_wait(ring, smaller((size_t)(config->room_wait - passed), ROOM_LOOK));
        passed = port_ticks(ring) - start;
        room = ring_finds_room(ring);
    }
    ring->room_waiters--;
    return room;
}

/* A free record for one more event, to be filled by the calling thread only. NULL when there is no
 * room, after config.room_wait; the batch stays as it was. */
static struct cmcwh_record *batch_add(struct cmcwh_batch *batch) {
    struct cmcwh_ring *ring = batch->ring;
    uint32_t slot;

    if (batch->spare == CMCWH_NONE) {
        bool room;

        port_lock(ring);
        room = batch_wait(batch);
        if (room) {
            batch_stock(batch);
        } else if (batch->count < ring->config.capacity) {
            ring->fulls++;
        }
        port_unlock(ring);
        if (!room) {
            return NULL;
        }
    }
    slot = batch->spare;
    batch->spare = ring->config.links[slot];
    batch->spares--;
    if (batch->first == CMCWH_NONE) {
        batch->first = slot;
    }
    batch->last = slot;
    batch->count++;
    if (batch->spare != CMCWH_NONE) {
        record_fetch(&ring->config.records[batch->spare]);
    }
    return &ring->config.records[slot];
}

/* Takes a batch off the list of those that wait. Perhaps it was called to lead: where the storage
 * is free, the first of the others is. False: it is not on it. */
static bool batch_unqueue(struct cmcwh_batch *batch) {
    struct cmcwh_ring *ring = batch->ring;
    struct cmcwh_batch **at = &ring->waiting;

    while (*at != NULL && *at != batch) {
        at = &(*at)->next_waiting;
    }
    if (*at == NULL) {
        return false;
    }
    *at = batch->next_waiting;
    batch->parked = false;
    ring_call_leader(ring);
    return true;
}

/* Gives all records back. Also after a failed commit; a batch without records is left alone. Of one
 * that is pending with config.confirm, the events stay with the sinks: nobody will ask any more.
 * Not while another thread writes it to the storage. */
static void batch_abort(struct cmcwh_batch *batch) {
    struct cmcwh_ring *ring = batch->ring;

    if (batch->outcome == CMCWH_PENDING) {
        port_lock(ring);
        (void)batch_unqueue(batch);
        port_unlock(ring);
    }
    if (batch->first != CMCWH_NONE) {
        port_lock(ring);
        batch_unstock(batch);
        free_unused(ring, batch->first, batch->last, batch->count);
        port_wake(ring);
        port_unlock(ring);
    }
    batch_begin(batch, ring);
}

/* How long until requests are taken again, after the storage or, with confirm, a required reader
 * has failed. */
static uint32_t ring_retry(const struct cmcwh_ring *ring, uint64_t now) {
    uint64_t longest = is_stored(ring) && storage_refuses(ring, now) ? ring->keeper.retry - now : 0;

    for (int i = 0; ring->config.confirm && reader_next(ring, &i); i++) {
        const struct cmcwh_reader *reader = &ring->readers[i];

        if (reader->required && reader->failed && reader->retry > now &&
            reader->retry - now > longest) {
            longest = reader->retry - now;
        }
    }
    return longest < UINT32_MAX ? (uint32_t)longest : UINT32_MAX;
}

/* Makes all readers forget the records from seq `first` on. True when one had taken some. */
static bool readers_forget(struct cmcwh_ring *ring, uint64_t first) {
    bool taken = false;

    for (int i = 0; reader_next(ring, &i); i++) {
        struct cmcwh_reader *reader = &ring->readers[i];
        uint64_t done = reader_done(ring, reader), next = seq_or_next(ring, reader->next);

        taken = taken || done > first;
        reader->spoiled = next > first ? reader->oldest != CMCWH_NONE : reader->spoiled;
        reader->next = next >= first ? CMCWH_NONE : reader->next;
        reader->oldest = done >= first ? CMCWH_NONE : reader->oldest;
    }
    return taken;
}

/* Takes back all records from `slot` on: no reader sees them any more, and their requests learn
 * that they failed. Their numbers are used again unless a reader has taken one of them. */
static void ring_take_back(struct cmcwh_ring *ring, uint32_t slot) {
    uint64_t first = seq_at(ring, slot);
    uint32_t before = CMCWH_NONE, count = 0;

    if (has_history(ring)) {
        history_drop(ring, first);
    }
    for (uint32_t at = ring->head; at != slot; at = ring->config.links[at]) {
        before = at;
    }
    for (uint32_t at = slot; at != CMCWH_NONE; at = ring->config.links[at]) {
        count++;
    }
    if (!readers_forget(ring, first)) {
        ring->next_seq = first;
    }
    free_chain(ring, slot, ring->tail, count);
    ring->tail = before;
    if (before == CMCWH_NONE) {
        ring->head = CMCWH_NONE;
    } else {
        ring->config.links[before] = CMCWH_NONE;
    }
    for (struct cmcwh_batch **at = &ring->waiting; *at != NULL;) {
        if ((*at)->first_seq + (*at)->count > first) {
            batch_settle(at, CMCWH_ERR_STORAGE);
        } else {
            at = &(*at)->next_waiting;
        }
    }
}

/* A required reader hangs, and may be in the middle of what it has read: what comes of that is not
 * to count. */
static void reader_stall(struct cmcwh_ring *ring, struct cmcwh_reader *reader, uint64_t retry) {
    reader->failed = true;
    reader->retry = retry;
    if (ring->config.confirm && reader->required && reader->oldest != CMCWH_NONE) {
        ring_take_back(ring, reader->oldest);
    }
}

/* The batch waits for its fate behind all others. */
static void batch_queue(struct cmcwh_batch *batch) {
    struct cmcwh_batch **at = &batch->ring->waiting;

    batch->since = port_after(batch->ring, gather_time(batch->ring));
    while (*at != NULL) {
        at = &(*at)->next_waiting;
    }
    *at = batch;
    batch->next_waiting = NULL;
    batch->outcome = CMCWH_PENDING;
}

/* Has this batch been committed: does it wait, or are its records no longer its own? */
static bool batch_committed(const struct cmcwh_batch *batch) {
    return batch->outcome == CMCWH_PENDING || (batch->count > 0 && batch->first == CMCWH_NONE);
}

/* Numbers the records and shows them to the readers, in one step; with storage that step is
 * batch_confirm. `composition` is put into each (empty: left as it is), and what `chain` says of it
 * (empty: nothing). Returns how many there were, which is no promise yet: batch_confirm tells;
 * CMCWH_ERR_STORAGE (nothing is committed, the batch is still held) when the storage, or with
 * config.confirm a required reader, has failed and is not to be tried again yet;
 * CMCWH_ERR_ARGUMENT: it was committed before. */
static int batch_commit(struct cmcwh_batch *batch, struct cmcwh_text composition,
                        struct cmcwh_text chain) {
    struct cmcwh_ring *ring = batch->ring;
    struct seal seal = {port_now(ring), batch->count, composition, chain};
    uint64_t ticks = port_ticks(ring);

    if (batch_committed(batch)) {
        return CMCWH_ERR_ARGUMENT;
    }
    port_lock(ring);
    batch_unstock(batch);
    batch->outcome = ring_retry(ring, ticks) > 0 ? CMCWH_ERR_STORAGE : CMCWH_OK;
    if (batch->outcome < 0) {
        port_unlock(ring);
        return CMCWH_ERR_STORAGE;
    }
    for (uint32_t slot = batch->first; slot != CMCWH_NONE; slot = ring->config.links[slot]) {
        record_finish(&ring->config.records[slot], &seal);
    }
    if (batch->count > 0 && is_stored(ring)) {
        batch_queue(batch);
    } else if (batch->count > 0) {
        (void)batch_number(batch, ring->next_seq);
        batch_publish(batch);
        if (ring->config.confirm) {
            batch_queue(batch);
        }
        ring_settle(ring);
    }
    port_unlock(ring);
    return (int)batch->count;
}

/* For how many ms those who wait are still to wait for others. */
static uint64_t ring_gathers(const struct cmcwh_ring *ring) {
    return ring->waiting == NULL ? 0 : batch_gathers(ring->waiting);
}

uint32_t cmcwh_ring_gathered(struct cmcwh_ring *ring, bool enough) {
    uint32_t left = UINT32_MAX;

    port_lock(ring);
    if (enough) {
        ring_hasten(ring);
    }
    if (ring->waiting != NULL) {
        left = (uint32_t)ring_gathers(ring);
        ring_call_leader(ring);
    }
    port_unlock(ring);
    return left;
}

/* How many ms it may still wait, UINT64_MAX: for ever. */
static uint64_t batch_patience(const struct cmcwh_batch *batch) {
    uint64_t limit = batch->ring->config.confirm_wait;
    bool waits = limit > 0 && batch_gathers(batch) == 0;
    uint64_t passed = waits ? port_ticks(batch->ring) - batch->since : 0;

    return limit == 0 ? UINT64_MAX : passed < limit ? limit - passed : 0;
}

/* It has waited too long: with confirm, for readers that hang. False: it is just being written to
 * the storage, and cannot be taken back. */
static bool batch_give_up(struct cmcwh_batch *batch) {
    struct cmcwh_ring *ring = batch->ring;
    uint64_t again = port_after(ring, ring->config.confirm_wait);

    if (is_stored(ring)) {
        batch->outcome = batch_unqueue(batch) ? CMCWH_ERR_STORAGE : CMCWH_PENDING;
        return batch->outcome != CMCWH_PENDING;
    }
    for (int i = 0; reader_next(ring, &i); i++) {
        struct cmcwh_reader *reader = &ring->readers[i];

        if (reader->required && reader_done(ring, reader) < batch->first_seq + batch->count) {
            reader_stall(ring, reader, again);
        }
    }
    ring_settle(ring);
    port_wake(ring);
    return true;
}

/* Waits until the fate of a committed batch is known, and with storage writes it, and all others
 * that wait. CMCWH_OK: it is on the storage; with config.confirm, every required reader has taken
 * it. CMCWH_ERR_STORAGE: the storage or one of those has failed, or was too slow, and the events
 * were taken back: readers that had not acknowledged them never will. CMCWH_PENDING: not known, and
 * the port cannot wait: ask again when the sinks have been pumped; or the batch has `settled`,
 * which will be called. Until then the batch is left where it is. CMCWH_ERR_ARGUMENT: it was not
 * committed. */
static int batch_confirm(struct cmcwh_batch *batch) {
    struct cmcwh_ring *ring = batch->ring;
    int outcome;

    if (!is_stored(ring) && !ring->config.confirm) {
        return batch->outcome; /* since the commit nobody else has looked at this batch */
    }
    port_lock(ring);
    batch->parked = false;
    while (batch->outcome == CMCWH_PENDING && !batch->parked) {
        uint64_t left = batch_patience(batch);
        uint64_t gathers = ring_gathers(ring);

        if (is_stored(ring) && !ring->keeper.busy && gathers == 0) {
            ring->keeper.keeping->lead(ring);
        } else if (left == 0 && batch_give_up(batch)) {
            break;
        } else if (batch->settled != NULL || !port_can_wait(ring)) {
            batch->parked = true;
        } else {
            left = left > 0 ? left : WAIT_LONGEST;
            (void)port_wait(ring, gathers > 0 && gathers < left ? gathers : left);
        }
    }
    outcome = batch->outcome;
    port_unlock(ring);
    return outcome;
}

/* With confirm: for how many ms a required reader is not to begin with what it has not
 * acknowledged, because more requests may come. Once it has begun, it takes those too. */
static uint64_t reader_gathers(const struct cmcwh_ring *ring, const struct cmcwh_reader *reader) {
    const struct cmcwh_batch *batch = ring->waiting;

    if (gather_time(ring) == 0 || !ring->config.confirm || !reader->required) {
        return 0;
    }
    while (batch != NULL && batch->first_seq + batch->count <= reader_done(ring, reader)) {
        batch = batch->next_waiting;
    }
    return batch == NULL ? 0 : batch_gathers(batch);
}

/* What a reader may read now: with confirm, one that is not required sees only what the
 * required ones have taken. */
static bool reader_may_read(const struct cmcwh_ring *ring, const struct cmcwh_reader *reader) {
    return reader->next != CMCWH_NONE &&
           (reader->required || !ring->config.confirm ||
            seq_at(ring, reader->next) < ring_confirmed(ring)) &&
           reader_gathers(ring, reader) == 0;
}

/* Goes past what was found damaged when the ring was opened. */
static void reader_skip_damage(const struct cmcwh_ring *ring, struct cmcwh_reader *reader) {
    while (reader->next != CMCWH_NONE && !record_whole(ring, reader->next)) {
        uint32_t next = ring->config.links[reader->next];

        reader->oldest = reader->oldest == reader->next ? next : reader->oldest;
        reader->next = next;
    }
}

/* The next record, not sealed yet. */
static int ring_take(struct cmcwh_ring *ring, int reader, struct cmcwh_record *record) {
    struct cmcwh_reader *self = &ring->readers[reader];
    bool some;

    port_lock(ring);
    reader_skip_damage(ring, self);
    some = reader_may_read(ring, self);
    if (some) {
        record_copy(record, &ring->config.records[self->next]);
        self->next = ring->config.links[self->next];
    }
    port_unlock(ring);
    return some;
}

/* What this reader has read stays where it is until it acknowledges or fails: nobody evicts it, and
 * it is not taken back. */
static bool records_stay(const struct cmcwh_ring *ring, int reader) {
    return ring->readers[reader].required && !ring->config.confirm;
}

/* The next records, where they are, for a reader for which they stay. Returns how many. */
static uint32_t ring_take_run(struct cmcwh_ring *ring, int reader, uint32_t *first) {
    enum { MOST = 16 };
    struct cmcwh_reader *self = &ring->readers[reader];
    uint32_t count = 0;

    port_lock(ring);
    reader_skip_damage(ring, self);
    *first = self->next;
    while (count < MOST && self->next != CMCWH_NONE && record_whole(ring, self->next)) {
        self->next = ring->config.links[self->next];
        count++;
    }
    port_unlock(ring);
    return count;
}

/* Gives back the records from `slot` on. */
static void ring_give_back(struct cmcwh_ring *ring, int reader, uint32_t slot) {
    port_lock(ring);
    ring->readers[reader].next = slot;
    port_unlock(ring);
}

int cmcwh_ring_read(struct cmcwh_ring *ring, int reader, struct cmcwh_record *record) {
    int some = ring_take(ring, reader, record);

    if (some > 0) {
        record_seal(record);
    }
    return some;
}

bool cmcwh_ring_wait(struct cmcwh_ring *ring, int reader, uint32_t ms) {
    const struct cmcwh_reader *self = &ring->readers[reader];
    bool some;

    port_lock(ring);
    some = reader_may_read(ring, self);
    if (!some) {
        uint64_t gathers = reader_gathers(ring, self);

        ring->waiting_readers++;
        (void)port_wait(ring, gathers > 0 && gathers < ms ? gathers : ms);
        ring->waiting_readers--;
        some = reader_may_read(ring, self);
    }
    port_unlock(ring);
    return some;
}

int cmcwh_ring_acknowledge(struct cmcwh_ring *ring, int reader) {
    struct cmcwh_reader *self = &ring->readers[reader];
    bool spoiled;

    port_lock(ring);
    spoiled = self->spoiled;
    if (spoiled) {
        self->next = self->oldest;
    } else {
        self->oldest = self->next;
    }
    self->evicted = 0;
    self->failed = self->spoiled = false;
    ring_settle(ring);
    if (is_stored(ring)) {
        ring->keeper.keeping->note_places(ring);
    }
    port_unlock(ring);
    return spoiled ? CMCWH_ERR_STORAGE : CMCWH_OK;
}

void cmcwh_ring_stall(struct cmcwh_ring *ring, int reader, uint32_t retry) {
    uint64_t again = port_after(ring, retry);

    port_lock(ring);
    reader_stall(ring, &ring->readers[reader], again);
    ring_settle(ring);
    port_wake(ring);
    port_unlock(ring);
}

void cmcwh_ring_fail(struct cmcwh_ring *ring, int reader, uint32_t retry) {
    struct cmcwh_reader *self = &ring->readers[reader];
    uint64_t again = port_after(ring, retry);

    port_lock(ring);
    self->lost += self->evicted;
    self->evicted = 0;
    self->spoiled = false;
    self->next = self->oldest;
    reader_stall(ring, self, again);
    ring_settle(ring);
    port_wake(ring);
    port_unlock(ring);
}

void cmcwh_ring_state(struct cmcwh_ring *ring, struct cmcwh_ring_state *state) {
    uint64_t now = port_ticks(ring);

    memset(state, 0, sizeof *state);
    port_lock(ring);
    state->capacity = ring->config.capacity;
    state->in_use = ring->in_use;
    state->peak = ring->peak;
    state->fulls = ring->fulls;
    state->stored = ring->next_seq - 1;
    state->safe = (ring->config.confirm ? ring_confirmed(ring) : ring->next_seq) - 1;
    state->retry = ring_retry(ring, now);
    for (int i = 0; reader_next(ring, &i); i++) {
        const struct cmcwh_reader *reader = &ring->readers[i];

        state->lost[i] = reader->lost;
        state->failed[i] = reader->failed;
        state->behind[i] = (uint32_t)(ring->next_seq - reader_done(ring, reader));
    }
    port_unlock(ring);
}

void cmcwh_ring_counters(struct cmcwh_ring *ring, struct cmcwh_counters *counters) {
    memset(counters, 0, sizeof *counters);
    if (!has_history(ring)) {
        return;
    }
    port_lock(ring);
    *counters = ring->config.history->counters;
    counters->last_event = ring->config.history->received;
    port_unlock(ring);
    for (unsigned i = 0; i < CMCWH_HOURS; i++) {
        totals_add(counters->totals, counters->hours[i].counts);
    }
}

int cmcwh_ring_look(struct cmcwh_ring *ring, uint64_t seq, struct cmcwh_record *record) {
    const struct cmcwh_record *held;
    bool found;

    if (!has_history(ring)) {
        return 0;
    }
    port_lock(ring);
    held = history_at(ring, place_of(ring, seq));
    found = held != NULL && record_seq(held) == seq;
    if (found) {
        record_copy(record, held);
    }
    port_unlock(ring);
    if (found) {
        record_seal(record);
    }
    return found;
}

/* ---- Sinks ------------------------------------------------------------------------------------
 * Moves records from the ring to where they are kept. A failed write or sync undoes all that was
 * written since the last whole request, so that no part of a request stays. What the medium is, the
 * platform knows.
 */

static bool writes_records(const struct cmcwh_sink_config *config) {
    return WITH_FRAMES && config->write_record != NULL;
}

int cmcwh_sink_init(struct cmcwh_sink *sink, const struct cmcwh_sink_config *config) {
    if (config->ring == NULL || (config->write == NULL && !writes_records(config)) ||
        !encoding_here(config->encoding) || config->buffer == NULL ||
        config->buffer_size < CMCWH_ENCODED_MAX || config->reader < 0 ||
        config->reader >= CMCWH_READERS_MAX) {
        return CMCWH_ERR_ARGUMENT;
    }
    memset(sink, 0, sizeof *sink);
    sink->config = *config;
    return CMCWH_OK;
}

static bool last_of_batch(const struct cmcwh_record *record) {
    return record_seq(record) + 1 == record_batch(record) + record_batch_size(record);
}

/* What a pump has done so far. */
struct haul {
    int taken, written; /* records; written: of those taken */
    size_t used;        /* bytes of the buffer */
};

/* As the medium's own. */
static int sink_write(struct cmcwh_sink *sink, struct haul *haul) {
    size_t length = haul->used;

    haul->used = 0;
    return length == 0 ? 0 : sink->config.write(sink->config.context, sink->config.buffer, length);
}

/* Records that have been taken and not been used yet. */
struct run {
    uint32_t slot, left;
};

/* The next record, or NULL: from the ring itself if it stays there, else a copy. */
static const struct cmcwh_record *sink_next(struct cmcwh_sink *sink, struct run *run) {
    const struct cmcwh_sink_config *config = &sink->config;
    const struct cmcwh_ring *ring = config->ring;
    const struct cmcwh_record *record;

    if (!WITH_SHORTCUTS || !records_stay(ring, config->reader)) {
        return ring_take(config->ring, config->reader, &sink->record) > 0 ? &sink->record : NULL;
    }
    if (run->left == 0) {
        run->left = ring_take_run(config->ring, config->reader, &run->slot);
    }
    if (run->left == 0) {
        return NULL;
    }
    record = &ring->config.records[run->slot];
    if (--run->left > 0) {
        run->slot = ring->config.links[run->slot];
        record_fetch(&ring->config.records[run->slot]);
    }
    return record;
}

/* A copy of the record with its CRC, which only one encoding shows. */
static const struct cmcwh_record *sink_sealed(struct cmcwh_sink *sink,
                                              const struct cmcwh_record *record) {
    if (record != &sink->record) {
        record_copy(&sink->record, record);
    }
    record_seal(&sink->record);
    return &sink->record;
}

static bool sink_wants(const struct cmcwh_sink *sink, const struct cmcwh_record *record) {
    return sink->config.filter == NULL ||
           filter_has(sink->config.filter, record_kind(record), record->bytes[AT_STATUS]);
}

/* Encodes a record behind what is in the buffer, and writes that when it is nearly full. Positive
 * when that is enough for now: of what is synced a sync is to cover much, but requests must not
 * wait for room meanwhile. Negative when a write failed. */
static int sink_put(struct cmcwh_sink *sink, const struct cmcwh_record *record, struct haul *haul) {
    const struct cmcwh_sink_config *config = &sink->config;
    size_t length;
    int result;

    if (WITH_FRAMES && (config->encoding == CMCWH_ENCODE_BINARY || writes_records(config))) {
        record = sink_sealed(sink, record);
    }
    length = cmcwh_encode(record, config->encoding, config->syslog, config->buffer + haul->used);
    if (writes_records(config)) {
        return config->write_record(config->context, record, config->buffer, length);
    }
    haul->used += length;
    if (!config->single && haul->used <= config->buffer_size - CMCWH_ENCODED_MAX) {
        return 0;
    }
    result = sink_write(sink, haul);
    if (result == 0) {
        result = config->sync == NULL || (uint32_t)haul->taken >= config->ring->config.capacity / 4;
    }
    return result;
}

/* Encodes and writes records that the filter lets pass, until a request ends with enough of them,
 * or with many that did not pass, for somebody may wait for them; or until none is left. Negative
 * when a write failed. */
static int sink_move(struct cmcwh_sink *sink, struct haul *haul) {
    enum { PASSED_OVER = 256 };
    const struct cmcwh_sink_config *config = &sink->config;
    const struct cmcwh_record *record = NULL;
    struct run run = {CMCWH_NONE, 0};
    bool enough = false;

    while (!(enough && last_of_batch(record)) && (record = sink_next(sink, &run)) != NULL) {
        int put;

        haul->taken++;
        if (!sink_wants(sink, record)) {
            enough = enough || haul->taken - haul->written >= PASSED_OVER;
            continue;
        }
        haul->written++;
        put = sink_put(sink, record, haul);
        if (put < 0) {
            return CMCWH_ERR_WRITE;
        }
        enough = enough || put > 0;
    }
    if (run.left > 0) {
        ring_give_back(config->ring, config->reader, run.slot);
    }
    return sink_write(sink, haul);
}

int cmcwh_sink_pump(struct cmcwh_sink *sink) {
    const struct cmcwh_sink_config *config = &sink->config;
    struct haul haul = {0};
    bool moved = sink_move(sink, &haul) >= 0;

    if (moved && haul.taken == 0) {
        return 0;
    }
    if (moved && haul.written > 0 && config->sync != NULL) {
        moved = config->sync(config->context) >= 0;
    }
    if (moved && cmcwh_ring_acknowledge(config->ring, config->reader) == CMCWH_OK) {
        sink->delivered += (uint64_t)haul.written;
        return haul.taken;
    }
    /* With nothing written, this would take back what was acknowledged before. */
    if (haul.written > 0 && config->undo != NULL) {
        config->undo(config->context);
    }
    return moved ? 0 : CMCWH_ERR_WRITE;
}

/* ---- Parser: window ---------------------------------------------------------------------------
 * The part of the JSON that is being looked at. Text is appended; what has been understood is
 * dropped from the front. One string or number that is longer than the window may have its end left
 * out, at `cut`. Nothing here knows what the text means.
 */

static size_t mark_bit(const struct cmcwh_parser *parser, size_t index) {
    return (parser->position + index) % CMCWH_WINDOW_SIZE;
}

static unsigned mark_get(const struct cmcwh_parser *parser, size_t index) {
    size_t bit = mark_bit(parser, index);

    return (unsigned)parser->escaped[bit / 8] >> bit % 8 & 1;
}

/* Marks are cleared when their bytes are dropped: only those that are wanted are set. */
static void mark_set(struct cmcwh_parser *parser, size_t index) {
    size_t bit = mark_bit(parser, index);

    parser->escaped[bit / 8] |= (uint8_t)(1u << bit % 8);
}

static void marks_clear(struct cmcwh_parser *parser, size_t from, size_t to) {
    while (is_form(parser) && from < to) {
        size_t bit = mark_bit(parser, from), in_byte = smaller(8 - bit % 8, to - from);

        parser->escaped[bit / 8] &= (uint8_t) ~(((1u << in_byte) - 1) << bit % 8);
        from += in_byte;
    }
}

/* How many bytes of the body became window[from..to). */
static uint64_t window_sent(const struct cmcwh_parser *parser, size_t from, size_t to) {
    static const uint8_t ones[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
    uint64_t marks = 0;

    for (size_t i = from; is_form(parser) && i < to;) {
        size_t bit = mark_bit(parser, i);

        if (bit % 8 == 0 && to - i >= 8) {
            uint8_t byte = parser->escaped[bit / 8];

            marks += (uint64_t)ones[byte & 15] + ones[byte >> 4];
            i += 8;
        } else {
            marks += mark_get(parser, i++);
        }
    }
    return to - from + 2 * marks;
}

/* Offset in the body of window[index]. */
static uint64_t window_offset(const struct cmcwh_parser *parser, size_t index) {
    uint64_t offset = parser->origin + window_sent(parser, 0, index);

    return parser->cut != CMCWH_NONE && index >= parser->cut ? offset + parser->skipped : offset;
}

/* Drops the first `length` bytes. */
static void window_drop(struct cmcwh_parser *parser, size_t length) {
    parser->origin = window_offset(parser, length);
    marks_clear(parser, 0, length);
    if (parser->cut != CMCWH_NONE && length >= parser->cut) {
        parser->cut = CMCWH_NONE;
        parser->skipped = 0;
    }
    parser->position = (uint32_t)mark_bit(parser, length);
    parser->used -= (uint32_t)length;
    memmove(parser->window, parser->window + length, parser->used);
}

/* Takes `length` bytes out at `cut`, where the end of a long string or number is left out. */
static void window_cut(struct cmcwh_parser *parser, size_t length) {
    size_t from = parser->cut + length;

    parser->skipped += window_sent(parser, parser->cut, from);
    memmove(parser->window + parser->cut, parser->window + from, parser->used - from);
    marks_clear(parser, parser->cut, from);
    for (size_t i = from; is_form(parser) && i < parser->used; i++) {
        if (mark_get(parser, i) != 0) {
            marks_clear(parser, i, i + 1);
            mark_set(parser, i - length);
        }
    }
    parser->used -= (uint32_t)length;
}

static void window_push(struct cmcwh_parser *parser, char byte, bool escaped) {
    if (escaped) {
        mark_set(parser, parser->used);
    }
    parser->window[parser->used++] = byte;
}

/* ---- Parser: faults and kept texts ------------------------------------------------------------
 * How a request fails, and the few texts of it that are needed to its end, decoded piece by piece.
 * Nothing here reads the body.
 */

/* A fault that ends the parsing. */
static void parser_fail(struct cmcwh_parser *parser, int result, uint64_t offset,
                        const char *detail) {
    parser->error.result = result;
    parser->error.offset = offset;
    parser->error.detail = detail;
    parser->error.field[0] = '\0';
    parser->failed = true;
}

/* What an open array or object is to us. */
enum place {
    PLACE_SKIP, /* nothing in it matters, but it must be JSON */
    PLACE_REQUEST,
    PLACE_EVENT,  /* the object `event` */
    PLACE_LIST,   /* the list of events in it */
    PLACE_ITEM,   /* one event */
    PLACE_CAPTURE /* inside a member of an event that is kept as JSON */
};

/* What a member of an object is to us; from MEMBER_FIELD on: MEMBER_FIELD + enum cmcwh_field. */
enum member {
    MEMBER_SKIP,
    MEMBER_EVENT,
    MEMBER_EVENT_TYPE,
    MEMBER_COMPOSITION,
    MEMBER_API_KEY,
    MEMBER_CAPTURE, /* kept as JSON */
    MEMBER_FIELD
};

static void event_forget(struct cmcwh_parser *parser) {
    batch_abort(&parser->batch);
    parser->draft.record = NULL;
    parser->have_event = parser->have_list = false;
}

/* From now on nothing matters but that it is JSON. */
static void event_skip_all(struct cmcwh_parser *parser) {
    for (uint32_t depth = 0; depth <= parser->depth; depth++) {
        parser->open[depth].place = PLACE_SKIP;
    }
    parser->inside.place = PLACE_SKIP;
    parser->member = MEMBER_SKIP;
    event_forget(parser);
}

/* Good JSON, but not what CMC sends. The rest is still checked: what is not JSON at all is said
 * to be just that, wherever it is. The first such fault is kept. */
static void parser_refuse(struct cmcwh_parser *parser, int result, uint64_t offset,
                          struct cmcwh_text field, const char *detail) {
    size_t length = smaller(field.length, sizeof parser->error.field - 1);

    if (parser->error.result != CMCWH_OK) {
        return;
    }
    parser_fail(parser, result, offset, detail);
    parser->failed = false;
    for (size_t i = 0; i < length; i++) {
        char c = field.data[i];

        parser->error.field[i] = c > ' ' && c < 0x7F && c != '"' && c != '\\' ? c : '?';
    }
    parser->error.field[length] = '\0';
    event_skip_all(parser);
}

static const char ends_early[] = "the text ends too early";

static void json_fail(struct cmcwh_parser *parser, size_t index, const char *detail) {
    uint64_t offset = window_offset(parser, index);

    if (parser->ending && offset >= parser->offset) {
        offset = parser->offset;
        detail = ends_early;
    }
    parser_fail(parser, CMCWH_ERR_JSON, offset, detail);
}

/* A text of the request that is needed to its end, decoded piece by piece into struct
 * cmcwh_kept. */
static void kept_clear(struct cmcwh_kept *kept) {
    kept->length = 0;
    kept->truncated = false;
}

static struct cmcwh_text kept_text(const struct cmcwh_kept *kept) {
    struct cmcwh_text text = {kept->text, kept->length};

    return text;
}

static struct output kept_output(struct cmcwh_kept *kept) {
    struct output output = {kept->text, kept->truncated ? kept->length : sizeof kept->text,
                            kept->length, kept->length};

    return output;
}

static void kept_settle(struct cmcwh_kept *kept, const struct output *output) {
    kept->length = (uint16_t)output->used;
    kept->truncated = kept->truncated || output->wanted != output->used;
}

static bool kept_same(const struct cmcwh_kept *a, const struct cmcwh_kept *b) {
    return a->length == b->length && a->truncated == b->truncated &&
           memcmp(a->text, b->text, a->length) == 0;
}

/* ---- Parser: events ---------------------------------------------------------------------------
 * What the JSON means: each open container and each member of an object we look at is something to
 * us. The grammar is checked by those who call this, and not here.
 */

/* A string, number or word in the window; a string without its quotes. */
struct lexeme {
    size_t start, end;
    bool string;
    bool cut; /* its end was left out, because it is longer than the window */
};

/* Where the value of the parameter goes that was just named; NULL for one that is ignored. */
static struct cmcwh_kept *form_target(struct cmcwh_parser *parser) {
    switch (parser->member) {
    case MEMBER_EVENT_TYPE:
        return &parser->event_type;
    case MEMBER_COMPOSITION:
        return &parser->composition;
    case MEMBER_API_KEY:
        return &parser->api_key;
    default:
        return NULL;
    }
}

/* Does this begin with a name and the quote behind it? */
static inline bool name_quoted(struct cmcwh_text in, char quote, const char *name, size_t length) {
    return length < in.length && in.data[length] == quote && memcmp(in.data, name, length) == 0;
}

static uint8_t request_member(struct cmcwh_text name) {
    static const char *const names[] = {"event", "event_type", "server_composition", "api_key"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (text_is(name, names[i])) {
            return (uint8_t)(MEMBER_EVENT + i);
        }
    }
    return MEMBER_SKIP;
}

/* Does this begin with a field's name and the quote behind it? */
static inline bool field_quoted(struct cmcwh_text in, char quote, const struct field *field) {
    size_t length = field->length;

    if (!WITH_SHORTCUTS || in.length < sizeof field->name) {
        return name_quoted(in, quote, field->name, length);
    }
    return (length < 8 ? (word_at(in.data) ^ word_at(field->name)) << 8 * (8 - length) == 0
                       : word_at(in.data) == word_at(field->name) &&
                             word_at(in.data + length - 8) == word_at(field->name + length - 8)) &&
           in.data[length] == quote;
}

/* The field whose name, where version 1 spelled it in another way, and the quote behind it begin
 * `in`; or CMCWH_FIELDS. */
static unsigned item_field_1(struct cmcwh_text in, char quote, size_t *length) {
    static const char to[] = "envelopeTo", return_path[] = "envelopeFrom";

    *length = sizeof to - 1;
    if (name_quoted(in, quote, to, *length)) {
        return CMCWH_TO;
    }
    *length = sizeof return_path - 1;
    return name_quoted(in, quote, return_path, *length) ? CMCWH_RETURN_PATH : CMCWH_FIELDS;
}

static unsigned field_after(unsigned field) {
    return field + 1 < CMCWH_MEMBERS ? field + 1 : 0;
}

/* The same of any field, in either spelling, looked for from this one on. */
static unsigned item_search(unsigned field, struct cmcwh_text in, char quote, size_t *length) {
    for (unsigned tried = 0; tried < CMCWH_MEMBERS; tried++) {
        *length = fields[field].length;
        if (field_quoted(in, quote, &fields[field])) {
            return field;
        }
        field = field_after(field);
    }
    return item_field_1(in, quote, length);
}

/* The field with whose name, and a quote (or its first byte) behind it, `in` begins; or
 * CMCWH_FIELDS. CMC sends them in the order of enum cmcwh_field: most often it is the one after the
 * last. */
static inline unsigned item_field(struct cmcwh_parser *parser, struct cmcwh_text in, char quote,
                                  size_t *length) {
    unsigned field = parser->hint;

    *length = fields[field].length;
    if (!WITH_SHORTCUTS || !field_quoted(in, quote, &fields[field])) {
        field = item_search(field, in, quote, length);
    }
    if (field < CMCWH_FIELDS) {
        parser->hint = (uint8_t)field_after(field);
    }
    return field;
}

/* What a member of an event is to us by its name; `in` has the quote behind it too. */
static uint8_t item_member(struct cmcwh_parser *parser, struct cmcwh_text in) {
    size_t length;
    unsigned field = item_field(parser, in, '"', &length);

    return field < CMCWH_FIELDS && length + 1 == in.length ? (uint8_t)(MEMBER_FIELD + field)
                                                           : MEMBER_SKIP;
}

/* The string was taken up to `taken`: is it whole and right? */
static bool string_right(struct cmcwh_parser *parser, const struct lexeme *lexeme, size_t taken,
                         const struct cmcwh_decoder *decoder) {
    const char *fault = decoder->fault;

    if (fault == NULL && decoder_clean(decoder)) {
        return true;
    }
    if (fault == NULL) {
        fault = decoder->high != 0 ? lone_surrogate : bad_utf8;
    }
    json_fail(parser, lexeme->start + taken, fault);
    return false;
}

/* Decodes a string into a kept text, or nowhere (NULL). False: it is not right. */
static bool string_keep(struct cmcwh_parser *parser, const struct lexeme *lexeme,
                        struct cmcwh_kept *kept) {
    const char *text = parser->window + lexeme->start;
    size_t length = lexeme->end - lexeme->start, taken;
    struct output output = {NULL, 0, 0, 0};
    struct cmcwh_decoder decoder;

    if (kept != NULL) {
        kept_clear(kept);
        if (WITH_SHORTCUTS && !lexeme->cut && length <= sizeof kept->text &&
            copy_plain(kept->text, text, length) == length) {
            kept->length = (uint16_t)length;
            return true;
        }
        output = kept_output(kept);
    }
    decoder_init(&decoder, true);
    taken = decode(&decoder, text, length, &output);
    if (kept != NULL) {
        kept_settle(kept, &output);
        kept->truncated = kept->truncated || lexeme->cut;
    }
    return string_right(parser, lexeme, taken, &decoder);
}

static struct cmcwh_text lexeme_text(const struct cmcwh_parser *parser,
                                     const struct lexeme *lexeme) {
    struct cmcwh_text text = {parser->window + lexeme->start, lexeme->end - lexeme->start};

    return text;
}

static bool lexeme_null(const struct cmcwh_parser *parser, const struct lexeme *lexeme) {
    return !lexeme->string && parser->window[lexeme->start] == 'n';
}

/* Appends to the member that is being kept as JSON. */
static void capture_put(struct cmcwh_parser *parser, const char *bytes, size_t length) {
    parser->capturing =
        parser->capturing && member_put(&parser->draft, parser->capture, bytes, length);
}

static void capture_byte(struct cmcwh_parser *parser, char byte) {
    capture_put(parser, &byte, 1);
}

/* Begins to keep a member as JSON. One whose name is longer than the window is left out. */
static void capture_begin(struct cmcwh_parser *parser, const struct lexeme *lexeme) {
    struct cmcwh_text name = lexeme_text(parser, lexeme);
    struct spelling spelling;

    parser->capturing = !lexeme->cut;
    if (lexeme->cut) {
        draft_mark_cut(&parser->draft, CMCWH_MEMBERS, true);
        return;
    }
    parser->capture = (uint16_t)member_begin(&parser->draft, name);
    spell_begin(&spelling, name);
    capture_byte(parser, '"');
    while (spell(&spelling)) {
        capture_put(parser, spelling.text, spelling.length);
    }
    capture_byte(parser, '"');
    capture_byte(parser, ':');
}

static void capture_value(struct cmcwh_parser *parser, const struct lexeme *lexeme) {
    struct cmcwh_text text = lexeme_text(parser, lexeme);

    if (lexeme->string && !string_keep(parser, lexeme, NULL)) {
        return;
    }
    if (lexeme->string) {
        capture_byte(parser, '"');
    }
    capture_put(parser, text.data, text.length);
    if (lexeme->string) {
        capture_byte(parser, '"');
    }
    if (lexeme->cut) {
        draft_mark_cut(&parser->draft, CMCWH_MEMBERS, true);
    }
}

/* A comma or colon: it belongs to a member that is kept as JSON, or is nothing to us. */
static void event_mark(struct cmcwh_parser *parser, char mark) {
    if (parser->inside.place == PLACE_CAPTURE) {
        capture_byte(parser, mark);
    }
}

/* In `event`: is the member just named the list of events, or might it be? */
static bool list_matters(const struct cmcwh_parser *parser) {
    if (parser->event_type.length > 0) {
        return kept_same(&parser->key, &parser->event_type);
    }
    if (kind_of(kept_text(&parser->key)) != CMCWH_OTHER) {
        return true;
    }
    return !parser->have_list || kept_same(&parser->key, &parser->list);
}

/* The value that begins at `index` is of a type that must not stand here: says so, if it is
 * anything to us. */
static void wrong_type(struct cmcwh_parser *parser, size_t index) {
    static const char no_text[] = "an object or array stands where a text is expected";
    static const char no_event[] = "event must be an object";
    uint8_t place = parser->inside.place;
    struct cmcwh_text field = kept_text(place == PLACE_LIST ? &parser->list : &parser->key);
    const char *detail = NULL;

    if (parser->depth == 0) {
        field = text_of(is_json(parser) ? "" : "event");
        detail = is_json(parser) ? "the body must be an object" : no_event;
    } else if (place == PLACE_REQUEST && parser->member != MEMBER_SKIP) {
        detail = parser->member == MEMBER_EVENT ? no_event : no_text;
    } else if (place == PLACE_EVENT && list_matters(parser)) {
        detail = "this must be a list of events";
    } else if (place == PLACE_LIST) {
        detail = "an event must be an object";
    } else if (place == PLACE_ITEM && parser->member >= MEMBER_FIELD) {
        field = text_of(fields[parser->member - MEMBER_FIELD].name);
        detail = no_text;
    }
    if (detail != NULL) {
        parser_refuse(parser, CMCWH_ERR_TYPE, window_offset(parser, index), field, detail);
    }
}

static void wrong_list(struct cmcwh_parser *parser, uint64_t offset,
                       const struct cmcwh_kept *name) {
    parser_refuse(parser, CMCWH_ERR_EVENT_TYPE, offset, kept_text(name),
                  "events of another type than event_type says");
}

/* In `event`: the value of the member just named is an array. */
static uint8_t list_open(struct cmcwh_parser *parser) {
    enum cmcwh_kind kind = kind_of(kept_text(&parser->key));
    bool clash = parser->event_type.length > 0
                     ? !kept_same(&parser->key, &parser->event_type)
                     : parser->have_list && !kept_same(&parser->key, &parser->list) &&
                           parser->list_kind != CMCWH_OTHER;

    if (kind != CMCWH_OTHER && clash) {
        wrong_list(parser, parser->key_offset, &parser->key);
        return PLACE_SKIP;
    }
    if (!list_matters(parser)) {
        return PLACE_SKIP;
    }
    batch_abort(&parser->batch);
    parser->list = parser->key;
    parser->list_kind = (uint8_t)kind;
    parser->list_offset = parser->key_offset;
    parser->have_list = true;
    return PLACE_LIST;
}

static uint8_t item_open(struct cmcwh_parser *parser, size_t index) {
    struct cmcwh_record *record = batch_add(&parser->batch);

    if (record == NULL) {
        bool never = parser->batch.count == parser->batch.ring->config.capacity;

        parser_fail(parser, never ? CMCWH_ERR_EVENTS : CMCWH_ERR_FULL, window_offset(parser, index),
                    never ? "the request holds more events than the ring has records"
                          : "the ring has no room for the whole request");
        return PLACE_SKIP;
    }
    draft_begin(&parser->draft, record, (enum cmcwh_kind)parser->list_kind);
    parser->hint = 0;
    return PLACE_ITEM;
}

/* The outermost object: of a JSON body the request, in forms the value of `event`. */
static uint8_t root_open(struct cmcwh_parser *parser, size_t index) {
    uint64_t offset = window_offset(parser, index);

    if (is_json(parser)) {
        parser->root_offset = offset;
        return PLACE_REQUEST;
    }
    parser->have_event = true;
    parser->event_offset = offset;
    return PLACE_EVENT;
}

/* The object that is the request's `event`; of several the last counts. */
static uint8_t request_event(struct cmcwh_parser *parser, size_t index) {
    event_forget(parser);
    parser->have_event = true;
    parser->event_offset = window_offset(parser, index);
    return PLACE_EVENT;
}

/* An array or object opens: what is it to us? */
static uint8_t event_open(struct cmcwh_parser *parser, size_t index, bool object) {
    uint8_t place = parser->inside.place, inside = PLACE_SKIP;

    if (parser->error.result != CMCWH_OK) {
        return PLACE_SKIP;
    }
    if (place == PLACE_CAPTURE || (place == PLACE_ITEM && parser->member == MEMBER_CAPTURE)) {
        capture_byte(parser, object ? '{' : '[');
        inside = PLACE_CAPTURE;
    } else if (parser->depth == 0 && object) {
        inside = root_open(parser, index);
    } else if (place == PLACE_REQUEST && parser->member == MEMBER_EVENT && object) {
        inside = request_event(parser, index);
    } else if (place == PLACE_EVENT && !object) {
        inside = list_open(parser);
    } else if (place == PLACE_LIST && object) {
        inside = item_open(parser, index);
    } else {
        wrong_type(parser, index);
    }
    return inside;
}

static void event_close(struct cmcwh_parser *parser, bool object) {
    uint8_t place = parser->inside.place;

    if (place == PLACE_CAPTURE) {
        capture_byte(parser, object ? '}' : ']');
        if (parser->open[parser->depth - 1].place == PLACE_ITEM) {
            capture_byte(parser, '\n');
        }
    } else if (place == PLACE_ITEM) {
        draft_text(&parser->draft, CMCWH_EVENT_TYPE, kept_text(&parser->list));
        if (parser->list.truncated) {
            draft_mark_cut(&parser->draft, CMCWH_EVENT_TYPE, true);
        }
        draft_close(&parser->draft);
    }
}

/* A name that was kept, with a quote behind it where there is room: those of ours are short. */
static struct cmcwh_text kept_quoted(struct cmcwh_kept *kept) {
    struct cmcwh_text text = kept_text(kept);

    if (text.length < sizeof kept->text) {
        kept->text[text.length++] = '"';
    }
    return text;
}

/* The name of a member. Names of ours have no escapes, so most are known without decoding. */
static void event_name(struct cmcwh_parser *parser, const struct lexeme *lexeme) {
    struct cmcwh_text name = lexeme_text(parser, lexeme);
    uint8_t place = parser->inside.place;

    if (place == PLACE_ITEM) {
        name.length++; /* its quote */
        parser->member = item_member(parser, name);
        if (parser->member != MEMBER_SKIP) {
            return;
        }
    }
    if (!string_keep(parser, lexeme, &parser->key)) {
        return;
    }
    parser->key_offset = window_offset(parser, lexeme->start - 1);
    if (place == PLACE_REQUEST) {
        parser->member = request_member(kept_text(&parser->key));
    } else if (place == PLACE_ITEM) {
        parser->member = item_member(parser, kept_quoted(&parser->key));
        if (parser->member == MEMBER_SKIP &&
            record_kind(parser->draft.record) != CMCWH_DELIVERIES &&
            record_kind(parser->draft.record) != CMCWH_BOUNCES) {
            parser->member = MEMBER_CAPTURE;
            capture_begin(parser, lexeme);
        }
    } else if (place == PLACE_CAPTURE) {
        capture_value(parser, lexeme);
    }
}

/* A string, number or word as a member of the request. */
static void request_value(struct cmcwh_parser *parser, const struct lexeme *lexeme) {
    struct cmcwh_kept *kept = form_target(parser);

    if (parser->member == MEMBER_EVENT) {
        event_forget(parser);
        if (!lexeme_null(parser, lexeme)) {
            wrong_type(parser, lexeme->start - lexeme->string);
        }
        kept = NULL;
    }
    if (lexeme->string) {
        (void)string_keep(parser, lexeme, kept);
    } else if (kept != NULL) {
        struct output output;

        kept_clear(kept);
        output = kept_output(kept);
        if (!lexeme_null(parser, lexeme)) {
            output_ascii(&output, parser->window + lexeme->start, lexeme->end - lexeme->start);
        }
        kept_settle(kept, &output);
    }
}

/* A string, number or word as a member of an event. */
static void item_value(struct cmcwh_parser *parser, const struct lexeme *lexeme) {
    struct cmcwh_text text = lexeme_text(parser, lexeme);
    unsigned field = parser->member - MEMBER_FIELD;
    struct cmcwh_decoder decoder;
    size_t taken;

    if (parser->member == MEMBER_CAPTURE) {
        capture_value(parser, lexeme);
        capture_byte(parser, '\n');
    } else if (parser->member >= MEMBER_FIELD) {
        if (lexeme_null(parser, lexeme)) {
            text.length = 0;
        }
        decoder_init(&decoder, lexeme->string);
        taken = draft_put(&parser->draft, field, text, lexeme->string, &decoder);
        if (lexeme->cut) {
            draft_mark_cut(&parser->draft, field, true);
        }
        (void)string_right(parser, lexeme, taken, &decoder);
    } else if (lexeme->string) {
        (void)string_keep(parser, lexeme, NULL);
    }
}

/* A string, number or word: what is it to us? */
static void event_value(struct cmcwh_parser *parser, const struct lexeme *lexeme) {
    uint8_t place = parser->inside.place;
    bool may_be_null = place == PLACE_EVENT || (parser->depth == 0 && !is_json(parser));

    if (place == PLACE_ITEM) {
        item_value(parser, lexeme);
        return;
    }
    if (place == PLACE_REQUEST) {
        request_value(parser, lexeme);
        return;
    }
    if (place == PLACE_CAPTURE) {
        capture_value(parser, lexeme);
        return;
    }
    if (!may_be_null || !lexeme_null(parser, lexeme)) {
        wrong_type(parser, lexeme->start - lexeme->string);
    }
    if (lexeme->string) {
        (void)string_keep(parser, lexeme, NULL);
    }
}

/* Something is wrong with a chain where `rest` of it begins. */
static void chain_fail(struct cmcwh_parser *parser, struct cmcwh_text rest, const char *detail) {
    static const char header[] = "Cmcwh-Events";

    parser_fail(parser, CMCWH_ERR_CHAIN, parser->chain.length - rest.length, detail);
    memcpy(parser->error.field, header, sizeof header);
}

/* Does the chain have as many entries as there are events? */
static void chain_check(struct cmcwh_parser *parser) {
    struct cmcwh_text rest = parser->chain;
    uint32_t left = parser->batch.count;

    while (left > 0 && rest.length > 0) {
        text_skip(&rest, smaller(text_find(rest, ',') + 1, rest.length));
        left--;
    }
    if (left > 0 || rest.length > 0) {
        chain_fail(parser, rest,
                   left > 0 ? "it has fewer entries than the body has events"
                            : "it has more entries than the body has events");
    }
}

static void missing(struct cmcwh_parser *parser, uint64_t offset, struct cmcwh_text field,
                    const char *detail) {
    parser_refuse(parser, CMCWH_ERR_MISSING, offset, field, detail);
}

/* The body is whole and good JSON: is it a request of CMC's? */
static void event_check_request(struct cmcwh_parser *parser) {
    if (!parser->have_event) {
        missing(parser, parser->root_offset, text_of("event"), "the request has no event");
    } else if (parser->event_type.length == 0) {
        missing(parser, parser->root_offset, text_of("event_type"),
                "the request has no event_type");
    } else if (!parser->have_list) {
        missing(parser, parser->event_offset, kept_text(&parser->event_type),
                "event has no list that is named as event_type");
    } else if (!kept_same(&parser->list, &parser->event_type)) {
        wrong_list(parser, parser->list_offset, &parser->list);
    } else if (WITH_CHAINS && parser->chain.data != NULL) {
        chain_check(parser);
    }
}

/* ---- Parser: JSON -----------------------------------------------------------------------------
 * jsmn finds strings, numbers and words in the window, and is called again when more has come. It
 * checks little: the walk over its tokens, and over the bytes between them, checks the grammar of
 * RFC 8259; numbers and words are checked here, strings when they are decoded. Of all that was read
 * only the open containers are kept: jsmn is given them back as tokens. No name of a member stands
 * here.
 */

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END,
    EXPECT_NAME,
    EXPECT_NAME_OR_END,
    EXPECT_COLON,
    EXPECT_NEXT,
    EXPECT_NOTHING
};

static bool name_expected(const struct cmcwh_parser *parser) {
    return parser->expect == EXPECT_NAME || parser->expect == EXPECT_NAME_OR_END;
}

static bool json_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The first byte that is no space: bodies that are indented have many. */
static const char *json_spaces(const char *in, const char *end) {
    for (;; in++) {
        while (WITH_SHORTCUTS && end - in >= LANES && lanes_at(in) == EACH(' ')) {
            in += LANES;
        }
        if (in == end || !json_space(*in)) {
            return in;
        }
    }
}

static bool in_object(const struct cmcwh_parser *parser) {
    return parser->inside.object;
}

/* What stands at `index` cannot stand there. */
static void json_unexpected(struct cmcwh_parser *parser, size_t index) {
    static const char details[] = "a value must stand here\0"
                                  "a value or ']' must stand here\0"
                                  "a member's name in quotes must stand here\0"
                                  "a member's name in quotes or '}' must stand here\0"
                                  "':' must stand here\0"
                                  "',' or ']' must stand here\0"
                                  "nothing more may stand here";
    bool after_member = parser->expect == EXPECT_NEXT && in_object(parser);

    json_fail(parser, index,
              after_member ? "',' or '}' must stand here" : word_number(details, parser->expect));
}

static bool value_expected(const struct cmcwh_parser *parser) {
    return parser->expect == EXPECT_VALUE || parser->expect == EXPECT_VALUE_OR_END;
}

static void json_open(struct cmcwh_parser *parser, size_t index, bool object) {
    uint8_t place;

    if (!value_expected(parser)) {
        json_unexpected(parser, index);
        return;
    }
    if (parser->depth == CMCWH_DEPTH_MAX) {
        parser_fail(parser, CMCWH_ERR_DEPTH, window_offset(parser, index),
                    "arrays and objects are nested too deeply");
        return;
    }
    place = event_open(parser, index, object);
    parser->depth++;
    parser->open[parser->depth] = parser->inside = (struct cmcwh_container){place, object};
    parser->expect = object ? EXPECT_NAME_OR_END : EXPECT_VALUE_OR_END;
}

static void value_done(struct cmcwh_parser *parser) {
    parser->expect = parser->depth > 0 ? EXPECT_NEXT : EXPECT_NOTHING;
}

static void json_close(struct cmcwh_parser *parser, size_t index, bool object) {
    uint8_t empty = object ? EXPECT_NAME_OR_END : EXPECT_VALUE_OR_END;

    if (parser->depth == 0 || in_object(parser) != object ||
        (parser->expect != EXPECT_NEXT && parser->expect != empty)) {
        json_unexpected(parser, index);
        return;
    }
    event_close(parser, object);
    parser->depth--;
    parser->inside = parser->open[parser->depth];
    value_done(parser);
}

/* The bytes between tokens. */
static void json_between(struct cmcwh_parser *parser, size_t at, size_t end) {
    for (; at < end && !parser->failed; at++) {
        char c = parser->window[at];

        if (json_space(c)) {
            at = (size_t)(json_spaces(parser->window + at, parser->window + end) - parser->window) -
                 1;
        } else if (c == ':' && parser->expect == EXPECT_COLON) {
            parser->expect = EXPECT_VALUE;
            event_mark(parser, c);
        } else if (c == ',' && parser->expect == EXPECT_NEXT) {
            parser->expect = in_object(parser) ? EXPECT_NAME : EXPECT_VALUE;
            event_mark(parser, c);
        } else if (c == '}' || c == ']') {
            json_close(parser, at, c == '}');
        } else {
            json_unexpected(parser, at);
        }
    }
}

static void json_string(struct cmcwh_parser *parser, size_t start, size_t end) {
    struct lexeme lexeme = {start, end, true, end == parser->cut};

    if (name_expected(parser)) {
        event_name(parser, &lexeme);
        parser->expect = EXPECT_COLON;
    } else if (value_expected(parser)) {
        event_value(parser, &lexeme);
        value_done(parser);
    } else {
        json_unexpected(parser, start - 1);
    }
}

/* The grammar of a number: what each state becomes with 0, 1-9, '-', '+', '.', 'e', or -1. */
enum {
    NUMBER_START,
    NUMBER_ZERO = 2,
    NUMBER_INTEGER = 3,
    NUMBER_FRACTION = 5,
    NUMBER_EXPONENT = 8
};

static bool number_step(uint8_t *state, char c) {
    static const int8_t next[9][6] = {
        {2, 3, 1, -1, -1, -1}, {2, 3, -1, -1, -1, -1}, {-1, -1, -1, -1, 4, 6},
        {3, 3, -1, -1, 4, 6},  {5, 5, -1, -1, -1, -1}, {5, 5, -1, -1, -1, 6},
        {8, 8, 7, 7, -1, -1},  {8, 8, -1, -1, -1, -1}, {8, 8, -1, -1, -1, -1}};
    int column = c == '0'               ? 0
                 : c >= '1' && c <= '9' ? 1
                 : c == '-'             ? 2
                 : c == '+'             ? 3
                 : c == '.'             ? 4
                 : c == 'e' || c == 'E' ? 5
                                        : -1;

    if (column < 0 || next[*state][column] < 0) {
        return false;
    }
    *state = (uint8_t)next[*state][column];
    return true;
}

static bool number_whole(uint8_t state) {
    return state == NUMBER_ZERO || state == NUMBER_INTEGER || state == NUMBER_FRACTION ||
           state == NUMBER_EXPONENT;
}

static const char *word_of(char first) {
    return first == 't' ? "true" : first == 'f' ? "false" : first == 'n' ? "null" : NULL;
}

/* A number or word in text[0..length): how much of it is right; all of it, if it is whole. */
static size_t primitive_right(const char *text, size_t length, bool *whole) {
    const char *word = word_of(text[0]);
    uint8_t state = NUMBER_START;
    size_t i = 0;

    if (word != NULL) {
        while (i < length && word[i] != '\0' && text[i] == word[i]) {
            i++;
        }
        *whole = i == length && word[i] == '\0';
        return i;
    }
    while (i < length && number_step(&state, text[i])) {
        i++;
    }
    *whole = i == length && number_whole(state);
    return i;
}

static const char bad_primitive[] = "not a number, true, false or null";

static void json_primitive(struct cmcwh_parser *parser, size_t start, size_t end) {
    struct lexeme lexeme = {start, end, false, end == parser->cut};
    bool whole;
    size_t right;

    if (!value_expected(parser)) {
        json_unexpected(parser, start);
        return;
    }
    right = primitive_right(parser->window + start, end - start, &whole);
    if (!whole && !lexeme.cut) { /* a long number was checked when it was cut */
        json_fail(parser, start + right, bad_primitive);
        return;
    }
    event_value(parser, &lexeme);
    value_done(parser);
}

/* Walks over new tokens and all that stands before `end`. Returns where it stopped. */
static size_t json_walk(struct cmcwh_parser *parser, const jsmntok_t *token, size_t count,
                        size_t at, size_t end) {
    for (; count > 0 && token->start >= 0 && !parser->failed; token++, count--) {
        bool string = token->type == JSMN_STRING;
        size_t start = (size_t)token->start;

        json_between(parser, at, string ? start - 1 : start);
        if (parser->failed) {
            break;
        }
        at = string || token->type == JSMN_PRIMITIVE ? (size_t)token->end + string : start + 1;
        if (string) {
            json_string(parser, start, (size_t)token->end);
        } else if (token->type == JSMN_PRIMITIVE) {
            json_primitive(parser, start, (size_t)token->end);
        } else {
            json_open(parser, start, token->type == JSMN_OBJECT);
        }
    }
    json_between(parser, at, end);
    return end;
}

/* Gives jsmn the open containers, and the name whose value is to come, as its tokens. */
static unsigned json_restore(const struct cmcwh_parser *parser, jsmn_parser *jsmn,
                             jsmntok_t *tokens) {
    bool colon = parser->expect == EXPECT_COLON;
    int count = 0;

    for (uint32_t depth = 1; depth <= parser->depth; depth++, count++) {
        jsmntype_t type = parser->open[depth].object ? JSMN_OBJECT : JSMN_ARRAY;

        tokens[count] = (jsmntok_t){type, 0, -1, 0, count - 1};
    }
    jsmn->toksuper = count - 1;
    if (colon || (parser->expect == EXPECT_VALUE && in_object(parser))) {
        tokens[count] = (jsmntok_t){JSMN_STRING, 0, 0, 0, count - 1};
        jsmn->toksuper = colon ? count - 1 : count;
        count++;
    }
    jsmn->toknext = (unsigned)count;
    return (unsigned)count;
}

/* jsmn stopped at `at`, where no token and nothing between tokens can be, or where the text
 * ends inside a string: says what is wrong. */
static void json_locate(struct cmcwh_parser *parser, size_t at) {
    char c = parser->window[at];
    struct output nowhere = {NULL, 0, 0, 0};
    bool whole;

    if (c == '"' && (value_expected(parser) || name_expected(parser))) {
        decoder_init(&parser->decoder, true);
        at++;
        at += decode(&parser->decoder, parser->window + at, parser->used - at, &nowhere);
        json_fail(parser, at, parser->decoder.fault != NULL ? parser->decoder.fault : bad_escape);
    } else if ((word_of(c) != NULL || c == '-' || (c >= '0' && c <= '9')) &&
               value_expected(parser)) {
        at += primitive_right(parser->window + at, parser->used - at, &whole);
        json_fail(parser, at, bad_primitive);
    } else {
        json_unexpected(parser, at);
    }
}

/* A string or number fills the whole window. Keeps its beginning, up to between two characters. */
static void long_begin(struct cmcwh_parser *parser) {
    const size_t keep = CMCWH_WINDOW_SIZE / 8 * 7;
    struct output nowhere = {NULL, 0, 0, 0};
    bool string = parser->window[0] == '"';
    size_t at = string, limit = keep;

    decoder_init(&parser->decoder, true);
    parser->number = NUMBER_START;
    if (!(value_expected(parser) || (string && name_expected(parser)))) {
        json_unexpected(parser, 0);
        return;
    }
    while (string && (at < keep || !decoder_clean(&parser->decoder))) {
        at += decode(&parser->decoder, parser->window + at, limit - at, &nowhere);
        if (at < limit) {
            json_fail(parser, at, parser->decoder.fault);
            return;
        }
        limit++;
    }
    for (; !string && at < keep; at++) {
        if (!number_step(&parser->number, parser->window[at])) {
            json_fail(parser, at, bad_primitive);
            return;
        }
    }
    parser->cut = (uint32_t)at;
    parser->skipping = true;
}

static bool ends_number(char c) {
    return json_space(c) || c == ',' || c == ']' || c == '}';
}

/* Leaves out more of a long string or number. True when its end has come. */
static bool long_go_on(struct cmcwh_parser *parser) {
    struct output nowhere = {NULL, 0, 0, 0};
    const char *text = parser->window + parser->cut;
    size_t length = parser->used - parser->cut, right = 0;
    bool over;

    if (parser->window[0] == '"') {
        right = decode(&parser->decoder, text, length, &nowhere);
        over = right < length && parser->decoder.fault == NULL;
        if (parser->decoder.fault != NULL) {
            json_fail(parser, parser->cut + right, parser->decoder.fault);
        }
    } else {
        while (right < length && number_step(&parser->number, text[right])) {
            right++;
        }
        over = right < length && ends_number(text[right]) && number_whole(parser->number);
        if (right < length && !over) {
            json_fail(parser, parser->cut + right, bad_primitive);
        }
    }
    if (!parser->failed) {
        window_cut(parser, right);
        parser->skipping = !over;
    }
    return over && !parser->failed;
}

/* ---- Parser: the short way through JSON -------------------------------------------------------
 * Most of a body is events whose members are ours and whose texts are plain. This takes them from
 * the window without jsmn, and leaves to it whatever is not so simple: it knows no fault. Names and
 * texts it recognises by what jsmn's way does too, item_field and draft_copy. json_run, and
 * nothing else, knows of it; CMCWH_NO_SHORTCUTS leaves it out.
 */

/* Takes spaces and then `mark`, if that is what stands there. */
static inline bool short_take(const char **at, const char *end, char mark) {
    const char *in = *at;

    if (in < end && *in != mark) {
        in = json_spaces(in, end);
    }
    if (in == end || *in != mark) {
        return false;
    }
    *at = in + 1;
    return true;
}

/* Takes a member of an event whose name is ours and whose text is plain and comes in the order of
 * the record. Returns where it ends, or 0 when it is not one, or does not lie here whole; *cut: all
 * of it that does is so. */
static size_t short_member(struct cmcwh_parser *parser, size_t at, bool *cut) {
    const char *in = parser->window + at, *end = parser->window + parser->used;
    struct cmcwh_text text;
    size_t length;
    unsigned field;

    if (!(parser->expect == EXPECT_NEXT ? short_take(&in, end, ',') : name_expected(parser)) ||
        !short_take(&in, end, '"')) {
        return 0;
    }
    text.data = in;
    text.length = (size_t)(end - in);
    field = item_field(parser, text, '"', &length);
    if (field == CMCWH_FIELDS) {
        return 0;
    }
    in += length + 1;
    if (!short_take(&in, end, ':') || !short_take(&in, end, '"')) {
        return 0;
    }
    text.data = in;
    text.length = (size_t)(end - in);
    if (!draft_copy(&parser->draft, field, text, &length)) {
        return 0;
    }
    *cut = in + length == end;
    if (*cut || in[length] != '"') {
        return 0;
    }
    draft_settle(&parser->draft, field, length);
    parser->expect = EXPECT_NEXT;
    return (size_t)(in + length + 1 - parser->window);
}

/* Takes the end of an event, or the beginning of the next one. Returns 0 when neither stands here.
 */
static size_t short_item(struct cmcwh_parser *parser, size_t at, bool inside) {
    const char *in = parser->window + at, *end = parser->window + parser->used;

    if (parser->expect != EXPECT_NEXT || (!inside && !short_take(&in, end, ',')) ||
        !short_take(&in, end, inside ? '}' : '{')) {
        return 0;
    }
    at = (size_t)(in - parser->window);
    if (inside) {
        json_close(parser, at - 1, true);
    } else {
        parser->expect = EXPECT_VALUE;
        json_open(parser, at - 1, true);
    }
    return at;
}

/* As many tokens as come before the next thing that may be simple. */
static unsigned short_stride(const struct cmcwh_parser *parser) {
    /* What CMC sends before the first event; in another order it costs time only. */
    enum { HEAD = 9 };
    uint8_t place = parser->inside.place;

    if (!WITH_SHORTCUTS) {
        return CMCWH_TOKENS;
    }
    if (parser->depth == 0) {
        return HEAD;
    }
    if (place == PLACE_SKIP || place == PLACE_CAPTURE) {
        return CMCWH_TOKENS;
    }
    return place == PLACE_ITEM && (parser->expect == EXPECT_NEXT || name_expected(parser)) ? 2 : 1;
}

/* Takes events and their members, from `at` on, as far as they are simple. Returns where that ends;
 * *cut: with a member that may be simple once it is here whole. */
static size_t short_way(struct cmcwh_parser *parser, size_t at, bool *cut) {
    *cut = false;
    while (WITH_SHORTCUTS && !parser->failed) {
        uint8_t place = parser->inside.place;
        bool inside = place == PLACE_ITEM && parser->draft.record != NULL;
        size_t next;

        while (inside && parser->cut == CMCWH_NONE && (next = short_member(parser, at, cut)) > 0) {
            at = next;
        }
        next = !*cut && (inside || place == PLACE_LIST) ? short_item(parser, at, inside) : 0;
        if (next == 0) {
            break;
        }
        at = next;
    }
    return at;
}

/* ---- Parser: JSON in pieces -------------------------------------------------------------------
 * The window is filled, and understood whenever it is full or the text is complete.
 */

/* Understands some of the window, from *at on, and moves *at there, by jsmn, which returns what is
 * said of it. */
static int json_step(struct cmcwh_parser *parser, size_t *at) {
    jsmntok_t *tokens = (jsmntok_t *)(void *)parser->tokens;
    jsmn_parser jsmn = {(unsigned)*at, 0, -1};
    unsigned known = json_restore(parser, &jsmn, tokens);
    size_t most = smaller(known + short_stride(parser), CMCWH_TOKENS);
    int result = jsmn_parse(&jsmn, parser->window, parser->used, tokens, (unsigned)most);

    *at = json_walk(parser, tokens + known, jsmn.toknext - known, *at, jsmn.pos);
    return result;
}

/* Understands as much of the window as can be understood now, and drops it. */
static void json_run(struct cmcwh_parser *parser, bool last) {
    size_t at = 0;
    bool cut;
    int result;

    if (parser->skipping && !long_go_on(parser)) {
        return;
    }
    do {
        at = short_way(parser, at, &cut);
        result = cut && at > 0 && !last ? JSMN_ERROR_PART : json_step(parser, &at);
    } while (result == JSMN_ERROR_NOMEM && !parser->failed);
    if (parser->failed) {
        return;
    }
    if (result == JSMN_ERROR_INVAL || (at < parser->used && (last || parser->window[at] == '\0'))) {
        json_locate(parser, at);
        return;
    }
    window_drop(parser, at);
    if (parser->used == CMCWH_WINDOW_SIZE) {
        long_begin(parser);
        if (!parser->failed) {
            (void)long_go_on(parser);
        }
    }
}

/* How much can be appended; 0 only when the parser has failed. */
static size_t json_room(struct cmcwh_parser *parser) {
    if (parser->used == CMCWH_WINDOW_SIZE) {
        json_run(parser, false);
    }
    return parser->failed ? 0 : CMCWH_WINDOW_SIZE - parser->used;
}

/* Takes some bytes of a JSON body, none only when the parser has failed. */
static size_t json_add(struct cmcwh_parser *parser, const char *in, size_t length) {
    size_t taken = smaller(length, json_room(parser));

    memcpy(parser->window + parser->used, in, taken);
    parser->used += (uint32_t)taken;
    return taken;
}

static void json_begin(struct cmcwh_parser *parser, uint64_t origin) {
    marks_clear(parser, 0, parser->used);
    parser->origin = origin;
    parser->used = 0;
    parser->position = 0;
    parser->skipped = 0;
    parser->cut = CMCWH_NONE;
    parser->depth = 0;
    parser->inside = parser->open[0];
    parser->expect = EXPECT_VALUE;
    parser->skipping = false;
}

/* The text of the JSON is complete. A newline is put behind it, so that jsmn sees the end of a
 * number. */
static void json_end(struct cmcwh_parser *parser) {
    if (json_room(parser) == 0) {
        return;
    }
    parser->ending = true;
    window_push(parser, '\n', false);
    json_run(parser, true);
    if (!parser->failed && parser->expect != EXPECT_NOTHING) {
        parser_fail(parser, CMCWH_ERR_JSON, parser->offset, ends_early);
    }
    parser->ending = false;
}

/* ---- Parser: the short way through a form -----------------------------------------------------
 * While the window is empty, this takes from the body itself what the short way through JSON would
 * take from the window: events and members as a sender of forms writes them, with each quote,
 * colon, comma and brace as %XX in capitals, and nothing between them. It takes whole ones only:
 * what it leaves begins at parser->origin. form_event, and nothing else, knows of it;
 * CMCWH_NO_SHORTCUTS leaves it out.
 */

/* The character of three bytes that %XX%XX%XX at `in` stands for, the first byte the lowest; 0 when
 * it is not that. */
static inline uint32_t form_three(const char *in) {
    int first = hex_pair(in + 1), second = hex_pair(in + 4), third = hex_pair(in + 7);
    bool right = in[3] == '%' && in[6] == '%' && (first | second | third) >= 0;

    return right ? (uint32_t)(first | second << 8 | third << 16) : 0;
}

/* Of a form what stands for itself, or for a space, and is plain. */
static const struct fine form_ascii = {0, EACH('+'), EACH('\\')};

/* Decodes some bytes at once, up to the first that is neither plain nor '+'. Returns where that is.
 */
static inline size_t form_word(char *out, const char *in) {
    lanes word = lanes_at(in), odd = not_fine(word, &form_ascii);
    /* Of what is not odd, '+' is the least: all else comes to 0x80 or more. */
    lanes plus = ~(word + low_bits * (0x80 - '+' - 1)) >> 7 & low_bits;

    word = lanes_in_order(word - plus * ('+' - ' '));
    memcpy(out, &word, LANES);
    return odd == 0 ? LANES : lowest_lane(odd);
}

/* Decodes a text to `out`, as far as it is plain, does not come near the end, and fits. Returns its
 * length, and in *at where that ends. */
static size_t form_text(char *out, size_t room, const char **at, const char *end) {
    enum { LONGEST = 9 }; /* of what is looked at at once */
    const char *in = *at, *last, *full;
    char *to = out;

    if (end - in < LONGEST || room < LONGEST) {
        return 0;
    }
    last = end - LONGEST;
    full = out + (room - LONGEST);
    while (in <= last && to <= full) {
        int byte = *in == '%' ? hex_pair(in + 1) : -1;

        if (*in != '%') {
            size_t taken = form_word(to, in);

            if (taken == 0) {
                break;
            }
            in += taken;
            to += taken;
        } else if (byte >= 0x80 && plain_three(form_three(in))) {
            put32((uint8_t *)to, form_three(in));
            in += 9;
            to += 3;
        } else if (byte >= 0 && plain_byte((unsigned)byte)) {
            *to++ = (char)byte;
            in += 3;
        } else {
            break;
        }
    }
    *at = in;
    return (size_t)(to - out);
}

/* Takes what stands there, if it is this. Compared here: of a few bytes memcmp is a call, where a
 * compiler does not know how to load four from anywhere. */
static inline bool form_take(const char **at, const char *end, const char *what) {
    const char *in = *at;
    size_t length = strlen(what), i = 0;

    if ((size_t)(end - in) < length) {
        return false;
    }
    for (; length - i >= 4; i += 4) {
        if (half_word_at(in + i) != half_word_at(what + i)) {
            return false;
        }
    }
    for (; i < length; i++) {
        if (in[i] != what[i]) {
            return false;
        }
    }
    *at += length;
    return true;
}

/* Takes a member as short_member does. Returns where it ends, or NULL. */
static const char *form_member(struct cmcwh_parser *parser, const char *in, const char *end) {
    struct cmcwh_draft *draft = &parser->draft;
    struct cmcwh_text text;
    size_t length;
    unsigned field;

    if (!(parser->expect == EXPECT_NEXT ? form_take(&in, end, "%2C%22")
                                        : name_expected(parser) && form_take(&in, end, "%22"))) {
        return NULL;
    }
    text.data = in;
    text.length = (size_t)(end - in);
    field = item_field(parser, text, '%', &length);
    if (field == CMCWH_FIELDS || field < draft->highest || draft->squeezed != 0) {
        return NULL;
    }
    in += length;
    if (!form_take(&in, end, "%22%3A%22")) {
        return NULL;
    }
    length = form_text(draft_end(draft), CMCWH_RECORD_TEXT - draft->used, &in, end);
    if (!form_take(&in, end, "%22")) {
        return NULL;
    }
    draft_settle(draft, field, length);
    parser->expect = EXPECT_NEXT;
    return in;
}

/* Takes the end of an event, or the beginning of the next one. Returns where that ends, or NULL. */
static const char *form_item(struct cmcwh_parser *parser, const char *in, const char *end,
                             bool inside) {
    bool next = parser->expect == EXPECT_NEXT;

    if (inside ? !next || !form_take(&in, end, "%7D")
               : (next && !form_take(&in, end, "%2C")) || !form_take(&in, end, "%7B")) {
        return NULL;
    }
    if (inside) {
        json_close(parser, 0, true);
    } else {
        parser->origin += next ? 3 : 0; /* where the brace was sent */
        parser->expect = EXPECT_VALUE;
        json_open(parser, 0, true);
    }
    return in;
}

/* Takes events and their members as short_way does. Returns where that ends. */
static const char *form_way(struct cmcwh_parser *parser, const char *in, const char *end) {
    const char *first = in;

    while (!parser->failed) {
        uint8_t place = parser->inside.place;
        bool inside = place == PLACE_ITEM && parser->draft.record != NULL;
        const char *next;

        while (inside && (next = form_member(parser, in, end)) != NULL) {
            in = next;
        }
        parser->origin = parser->offset + (uint64_t)(in - first);
        next = inside || place == PLACE_LIST ? form_item(parser, in, end, inside) : NULL;
        if (next == NULL) {
            break;
        }
        in = next;
    }
    return in;
}

/* ---- Parser: form -----------------------------------------------------------------------------
 * application/x-www-form-urlencoded (WHATWG URL, section 5.1), as CMC sends it: the parameters of a
 * request, of which `event` holds JSON. The JSON goes into the window, with a mark on the bytes
 * that were sent as %XX, so that offsets can be told in the body as it was sent. It is not looked
 * at here.
 */

enum { FORM_NAME, FORM_VALUE, FORM_EVENT };

/* This is no %XX. When a fault stands before it, in the window, that is told. */
static void percent_fail(struct cmcwh_parser *parser) {
    if (parser->form_state == FORM_EVENT) {
        json_run(parser, false);
    }
    if (!parser->failed) {
        parser_fail(parser, CMCWH_ERR_FORM, parser->offset,
                    "'%' must be followed by two hexadecimal digits");
    }
}

static void form_begin_name(struct cmcwh_parser *parser) {
    parser->form_state = FORM_NAME;
    kept_clear(&parser->key);
    decoder_init(&parser->decoder, false);
}

/* The value of a parameter begins after this byte. Returns `event`, `kept` or `ignored`, by what
 * it is to us. */
static uint8_t begin_value(struct cmcwh_parser *parser, uint8_t event, uint8_t kept,
                           uint8_t ignored) {
    decoder_init(&parser->decoder, false);
    if (parser->member == MEMBER_EVENT) {
        event_forget(parser);
        json_begin(parser, parser->offset + 1);
        return event;
    }
    if (form_target(parser) != NULL) {
        kept_clear(form_target(parser));
        return kept;
    }
    return ignored;
}

static void form_begin_value(struct cmcwh_parser *parser) {
    parser->member = request_member(kept_text(&parser->key));
    parser->form_state = begin_value(parser, FORM_EVENT, FORM_VALUE, FORM_VALUE);
}

/* `end`: where the parameter ends, at '&' or the end of the body. */
static void form_end_parameter(struct cmcwh_parser *parser) {
    if (parser->hex_digits > 0) {
        percent_fail(parser);
    } else if (parser->form_state == FORM_EVENT) {
        json_end(parser);
    } else if (!decoder_clean(&parser->decoder)) {
        parser_fail(parser, CMCWH_ERR_FORM, parser->offset, bad_utf8);
    } else if (parser->form_state == FORM_NAME && parser->key.length > 0) {
        form_begin_value(parser); /* a name without '=' has an empty value */
        if (parser->form_state == FORM_EVENT) {
            json_end(parser);
        }
    }
}

/* Decoded bytes of a name or a value, of `event` one only. `escaped`: one, the end of a %XX. */
static void form_bytes(struct cmcwh_parser *parser, const char *bytes, size_t length,
                       bool escaped) {
    struct output output = {NULL, 0, 0, 0};
    struct cmcwh_kept *target =
        parser->form_state == FORM_NAME ? &parser->key : form_target(parser);
    size_t taken;

    if (parser->form_state == FORM_EVENT) {
        if (json_room(parser) > 0) {
            window_push(parser, *bytes, escaped);
        }
        return;
    }
    if (target != NULL) {
        output = kept_output(target);
    }
    taken = decode(&parser->decoder, bytes, length, &output);
    if (taken < length) {
        parser_fail(parser, CMCWH_ERR_FORM, parser->offset + taken - (escaped ? 2 : 0),
                    parser->decoder.fault);
    }
    if (target != NULL) {
        kept_settle(target, &output);
    }
}

/* A byte of %XX after the '%'. */
static void form_hex(struct cmcwh_parser *parser, unsigned char byte) {
    int digit = hex_digit(byte);

    if (digit < 0) {
        percent_fail(parser);
        return;
    }
    parser->hex = (uint8_t)(parser->hex << 4 | digit);
    if (--parser->hex_digits == 0) {
        char decoded = (char)parser->hex;

        form_bytes(parser, &decoded, 1, true);
    }
}

/* A seam is where the short way may go on: behind a member or an event, or before the first one.
 * Do these bytes end there? */
static inline bool form_seam(const char *end) {
    return (end[-2] == '"' && (end[-1] == ',' || end[-1] == '}')) ||
           (end[-2] == ':' && end[-1] == '[');
}

/* Decodes `event` into the window, as far as it is simple; behind `seam` bytes up to the next seam.
 */
static size_t form_decode(struct cmcwh_parser *parser, const char *in, size_t length, size_t seam) {
    char *out = parser->window + parser->used, *full = parser->window + CMCWH_WINDOW_SIZE;
    const char *at = in, *end = in + length;

    while (at < end && out < full && *at != '&') {
        int byte = *at == '%' && end - at >= 3 ? hex_pair(at + 1) : -1;

        if (*at != '%') {
            *out++ = *at == '+' ? ' ' : *at;
            at++;
            continue;
        }
        if (byte < 0) {
            break;
        }
        mark_set(parser, (size_t)(out - parser->window));
        *out++ = (char)byte;
        at += 3;
        if (WITH_SHORTCUTS && (size_t)(out - parser->window) > seam && form_seam(out)) {
            break;
        }
    }
    parser->used = (uint32_t)(out - parser->window);
    return (size_t)(at - in);
}

/* Behind how much of the window a seam is worth a stop: little, where the short way may go on; but
 * what was looked at in vain is not looked at again before there is twice as much. `stuck`: it has
 * just been tried. */
static size_t form_next_seam(const struct cmcwh_parser *parser, bool stuck) {
    enum { FAR = 512 };
    uint8_t place = parser->inside.place;
    bool far = stuck ? place == PLACE_LIST || place == PLACE_ITEM
                     : parser->depth > 0 && (place == PLACE_SKIP || place == PLACE_CAPTURE);
    size_t twice = 2 * parser->tried + 1;

    return far && twice < FAR ? FAR : twice;
}

/* The window ends at a seam: understands it. What cannot be understood yet is left to the short
 * way, if it all came with the bytes that are being taken. Returns how many of these were taken. */
static size_t form_run(struct cmcwh_parser *parser, size_t taken) {
    json_run(parser, false);
    parser->tried = parser->used;
    if (!parser->failed && parser->cut == CMCWH_NONE && parser->origin > parser->offset) {
        taken = (size_t)(parser->origin - parser->offset);
        marks_clear(parser, 0, parser->used);
        parser->used = 0;
    }
    return taken;
}

/* Takes bytes that stand for themselves, of `event` one only. Returns how many. */
static size_t form_letters(struct cmcwh_parser *parser, const char *in, size_t length) {
    size_t run = 1;

    while (WITH_SHORTCUTS && parser->form_state != FORM_EVENT && run < length && in[run] > '+' &&
           in[run] != '=') {
        run++;
    }
    form_bytes(parser, in, run, false);
    return run;
}

/* As much of `event` as is simple: what stays is left to form_add, one byte at a time. */
static size_t form_event(struct cmcwh_parser *parser, const char *in, size_t length) {
    size_t seam, taken = 0;
    bool empty;

    if (json_room(parser) == 0) {
        return 0;
    }
    if (!WITH_SHORTCUTS || parser->cut != CMCWH_NONE) {
        return form_decode(parser, in, length, CMCWH_WINDOW_SIZE);
    }
    empty = parser->used == 0;
    if (empty) {
        taken = (size_t)(form_way(parser, in, in + length) - in);
    }
    if (parser->failed) {
        return taken;
    }
    parser->tried = (uint32_t)smaller(parser->tried, parser->used);
    seam = form_next_seam(parser, empty && taken == 0);
    taken += form_decode(parser, in + taken, length - taken, seam);
    return parser->used > seam && form_seam(parser->window + parser->used) ? form_run(parser, taken)
                                                                           : taken;
}

/* Takes some bytes, one at least. */
static size_t form_add(struct cmcwh_parser *parser, const char *in, size_t length) {
    if (parser->form_state == FORM_EVENT && parser->hex_digits == 0) {
        size_t taken = form_event(parser, in, length);

        if (taken > 0 || parser->failed) {
            return taken;
        }
    }
    if (*in == '&') {
        form_end_parameter(parser);
        if (!parser->failed) {
            form_begin_name(parser);
        }
    } else if (parser->hex_digits > 0) {
        form_hex(parser, (unsigned char)*in);
    } else if (*in == '%') {
        parser->hex_digits = 2;
        parser->hex = 0;
    } else if (*in == '=' && parser->form_state == FORM_NAME) {
        if (decoder_clean(&parser->decoder)) {
            form_begin_value(parser);
        } else {
            parser_fail(parser, CMCWH_ERR_FORM, parser->offset, bad_utf8);
        }
    } else if (*in == '+') {
        form_bytes(parser, " ", 1, false);
    } else {
        return form_letters(parser, in, length);
    }
    return 1;
}

static void form_end(struct cmcwh_parser *parser) {
    form_end_parameter(parser);
}

/* ---- Parser: multipart ------------------------------------------------------------------------
 * multipart/form-data (RFC 7578; RFC 2046, section 5.1): each parameter is a part, named in its
 * headers. The headers of a part wait in the window, which no JSON needs just then. A value goes on
 * byte by byte, but what may be the beginning of a delimiter is held back until it is known. Only
 * the first byte of a delimiter is CR: a match that fails cannot have begun later.
 */

enum {
    MULTIPART_NO_BOUNDARY, /* it has not been given */
    MULTIPART_PREAMBLE,
    MULTIPART_DELIMITED, /* a boundary has just come */
    MULTIPART_PADDED,    /* and spaces after it */
    MULTIPART_RETURN,    /* and CR */
    MULTIPART_DASH,      /* the first one after the last boundary */
    MULTIPART_HEADERS,
    MULTIPART_SKIP, /* a value that is ignored */
    MULTIPART_KEEP, /* one that is kept */
    MULTIPART_EVENT,
    MULTIPART_EPILOGUE
};

enum { PART_HEADERS_MAX = CMCWH_WINDOW_SIZE < 1024 ? CMCWH_WINDOW_SIZE : 1024 };

static bool boundary_right(struct cmcwh_text boundary) {
    for (size_t i = 0; i < boundary.length; i++) {
        char c = boundary.data[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
            !is_one_of(c, "'()+_,-./:=? ")) {
            return false;
        }
    }
    return boundary.length > 0 && boundary.length <= CMCWH_BOUNDARY_MAX &&
           boundary.data[boundary.length - 1] != ' ';
}

static void multipart_fail(struct cmcwh_parser *parser, uint64_t offset, const char *detail) {
    parser_fail(parser, CMCWH_ERR_FORM, offset, detail);
}

/* A fault in the headers of a part, at a byte in the window. */
static void header_fail(struct cmcwh_parser *parser, const char *at, const char *detail) {
    multipart_fail(parser, parser->origin + (uint64_t)(at - parser->window), detail);
}

/* Content-Disposition: names the part. */
static void header_disposition(struct cmcwh_parser *parser, struct cmcwh_text rest) {
    const char *start = rest.data;
    struct cmcwh_text name, value, field = {NULL, 0};
    int taken;

    if (parser->multipart.named) {
        header_fail(parser, start, "a part must have one Content-Disposition only");
        return;
    }
    if (!text_is_word(take_word(&rest, ";"), "form-data")) {
        header_fail(parser, start, "Content-Disposition must be form-data");
        return;
    }
    while ((taken = take_parameter(&rest, &name, &value)) > 0) {
        if (text_is_word(name, "name")) {
            if (field.data != NULL) {
                header_fail(parser, name.data, "a part must have one name only");
                return;
            }
            field = value;
        }
    }
    if (taken < 0) {
        header_fail(parser, rest.data, "the parameters of Content-Disposition are malformed");
    } else if (field.data == NULL) {
        header_fail(parser, start, "Content-Disposition has no name");
    } else {
        parser->member = request_member(field);
        parser->multipart.named = true;
    }
}

/* One header of a part, without its CRLF. */
static void header_line(struct cmcwh_parser *parser, struct cmcwh_text line) {
    struct cmcwh_text rest = line, name = take_word(&rest, ":"), coding;

    skip_blanks(&rest);
    if (name.length == 0 || rest.length == 0 || *rest.data != ':') {
        header_fail(parser, line.data, "a header must be a name, ':' and a value");
        return;
    }
    text_skip(&rest, 1);
    skip_blanks(&rest);
    if (text_is_word(name, "Content-Disposition")) {
        header_disposition(parser, rest);
    } else if (text_is_word(name, "Content-Transfer-Encoding")) {
        coding = take_word(&rest, "");
        skip_blanks(&rest);
        if (rest.length > 0 || (!text_is_word(coding, "7bit") && !text_is_word(coding, "8bit") &&
                                !text_is_word(coding, "binary"))) {
            header_fail(parser, coding.data,
                        "Content-Transfer-Encoding must be 7bit, 8bit or binary");
        }
    }
}

/* The headers of a part are whole: its value begins after this byte. */
static void multipart_begin_value(struct cmcwh_parser *parser) {
    struct cmcwh_multipart *multipart = &parser->multipart;

    /* The empty line may belong to a delimiter: that is how a part without a value ends. */
    multipart->matched = multipart->borrowed = 2;
    multipart->state = begin_value(parser, MULTIPART_EVENT, MULTIPART_KEEP, MULTIPART_SKIP);
}

static void headers_begin(struct cmcwh_parser *parser) {
    parser->multipart.state = MULTIPART_HEADERS;
    parser->multipart.named = false;
    parser->origin = parser->offset + 1;
    parser->used = 0;
}

static void headers_end(struct cmcwh_parser *parser) {
    struct cmcwh_text rest = {parser->window, parser->used - 2};

    while (rest.length > 0 && !parser->failed) {
        struct cmcwh_text line = {rest.data, text_find(rest, '\r')};

        header_line(parser, line);
        text_skip(&rest, line.length + 2);
    }
    if (!parser->failed && !parser->multipart.named) {
        header_fail(parser, parser->window, "a part has no Content-Disposition");
    }
    if (!parser->failed) {
        multipart_begin_value(parser);
    }
}

/* A byte of the headers of a part. */
static void headers_byte(struct cmcwh_parser *parser, char byte) {
    char *end = parser->window + parser->used;
    bool after_return = parser->used > 0 && end[-1] == '\r';
    bool after_line = parser->used > 1 && end[-1] == '\n';

    if (parser->used == PART_HEADERS_MAX) {
        multipart_fail(parser, parser->offset, "the headers of a part are too long");
        return;
    }
    if (after_return != (byte == '\n') || byte == 0x7F ||
        ((unsigned char)byte < ' ' && byte != '\t' && byte != '\r' && byte != '\n')) {
        multipart_fail(parser, parser->offset, "this byte cannot stand here in a header");
        return;
    }
    if (after_line && is_blank(byte)) { /* a folded line: it goes on */
        end[-2] = end[-1] = ' ';
    }
    *end = byte;
    parser->used++;
    if (byte == '\n' && (parser->used == 2 || end[-2] == '\n')) {
        headers_end(parser);
    }
}

/* Some of a value, or of the preamble; `offset` is that of its first byte in the body. */
static void multipart_give(struct cmcwh_parser *parser, const char *in, size_t length,
                           uint64_t offset) {
    if (parser->multipart.state == MULTIPART_EVENT) {
        while (length > 0 && !parser->failed) {
            size_t taken = json_add(parser, in, length);

            in += taken;
            length -= taken;
        }
    } else if (parser->multipart.state == MULTIPART_KEEP) {
        struct cmcwh_kept *target = form_target(parser);
        struct output output = kept_output(target);
        size_t taken = decode(&parser->decoder, in, length, &output);

        kept_settle(target, &output);
        if (taken < length) {
            multipart_fail(parser, offset + taken, parser->decoder.fault);
        }
    }
}

/* A delimiter is whole: the value has ended before it. */
static void multipart_end_value(struct cmcwh_parser *parser) {
    struct cmcwh_multipart *multipart = &parser->multipart;
    uint64_t here = parser->offset;
    uint64_t end = here + 1 - (uint64_t)(multipart->length - multipart->borrowed);

    if (multipart->state == MULTIPART_EVENT) {
        parser->offset = end; /* where text lacks, if some does */
        json_end(parser);
        parser->offset = here;
    } else if (multipart->state == MULTIPART_KEEP && !decoder_clean(&parser->decoder)) {
        multipart_fail(parser, end, bad_utf8);
    }
    multipart->state = MULTIPART_DELIMITED;
    multipart->matched = multipart->borrowed = 0;
}

/* Takes some bytes of a value or the preamble; none when a delimiter has turned out to be none. */
static size_t multipart_text(struct cmcwh_parser *parser, struct cmcwh_text in) {
    struct cmcwh_multipart *multipart = &parser->multipart;
    size_t held = (size_t)multipart->matched - multipart->borrowed;

    if (*in.data == multipart->delimiter[multipart->matched]) {
        if (++multipart->matched == multipart->length) {
            multipart_end_value(parser);
        }
        return 1;
    }
    if (multipart->matched > 0) {
        multipart_give(parser, multipart->delimiter + multipart->borrowed, held,
                       parser->offset - held);
        multipart->matched = multipart->borrowed = 0;
        return 0;
    }
    in.length = text_find(in, '\r');
    multipart_give(parser, in.data, in.length, parser->offset);
    return in.length;
}

/* A byte after a boundary. */
static void multipart_after_boundary(struct cmcwh_parser *parser, char byte) {
    uint8_t *state = &parser->multipart.state;
    bool may_end = *state == MULTIPART_DELIMITED || *state == MULTIPART_PADDED;

    if (may_end && is_blank(byte)) {
        *state = MULTIPART_PADDED;
    } else if (may_end && byte == '\r') {
        *state = MULTIPART_RETURN;
    } else if (*state == MULTIPART_RETURN && byte == '\n') {
        headers_begin(parser);
    } else if (*state == MULTIPART_DELIMITED && byte == '-') {
        *state = MULTIPART_DASH;
    } else if (*state == MULTIPART_DASH && byte == '-') {
        *state = MULTIPART_EPILOGUE;
    } else {
        multipart_fail(parser, parser->offset,
                       "after a boundary only '--' or the end of the line may stand");
    }
}

/* Takes some bytes. */
static size_t multipart_add(struct cmcwh_parser *parser, const char *in, size_t length) {
    struct cmcwh_text text = {in, length};

    switch (parser->multipart.state) {
    case MULTIPART_NO_BOUNDARY:
        multipart_fail(parser, 0, "the boundary is missing, or not one of RFC 2046");
        return 0;
    case MULTIPART_PREAMBLE:
    case MULTIPART_SKIP:
    case MULTIPART_KEEP:
    case MULTIPART_EVENT:
        return multipart_text(parser, text);
    case MULTIPART_HEADERS:
        headers_byte(parser, *in);
        return 1;
    case MULTIPART_EPILOGUE:
        return length;
    default:
        multipart_after_boundary(parser, *in);
        return 1;
    }
}

/* A body that was cut short must not pass for a whole one. */
static void multipart_end(struct cmcwh_parser *parser) {
    if (parser->multipart.state == MULTIPART_NO_BOUNDARY) {
        (void)multipart_add(parser, NULL, 0);
    } else if (parser->multipart.state == MULTIPART_PREAMBLE) {
        multipart_fail(parser, parser->offset, "the boundary does not appear in the body");
    } else if (parser->multipart.state != MULTIPART_EPILOGUE) {
        multipart_fail(parser, parser->offset, "the body ends before its closing boundary");
    }
}

/* ---- Parser: what others call -----------------------------------------------------------------
 * A body comes in, in pieces of any size, through the form or multipart decoder if need be, and
 * ends in a commit or an abort. Nothing here looks at a byte of it.
 */

void cmcwh_parser_init(struct cmcwh_parser *parser, struct cmcwh_ring *ring,
                       enum cmcwh_format format) {
    /* All but texts, tokens and the window, which are written before they are read. */
    memset(parser, 0, offsetof(struct cmcwh_parser, key));
    kept_clear(&parser->key);
    kept_clear(&parser->list);
    kept_clear(&parser->event_type);
    kept_clear(&parser->composition);
    kept_clear(&parser->api_key);
    batch_begin(&parser->batch, ring);
    parser->error.detail = "";
    parser->format = (uint8_t)format;
    if (format == CMCWH_JSON) {
        json_begin(parser, 0);
    } else if (!WITH_FORMS) {
        parser_fail(parser, CMCWH_ERR_FORM, 0, "forms are left out of this program");
    } else if (is_form(parser)) {
        memset(parser->escaped, 0, sizeof parser->escaped);
        form_begin_name(parser);
    }
}

int cmcwh_parser_boundary(struct cmcwh_parser *parser, struct cmcwh_text boundary) {
    struct cmcwh_multipart *multipart = &parser->multipart;

    if (is_json(parser) || is_form(parser) || parser->offset > 0 || parser->failed ||
        !boundary_right(boundary)) {
        return CMCWH_ERR_ARGUMENT;
    }
    memcpy(multipart->delimiter, "\r\n--", 4);
    memcpy(multipart->delimiter + 4, boundary.data, boundary.length);
    multipart->length = (uint8_t)(4 + boundary.length);
    multipart->state = MULTIPART_PREAMBLE;
    multipart->matched = multipart->borrowed = 2; /* as if a CRLF stood before the body */
    return CMCWH_OK;
}

void cmcwh_parser_chain(struct cmcwh_parser *parser, struct cmcwh_text events) {
    struct origin origin;
    bool right = WITH_CHAINS;

    parser->chain = events;
    while (right && events.length > 0) {
        right = take_origin(&events, &origin);
    }
    if (!right && !parser->failed) {
        chain_fail(parser, events,
                   WITH_CHAINS ? "expected ID@MS or ID@MS/MASK for each event, with commas between"
                               : "the end of a chain is left out of this program");
    }
}

int cmcwh_parser_feed(struct cmcwh_parser *parser, const void *bytes, size_t length) {
    const char *in = bytes;

    while (length > 0 && !parser->failed) {
        size_t taken = is_json(parser)   ? json_add(parser, in, length)
                       : is_form(parser) ? form_add(parser, in, length)
                                         : multipart_add(parser, in, length);

        parser->offset += taken;
        in += taken;
        length -= taken;
    }
    if (parser->failed && is_form(parser)) {
        /* How soon it is found depends on the pieces. It is told at the end, so that no sender sees
         * that; until then nobody waits for these records. */
        batch_abort(&parser->batch);
        return CMCWH_OK;
    }
    return parser->failed ? parser->error.result : CMCWH_OK;
}

int cmcwh_parser_end(struct cmcwh_parser *parser) {
    if (!parser->failed && is_json(parser)) {
        json_end(parser);
    } else if (!parser->failed && is_form(parser)) {
        form_end(parser);
    } else if (!parser->failed) {
        multipart_end(parser);
    }
    if (!parser->failed) {
        event_check_request(parser);
    }
    if (parser->error.result != CMCWH_OK) {
        parser->failed = true;
        return parser->error.result;
    }
    return (int)parser->batch.count;
}

/* How many events are safe, or why they are not. Only a lost batch is the end of the request. */
static int parser_outcome(struct cmcwh_parser *parser, int outcome) {
    if (outcome == CMCWH_ERR_STORAGE) {
        parser_fail(parser, outcome, 0, "the events cannot be kept just now");
    }
    return outcome < 0 ? outcome : (int)parser->batch.count;
}

int cmcwh_parser_confirm(struct cmcwh_parser *parser) {
    return parser->error.result != CMCWH_OK ? parser->error.result
                                            : parser_outcome(parser, batch_confirm(&parser->batch));
}

int cmcwh_parser_commit(struct cmcwh_parser *parser) {
    int result;

    if (parser->error.result != CMCWH_OK) {
        return parser->error.result;
    }
    result = batch_commit(&parser->batch, kept_text(&parser->composition), parser->chain);
    return result < 0 ? parser_outcome(parser, result) : cmcwh_parser_confirm(parser);
}

void cmcwh_parser_abort(struct cmcwh_parser *parser) {
    batch_abort(&parser->batch);
}

const struct cmcwh_error *cmcwh_parser_error(const struct cmcwh_parser *parser) {
    return &parser->error;
}

struct cmcwh_text cmcwh_parser_api_key(const struct cmcwh_parser *parser) {
    struct cmcwh_text key = kept_text(&parser->api_key);

    if (parser->api_key.truncated) {
        key.length = CMCWH_SECRET_MAX + 1; /* too long to equal any secret */
    }
    return key;
}

/* ---- HTTP -------------------------------------------------------------------------------------
 * What an endpoint needs of HTTP whatever server it stands in: what results are called there, what
 * a Content-Type and an Authorization say, and what is answered. Nothing here knows of connections.
 */

const char *cmcwh_result_name(int result) {
    static const char names[] = "ok\0"
                                "malformed_json\0"
                                "malformed_form\0"
                                "too_deep\0"
                                "missing_field\0"
                                "wrong_type\0"
                                "event_type_mismatch\0"
                                "ring_full\0"
                                "storage_failed\0"
                                "damaged_record\0"
                                "bad_argument\0"
                                "write_failed\0"
                                "not_a_ring\0"
                                "pending\0"
                                "unauthorized\0"
                                "unauthorized\0"
                                "unsupported_media_type\0"
                                "storing\0"
                                "too_many_events\0"
                                "malformed_chain\0"
                                "unknown";

    return word_number(names, result >= 0                ? 0
                              : result < CMCWH_ERR_CHAIN ? (unsigned)(1 - CMCWH_ERR_CHAIN)
                                                         : (unsigned)-result);
}

/* 503: the sender is not at fault, and may come again. */
static int http_status(int result) {
    switch (result) {
    case CMCWH_ERR_JSON:
    case CMCWH_ERR_FORM:
    case CMCWH_ERR_DEPTH:
    case CMCWH_ERR_CHAIN:
        return 400;
    case CMCWH_ERR_NOBODY:
    case CMCWH_ERR_WRONG:
        return 401;
    case CMCWH_ERR_EVENTS:
        return 413;
    case CMCWH_ERR_MEDIA_TYPE:
        return 415;
    case CMCWH_ERR_MISSING:
    case CMCWH_ERR_TYPE:
    case CMCWH_ERR_EVENT_TYPE:
        return 422;
    default:
        return result >= 0 ? 200 : 503;
    }
}

const char *cmcwh_http_reason(int status) {
    static const uint16_t statuses[] = {200, 400, 401, 403, 404, 405, 408, 411,
                                        413, 415, 422, 429, 431, 503, 505};
    static const char reasons[] = "OK\0"
                                  "Bad Request\0"
                                  "Unauthorized\0"
                                  "Forbidden\0"
                                  "Not Found\0"
                                  "Method Not Allowed\0"
                                  "Request Timeout\0"
                                  "Length Required\0"
                                  "Content Too Large\0"
                                  "Unsupported Media Type\0"
                                  "Unprocessable Content\0"
                                  "Too Many Requests\0"
                                  "Request Header Fields Too Large\0"
                                  "Service Unavailable\0"
                                  "HTTP Version Not Supported\0"
                                  "Error";
    unsigned i = 0;

    while (i < sizeof statuses / sizeof *statuses && statuses[i] != status) {
        i++;
    }
    return word_number(reasons, i);
}

/* Answers a result that is no success, and returns it. */
static int answer_result(struct cmcwh_answer *answer, int result, const char *detail) {
    memset(answer, 0, sizeof *answer);
    answer->status = http_status(result);
    answer->error = cmcwh_result_name(result);
    answer->detail = detail;
    return result;
}

void cmcwh_parser_answer(const struct cmcwh_parser *parser, int result,
                         struct cmcwh_answer *answer) {
    const struct cmcwh_error *error = &parser->error;

    if (result >= 0) {
        (void)answer_result(answer, CMCWH_OK, "");
        answer->stored = result;
    } else if (result != error->result) {
        (void)answer_result(answer, result, "it is not known that the events are safe");
    } else {
        (void)answer_result(answer, result, error->detail);
        answer->field = error->field;
        answer->offset = error->offset;
        answer->has_offset = answer->status != 503;
    }
}

/* Longest texts of an answer, escaped. */
enum { ERROR_MAX = 40, FIELD_MAX = 64, DETAIL_MAX = 176 };

CHECK(answer, sizeof "{'error':'','field':'','offset':,'detail':''}" + 20 + ERROR_MAX + FIELD_MAX +
                      DETAIL_MAX <=
                  CMCWH_ANSWER_MAX);

size_t cmcwh_answer_body(const struct cmcwh_answer *answer, char *out) {
    const char *start = out;

    if (answer->status == 200) {
        out = put_decimal(put_word(out, "{\"stored\":"), (uint64_t)answer->stored);
    } else {
        out = put_quoted_within(put_word(out, "{\"error\":"), answer->error, ERROR_MAX);
        if (answer->field != NULL && answer->field[0] != '\0') {
            out = put_quoted_within(put_word(out, ",\"field\":"), answer->field, FIELD_MAX);
        }
        if (answer->has_offset) {
            out = put_decimal(put_word(out, ",\"offset\":"), answer->offset);
        }
        out = put_quoted_within(put_word(out, ",\"detail\":"), answer->detail, DETAIL_MAX);
    }
    *out++ = '}';
    return (size_t)(out - start);
}

/* Takes a type off the front of a Content-Type, if it is that one: parameters may follow. */
static bool takes_type(struct cmcwh_text *value, const char *type) {
    struct cmcwh_text rest = *value;

    if (!text_takes(&rest, type) ||
        (rest.length > 0 && *rest.data != ';' && !is_blank(*rest.data))) {
        return false;
    }
    *value = rest;
    return true;
}

/* The boundary, which only Content-Type tells. Two of them could be understood in two ways. */
static const char *read_boundary(struct cmcwh_text parameters, struct cmcwh_text *boundary) {
    struct cmcwh_text name, value;
    unsigned boundaries = 0;
    int taken;

    while ((taken = take_parameter(&parameters, &name, &value)) > 0) {
        if (text_is_word(name, "boundary")) {
            *boundary = value;
            boundaries++;
        }
    }
    return taken < 0         ? "the parameters of Content-Type are malformed"
           : boundaries == 0 ? "the boundary is missing in Content-Type"
           : boundaries > 1 || !boundary_right(*boundary)
               ? "the boundary in Content-Type is not one of 1 to 70 characters of RFC 2046"
               : NULL;
}

int cmcwh_content_type(struct cmcwh_text value, struct cmcwh_content *content,
                       struct cmcwh_answer *answer) {
    const char *fault = NULL;

    content->boundary = text_of(NULL);
    if (takes_type(&value, "application/json")) {
        content->format = CMCWH_JSON;
    } else if (WITH_FORMS && takes_type(&value, "application/x-www-form-urlencoded")) {
        content->format = CMCWH_FORM;
    } else if (WITH_FORMS && takes_type(&value, "multipart/form-data")) {
        content->format = CMCWH_MULTIPART;
        fault = read_boundary(value, &content->boundary);
    } else {
        return answer_result(answer, CMCWH_ERR_MEDIA_TYPE,
                             WITH_FORMS ? "Content-Type must be application/json, "
                                          "application/x-www-form-urlencoded or multipart/form-data"
                                        : "Content-Type must be application/json");
    }
    return fault == NULL ? CMCWH_OK : answer_result(answer, CMCWH_ERR_FORM, fault);
}

/* Kinds of credentials: how they come. */
enum {
    BASIC = 1 << CMCWH_BASIC,
    CHAIN = 1 << CMCWH_CHAIN,
    BEARER = 1 << CMCWH_BEARER | CHAIN,
    API_KEY = 1 << CMCWH_API_KEY
};

/* Is `given` a credential of these kinds? CMCWH_OK; CMCWH_ERR_WRONG; CMCWH_ERR_NOBODY: none of them
 * is configured, and `given` says nothing. Looks at all of them, right or not. */
static int judge(const struct cmcwh_access *access, unsigned sorts, struct cmcwh_text given) {
    bool configured = false, right = false;

    for (size_t i = 0; access != NULL && i < access->count; i++) {
        if ((sorts >> access->credentials[i].kind & 1) != 0) {
            configured = true;
            right |= secret_equal(given, access->credentials[i].secret);
        }
    }
    return right ? CMCWH_OK : configured ? CMCWH_ERR_WRONG : CMCWH_ERR_NOBODY;
}

static bool is_configured(const struct cmcwh_access *access, unsigned sorts) {
    return judge(access, sorts, text_of(NULL)) != CMCWH_ERR_NOBODY;
}

static int judge_header(const struct cmcwh_access *access, struct cmcwh_text given) {
    return text_takes(&given, "Basic ")    ? judge(access, BASIC, given)
           : text_takes(&given, "Bearer ") ? judge(access, BEARER, given)
                                           : CMCWH_ERR_NOBODY;
}

/* Answers CMCWH_ERR_NOBODY and CMCWH_ERR_WRONG, and returns what it is given. */
static int answer_judged(struct cmcwh_answer *answer, int judged, const char *wrong) {
    return judged == CMCWH_OK
               ? judged
               : answer_result(answer, judged,
                               judged == CMCWH_ERR_WRONG ? wrong : "credentials are missing");
}

int cmcwh_authorized(const struct cmcwh_access *access, struct cmcwh_text authorization,
                     struct cmcwh_answer *answer) {
    int judged =
        access == NULL || access->count == 0 ? CMCWH_OK : judge_header(access, authorization);

    (void)answer_judged(answer, judged, "the credentials in Authorization are wrong");
    return judged == CMCWH_ERR_NOBODY && is_configured(access, API_KEY) ? CMCWH_PENDING : judged;
}

bool cmcwh_chained(const struct cmcwh_access *access, struct cmcwh_text authorization) {
    return text_takes(&authorization, "Bearer ") && judge(access, CHAIN, authorization) == CMCWH_OK;
}

int cmcwh_authorized_key(const struct cmcwh_access *access, int head,
                         const struct cmcwh_parser *parser, struct cmcwh_answer *answer) {
    struct cmcwh_text key = cmcwh_parser_api_key(parser);
    int judged = key.length == 0 ? CMCWH_ERR_NOBODY : judge(access, API_KEY, key);

    if (judged == CMCWH_ERR_NOBODY && head == CMCWH_OK) {
        return head;
    }
    return answer_judged(answer, judged, "api_key is wrong");
}

/* ---- HTTP: who guesses ------------------------------------------------------------------------
 */

enum { PEER_NAME = sizeof((struct cmcwh_peer *)0)->name };

/* How a peer is remembered: an IPv4 address as it is; of IPv6 what stands before "::" or the fifth
 * group, which may take a few networks for one. */
static void peer_name(const char *address, char name[PEER_NAME]) {
    struct cmcwh_text whole = text_of(address);
    bool six = text_find(whole, '.') == whole.length;
    unsigned colons = 0;

    memset(name, 0, PEER_NAME);
    for (size_t i = 0; i < whole.length && i + 1 < PEER_NAME; i++) {
        colons += whole.data[i] == ':';
        if (six && (colons == 4 || (whole.data[i] == ':' && whole.data[i + 1] == ':'))) {
            break;
        }
        name[i] = whole.data[i];
    }
}

/* Is anything held against this peer still? */
static bool peer_counts(const struct cmcwh_peer *peer, uint64_t now) {
    return peer->wrong > 0 && now - peer->since < CMCWH_TRIES_TIME;
}

static bool peer_locked(const struct cmcwh_peer *peer, uint64_t now) {
    return peer->wrong >= CMCWH_TRIES && peer_counts(peer, now);
}

/* The place of this peer, CMCWH_PEERS when nothing is held against it. */
static size_t peer_find(const struct cmcwh_tries *tries, const char name[PEER_NAME], uint64_t now) {
    size_t i = 0;

    while (i < CMCWH_PEERS && (!peer_counts(&tries->peers[i], now) ||
                               memcmp(tries->peers[i].name, name, PEER_NAME) != 0)) {
        i++;
    }
    return i;
}

/* A place for a peer that has none: a free one, or the oldest of those who are not locked out, or
 * the oldest. */
static struct cmcwh_peer *peer_add(struct cmcwh_tries *tries, const char name[PEER_NAME],
                                   uint64_t now) {
    struct cmcwh_peer *peer = &tries->peers[0];

    for (size_t i = 1; i < CMCWH_PEERS && peer->wrong > 0; i++) {
        struct cmcwh_peer *other = &tries->peers[i];
        bool locked = peer_locked(other, now);

        if (other->wrong == 0 ||
            (locked == peer_locked(peer, now) ? other->since < peer->since : !locked)) {
            peer = other;
        }
    }
    memcpy(peer->name, name, PEER_NAME);
    peer->wrong = 0;
    peer->since = now;
    return peer;
}

uint32_t cmcwh_tries_wait(const struct cmcwh_tries *tries, const char *address, uint64_t now) {
    char name[PEER_NAME];
    size_t i;

    peer_name(address, name);
    i = peer_find(tries, name, now);
    return i < CMCWH_PEERS && peer_locked(&tries->peers[i], now)
               ? (uint32_t)(tries->peers[i].since + CMCWH_TRIES_TIME - now)
               : 0;
}

void cmcwh_tries_wrong(struct cmcwh_tries *tries, const char *address, uint64_t now) {
    struct cmcwh_peer *peer;
    char name[PEER_NAME];
    size_t i;

    peer_name(address, name);
    i = peer_find(tries, name, now);
    peer = i < CMCWH_PEERS ? &tries->peers[i] : peer_add(tries, name, now);
    peer->wrong++;
}

#ifndef CMCWH_NO_SERVER

#include <civetweb.h>

/* ---- Server: chunks ---------------------------------------------------------------------------
 * The framing of a chunked body (RFC 9112, section 7.1), taken off piece by piece. civetweb does it
 * too, but cannot wait in the middle, and refuses extensions and trailers. Nothing here knows what
 * is in a body.
 */

/* What the next byte is. */
enum chunks_state {
    CHUNKS_SIZE,         /* a digit of a size, or what is behind the last of them */
    CHUNKS_EXTENSION,    /* of an extension, or the line's CR */
    CHUNKS_SIZE_LF,      /* the LF behind a size */
    CHUNKS_DATA,         /* of the body */
    CHUNKS_DATA_CR,      /* the CR behind a chunk */
    CHUNKS_DATA_LF,      /* the LF behind it */
    CHUNKS_TRAILER,      /* the first of a trailer, or the CR of the last line */
    CHUNKS_TRAILER_LINE, /* of a trailer, or its CR */
    CHUNKS_TRAILER_LF,   /* the LF behind a trailer */
    CHUNKS_LAST_LF,      /* the LF of the last line */
    CHUNKS_END,          /* of no concern: the body has ended */
    CHUNKS_BROKEN        /* of no concern: what came before it is no chunk */
};

enum { CHUNKS_LINE_MAX = 1024 }; /* bytes of all extensions of a chunk, and of all trailers */

static enum chunks_state chunks_expect(uint8_t byte, uint8_t expected, enum chunks_state then) {
    return byte == expected ? then : CHUNKS_BROKEN;
}

static enum chunks_state chunks_size(struct cmcwh_chunks *chunks, uint8_t byte) {
    int digit = hex_digit(byte);

    if (digit >= 0) {
        chunks->digits++;
        chunks->left = chunks->left << 4 | (uint64_t)digit;
        return chunks->digits > 15 ? CHUNKS_BROKEN : CHUNKS_SIZE;
    }
    if (chunks->digits == 0) {
        return CHUNKS_BROKEN;
    }
    return byte == '\r' ? CHUNKS_SIZE_LF : byte == ';' ? CHUNKS_EXTENSION : CHUNKS_BROKEN;
}

/* A line whose content does not matter; LF alone does not end it, nor may it hold one. */
static enum chunks_state chunks_skip(struct cmcwh_chunks *chunks, uint8_t byte,
                                     enum chunks_state now, enum chunks_state then) {
    chunks->skipped++;
    return byte == '\r' ? then
           : (byte < ' ' && byte != '\t') || byte == 0x7F || chunks->skipped > CHUNKS_LINE_MAX
               ? CHUNKS_BROKEN
               : now;
}

/* What comes behind a byte of the framing. */
static enum chunks_state chunks_frame(struct cmcwh_chunks *chunks, uint8_t byte) {
    switch ((enum chunks_state)chunks->state) {
    case CHUNKS_SIZE:
        return chunks_size(chunks, byte);
    case CHUNKS_EXTENSION:
        return chunks_skip(chunks, byte, CHUNKS_EXTENSION, CHUNKS_SIZE_LF);
    case CHUNKS_SIZE_LF:
        chunks->digits = 0;
        chunks->skipped = 0;
        return chunks_expect(byte, '\n', chunks->left > 0 ? CHUNKS_DATA : CHUNKS_TRAILER);
    case CHUNKS_DATA_CR:
        return chunks_expect(byte, '\r', CHUNKS_DATA_LF);
    case CHUNKS_DATA_LF:
        return chunks_expect(byte, '\n', CHUNKS_SIZE);
    case CHUNKS_TRAILER:
        return byte == '\r' ? CHUNKS_LAST_LF
                            : chunks_skip(chunks, byte, CHUNKS_TRAILER_LINE, CHUNKS_BROKEN);
    case CHUNKS_TRAILER_LINE:
        return chunks_skip(chunks, byte, CHUNKS_TRAILER_LINE, CHUNKS_TRAILER_LF);
    case CHUNKS_TRAILER_LF:
        return chunks_expect(byte, '\n', CHUNKS_TRAILER);
    case CHUNKS_LAST_LF:
        return chunks_expect(byte, '\n', CHUNKS_END);
    default:
        return CHUNKS_BROKEN;
    }
}

/* Takes the next piece of the body out of `bytes`, and the framing before it. Empty when there is
 * none: then all bytes are taken, or the body has ended, or is broken. */
static struct cmcwh_text chunks_next(struct cmcwh_chunks *chunks, struct cmcwh_text *bytes) {
    struct cmcwh_text piece;

    while (bytes->length > 0 && chunks->state != CHUNKS_DATA && chunks->state < CHUNKS_END) {
        chunks->state = (uint8_t)chunks_frame(chunks, (uint8_t)*bytes->data);
        text_skip(bytes, 1);
    }
    piece = *bytes;
    if (chunks->state != CHUNKS_DATA) {
        piece.length = 0;
    } else if (piece.length >= chunks->left) {
        piece.length = (size_t)chunks->left;
        chunks->state = CHUNKS_DATA_CR;
    }
    chunks->left -= piece.length;
    text_skip(bytes, piece.length);
    return piece;
}

/* ---- Server: answers --------------------------------------------------------------------------
 * A request while it is being answered, and the head of the answer. Nothing here reads from a
 * connection or writes to one.
 */

/* The headers that are looked at. */
enum header {
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    AUTHORIZATION,
    EXPECT,
    CONNECTION,
    EVENTS,
    HEADERS
};

CHECK(headers, HEADERS == CMCWH_HEADERS);

/* Sets the answer. Returns false, which all steps return to end the request. */
static bool answer(struct cmcwh_exchange *x, int status, const char *error, const char *detail) {
    x->answer.status = status;
    x->answer.error = error;
    x->answer.detail = detail;
    return false;
}

/* RFC 9110, section 5.6.7. */
static char *put_http_date(char *out, uint64_t time) {
    struct calendar c = calendar_of(time);

    out = put_bytes(out, &"SunMonTueWedThuFriSat"[3 * c.weekday], 3);
    out = put_pair(put_word(out, ", "), c.day);
    out = put_bytes(put_word(out, " "), month_names + 3 * (c.month - 1), 3);
    out = put_year(put_word(out, " "), c.year);
    return put_word(put_clock(put_word(out, " "), &c), " GMT\r\n");
}

static char *put_answer_head(char *out, const struct cmcwh_exchange *x, size_t length,
                             bool closing) {
    const struct cmcwh_access *access = x->access;
    int status = x->answer.status;

    out = put_decimal(put_word(out, "HTTP/1.1 "), (uint64_t)status);
    out = put_word(put_word(put_word(out, " "), cmcwh_http_reason(status)), "\r\n");
    out = put_http_date(put_word(out, "Date: "), x->answered);
    out = put_word(out, "Content-Type: application/json\r\nContent-Length: ");
    out = put_word(put_decimal(out, length), "\r\n");
    if (status == 401 && is_configured(access, BASIC)) {
        out = put_word(out, "WWW-Authenticate: Basic realm=\"cmcwh\", charset=\"UTF-8\"\r\n");
    }
    if (status == 401 && is_configured(access, BEARER)) {
        out = put_word(out, "WWW-Authenticate: Bearer realm=\"cmcwh\"\r\n");
    }
    if (status == 405) {
        out = put_word(out, "Allow: POST\r\n");
    }
    if (status == 503 || status == 429) {
        out = put_word(put_decimal(put_word(out, "Retry-After: "), x->retry_after), "\r\n");
    }
    if (closing) {
        return put_word(out, "Connection: close\r\n\r\n");
    }
    out = put_decimal(put_word(out, "Keep-Alive: timeout="), x->server->config.keep_alive);
    return put_word(out, "\r\nConnection: keep-alive\r\n\r\n");
}

/* ---- Server: requests -------------------------------------------------------------------------
 * One request of civetweb's: check it, read it, feed it, answer it. civetweb takes a good deal that
 * it should not, and does not say when a body ends too early; that is looked after here. What an
 * event is, the parser knows.
 */

/* civetweb forgets headers past this number without a word. */
#define HEADERS_MAX 64

/* Finds the headers that are looked at, in one pass. */
static void learn_headers(struct cmcwh_exchange *x) {
    static const struct cmcwh_text names[HEADERS] = {
        {"Host", 4},          {"Content-Length", 14},   {"Transfer-Encoding", 17},
        {"Content-Type", 12}, {"Content-Encoding", 16}, {"Authorization", 13},
        {"Expect", 6},        {"Connection", 10},       {"Cmcwh-Events", 12}};

    for (int i = 0; i < x->info->num_headers; i++) {
        const struct mg_header *header = &x->info->http_headers[i];
        size_t length = strlen(header->name);

        for (unsigned known = 0; known < HEADERS; known++) {
            if (length == names[known].length &&
                same_letters(header->name, names[known].data, length)) {
                if (x->header_counts[known]++ == 0) {
                    x->headers[known] = text_of(header->value);
                }
                break;
            }
        }
    }
}

/* Is the head such that nobody could read it in another way? */
static bool check_head(struct cmcwh_exchange *x) {
    const struct cmcwh_server_config *config = &x->server->config;
    const char *fault =
        config->head_fault == NULL ? NULL : config->head_fault(config->context, x->connection);
    unsigned hosts;

    x->unread = true;
    learn_headers(x);
    hosts = x->header_counts[HOST];
    if (fault != NULL) {
        return answer(x, 400, "malformed_request", fault);
    }
    if (x->info->num_headers >= HEADERS_MAX) {
        return answer(x, 400, "malformed_request", "too many headers");
    }
    return hosts == 1 || (hosts == 0 && strcmp(x->info->http_version, "1.0") == 0) ||
           answer(x, 400, "malformed_request", "there must be one Host");
}

/* Does the body end where its headers say? Both kinds of length, or two of one, are how requests
 * are smuggled past proxies (RFC 9112, section 6.3). */
static bool check_framing(struct cmcwh_exchange *x) {
    struct cmcwh_text length = x->headers[CONTENT_LENGTH];

    if (x->header_counts[CONTENT_LENGTH] + x->header_counts[TRANSFER_ENCODING] > 1) {
        return answer(x, 400, "malformed_request",
                      "more than one Content-Length or Transfer-Encoding");
    }
    if (x->headers[TRANSFER_ENCODING].data != NULL) {
        x->chunked = true;
        return text_is_word(x->headers[TRANSFER_ENCODING], "chunked") ||
               answer(x, 400, "malformed_request", "a Transfer-Encoding other than chunked");
    }
    if (length.data == NULL) {
        x->unread = false;
        return true;
    }
    for (size_t i = 0; i < length.length; i++) {
        char digit = length.data[i];

        if (digit < '0' || digit > '9' || i >= 18) {
            return answer(x, 400, "malformed_request", "Content-Length is not a number");
        }
        x->length = 10 * x->length + (uint64_t)(digit - '0');
    }
    x->unread = x->length > 0 || length.length == 0;
    return length.length > 0 || answer(x, 400, "malformed_request", "Content-Length is empty");
}

/* local_uri would have no dots, and one slash for many: a proxy before us may know them apart. */
static bool path_right(const struct cmcwh_exchange *x) {
    const char *sent = x->info->local_uri_raw;

    return sent != NULL && strcmp(sent, x->server->config.path) == 0;
}

static bool check_target(struct cmcwh_exchange *x) {
    const struct cmcwh_server_config *config = &x->server->config;

    if (config->allow != NULL && !config->allow(config->context, x->peer)) {
        return answer(x, 403, "forbidden", "requests from this address are not taken");
    }
    if (!path_right(x)) {
        return answer(x, 404, "not_found", "there is nothing at this path");
    }
    return strcmp(x->info->request_method, "POST") == 0 ||
           answer(x, 405, "method_not_allowed", "webhooks are sent with POST");
}

/* Whoever guesses gets no more answers for a while, not even to a right guess. */
static bool check_tries(struct cmcwh_exchange *x) {
    struct cmcwh_server *server = x->server;
    uint32_t left;

    if (x->access == NULL || x->access->count == 0) {
        return true;
    }
    port_lock(server->config.ring);
    left = cmcwh_tries_wait(&server->tries, x->peer, port_ticks(server->config.ring));
    port_unlock(server->config.ring);
    x->retry_after = (left + 999) / 1000;
    return left == 0 ||
           answer(x, 429, "too_many_requests", "too many wrong credentials from this address");
}

static void count_wrong(const struct cmcwh_exchange *x) {
    struct cmcwh_server *server = x->server;

    port_lock(server->config.ring);
    cmcwh_tries_wrong(&server->tries, x->peer, port_ticks(server->config.ring));
    port_unlock(server->config.ring);
}

/* Wrong credentials are counted. */
static int judged(struct cmcwh_exchange *x, int result) {
    if (result == CMCWH_ERR_WRONG) {
        count_wrong(x);
    }
    return result;
}

static bool check_header(struct cmcwh_exchange *x) {
    x->head = judged(x, cmcwh_authorized(x->access, x->headers[AUTHORIZATION], &x->answer));
    return x->head == CMCWH_OK || x->head == CMCWH_PENDING;
}

static bool check_key(struct cmcwh_exchange *x) {
    const struct cmcwh_parser *parser = &x->worker->parser;

    return judged(x, cmcwh_authorized_key(x->access, x->head, parser, &x->answer)) == CMCWH_OK;
}

/* What another cmcwh says of its events counts; of others it is not looked at. */
static bool check_chain(struct cmcwh_exchange *x) {
    if (x->header_counts[EVENTS] == 0 || !cmcwh_chained(x->access, x->headers[AUTHORIZATION])) {
        x->headers[EVENTS].data = NULL;
        return true;
    }
    return x->header_counts[EVENTS] == 1 ||
           answer(x, 400, "malformed_chain", "more than one Cmcwh-Events");
}

static bool check_content(struct cmcwh_exchange *x) {
    struct cmcwh_text coding = x->headers[CONTENT_ENCODING];

    if (!x->chunked && x->headers[CONTENT_LENGTH].data == NULL) {
        return answer(x, 411, "length_required", "neither Content-Length nor chunked");
    }
    if (x->length > x->server->config.body_max) {
        return answer(x, 413, "too_large", "the body is larger than this server takes");
    }
    if (coding.data != NULL && !text_is_word(coding, "identity")) {
        return answer(x, 415, "unsupported_media_type", "no content encoding is taken");
    }
    return cmcwh_content_type(x->headers[CONTENT_TYPE], &x->content, &x->answer) == CMCWH_OK;
}

/* A sender that wants to be told before it sends the body: civetweb leaves that to handlers. */
static void honour_expect(struct cmcwh_exchange *x) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (text_is_word(x->headers[EXPECT], "100-continue") &&
        strcmp(x->info->http_version, "1.1") == 0) {
        (void)mg_write(x->connection, go_on, sizeof go_on - 1);
    }
}

/* The parser has found something wrong. */
static bool answer_parser(struct cmcwh_exchange *x) {
    const struct cmcwh_parser *parser = &x->worker->parser;

    cmcwh_parser_answer(parser, cmcwh_parser_error(parser)->result, &x->answer);
    return false;
}

static void begin_body(struct cmcwh_exchange *x) {
    struct cmcwh_parser *parser = &x->worker->parser;

    cmcwh_parser_init(parser, x->server->config.ring, x->content.format);
    if (x->content.format == CMCWH_MULTIPART) {
        (void)cmcwh_parser_boundary(parser, x->content.boundary); /* is right: check_content */
    }
    if (x->headers[EVENTS].data != NULL) {
        cmcwh_parser_chain(parser, x->headers[EVENTS]);
    }
}

/* The bytes that come next of what was sent; their number, 0 at the end, CMCWH_PENDING, or another
 * negative number when civetweb finds its chunks broken. */
static int look_at_body(struct cmcwh_exchange *x, struct cmcwh_text *bytes) {
    const struct cmcwh_server_config *config = &x->server->config;
    uint64_t left = x->chunked ? CMCWH_READ_SIZE : x->length - x->received;
    int came;

    if (config->read != NULL) {
        came = config->read(config->context, x->connection, &bytes->data);
    } else {
        bytes->data = x->worker->bytes;
        came = mg_read(x->connection, x->worker->bytes,
                       (size_t)(left < CMCWH_READ_SIZE ? left : CMCWH_READ_SIZE));
        if (came == 0 && x->chunked) {
            x->unread = false; /* what civetweb decodes has no other end */
        }
    }
    bytes->length = came > 0 ? (size_t)came : 0;
    return came;
}

/* The next piece of the body proper in these bytes, which are taken. */
static struct cmcwh_text next_piece(struct cmcwh_exchange *x, struct cmcwh_text *bytes) {
    struct cmcwh_text piece = *bytes;

    if (x->chunked && x->server->config.read != NULL) {
        return chunks_next(&x->chunks, bytes);
    }
    if (!x->chunked && piece.length > x->length - x->received) {
        piece.length = (size_t)(x->length - x->received);
    }
    text_skip(bytes, piece.length);
    return piece;
}

static bool is_whole(const struct cmcwh_exchange *x) {
    return x->chunked ? x->chunks.state == CHUNKS_END : x->received == x->length;
}

/* Feeds what came, up to the end of the body. */
static bool feed_body(struct cmcwh_exchange *x, struct cmcwh_text bytes) {
    const struct cmcwh_server_config *config = &x->server->config;
    struct cmcwh_text rest = bytes;

    while (rest.length > 0 && x->unread) {
        struct cmcwh_text piece = next_piece(x, &rest);

        if (x->chunked && x->chunks.state == CHUNKS_BROKEN) {
            return answer(x, 400, "malformed_request", "the chunks of the body are malformed");
        }
        x->received += piece.length;
        if (x->received > config->body_max) {
            return answer(x, 413, "too_large", "the body is larger than this server takes");
        }
        if (piece.length > 0 &&
            cmcwh_parser_feed(&x->worker->parser, piece.data, piece.length) < 0) {
            return answer_parser(x);
        }
        x->unread = !is_whole(x);
    }
    if (config->took != NULL) {
        config->took(config->context, x->connection, bytes.length - rest.length);
    }
    return true;
}

/* CMCWH_OK: the body is there and right. CMCWH_PENDING: it is not all there yet. Otherwise the
 * answer says what is wrong. */
static int read_body(struct cmcwh_exchange *x) {
    while (x->unread) {
        struct cmcwh_text bytes;
        int came = look_at_body(x, &bytes);

        if (came == CMCWH_PENDING) {
            return CMCWH_PENDING;
        }
        if (came > 0 && !feed_body(x, bytes)) {
            return CMCWH_ERR_ARGUMENT;
        }
        if (came <= 0 && x->unread) {
            x->answer.has_offset = true;
            x->answer.offset = x->received;
            (void)answer(x, 400, "truncated_body", "the body ends before its length or last chunk");
            return CMCWH_ERR_ARGUMENT;
        }
    }
    return cmcwh_parser_end(&x->worker->parser) >= 0 || answer_parser(x) ? CMCWH_OK
                                                                         : CMCWH_ERR_ARGUMENT;
}

/* Called with the ring's lock held. */
static void tell_settled(void *context) {
    const struct cmcwh_exchange *x = context;

    x->server->config.settled(x->server->config.context, x->connection);
}

/* CMCWH_STORING: it is not known yet what is to be answered. */
static int store(struct cmcwh_exchange *x) {
    struct cmcwh_parser *parser = &x->worker->parser;
    int stored;

    if (!x->committed && x->server->config.settled != NULL) {
        parser->batch.settled = tell_settled;
        parser->batch.context = x;
    }
    stored = x->committed ? cmcwh_parser_confirm(parser) : cmcwh_parser_commit(parser);
    x->committed = true;
    if (stored == CMCWH_PENDING) {
        return CMCWH_STORING;
    }
    cmcwh_parser_answer(parser, stored, &x->answer);
    return CMCWH_OK;
}

/* As batch_confirm, but it waits no longer, and nothing is pending any more. Not while another
 * thread writes it to the storage. */
static int batch_withdraw(struct cmcwh_batch *batch) {
    struct cmcwh_ring *ring = batch->ring;
    int outcome;

    port_lock(ring);
    batch->parked = false;
    if (batch->outcome == CMCWH_PENDING) {
        (void)batch_give_up(batch);
    }
    outcome = batch->outcome;
    port_unlock(ring);
    return outcome;
}

/* It is not waited for until it is known: it is not stored, or has been. */
static void store_no_longer(struct cmcwh_exchange *x) {
    struct cmcwh_parser *parser = &x->worker->parser;

    cmcwh_parser_answer(parser, parser_outcome(parser, batch_withdraw(&parser->batch)), &x->answer);
}

static void learn_peer(struct cmcwh_exchange *x) {
    const struct cmcwh_server_config *config = &x->server->config;
    const char *address = x->info->remote_addr;
    size_t length = strlen(address);

    memcpy(x->peer, address, length < sizeof x->peer ? length : sizeof x->peer - 1);
    if (config->peer != NULL) {
        config->peer(config->context, x->connection, x->peer);
    }
}

/* A request has come. It is in flight until it is answered. */
static void begin_exchange(struct cmcwh_exchange *x, struct cmcwh_server *server,
                           struct cmcwh_worker *worker, const struct cmcwh_access *access,
                           struct mg_connection *connection) {
    memset(x, 0, sizeof *x);
    x->begun = true;
    x->server = server;
    x->worker = worker;
    x->access = access;
    x->connection = connection;
    x->info = mg_get_request_info(connection);
    batch_begin(&worker->parser.batch, server->config.ring);
    port_lock(server->config.ring);
    server->in_flight++;
    x->stopping = server->stopping;
    port_unlock(server->config.ring);
    learn_peer(x);
}

static bool admit(struct cmcwh_exchange *x) {
    return !x->stopping || answer(x, 503, "stopping", "the server is being stopped");
}

/* When a sender that got 503 should come again: seconds, 1 at least. */
static uint32_t retry_after(struct cmcwh_ring *ring) {
    struct cmcwh_ring_state state;

    cmcwh_ring_state(ring, &state);
    return state.retry / 1000 + 1;
}

/* Is `token` in a list with commas? */
static bool lists(struct cmcwh_text list, const char *token) {
    while (list.length > 0) {
        struct cmcwh_text item = take_word(&list, ",");

        if (text_is_word(item, token)) {
            return true;
        }
        text_skip(&list, list.length > 0 ? 1 : 0);
    }
    return false;
}

/* Whether civetweb closes the connection on behalf of the client. */
static bool client_closes(const struct cmcwh_exchange *x) {
    struct cmcwh_text wish = x->headers[CONNECTION];

    return wish.data != NULL ? !lists(wish, "keep-alive")
                             : strcmp(x->info->http_version, "1.1") != 0;
}

static bool must_close(const struct cmcwh_exchange *x) {
    const struct cmcwh_server_config *config = &x->server->config;

    return config->keep_alive == 0 || x->unread || x->stopping || client_closes(x) ||
           (config->closing != NULL && config->closing(config->context, x->connection));
}

/* Head and body leave in one write: in two they would cost the sender a delayed acknowledgement
 * of 40 ms. */
static void send_answer(struct cmcwh_exchange *x) {
    enum { HEAD_MAX = 512 };
    char *head = x->worker->bytes, *body = head + HEAD_MAX, *end;
    bool closing = must_close(x);
    size_t head_length, length;

    if (x->answer.status == 503) {
        x->retry_after = retry_after(x->server->config.ring);
    }
    length = cmcwh_answer_body(&x->answer, body);
    head_length = (size_t)(put_answer_head(head, x, length, closing) - head);
    end = head + head_length;
    if (x->info->request_method == NULL || strcmp(x->info->request_method, "HEAD") != 0) {
        memmove(end, body, length);
        end += length;
    }
    if (closing) {
        mg_disable_connection_keep_alive(x->connection);
    }
    (void)mg_write(x->connection, head, (size_t)(end - head));
}

/* What is wrong, as answers say it; the last stands for all others. */
static const char error_names[] = "malformed_json\0"
                                  "malformed_form\0"
                                  "too_deep\0"
                                  "missing_field\0"
                                  "wrong_type\0"
                                  "event_type_mismatch\0"
                                  "ring_full\0"
                                  "storage_failed\0"
                                  "unauthorized\0"
                                  "unsupported_media_type\0"
                                  "too_many_events\0"
                                  "malformed_chain\0"
                                  "malformed_request\0"
                                  "truncated_body\0"
                                  "request_timeout\0"
                                  "length_required\0"
                                  "too_large\0"
                                  "forbidden\0"
                                  "not_found\0"
                                  "method_not_allowed\0"
                                  "too_many_requests\0"
                                  "crowded\0"
                                  "stopping\0"
                                  "other";

const char *cmcwh_error_name(unsigned i) {
    return word_number(error_names, i < CMCWH_ERRORS ? i : CMCWH_ERRORS - 1);
}

static unsigned error_number(const char *error) {
    const char *name = error_names;
    unsigned i = 0;

    for (; i < CMCWH_ERRORS - 1 && strcmp(name, error) != 0; i++) {
        name += strlen(name) + 1;
    }
    return i;
}

/* Counts the answer: before it leaves, so that whoever has read it finds it counted. */
static void count_answer(struct cmcwh_exchange *x) {
    struct cmcwh_server *server = x->server;
    struct cmcwh_server_counters *counters = &server->counters;
    static const int statuses[CMCWH_STATUSES] = CMCWH_STATUS_LIST;
    bool good = x->answer.status == 200;
    unsigned error = good || !WITH_COUNTERS ? 0 : error_number(x->answer.error);
    size_t i = 0;

    while (statuses[i] != x->answer.status && statuses[i] != 0) {
        i++;
    }
    x->answered = port_now(server->config.ring);
    port_lock(server->config.ring);
    counters->requests++;
    counters->answers[i]++;
    counters->errors[error] += good || !WITH_COUNTERS ? 0 : 1;
    counters->events += good ? (uint64_t)x->answer.stored : 0;
    counters->last_request = x->answered;
    counters->last_ok = good ? x->answered : counters->last_ok;
    x->stopping = server->stopping;
    port_unlock(server->config.ring);
}

static void leave(const struct cmcwh_exchange *x) {
    struct cmcwh_server *server = x->server;

    port_lock(server->config.ring);
    server->in_flight--;
    if (server->stopping) { /* nobody else waits for this, and waking costs */
        port_wake(server->config.ring);
    }
    port_unlock(server->config.ring);
}

static void tell_refusal(const struct cmcwh_exchange *x) {
    const struct cmcwh_server_config *config = &x->server->config;
    const char *path = x->info->local_uri_raw;
    const struct cmcwh_refusal refusal = {x->peer, path != NULL ? path : "", &x->answer};

    if (config->refused != NULL && x->answer.status != 200) {
        config->refused(config->context, &refusal);
    }
}

/* Can an answer wait until it is known what it must say? */
static bool answers_can_wait(const struct cmcwh_ring *ring) {
    return port_can_wait(ring) || !(is_stored(ring) || ring->config.confirm);
}

int cmcwh_server_init(struct cmcwh_server *server, const struct cmcwh_server_config *config) {
    if (config->ring == NULL || config->path == NULL || config->path[0] != '/' ||
        config->body_max == 0 || !answers_can_wait(config->ring)) {
        return CMCWH_ERR_ARGUMENT;
    }
    memset(server, 0, sizeof *server);
    server->config = *config;
    return CMCWH_OK;
}

static int finish_exchange(struct cmcwh_exchange *x) {
    if (x->answer.status != 200) {
        cmcwh_parser_abort(&x->worker->parser);
    }
    count_answer(x);
    send_answer(x);
    tell_refusal(x);
    leave(x);
    x->begun = false;
    return x->answer.status;
}

int cmcwh_server_handle(struct cmcwh_server *server, struct cmcwh_worker *worker,
                        const struct cmcwh_access *access, struct mg_connection *connection) {
    struct cmcwh_exchange *x = &worker->exchange;
    int result;

    if (!x->begun) {
        begin_exchange(x, server, worker, access, connection);
        if (!(admit(x) && check_head(x) && check_framing(x) && check_target(x) && check_tries(x) &&
              check_header(x) && check_chain(x) && check_content(x))) {
            return finish_exchange(x);
        }
        begin_body(x);
        honour_expect(x);
    }
    result = x->committed ? CMCWH_OK : read_body(x);
    if (result == CMCWH_OK && (x->committed || check_key(x))) {
        result = store(x);
    }
    return result == CMCWH_PENDING || result == CMCWH_STORING ? result : finish_exchange(x);
}

/* What is said to whoever is refused, by status. */
static const char *refusal(const struct cmcwh_exchange *x, const char **error) {
    *error = "malformed_request";
    switch (x->answer.status) {
    case 408:
        *error = "request_timeout";
        return "the request was not whole in time";
    case 431:
        *error = "too_large";
        return "the request's head is too large";
    case 503:
        *error = x->stopping ? "stopping" : "crowded";
        return x->stopping ? "the server is being stopped" : "too many connections are open";
    case 505:
        return "only HTTP/1.1 and HTTP/1.0 are spoken";
    default:
        return "this is not an HTTP/1.1 request to this server";
    }
}

int cmcwh_server_refuse(struct cmcwh_server *server, struct cmcwh_worker *worker,
                        struct mg_connection *connection, int status) {
    struct cmcwh_exchange *x = &worker->exchange;

    if (!x->begun) {
        begin_exchange(x, server, worker, NULL, connection);
    }
    port_lock(server->config.ring);
    x->stopping = server->stopping;
    port_unlock(server->config.ring);
    x->unread = true;
    if (x->committed) {
        store_no_longer(x);
    } else {
        x->answer.status = status == 411 ? 400 : status; /* a Content-Length that is not a number */
        x->answer.detail = refusal(x, &x->answer.error);
    }
    (void)finish_exchange(x);
    return 0;
}

void cmcwh_server_stop(struct cmcwh_server *server) {
    port_lock(server->config.ring);
    server->stopping = true;
    port_unlock(server->config.ring);
}

bool cmcwh_server_drain(struct cmcwh_server *server, uint32_t ms) {
    struct cmcwh_ring *ring = server->config.ring;
    uint64_t start = port_ticks(ring), passed = 0;
    bool drained;

    port_lock(ring);
    while (server->in_flight > 0 && passed < ms && port_can_wait(ring)) {
        (void)port_wait(ring, ms - passed);
        passed = port_ticks(ring) - start;
    }
    drained = server->in_flight == 0;
    port_unlock(ring);
    return drained;
}

void cmcwh_server_count(struct cmcwh_server *server, struct cmcwh_server_counters *counters) {
    port_lock(server->config.ring);
    *counters = server->counters;
    port_unlock(server->config.ring);
}

#endif /* CMCWH_NO_SERVER */
