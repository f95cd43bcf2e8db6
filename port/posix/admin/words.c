/* The words of the status page. */
#include "admin/words.h"

#include "admin/packed.h"
#include "cmcwh.h"

/* Each word in English, then in Japanese. */
static const uint8_t texts[] = {
#include "words.packed"
};

/* CMC's number. */
static unsigned bounce_of(enum word word) {
    return word == WORD_bounce_other ? CMCWH_BOUNCE_OTHER : (unsigned)word - WORD_bounce_unknown;
}

void words_write(struct writer *writer, enum word word, enum language language) {
    if (language == ENGLISH && word >= WORD_bounce_unknown) {
        writer_text(writer, cmcwh_bounce_name(bounce_of(word)));
    } else {
        packed_write(writer, texts, 2 * (unsigned)word + (language == JAPANESE ? 1 : 0));
    }
}

enum word words_bounce(unsigned number) {
    for (unsigned word = WORD_bounce_unknown; word < WORDS_COUNT; word++) {
        if (bounce_of((enum word)word) == number) {
            return (enum word)word;
        }
    }
    return WORD_bounce_unknown;
}
