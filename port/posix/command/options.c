/* The options of `cmcwh serve`. One table says what each is called, means and takes; the command
 * line, --config and --help all go by it. Not here: what is done with them (serve.c). */
#include "command/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/daily.h"
#include "platform/given.h"
#include "platform/log.h"
#include "platform/number.h"
#include "platform/outcome.h"
#include "tls/server.h"

/* Stores a value. Returns what was expected instead, or NULL. */
typedef const char *(*setter)(struct options *options, const char *value);

/* A number that fits in 32 bits. */
static bool small_number(const char *value, uint32_t least, uint32_t most, uint32_t *out) {
    uint64_t wide;
    bool right = number_read(value, least, most, &wide);

    *out = right ? (uint32_t)wide : 0;
    return right;
}

/* What was expected instead of a listener, or NULL. */
static const char *check_listener(const char *value) {
    struct sockaddr_storage address;
    socklen_t length;

    if (network_secure(value) && !tls_built_in()) {
        return "no HTTPS: this build has no TLS; put a TLS front before it";
    }
    return network_listener(value, &address, &length)
               ? NULL
               : "ADDR:PORT, such as 0.0.0.0:8080, [::]:8080, or 0.0.0.0:8443s for HTTPS";
}

static const char *set_listen(struct options *options, const char *value) {
    const char *expected = check_listener(value);

    if (expected == NULL && options->listeners == LISTEN_MAX) {
        return "8 listeners at most";
    }
    if (expected == NULL) {
        options->listen[options->listeners++] = value;
    }
    return expected;
}

static const char *set_path(struct options *options, const char *value) {
    bool plain = value[0] == '/' && strpbrk(value, "?#%") == NULL;

    for (const char *at = value; *at != '\0'; at++) {
        plain = plain && (unsigned char)*at > ' ' && *at != 0x7F;
    }
    options->path = value;
    return plain ? NULL
                 : "a path that begins with '/', without '?', '#', '%', spaces and control "
                   "characters";
}

static const char *set_file(const char **file, const char *value) {
    *file = value;
    return value[0] != '\0' ? NULL : "a file's path";
}

static const char *set_auth_file(struct options *options, const char *value) {
    return set_file(&options->auth_file, value);
}

static const char *set_tls_cert(struct options *options, const char *value) {
    return tls_built_in() ? set_file(&options->tls_cert, value) : "nothing: this build has no TLS";
}

static const char *set_tls_key(struct options *options, const char *value) {
    return tls_built_in() ? set_file(&options->tls_key, value) : "nothing: this build has no TLS";
}

static const char *add_network(struct network *networks, unsigned *count, const char *value) {
    if (*count == OPTIONS_NETWORKS) {
        return "32 networks at most";
    }
    return network_parse(&networks[(*count)++], value)
               ? NULL
               : "an address or a range, such as 192.0.2.0/24 or 2001:db8::/32";
}

static const char *set_allow(struct options *options, const char *value) {
    return add_network(options->allow, &options->networks, value);
}

static const char *set_proxy(struct options *options, const char *value) {
    return add_network(options->proxies, &options->proxy_count, value);
}

static const char NO_ADMIN[] = "nothing: this build has no admin port";

static const char *set_admin(struct options *options, const char *value) {
    options->admin = value;
    return admin_built_in() ? check_listener(value) : NO_ADMIN;
}

static const char *set_admin_auth_file(struct options *options, const char *value) {
    return admin_built_in() ? set_file(&options->admin_auth_file, value) : NO_ADMIN;
}

static const char *set_admin_host(struct options *options, const char *value) {
    if (!admin_built_in()) {
        return NO_ADMIN;
    }
    if (options->admin_hosts == OPTIONS_HOSTS) {
        return "8 names at most";
    }
    options->admin_host[options->admin_hosts++] = value;
    return value[0] != '\0' && strpbrk(value, ":/@[] ") == NULL
               ? NULL
               : "the name of a host, such as status.example.jp, without a port";
}

static const char *set_hide_addresses(struct options *options, const char *value) {
    options->hide_addresses = strcmp(value, "yes") == 0;
    return !admin_built_in()                                     ? NO_ADMIN
           : options->hide_addresses || strcmp(value, "no") == 0 ? NULL
                                                                 : "yes or no";
}

static const char *set_sink(struct options *options, const char *value) {
    if (options->sinks == CMCWH_READERS_MAX) {
        return "8 sinks at most";
    }
    options->sink[options->sinks++] = value;
    return NULL;
}

static const char *set_ring(struct options *options, const char *value) {
    options->ring = strcmp(value, "memory") == 0 ? NULL : value;
    return value[0] != '\0' ? NULL : "a file's path, or memory";
}

static const char *set_ring_records(struct options *options, const char *value) {
    return small_number(value, 1, 1 << 24, &options->ring_records) ? NULL
                                                                   : "a number from 1 to 16777216";
}

/* A time in ms: seconds, or so many of another unit. */
static bool time_span(const char *value, uint64_t *ms) {
    static const struct {
        const char *name;
        uint32_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char *unit;
    unsigned long long count;

    errno = 0;
    count = strtoull(value, &unit, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) == 0) {
            *ms = count * units[i].ms;
            return value[0] >= '0' && value[0] <= '9' && errno == 0 &&
                   count <= UINT64_MAX / units[i].ms;
        }
    }
    return false;
}

static const char *set_sync(struct options *options, const char *value) {
    enum { LONGEST = 10000 };
    size_t length = strlen(value);
    uint64_t ms = 0;
    bool timed =
        length > 0 && value[length - 1] == 's' && time_span(value, &ms) && ms >= 1 && ms <= LONGEST;

    options->sync = timed || strcmp(value, "always") == 0;
    options->gather = timed ? (uint32_t)ms : 0;
    return options->sync || strcmp(value, "never") == 0
               ? NULL
               : "always, never, or a time such as 250ms or 2s, 10s at most";
}

static const char *set_workers(struct options *options, const char *value) {
    return small_number(value, 1, 256, &options->workers) ? NULL : "a number from 1 to 256";
}

static const char *set_connections(struct options *options, const char *value) {
    return small_number(value, 16, 16384, &options->connections) ? NULL
                                                                 : "a number from 16 to 16384";
}

static const char *set_slow_requests(struct options *options, const char *value) {
    return small_number(value, 1, 4096, &options->slow_requests) ? NULL : "a number from 1 to 4096";
}

static const char *set_body_max(struct options *options, const char *value) {
    return number_read(value, 1, UINT64_C(1) << 40, &options->body_max)
               ? NULL
               : "a number of bytes from 1 to 1099511627776";
}

static const char *set_store_timeout(struct options *options, const char *value) {
    return small_number(value, 1, 60, &options->store_timeout) ? NULL
                                                               : "a number of seconds from 1 to 60";
}

static const char *set_body_timeout(struct options *options, const char *value) {
    return small_number(value, 1, 3600, &options->body_timeout)
               ? NULL
               : "a number of seconds from 1 to 3600";
}

static const char *set_keep_alive(struct options *options, const char *value) {
    return small_number(value, 0, 3600, &options->keep_alive)
               ? NULL
               : "a number of seconds from 0 to 3600";
}

static const char *set_quiet_after(struct options *options, const char *value) {
    enum { YEAR = 366 * 86400 };
    uint64_t ms;
    bool right = time_span(value, &ms) && ms % 1000 == 0 && ms / 1000 <= YEAR;

    options->quiet_after = right ? (uint32_t)(ms / 1000) : 0;
    return right ? NULL : "a time such as 90m, 2h or 3d (without a letter: seconds), 366d at most";
}

static const char *set_summary_at(struct options *options, const char *value) {
    options->summary_at = daily_read(value);
    return options->summary_at >= 0 ? NULL : "a time of the day, from 00:00 to 23:59";
}

static const char *set_pid_file(struct options *options, const char *value) {
    return set_file(&options->pid_file, value);
}

static const char *set_user(struct options *options, const char *value) {
    options->user = value;
    return NULL;
}

static const char *set_log_level(struct options *options, const char *value) {
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(value, names[i]) == 0) {
            options->log_level = (enum cmcwh_level)i;
            return NULL;
        }
    }
    return "error, warn, info or debug";
}

static const struct option {
    const char *name;
    const char *value;
    const char *meaning;
    setter set;
} table[] = {
    {"listen", "ADDR:PORT",
     "where to listen; repeatable; port 0 picks one;\n"
     "a port that ends in 's' is HTTPS (127.0.0.1:8080)",
     set_listen},
    {"tls-cert", "PEM", "certificate and chain for HTTPS", set_tls_cert},
    {"tls-key", "PEM", "its key", set_tls_key},
    {"path", "PATH", "the endpoint (/mails)", set_path},
    {"auth-file", "FILE",
     "who may post: lines 'basic USER:PASSWORD',\n"
     "'bearer TOKEN', 'api_key KEY', or 'chain TOKEN' for\n"
     "another cmcwh (everybody)",
     set_auth_file},
    {"allow", "CIDR", "take requests from there only; repeatable (all)", set_allow},
    {"proxy", "CIDR",
     "a proxy that is believed when it tells whose request\n"
     "it is (X-Forwarded-For, PROXY protocol); repeatable",
     set_proxy},
    {"admin", "ADDR:PORT",
     "another port, for operators: status page, health,\n"
     "metrics, events (none); beyond this machine it needs\n"
     "HTTPS and credentials",
     set_admin},
    {"admin-auth-file", "FILE",
     "who may look there: lines 'basic USER:PASSWORD',\n"
     "'bearer TOKEN' (whoever can reach it)",
     set_admin_auth_file},
    {"admin-host", "NAME",
     "a name by which browsers may call it; repeatable\n"
     "(localhost, this machine's, the certificate's)",
     set_admin_host},
    {"hide-addresses", "yes|no",
     "show nobody there more of a mail address than its\n"
     "domain (no: as ?hide=addresses asks)",
     set_hide_addresses},
    {"sink", "URI", "where events go; repeatable (stdout:), see below", set_sink},
    {"ring", "FILE|memory",
     "where the ring lives (memory); a file keeps events\n"
     "until every required sink has them, over restarts\n"
     "and power cuts",
     set_ring},
    {"ring-records", "N", "how many records it holds (1024, or the file's)", set_ring_records},
    {"sync", "always|never|TIME",
     "does a 200 wait until the events are synced to the\n"
     "ring's file, or without one until every required\n"
     "sink has them, files synced? (always) With a TIME,\n"
     "such as 250ms or 2s, it waits so long for others to\n"
     "share the sync: flash lasts longer",
     set_sync},
    {"workers", "N", "threads that answer requests (4)", set_workers},
    {"connections", "N",
     "connections at most; then who has most of them, or\n"
     "has done least, gives way (1024)",
     set_connections},
    {"slow-requests", "N",
     "requests of which a part has come and is kept, at\n"
     "most; each takes 26 KiB (20)",
     set_slow_requests},
    {"body-max", "BYTES", "longest body taken (8388608)", set_body_max},
    {"body-timeout", "SECONDS", "a request must be whole within this (10)", set_body_timeout},
    {"store-timeout", "SECONDS", "and stored within this (2), or it gets 503", set_store_timeout},
    {"keep-alive", "SECONDS",
     "a connection may rest so long between requests,\n"
     "as its client is told; 0: none is kept (60)",
     set_keep_alive},
    {"quiet-after", "TIME",
     "longer without an event is not as it should be: the\n"
     "status says so; such as 90m, 2h, 3d (0: never)",
     set_quiet_after},
    {"summary-at", "HH:MM",
     "say once a day, at this local time, what happened\n"
     "and how it is, in one line (never)",
     set_summary_at},
    {"pid-file", "FILE", "write the process id there (none)", set_pid_file},
    {"user", "NAME", "run as this user; log files must be writable\nfor it", set_user},
    {"log-level", "LEVEL", "error, warn, info or debug (info)", set_log_level},
};

void options_print(void) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *meaning = table[i].meaning;
        int width = printf("  --%s %s", table[i].name, table[i].value);

        for (;;) {
            size_t length = strcspn(meaning, "\n");

            printf("%*s%.*s\n", width < 28 ? 28 - width : 1, "", (int)length, meaning);
            if (meaning[length] == '\0') {
                break;
            }
            meaning += length + 1;
            width = 0;
        }
    }
    puts("  --config FILE             options as lines 'name = value', '#' comments;\n"
         "                            the command line wins\n"
         "  --check-config            say all that is wrong, or not there now, and end");
}

static const struct option *find(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

/* A copy that lasts as long as the options, or NULL. */
static const char *keep(struct options *options, const char *value) {
    size_t size = strlen(value) + 1;
    char *copy = options->text + options->text_used;

    if (size > OPTIONS_TEXT - options->text_used) {
        return NULL;
    }
    options->text_used += size;
    return memcpy(copy, value, size);
}

/* One line of --config. */
static bool config_line(struct options *options, const struct given *file, char *line) {
    char *name = line + strspn(line, " \t"), *value, *end;
    const struct option *option;
    const char *expected, *kept;

    if (*name == '\0' || *name == '#') {
        return true;
    }
    value = strchr(name, '=');
    if (value == NULL) {
        return given_wrong(file, file->line, "expected: name = value");
    }
    for (end = value; end > name && (end[-1] == ' ' || end[-1] == '\t'); end--) {
    }
    value += 1 + strspn(value + 1, " \t");
    option = find(name, (size_t)(end - name));
    *end = '\0';
    for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');) {
        *--end = '\0';
    }
    if (option == NULL) {
        log_usage("%s: %s:%u: there is no option '%s': see cmcwh serve --help", file->option,
                  file->path, file->line, name);
        return false;
    }
    kept = keep(options, value);
    expected = kept == NULL ? "no more than 16 KiB of values in all" : option->set(options, kept);
    if (expected != NULL) {
        log_usage("%s: %s:%u: %s: '%s': expected %s", file->option, file->path, file->line,
                  option->name, value, expected);
    }
    return expected == NULL;
}

static enum outcome config_file(struct options *options, const char *path) {
    struct given file;
    const char *fault = NULL;
    bool right = true;
    char *line;

    if (!given_read(&file, "--config", path)) {
        options->unread = true;
        return outcome_of(errno);
    }
    while ((right || options->check) && (line = given_line(&file, &fault)) != NULL) {
        right = config_line(options, &file, line) && right;
    }
    if (fault != NULL) {
        options->unread = true;
        right = given_wrong(&file, file.line, fault);
    }
    given_free(&file);
    return right ? OUTCOME_RIGHT : OUTCOME_WRONG;
}

/* The value of the option at arguments[*i], behind '=' or as the next argument. */
static const char *value_of(int count, char **arguments, int *i) {
    const char *equals = strchr(arguments[*i], '=');

    if (equals != NULL) {
        return equals + 1;
    }
    return *i + 1 < count ? arguments[++*i] : NULL;
}

/* One option of the command line, at arguments[*i]. --config was read before. */
static bool argument(struct options *options, int count, char **arguments, int *i) {
    const char *text = arguments[*i], *value, *expected;
    size_t length = strcspn(text, "=");
    const struct option *option = NULL;
    bool config = length == 8 && memcmp(text, "--config", 8) == 0;

    if (strcmp(text, "--check-config") == 0) { /* known from the start */
        return true;
    }
    if (length > 2 && text[0] == '-' && text[1] == '-') {
        option = find(text + 2, length - 2);
    }
    if (option == NULL && !config) {
        log_usage("there is no option '%s': see cmcwh serve --help", text);
        *i += *i + 1 < count && arguments[*i + 1][0] != '-'; /* its value, most likely */
        return false;
    }
    value = value_of(count, arguments, i);
    if (value == NULL) {
        log_usage("%s: a value must follow: %s", text, config ? "FILE" : option->value);
        return false;
    }
    expected = config ? NULL : option->set(options, value);
    if (expected != NULL) {
        log_usage("--%s: '%s': expected %s", option->name, value, expected);
    }
    return expected == NULL;
}

/* What the command line says replaces lists of the file as a whole. */
static void replace_lists(struct options *options, int count, char **arguments) {
    for (int i = 0; i < count; i++) {
        size_t length = strcspn(arguments[i], "=");

        if (length == 8 && memcmp(arguments[i], "--listen", 8) == 0) {
            options->listeners = 0;
        } else if (length == 7 && memcmp(arguments[i], "--allow", 7) == 0) {
            options->networks = 0;
        } else if (length == 7 && memcmp(arguments[i], "--proxy", 7) == 0) {
            options->proxy_count = 0;
        } else if (length == 6 && memcmp(arguments[i], "--sink", 6) == 0) {
            options->sinks = 0;
        } else if (length == 12 && memcmp(arguments[i], "--admin-host", 12) == 0) {
            options->admin_hosts = 0;
        }
    }
}

/* One without a value is said when its turn comes in the command line. */
static enum outcome config_files(struct options *options, int count, char **arguments) {
    enum outcome outcome = OUTCOME_RIGHT;

    for (int i = 0; i < count && (outcome == OUTCOME_RIGHT || options->check); i++) {
        const char *value;

        if (strncmp(arguments[i], "--config", 8) != 0 ||
            (arguments[i][8] != '\0' && arguments[i][8] != '=')) {
            continue;
        }
        value = value_of(count, arguments, &i);
        if (value != NULL) {
            outcome = outcome_worse(outcome, config_file(options, value));
        }
    }
    return outcome;
}

/* Port 0 is another one each time. */
static bool same_listener(const char *one, const char *other) {
    struct sockaddr_storage first, second;
    socklen_t length;

    return network_listener(one, &first, &length) && network_listener(other, &second, &length) &&
           memcmp(&first, &second, sizeof first) == 0 &&
           ((const struct sockaddr_in *)&first)->sin_port != 0; /* sin6_port is at its place */
}

/* Whoever can reach it sees to whom mail goes. */
static bool admin_fits(const struct options *options) {
    const char *admin = options->admin;

    if (admin == NULL && (options->admin_auth_file != NULL || options->admin_hosts > 0)) {
        log_usage("--admin-%s: needs --admin ADDR:PORT: without it there is no such port",
                  options->admin_auth_file != NULL ? "auth-file" : "host");
        return false;
    }
    if (admin == NULL || check_listener(admin) != NULL) {
        return true; /* what is no address was said */
    }
    if (network_secure(admin) && options->tls_cert == NULL) {
        log_usage("--admin: '%s': HTTPS needs --tls-cert and --tls-key", admin);
        return false;
    }
    if (!listen_loopback(admin) && (!network_secure(admin) || options->admin_auth_file == NULL)) {
        log_usage("--admin: '%s': others than this machine could look in: it needs HTTPS (a port "
                  "that ends in 's', --tls-cert, --tls-key) and --admin-auth-file, or 127.0.0.1 "
                  "as its address",
                  admin);
        return false;
    }
    for (unsigned i = 0; i < options->listeners; i++) {
        if (same_listener(admin, options->listen[i])) {
            log_usage("--admin: '%s': webhooks come there (--listen): it needs a port of its own",
                      admin);
            return false;
        }
    }
    return true;
}

/* What no option can see alone; nor can it be seen without a file that might say more. */
static bool fit(const struct options *options) {
    bool right = true;

    if (options->unread) {
        return false;
    }
    if ((options->tls_cert == NULL) != (options->tls_key == NULL)) {
        log_usage("--tls-%s must be given too: a certificate and its key belong together",
                  options->tls_cert == NULL ? "cert" : "key");
        return false;
    }
    for (unsigned i = 0; i < options->listeners && (right || options->check); i++) {
        if (network_secure(options->listen[i]) && options->tls_cert == NULL) {
            log_usage("--listen: '%s': HTTPS needs --tls-cert and --tls-key", options->listen[i]);
            right = false;
        }
    }
    if (right || options->check) {
        right = admin_fits(options) && right;
    }
    return right;
}

enum options_result options_read(struct options *options, int count, char **arguments) {
    enum outcome outcome;

    memset(options, 0, offsetof(struct options, text));
    options->text_used = 0;
    options->path = "/mails";
    options->sync = true;
    options->workers = 4;
    options->connections = 1024;
    options->slow_requests = 20;
    options->body_max = 8388608;
    options->body_timeout = 10;
    options->store_timeout = 2;
    options->keep_alive = 60;
    options->summary_at = -1;
    options->log_level = CMCWH_LOG_INFO;
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
            return OPTIONS_HELP;
        }
        options->check = options->check || strcmp(arguments[i], "--check-config") == 0;
    }
    outcome = config_files(options, count, arguments);
    replace_lists(options, count, arguments);
    for (int i = 0; i < count && (outcome == OUTCOME_RIGHT || options->check); i++) {
        if (!argument(options, count, arguments, &i)) {
            outcome = OUTCOME_WRONG;
        }
    }
    if (options->listeners == 0) {
        options->listen[options->listeners++] = "127.0.0.1:8080";
    }
    if ((outcome == OUTCOME_RIGHT || options->check) && !fit(options)) {
        outcome = OUTCOME_WRONG;
    }
    if (outcome != OUTCOME_RIGHT) {
        return outcome == OUTCOME_FAILED ? OPTIONS_FAILED : OPTIONS_WRONG;
    }
    if (options->sinks == 0) {
        options->sink[options->sinks++] = "stdout:";
    }
    return OPTIONS_RUN;
}
