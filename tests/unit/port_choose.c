/* Which events a person wants to see: repeats, of which only so many ids are remembered. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "command/choose.h"
#include "said.h"

static struct choice unique(void) {
    struct choice choice = {.words.unique = true};
    int status;

    assert_true(choice_read(&choice, "cat", &status));
    assert_quiet();
    return choice;
}

static bool takes(struct choice *choice, uint64_t id) {
    struct cmcwh_event event = {.id = id, .kind = CMCWH_BOUNCES};

    return choice_takes(choice, &event);
}

/* Each comes once, as long as no more than CHOICE_IDS come in between. */
static void repeats(void **state) {
    /* All in one chain, all in chains of their own, and as hashes are. */
    static const uint64_t steps[] = {CHOICE_IDS, 1, UINT64_C(0x9E3779B97F4A7C15)};

    (void)state;
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        uint64_t step = steps[s], count = s == 0 ? 3000 : CHOICE_IDS;
        struct choice choice = unique();

        for (uint64_t i = 1; i < count; i++) {
            assert_true(takes(&choice, i * step));
        }
        for (uint64_t i = 1; i < count; i++) {
            assert_false(takes(&choice, i * step));
        }
        choice_free(&choice);
    }
}

/* The oldest are forgotten first, and nothing else is. */
static void the_oldest_is_forgotten(void **state) {
    struct choice choice = unique();
    uint64_t next = 1;

    (void)state;
    for (unsigned round = 0; round < 3 * CHOICE_IDS; round++, next++) {
        assert_true(takes(&choice, next));
        if (next >= CHOICE_IDS && round % 1000 == 0) {
            assert_false(takes(&choice, next - CHOICE_IDS + 1));
        }
    }
    assert_false(takes(&choice, next - CHOICE_IDS));
    assert_true(takes(&choice, next - CHOICE_IDS - 1));
    choice_free(&choice);
}

/* Id 0 is one as any other. */
static void zero(void **state) {
    struct choice choice = unique();

    (void)state;
    assert_true(takes(&choice, 0));
    assert_false(takes(&choice, 0));
    assert_true(takes(&choice, CHOICE_IDS));
    assert_false(takes(&choice, 0));
    choice_free(&choice);
}

/* What is not wanted is not seen either. */
static void not_wanted(void **state) {
    struct choice choice = unique();
    struct cmcwh_event event = {.id = 7, .kind = CMCWH_BLOCKS};

    (void)state;
    assert_int_equal(cmcwh_filter_parse(&choice.only, (struct cmcwh_text){"bounces", 7}, NULL),
                     CMCWH_OK);
    assert_false(choice_takes(&choice, &event));
    assert_true(takes(&choice, 7));
    choice_free(&choice);
}

static bool is_to(const char *wanted, const char *to) {
    struct choice choice = {.words.to = wanted};
    struct cmcwh_event event = {.kind = CMCWH_OTHER};
    int status;

    assert_true(choice_read(&choice, "cat", &status));
    event.texts[CMCWH_TO] = (struct cmcwh_text){to, strlen(to)};
    return choice_takes(&choice, &event);
}

static void recipients(void **state) {
    (void)state;
    assert_true(is_to("user@example.jp", "user@example.jp"));
    assert_true(is_to("USER@example.jp", "User@Example.JP"));
    assert_false(is_to("user@example.jp", "auser@example.jp"));
    assert_false(is_to("user@example.jp", "user@example.jp.example.com"));
    assert_false(is_to("user@example.jp", ""));
    assert_true(is_to("@example.jp", "user@EXAMPLE.jp"));
    assert_true(is_to("@example.jp", "a@b@example.jp"));
    assert_false(is_to("@example.jp", "user@mail.example.jp"));
    assert_false(is_to("@example.jp", "user@badexample.jp"));
    assert_false(is_to("@example.jp", "example.jp"));
}

static void wrong_words(void **state) {
    static const char *const words[] = {"", "user", "@", "user@"};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct choice choice = {.words.to = words[i]};
        int status = 0;

        assert_false(choice_read(&choice, "cat", &status));
        assert_int_equal(status, 2);
        assert_said("expected an address, or @DOMAIN for all of a domain\n");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats),    cmocka_unit_test(the_oldest_is_forgotten),
        cmocka_unit_test(zero),       cmocka_unit_test(not_wanted),
        cmocka_unit_test(recipients), cmocka_unit_test(wrong_words)};

    return cmocka_run_group_tests_name("what is chosen", tests, NULL, NULL);
}
