/* The languages that an operator is spoken to in, and how long ago something is in each. */
#ifndef CMCWH_LANGUAGE_H
#define CMCWH_LANGUAGE_H

#include <stddef.h>
#include <stdint.h>

#include "platform/writer.h"

enum language { ENGLISH, JAPANESE };

/* Japanese is for who looks in at the admin port; the log is English. Two texts in a table. */
#define LANGUAGE_TEXTS(english, japanese)                                                          \
    { english, CMCWH_ADMIN ? (japanese) : NULL }

/* The one of two texts. */
static inline const char *language_choose(enum language language, const char *english,
                                          const char *japanese) {
    return CMCWH_ADMIN && language == JAPANESE ? japanese : english;
}

/* So many ms in the largest unit of which it has two, for 100 min say more than 1 h: "3 min",
 * "36 h", "3 分". */
void language_span(struct writer *writer, uint64_t ms, enum language language);

/* The same, for what was then and is to be told now (both ms since 1970): "3 min ago", "just now",
 * "3 分前", "たった今". What is yet to come, since the clock was set, is just now. */
void language_ago(struct writer *writer, uint64_t now, uint64_t then, enum language language);

#endif
