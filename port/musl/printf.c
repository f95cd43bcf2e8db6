/* printf for static programs with musl: whole numbers, text, nothing else. Linked before musl's
 * own, which brings floating point with it, and so, on processors without it, functions of libgcc
 * that use it. What it does not know, and what comes behind that, is written as it stands in the
 * format. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Where it goes: into a file, or into `room` bytes. */
struct printed {
    FILE *file;
    char *to;
    size_t room;
    size_t length; /* of all, also of what had no room */
};

/* One conversion: %[flags][width][.precision][size]letter */
struct conversion {
    bool left, zeros, hash;
    char sign; /* of numbers that are not negative; 0: none */
    int width;
    int precision; /* -1: none */
    char size;     /* 'H' is hh, 'L' is ll */
    char letter;
};

static void put(struct printed *printed, const char *bytes, size_t length) {
    size_t room = printed->length < printed->room ? printed->room - printed->length : 0;

    if (printed->file != NULL) {
        (void)fwrite(bytes, 1, length, printed->file);
    } else if (room > 0) {
        memcpy(printed->to + printed->length, bytes, length < room ? length : room);
    }
    printed->length += length;
}

static void put_times(struct printed *printed, char byte, int times) {
    for (; times > 0; times--) {
        put(printed, &byte, 1);
    }
}

static int read_number(const char **format, va_list *values) {
    int number = 0;

    if (**format == '*') {
        (*format)++;
        return va_arg(*values, int);
    }
    for (; **format >= '0' && **format <= '9'; (*format)++) {
        number = number * 10 + (**format - '0');
    }
    return number;
}

static void read_flags(const char **format, struct conversion *conversion) {
    for (;; (*format)++) {
        switch (**format) {
        case '-':
            conversion->left = true;
            break;
        case '0':
            conversion->zeros = true;
            break;
        case '#':
            conversion->hash = true;
            break;
        case '+':
            conversion->sign = '+';
            break;
        case ' ':
            conversion->sign = conversion->sign == '+' ? '+' : ' ';
            break;
        default:
            return;
        }
    }
}

/* What stands behind a '%'. */
static void read_conversion(const char **format, va_list *values, struct conversion *conversion) {
    *conversion = (struct conversion){.precision = -1};
    read_flags(format, conversion);
    conversion->width = read_number(format, values);
    if (conversion->width < 0) {
        conversion->left = true;
        conversion->width = -conversion->width;
    }
    if (**format == '.') {
        (*format)++;
        conversion->precision = read_number(format, values);
    }
    if (**format != '\0' && strchr("hljzt", **format) != NULL) {
        conversion->size = *(*format)++;
        if (**format == conversion->size) {
            conversion->size = conversion->size == 'h' ? 'H' : 'L';
            (*format)++;
        }
    }
    conversion->letter = **format;
    *format += conversion->letter != '\0';
}

static uintmax_t read_unsigned(char size, va_list *values) {
    switch (size) {
    case 'H':
        return (unsigned char)va_arg(*values, unsigned);
    case 'z':
    case 't':
        return va_arg(*values, size_t);
    case 'h':
        return (unsigned short)va_arg(*values, unsigned);
    case 'l':
        return va_arg(*values, unsigned long);
    case 'L':
        return va_arg(*values, unsigned long long);
    case 'j':
        return va_arg(*values, uintmax_t);
    default:
        return va_arg(*values, unsigned);
    }
}

static intmax_t read_signed(char size, va_list *values) {
    switch (size) {
    case 'H':
        return (signed char)va_arg(*values, int);
    case 'z':
    case 't':
        return va_arg(*values, ptrdiff_t);
    case 'h':
        return (short)va_arg(*values, int);
    case 'l':
        return va_arg(*values, long);
    case 'L':
        return va_arg(*values, long long);
    case 'j':
        return va_arg(*values, intmax_t);
    default:
        return va_arg(*values, int);
    }
}

/* A field of this width: what stands before zeros, zeros, the rest. */
static void put_field(struct printed *printed, const struct conversion *conversion,
                      const char *prefix, int zeros, const char *text, size_t length) {
    size_t before = strlen(prefix);
    int pad = conversion->width - zeros - (int)(before + length);

    put_times(printed, ' ', conversion->left ? 0 : pad);
    put(printed, prefix, before);
    put_times(printed, '0', zeros);
    put(printed, text, length);
    put_times(printed, ' ', conversion->left ? pad : 0);
}

static void put_number(struct printed *printed, const struct conversion *conversion,
                       const char *prefix, uintmax_t number, unsigned base) {
    const char *digits = conversion->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[3 * sizeof number];
    char *at = text + sizeof text;
    int length, zeros;

    for (; number > 0; number /= base) {
        *--at = digits[number % base];
    }
    length = (int)(text + sizeof text - at);
    zeros = conversion->precision >= 0 ? conversion->precision - length : length == 0;
    if (conversion->precision < 0 && conversion->zeros && !conversion->left) {
        zeros = conversion->width - length - (int)strlen(prefix);
        zeros = zeros < 1 && length == 0 ? 1 : zeros;
    }
    put_field(printed, conversion, prefix, zeros > 0 ? zeros : 0, at, (size_t)length);
}

static void put_signed(struct printed *printed, const struct conversion *conversion,
                       intmax_t number) {
    char prefix[2] = {number < 0 ? '-' : conversion->sign, '\0'};

    put_number(printed, conversion, prefix, number < 0 ? -(uintmax_t)number : (uintmax_t)number,
               10);
}

static void put_text(struct printed *printed, const struct conversion *conversion,
                     const char *text) {
    size_t length;

    text = text == NULL ? "(null)" : text;
    length =
        conversion->precision < 0 ? strlen(text) : strnlen(text, (size_t)conversion->precision);
    put_field(printed, conversion, "", 0, text, length);
}

/* False: it is not known. */
static bool put_conversion(struct printed *printed, const struct conversion *conversion,
                           va_list *values) {
    uintmax_t number;
    char byte;

    switch (conversion->letter) {
    case '%':
        put(printed, "%", 1);
        return true;
    case 'c':
        byte = (char)va_arg(*values, int);
        put_field(printed, conversion, "", 0, &byte, 1);
        return true;
    case 's':
        put_text(printed, conversion, va_arg(*values, const char *));
        return true;
    case 'd':
    case 'i':
        put_signed(printed, conversion, read_signed(conversion->size, values));
        return true;
    case 'u':
        put_number(printed, conversion, "", read_unsigned(conversion->size, values), 10);
        return true;
    case 'x':
    case 'X':
        number = read_unsigned(conversion->size, values);
        put_number(printed, conversion,
                   !conversion->hash || number == 0 ? ""
                   : conversion->letter == 'x'      ? "0x"
                                                    : "0X",
                   number, 16);
        return true;
    default:
        return false;
    }
}

static void print(struct printed *printed, const char *format, va_list *values) {
    struct conversion conversion;

    while (*format != '\0') {
        const char *percent = strchrnul(format, '%');

        put(printed, format, (size_t)(percent - format));
        if (*percent == '\0') {
            return;
        }
        format = percent + 1;
        read_conversion(&format, values, &conversion);
        if (!put_conversion(printed, &conversion, values)) {
            put(printed, percent, strlen(percent));
            return;
        }
    }
}

/* Of the other functions musl makes calls of these two. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs begin with __ */
int vsnprintf(char *restrict to, size_t size, const char *restrict format, va_list values) {
    struct printed printed = {.to = to, .room = size > 0 ? size - 1 : 0};
    va_list copy; /* its address may be passed on: that of a parameter is of another type */

    va_copy(copy, values);
    print(&printed, format, &copy);
    va_end(copy);
    if (size > 0) {
        to[printed.length < printed.room ? printed.length : printed.room] = '\0';
    }
    return (int)printed.length;
}

int vfprintf(FILE *restrict file, const char *restrict format, va_list values) {
    struct printed printed = {.file = file};
    va_list copy;

    va_copy(copy, values);
    flockfile(file); /* one line of this thread does not come between another's */
    print(&printed, format, &copy);
    funlockfile(file);
    va_end(copy);
    return ferror(file) ? -1 : (int)printed.length;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
