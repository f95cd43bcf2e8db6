/* cmcwh cat: the events of a file. Not here: what a ring file is (platform/ring_file.c), and how
 * other files are read (source.c). */
#include "command/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmcwh.h"
#include "command/arguments.h"
#include "command/choose.h"
#include "command/source.h"
#include "command/view.h"
#include "platform/log.h"
#include "platform/number.h"
#include "platform/platform.h"

enum { FOLLOW_PAUSE = 200 /* ms */, LAST_MOST = 100000 };

static const char usage[] =
    "usage: cmcwh cat [OPTIONS] FILE\n"
    "Prints the events of a ring file, of a JSON or binary log, of a dead-letter\n"
    "file, or of frames from a serial line ('-': standard input). Of a ring it prints\n"
    "every event that can still be read, delivered or not, and says how many lack in\n"
    "between; the server may be using it. After noise or loss in frames it goes on\n"
    "with the next one; what is no event is left out, and said at the end.\n"
    "  --format json|logfmt|csv  what to print (json); csv is for a spreadsheet\n"
    "  --only LIST               event types (deliveries, bounces, blocks, other),\n"
    "                            statuses (queued, succeeded, failed, deferred) and\n"
    "                            bounce numbers (bounces:2), with commas between\n"
    "  --to ADDRESS              to this recipient; @DOMAIN: to all of a domain\n"
    "  --since TIME              received then or later: 2026-01-25, '2026-01-25\n"
    "                            14:03', 2026-01-25T05:03:06Z; 2h or 3d: ago\n"
    "  --until TIME              received before then\n"
    "  --unique                  no event again that CMC has sent again\n"
    "  --last N                  the last N of them\n"
    "  --follow, -f              go on as events come\n"
    "Exit status: 1 when something was read but no event found.\n";

/* What is asked for, and how far it has come. */
struct cat {
    struct choice choice;
    int format;
    bool follow;
    bool begun;  /* something was printed */
    bool failed; /* it could not be */

    /* --last, 0: all. The last of what was chosen so far wait here until all that is there was
     * read; then they are printed, and what comes later at once. */
    uint64_t last, waiting; /* chosen; record n stands at n % last */
    struct cmcwh_record *records;
};

/* ---- What is shown ---- */

static int begin(struct cat *cat) {
    bool begun = cat->begun;

    cat->begun = true;
    return begun ? 0 : command_print_first(cat->format);
}

static int print(const struct cat *cat, struct source_event *found) {
    const struct cmcwh_record *record;

    if (cat->format == COMMAND_CSV) {
        return command_print_csv(&found->says);
    }
    if (cat->format == CMCWH_ENCODE_JSON && found->line.data != NULL) {
        return command_print_line(found->line);
    }
    record = source_record(found);
    return record == NULL ? 0 : command_print(record, cat->format);
}

static void keep(struct cat *cat, struct source_event *found) {
    const struct cmcwh_record *record = source_record(found);

    if (record != NULL) {
        cat->records[cat->waiting++ % cat->last] = *record;
    }
}

/* Prints an event that is wanted, or keeps it. */
static int show(struct cat *cat, struct source_event *found) {
    if (!choice_takes(&cat->choice, &found->says)) {
        return 0;
    }
    if (cat->last > 0) {
        keep(cat, found);
        return 0;
    }
    return begin(cat) < 0 ? -1 : print(cat, found);
}

/* All that is there was read. */
static int show_last(struct cat *cat) {
    uint64_t first = cat->waiting > cat->last ? cat->waiting - cat->last : 0;

    if (begin(cat) < 0) {
        return -1;
    }
    for (uint64_t i = first; i < cat->waiting; i++) {
        if (command_print(&cat->records[i % cat->last], cat->format) < 0) {
            return -1;
        }
    }
    cat->last = cat->waiting = 0;
    return command_flush();
}

/* ---- A stream ---- */

static bool take(void *context, struct source_event *found) {
    return show(context, found) == 0;
}

/* At the end of a file that is followed more may come. */
static bool pause_at(void *context, int descriptor, bool end) {
    struct cat *cat = context;
    struct stat status;

    if (!end) {
        return command_flush() == 0;
    }
    if (!cat->follow || fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return false;
    }
    if (show_last(cat) < 0) {
        cat->failed = true;
        return false;
    }
    (void)poll(NULL, 0, FOLLOW_PAUSE);
    return true;
}

static int print_stream(struct cat *cat, const char *name) {
    const struct source_reader reader = {take, pause_at, cat};
    enum source_result result = source_read(name, &reader);

    cat->failed = cat->failed || result == SOURCE_ENDED || show_last(cat) < 0;
    return result != SOURCE_READ || cat->failed;
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
static int view_print(struct view *view, int reader, struct cat *cat, uint64_t low) {
    struct gaps gaps = {0, 0};
    struct cmcwh_record record;
    struct source_event found = {.record = &record};

    while (cmcwh_ring_read(&view->ring, reader, &record) > 0) {
        cmcwh_record_read(&record, &found.says);
        if (found.says.seq < view->next) {
            continue;
        }
        gaps_add(&gaps, view->next, found.says.seq, low);
        if (show(cat, &found) < 0) {
            return 1;
        }
        view->next = found.says.seq + 1;
    }
    if (gaps.count > 0) {
        log_usage("%s: %" PRIu64 " delivered events are gone from between these, the first is seq "
                  "%" PRIu64 ": later ones have taken their places",
                  view->file.path, gaps.count, gaps.first);
    }
    return show_last(cat) == 0 ? 0 : 1;
}

static int view_run(struct view *view, struct cat *cat) {
    struct cmcwh_recovery found;
    uint64_t began = platform_ticks();

    do {
        int reader = view_read(view, &found);

        if (reader < 0 || view_print(view, reader, cat, found.low) != 0) {
            return 1;
        }
        /* Reading a large ring takes a while: no more than a fifth of the time. */
        do {
            (void)poll(NULL, 0,
                       cat->follow ? FOLLOW_PAUSE + 4 * (int)(platform_ticks() - began) : 0);
            began = platform_ticks();
        } while (cat->follow && !view_changed(view));
    } while (cat->follow);
    return 0;
}

static int print_ring(struct cat *cat, const char *path) {
    static struct view view;
    int result;

    if (!view_open(&view, path)) {
        return 1;
    }
    result = view_run(&view, cat);
    view_close(&view);
    return result;
}

/* ---- The command ---- */

static bool read_format(const char *word, int *format) {
    static const struct {
        const char *name;
        int format;
    } formats[] = {
        {"json", CMCWH_ENCODE_JSON}, {"logfmt", CMCWH_ENCODE_LOGFMT}, {"csv", COMMAND_CSV}};

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(word, formats[i].name) == 0) {
            *format = formats[i].format;
            return true;
        }
    }
    log_usage("cat: --format: '%s': expected json, logfmt or csv", word);
    return false;
}

/* `word` NULL: all are wanted. */
static bool read_last(struct cat *cat, const char *word, int *status) {
    if (word == NULL) {
        return true;
    }
    *status = 2;
    if (!number_read(word, 1, LAST_MOST, &cat->last)) {
        log_usage("cat: --last: '%s': expected a number from 1 to %d", word, LAST_MOST);
        return false;
    }
    *status = 1;
    cat->records = calloc((size_t)cat->last, sizeof *cat->records);
    if (cat->records == NULL) {
        log_usage("cat: --last: '%s': there is no memory for so many", word);
    }
    return cat->records != NULL;
}

int command_cat(int count, char **arguments) {
    static struct cat cat;
    const char *format = "json", *last = NULL;
    const struct argument options[] = {{"--format", NULL, &format},
                                       {"--last", NULL, &last},
                                       {"--follow", &cat.follow, NULL},
                                       {"-f", &cat.follow, NULL},
                                       CHOICE_OPTIONS(cat.choice)};
    const struct arguments what = {
        .command = "cat",
        .usage = usage,
        .expected = "--format json, logfmt or csv, --only LIST, --to ADDRESS, --since TIME, "
                    "--until TIME, --unique, --last N, --follow, and one FILE ('-': standard "
                    "input)",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least = 1,
        .most = 1};
    int words = arguments_read(&what, count, arguments), status;

    if (words < 0) {
        return words == ARGUMENTS_HELP ? 0 : 2;
    }
    if (!read_format(format, &cat.format)) {
        return 2;
    }
    if (choice_read(&cat.choice, "cat", &status) && read_last(&cat, last, &status)) {
        bool ring = strcmp(arguments[0], "-") != 0 && ring_file_is(arguments[0]);

        status = ring ? print_ring(&cat, arguments[0]) : print_stream(&cat, arguments[0]);
    }
    choice_free(&cat.choice);
    free(cat.records);
    return status;
}
