/* The webhook's endpoint as a dynamic resource of Zephyr's HTTP server (4.3 and later). */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include <zephyr/net/http/server.h>
#include <zephyr/net/http/service.h>
#include <zephyr/version.h>

#include "../embed/request.h"

/* Names that the server had before 4.4. */
#if ZEPHYR_VERSION_CODE < ZEPHYR_VERSION(4, 4, 0)
#define http_transaction_status         http_data_status
#define HTTP_SERVER_TRANSACTION_ABORTED HTTP_SERVER_DATA_ABORTED
#define HTTP_SERVER_REQUEST_DATA_MORE   HTTP_SERVER_DATA_MORE
#define HTTP_SERVER_REQUEST_DATA_FINAL  HTTP_SERVER_DATA_FINAL
#endif

/* One for each resource. */
struct endpoint {
    struct request request; /* its ring, access and drain are to be set before */

    /* Private. */
    const struct http_client_ctx *client;  /* whose request it is, NULL: nobody's */
    const struct http2_stream_ctx *stream; /* of HTTP/2 */
    int status;                            /* that is decided, 0: the body is read */
    size_t length;                         /* of the answer */
    char answer[CMCWH_ANSWER_MAX];
};

/* The cb of a struct http_resource_detail_dynamic for BIT(HTTP_POST), whose user_data is a struct
 * endpoint. */
int endpoint_post(struct http_client_ctx *client, enum http_transaction_status status,
                  const struct http_request_ctx *http, struct http_response_ctx *response,
                  void *user_data);

/* The example of port/README.md: starts the server with this endpoint. */
bool example_serve(struct cmcwh_ring *ring, void (*drain)(void));

#endif
