/* cmcwh serve: what its options lead to is read and looked at. Not here: which options there are
 * (options.c), and opening what is written to (serve.c). */
#include "command/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin.h"
#include "door/auth.h"
#include "door/http.h"
#include "door/listen.h"
#include "platform/given.h"
#include "platform/log.h"
#include "platform/place.h"
#include "platform/process.h"
#include "platform/ring_file.h"
#include "sink/secrets.h"
#include "tls/server.h"

/* ---- For who serves, too ---- */

struct listeners config_listeners(const struct options *options) {
    return (struct listeners){"--listen", options->listen, options->listeners};
}

struct listeners config_admin(const struct options *options) {
    return (struct listeners){"--admin", &options->admin, options->admin != NULL};
}

unsigned config_descriptors(const struct options *options) {
    return options->admin != NULL ? ADMIN_DESCRIPTORS : 0;
}

bool config_privileged(const struct options *options) {
    const struct listeners listeners = config_listeners(options), admin = config_admin(options);

    return listen_privileged(&listeners) || listen_privileged(&admin);
}

/* Is the last of these sinks to write to what another option, or sink, names? */
static bool collides(const struct options *options, const struct sink *sinks, unsigned last) {
    const char *const files[] = {options->auth_file, options->admin_auth_file, options->tls_cert,
                                 options->tls_key,   options->pid_file,        options->ring};
    const struct sink *sink = &sinks[last];
    bool same = false;

    for (size_t i = 0; sink->medium->target == sink_path && i < sizeof files / sizeof *files; i++) {
        same = same || (files[i] != NULL && strcmp(files[i], sink->target) == 0);
    }
    for (unsigned i = 0; i < last; i++) {
        same = same || sink_same(&sinks[i], sink);
    }
    if (same) {
        log_usage("--sink: '%s': another sink or option has the same place", sink->uri);
    }
    return same;
}

/* One that is wrong has no medium. */
static enum outcome parse_sink(const struct options *options, struct sink *sinks, unsigned i) {
    bool read = sink_parse(&sinks[i], options->sink[i], options->sync);
    enum outcome outcome = OUTCOME_RIGHT;

    if (read && collides(options, sinks, i)) {
        outcome = OUTCOME_WRONG;
    } else if (!read || !sink_load(&sinks[i])) {
        outcome = outcome_of(errno);
    }
    if (outcome != OUTCOME_RIGHT) {
        sink_free(&sinks[i]);
        sinks[i].medium = NULL;
    }
    return outcome;
}

/* With --check-config those behind one that is wrong are read too. */
static enum outcome parse_sinks(const struct options *options, struct sink *sinks) {
    enum outcome outcome = OUTCOME_RIGHT;

    for (unsigned i = 0; i < options->sinks && (outcome == OUTCOME_RIGHT || options->check); i++) {
        outcome = outcome_worse(outcome, parse_sink(options, sinks, i));
    }
    return outcome;
}

static enum outcome read_auth(enum auth_door door, const char *path) {
    struct auth *auth = path == NULL ? NULL : auth_read(door, path);
    enum outcome outcome = path == NULL || auth != NULL ? OUTCOME_RIGHT : outcome_of(errno);

    auth_use(door, auth);
    return outcome;
}

static enum outcome read_certificate(const struct options *options) {
    return options->tls_cert == NULL || tls_load(options->tls_cert, options->tls_key)
               ? OUTCOME_RIGHT
               : outcome_of(errno);
}

enum outcome config_read(const struct options *options, struct sink sinks[CMCWH_READERS_MAX]) {
    enum outcome outcome = parse_sinks(options, sinks);

    outcome = outcome != OUTCOME_RIGHT ? outcome : read_auth(AUTH_WEBHOOKS, options->auth_file);
    outcome = outcome != OUTCOME_RIGHT ? outcome : read_auth(AUTH_ADMIN, options->admin_auth_file);
    return outcome != OUTCOME_RIGHT ? outcome : read_certificate(options);
}

static bool relative(const char *path) {
    return path != NULL && path[0] != '/';
}

/* Is anything looked for in the directory in which we were started? */
static bool some_relative(const struct options *options, const struct sink *sinks) {
    for (unsigned i = 0; i < options->sinks; i++) {
        const struct sink_medium *medium = sinks[i].medium;

        if (medium != NULL && ((medium->target == sink_path && relative(sinks[i].target)) ||
                               (medium->load != NULL && secrets_are_relative(&sinks[i])))) {
            return true;
        }
    }
    return relative(options->auth_file) || relative(options->admin_auth_file) ||
           relative(options->tls_cert) || relative(options->tls_key) || relative(options->ring);
}

enum outcome config_become(const struct options *options, const struct sink *sinks) {
    enum outcome outcome = process_become(options->user);
    char directory[PATH_MAX];

    if (outcome != OUTCOME_RIGHT) {
        return outcome;
    }
    if (some_relative(options, sinks) && faccessat(AT_FDCWD, ".", X_OK, AT_EACCESS) != 0) {
        log_line(CMCWH_LOG_WARN,
                 "--user: '%s' may not enter %s, where names that do not begin with '/' are looked "
                 "for: give whole paths",
                 options->user,
                 getcwd(directory, sizeof directory) == NULL ? "the directory of the start"
                                                             : directory);
        return OUTCOME_RIGHT;
    }
    given_say_unreadable("--auth-file", options->auth_file);
    given_say_unreadable("--admin-auth-file", options->admin_auth_file);
    given_say_unreadable("--tls-cert", options->tls_cert);
    given_say_unreadable("--tls-key", options->tls_key);
    for (unsigned i = 0; i < options->sinks; i++) {
        if (sinks[i].medium != NULL && sinks[i].medium->load != NULL) {
            secrets_say_unreadable(&sinks[i]);
        }
    }
    return OUTCOME_RIGHT;
}

#define REMEDY "; a disk, or flash with a file system for it, would keep that"

static void warn_ring(const char *ring) {
    char why[PLACE_WHY];

    if (place_fades(ring, why)) {
        log_line(CMCWH_LOG_WARN,
                 "ring '%s': %s: a power cut loses what was answered with 200" REMEDY, ring, why);
    }
}

static void warn_sink(const struct sink *sink) {
    const char *(*keeps)(const struct sink *) = sink->medium == NULL ? NULL : sink->medium->keeps;
    const char *file = keeps == NULL ? NULL : keeps(sink);
    char why[PLACE_WHY];

    if (file != NULL && sink->required && place_fades(file, why)) {
        log_line(CMCWH_LOG_WARN, "sink '%s': %s %s: a power cut loses what it has taken" REMEDY,
                 sink->uri, file, why);
    }
}

void config_warn_places(const struct options *options, const struct sink *sinks) {
    if (!options->sync) {
        return;
    }
    if (options->ring != NULL) {
        warn_ring(options->ring);
    }
    for (unsigned i = 0; i < options->sinks; i++) {
        warn_sink(&sinks[i]);
    }
}

/* ---- --check-config ---- */

static enum outcome look_at_sinks(const struct options *options, struct sink *sinks) {
    enum outcome outcome = OUTCOME_RIGHT;

    for (unsigned i = 0; i < options->sinks; i++) {
        struct sink *sink = &sinks[i];

        if (sink->medium != NULL && sink->medium->look != NULL &&
            sink->medium->look(sink, true) != OUTCOME_RIGHT) {
            log_usage("--sink: '%s': %s", sink->uri, sink->trouble);
            outcome = OUTCOME_WRONG;
        }
    }
    return outcome;
}

static bool look_at_ring(const struct options *options) {
    return options->ring == NULL ||
           ring_file_look(options->ring, options->ring_records) == OUTCOME_RIGHT;
}

int config_check(const struct options *options) {
    static struct sink sinks[CMCWH_READERS_MAX];
    const struct listeners listeners = config_listeners(options), admin = config_admin(options);
    bool right = parse_sinks(options, sinks) == OUTCOME_RIGHT;
    bool late = options->user != NULL && config_privileged(options); /* as when it starts */

    right = read_auth(AUTH_WEBHOOKS, options->auth_file) == OUTCOME_RIGHT && right;
    right = read_auth(AUTH_ADMIN, options->admin_auth_file) == OUTCOME_RIGHT && right;
    right = read_certificate(options) == OUTCOME_RIGHT && right;
    right =
        (options->pid_file == NULL || process_look(options->pid_file) == OUTCOME_RIGHT) && right;
    right = listen_look(&listeners) == OUTCOME_RIGHT && right;
    right = listen_look(&admin) == OUTCOME_RIGHT && right;
    right = http_look(options->connections, config_descriptors(options)) == OUTCOME_RIGHT && right;
    right = (!late || look_at_ring(options)) && right;
    right = (options->user == NULL || config_become(options, sinks) == OUTCOME_RIGHT) && right;
    right = (late || look_at_ring(options)) && right;
    right = look_at_sinks(options, sinks) == OUTCOME_RIGHT && right;
    config_warn_places(options, sinks);
    if (right) {
        (void)puts("cmcwh: the configuration is right");
    }
    return right ? (int)OUTCOME_RIGHT : (int)OUTCOME_WRONG;
}
