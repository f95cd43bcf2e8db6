/* cmcwh: which subcommand is meant. The rooms, each of which includes only itself and those below:
 *
 * command/   what a person asks for: serve (and its options), cat, check,
 *            status, summary, test
 * admin/     what the daemon tells of itself
 * door/      who comes in: listeners, connections, proxies, credentials, civetweb
 * sink/      where events go: one file a medium, and what stands before all of them
 * tls/       for both: what a library does for it, in a folder of its own
 * platform/  the system, for all of these: time, log, process, addresses, the ring's file
 *
 * Not here: what a subcommand does. */
#include <civetweb.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmcwh.h"
#include "command/commands.h"
#include "command/config.h"
#include "command/options.h"
#include "command/serve.h"
#include "platform/log.h"
#include "sink/sink.h"
#include "tls/session.h"

/* What does as well on another machine may be left out; and what asks a running cmcwh how it is,
 * where none of this build can be asked either. */
#if CMCWH_TOOLS
#define TOOL(run) run
#define USAGE_CHECK                                                                                \
    "       cmcwh check [OPTIONS] FILE  parse one request body as the server would\n"
#define USAGE_TOOLS                                                                                \
    "       cmcwh summary [OPTIONS] FILE...  what is in logs, by day\n"                            \
    "       cmcwh test [OPTIONS] URL    post one event as the service would\n"                     \
    "       cmcwh help [serve|cat|check|status|summary|test]\n"
#else
#define TOOL(run)   NULL
#define USAGE_CHECK ""
#define USAGE_TOOLS "       cmcwh help [serve|cat" HELP_STATUS "]\n"
#endif

#if CMCWH_ADMIN || CMCWH_TOOLS
#define ASKING(run)  run
#define USAGE_STATUS "       cmcwh status [OPTIONS] [ADDR]    how a running one is\n"
#define HELP_STATUS  "|status"
#else
#define ASKING(run)  NULL
#define USAGE_STATUS ""
#define HELP_STATUS  ""
#endif

static const char usage[] =
    "usage: cmcwh [serve] [OPTIONS]     receive webhooks of Customers Mail Cloud\n"
    "       cmcwh cat [OPTIONS] FILE    print the records of a ring, a log or frames\n" USAGE_CHECK
        USAGE_STATUS USAGE_TOOLS "       cmcwh --help | --version\n"
    "\n"
    "Options of serve, with their defaults:\n";

static const char more[] =
    "Signals: SIGTERM, SIGINT stop in order; SIGHUP opens log files anew and reads\n"
    "  credentials, certificates and keys again; SIGUSR1 says how it is.\n"
    "Exit status: 0 right, 1 failed, also a start that may go better next time,\n"
    "  2 wrong usage or configuration.\n";

static int command_serve(int count, char **arguments) {
    static struct options options; /* it holds what a --config file says */

    switch (options_read(&options, count, arguments)) {
    case OPTIONS_HELP:
        (void)fputs(usage, stdout);
        options_print();
        (void)puts("");
        sink_print_media();
        return fputs(more, stdout) < 0;
    case OPTIONS_WRONG:
        return 2;
    case OPTIONS_FAILED:
        return options.check ? 2 : 1; /* it knows of right and wrong only */
    case OPTIONS_RUN:
        break;
    }
    log_set_level(options.log_level);
    return options.check ? config_check(&options) : serve(&options);
}

typedef int (*command_run)(int count, char **arguments);

/* NULL: there is none of that name, and one line has said so. */
static command_run find(const char *name) {
    static const struct {
        const char *name;
        command_run run;
    } commands[] = {{"serve", command_serve},           {"cat", command_cat},
                    {"check", TOOL(command_check)},     {"status", ASKING(command_status)},
                    {"summary", TOOL(command_summary)}, {"test", TOOL(command_test)}};

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            if (commands[i].run == NULL) {
                log_usage("this build has no '%s': use one with TOOLS=1, on whatever machine",
                          name);
            }
            return commands[i].run;
        }
    }
    log_usage("there is no command '%s': expected serve, cat, check, status, summary, test or help",
              name);
    return NULL;
}

/* help [COMMAND] */
static int command_help(int count, char **arguments) {
    static char option[] = "--help", *options[] = {option};
    command_run run;

    if (count > 1) {
        log_usage("help: '%s': expected one command", arguments[1]);
        return 2;
    }
    run = count == 0 ? command_serve : find(arguments[0]);
    return run == NULL ? 2 : run(1, options);
}

/* What is opened must not come in the place of a standard descriptor that is closed, or messages
 * and events would be written into it. What cannot be written to stands there instead. */
static void keep_places(void) {
    for (int place = STDIN_FILENO; place <= STDERR_FILENO; place++) {
        if (fcntl(place, F_GETFD) < 0) {
            (void)open("/dev/null", O_RDONLY);
        }
    }
}

static int run_command(int count, char **arguments) {
    const char *command = count > 1 ? arguments[1] : "serve";
    command_run run;

    if (strcmp(command, "--version") == 0) {
        const char *library = tls_library();

        return printf("cmcwh " CMCWH_VERSION "\n%s%s\ncivetweb " CIVETWEB_VERSION "\n",
                      library == NULL ? "without TLS" : "TLS by ",
                      library == NULL ? "" : library) < 0;
    }
    if (count < 2 || command[0] == '-') {
        return command_serve(count < 2 ? 0 : count - 1, arguments + 1);
    }
    if (strcmp(command, "help") == 0) {
        return command_help(count - 2, arguments + 2);
    }
    run = find(command);
    return run == NULL ? 2 : run(count - 2, arguments + 2);
}

int main(int count, char **arguments) {
    int status;

    keep_places();
    status = run_command(count, arguments);
    return status == 0 && command_flush() < 0 ? 1 : status;
}
