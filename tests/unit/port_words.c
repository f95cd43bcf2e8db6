/* The words of the status page: each comes out as it stands in words.def. */
#include "support.h"

#include <string.h>

#include "admin/words.h"
#include "cmcwh.h"

#define WORD(name, english, japanese) {english, japanese},
static const char *const wanted[][2] = {
#include "admin/words.def"
};

static char bytes[256];

static const char *written(enum word word, enum language language) {
    struct writer writer = {.bytes = bytes, .size = sizeof bytes - 1};

    words_write(&writer, word, language);
    assert_false(writer.full);
    bytes[writer.used] = '\0';
    return bytes;
}

static void all(void **state) {
    (void)state;
    for (unsigned word = 0; word < WORDS_COUNT; word++) {
        assert_string_equal(written((enum word)word, JAPANESE), wanted[word][JAPANESE]);
        if (word < WORD_bounce_unknown) {
            assert_string_equal(written((enum word)word, ENGLISH), wanted[word][ENGLISH]);
        }
    }
}

static void bounces(void **state) {
    (void)state;
    for (unsigned number = 0; number < 256; number++) {
        enum word word = words_bounce(number);

        assert_string_equal(written(word, ENGLISH), cmcwh_bounce_name(number));
    }
    assert_int_equal(words_bounce(1), WORD_bounce_host);
    assert_int_equal(words_bounce(11), WORD_bounce_unsubscribed);
    assert_int_equal(words_bounce(12), WORD_bounce_unknown);
    assert_int_equal(words_bounce(98), WORD_bounce_unknown);
    assert_int_equal(words_bounce(CMCWH_BOUNCE_OTHER), WORD_bounce_other);
    assert_int_equal(words_bounce(100), WORD_bounce_unknown);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all), cmocka_unit_test(bounces)};

    return cmocka_run_group_tests_name("the page's words", tests, NULL, NULL);
}
