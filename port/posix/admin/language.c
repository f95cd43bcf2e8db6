/* Texts in the languages of operators: what several of those need that speak to them. */
#include "admin/language.h"

#include <inttypes.h>

void language_span(struct writer *writer, uint64_t ms, enum language language) {
    static const struct {
        uint64_t ms;
        const char *name[2];
    } units[] = {{1000, LANGUAGE_TEXTS("s", "秒")},
                 {60000, LANGUAGE_TEXTS("min", "分")},
                 {3600000, LANGUAGE_TEXTS("h", "時間")},
                 {86400000, LANGUAGE_TEXTS("days", "日")}};
    unsigned unit = 0;

    while (unit + 1 < sizeof units / sizeof *units && ms >= 2 * units[unit + 1].ms) {
        unit++;
    }
    writer_print(writer, "%" PRIu64 " %s", ms / units[unit].ms, units[unit].name[language]);
}

void language_ago(struct writer *writer, uint64_t now, uint64_t then, enum language language) {
    if (now < then + 1000) {
        writer_text(writer, language_choose(language, "just now", "たった今"));
        return;
    }
    language_span(writer, now - then, language);
    writer_text(writer, language_choose(language, " ago", "前"));
}
