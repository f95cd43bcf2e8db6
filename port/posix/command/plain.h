/* A line of JSON as most are, read where it stands. */
#ifndef CMCWH_PLAIN_H
#define CMCWH_PLAIN_H

#include "cmcwh.h"

/* What is kept from line to line. All zero at first. */
struct plain {
    /* The day of the last event, whose calendar need not be looked up again. */
    char date[10];
    uint64_t begin;

    /* Texts of this line that were escaped. */
    size_t used;
    char texts[CMCWH_RECORD_TEXT];
};

/* Reads a line, without its newline, if it is a delivery or a bounce of which nothing was cut, and
 * in which nothing is hidden (control characters that have no letter, marks of direction). The
 * texts are parts of the line, or of `plain`. False: it is another one, and line_read may know it.
 * What is true of it here is what that makes of it, and it would come out as it stands. */
bool plain_read(struct plain *plain, struct cmcwh_text line, struct cmcwh_event *event);

#endif
