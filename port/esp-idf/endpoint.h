/* The webhook's endpoint as a handler of ESP-IDF's esp_http_server. */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include <esp_http_server.h>

#include "../embed/request.h"

/* Room for the value of Authorization or Content-Type: the longest secret, and "Bearer ". */
enum { ENDPOINT_VALUE_SIZE = CMCWH_SECRET_MAX + 33 };

/* One for each server: a server has one task, which takes one request after the other. */
struct endpoint {
    struct request request; /* its ring, access and drain are to be set before */

    /* Private. */
    char authorization[ENDPOINT_VALUE_SIZE], content_type[ENDPOINT_VALUE_SIZE];
    char piece[512];
    char status[48];
    char answer[CMCWH_ANSWER_MAX];
};

/* For httpd_register_uri_handler: the handler of HTTP_POST, whose user_ctx is a struct endpoint. */
esp_err_t endpoint_post(httpd_req_t *http);

/* The example of port/README.md: starts a server with this endpoint. */
bool example_serve(struct cmcwh_ring *ring, void (*drain)(void));

#endif
