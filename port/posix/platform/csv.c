/* Events as a table for a spreadsheet. Not here: what a cell must not be (writer.c). */
#include "platform/csv.h"

#include <inttypes.h>
#include <string.h>

#include "platform/when.h"

/* What comes out beside an event's texts. */
enum { SEQ = CMCWH_FIELDS, ID, RECEIVED, BOUNCE, TRUNCATED };

static const uint8_t columns[] = {SEQ,
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
                                  TRUNCATED,
                                  CMCWH_MEMBERS};

static const char *name_of(unsigned column) {
    static const char *const others[] = {"seq", "id", "received", "bounce", "truncated"};

    return column == CMCWH_MEMBERS  ? "members"
           : column >= CMCWH_FIELDS ? others[column - CMCWH_FIELDS]
                                    : cmcwh_field_name((enum cmcwh_field)column);
}

void csv_header(struct writer *writer) {
    writer_text(writer, "\xEF\xBB\xBF");
    for (size_t i = 0; i < sizeof columns; i++) {
        writer_text(writer, i == 0 ? "" : ",");
        writer_text(writer, name_of(columns[i]));
    }
    writer_text(writer, "\r\n");
}

static void put_id(struct writer *writer, uint64_t id) {
    char bytes[17];
    struct writer text = {.bytes = bytes, .size = sizeof bytes};

    writer_print(&text, "%016" PRIx64, id);
    writer_csv(writer, (struct cmcwh_text){bytes, text.used});
}

static void put_truncated(struct writer *writer, unsigned truncated) {
    char bytes[256];
    struct writer text = {.bytes = bytes, .size = sizeof bytes};

    for (unsigned field = 0; field < CMCWH_FIELDS; field++) {
        if ((truncated >> field & 1) != 0) {
            writer_text(&text, text.used == 0 ? "" : ",");
            writer_text(&text, name_of(field));
        }
    }
    writer_csv(writer, (struct cmcwh_text){bytes, text.used});
}

/* Each of them ends in a newline, which is nowhere else in them. */
static void put_members(struct writer *writer, struct cmcwh_text members) {
    char bytes[CMCWH_RECORD_SIZE];
    size_t length = members.length;

    if (length == 0 || length > sizeof bytes - 1) {
        return;
    }
    bytes[0] = '{';
    for (size_t i = 0; i < length; i++) {
        bytes[i + 1] = members.data[i] == '\n' ? ',' : members.data[i];
    }
    bytes[length] = '}';
    writer_csv(writer, (struct cmcwh_text){bytes, length + 1});
}

static void put_cell(struct writer *writer, const struct cmcwh_event *event, unsigned column) {
    char time[WHEN_SIZE];

    switch (column) {
    case SEQ:
        writer_print(writer, "%" PRIu64, event->seq);
        break;
    case ID:
        put_id(writer, event->id);
        break;
    case RECEIVED:
        writer_text(writer, when_print(event->received, time));
        break;
    case BOUNCE:
        writer_csv(
            writer,
            writer_view(event->kind == CMCWH_BOUNCES ? cmcwh_bounce_name(event->status) : ""));
        break;
    case TRUNCATED:
        put_truncated(writer, event->truncated);
        break;
    case CMCWH_EVENT_TYPE:
        writer_csv(writer, cmcwh_event_type(event));
        break;
    case CMCWH_MEMBERS:
        put_members(writer, event->texts[CMCWH_MEMBERS]);
        break;
    default:
        writer_csv(writer, event->texts[column]);
    }
}

void csv_line(struct writer *writer, const struct cmcwh_event *event) {
    for (size_t i = 0; i < sizeof columns; i++) {
        writer_text(writer, i == 0 ? "" : ",");
        put_cell(writer, event, columns[i]);
    }
    writer_text(writer, "\r\n");
}
