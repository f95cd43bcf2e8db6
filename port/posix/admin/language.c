/* Texts in the languages of operators: what several of those need that speak to them. */
#include "admin/language.h"

#include <inttypes.h>

const char *language_choose(enum language language, const char *english, const char *japanese) {
    return language == JAPANESE ? japanese : english;
}

void language_span(struct writer *writer, uint64_t ms, enum language language) {
    static const struct {
        uint64_t ms;
        const char *one, *more, *japanese;
    } units[] = {{1000, "s", "s", "秒"},
                 {60000, "min", "min", "分"},
                 {3600000, "h", "h", "時間"},
                 {86400000, "day", "days", "日"}};
    unsigned unit = 0;
    uint64_t count;

    /* 90 min say more than 1 h. */
    while (unit + 1 < sizeof units / sizeof *units &&
           ms >= (unit == 0 ? 1 : 2) * units[unit + 1].ms) {
        unit++;
    }
    count = ms / units[unit].ms;
    writer_print(writer, "%" PRIu64 " %s", count,
                 language == JAPANESE ? units[unit].japanese
                 : count == 1         ? units[unit].one
                                      : units[unit].more);
}

void language_ago(struct writer *writer, uint64_t now, uint64_t then, enum language language) {
    if (now < then + 1000) {
        writer_text(writer, language_choose(language, "just now", "たった今"));
        return;
    }
    language_span(writer, now - then, language);
    writer_text(writer, language_choose(language, " ago", "前"));
}
