/* Answers of the admin port, as bytes. */
#include "admin/answer.h"

/* Nothing of it is kept, guessed at, framed or told to other sites; and the connection ends, for a
 * place is worth more here than a handshake. */
void answer_head(struct writer *out, const struct answer *answer) {
    writer_print(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n", answer->status,
                 cmcwh_http_reason(answer->status), answer->type);
    writer_text(out, "Content-Security-Policy: ");
    writer_text(out, answer->policy != NULL ? answer->policy : ANSWER_POLICY);
    writer_text(out, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                     "X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n"
                     "Cross-Origin-Resource-Policy: same-origin\r\n");
    writer_text(out, answer->more != NULL ? answer->more : "");
    if (answer->chunked) {
        writer_text(out, "Transfer-Encoding: chunked\r\n");
    } else if (!answer->endless) {
        writer_print(out, "Content-Length: %zu\r\n", answer->length);
    }
    writer_text(out, "Connection: close\r\n\r\n");
}

void answer_say(struct writer *out, const struct request *request, int status, const char *more,
                struct cmcwh_text sentence) {
    const struct answer answer = {.status = status,
                                  .type = "text/plain; charset=utf-8",
                                  .more = more,
                                  .length = sentence.length + 1};

    answer_head(out, &answer);
    if (request->method != REQUEST_HEAD) {
        writer_bytes(out, sentence.data, sentence.length);
        writer_text(out, "\n");
    }
}

void answer_gate(struct writer *out, const struct request *request,
                 const struct gate_answer *refusal) {
    char text[256];
    struct writer more = {.bytes = text, .size = sizeof text - 1};

    if (refusal->basic) {
        writer_text(&more, "WWW-Authenticate: Basic realm=\"cmcwh admin\", charset=\"UTF-8\"\r\n");
    }
    if (refusal->bearer) {
        writer_text(&more, "WWW-Authenticate: Bearer realm=\"cmcwh admin\"\r\n");
    }
    if (refusal->status == 429) {
        writer_print(&more, "Retry-After: %u\r\n", (unsigned)refusal->retry_after);
    }
    text[more.used] = '\0';
    answer_say(out, request, refusal->status, text, writer_view(refusal->why));
}
