/* Which of many stored events a person wants to see. Not here: where they come from, and how they
 * are shown. */
#include "command/choose.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "platform/log.h"
#include "platform/only.h"
#include "platform/when.h"

/* ---- Repeats ---- */

/* The last ids, numbered from 1: number n stands in place n % CHOICE_IDS. Those that share a head
 * are a chain, from the newest to older ones; it ends where one is so old that its place has been
 * used again, as those of all behind it have. So nothing is ever taken out of a chain. */
struct repeats {
    uint64_t count;
    uint64_t ids[CHOICE_IDS];
    uint64_t before[CHOICE_IDS]; /* the number of the next in its chain, 0: none */
    uint64_t heads[CHOICE_IDS];
};

/* Was it there? Now it is. */
static bool is_repeat(struct repeats *repeats, uint64_t id) {
    uint64_t *head = &repeats->heads[id % CHOICE_IDS], number = *head;

    while (number != 0 && repeats->count - number < CHOICE_IDS) {
        if (repeats->ids[number % CHOICE_IDS] == id) {
            return true;
        }
        number = repeats->before[number % CHOICE_IDS];
    }
    number = ++repeats->count;
    repeats->ids[number % CHOICE_IDS] = id;
    repeats->before[number % CHOICE_IDS] = *head;
    *head = number;
    return false;
}

/* ---- Words ---- */

static bool wrong(const char *command, const char *option, const char *word, const char *expected) {
    log_usage("%s: %s: '%s': expected %s", command, option, word, expected);
    return false;
}

static bool read_only(struct choice *choice, const char *command) {
    char expected[ONLY_EXPECTED];

    return choice->words.only == NULL || only_read(&choice->only, choice->words.only, expected) ||
           wrong(command, "--only", choice->words.only, expected);
}

static bool read_to(const struct choice *choice, const char *command) {
    const char *at = choice->words.to == NULL ? "@." : strrchr(choice->words.to, '@');

    return (at != NULL && at[1] != '\0') ||
           wrong(command, "--to", choice->words.to, "an address, or @DOMAIN for all of a domain");
}

static bool read_time(const char *command, const char *option, const char *word, uint64_t *when) {
    return word == NULL || when_read(word, 1000 * (uint64_t)time(NULL), when) ||
           wrong(command, option, word, WHEN_EXPECTED);
}

bool choice_read(struct choice *choice, const char *command, int *status) {
    choice->until = UINT64_MAX;
    *status = 2;
    if (!read_only(choice, command) || !read_to(choice, command) ||
        !read_time(command, "--since", choice->words.since, &choice->since) ||
        !read_time(command, "--until", choice->words.until, &choice->until)) {
        return false;
    }
    if (choice->until <= choice->since) {
        return wrong(command, "--until", choice->words.until, "a time behind that of --since");
    }
    if (choice->words.unique) {
        choice->repeats = calloc(1, sizeof *choice->repeats);
        if (choice->repeats == NULL) {
            log_usage("%s: --unique: there is no memory for it", command);
            *status = 1;
            return false;
        }
    }
    return true;
}

/* ---- Events ---- */

/* An address is the same in upper and lower case: a domain is, and of mailboxes only a sender
 * could know that they are not. */
static bool is_to(const char *wanted, struct cmcwh_text to) {
    size_t length = strlen(wanted);

    if (wanted[0] == '@' && to.length > length) {
        to.data += to.length - length;
        to.length = length;
    }
    return to.length == length && strncasecmp(to.data, wanted, length) == 0;
}

bool choice_takes(struct choice *choice, const struct cmcwh_event *event) {
    return cmcwh_filter_passes(&choice->only, event) &&
           (choice->words.to == NULL || is_to(choice->words.to, event->texts[CMCWH_TO])) &&
           event->received >= choice->since && event->received < choice->until &&
           (choice->repeats == NULL || !is_repeat(choice->repeats, event->id));
}

void choice_free(struct choice *choice) {
    free(choice->repeats);
    choice->repeats = NULL;
}
