/* The words of the status page; they stand in words.def. */
#ifndef CMCWH_WORDS_H
#define CMCWH_WORDS_H

#include "admin/language.h"

#define WORD(name, english, japanese) WORD_##name,
enum word {
#include "admin/words.def"
    WORDS_COUNT
};
#undef WORD

void words_write(struct writer *writer, enum word word, enum language language);

/* What CMC's number of a bounce means. */
enum word words_bounce(unsigned number);

#endif
