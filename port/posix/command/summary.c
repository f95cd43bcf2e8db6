/* cmcwh summary: what the logs of some time say, by day; and which addresses not to mail again.
 * Memory grows with what comes up to limits that are said. Not here: how a log is read (source.c),
 * the rule of the addresses (suppress.c). */
#include "command/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/day.h"
#include "command/arguments.h"
#include "command/book.h"
#include "command/choose.h"
#include "command/source.h"
#include "command/suppress.h"
#include "platform/log.h"
#include "platform/when.h"
#include "platform/writer.h"

static const char usage[] =
    "usage: cmcwh summary [--since TIME] [--until TIME] [--format text|json] FILE...\n"
    "       cmcwh summary --suppress [--since TIME] [--until TIME] FILE...\n"
    "Reads ring files, JSON logs, dead-letter files and binary logs ('-': standard\n"
    "input), several at once and in any order, as the rotated ones of a log, and\n"
    "prints by day how many events there were of each status, and why mails bounced;\n"
    "then the recipients' domains that bounced most. Days are local, by when an event\n"
    "was received; what came more than once, with the same id, counts once. What\n"
    "cannot be read is said.\n"
    "  --since TIME, --until TIME  only events received from then on, before then:\n"
    "                    2026-01-25, '2026-01-25 14:03', 2026-01-25T05:03:06Z, or\n"
    "                    how long ago: 90m, 2h, 3d\n"
    "  --format FORMAT   text (default) or json\n"
    "  --suppress        prints instead, as CSV, the addresses that should not be\n"
    "                    mailed again, each once, with the reason and how often it\n"
    "                    bounced: at once if permanently (unknown host, unknown user,\n"
    "                    address format, blocked address, unsubscribed, other\n"
    "                    permanent error), otherwise if three times within 30 days\n"
    "Compressed logs: zcat events.log.2.gz | cmcwh summary - events.log\n"
    "Exit status: 1 when a file could not be read, or held something but no event;\n"
    "2 wrong usage.\n";

enum { DAYS = 1024, TOP = 10 };

struct day {
    uint64_t begin, end;
    uint64_t counts[CMCWH_COUNTS];
};

struct summary {
    struct choice choice;
    uint64_t events, repeats;
    uint64_t unchecked; /* which may be repeats */
    bool wants_suppress, full;
    struct seen seen;

    struct day days[DAYS]; /* the newest, in order */
    unsigned day_count;
    struct day earlier; /* all before them */

    struct book domains;
    uint64_t *bounces; /* of each domain */
    size_t domain_room;
    uint64_t other_domains; /* bounces of those that found no room */

    struct suppress suppress;
};

/* Taken only when it is asked for: who serves needs none of it. */
static struct summary *all;

/* ---- Counting ---- */

/* A new day in its place; of more than DAYS the oldest goes to those that are not told apart. */
static struct day *add_day(unsigned place, uint64_t begin, uint64_t end) {
    if (all->day_count == DAYS && place == 0) {
        all->earlier.end = all->earlier.end > end ? all->earlier.end : end;
        return &all->earlier;
    }
    if (all->day_count == DAYS) {
        for (unsigned i = 0; i < CMCWH_COUNTS; i++) {
            all->earlier.counts[i] += all->days[0].counts[i];
        }
        all->earlier.end = all->days[0].end;
        place--;
        memmove(all->days, all->days + 1, place * sizeof *all->days);
    } else {
        memmove(all->days + place + 1, all->days + place,
                (all->day_count - place) * sizeof *all->days);
        all->day_count++;
    }
    all->days[place] = (struct day){.begin = begin, .end = end};
    return &all->days[place];
}

static struct day *day_of(uint64_t time) {
    const uint64_t most = UINT64_C(253402214400000); /* 9999-12-31: a record may say anything */
    unsigned low = 0, high = all->day_count;

    time = time < most ? time : most;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (time >= all->days[middle].end) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < all->day_count && time >= all->days[low].begin) {
        return &all->days[low];
    }
    return add_day(low, day_begin(time, 0), day_begin(time, 1));
}

/* Behind the last '@', in small letters. */
static struct cmcwh_text domain_of(const struct cmcwh_event *event, char out[256]) {
    struct cmcwh_text to = event->texts[CMCWH_TO];
    size_t at = to.length, length;

    while (at > 0 && to.data[at - 1] != '@') {
        at--;
    }
    length = at == 0 || to.length - at > 255 ? 0 : to.length - at;
    for (size_t i = 0; i < length; i++) {
        char c = to.data[at + i];

        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    return (struct cmcwh_text){out, length};
}

static void count_domain(const struct cmcwh_event *event) {
    char name[256];
    uint32_t known = all->domains.count;
    uint32_t number = book_number(&all->domains, domain_of(event, name));
    void *bounces = all->bounces;

    if (number == BOOK_NONE || (number == known && !book_room(&bounces, number, &all->domain_room,
                                                              sizeof *all->bounces, BOOK_MOST))) {
        all->other_domains++;
        return;
    }
    all->bounces = bounces;
    all->bounces[number] = (number == known ? 0 : all->bounces[number]) + 1;
}

/* Has it come before? */
static bool is_repeat(const struct cmcwh_event *event) {
    enum seen_result result = seen_add(&all->seen, event->id);

    all->repeats += result == SEEN_BEFORE;
    all->unchecked += result == SEEN_FULL;
    return result == SEEN_BEFORE;
}

static bool take(void *unused, struct source_event *found) {
    const struct cmcwh_event *event = &found->says;

    (void)unused;
    if (!choice_takes(&all->choice, event) || is_repeat(event)) {
        return true;
    }
    all->events++;
    if (!all->wants_suppress) {
        day_of(event->received)->counts[cmcwh_count_of(event)]++;
        if (event->kind == CMCWH_BOUNCES) {
            count_domain(event);
        }
    } else if (event->kind == CMCWH_BOUNCES) {
        all->full = !suppress_add(&all->suppress, event);
    }
    return !all->full;
}

/* ---- Telling ---- */

/* Prints what is in the writer, and empties it. */
static void flush_out(struct writer *writer) {
    (void)fwrite(writer->bytes, 1, writer->used, stdout);
    writer->used = 0;
}

static uint64_t sum_of(const uint64_t *counts, unsigned first, unsigned count) {
    uint64_t sum = 0;

    for (unsigned i = 0; i < count; i++) {
        sum += counts[first + i];
    }
    return sum;
}

/* What is told of a day, in this order. */
static const struct column {
    const char *name;
    unsigned first, count;
} columns[] = {{"queued", CMCWH_COUNT_DELIVERIES + CMCWH_QUEUED, 1},
               {"succeeded", CMCWH_COUNT_DELIVERIES + CMCWH_SUCCEEDED, 1},
               {"failed", CMCWH_COUNT_DELIVERIES + CMCWH_FAILED, 1},
               {"deferred", CMCWH_COUNT_DELIVERIES + CMCWH_DEFERRED, 1},
               {"bounces", CMCWH_COUNT_BOUNCES, CMCWH_COUNT_BLOCKS - CMCWH_COUNT_BOUNCES},
               {"blocks", CMCWH_COUNT_BLOCKS, 1},
               {"unknown", CMCWH_COUNT_DELIVERIES + CMCWH_UNKNOWN, 1},
               {"other", CMCWH_COUNT_OTHER, 1}};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* "2026-11-24" */
static void put_date(struct writer *writer, uint64_t time) {
    char bytes[32];
    struct writer local = {.bytes = bytes, .size = sizeof bytes};

    day_local(&local, time);
    writer_bytes(writer, bytes, local.used < 10 ? local.used : 10);
}

/* Calls `put` for each day, then for the sum of all. */
static void each_day(struct writer *writer,
                     void (*put)(struct writer *writer, const struct day *day, bool total)) {
    struct day total = all->earlier;

    if (all->earlier.end > 0) {
        put(writer, &all->earlier, false);
    }
    for (unsigned i = 0; i < all->day_count; i++) {
        put(writer, &all->days[i], false);
        for (unsigned count = 0; count < CMCWH_COUNTS; count++) {
            total.counts[count] += all->days[i].counts[count];
        }
        flush_out(writer);
    }
    put(writer, &total, true);
}

/* The number of the domain that bounced most, of those that are not in `told`; BOOK_NONE: there is
 * none. */
static uint32_t most_bounced(const uint32_t *told, unsigned count) {
    uint32_t most = BOOK_NONE;

    for (uint32_t i = 0; i < all->domains.count; i++) {
        bool known = false;

        for (unsigned j = 0; j < count; j++) {
            known = known || told[j] == i;
        }
        if (!known && (most == BOOK_NONE || all->bounces[i] > all->bounces[most])) {
            most = i;
        }
    }
    return most;
}

/* The first TOP of them. Returns how many there are, and how many bounces are left. */
static unsigned top_domains(uint32_t top[TOP], uint64_t *others) {
    unsigned count = 0;

    *others = all->other_domains;
    while (count < TOP && (top[count] = most_bounced(top, count)) != BOOK_NONE) {
        count++;
    }
    for (uint32_t i = 0; i < all->domains.count; i++) {
        *others += all->bounces[i];
    }
    for (unsigned i = 0; i < count; i++) {
        *others -= all->bounces[top[i]];
    }
    return count;
}

/* ---- As text ---- */

static void put_reasons(struct writer *writer, const struct day *day) {
    const char *between = "            why bounced:";

    for (unsigned i = CMCWH_COUNT_BOUNCES; i < CMCWH_COUNT_BLOCKS; i++) {
        if (day->counts[i] > 0) {
            writer_print(writer, "%s %s %" PRIu64, between, cmcwh_count_status(i), day->counts[i]);
            between = ",";
        }
    }
    writer_text(writer, between[0] == ',' ? "\n" : "");
}

static void put_day(struct writer *writer, const struct day *day, bool total) {
    if (total) {
        writer_text(writer, "total     ");
    } else {
        put_date(writer, day == &all->earlier ? day->end : day->begin);
    }
    writer_text(writer, day == &all->earlier ? " <" : "  ");
    for (unsigned i = 0; i < COLUMNS; i++) {
        writer_print(writer, " %9" PRIu64, sum_of(day->counts, columns[i].first, columns[i].count));
    }
    writer_text(writer, "\n");
    put_reasons(writer, day);
}

/* As within a JSON string: nothing of it acts on a terminal. */
static void put_domain(struct writer *writer, uint32_t number) {
    struct cmcwh_text name = book_text(&all->domains, number);
    char bytes[6 * 256];
    struct writer quoted = {.bytes = bytes, .size = sizeof bytes};

    writer_json(&quoted, name);
    if (name.length == 0) {
        writer_text(writer, "(no address)");
    } else {
        writer_bytes(writer, bytes + 1, quoted.used - 2);
    }
}

static void put_domains(struct writer *writer) {
    uint32_t top[TOP];
    uint64_t others;
    unsigned count = top_domains(top, &others);

    writer_text(writer, count == 0 ? "\nnothing bounced\n" : "\ndomains that bounced most\n");
    for (unsigned i = 0; i < count; i++) {
        writer_print(writer, "%12" PRIu64 " ", all->bounces[top[i]]);
        put_domain(writer, top[i]);
        writer_text(writer, "\n");
    }
    if (others > 0) {
        writer_print(writer, "%12" PRIu64 " all others\n", others);
    }
}

static void print_text(struct writer *writer) {
    writer_text(writer, "day         ");
    for (unsigned i = 0; i < COLUMNS; i++) {
        writer_print(writer, " %9s", columns[i].name);
    }
    writer_text(writer, "\n");
    each_day(writer, put_day);
    flush_out(writer);
    put_domains(writer);
    writer_print(writer, "\n%" PRIu64 " events", all->events);
    if (all->repeats > 0) {
        writer_print(writer, ", and %" PRIu64 " that came again", all->repeats);
    }
    writer_text(writer, "; days are those of ");
    day_zone(writer, all->day_count > 0 ? all->days[all->day_count - 1].begin
                                        : (uint64_t)time(NULL) * 1000);
    writer_text(writer, "\n");
    flush_out(writer);
}

/* ---- As JSON ---- */

static void put_json_counts(struct writer *writer, const struct day *day) {
    const char *between = "";

    for (unsigned i = 0; i < COLUMNS; i++) {
        writer_print(writer, ",\"%s\":%" PRIu64, columns[i].name,
                     sum_of(day->counts, columns[i].first, columns[i].count));
    }
    writer_text(writer, ",\"reasons\":{");
    for (unsigned i = CMCWH_COUNT_BOUNCES; i < CMCWH_COUNT_BLOCKS; i++) {
        if (day->counts[i] > 0) {
            writer_print(writer, "%s\"%s\":%" PRIu64, between, cmcwh_count_status(i),
                         day->counts[i]);
            between = ",";
        }
    }
    writer_text(writer, "}}");
}

static void put_json_day(struct writer *writer, const struct day *day, bool total) {
    writer_text(writer, total ? "],\"total\":{\"day\":null" : "");
    if (!total) {
        writer_text(writer, day == &all->earlier                        ? "{\"before\":\""
                            : day == all->days && all->earlier.end == 0 ? "{\"day\":\""
                                                                        : ",{\"day\":\"");
        put_date(writer, day == &all->earlier ? day->end : day->begin);
        writer_text(writer, "\"");
    }
    put_json_counts(writer, day);
}

static void print_json(struct writer *writer) {
    uint32_t top[TOP];
    uint64_t others;
    unsigned count = top_domains(top, &others);

    writer_print(writer, "{\"events\":%" PRIu64 ",\"repeats\":%" PRIu64 ",\"zone\":\"", all->events,
                 all->repeats);
    day_zone(writer, all->day_count > 0 ? all->days[all->day_count - 1].begin
                                        : (uint64_t)time(NULL) * 1000);
    writer_text(writer, "\",\"days\":[");
    each_day(writer, put_json_day);
    writer_text(writer, ",\"domains\":[");
    for (unsigned i = 0; i < count; i++) {
        writer_text(writer, i == 0 ? "{\"domain\":" : ",{\"domain\":");
        writer_json(writer, book_text(&all->domains, top[i]));
        writer_print(writer, ",\"bounces\":%" PRIu64 "}", all->bounces[top[i]]);
        flush_out(writer);
    }
    writer_print(writer, "],\"other_domains\":%" PRIu64 "}\n", others);
    flush_out(writer);
}

/* ---- The addresses not to mail again ---- */

static void print_address(struct cmcwh_text address, const struct suppress_case *found) {
    char bytes[8 * SUPPRESS_ADDRESS + 256], first[WHEN_SIZE], last[WHEN_SIZE];
    struct writer writer = {.bytes = bytes, .size = sizeof bytes};

    writer_csv(&writer, address);
    writer_print(&writer, ",\"%s\",%u,%zu,\"%s\",\"%s\"\r\n", cmcwh_bounce_name(found->number),
                 found->number, found->bounces, when_print(found->first, first),
                 when_print(found->last, last));
    flush_out(&writer);
}

static void print_suppress(void) {
    (void)fputs("address,reason,status,bounces,first,last\r\n", stdout);
    suppress_list(&all->suppress, print_address);
    if (all->suppress.nameless > 0) {
        log_usage("summary: %" PRIu64 " bounces have no whole address", all->suppress.nameless);
    }
}

/* ---- The command ---- */

static int print_all(bool json) {
    char bytes[16384];
    struct writer writer = {.bytes = bytes, .size = sizeof bytes};

    if (all->unchecked > 0) {
        log_usage("summary: %" PRIu64 " events were more than can be told apart: some may have "
                  "counted more than once; --since and --until make them fewer",
                  all->unchecked);
    }
    if (all->wants_suppress) {
        print_suppress();
    } else if (json) {
        print_json(&writer);
    } else {
        print_text(&writer);
    }
    return command_flush();
}

static int summarize(int count, char **files, bool json) {
    const struct source_reader reader = {.take = take};
    bool right = true;

    for (int i = 0; i < count && !all->full; i++) {
        right = source_read(files[i], &reader) == SOURCE_READ && right;
    }
    if (all->full) {
        log_usage("summary: more bounces or addresses than there is room for (%d and %d at most): "
                  "nothing is listed; --since and --until make them fewer",
                  SUPPRESS_BOUNCES, BOOK_MOST);
        return 1;
    }
    return print_all(json) == 0 && right ? 0 : 1;
}

static int run(int count, char **files, bool json) {
    int result = summarize(count, files, json);

    seen_free(&all->seen);
    book_free(&all->domains);
    suppress_free(&all->suppress);
    free(all->bounces);
    return result;
}

int command_summary(int count, char **arguments) {
    struct choice choice = {.words = {.only = NULL}};
    const char *format = NULL;
    bool suppress = false;
    const struct argument options[] = {{"--since", NULL, &choice.words.since},
                                       {"--until", NULL, &choice.words.until},
                                       {"--format", NULL, &format},
                                       {"--suppress", &suppress, NULL}};
    const struct arguments what = {.command = "summary",
                                   .usage = usage,
                                   .expected = "--since TIME, --until TIME, --format text or json, "
                                               "--suppress, and FILEs ('-': standard input)",
                                   .options = options,
                                   .option_count = sizeof options / sizeof *options,
                                   .least = 1,
                                   .most = count};
    int words = arguments_read(&what, count, arguments), result;
    bool json = format != NULL && strcmp(format, "json") == 0;

    if (words < 0) {
        return words == ARGUMENTS_HELP ? 0 : 2;
    }
    if (format != NULL && !json && strcmp(format, "text") != 0) {
        log_usage("summary: --format: '%s': expected text or json", format);
        return 2;
    }
    if (format != NULL && suppress) {
        log_usage("summary: --suppress prints CSV: leave --format out");
        return 2;
    }
    if (!choice_read(&choice, "summary", &result)) {
        return result;
    }
    all = calloc(1, sizeof *all);
    if (all == NULL) {
        log_usage("summary: out of memory");
        return 1;
    }
    all->choice = choice;
    all->wants_suppress = suppress;
    result = run(words, arguments, json);
    free(all);
    return result;
}
