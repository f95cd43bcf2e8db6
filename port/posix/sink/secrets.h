/* What a sink shows its peer, and whom it believes: read from files that its URI names, never from
 * the URI itself, which everybody sees in the list of processes. */
#ifndef CMCWH_SECRETS_H
#define CMCWH_SECRETS_H

#include "cmcwh.h"
#include "tls/client.h"
#include "sink/sink.h"

/* From the URI; NULL: it names none. What a medium owns that has a `load` begins with one, so that
 * the parameters below can be among its own. */
struct secret_files {
    const char *list;              /* headers=, for MQTT auth= */
    const char *ca;                /* ca= */
    const char *certificate, *key; /* cert=, key=; without the latter the former holds both */
};

/* For `set` in struct sink_parameter. The text stays where it is, in sink->target. */
bool secrets_set_list(struct sink *sink, const char *value);
bool secrets_set_ca(struct sink *sink, const char *value);
bool secrets_set_certificate(struct sink *sink, const char *value);
bool secrets_set_key(struct sink *sink, const char *value);

/* Those three of TLS, for a medium's list of parameters. */
#define SECRETS_PARAMETERS                                                                         \
    {"ca", "ca=FILE, certificates in PEM", secrets_set_ca},                                        \
        {"cert", "cert=FILE, a certificate in PEM", secrets_set_certificate}, {                    \
        "key", "key=FILE, the certificate's key in PEM", secrets_set_key                           \
    }

enum { SECRETS_HEADERS = 4096, SECRETS_WORD = 1024 };

/* What the files hold. All of it ends with a zero; "": there is none. */
struct secrets {
    char headers[SECRETS_HEADERS]; /* HTTP: lines, each with CR LF at its end */
    char api_key[CMCWH_SECRET_MAX + 1];
    char user[SECRETS_WORD], password[SECRETS_WORD]; /* MQTT */
    struct tls_trust *trust;                         /* NULL: no TLS */
};

/* Whom they are for decides what may stand in the list: for HTTP `basic USER:PASSWORD` or `bearer
 * TOKEN`, `api_key KEY`, and headers as `Name: value`; for MQTT `basic USER:PASSWORD`. */
enum secrets_peer { SECRETS_HTTP, SECRETS_MQTT };

/* For `load` in struct sink_medium: reads what sink->own names. NULL: one line has said what is
 * wrong; errno is the system's error (EINVAL when it has none). */
struct secrets *secrets_load(const struct sink *sink, enum secrets_peer peer, bool tls);

/* For `unload`. Nothing of them stays in memory. NULL: nothing. */
void secrets_unload(void *loaded);

/* Is one of them looked for in the directory in which we were started? */
bool secrets_are_relative(const struct sink *sink);

/* Puts stars in the place of each that stands in a text that a peer has sent back; also at its end,
 * where the text may have been cut within one. What has less than 4 bytes is none: it keeps nobody
 * out, and stands in every other text. */
void secrets_cover(const struct secrets *secrets, char *text, size_t length);

/* Says so when this process may not read them that will read them again. */
void secrets_say_unreadable(const struct sink *sink);

#endif
