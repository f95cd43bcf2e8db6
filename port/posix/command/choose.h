/* Which of many stored events a person wants to see. */
#ifndef CMCWH_CHOOSE_H
#define CMCWH_CHOOSE_H

#include "cmcwh.h"
#include "command/arguments.h"

struct choice {
    /* As the command line has it; NULL: it has none. */
    struct {
        const char *only, *to, *since, *until;
        bool unique;
    } words;

    struct cmcwh_filter only;
    uint64_t since, until;   /* received from then on, and before then; ms */
    struct repeats *repeats; /* NULL: repeats are wanted too */
};

/* For a list of struct argument. */
#define CHOICE_OPTIONS(choice)                                                                     \
    {"--only", NULL, &(choice).words.only}, {"--to", NULL, &(choice).words.to},                    \
        {"--since", NULL, &(choice).words.since}, {"--until", NULL, &(choice).words.until}, {      \
        "--unique", &(choice).words.unique, NULL                                                   \
    }

/* With --unique, no event whose id one of the last so many had that were chosen. */
enum { CHOICE_IDS = 65536 };

/* Understands the words. False: one line has said what is wrong, and *status is the exit status. */
bool choice_read(struct choice *choice, const char *command, int *status);

/* Is this event wanted? With --unique it has been there then. */
bool choice_takes(struct choice *choice, const struct cmcwh_event *event);

void choice_free(struct choice *choice);

#endif
