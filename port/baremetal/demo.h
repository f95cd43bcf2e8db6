/* The requests of the demo; demo.c is made from tests/payloads by tests/firmware/demo.py. */
#ifndef DEMO_H
#define DEMO_H

#include <stdbool.h>
#include <stddef.h>

struct demo_request {
    const char *name, *uri, *head, *body;
    size_t length; /* as Content-Length says */
    size_t sent;   /* before the connection is lost: all of it, or less */
    bool drain;    /* the ring is emptied after it */
};

extern const struct demo_request demo_requests[];
extern const size_t demo_count;

#endif
