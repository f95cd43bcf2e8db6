/* While a request is read, the server's task does nothing else: others wait in their sockets, and
 * a sender that says nothing for config.recv_wait_timeout seconds is cut off. */
#include "endpoint.h"

#include <stdio.h>
#include <string.h>

/* The server does not read chunks, and would take them for the next request. */
static const struct cmcwh_answer chunked = {
    .status = 411, .error = "length_required", .detail = "chunked bodies are not taken"};

static esp_err_t respond(struct endpoint *endpoint, httpd_req_t *http,
                         const struct cmcwh_answer *answer) {
    size_t length = cmcwh_answer_body(answer, endpoint->answer);

    (void)snprintf(endpoint->status, sizeof endpoint->status, "%d %s", answer->status,
                   cmcwh_http_reason(answer->status));
    (void)httpd_resp_set_status(http, endpoint->status);
    (void)httpd_resp_set_type(http, "application/json");
    if (answer->status == 401) {
        (void)httpd_resp_set_hdr(http, "WWW-Authenticate", "Basic realm=\"cmcwh\"");
    }
    if (answer->status == 503) {
        (void)httpd_resp_set_hdr(http, "Retry-After", "1");
    }
    return httpd_resp_send(http, endpoint->answer, (ssize_t)length);
}

/* The value of a header, empty if there is none. false: it is longer than its place. */
static bool header(httpd_req_t *http, const char *name, char *value, struct cmcwh_text *text) {
    esp_err_t found = httpd_req_get_hdr_value_str(http, name, value, ENDPOINT_VALUE_SIZE);

    text->data = value;
    text->length = found == ESP_OK ? strlen(value) : 0;
    return found == ESP_OK || found == ESP_ERR_NOT_FOUND;
}

/* May the body come? If not, `answer` says why. */
static bool begin(struct endpoint *endpoint, httpd_req_t *http, struct cmcwh_answer *answer) {
    struct cmcwh_text authorization, content_type;

    if (httpd_req_get_hdr_value_len(http, "Transfer-Encoding") > 0) {
        *answer = chunked;
        return false;
    }
    if (!header(http, "Authorization", endpoint->authorization, &authorization) ||
        !header(http, "Content-Type", endpoint->content_type, &content_type)) {
        *answer = request_head_too_large;
        return false;
    }
    return request_begin(&endpoint->request, authorization, content_type, http->content_len,
                         answer);
}

/* Reads the body until it is whole or refused. false: the connection is lost. */
static bool read_body(struct endpoint *endpoint, httpd_req_t *http) {
    for (size_t left = http->content_len; left > 0;) {
        int length = httpd_req_recv(http, endpoint->piece, sizeof endpoint->piece);

        if (length <= 0) {
            return false;
        }
        left -= (size_t)length;
        if (!request_feed(&endpoint->request, endpoint->piece, (size_t)length)) {
            break;
        }
    }
    return true;
}

/* After ESP_FAIL the server closes the connection, after ESP_OK it first reads what is left. */
esp_err_t endpoint_post(httpd_req_t *http) {
    struct endpoint *endpoint = http->user_ctx;
    struct cmcwh_answer answer;

    if (!begin(endpoint, http, &answer)) {
        esp_err_t sent = respond(endpoint, http, &answer);

        return answer.status == 411 || http->content_len > REQUEST_BODY_MAX ? ESP_FAIL : sent;
    }
    if (!read_body(endpoint, http)) {
        request_abort(&endpoint->request);
        return ESP_FAIL;
    }
    request_end(&endpoint->request, &answer);
    return respond(endpoint, http, &answer);
}
