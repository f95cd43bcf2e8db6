/* A stub: what port/zephyr takes from Zephyr's header of this name, in the same shape, so that the
 * tests can compile and call it. tests/unit/test_zephyr.c is the server. */
#ifndef STUB_ZEPHYR_HTTP_SERVER_H
#define STUB_ZEPHYR_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zephyr/version.h>

#define BIT(n) (1UL << (n))
enum http_method { HTTP_POST = 3 };
enum http_status { HTTP_200_OK = 200 };

enum http_resource_type { HTTP_RESOURCE_TYPE_STATIC, HTTP_RESOURCE_TYPE_DYNAMIC };

struct http_resource_detail {
    uint32_t bitmask_of_supported_http_methods;
    enum http_resource_type type;
};

#if ZEPHYR_VERSION_CODE < ZEPHYR_VERSION(4, 4, 0)
enum http_data_status {
    HTTP_SERVER_DATA_ABORTED = -1,
    HTTP_SERVER_DATA_MORE = 0,
    HTTP_SERVER_DATA_FINAL = 1
};
#define STUB_STATUS enum http_data_status
#else
enum http_transaction_status {
    HTTP_SERVER_TRANSACTION_ABORTED = -1,
    HTTP_SERVER_REQUEST_DATA_MORE = 0,
    HTTP_SERVER_REQUEST_DATA_FINAL = 1,
    HTTP_SERVER_TRANSACTION_COMPLETE = 2
};
#define STUB_STATUS enum http_transaction_status
#endif

enum http_header_status {
    HTTP_HEADER_STATUS_OK,
    HTTP_HEADER_STATUS_DROPPED,
    HTTP_HEADER_STATUS_NONE
};

struct http_header {
    const char *name;
    const char *value;
};

struct http_request_ctx {
    uint8_t *data;
    size_t data_len;
    struct http_header *headers;
    size_t header_count;
    enum http_header_status headers_status;
};

struct http_response_ctx {
    enum http_status status;
    const struct http_header *headers;
    size_t header_count;
    const uint8_t *body;
    size_t body_len;
    bool final_chunk;
};

struct http2_stream_ctx {
    int stream_id;
};

struct http_client_ctx {
    struct http2_stream_ctx *current_stream; /* NULL in HTTP/1 */
};

typedef int (*http_resource_dynamic_cb_t)(struct http_client_ctx *client, STUB_STATUS status,
                                          const struct http_request_ctx *request_ctx,
                                          struct http_response_ctx *response_ctx, void *user_data);

struct http_resource_detail_dynamic {
    struct http_resource_detail common;
    http_resource_dynamic_cb_t cb;
    struct http_client_ctx *holder;
    void *user_data;
};

/* Zephyr collects these in a section of the linker's. */
struct http_header_name {
    const char *name;
};
#define HTTP_SERVER_REGISTER_HEADER_CAPTURE(_id, _header)                                          \
    const struct http_header_name stub_capture_##_id = {_header}

int http_server_start(void);

#endif
