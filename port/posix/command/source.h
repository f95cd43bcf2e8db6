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

/* Whoever wants them. */
struct source_reader {
    /* Gets each event: its record, and what that says; both are good until it returns. A line of
     * JSON comes out as the record that it was made from, but for what it does not say of its
     * request. False: no more is wanted. */
    bool (*take)(void *context, const struct cmcwh_record *record, const struct cmcwh_event *event);

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
