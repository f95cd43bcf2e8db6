/* An event as a line of JSON, read again. */
#ifndef CMCWH_LINE_H
#define CMCWH_LINE_H

#include "cmcwh.h"

/* Makes of a line what CMCWH_ENCODE_JSON has made it from: a record that comes out as the same
 * line, byte for byte. (Where the record was full, and its event calls members of its own as we do
 * ours, so that they got a prefix, some more of the texts that were cut is lost.) What the line
 * does not say, its request, is the event alone. The line, without its newline, is changed;
 * `parser` is for use in it. False: it is no such line. */
bool line_read(struct cmcwh_parser *parser, char *line, struct cmcwh_record *record);

#endif
