/* A request to the admin port: its head, which is all there is of one, and what stands in it. */
#ifndef CMCWH_REQUEST_H
#define CMCWH_REQUEST_H

#include "cmcwh.h"

enum { REQUEST_HEAD_MAX = 8192, REQUEST_VALUE = 256 };

/* The headers that are looked at. */
enum request_header {
    REQUEST_HOST,
    REQUEST_ORIGIN,
    REQUEST_FETCH_SITE,
    REQUEST_FETCH_MODE,
    REQUEST_FETCH_DEST,
    REQUEST_AUTHORIZATION,
    REQUEST_ACCEPT,
    REQUEST_ACCEPT_LANGUAGE,
    REQUEST_LAST_EVENT_ID,
    REQUEST_CONTENT_LENGTH,
    REQUEST_TRANSFER_ENCODING,
    REQUEST_HEADERS /* how many there are */
};

/* Views of the head. */
struct request {
    enum request_method { REQUEST_GET, REQUEST_HEAD, REQUEST_OTHER } method;
    struct cmcwh_text path, query;              /* the query without its '?' */
    struct cmcwh_text headers[REQUEST_HEADERS]; /* without data: there is none */
    bool chunks;                                /* the client knows chunks: HTTP/1.1 */
};

/* Reads a head, by RFC 9112 and no more loosely. Its length; 0: more must come; or below 0 the
 * status of the answer, and *fault says what is wrong. */
int request_read(struct request *request, const char *bytes, size_t length, const char **fault);

bool request_is(struct cmcwh_text text, const char *word);

/* The same in any case of letters. */
bool request_is_like(struct cmcwh_text text, const char *word);

/* Takes the next parameter off a query; its value comes decoded. 1; 0: there is none; -1: it is too
 * long, or encoded wrongly, and the value is empty. */
struct request_parameter {
    struct cmcwh_text name; /* as it was sent, a part of the query */
    char value[REQUEST_VALUE];
};
int request_parameter(struct cmcwh_text *query, struct request_parameter *parameter);

/* Does the header Accept name this media type, or Accept-Language this language (or a region's kind
 * of it), with a weight that is not 0? The weight in thousandths; 0: it does not. "*" names nothing
 * here. */
unsigned request_accepts(struct cmcwh_text header, const char *name);

#endif
