/* Who may ask at the admin port. Not here: which addresses can reach it (options.c). */
#include "admin/gate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "door/auth.h"
#include "platform/log.h"
#include "platform/network.h"
#include "tls/server.h"

/* ---- Names ---- */

enum { NAME = 256 };

static bool is_port(const char *text) {
    return text[0] == '\0' || (text[0] == ':' && text[1 + strspn(text + 1, "0123456789")] == '\0');
}

static bool is_address(const char *text, int family) {
    unsigned char bytes[16];

    return inet_pton(family, text, bytes) == 1;
}

/* Is it the name of this machine, or that with the end it has in the network at home? */
static bool is_machine(const char *name) {
    static const char *const ends[] = {"", ".local", ".lan"};
    char machine[NAME] = "", whole[NAME + 8];
    bool same = false;

    if (gethostname(machine, sizeof machine - 1) != 0 || machine[0] == '\0') {
        return false;
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        (void)snprintf(whole, sizeof whole, "%s%s", machine, ends[i]);
        same = same || request_is_like((struct cmcwh_text){name, strlen(name)}, whole);
    }
    return same;
}

static bool is_named(const struct gate *gate, const char *name) {
    struct cmcwh_text text = {name, strlen(name)};

    for (unsigned i = 0; i < gate->host_count; i++) {
        if (request_is_like(text, gate->hosts[i])) {
            return true;
        }
    }
    return request_is_like(text, "localhost") || is_machine(name) || tls_names(name);
}

bool gate_knows(const struct gate *gate, struct cmcwh_text host) {
    char text[NAME], *end;

    if (host.length == 0 || host.length >= sizeof text) {
        return false;
    }
    memcpy(text, host.data, host.length);
    text[host.length] = '\0';
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (end == NULL || !is_port(end + 1)) {
            return false;
        }
        *end = '\0';
        return is_address(text + 1, AF_INET6);
    }
    end = text + strcspn(text, ":");
    if (!is_port(end)) {
        return false;
    }
    *end = '\0';
    return text[0] != '\0' && (is_address(text, AF_INET) || is_named(gate, text));
}

/* ---- Sites ---- */

/* Is this origin, "https://host:port", that of the page which `host` names? */
static bool same_origin(struct cmcwh_text origin, struct cmcwh_text host) {
    return host.data != NULL && host.length > 0 && origin.length > host.length + 3 &&
           memcmp(origin.data + origin.length - host.length - 3, "://", 3) == 0 &&
           memcmp(origin.data + origin.length - host.length, host.data, host.length) == 0;
}

/* Does a page of another site ask? A link that a person follows is no such thing: that page does
 * not get to see what is behind it. */
static bool foreign(const struct request *request) {
    const struct cmcwh_text *headers = request->headers;
    bool follows = request_is(headers[REQUEST_FETCH_MODE], "navigate") &&
                   request_is(headers[REQUEST_FETCH_DEST], "document");

    return (headers[REQUEST_ORIGIN].data != NULL &&
            !same_origin(headers[REQUEST_ORIGIN], headers[REQUEST_HOST])) ||
           (request_is(headers[REQUEST_FETCH_SITE], "cross-site") && !follows);
}

/* ---- Credentials ---- */

static void refuse(struct gate_answer *answer, int status, const char *why) {
    answer->status = status;
    answer->why = why;
}

static bool has(const struct cmcwh_access *access, enum cmcwh_credential_kind kind) {
    for (size_t i = 0; i < access->count; i++) {
        if (access->credentials[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static void check_credentials(struct gate *gate, const struct cmcwh_access *access,
                              struct cmcwh_text authorization, const char *peer, uint64_t now,
                              struct gate_answer *out) {
    bool counts = !network_loopback(peer);
    uint32_t left = counts ? cmcwh_tries_wait(&gate->tries, peer, now) : 0;
    struct cmcwh_answer answer;
    int result;

    if (left > 0) {
        refuse(out, 429, "too many wrong credentials from this address");
        out->retry_after = (left + 999) / 1000;
        return;
    }
    result = cmcwh_authorized(access, authorization, &answer);
    if (result == CMCWH_OK) {
        return;
    }
    if (result == CMCWH_ERR_WRONG) {
        log_line(CMCWH_LOG_WARN, "--admin: %s: wrong credentials", peer);
    }
    if (result == CMCWH_ERR_WRONG && counts) {
        cmcwh_tries_wrong(&gate->tries, peer, now);
    }
    refuse(out, 401, answer.detail);
    out->basic = has(access, CMCWH_BASIC);
    out->bearer = has(access, CMCWH_BEARER);
}

struct gate_answer gate_check(struct gate *gate, const struct request *request, const char *peer,
                              uint64_t now) {
    struct cmcwh_text host = request->headers[REQUEST_HOST];
    struct gate_answer answer = {.status = 0};
    struct auth *auth;

    if (host.data != NULL && !gate_knows(gate, host)) {
        refuse(&answer, 403,
               "the name in the address is not known to be this server's: use its address in "
               "numbers, or start it with --admin-host NAME");
        return answer;
    }
    if (foreign(request)) {
        refuse(&answer, 403, "pages of other sites may not ask here");
        return answer;
    }
    auth = auth_hold(AUTH_ADMIN);
    if (auth != NULL) {
        check_credentials(gate, &auth->access, request->headers[REQUEST_AUTHORIZATION], peer, now,
                          &answer);
        auth_release(auth);
    }
    return answer;
}
