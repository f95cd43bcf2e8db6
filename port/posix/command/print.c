/* How a command shows a record. Not here: where it has it from. */
#include "command/commands.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmcwh.h"
#include "platform/csv.h"
#include "platform/log.h"

/* The C library's own buffer is that of a page: a pipe takes sixteen times as much at once. */
static char buffer[1 << 16];

static char line[CMCWH_ENCODED_MAX];

static int print(const char *bytes, size_t length) {
    if (fwrite(bytes, 1, length, stdout) != length) {
        log_usage("standard output: %s", strerror(errno));
        return -1;
    }
    return 0;
}

int command_flush(void) {
    bool failed = ferror(stdout) != 0; /* before: and nobody knows why any more */

    if (fflush(stdout) == 0 && !failed) {
        return 0;
    }
    log_usage("standard output: %s", failed ? "cannot be written" : strerror(errno));
    return -1;
}

int command_print_first(int format) {
    char bytes[CSV_HEADER_MAX];
    struct writer writer = {.bytes = bytes, .size = sizeof bytes};

    (void)setvbuf(stdout, buffer, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, sizeof buffer);
    if (format != COMMAND_CSV) {
        return 0;
    }
    csv_header(&writer);
    return print(bytes, writer.used);
}

int command_print_line(struct cmcwh_text text) {
    return print(text.data, text.length);
}

int command_print_csv(const struct cmcwh_event *event) {
    struct writer writer = {.bytes = line, .size = sizeof line};

    csv_line(&writer, event);
    return print(line, writer.used);
}

int command_print(const struct cmcwh_record *record, int format) {
    struct cmcwh_event event;

    if (format == COMMAND_CSV) {
        cmcwh_record_read(record, &event);
        return command_print_csv(&event);
    }
    return print(line, cmcwh_encode(record, (enum cmcwh_encoding)format, NULL, line));
}
