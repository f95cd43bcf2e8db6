/* The events that a ring holds, read one by one where the reader is. */
#include "admin/events.h"

#include <inttypes.h>
#include <string.h>

#include "admin/hide.h"
#include "platform/csv.h"
#include "platform/number.h"

enum { RETRY = 2000 /* ms until a browser comes again */ };

/* ---- What is asked for ---- */

/* The last number has none behind it. */
static bool read_seq(const char *text, uint64_t *seq) {
    return number_read(text, 0, UINT64_MAX - 1, seq);
}

static bool wrong(struct writer *why, const char *what) {
    writer_text(why, what);
    return false;
}

static bool set_only(struct events *events, const char *value, struct writer *why) {
    size_t at;

    if (cmcwh_filter_parse(&events->filter, writer_view(value), &at) == CMCWH_OK) {
        return true;
    }
    writer_print(why,
                 "only: wrong from character %zu on: expected deliveries, bounces, blocks, other, "
                 "queued, succeeded, failed, deferred, or bounces:NUMBER, with commas between",
                 at + 1);
    return false;
}

/* One parameter; `after` is set if it is that. */
static bool set(struct events *events, const struct request_parameter *parameter, bool *after,
                struct writer *why) {
    if (request_is(parameter->name, "after")) {
        *after = true;
        return read_seq(parameter->value, &events->after) ||
               wrong(why, "after: expected the number (seq) of an event");
    }
    if (request_is(parameter->name, "limit")) {
        return number_read(parameter->value, 1, UINT64_MAX - 1, &events->left) ||
               wrong(why, "limit: expected how many events, from 1");
    }
    if (request_is(parameter->name, "only")) {
        return set_only(events, parameter->value, why);
    }
    if (request_is(parameter->name, "hide") && strcmp(parameter->value, "addresses") == 0) {
        events->hide = true;
        return true;
    }
    return wrong(why, "unknown parameter: known are after=SEQ, limit=N, only=LIST and "
                      "hide=addresses");
}

/* A browser that comes again says what it had last. */
static bool set_last_id(struct events *events, struct cmcwh_text id, bool *after,
                        struct writer *why) {
    char text[24];

    if (events->form != EVENTS_SENT || id.length == 0) {
        return true;
    }
    *after = true;
    if (id.length < sizeof text) {
        memcpy(text, id.data, id.length);
        text[id.length] = '\0';
    }
    return (id.length < sizeof text && read_seq(text, &events->after)) ||
           wrong(why, "Last-Event-ID: expected the number of an event");
}

bool events_ask(struct events *events, struct cmcwh_ring *ring, const struct request *request,
                enum events_form form, struct writer *why) {
    struct cmcwh_text query = request->query;
    struct request_parameter parameter;
    struct cmcwh_ring_state state;
    bool after = false;
    int result;

    *events = (struct events){.form = form, .left = UINT64_MAX};
    while ((result = request_parameter(&query, &parameter)) > 0) {
        if (!set(events, &parameter, &after, why)) {
            return false;
        }
    }
    if (result < 0) {
        return wrong(why, "a parameter is too long, or its %XX is wrong");
    }
    if (!set_last_id(events, request->headers[REQUEST_LAST_EVENT_ID], &after, why)) {
        return false;
    }
    cmcwh_ring_state(ring, &state);
    events->last = form == EVENTS_SENT ? UINT64_MAX : state.safe;
    if (!after && form == EVENTS_SENT) {
        events->after = state.safe;
    }
    events->next = events->after + 1;
    if (events->after > state.safe) { /* of another ring: one in memory begins anew with us */
        events->next = 1;
    }
    events->gap = after && events->next != events->after + 1;
    return true;
}

/* ---- What comes next ---- */

static void write_before(const struct events *events, struct writer *out) {
    if (events->form == EVENTS_CSV) {
        csv_header(out);
    } else if (events->form == EVENTS_SENT) {
        writer_print(out, "retry: %d\nid: %" PRIu64 "\n\n", RETRY, events->after);
    }
}

/* The record in the room, as text in the room. */
static struct writer write_event(const struct events *events, struct events_room *room,
                                 const struct cmcwh_event *event) {
    struct writer text = {.bytes = room->text, .size = sizeof room->text};

    if (events->form == EVENTS_CSV) {
        csv_line(&text, event);
        return text;
    }
    if (events->form == EVENTS_SENT) {
        writer_print(&text, "id: %" PRIu64 "\ndata: ", event->seq);
    }
    text.used += cmcwh_encode(&room->record, CMCWH_ENCODE_JSON, NULL, text.bytes + text.used);
    if (events->form == EVENTS_SENT) {
        writer_text(&text, "\n");
    }
    return text;
}

/* The reader has missed some, between the last it knows of and this one. */
static void write_gap(const struct events *events, uint64_t seq, struct writer *out) {
    if (events->form == EVENTS_SENT) {
        writer_print(out, "event: gap\ndata: {\"after\":%" PRIu64 ",\"next\":%" PRIu64 "}\n\n",
                     events->after, seq);
    }
}

/* The record in the room comes next. False: there is no room for it now. */
static bool take(struct events *events, struct events_room *room, struct writer *out) {
    struct cmcwh_event event;
    struct writer text;

    if (events->gap) {
        if (out->size - out->used < sizeof room->text) {
            return false;
        }
        write_gap(events, events->next, out);
        events->gap = false;
    }
    cmcwh_record_read(&room->record, &event);
    if (cmcwh_filter_passes(&events->filter, &event)) {
        if (events->hide) {
            hide_addresses(&room->record);
        }
        text = write_event(events, room, &event);
        if (text.used > out->size - out->used) {
            return false;
        }
        writer_bytes(out, text.bytes, text.used);
        events->left--;
    }
    events->after = events->next;
    return true;
}

enum events_state events_write(struct events *events, struct cmcwh_ring *ring,
                               struct events_room *room, struct writer *out) {
    enum { LOOKS = 64 };
    struct cmcwh_ring_state state;
    uint64_t oldest, newest;

    if (!events->begun) {
        write_before(events, out);
        events->begun = true;
    }
    cmcwh_ring_state(ring, &state);
    oldest = state.safe > state.capacity ? state.safe - state.capacity + 1 : 1;
    newest = state.safe < events->last ? state.safe : events->last;
    if (events->next < oldest) {
        events->next = oldest;
        events->gap = true;
    }
    for (unsigned looks = 0; events->next <= newest && events->left > 0; events->next++) {
        if (looks++ == LOOKS) {
            return EVENTS_GO_ON;
        }
        if (cmcwh_ring_look(ring, events->next, &room->record) == 0) {
            events->gap = true;
        } else if (!take(events, room, out)) {
            return EVENTS_GO_ON;
        }
    }
    if (events->left == 0 || events->next > events->last) {
        return EVENTS_END;
    }
    return EVENTS_WAIT;
}

void events_beat(const struct events *events, struct writer *out) {
    writer_print(out, ":\nid: %" PRIu64 "\n\n", events->next - 1);
}
