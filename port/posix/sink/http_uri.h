/* What the URI of an HTTP sink says. */
#ifndef CMCWH_HTTP_URI_H
#define CMCWH_HTTP_URI_H

#include "sink/post.h"
#include "sink/secrets.h"

enum {
    HTTP_BATCH = 100,
    HTTP_WAIT = 100, /* ms */
    HTTP_ADDRESS = POST_PATH + 300
};

/* What its own state begins with. */
struct http_settings {
    struct secret_files files; /* must be first */
    bool cmc, form;
    uint32_t tries;
    uint32_t timeout;  /* ms, for a reply */
    const char *dead;  /* NULL: none */
    const char *query; /* with its '%'; "": none */
};

extern const struct http_settings http_usual;

extern const struct sink_parameter http_parameters[];

/* For `target`. */
const char *http_target(char *text);
const char *https_target(char *text);

/* What does not go together in it, or NULL. */
const char *http_misfit(const struct sink *sink);

/* The URL that is posted to, as url_parse takes it. */
void http_address(const struct sink *sink, char out[HTTP_ADDRESS]);

#endif
