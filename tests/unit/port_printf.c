/* The printf of static programs with musl, beside the C library's. */
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

int small_vsnprintf(char *to, size_t size, const char *format, va_list values);
int small_vfprintf(FILE *file, const char *format, va_list values);

#define vsnprintf small_vsnprintf
#define vfprintf  small_vfprintf
#include "port/musl/printf.c"
#undef vsnprintf
#undef vfprintf

enum { ROOM = 256 };

/* Both write the same, return the same, and leave the same alone, in whatever room. */
static void same(const char *format, ...) {
    for (size_t size = 0; size <= ROOM; size += size < 40 || size == ROOM ? 1 : ROOM - size) {
        char theirs[ROOM], ours[ROOM];
        int expected, length;
        va_list values;

        memset(theirs, '~', sizeof theirs);
        memset(ours, '~', sizeof ours);
        va_start(values, format);
        expected = vsnprintf(theirs, size, format, values);
        va_end(values);
        va_start(values, format);
        length = small_vsnprintf(ours, size, format, values);
        va_end(values);
        assert_memory_equal(ours, theirs, sizeof ours);
        assert_int_equal(length, expected);
    }
}

static void text(void **state) {
    (void)state;
    same("");
    same("%%");
    same("plain");
    same("a%sb%sc", "", "text");
    same("[%8s][%-8s][%2s]", "text", "text", "text");
    same("[%.2s][%.0s][%.9s][%8.2s][%-8.2s]", "text", "text", "text", "text", "text");
    same("[%*s][%*s][%.*s][%.*s]", 8, "right", -8, "left", 3, "text", -1, "all of it");
    same("%.3s", (const char[]){'n', 'o', 'z', 'e', 'r', 'o'});
    same("%c%3c%-3c%c", 'a', 'b', 'c', '\0');
    same("%100s", "wide");
}

static void numbers(void **state) {
    static const int values[] = {0, 1, -1, 7, -42, 255, 65536, INT_MAX, INT_MIN};
    static const char *const formats[] = {
        "%d",   "%i",   "%u",    "%x",    "%X",       "%5d",     "%-5d|",  "%05d", "%+d",
        "% d",  "%+ d", "%.0d",  "%.3d",  "%5.3d",    "%-5.3d|", "%05.3d", "%.0u", "%.3x",
        "%08x", "%#x",  "%#X",   "%#06x", "%-#6x|",   "%+05d",   "%-05d|", "%hd",  "%hhd",
        "%hu",  "%hhx", "%3d%%", "%.12d", "%-+8.4d|", "%09u",
    };

    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            same(formats[i], values[j]);
        }
    }
    same("%*d %-*d %.*d %0*d", 6, 1, 6, 2, 3, 3, 4, 4);
    same("%*d %.*d", -6, 1, -1, 0);
}

static void wide_numbers(void **state) {
    (void)state;
    same("%ld %lu %lx", LONG_MIN, ULONG_MAX, ULONG_MAX);
    same("%lld %llu %llX", LLONG_MIN, ULLONG_MAX, ULLONG_MAX);
    same("%zu %zd %td %jd %ju", SIZE_MAX, (size_t)-1, (ptrdiff_t)-5, INTMAX_MIN, UINTMAX_MAX);
    same("%" PRIu64 " %" PRIx64 " %" PRIu32 " %016" PRIx64, UINT64_MAX, UINT64_C(0xC0FFEE),
         UINT32_MAX, UINT64_C(1));
    same("%d %lld %d %s", 1, 2LL, 3, "in a row");
}

/* A format of the program's own that it does not know is seen, and nothing is read that is not
 * there. */
static void what_it_does_not_know(void **state) {
    static const char *const formats[] = {"of %.1f s: %s", "ends in %", "ends in %-08.3l", "%q"};
    char out[ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        int length = small_vsnprintf(out, sizeof out, formats[i], (va_list){0});

        assert_int_equal(length, strlen(formats[i]));
        assert_string_equal(out, formats[i]);
    }
}

static int to_file(FILE *file, const char *format, ...) {
    va_list values;
    int length;

    va_start(values, format);
    length = small_vfprintf(file, format, values);
    va_end(values);
    return length;
}

static void files(void **state) {
    char out[ROOM] = "";
    FILE *file = fmemopen(out, sizeof out, "w"), *full = fopen("/dev/full", "w");

    (void)state;
    assert_non_null(file);
    assert_int_equal(to_file(file, "%s: %5d%c", "a number", -12, '\n'), 16);
    assert_int_equal(fclose(file), 0);
    assert_string_equal(out, "a number:   -12\n");
    assert_non_null(full);
    (void)setvbuf(full, NULL, _IONBF, 0);
    assert_int_equal(to_file(full, "%d", 1), -1);
    (void)fclose(full);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),         cmocka_unit_test(numbers),
        cmocka_unit_test(wide_numbers), cmocka_unit_test(what_it_does_not_know),
        cmocka_unit_test(files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
