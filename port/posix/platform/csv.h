/* Events as a table for a spreadsheet: CSV (RFC 4180) in UTF-8, with the mark by which a
 * spreadsheet knows that. How a text becomes a cell, writer_csv says. */
#ifndef CMCWH_CSV_H
#define CMCWH_CSV_H

#include "platform/writer.h"

/* Most bytes of the first line, and of the line of an event. */
enum { CSV_HEADER_MAX = 256, CSV_LINE_MAX = CMCWH_ENCODED_MAX };

/* The mark, and the names of the columns: those of the JSON, in its order, and at the end `members`
 * with what blocks and unknown kinds have of their own, as a JSON object. */
void csv_header(struct writer *writer);

/* `bounce` and `members` are empty where an event has none; `truncated` names the fields that were
 * cut, with commas between. */
void csv_line(struct writer *writer, const struct cmcwh_event *event);

#endif
