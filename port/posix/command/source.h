/* The events of a file that a person names, whatever it is: a ring file, a binary log or frames, a
 * log of JSON lines, or a dead-letter file, which is one of these with a line before each letter
 * that is no event. */
#ifndef CMCWH_SOURCE_H
#define CMCWH_SOURCE_H

#include "cmcwh.h"

/* What the first bytes of a file look like; no ring file is among these. */
enum source_kind {
    SOURCE_FRAMES, /* there is a zero byte: a binary log, or frames */
    SOURCE_JSON,
    SOURCE_LOGFMT,
    SOURCE_PACKED, /* it was compressed */
    SOURCE_TEXT    /* none of these: noise, or lines of something else */
};
enum source_kind source_kind(const char *bytes, size_t length);

/* An event that was found. */
struct source_event {
    struct cmcwh_event says;
    const struct cmcwh_record *record; /* see source_record */

    /* The event as JSON, with its newline. Without data: it is not at hand. */
    struct cmcwh_text line;

    struct lines *lines; /* of the source */
};

/* Its record. That of a line of JSON is the one which the line was made from, but for what it does
 * not say of its request; NULL: it was no such line after all. Changes nothing that is at hand. */
const struct cmcwh_record *source_record(struct source_event *found);

/* Whoever wants them. */
struct source_reader {
    /* Gets each event, which is good until it returns. False: no more is wanted. */
    bool (*take)(void *context, struct source_event *found);

    /* What has come so far was taken; `end`: no more is there now. Is more wanted? NULL: up to the
     * end. Not of ring files. */
    bool (*pause)(void *context, int descriptor, bool end);

    void *context;
};

enum source_result {
    SOURCE_READ,   /* all of it; of what is not an event, one line has said how much and where */
    SOURCE_FAILED, /* it cannot be read, or something is in it but no event: one line has said why
                    */
    SOURCE_ENDED   /* no more was wanted before its end */
};

/* Reads a file ("-": standard input) to its end. One thread. */
enum source_result source_read(const char *name, const struct source_reader *reader);

#endif
