/* cmcwh cat: the records of a ring file, a binary log or frames. Not here: what a ring file is
 * (platform/ring_file.c). */
#include "command/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmcwh.h"
#include "platform/log.h"
#include "platform/platform.h"
#include "platform/ring_file.h"

enum { FOLLOW_PAUSE = 200 }; /* ms */

static const char usage[] =
    "usage: cmcwh cat [--format json|logfmt] [--follow] FILE\n"
    "Prints the records of a ring file, of a binary log, or of frames from a serial\n"
    "line ('-': standard input). Of a ring it prints every event that can still be\n"
    "read, delivered or not; the server may be using it. After noise or loss in\n"
    "frames it goes on with the next one, and says at the end how many bytes it\n"
    "skipped. With --follow it goes on as events come. Exit status: 1 when something\n"
    "was read but no record found.\n";

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

struct view {
    struct ring_file file;
    struct cmcwh_ring ring;
    struct cmcwh_record *records;
    uint32_t *links;
    uint8_t states[2][CMCWH_STATE_SIZE]; /* both copies, as they were when the ring was read */
    uint64_t next;                       /* the seq that is to be printed next */
};

/* Reads the copies of the state. True when they differ from those read before. */
static bool view_changed(struct view *view) {
    uint8_t states[2][CMCWH_STATE_SIZE];
    bool changed;

    for (unsigned copy = 0; copy < 2; copy++) {
        if (view->file.storage.read(&view->file, (1 + copy) * (uint64_t)view->file.geometry.block,
                                    states[copy], sizeof states[copy]) < 0) {
            return false;
        }
    }
    changed = memcmp(states, view->states, sizeof states) != 0;
    memcpy(view->states, states, sizeof states);
    return changed;
}

/* Reads the ring. While a server writes to it, a record may seem damaged that is just being
 * overwritten: then once more. */
static int view_read(struct view *view, struct cmcwh_recovery *found) {
    struct cmcwh_ring_config config = {.records = view->records,
                                       .links = view->links,
                                       .capacity = view->file.geometry.records,
                                       .storage = &view->file.storage};
    int result, tries = 5;

    (void)view_changed(view);
    do {
        result = cmcwh_ring_open(&view->ring, &config, found);
    } while (view_changed(view) && tries-- > 0 && (result < 0 || found->damaged > 0));
    return result;
}

/* Prints what is in the ring from view->next on. A gap in the first pass is nothing to tell:
 * delivered events are overwritten as slots become free, not in the order of their seqs. A gap in a
 * later pass is: its events came and went while we followed. */
static int view_print(struct view *view, int encoding) {
    int reader = cmcwh_ring_attach(&view->ring, NULL, true);
    bool first = view->next == 0;
    struct cmcwh_record record;
    struct cmcwh_event event;

    while (cmcwh_ring_read(&view->ring, reader, &record) > 0) {
        cmcwh_record_read(&record, &event);
        if (event.seq < view->next) {
            continue;
        }
        if (!first && event.seq > view->next) {
            log_usage("%s: %llu events were gone before they could be read", view->file.path,
                      (unsigned long long)(event.seq - view->next));
        }
        if (command_print(&record, encoding) < 0) {
            return 1;
        }
        view->next = event.seq + 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

static int view_run(struct view *view, int encoding, bool follow) {
    struct cmcwh_recovery found;
    uint64_t began = platform_ticks();

    do {
        if (view_read(view, &found) < 0) {
            log_usage("%s: %s", view->file.path, found.why != NULL ? found.why : strerror(errno));
            return 1;
        }
        if (found.damaged > 0) {
            log_usage("%s: skipped %llu damaged records", view->file.path,
                      (unsigned long long)found.damaged);
        }
        if (view_print(view, encoding) != 0) {
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
    int result = 1;

    if (!ring_file_view(&view.file, path)) {
        return 1;
    }
    view.records = calloc(view.file.geometry.records, sizeof *view.records);
    view.links = calloc(view.file.geometry.records, sizeof *view.links);
    if (view.records != NULL && view.links != NULL) {
        result = view_run(&view, encoding, follow);
    } else {
        log_usage("%s: not enough memory for its records", path);
    }
    free(view.records);
    free(view.links);
    ring_file_close(&view.file);
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
