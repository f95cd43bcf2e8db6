/* What an HTTP sink sends. Not here: to whom, and what is answered. */
#include "sink/post.h"

#include <inttypes.h>
#include <string.h>

#include "platform/writer.h"

static bool same(struct cmcwh_text a, struct cmcwh_text b) {
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* ---- The body ---- */

/* As many bytes as an event can take, and what ends a body. */
static bool has_room(const struct writer *body, enum post_format format) {
    enum { END = 16, FORM = 3 /* "%7B" */ };
    size_t most = (size_t)CMCWH_ENCODED_MAX * (format == POST_FORM ? FORM : 1);

    return body->size - body->used >= most + END;
}

/* The events, one a line. */
static uint32_t put_lines(struct writer *body, const struct cmcwh_record *records, uint32_t count) {
    uint32_t i = 0;

    for (; i < count && has_room(body, POST_NDJSON); i++) {
        body->used += cmcwh_encode(&records[i], CMCWH_ENCODE_JSON, NULL, body->bytes + body->used);
    }
    return i;
}

/* A part of the value of `event`. */
static void put_event(struct writer *body, enum post_format format, const char *text,
                      size_t length) {
    if (format == POST_FORM) {
        writer_form(body, (struct cmcwh_text){text, length});
    } else {
        writer_bytes(body, text, length);
    }
}

static void put_parameter(struct writer *body, enum post_format format, const char *name,
                          struct cmcwh_text value) {
    if (format == POST_FORM) {
        writer_print(body, "%s=", name);
        writer_form(body, value);
        writer_text(body, "&");
    } else {
        writer_print(body, "\"%s\":", name);
        writer_json(body, value);
        writer_text(body, ",");
    }
}

/* Everything up to the events, which are of this one's type. */
static void begin_cmc(struct writer *body, const struct post_style *style,
                      const struct cmcwh_event *event) {
    char bytes[6 * CMCWH_SECRET_MAX + 32];
    struct writer type = {.bytes = bytes, .size = sizeof bytes};

    writer_text(body, style->format == POST_FORM ? "" : "{");
    if (style->api_key[0] != '\0') {
        put_parameter(body, style->format, "api_key", writer_view(style->api_key));
    }
    put_parameter(body, style->format, "server_composition",
                  event->texts[CMCWH_SERVER_COMPOSITION]);
    put_parameter(body, style->format, "event_type", cmcwh_event_type(event));
    writer_text(body, style->format == POST_FORM ? "event=" : "\"event\":");
    writer_text(&type, "{");
    writer_json(&type, cmcwh_event_type(event));
    writer_text(&type, ":[");
    put_event(body, style->format, bytes, type.used);
}

/* What the service would send of them. */
static uint32_t put_cmc(struct writer *body, const struct post_style *style,
                        const struct cmcwh_record *records, uint32_t count) {
    char bytes[CMCWH_ENCODED_MAX];
    struct cmcwh_event first, event;
    uint32_t i = 0;

    cmcwh_record_read(&records[0], &first);
    begin_cmc(body, style, &first);
    for (; i < count && has_room(body, style->format); i++) {
        cmcwh_record_read(&records[i], &event);
        if (!same(cmcwh_event_type(&event), cmcwh_event_type(&first)) ||
            !same(event.texts[CMCWH_SERVER_COMPOSITION], first.texts[CMCWH_SERVER_COMPOSITION])) {
            break;
        }
        put_event(body, style->format, ",", i > 0);
        put_event(body, style->format, bytes,
                  cmcwh_encode(&records[i], CMCWH_ENCODE_CMC, NULL, bytes));
    }
    put_event(body, style->format, "]}", 2);
    writer_text(body, style->format == POST_FORM ? "" : "}");
    return i;
}

/* ---- The head ---- */

/* FNV-1a. */
static uint64_t fold(uint64_t hash, uint64_t number) {
    for (unsigned byte = 0; byte < sizeof number; byte++) {
        hash = (hash ^ (number >> 8 * byte & 0xFF)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* A line says when its event came, and as which: then another event has the same id, and a server
 * may want another key for another body. */
static void name(struct post *post, enum post_format format, const struct cmcwh_record *records) {
    struct cmcwh_event event;

    post->ids = post->key = 0;
    for (uint32_t i = 0; i < post->count; i++) {
        cmcwh_record_read(&records[i], &event);
        post->ids = i == 0 ? event.id : fold(post->ids, event.id);
        post->key = format != POST_NDJSON
                        ? post->ids
                        : fold(fold(fold(post->key, event.id), event.seq), event.received);
    }
}

/* What another cmcwh keeps of events that it gets from us, and no body of the service's has. */
static void put_chain(struct writer *head, const struct cmcwh_record *records, uint32_t count) {
    struct cmcwh_event event;

    writer_text(head, "Cmcwh-Events: ");
    for (uint32_t i = 0; i < count; i++) {
        cmcwh_record_read(&records[i], &event);
        writer_print(head, "%s%016" PRIx64 "@%" PRIu64, i == 0 ? "" : ",", event.id,
                     event.received);
        if (event.truncated != 0) {
            writer_print(head, "/%x", event.truncated);
        }
    }
    writer_text(head, "\r\n");
}

static void put_head(struct writer *head, const struct post *post, const struct post_style *style,
                     const struct cmcwh_record *records, size_t length) {
    static const char *const types[] = {[POST_NDJSON] = "application/x-ndjson",
                                        [POST_CMC] = "application/json; charset=UTF-8",
                                        [POST_FORM] =
                                            "application/x-www-form-urlencoded; charset=UTF-8"};

    writer_text(head, "POST ");
    writer_text(head, style->url->path);
    writer_text(head, " HTTP/1.1\r\nHost: ");
    writer_text(head, style->url->authority);
    writer_print(head,
                 "\r\nUser-Agent: cmcwh/" CMCWH_VERSION "\r\nContent-Type: %s\r\n"
                 "Content-Length: %zu\r\nIdempotency-Key: %016" PRIx64 "\r\n",
                 types[style->format], length, post->key);
    if (style->format != POST_NDJSON) {
        put_chain(head, records, post->count);
    }
    writer_text(head, style->headers);
    writer_text(head, "\r\n");
}

/* The body stands behind the room for the head, which its length is known for last: the head is
 * moved up to it. */
void post_make(struct post *post, const struct post_style *style,
               const struct cmcwh_record *records, uint32_t count) {
    struct writer head = {.bytes = post->bytes, .size = POST_HEAD};
    struct writer body = {.bytes = post->bytes + POST_HEAD, .size = POST_BODY};

    post->count = style->format == POST_NDJSON ? put_lines(&body, records, count)
                                               : put_cmc(&body, style, records, count);
    name(post, style->format, records);
    put_head(&head, post, style, records, body.used);
    post->begin = POST_HEAD - head.used;
    post->end = POST_HEAD + body.used;
    memmove(post->bytes + post->begin, post->bytes, head.used);
}
