/* Text that is made in memory of a fixed size: pages, metrics, JSON. What does not fit is left out,
 * and known. */
#ifndef CMCWH_WRITER_H
#define CMCWH_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmcwh.h"

struct writer {
    char *bytes; /* of the caller */
    size_t size, used;
    bool full; /* something did not fit: what is there is not whole */
};

void writer_bytes(struct writer *writer, const char *bytes, size_t length);

/* Up to its zero. */
void writer_text(struct writer *writer, const char *text);

/* As printf: for numbers and our own short texts, 256 bytes at most. */
void writer_print(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* As text in HTML, also within quotes: markup and what is not to be seen (control characters, marks
 * that change the direction of what follows) is shown, and does nothing. */
void writer_html(struct writer *writer, struct cmcwh_text text);

/* As text on a terminal: what is not to be seen is shown in the same way, markup is not touched. */
void writer_plain(struct writer *writer, struct cmcwh_text text);

/* The same two, of at most `most` bytes, 3 or more: what is longer is cut at a character and ends
 * in "…". */
void writer_html_cut(struct writer *writer, struct cmcwh_text text, size_t most);
void writer_plain_cut(struct writer *writer, struct cmcwh_text text, size_t most);

/* A JSON string with its quotes. As in an event's own line, what could not be seen is escaped. */
void writer_json(struct writer *writer, struct cmcwh_text text);

/* A cell of CSV (RFC 4180) with its quotes, for a spreadsheet; nothing for an empty text. No cell
 * of it is a formula: an apostrophe stands before what would begin one (= + - @, also as wide forms
 * and behind blanks and quotes), at the beginning and, as some spreadsheets end a cell there,
 * behind a semicolon. One stands before a number that a spreadsheet would change (a zero in front,
 * an exponent, more than 15 digits), and before an apostrophe that stands in one of these places:
 * so a program takes one away there, and has the text. What could not be seen is escaped. */
void writer_csv(struct writer *writer, struct cmcwh_text text);

/* A JSON string of at most `most` bytes between its quotes: what is longer is cut at a character.
 * True: it was not. */
bool writer_json_most(struct writer *writer, struct cmcwh_text text, size_t most);

/* A value of a label in Prometheus' text formats, without its quotes, cut likewise. */
bool writer_label_most(struct writer *writer, struct cmcwh_text text, size_t most);

/* A part of an MQTT topic, cut likewise: what would end a level or stand for others (/ + #), begin
 * a broker's own topics ($, in front), or may not be sent in a topic, becomes '_'. */
bool writer_topic_most(struct writer *writer, struct cmcwh_text text, size_t most);

/* A name or a value in application/x-www-form-urlencoded, as browsers write it. */
void writer_form(struct writer *writer, struct cmcwh_text text);

/* For all of them. */
struct cmcwh_text writer_view(const char *text);

#endif
