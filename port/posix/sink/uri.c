/* The URI of a sink: which medium, where, and how. The list of media is here. Not here: opening
 * anything. */
#include "sink/sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/log.h"
#include "platform/only.h"
#include "platform/url.h"
#include "sink/secrets.h"

/* In the order of --help; NULL ends them. */
static const struct sink_medium *const media[] = {&sink_file, &sink_stdout, &sink_syslog,
                                                  &sink_udp,  &sink_tcp,    &sink_serial,
#if CMCWH_HTTP
                                                  &sink_http, &sink_https,
#endif
#if CMCWH_MQTT
                                                  &sink_mqtt, &sink_mqtts,
#endif
                                                  NULL};

const char *sink_path(char *text) {
    return text[0] != '\0' ? NULL : "a path after the colon";
}

/* One more word in a line that has `used` columns, or in the next one. Returns how many it has
 * then. */
static int print_word(int used, const char *gap, const char *word, size_t length) {
    enum { WIDTH = 80, INDENT = 4 };

    if (used + (int)(strlen(gap) + length) >= WIDTH) {
        (void)printf("%s\n%*s", gap[0] == ',' ? "," : "", INDENT - 1, "");
        used = INDENT - 1;
        gap = " ";
    }
    return used + printf("%s%.*s", gap, (int)length, word);
}

/* The media that have the same parameters as this one, the first of them, and what these are. */
static void print_parameters(size_t first) {
    const struct sink_parameter *parameter = media[first]->parameters;
    int used = printf("  %s", media[first]->scheme);

    for (size_t i = first + 1; media[i] != NULL; i++) {
        if (media[i]->parameters == parameter) {
            used += printf(", %s", media[i]->scheme);
        }
    }
    for (const char *gap = ": "; parameter->name != NULL; parameter++, gap = ", ") {
        used = print_word(used, gap, parameter->expected, strcspn(parameter->expected, ","));
    }
    (void)putchar('\n');
}

/* Has one before it the same parameters? */
static bool is_told(size_t which) {
    size_t i = 0;

    while (media[i]->parameters != media[which]->parameters) {
        i++;
    }
    return i < which;
}

void sink_print_media(void) {
    int used = printf("Sinks:");

    for (size_t i = 0; media[i] != NULL; i++) {
        used = print_word(used, i == 0 ? " " : "  ", media[i]->help, strlen(media[i]->help));
    }
    (void)puts("\n  format=json|logfmt|binary, policy=required|besteffort\n"
               "  only=LIST: no other events, such as only=bounces,failed or only=bounces:2");
    for (size_t i = 0; media[i] != NULL; i++) {
        if (media[i]->parameters != NULL && !is_told(i)) {
            print_parameters(i);
        }
    }
}

static bool set_format(struct sink *sink, const char *value) {
    static const struct {
        const char *name;
        enum cmcwh_encoding encoding;
    } formats[] = {{"json", CMCWH_ENCODE_JSON},
                   {"logfmt", CMCWH_ENCODE_LOGFMT},
                   {"binary", CMCWH_ENCODE_BINARY}};

    if (sink->medium->fixed) { /* syslog's encodings carry logfmt */
        return strcmp(value, "logfmt") == 0 ||
               sink_trouble(sink, "format=logfmt, as syslog always has it", 0) == 0;
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(value, formats[i].name) == 0) {
            sink->encoding = formats[i].encoding;
            return true;
        }
    }
    return false;
}

static bool set_policy(struct sink *sink, const char *value) {
    sink->required = strcmp(value, "required") == 0;
    return sink->required || strcmp(value, "besteffort") == 0;
}

static bool set_only(struct sink *sink, const char *value) {
    return only_read(&sink->only, value, sink->trouble);
}

/* The parameters that every medium takes. */
static const struct sink_parameter common[] = {
    {"format", "format=json, logfmt or binary", set_format},
    {"policy", "policy=required or besteffort", set_policy},
    {"only", "only=LIST", set_only},
    {NULL, NULL, NULL}};

static const struct sink_parameter *find(const struct sink_parameter *parameters, const char *name,
                                         size_t length) {
    for (; parameters != NULL && parameters->name != NULL; parameters++) {
        if (strlen(parameters->name) == length && memcmp(parameters->name, name, length) == 0) {
            return parameters;
        }
    }
    return NULL;
}

/* How much of a URI is shown: what is wrong with it stands behind it, in a line that has an end. */
enum { SHOWN = 320 };

static bool wrong(const char *uri, const char *what, const char *expected) {
    char shown[SHOWN], shown_what[SHOWN];

    log_usage("--sink: '%s': '%s': expected %s", url_shown(uri, shown, sizeof shown),
              url_shown(what, shown_what, sizeof shown_what), expected);
    errno = EINVAL;
    return false;
}

/* What names the file for a user and password, if there is one; they are for no URI. */
static bool wrong_user(const struct sink *sink) {
    const struct sink_parameter *parameter = sink->medium->parameters;
    char shown[SHOWN];

    while (parameter != NULL && parameter->name != NULL && parameter->set != secrets_set_list) {
        parameter++;
    }
    if (parameter == NULL || parameter->name == NULL || url_user(sink->uri).length == 0) {
        return false;
    }
    log_usage("--sink: '%s': a user or password in it is seen by everybody who lists processes: "
              "write 'basic USER:PASSWORD' into a file, and name that with %s=FILE",
              url_shown(sink->uri, shown, sizeof shown), parameter->name);
    errno = EINVAL;
    return true;
}

/* Says which parameters there are. */
static bool wrong_name(const struct sink *sink, const char *what) {
    const struct sink_parameter *own = sink->medium->parameters;
    char names[256];
    size_t used = (size_t)snprintf(names, sizeof names, "format, policy, only");

    for (; own != NULL && own->name != NULL && used < sizeof names; own++) {
        if (find(common, own->name, strlen(own->name)) == NULL) {
            used += (size_t)snprintf(names + used, sizeof names - used, ", %s", own->name);
        }
    }
    return wrong(sink->uri, what, names);
}

static bool parse_parameters(struct sink *sink, char *text) {
    char *save = NULL;

    for (char *part = strtok_r(text, "&", &save); part != NULL; part = strtok_r(NULL, "&", &save)) {
        size_t length = strcspn(part, "=");
        const struct sink_parameter *parameter = find(sink->medium->parameters, part, length);

        if (part[length] == '\0') {
            return wrong(sink->uri, part, "NAME=VALUE");
        }
        parameter = parameter != NULL ? parameter : find(common, part, length);
        if (parameter == NULL) {
            return wrong_name(sink, part);
        }
        if (!parameter->set(sink, part + length + 1)) {
            return wrong(sink->uri, part,
                         sink->trouble[0] != '\0' ? sink->trouble : parameter->expected);
        }
    }
    return true;
}

/* The medium whose scheme ends at `length`. */
static const struct sink_medium *medium_of(const char *uri, size_t length) {
    for (size_t i = 0; media[i] != NULL; i++) {
        if (strlen(media[i]->scheme) == length && memcmp(media[i]->scheme, uri, length) == 0) {
            return media[i];
        }
    }
    return NULL;
}

/* Those that a build may be made without. */
static const struct {
    const char *scheme;
    const char *named; /* as people say it, and as `make` is told */
    bool built;
} optional[] = {{"http", "HTTP", CMCWH_HTTP},
                {"https", "HTTP", CMCWH_HTTP},
                {"mqtt", "MQTT", CMCWH_MQTT},
                {"mqtts", "MQTT", CMCWH_MQTT}};

static bool left_out(const char *uri) {
    char shown[SHOWN];

    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        size_t length = strlen(optional[i].scheme);

        if (!optional[i].built && strncmp(optional[i].scheme, uri, length) == 0 &&
            uri[length] == ':') {
            log_usage("--sink: '%s': this build has no %s: build it with %s=1",
                      url_shown(uri, shown, sizeof shown), optional[i].named, optional[i].named);
            errno = EINVAL;
            return true;
        }
    }
    return false;
}

/* Says which media there are. */
static bool wrong_medium(const char *uri) {
    char schemes[256];
    size_t used = 0;

    if (left_out(uri)) {
        return false;
    }
    for (size_t i = 0; media[i] != NULL && used < sizeof schemes; i++) {
        used += (size_t)snprintf(schemes + used, sizeof schemes - used, "%s%s:",
                                 i == 0                 ? ""
                                 : media[i + 1] == NULL ? " or "
                                                        : ", ",
                                 media[i]->scheme);
    }
    return wrong(uri, uri, schemes);
}

static bool parse_rest(struct sink *sink, const char *rest) {
    const char *expected;
    char *question;

    if (strlen(rest) >= sizeof sink->target) {
        return wrong(sink->uri, sink->uri, "a shorter path");
    }
    if (wrong_user(sink)) {
        return false;
    }
    memcpy(sink->target, rest, strlen(rest) + 1);
    question = strchr(sink->target, '?');
    if (question != NULL) {
        *question++ = '\0';
    }
    expected = sink->medium->target == NULL ? NULL : sink->medium->target(sink->target);
    if (expected != NULL) {
        return wrong(sink->uri, sink->uri, expected);
    }
    return question == NULL || parse_parameters(sink, question);
}

bool sink_parse(struct sink *sink, const char *uri, bool durable) {
    size_t length = strcspn(uri, ":");
    const struct sink_medium *medium = uri[length] == ':' ? medium_of(uri, length) : NULL;

    if (medium == NULL) {
        return wrong_medium(uri);
    }
    *sink = (struct sink){.uri = uri,
                          .medium = medium,
                          .durable = durable,
                          .required = !medium->besteffort,
                          .encoding = medium->encoding,
                          .batch = medium->batch,
                          .wait = medium->wait,
                          .descriptor = -1};
    if (medium->own != NULL) {
        sink->own = calloc(1, medium->own_size + medium->own_zeros);
        if (sink->own == NULL) {
            (void)log_failure("memory for a sink (--sink)", ENOMEM);
            errno = ENOMEM;
            return false;
        }
        memcpy(sink->own, medium->own, medium->own_size);
    }
    if (!parse_rest(sink, uri + length + 1)) {
        sink_free(sink);
        return false;
    }
    return true;
}

void sink_free(struct sink *sink) {
    void *const loaded[] = {sink->loaded, sink->fresh};

    for (size_t i = 0; i < sizeof loaded / sizeof *loaded; i++) {
        if (loaded[i] != NULL) {
            sink->medium->unload(loaded[i]);
        }
    }
    free(sink->own);
    sink->own = sink->loaded = sink->fresh = NULL;
}
