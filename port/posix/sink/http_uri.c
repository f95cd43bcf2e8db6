/* The URI of an HTTP sink. Not here: what its files hold (secrets.c). */
#include "sink/http_uri.h"

#include <stdio.h>
#include <string.h>

#include "platform/number.h"
#include "platform/url.h"

enum { QUERY = 1024 };

const struct http_settings http_usual = {.tries = 5, .timeout = 5000, .query = ""};

static bool set_format(struct sink *sink, const char *value) {
    struct http_settings *own = sink->own;

    own->cmc = strcmp(value, "cmc") == 0;
    return own->cmc || strcmp(value, "json") == 0;
}

static bool set_form(struct sink *sink, const char *value) {
    struct http_settings *own = sink->own;

    own->form = strcmp(value, "1") == 0;
    return own->form || strcmp(value, "0") == 0;
}

static bool set_number(const char *value, uint64_t least, uint64_t most, uint32_t unit,
                       uint32_t *number) {
    uint64_t read;
    bool right = number_read(value, least, most, &read);

    *number = right ? (uint32_t)read * unit : *number;
    return right;
}

static bool set_batch(struct sink *sink, const char *value) {
    return set_number(value, 1, POST_EVENTS, 1, &sink->batch);
}

static bool set_wait(struct sink *sink, const char *value) {
    return set_number(value, 0, 60000, 1, &sink->wait);
}

static bool set_tries(struct sink *sink, const char *value) {
    return set_number(value, 1, 1000, 1, &((struct http_settings *)sink->own)->tries);
}

static bool set_timeout(struct sink *sink, const char *value) {
    return set_number(value, 1, 60, 1000, &((struct http_settings *)sink->own)->timeout);
}

static bool set_dead(struct sink *sink, const char *value) {
    ((struct http_settings *)sink->own)->dead = value;
    return value[0] != '\0';
}

static bool set_query(struct sink *sink, const char *value) {
    char text[sizeof "http://h/?" + QUERY] = "http://h/?";
    struct url url;

    ((struct http_settings *)sink->own)->query = value;
    return url_decode(value, text + strlen(text), QUERY) && url_parse(&url, text) == NULL;
}

/* The whole of it, as url_parse takes it: "http:" before what stands between that and '?', and the
 * query, if there is one. False: it is too long. */
static bool compose(char *out, size_t size, const char *scheme, const char *target,
                    const char *query) {
    bool bare = strlen(target) > 2 && strchr(target + 2, '/') == NULL;
    size_t used = (size_t)snprintf(out, size, "%s:%s%s%s", scheme, target, bare ? "/" : "",
                                   query[0] != '\0' ? "?" : "");

    return used < size && url_decode(query, out + used, size - used);
}

static const char *check(const char *scheme, const char *target) {
    char text[HTTP_ADDRESS - QUERY];
    struct url url;

    return compose(text, sizeof text, scheme, target, "") ? url_parse(&url, text) : "a shorter URL";
}

const char *http_target(char *text) {
    return check("http", text);
}

const char *https_target(char *text) {
    return tls_built_in() ? check("https", text) : "http://: this build has no TLS";
}

void http_address(const struct sink *sink, char out[HTTP_ADDRESS]) {
    const struct http_settings *own = sink->own;

    (void)compose(out, HTTP_ADDRESS, sink->medium->scheme, sink->target, own->query);
}

const char *http_misfit(const struct sink *sink) {
    const struct http_settings *own = sink->own;

    return own->form && !own->cmc                      ? "form=1 is for format=cmc"
           : own->cmc && sink->batch > POST_CMC_EVENTS ? "batch=EVENTS: with format=cmc 200 at most"
                                                       : NULL;
}

const struct sink_parameter http_parameters[] = {
    {"format", "format=json or cmc", set_format},
    {"form", "form=0 or 1", set_form},
    {"batch", "batch=EVENTS, from 1 to 1000", set_batch},
    {"wait", "wait=MS, from 0 to 60000", set_wait},
    {"tries", "tries=N, from 1 to 1000", set_tries},
    {"timeout", "timeout=SECONDS, from 1 to 60", set_timeout},
    {"dead", "dead=PATH", set_dead},
    {"query", "query=TEXT, with '&' as %26 and '%' as %25", set_query},
    {"headers", "headers=FILE", secrets_set_list},
    SECRETS_PARAMETERS,
    {NULL, NULL, NULL}};
