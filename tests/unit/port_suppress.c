/* Which addresses are not mailed again, and the tables that commands keep what they read in. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/suppress.h"

#define DAY UINT64_C(86400000)

static struct suppress list;
static char listed[4096];
static struct suppress_case last;

static void list_one(struct cmcwh_text address, const struct suppress_case *found) {
    size_t used = strlen(listed);

    (void)snprintf(listed + used, sizeof listed - used, "%.*s %u %zu\n", (int)address.length,
                   address.data, found->number, found->bounces);
    last = *found;
}

static void assert_listed(const char *expected) {
    listed[0] = '\0';
    suppress_list(&list, list_one);
    assert_string_equal(listed, expected);
    suppress_free(&list);
}

static void bounce(const char *to, unsigned number, uint64_t time) {
    struct cmcwh_event event = {.kind = CMCWH_BOUNCES, .status = number, .received = time};

    event.texts[CMCWH_TO] = (struct cmcwh_text){to, strlen(to)};
    assert_true(suppress_add(&list, &event));
}

static void one_that_is_permanent_is_enough(void **state) {
    static const unsigned permanent[] = {1, 2, 9, 10, 11, 99};
    char to[32], expected[64];

    (void)state;
    for (unsigned number = 0; number <= 99; number++) {
        bool is = false;

        for (size_t i = 0; i < sizeof permanent / sizeof *permanent; i++) {
            is = is || permanent[i] == number;
        }
        assert_int_equal(suppress_permanent(number), is);
        (void)snprintf(to, sizeof to, "u%u@example.jp", number);
        (void)snprintf(expected, sizeof expected, "%s %u 1\n", to, number);
        bounce(to, number, DAY);
        assert_listed(is ? expected : "");
    }
}

static void others_three_times_within_30_days(void **state) {
    (void)state;
    bounce("a@x", 5, 100 * DAY);
    bounce("a@x", 7, 101 * DAY);
    assert_listed("");
    bounce("a@x", 5, 100 * DAY);
    bounce("a@x", 0, 115 * DAY);
    bounce("a@x", 7, 130 * DAY);
    assert_listed("a@x 7 3\n");
    assert_int_equal(last.first, 100 * DAY);
    assert_int_equal(last.last, 130 * DAY);
    bounce("a@x", 5, 100 * DAY);
    bounce("a@x", 5, 115 * DAY);
    bounce("a@x", 5, 130 * DAY + 1);
    assert_listed("");
    /* Any three of many. */
    for (unsigned i = 0; i < 20; i++) {
        bounce("a@x", 5, (100 + 16 * i) * DAY);
    }
    assert_listed("");
    for (unsigned i = 0; i < 20; i++) {
        bounce("a@x", 5, (100 + 16 * i) * DAY);
    }
    bounce("a@x", 6, 117 * DAY);
    assert_listed("a@x 5 21\n");
}

/* Rotated logs are named newest first. */
static void the_order_does_not_matter(void **state) {
    static const unsigned days[] = {130, 100, 300, 115, 200};

    (void)state;
    for (size_t turn = 0; turn < 5; turn++) {
        for (size_t i = 0; i < 5; i++) {
            unsigned day = days[(i + turn) % 5];

            bounce("a@x", day == 115 ? 8 : day == 300 ? 4 : 5, day * DAY);
            bounce("b@x", 5, day * DAY);
            bounce("c@x", day == 100 ? 2 : 5, day * DAY);
        }
        assert_listed("a@x 4 5\nb@x 5 5\nc@x 2 5\n");
    }
}

static void addresses_are_compared(void **state) {
    struct cmcwh_event event = {.status = 2};
    char to[400];

    (void)state;
    bounce("User@Example.JP", 5, DAY);
    bounce("User@example.jp", 5, DAY);
    bounce("User@EXAMPLE.jp", 5, DAY);
    bounce("user@example.jp", 5, DAY);
    bounce("\"A@B\"@C.d", 1, DAY);
    assert_listed("User@example.jp 5 3\n\"A@B\"@c.d 1 1\n");
    /* What is no whole address is not listed as another one. */
    memset(to, 'x', sizeof to);
    to[0] = '@';
    event.texts[CMCWH_TO] = (struct cmcwh_text){to, SUPPRESS_ADDRESS + 1};
    assert_true(suppress_add(&list, &event));
    event.texts[CMCWH_TO] = (struct cmcwh_text){"a@b", 3};
    event.truncated = 1U << CMCWH_TO;
    assert_true(suppress_add(&list, &event));
    bounce("", 2, DAY);
    bounce("postmaster", 2, DAY);
    assert_int_equal(list.nameless, 4);
    assert_listed("");
}

static void texts_are_told_apart(void **state) {
    struct book book = {.count = 0};
    char text[16];

    (void)state;
    for (unsigned turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < 20000; i++) {
            int length = snprintf(text, sizeof text, "%x", i * 2654435761U);

            assert_int_equal(book_number(&book, (struct cmcwh_text){text, (size_t)length}), i);
            assert_int_equal(book_text(&book, i).length, length);
            assert_memory_equal(book_text(&book, i).data, text, (size_t)length);
        }
    }
    assert_int_equal(book.count, 20000);
    assert_int_equal(book_number(&book, (struct cmcwh_text){"", 0}), 20000);
    book_free(&book);
    assert_int_equal(book_number(&book, (struct cmcwh_text){"a", 1}), 0);
    book_free(&book);
}

static void room_has_a_limit(void **state) {
    void *items = NULL;
    size_t room = 0, count = 0;

    (void)state;
    while (book_room(&items, count, &room, 3, 100)) {
        memset((char *)items + 3 * count++, 'x', 3);
    }
    assert_int_equal(count, 100);
    free(items);
}

static void what_has_come_is_known(void **state) {
    struct seen seen = {.count = 0};

    (void)state;
    assert_int_equal(seen_add(&seen, 0), SEEN_NEW);
    assert_int_equal(seen_add(&seen, 0), SEEN_BEFORE);
    for (uint64_t i = 2; i < 5000; i++) { /* all in one place at first */
        assert_int_equal(seen_add(&seen, i << 32), SEEN_NEW);
        assert_int_equal(seen_add(&seen, i << 32), SEEN_BEFORE);
        assert_int_equal(seen_add(&seen, (i / 2 + 1) << 32), SEEN_BEFORE);
    }
    seen_free(&seen);
    assert_int_equal(seen_add(&seen, 2), SEEN_NEW);
    seen_free(&seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_that_is_permanent_is_enough),
                                       cmocka_unit_test(others_three_times_within_30_days),
                                       cmocka_unit_test(the_order_does_not_matter),
                                       cmocka_unit_test(addresses_are_compared),
                                       cmocka_unit_test(texts_are_told_apart),
                                       cmocka_unit_test(room_has_a_limit),
                                       cmocka_unit_test(what_has_come_is_known)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
