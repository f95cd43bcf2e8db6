/* The command line of the commands besides serve: options, with or without a value, and words. */
#ifndef CMCWH_ARGUMENTS_H
#define CMCWH_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

/* An option: a flag is set, or the value that follows it, or its '=', is kept. */
struct argument {
    const char *name; /* "--auth-file" */
    bool *flag;       /* NULL: it has a value */
    const char **value;
};

struct arguments {
    const char *command;
    const char *usage;    /* what --help prints */
    const char *expected; /* for messages: which options and words there are */
    const struct argument *options;
    size_t option_count;
    int least, most; /* words */
};

enum { ARGUMENTS_HELP = -1, ARGUMENTS_WRONG = -2 };

/* Brings the words to the front of `arguments`, and returns how many there are. ARGUMENTS_HELP: it
 * was printed; ARGUMENTS_WRONG: one line has said what was expected. */
int arguments_read(const struct arguments *what, int count, char **arguments);

/* A number of seconds from 1 to `most`; `text` NULL: *seconds stays. False: one line has said what
 * was expected. */
bool arguments_seconds(const char *command, const char *option, const char *text, unsigned most,
                       unsigned *seconds);

#endif
