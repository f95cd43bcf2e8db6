#include "request.h"

const struct cmcwh_answer request_head_too_large = {
    .status = 431, .error = "too_large", .detail = "the head is larger than this server takes"};

static const struct cmcwh_answer too_large = {
    .status = 413, .error = "too_large", .detail = "the body is larger than this server takes"};

bool request_begin(struct request *request, struct cmcwh_text authorization,
                   struct cmcwh_text content_type, uint64_t length, struct cmcwh_answer *answer) {
    struct cmcwh_content content;

    request->head = cmcwh_authorized(request->access, authorization, answer);
    if ((request->head != CMCWH_OK && request->head != CMCWH_PENDING) ||
        cmcwh_content_type(content_type, &content, answer) != CMCWH_OK) {
        return false;
    }
    if (length > REQUEST_BODY_MAX) {
        *answer = too_large;
        return false;
    }
    cmcwh_parser_init(&request->parser, request->ring, content.format);
    if (content.format == CMCWH_MULTIPART) {
        (void)cmcwh_parser_boundary(&request->parser, content.boundary);
    }
    request->fault = CMCWH_OK;
    request->received = 0;
    return true;
}

bool request_feed(struct request *request, const void *bytes, size_t length) {
    request->received += length;
    if (request->received <= REQUEST_BODY_MAX && request->fault == CMCWH_OK) {
        request->fault = cmcwh_parser_feed(&request->parser, bytes, length);
    }
    return request->received <= REQUEST_BODY_MAX && request->fault == CMCWH_OK;
}

/* How many events are safe, or why none is: the sequence of cmcwh.h for a device with one thread.
 */
static int store(struct request *request) {
    int stored = cmcwh_parser_commit(&request->parser);

    if (stored == CMCWH_PENDING && request->drain != NULL) {
        request->drain();
        stored = cmcwh_parser_confirm(&request->parser);
    }
    return stored;
}

void request_end(struct request *request, struct cmcwh_answer *answer) {
    struct cmcwh_parser *parser = &request->parser;
    int result;

    if (request->received > REQUEST_BODY_MAX) {
        *answer = too_large;
        cmcwh_parser_abort(parser);
        return;
    }
    result = cmcwh_parser_end(parser);
    if (result < 0) {
        cmcwh_parser_answer(parser, result, answer);
    } else {
        result = cmcwh_authorized_key(request->access, request->head, parser, answer);
        if (result == CMCWH_OK) {
            result = store(request);
            cmcwh_parser_answer(parser, result, answer);
        }
    }
    if (result < 0) {
        cmcwh_parser_abort(parser);
    }
}

void request_abort(struct request *request) {
    cmcwh_parser_abort(&request->parser);
}
