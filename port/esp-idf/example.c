#include "endpoint.h"

static const struct cmcwh_credential key = {CMCWH_API_KEY, {"secret", 6}};
static const struct cmcwh_access senders = {&key, 1};
static struct endpoint endpoint;

bool example_serve(struct cmcwh_ring *ring, void (*drain)(void)) {
    static const httpd_uri_t mails = {
        .uri = "/mails", .method = HTTP_POST, .handler = endpoint_post, .user_ctx = &endpoint};
    httpd_config_t config = HTTPD_DEFAULT_CONFIG();
    httpd_handle_t server;

    endpoint.request.ring = ring;
    endpoint.request.access = &senders;
    endpoint.request.drain = drain;
    return httpd_start(&server, &config) == ESP_OK &&
           httpd_register_uri_handler(server, &mails) == ESP_OK;
}
