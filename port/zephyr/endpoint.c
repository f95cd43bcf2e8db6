/* The server calls all of this from one thread, and lets one client at a time come here: others get
 * 409 from it. It reads every body to its end before it sends an answer. */
#include "endpoint.h"

#include <string.h>

HTTP_SERVER_REGISTER_HEADER_CAPTURE(endpoint_authorization, "Authorization");
HTTP_SERVER_REGISTER_HEADER_CAPTURE(endpoint_content_type, "Content-Type");

/* Two streams of one HTTP/2 connection may come here at once: the later one takes the parser. */
static const char busy[] = "{\"error\":\"busy\",\"detail\":\"another request is being read\"}";

static void decide(struct endpoint *endpoint, const struct cmcwh_answer *answer) {
    endpoint->status = answer->status;
    endpoint->length = cmcwh_answer_body(answer, endpoint->answer);
}

/* The server sends it before it calls again. */
static void respond(struct http_response_ctx *response, int status, const char *body,
                    size_t length) {
    static const struct http_header unauthorized[] = {
        {"Content-Type", "application/json"}, {"WWW-Authenticate", "Basic realm=\"cmcwh\""}};
    static const struct http_header later[] = {{"Content-Type", "application/json"},
                                               {"Retry-After", "1"}};

    response->status = (enum http_status)status;
    response->headers = status == 401 ? unauthorized : later;
    response->header_count = status == 401 || status == 503 ? 2 : 1;
    response->body = (const uint8_t *)body;
    response->body_len = length;
    response->final_chunk = true;
}

static struct cmcwh_text header(const struct http_request_ctx *http, const char *name) {
    struct cmcwh_text text = {"", 0};

    /* The server writes a name as it was registered. */
    for (size_t i = 0; i < http->header_count && text.length == 0; i++) {
        if (strcmp(http->headers[i].name, name) == 0) {
            text.data = http->headers[i].value;
            text.length = strlen(text.data);
        }
    }
    return text;
}

static void forget(struct endpoint *endpoint) {
    if (endpoint->client != NULL && endpoint->status == 0) {
        request_abort(&endpoint->request);
    }
    endpoint->client = NULL;
}

/* A head has come. Whose request was here before, and did not end, is over. */
static void begin(struct endpoint *endpoint, const struct http_client_ctx *client,
                  const struct http_request_ctx *http) {
    struct cmcwh_answer answer = request_head_too_large;

    forget(endpoint);
    endpoint->client = client;
    endpoint->stream = client->current_stream;
    endpoint->status = 0;
    if (http->headers_status == HTTP_HEADER_STATUS_DROPPED ||
        !request_begin(&endpoint->request, header(http, "Authorization"),
                       header(http, "Content-Type"), 0, &answer)) {
        decide(endpoint, &answer);
    }
}

/* A piece of the body, perhaps the last one. A refused body is read on, and dropped. */
static void piece(struct endpoint *endpoint, const struct http_request_ctx *http, bool final) {
    struct cmcwh_answer answer;

    if (endpoint->status == 0 &&
        (!request_feed(&endpoint->request, http->data, http->data_len) || final)) {
        request_end(&endpoint->request, &answer);
        decide(endpoint, &answer);
    }
}

/* The first call of a request, and no other, brings its headers. */
int endpoint_post(struct http_client_ctx *client, enum http_transaction_status status,
                  const struct http_request_ctx *http, struct http_response_ctx *response,
                  void *user_data) {
    struct endpoint *endpoint = user_data;
    bool final = status == HTTP_SERVER_REQUEST_DATA_FINAL;

    if (status == HTTP_SERVER_TRANSACTION_ABORTED && client == endpoint->client) {
        forget(endpoint);
    }
    if (!final && status != HTTP_SERVER_REQUEST_DATA_MORE) {
        return 0;
    }
    if (http->headers_status != HTTP_HEADER_STATUS_NONE) {
        begin(endpoint, client, http);
    }
    if (client != endpoint->client || client->current_stream != endpoint->stream) {
        if (final) {
            respond(response, 503, busy, sizeof busy - 1);
        }
        return 0;
    }
    piece(endpoint, http, final);
    if (final) {
        respond(response, endpoint->status, endpoint->answer, endpoint->length);
        endpoint->client = NULL;
    }
    return 0;
}
