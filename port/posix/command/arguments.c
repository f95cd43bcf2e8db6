/* The command line of the commands besides serve. Not here: which options each has. */
#include "command/arguments.h"

#include <stdio.h>
#include <string.h>

#include "platform/log.h"
#include "platform/number.h"

static const struct argument *find(const struct arguments *what, const char *text, size_t length) {
    for (size_t i = 0; i < what->option_count; i++) {
        const char *name = what->options[i].name;

        if (strlen(name) == length && memcmp(name, text, length) == 0) {
            return &what->options[i];
        }
    }
    return NULL;
}

/* The option at arguments[*i]. */
static bool take(const struct arguments *what, int count, char **arguments, int *i) {
    const char *text = arguments[*i];
    size_t length = strcspn(text, "=");
    const struct argument *option = find(what, text, length);

    if (option == NULL || (option->flag != NULL && text[length] != '\0')) {
        log_usage("%s: '%s': expected %s", what->command, text, what->expected);
        return false;
    }
    if (option->flag != NULL) {
        *option->flag = true;
        return true;
    }
    if (text[length] == '\0' && *i + 1 == count) {
        log_usage("%s: %s: a value must follow", what->command, text);
        return false;
    }
    *option->value = text[length] != '\0' ? text + length + 1 : arguments[++*i];
    return true;
}

int arguments_read(const struct arguments *what, int count, char **arguments) {
    int words = 0;

    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
            (void)fputs(what->usage, stdout);
            return ARGUMENTS_HELP;
        }
        if (arguments[i][0] != '-' || arguments[i][1] == '\0') {
            arguments[words++] = arguments[i];
        } else if (!take(what, count, arguments, &i)) {
            return ARGUMENTS_WRONG;
        }
    }
    if (words < what->least) {
        log_usage("%s: expected %s", what->command, what->expected);
        return ARGUMENTS_WRONG;
    }
    if (words > what->most) {
        log_usage("%s: '%s': expected %s", what->command, arguments[what->most], what->expected);
        return ARGUMENTS_WRONG;
    }
    return words;
}

bool arguments_seconds(const char *command, const char *option, const char *text, unsigned most,
                       unsigned *seconds) {
    uint64_t number;

    if (text == NULL) {
        return true;
    }
    if (!number_read(text, 1, most, &number)) {
        log_usage("%s: %s: '%s': expected a number of seconds from 1 to %u", command, option, text,
                  most);
        return false;
    }
    *seconds = (unsigned)number;
    return true;
}
