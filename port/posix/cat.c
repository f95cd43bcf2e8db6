/* cmcwh cat. */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmcwh.h"
#include "log.h"

static const char usage[] =
    "usage: cmcwh cat [--format json|logfmt] FILE\n"
    "Prints the records of a binary log, or of frames from a serial line ('-':\n"
    "standard input). After noise or loss it goes on with the next frame, and says\n"
    "at the end how many bytes it skipped. Exit status: 1 when something was read\n"
    "but no record found.\n";

int command_print(const struct cmcwh_record *record, int encoding) {
    static char line[CMCWH_ENCODED_MAX];
    size_t length = cmcwh_encode(record, (enum cmcwh_encoding)encoding, NULL, line);

    if (fwrite(line, 1, length, stdout) != length) {
        log_usage("standard output: %s", strerror(errno));
        return -1;
    }
    return 0;
}

/* Prints what is in one piece of the stream. */
static int print_piece(struct cmcwh_deframer *deframer, const char *bytes, size_t length,
                       int encoding) {
    struct cmcwh_record record;
    bool found;

    while (length > 0) {
        size_t taken = cmcwh_deframer_feed(deframer, bytes, length, &record, &found);

        if (found && command_print(&record, encoding) < 0) {
            return -1;
        }
        bytes += taken;
        length -= taken;
    }
    return fflush(stdout) == 0 ? 0 : -1;
}

static int print_stream(int descriptor, const char *name, int encoding) {
    static struct cmcwh_deframer deframer;
    char bytes[4096];
    ssize_t got;

    cmcwh_deframer_init(&deframer);
    while ((got = read(descriptor, bytes, sizeof bytes)) != 0) {
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            log_usage("%s: %s", name, strerror(errno));
            return 1;
        }
        if (print_piece(&deframer, bytes, (size_t)got, encoding) < 0) {
            return 1;
        }
    }
    cmcwh_deframer_end(&deframer);
    if (deframer.skipped > 0) {
        log_usage("%s: skipped %llu bytes that belong to no record; printed %llu records", name,
                  (unsigned long long)deframer.skipped, (unsigned long long)deframer.records);
    }
    return deframer.records == 0 && deframer.skipped > 0 ? 1 : 0;
}

int command_cat(int count, char **arguments) {
    int encoding = CMCWH_ENCODE_JSON, descriptor, result;
    const char *file = NULL;

    for (int i = 0; i < count; i++) {
        const char *text = arguments[i];

        if (strcmp(text, "--help") == 0) {
            return fputs(usage, stdout) < 0;
        }
        if (strcmp(text, "--format=logfmt") == 0 || strcmp(text, "--format=json") == 0) {
            encoding = text[9] == 'l' ? CMCWH_ENCODE_LOGFMT : CMCWH_ENCODE_JSON;
        } else if (strcmp(text, "--format") == 0 && i + 1 < count &&
                   (strcmp(arguments[i + 1], "json") == 0 ||
                    strcmp(arguments[i + 1], "logfmt") == 0)) {
            encoding = arguments[++i][0] == 'l' ? CMCWH_ENCODE_LOGFMT : CMCWH_ENCODE_JSON;
        } else if ((text[0] == '-' && text[1] != '\0') || file != NULL) {
            log_usage("cat: '%s': expected --format json, --format logfmt or one FILE", text);
            return 2;
        } else {
            file = text;
        }
    }
    if (file == NULL) {
        log_usage("cat: a FILE is missing ('-': standard input): see cmcwh cat --help");
        return 2;
    }
    descriptor = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        log_usage("%s: %s", file, strerror(errno));
        return 1;
    }
    result = print_stream(descriptor, file, encoding);
    if (descriptor != STDIN_FILENO) {
        (void)close(descriptor);
    }
    return result;
}
