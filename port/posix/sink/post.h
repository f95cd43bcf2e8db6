/* One HTTP request, as it is sent: its head, and as its body the events of some records. Fixed
 * memory. Nothing here reads from a connection or writes to one. */
#ifndef CMCWH_POST_H
#define CMCWH_POST_H

#include "cmcwh.h"

#include "platform/url.h"

enum {
    POST_EVENTS = 1000,    /* most that are in one */
    POST_CMC_EVENTS = 200, /* the same as the service writes them, each of which its head names */
    POST_PATH = 3072,      /* most bytes of a path with its query */
    POST_HEAD = 16384,
    POST_BODY = 524288 /* at least one event; more while there is room */
};

/* How. The texts stay the caller's. */
struct post_style {
    const struct url *url;
    const char *headers; /* more of them, each ended by CR LF */
    const char *api_key; /* "": none */
    enum post_format {
        POST_NDJSON, /* an event a line */
        POST_CMC,    /* what the service itself would send */
        POST_FORM    /* the same as a form */
    } format;
};

struct post {
    uint32_t count; /* events in it */

    uint64_t ids; /* over their ids: the same for the same events, whenever they came */
    uint64_t key; /* the same when the same body is sent again; the head says it */

    size_t begin, end; /* of the request in `bytes`; its body begins at POST_HEAD */
    char bytes[POST_HEAD + POST_BODY];
};

/* Makes it of the first of these records, of all of them if there is room. As the service writes
 * them, events of one type and server composition share a request. `count` is not 0. */
void post_make(struct post *post, const struct post_style *style,
               const struct cmcwh_record *records, uint32_t count);

#endif
