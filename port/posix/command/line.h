/* An event as a line of JSON, read again. */
#ifndef CMCWH_LINE_H
#define CMCWH_LINE_H

#include "cmcwh.h"

/* Makes of a line what CMCWH_ENCODE_JSON has made it from: a record that comes out as the same
 * line, byte for byte; its request, of which the line says nothing, is the event alone. (An event
 * that has members `seq` and `event_seq`, or so, and fills its record may lose a few bytes of a
 * text.) The line, without its newline, is changed; `parser` is for use in it. False: it is no such
 * line.
 */
bool line_read(struct cmcwh_parser *parser, char *line, struct cmcwh_record *record);

#endif
