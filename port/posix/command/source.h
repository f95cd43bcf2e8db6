/* The events of a file that a person names, whatever it is: a ring file, a binary log or frames, or
 * a log of JSON lines. */
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

/* Gets each event; its texts are good until it returns. False: no more is wanted. */
typedef bool (*source_take)(void *context, const struct cmcwh_event *event);

enum source_result {
    SOURCE_READ,   /* all of it; of what is not an event, one line has said how much and where */
    SOURCE_FAILED, /* it cannot be read, or something is in it but no event: one line has said why
                    */
    SOURCE_ENDED   /* `take` wanted no more */
};

/* Reads a file ("-": standard input) to its end. One thread. */
enum source_result source_read(const char *name, source_take take, void *context);

#endif
