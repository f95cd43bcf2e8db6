/* A chain: the first line of the input is the value of Cmcwh-Events, the rest a JSON body. Another
 * reading of that line says what is to become of it; and what comes out, posted onward, comes out
 * of the next as it is. */
#include "fuzz.h"

enum { BODY_MAX = 1 << 20 };

static struct cmcwh_parser parser;
static struct cmcwh_record first[FUZZ_RECORDS], second[FUZZ_RECORDS];

/* Takes a body, with a header if there is one. How many records came of it, or an error. */
static int take(const char *header, size_t header_length, const char *body, size_t length,
                struct cmcwh_record *records) {
    struct cmcwh_ring *ring = fuzz_ring();
    char *copy = malloc(header_length + 1);
    int result, count = 0;

    MUST(copy != NULL);
    cmcwh_parser_init(&parser, ring, CMCWH_JSON);
    if (header != NULL) {
        memcpy(copy, header, header_length);
        cmcwh_parser_chain(&parser, (struct cmcwh_text){copy, header_length});
    }
    (void)cmcwh_parser_feed(&parser, body, length);
    result = cmcwh_parser_end(&parser);
    result = result < 0 ? result : cmcwh_parser_commit(&parser);
    MUST((result < 0) == (cmcwh_parser_error(&parser)->result < 0));
    free(copy);
    while (cmcwh_ring_read(ring, 0, &records[count]) > 0) {
        count++;
    }
    MUST(count == (result < 0 ? 0 : result));
    MUST(cmcwh_ring_acknowledge(ring, 0) == CMCWH_OK);
    cmcwh_parser_abort(&parser);
    return result;
}

/* What an entry says, if it is right. */
struct entry {
    unsigned long long id, received;
    unsigned truncated;
};

/* Reads it in another way: it is right if it is what would be written of it, but for zeros before
 * the numbers and the case of letters. */
static bool read_entry(const char *text, size_t length, struct entry *entry) {
    static const char hex[] = "0123456789abcdefABCDEF", decimal[] = "0123456789";
    char copy[64] = "", *at = memchr(text, '@', length), *end;
    size_t digits, mask;

    if (at == NULL || at - text != 16 || length > 16 + 1 + 15 + 1 + 4) {
        return false;
    }
    memcpy(copy, text, length);
    digits = strspn(copy + 17, decimal);
    mask = copy[17 + digits] == '/' ? strspn(copy + 18 + digits, hex) : 0;
    entry->id = strtoull(copy, &end, 16);
    entry->received = strtoull(copy + 17, NULL, 10);
    entry->truncated = (unsigned)strtoul(copy + 18 + digits, NULL, 16) & ((1u << CMCWH_FIELDS) - 1);
    return strspn(copy, hex) == 16 && digits > 0 && digits <= 15 &&
           entry->received <= 253402300799999 && mask <= 4 &&
           17 + digits + (copy[17 + digits] == '/' ? 1 + mask : 0) == length &&
           (copy[17 + digits] != '/' || mask > 0);
}

/* How many entries there are, or -1 if any is wrong. */
static int read_entries(const char *text, size_t length, struct entry *entries) {
    int count = 0;

    for (size_t at = 0; length > 0 && at <= length;) {
        const char *comma = memchr(text + at, ',', length - at);
        size_t size = comma == NULL ? length - at : (size_t)(comma - (text + at));
        struct entry entry = {0};

        if (!read_entry(text + at, size, &entry)) {
            return -1;
        }
        if (count < FUZZ_RECORDS) {
            entries[count] = entry;
        }
        count++;
        at += size + 1;
    }
    return count;
}

static void check_header(const char *header, size_t header_length, int result, int plain) {
    static struct entry entries[FUZZ_RECORDS];
    int count = read_entries(header, header_length, entries);
    const struct cmcwh_error *error = cmcwh_parser_error(&parser);

    MUST(result != CMCWH_ERR_CHAIN || (strcmp(error->field, "Cmcwh-Events") == 0 &&
                                       error->offset <= header_length && error->detail[0] != '\0'));
    MUST((count < 0) <= (result == CMCWH_ERR_CHAIN));
    MUST(count < 0 || plain < 0 || (result == CMCWH_ERR_CHAIN) == (count != plain));
    MUST(count < 0 || plain >= 0 || result == plain);
    for (int i = 0; i < result; i++) {
        struct cmcwh_event event;

        cmcwh_record_read(&first[i], &event);
        MUST(event.id == entries[i].id && event.received == entries[i].received);
        MUST((event.truncated & entries[i].truncated) == entries[i].truncated);
        fuzz_check_record(&first[i], true);
    }
}

/* In quotes, as JSON. */
static char *put_text(char *out, struct cmcwh_text text) {
    *out++ = '"';
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];

        out += c < 0x20 || c == '"' || c == '\\' ? sprintf(out, "\\u%04x", (unsigned)c)
                                                 : sprintf(out, "%c", (int)c);
    }
    *out++ = '"';
    return out;
}

/* What came out is posted to the next, unless a type had to give way: then room that was left may
 * be used for a part of it. */
static void go_on(int count) {
    static char body[BODY_MAX], header[FUZZ_RECORDS * 40];
    char *out = body, *said = header;
    struct cmcwh_event event;

    cmcwh_record_read(&first[0], &event);
    out = put_text(out + sprintf(out, "{\"event_type\":"), cmcwh_event_type(&event));
    out = put_text(out + sprintf(out, ",\"server_composition\":"),
                   event.texts[CMCWH_SERVER_COMPOSITION]);
    out = put_text(out + sprintf(out, ",\"event\":{"), cmcwh_event_type(&event));
    out += sprintf(out, ":[");
    for (int i = 0; i < count; i++) {
        struct cmcwh_text composition = event.texts[CMCWH_SERVER_COMPOSITION];

        MUST(out - body < BODY_MAX - CMCWH_ENCODED_MAX - 16);
        cmcwh_record_read(&first[i], &event);
        if ((event.truncated & (1u << CMCWH_EVENT_TYPE | 1u << CMCWH_SERVER_COMPOSITION)) != 0 ||
            event.texts[CMCWH_SERVER_COMPOSITION].length != composition.length) {
            return;
        }
        out += sprintf(out, "%s", i == 0 ? "" : ",");
        out += cmcwh_encode(&first[i], CMCWH_ENCODE_CMC, NULL, out);
        said += sprintf(said, "%s%016llx@%llu/%x", i == 0 ? "" : ",", (unsigned long long)event.id,
                        (unsigned long long)event.received, event.truncated);
    }
    out += sprintf(out, "]}}");
    MUST(take(header, (size_t)(said - header), body, (size_t)(out - body), second) == count);
    for (int i = 0; i < count; i++) {
        MUST(memcmp(&first[i], &second[i], sizeof first[i]) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const char *header = (const char *)bytes, *body;
    const uint8_t *line = length > 0 ? memchr(bytes, '\n', length) : NULL;
    size_t header_length = line == NULL ? length : (size_t)(line - bytes), body_length;
    int plain, result;

    body = line == NULL ? "" : header + header_length + 1;
    body_length = line == NULL ? 0 : length - header_length - 1;
    plain = take(NULL, 0, body, body_length, first);
    if (plain > 0) {
        go_on(plain);
    }
    result = take(header, header_length, body, body_length, first);
    check_header(header, header_length, result, plain);
    if (result > 0) {
        go_on(result);
    }
    return 0;
}
