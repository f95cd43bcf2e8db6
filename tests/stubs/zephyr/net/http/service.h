/* A stub: what port/zephyr takes from Zephyr's header of this name, in the same shape. */
#ifndef STUB_ZEPHYR_HTTP_SERVICE_H
#define STUB_ZEPHYR_HTTP_SERVICE_H

#include <zephyr/net/http/server.h>

struct http_service_desc {
    const char *host;
    uint16_t *port;
    size_t concurrent, backlog;
    void *detail;
    struct http_resource_detail *res_fallback;
    const void *config;
};
#define HTTP_SERVICE_DEFINE(_name, _host, _port, _concurrent, _backlog, _detail, _res_fallback,    \
                            _config)                                                               \
    const struct http_service_desc _name = {_host,   _port,         _concurrent, _backlog,         \
                                            _detail, _res_fallback, _config}

struct http_resource_desc {
    const char *resource;
    void *detail;
};
#define HTTP_RESOURCE_DEFINE(_name, _service, _resource, _detail)                                  \
    const struct http_resource_desc stub_resource_##_service##_##_name = {_resource, _detail}

#endif
