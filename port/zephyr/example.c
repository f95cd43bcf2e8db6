#include "endpoint.h"

static const struct cmcwh_credential key = {CMCWH_API_KEY, {"secret", 6}};
static const struct cmcwh_access senders = {&key, 1};
static struct endpoint endpoint;
static struct http_resource_detail_dynamic detail = {
    .common = {.type = HTTP_RESOURCE_TYPE_DYNAMIC,
               .bitmask_of_supported_http_methods = BIT(HTTP_POST)},
    .cb = endpoint_post,
    .user_data = &endpoint};
static uint16_t tcp_port = 80;

HTTP_SERVICE_DEFINE(service, NULL, &tcp_port, 1, 4, NULL, NULL, NULL);
HTTP_RESOURCE_DEFINE(mails, service, "/mails", &detail);

bool example_serve(struct cmcwh_ring *ring, void (*drain)(void)) {
    endpoint.request.ring = ring;
    endpoint.request.access = &senders;
    endpoint.request.drain = drain;
    return http_server_start() == 0;
}
