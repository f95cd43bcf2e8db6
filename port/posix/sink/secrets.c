/* What a sink shows its peer. Not here: what a line of credentials is (platform/credentials.c), and
 * what is in a certificate (tls/openssl/client.c). */
#include "sink/secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "platform/credentials.h"
#include "platform/log.h"
#include "platform/writer.h"

/* ---- From the URI ---- */

static bool set(const char **file, const char *value) {
    *file = value;
    return value[0] != '\0';
}

bool secrets_set_list(struct sink *sink, const char *value) {
    return set(&((struct secret_files *)sink->own)->list, value);
}

bool secrets_set_ca(struct sink *sink, const char *value) {
    return set(&((struct secret_files *)sink->own)->ca, value);
}

bool secrets_set_certificate(struct sink *sink, const char *value) {
    return set(&((struct secret_files *)sink->own)->certificate, value);
}

bool secrets_set_key(struct sink *sink, const char *value) {
    return set(&((struct secret_files *)sink->own)->key, value);
}

/* ---- The list ---- */

/* RFC 9110, section 5.6.2. */
static size_t token_length(const char *text) {
    return strspn(text, "!#$%&'*+-.^_`|~0123456789"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

/* Those that say where a request ends, or what is in it, are not for a file to say. */
static bool is_ours(const char *name) {
    static const char *const ours[] = {"Host",
                                       "Connection",
                                       "Keep-Alive",
                                       "Content-Length",
                                       "Transfer-Encoding",
                                       "TE",
                                       "Trailer",
                                       "Upgrade",
                                       "Content-Type",
                                       "Content-Encoding",
                                       "Accept-Encoding",
                                       "Expect",
                                       "User-Agent",
                                       "Idempotency-Key",
                                       "Cmcwh-Events"};

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strcasecmp(name, ours[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_control(const char *text) {
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7F) {
            return true;
        }
    }
    return false;
}

/* Adds "NAME: before value". Returns what is wrong with it, or NULL. */
static const char *add_header(struct secrets *secrets, const char *name, const char *before,
                              const char *value) {
    struct writer writer = {.bytes = secrets->headers,
                            .size = sizeof secrets->headers - 1,
                            .used = strlen(secrets->headers)};

    if (has_control(value)) {
        return "a control character: a header is one line of text";
    }
    writer_text(&writer, name);
    writer_text(&writer, ": ");
    writer_text(&writer, before);
    writer_text(&writer, value);
    writer_text(&writer, "\r\n");
    return writer.full ? "more headers than this program sends (4095 bytes)" : NULL;
}

static bool is_authorized(const struct secrets *secrets) {
    return strncasecmp(secrets->headers, "Authorization:", 14) == 0 ||
           strcasestr(secrets->headers, "\nAuthorization:") != NULL;
}

/* "Name: value", of which `colon` is the colon. */
static const char *take_header(struct secrets *secrets, char *name, char *colon) {
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    enum cmcwh_credential_kind kind;

    *colon = '\0';
    if (credentials_kind(name, &kind)) {
        return "no colon behind this word: a blank";
    }
    if (is_ours(name)) {
        return "this header is the sink's own: leave it out";
    }
    if (*value == '\0') {
        return "the value of this header is missing";
    }
    if (strcasecmp(name, "Authorization") == 0 && is_authorized(secrets)) {
        return "a second Authorization: a request carries one";
    }
    return add_header(secrets, name, "", value);
}

static const char *take_for_http(struct secrets *secrets, char *line) {
    char *colon = line + token_length(line), secret[2 * SECRETS_WORD];
    enum cmcwh_credential_kind kind;
    const char *rest, *fault;

    if (*colon == ':' && colon > line) {
        return take_header(secrets, line, colon);
    }
    rest = credentials_split(line);
    if (!credentials_kind(line, &kind) ||
        (kind != CMCWH_BASIC && kind != CMCWH_BEARER && kind != CMCWH_API_KEY)) {
        return "expected: basic USER:PASSWORD, bearer TOKEN, api_key KEY or a header, Name: value";
    }
    if (kind == CMCWH_API_KEY) {
        return secrets->api_key[0] != '\0'
                   ? "a second API key: a request carries one"
                   : credentials_secret(kind, rest, secrets->api_key, sizeof secrets->api_key);
    }
    if (is_authorized(secrets)) {
        return "a second Authorization: a request carries one";
    }
    fault = credentials_secret(kind, rest, secret, sizeof secret);
    fault = fault != NULL ? fault
                          : add_header(secrets, "Authorization",
                                       kind == CMCWH_BASIC ? "Basic " : "Bearer ", secret);
    explicit_bzero(secret, sizeof secret);
    return fault;
}

static const char *take_for_mqtt(struct secrets *secrets, char *line) {
    const char *rest = credentials_split(line), *colon = strchr(rest, ':');

    if (strcmp(line, "basic") != 0 || colon == NULL || colon == rest) {
        return "expected: basic USER:PASSWORD";
    }
    if (secrets->user[0] != '\0') {
        return "a second user: a connection has one";
    }
    (void)snprintf(secrets->user, sizeof secrets->user, "%.*s", (int)(colon - rest), rest);
    (void)snprintf(secrets->password, sizeof secrets->password, "%s", colon + 1);
    return NULL;
}

static bool parse(struct secrets *secrets, enum secrets_peer peer, struct given *file) {
    const char *fault;
    bool any = false;
    char *line;

    while ((line = credentials_line(file, &fault)) != NULL) {
        fault = peer == SECRETS_HTTP ? take_for_http(secrets, line) : take_for_mqtt(secrets, line);
        if (fault != NULL) {
            break;
        }
        any = true;
    }
    if (fault != NULL) {
        return given_wrong(file, file->line, fault);
    }
    return any || given_wrong(file, 0, "there is no credential in it");
}

/* ---- Files ---- */

enum { OPTION = PATH_MAX + 64 };

/* Names a parameter in messages, by what sets it. Returns `out`. */
static const char *option_of(char out[OPTION], const struct sink *sink,
                             bool (*set_by)(struct sink *sink, const char *value)) {
    const struct sink_parameter *parameter = sink->medium->parameters;

    while (parameter->name != NULL && parameter->set != set_by) {
        parameter++;
    }
    (void)snprintf(out, OPTION, "--sink: '%s': %s", sink->uri, parameter->name);
    return out;
}

static bool load_list(struct secrets *secrets, const struct sink *sink, enum secrets_peer peer) {
    const struct secret_files *files = sink->own;
    char option[OPTION];
    struct given file;
    bool right;

    if (files->list == NULL) {
        return true;
    }
    if (!credentials_read(&file, option_of(option, sink, secrets_set_list), files->list)) {
        return false;
    }
    right = parse(secrets, peer, &file);
    given_free(&file);
    return right;
}

static bool wrong(const struct sink *sink, const char *fault) {
    log_usage("--sink: '%s': %s", sink->uri, fault);
    errno = EINVAL;
    return false;
}

static bool identify(struct secrets *secrets, const struct sink *sink) {
    const struct secret_files *files = sink->own;
    char certificate[OPTION], key[OPTION];
    const struct tls_files of_tls = {
        .certificate_option = option_of(certificate, sink, secrets_set_certificate),
        .certificate = files->certificate,
        .key_option =
            option_of(key, sink, files->key != NULL ? secrets_set_key : secrets_set_certificate),
        .key = files->key != NULL ? files->key : files->certificate};

    return tls_trust_identify(secrets->trust, &of_tls);
}

static bool load_tls(struct secrets *secrets, const struct sink *sink) {
    const struct secret_files *files = sink->own;
    char ca[OPTION];

    if (!tls_built_in()) {
        return wrong(sink, "this build has no TLS");
    }
    if (files->key != NULL && files->certificate == NULL) {
        return wrong(sink, "key= is of no use without cert=");
    }
    secrets->trust = tls_trust_open(option_of(ca, sink, secrets_set_ca), files->ca);
    return secrets->trust != NULL && (files->certificate == NULL || identify(secrets, sink));
}

static bool no_tls(const struct sink *sink) {
    const struct secret_files *files = sink->own;

    return (files->ca == NULL && files->certificate == NULL && files->key == NULL) ||
           wrong(sink, "ca=, cert= and key= are for TLS, which this scheme has not");
}

struct secrets *secrets_load(const struct sink *sink, enum secrets_peer peer, bool tls) {
    struct secrets *secrets = calloc(1, sizeof *secrets);
    int error;

    if (secrets == NULL) {
        (void)log_failure("memory for a sink (--sink)", ENOMEM);
        errno = ENOMEM;
        return NULL;
    }
    if (load_list(secrets, sink, peer) && (tls ? load_tls(secrets, sink) : no_tls(sink))) {
        return secrets;
    }
    error = errno;
    secrets_unload(secrets);
    errno = error;
    return NULL;
}

void secrets_unload(void *loaded) {
    struct secrets *secrets = loaded;

    if (secrets != NULL) {
        tls_trust_close(secrets->trust);
        explicit_bzero(secrets, sizeof *secrets);
        free(secrets);
    }
}

static void cover(char *text, size_t length, const char *secret, size_t whole) {
    enum { SHORTEST = 4 };

    for (size_t at = 0; whole >= SHORTEST && at + SHORTEST <= length; at++) {
        size_t most = length - at < whole ? length - at : whole;

        if (memcmp(text + at, secret, most) == 0) {
            memset(text + at, '*', most);
        }
    }
}

void secrets_cover(const struct secrets *secrets, char *text, size_t length) {
    const char *end;

    cover(text, length, secrets->api_key, strlen(secrets->api_key));
    for (const char *line = secrets->headers; *line != '\0'; line = end + 2) {
        const char *value = strchr(line, ':') + 2, *word = strchr(value, ' ');

        end = strchr(value, '\r');
        cover(text, length, value, (size_t)(end - value));
        if (word != NULL && word < end) { /* "Bearer x" */
            cover(text, length, word + 1, (size_t)(end - word - 1));
        }
    }
}

bool secrets_are_relative(const struct sink *sink) {
    const struct secret_files *files = sink->own;
    const char *const each[] = {files->list, files->ca, files->certificate, files->key};

    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        if (each[i] != NULL && each[i][0] != '/') {
            return true;
        }
    }
    return false;
}

void secrets_say_unreadable(const struct sink *sink) {
    const struct secret_files *files = sink->own;
    const struct {
        bool (*set_by)(struct sink *sink, const char *value);
        const char *file;
    } each[] = {{secrets_set_list, files->list},
                {secrets_set_ca, files->ca},
                {secrets_set_certificate, files->certificate},
                {secrets_set_key, files->key}};
    char option[OPTION];

    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        given_say_unreadable(option_of(option, sink, each[i].set_by), each[i].file);
    }
}
