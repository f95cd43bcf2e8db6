/* The subcommands besides serve. Each returns the process's exit status. */
#ifndef CMCWH_COMMANDS_H
#define CMCWH_COMMANDS_H

#include "cmcwh.h"

/* cmcwh cat: prints the events of a file. */
int command_cat(int count, char **arguments);

/* cmcwh check: parses one request body as the server would. */
int command_check(int count, char **arguments);

/* cmcwh status: what a running cmcwh says of itself. */
int command_status(int count, char **arguments);

/* cmcwh summary: what logs say, by day, and which addresses not to mail again. */
int command_summary(int count, char **arguments);

/* cmcwh test: posts one event as the service would. */
int command_test(int count, char **arguments);

/* Prints a record, or says that standard output fails. `format` is an enum cmcwh_encoding or
 * COMMAND_CSV. */
enum { COMMAND_CSV = -1 };
int command_print(const struct cmcwh_record *record, int format);

/* The same of what an event says, as CSV, and of what is a line already. */
int command_print_csv(const struct cmcwh_event *event);
int command_print_line(struct cmcwh_text text);

/* Before the first record: what comes there, if anything does. From here on standard output, unless
 * it is a terminal, is written in large pieces. */
int command_print_first(int format);

/* All of it must have gone. -1: it has not, and one line has said so. */
int command_flush(void);

#endif
