/* Answers of the admin port, as bytes. Not here: what is in a page. */
#ifndef CMCWH_ADMIN_ANSWER_H
#define CMCWH_ADMIN_ANSWER_H

#include "admin/gate.h"
#include "platform/writer.h"

/* What may be done with an answer that is no page: nothing. */
#define ANSWER_POLICY "default-src 'none'; frame-ancestors 'none'"

struct answer {
    int status;
    const char *type;   /* its Content-Type */
    const char *policy; /* its Content-Security-Policy; NULL: ANSWER_POLICY */
    const char *more;   /* further headers, whole lines with CR LF; NULL: none */
    bool chunked;       /* its end is told by chunks */
    bool endless;       /* its end is that of the connection; else: */
    size_t length;
};

/* Most bytes of a head, with a policy of 512. */
enum { ANSWER_HEAD_MAX = 1536 };

void answer_head(struct writer *out, const struct answer *answer);

/* A whole answer of one sentence, to which a newline is added; without a body if that was not asked
 * for. */
void answer_say(struct writer *out, const struct request *request, int status, const char *more,
                struct cmcwh_text sentence);

/* The answer to who may not ask. */
void answer_gate(struct writer *out, const struct request *request,
                 const struct gate_answer *refusal);

#endif
