/* A stub: what port/esp-idf takes from ESP-IDF's esp_http_server.h, in the same shape, so that the
 * tests can compile and call it. tests/unit/test_esp_idf.c is the server. */
#ifndef STUB_ESP_HTTP_SERVER_H
#define STUB_ESP_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef int esp_err_t;
enum { ESP_OK = 0, ESP_FAIL = -1, ESP_ERR_NOT_FOUND = 0x105, ESP_ERR_HTTPD_RESULT_TRUNC = 0xb004 };
enum { HTTPD_SOCK_ERR_FAIL = -1, HTTPD_SOCK_ERR_INVALID = -2, HTTPD_SOCK_ERR_TIMEOUT = -3 };

typedef void *httpd_handle_t;
typedef enum { HTTP_POST = 3 } httpd_method_t;

typedef struct httpd_config {
    size_t stack_size;
} httpd_config_t;
#define HTTPD_DEFAULT_CONFIG()                                                                     \
    { .stack_size = 4096 }

typedef struct httpd_req {
    size_t content_len;
    void *user_ctx;
} httpd_req_t;

typedef struct httpd_uri {
    const char *uri;
    httpd_method_t method;
    esp_err_t (*handler)(httpd_req_t *r);
    void *user_ctx;
} httpd_uri_t;

esp_err_t httpd_start(httpd_handle_t *handle, const httpd_config_t *config);
esp_err_t httpd_register_uri_handler(httpd_handle_t handle, const httpd_uri_t *uri_handler);
size_t httpd_req_get_hdr_value_len(httpd_req_t *r, const char *field);
esp_err_t httpd_req_get_hdr_value_str(httpd_req_t *r, const char *field, char *val,
                                      size_t val_size);
int httpd_req_recv(httpd_req_t *r, char *buf, size_t buf_len);
esp_err_t httpd_resp_set_status(httpd_req_t *r, const char *status);
esp_err_t httpd_resp_set_type(httpd_req_t *r, const char *type);
esp_err_t httpd_resp_set_hdr(httpd_req_t *r, const char *field, const char *value);
esp_err_t httpd_resp_send(httpd_req_t *r, const char *buf, ssize_t buf_len);

#endif
