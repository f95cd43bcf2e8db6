/* cmcwh cat: the records of a ring file, a binary log or frames. Not here: what a ring file is
 * (platform/ring_file.c). */
#include "command/commands.h"
#include "command/view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmcwh.h"
#include "platform/log.h"
#include "platform/platform.h"
#include "sink/outlet.h"

enum { FOLLOW_PAUSE = 200 }; /* ms */

static const char usage[] =
    "usage: cmcwh cat [--format json|logfmt] [--follow] FILE\n"
    "Prints the records of a ring file, of a binary log, or of frames from a serial\n"
    "line ('-': standard input). Of a ring it prints every event that can still be\n"
    "read, delivered or not, and says how many lack in between; the server may be\n"
    "using it. After noise or loss in frames it goes on with the next one, and says\n"
    "at the end how many bytes it skipped. With --follow it goes on as events come.\n"
    "Exit status: 1 when something was read but no record found.\n";

/* Is this the beginning of a log that is text: JSON, logfmt, or logfmt of version 0.1.0? */
static bool is_text(const char *bytes, size_t length) {
    const char *const lines[] = {outlet_begins(CMCWH_ENCODE_JSON),
                                 outlet_begins(CMCWH_ENCODE_LOGFMT), "seq="};

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (length >= strlen(lines[i]) && memcmp(bytes, lines[i], strlen(lines[i])) == 0) {
            return true;
        }
    }
    return false;
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

/* At the end of a file that is followed: more may come. */
static bool more_comes(int descriptor, bool follow) {
    struct stat status;

    if (!follow || fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return false;
    }
    (void)poll(NULL, 0, FOLLOW_PAUSE);
    return true;
}

static int print_stream(int descriptor, const char *name, int encoding, bool follow) {
    static struct cmcwh_deframer deframer;
    char bytes[4096];
    bool first = true;
    ssize_t got;

    cmcwh_deframer_init(&deframer);
    while ((got = read(descriptor, bytes, sizeof bytes)) != 0 || more_comes(descriptor, follow)) {
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            log_usage("%s: %s", name, strerror(errno));
            return 1;
        }
        if (first && got > 0 && is_text(bytes, (size_t)got)) {
            log_usage(
                "%s: a log that is text already, an event a line: read it with less, tail -F or "
                "grep; cmcwh cat is for ring files, binary logs and frames",
                name);
            return 1;
        }
        first = first && got == 0;
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

/* ---- A ring file ---- */

/* Which seqs lack between those that were printed. Delivered events are overwritten as their places
 * become free, not in the order of their seqs, and while a ring is followed they may come and go.
 */
struct gaps {
    uint64_t first; /* of them all */
    uint64_t count;
};

/* What lacks from `from` up to `to`, as far as it is no damage, of which there is none before low.
 */
static void gaps_add(struct gaps *gaps, uint64_t from, uint64_t to, uint64_t low) {
    to = to < low ? to : low;
    if (from != 0 && from < to) {
        gaps->first = gaps->count == 0 ? from : gaps->first;
        gaps->count += to - from;
    }
}

/* Prints what is in the ring from view->next on, and says what lacks in between. */
static int view_print(struct view *view, int reader, int encoding, uint64_t low) {
    struct gaps gaps = {0, 0};
    struct cmcwh_record record;
    struct cmcwh_event event;

    while (cmcwh_ring_read(&view->ring, reader, &record) > 0) {
        cmcwh_record_read(&record, &event);
        if (event.seq < view->next) {
            continue;
        }
        gaps_add(&gaps, view->next, event.seq, low);
        if (command_print(&record, encoding) < 0) {
            return 1;
        }
        view->next = event.seq + 1;
    }
    if (gaps.count > 0) {
        log_usage("%s: %" PRIu64 " delivered events are gone from between these, the first is seq "
                  "%" PRIu64 ": later ones have taken their places",
                  view->file.path, gaps.count, gaps.first);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

static int view_run(struct view *view, int encoding, bool follow) {
    struct cmcwh_recovery found;
    uint64_t began = platform_ticks();

    do {
        int reader = view_read(view, &found);

        if (reader < 0 || view_print(view, reader, encoding, found.low) != 0) {
            return 1;
        }
        /* Reading a large ring takes a while: no more than a fifth of the time. */
        do {
            (void)poll(NULL, 0, follow ? FOLLOW_PAUSE + 4 * (int)(platform_ticks() - began) : 0);
            began = platform_ticks();
        } while (follow && !view_changed(view));
    } while (follow);
    return 0;
}

static int print_ring(const char *path, int encoding, bool follow) {
    static struct view view;
    int result;

    if (!view_open(&view, path)) {
        return 1;
    }
    result = view_run(&view, encoding, follow);
    view_close(&view);
    return result;
}

/* ---- The command ---- */

static bool parse_format(const char *text, int *encoding) {
    *encoding = strcmp(text, "logfmt") == 0 ? CMCWH_ENCODE_LOGFMT : CMCWH_ENCODE_JSON;
    return strcmp(text, "logfmt") == 0 || strcmp(text, "json") == 0;
}

int command_cat(int count, char **arguments) {
    int encoding = CMCWH_ENCODE_JSON, descriptor, result;
    const char *file = NULL;
    bool follow = false;

    for (int i = 0; i < count; i++) {
        const char *text = arguments[i];

        if (strcmp(text, "--help") == 0) {
            return fputs(usage, stdout) < 0;
        }
        if (strcmp(text, "--follow") == 0 || strcmp(text, "-f") == 0) {
            follow = true;
        } else if (strncmp(text, "--format=", 9) == 0 && parse_format(text + 9, &encoding)) {
            continue;
        } else if (strcmp(text, "--format") == 0 && i + 1 < count &&
                   parse_format(arguments[i + 1], &encoding)) {
            i++;
        } else if ((text[0] == '-' && text[1] != '\0') || file != NULL) {
            log_usage("cat: '%s': expected --format json, --format logfmt, --follow or one FILE",
                      text);
            return 2;
        } else {
            file = text;
        }
    }
    if (file == NULL) {
        log_usage("cat: a FILE is missing ('-': standard input): see cmcwh cat --help");
        return 2;
    }
    if (strcmp(file, "-") != 0 && ring_file_is(file)) {
        return print_ring(file, encoding, follow);
    }
    descriptor = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        log_usage("%s: %s", file, strerror(errno));
        return 1;
    }
    result = print_stream(descriptor, file, encoding, follow);
    if (descriptor != STDIN_FILENO) {
        (void)close(descriptor);
    }
    return result;
}
