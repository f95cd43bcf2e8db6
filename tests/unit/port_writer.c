/* Text in memory of a fixed size: what is escaped, and what does not fit. */
#include "support.h"

#include <string.h>

#include "platform/writer.h"

static char bytes[128];
static struct writer writer;

static void start(size_t size) {
    memset(bytes, '#', sizeof bytes);
    writer = (struct writer){.bytes = bytes, .size = size};
}

static void assert_written(const char *text) {
    assert_false(writer.full);
    assert_int_equal(writer.used, strlen(text));
    assert_memory_equal(bytes, text, writer.used);
}

static void html(void **state) {
    (void)state;
    start(sizeof bytes);
    writer_html(&writer, writer_view("<b a='x' b=\"y\">&amp; \xE3\x81\x82"));
    assert_written("&lt;b a=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp; \xE3\x81\x82");
    start(sizeof bytes);
    writer_html(&writer, (struct cmcwh_text){"\0\x1B[2J\n", 6});
    assert_written("\\u0000\\u001b[2J\\u000a");
    start(sizeof bytes);
    writer_html(&writer, writer_view("a\xE2\x80\xAE"
                                     "b\xC2\x9B"
                                     "c\xE2\x80\x8F\xE2\x80\xAC"));
    assert_written("a\\u202eb\\u009bc\\u200f\\u202c");
}

static void json(void **state) {
    (void)state;
    start(sizeof bytes);
    writer_json(&writer, writer_view("\"\\\n</script>\xE2\x80\xA8\xF0\x9F\x98\x80"));
    assert_written("\"\\\"\\\\\\u000a</script>\\u2028\xF0\x9F\x98\x80\"");
}

static void plain(void **state) {
    (void)state;
    start(sizeof bytes);
    writer_plain(&writer, writer_view("<a> & \"b\"\x1B]0;x\x07\xE2\x80\x8F"));
    assert_written("<a> & \"b\"\\u001b]0;x\\u0007\\u200f");
}

/* Cut where a character begins, and never within what one has become. */
static void cut(void **state) {
    (void)state;
    start(sizeof bytes);
    writer_text(&writer, "12");
    writer_html_cut(&writer, writer_view("abcdef"), 6);
    assert_written("12abcdef");
    start(sizeof bytes);
    writer_html_cut(&writer, writer_view("abcdefg"), 6);
    assert_written("abc\xE2\x80\xA6");
    start(sizeof bytes);
    writer_plain_cut(&writer, writer_view("a\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82"), 9);
    assert_written("a\xE3\x81\x82\xE2\x80\xA6");
    start(sizeof bytes);
    writer_html_cut(&writer, writer_view("<<<<"), 10);
    assert_written("&lt;\xE2\x80\xA6");
    start(sizeof bytes);
    writer_html_cut(&writer, writer_view("<"), 3);
    assert_written("\xE2\x80\xA6");
    start(sizeof bytes);
    writer_html_cut(&writer, writer_view(""), 3);
    assert_written("");
}

/* Whatever bytes come, UTF-8 leaves. */
static void no_utf8(void **state) {
    (void)state;
    start(sizeof bytes);
    writer_html(&writer, writer_view("\x80\xC0\xAF\xE3\x81\xFF\xF0\x9F"));
    assert_written("\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd");
}

static void too_little_room(void **state) {
    (void)state;
    start(4);
    writer_text(&writer, "abc");
    writer_text(&writer, "de");
    assert_true(writer.full);
    assert_int_equal(writer.used, 3);
    assert_memory_equal(bytes, "abc##", 5);
    start(sizeof bytes);
    writer_print(&writer, "%300d", 1);
    assert_true(writer.full);
    assert_int_equal(writer.used, 0);
}

/* Cut at a character, never within an escape, and still a whole string. */
static void json_cut(void **state) {
    (void)state;
    start(sizeof bytes);
    assert_true(writer_json_most(&writer, writer_view("abc"), 3));
    assert_written("\"abc\"");
    start(sizeof bytes);
    assert_false(writer_json_most(&writer, writer_view("abcd"), 3));
    assert_written("\"abc\"");
    start(sizeof bytes);
    assert_false(writer_json_most(&writer, writer_view("ab\nc"), 7));
    assert_written("\"ab\"");
    start(sizeof bytes);
    assert_false(writer_json_most(&writer, writer_view("a\xE3\x81\x82"), 3));
    assert_written("\"a\"");
    start(4);
    (void)writer_json_most(&writer, writer_view("abcd"), 100);
    assert_true(writer.full);
    assert_int_equal(bytes[4], '#');
}

static void label(void **state) {
    (void)state;
    start(sizeof bytes);
    assert_true(
        writer_label_most(&writer, writer_view("file:\"a\\b\"\n\x1B\xFF\xE3\x81\x82"), 100));
    assert_written("file:\\\"a\\\\b\\\"\\\\u000a\\\\u001b\\\\ufffd\xE3\x81\x82");
    start(sizeof bytes);
    assert_false(writer_label_most(&writer, writer_view("a\"b"), 2));
    assert_written("a");
}

/* Whatever a text says, it is part of one level of a topic, and no wildcard. */
static void topic(void **state) {
    (void)state;
    start(sizeof bytes);
    assert_true(writer_topic_most(&writer, writer_view("a/b+c#d$e \n\x7F\xC2\x80\xFF"), 100));
    assert_written("a_b_c_d$e ____");
    start(sizeof bytes);
    assert_true(writer_topic_most(&writer, writer_view("$SYS"), 100));
    assert_written("_SYS");
    start(sizeof bytes); /* U+FFFE, U+10FFFF, U+FDD0, U+FFFD, and what stands beside them */
    assert_true(writer_topic_most(&writer,
                                  writer_view("\xEF\xBF\xBE\xF4\x8F\xBF\xBF\xEF\xB7\x90\xEF\xBF\xBD"
                                              "\xEF\xB7\x8F\xEF\xB7\xB0"),
                                  100));
    assert_written("____\xEF\xB7\x8F\xEF\xB7\xB0");
    start(sizeof bytes);
    assert_false(writer_topic_most(&writer, writer_view("$\xE3\x81\x82\xE3\x81\x84"), 6));
    assert_written("_\xE3\x81\x82");
}

static void form(void **state) {
    (void)state;
    start(sizeof bytes);
    writer_form(&writer, (struct cmcwh_text){"aZ09-_.* &=+%\0\n\xE3\x81\x82", 18});
    assert_written("aZ09-_.*+%26%3D%2B%25%00%0A%E3%81%82");
    start(4);
    writer_form(&writer, writer_view("ab%"));
    assert_true(writer.full);
    assert_int_equal(bytes[4], '#');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(html),  cmocka_unit_test(plain),   cmocka_unit_test(cut),
        cmocka_unit_test(json),  cmocka_unit_test(no_utf8), cmocka_unit_test(json_cut),
        cmocka_unit_test(label), cmocka_unit_test(topic),   cmocka_unit_test(too_little_room),
        cmocka_unit_test(form)};

    return cmocka_run_group_tests_name("the writer", tests, NULL, NULL);
}
