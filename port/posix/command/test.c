/* cmcwh test: one event, posted as the service would, and in words what came of it. Not here: how
 * it is sent (platform/client.c). */
#include "command/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command/arguments.h"
#include "command/ask.h"
#include "command/json.h"
#include "platform/log.h"

static const char usage[] =
    "usage: cmcwh test [--type form|json|multipart] [--auth-file FILE] [--ca FILE]\n"
    "                  [--timeout SECONDS] URL\n"
    "Posts one event to a webhook's URL, as Customers Mail Cloud would, and says\n"
    "what came back and what to do about it. The event is a delivery with the status\n"
    "'queued', which nobody can mistake: its subject begins with 'cmcwh test', its\n"
    "addresses end in '.invalid', and its message id is new each time.\n"
    "  --type TYPE       how it is sent: form (as the service does, unless told\n"
    "                    otherwise), json or multipart\n"
    "  --auth-file FILE  credentials, as the server's own file has them; of several\n"
    "                    of a kind the first, of 'basic' and 'bearer' the former\n"
    "  --ca FILE         trust the certificates in FILE (PEM), and those that one of\n"
    "                    them has signed, instead of those that the system trusts\n"
    "  --timeout SECONDS for the whole (10)\n"
    "Redirects are not followed.\n"
    "Exit status: 0 it was taken, 1 it was not, 2 wrong usage.\n";

#define BOUNDARY "----cmcwh-test-boundary"

enum { EVENT_MOST = 1024, BODY_MOST = 8192, REQUEST_MOST = 12288 };

/* ---- The event ---- */

/* Nobody has sent one with this id before. */
static void name_message(char *id, size_t size) {
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(id, size, "<cmcwh-test.%lld.%09ld.%ld@cmcwh.invalid>", (long long)now.tv_sec,
                   now.tv_nsec, (long)getpid());
}

/* The value of `event`. */
static void write_event(struct writer *writer, const char *id) {
    time_t now = time(NULL);
    struct tm local = {.tm_mday = 1};
    char created[32];

    (void)localtime_r(&now, &local);
    (void)strftime(created, sizeof created, "%Y-%m-%d %H:%M:%S", &local);
    writer_text(writer, "{\"deliveries\":[{\"reason\":\"\",\"sourceIp\":\"192.0.2.1\","
                        "\"returnPath\":\"return@cmcwh.invalid\",\"created\":");
    writer_json(writer, writer_view(created));
    writer_text(writer, ",\"subject\":\"cmcwh test: no mail was sent "
                        "(\xE3\x83\x86\xE3\x82\xB9\xE3\x83\x88)\",\"apiData\":\"cmcwh test\","
                        "\"messageId\":");
    writer_json(writer, writer_view(id));
    writer_text(writer, ",\"from\":\"from@cmcwh.invalid\",\"to\":\"to@cmcwh.invalid\","
                        "\"senderIp\":\"\",\"status\":\"queued\"}]}");
}

/* ---- The body ---- */

/* Writes a parameter of the request in one of the three ways. */
typedef void (*put_parameter)(struct writer *writer, const char *name, struct cmcwh_text value);

static void put_form(struct writer *writer, const char *name, struct cmcwh_text value) {
    writer_text(writer, writer->used == 0 ? "" : "&");
    writer_text(writer, name);
    writer_text(writer, "=");
    writer_form(writer, value);
}

static void put_json(struct writer *writer, const char *name, struct cmcwh_text value) {
    writer_text(writer, writer->used == 0 ? "{\"" : ",\"");
    writer_text(writer, name);
    writer_text(writer, "\":");
    if (strcmp(name, "event") == 0) {
        writer_bytes(writer, value.data, value.length);
    } else {
        writer_json(writer, value);
    }
}

static void put_multipart(struct writer *writer, const char *name, struct cmcwh_text value) {
    writer_text(writer, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"");
    writer_text(writer, name);
    writer_text(writer, "\"\r\n\r\n");
    writer_bytes(writer, value.data, value.length);
    writer_text(writer, "\r\n");
}

static const struct kind {
    const char *name, *type, *end;
    put_parameter put;
} kinds[] = {{"form", "application/x-www-form-urlencoded; charset=UTF-8", "", put_form},
             {"json", "application/json; charset=UTF-8", "}", put_json},
             {"multipart", "multipart/form-data; boundary=" BOUNDARY, "--" BOUNDARY "--\r\n",
              put_multipart}};

static const struct kind *find_kind(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    log_usage("test: --type: '%s': expected form, json or multipart", name);
    return NULL;
}

/* ---- The request ---- */

static void write_body(struct writer *body, const struct kind *kind, const char *api_key,
                       const char *id) {
    char bytes[EVENT_MOST];
    struct writer event = {.bytes = bytes, .size = sizeof bytes};

    write_event(&event, id);
    if (api_key != NULL) {
        kind->put(body, "api_key", writer_view(api_key));
    }
    kind->put(body, "server_composition", writer_view("test"));
    kind->put(body, "event_type", writer_view("deliveries"));
    kind->put(body, "event", (struct cmcwh_text){bytes, event.used});
    writer_text(body, kind->end);
}

/* The headers are those of the service's client, but for Accept-Encoding: what comes back is to be
 * read. */
static void write_request(struct writer *request, const struct ask *ask, const struct kind *kind,
                          const char *id) {
    char bytes[BODY_MOST];
    struct writer body = {.bytes = bytes, .size = sizeof bytes};

    write_body(&body, kind, ask_secret(ask, CMCWH_API_KEY), id);
    writer_text(request, "POST ");
    writer_text(request, ask->url.path);
    writer_text(request, " HTTP/1.1\r\n");
    ask_authorization(ask, request);
    writer_print(request, "Content-Length: %zu\r\nContent-Type: %s\r\nHost: ", body.used,
                 kind->type);
    writer_text(request, ask->url.authority);
    writer_text(request, "\r\nConnection: Keep-Alive\r\n"
                         "User-Agent: Apache-HttpClient/4.5.14 (cmcwh test)\r\n\r\n");
    writer_bytes(request, bytes, body.used);
}

/* ---- What came back ---- */

static const char *of_malformed(const struct ask *ask, const char *error) {
    return !ask->url.secure && (error[0] == '\0' || strcmp(error, "malformed_request") == 0)
               ? "does the port want HTTPS? Then the URL must begin with https://"
               : "what arrived is not what was sent: does something in between change it?";
}

static const char *of_unauthorized(const struct ask *ask) {
    return ask->auth == NULL
               ? "it wants credentials: give them with --auth-file"
               : "the credentials are wrong, or of a kind that it does not want: compare "
                 "--auth-file with the server's own";
}

static const char *of_unavailable(const char *error) {
    return strcmp(error, "ring_full") == 0
               ? "its ring is full: a required sink takes nothing; its log says which"
           : strcmp(error, "storage_failed") == 0
               ? "its ring's file, or a required sink, fails; its log says why"
           : strcmp(error, "crowded") == 0  ? "it has too many connections: see --connections"
           : strcmp(error, "stopping") == 0 ? "it is being stopped"
                                            : "it, or a front before it, takes nothing now";
}

static const char *remedy_of(const struct ask *ask, int status, const char *error) {
    static const struct {
        int status;
        const char *what;
    } known[] = {
        {403, "this machine may not post: see the server's --allow, or its front"},
        {404, "nothing is at this path: the server's --path is /mails, unless told otherwise"},
        {405, "nothing can be posted to this path: is it that of --path?"},
        {408, "it took too long to arrive: see --body-timeout, or the front's limit"},
        {411, "a front in between takes the length away"},
        {413, "it is too large for it: see --body-max, --ring-records, or the front's limit"},
        {415, "this kind of body is not taken: try --type json"},
        {422, "this is no webhook of the service to it: is it another program?"},
        {429, "too many wrong credentials have come from here: wait a minute"},
        {431, "the headers are too long for it: does a front add many?"},
        {502, "a front in between does not reach the server: is that running?"},
        {504, "a front in between waits for the server in vain"},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].status == status) {
            return known[i].what;
        }
    }
    return status == 400   ? of_malformed(ask, error)
           : status == 401 ? of_unauthorized(ask)
           : status == 503 ? of_unavailable(error)
           : status >= 500 ? "it, or a front before it, is broken: look at its log"
           : status >= 300 && status < 400
               ? "a redirect is not followed: post to the address that it names"
               : "the service takes nothing but a 200 for success";
}

/* What the body says of it, if it is one of ours. */
struct told {
    char error[32], detail[256];
};

static void read_told(struct told *told, const struct reply *reply) {
    *told = (struct told){.error = ""};
    if (reply->coding[0] == '\0' && !reply->cut) {
        (void)json_find(reply->body, reply->length, "error", told->error, sizeof told->error);
        (void)json_find(reply->body, reply->length, "detail", told->detail, sizeof told->detail);
    }
}

static int say_taken(const char *address, const struct reply *reply, const char *id) {
    char stored[16];

    if (reply->coding[0] != '\0' ||
        !json_find(reply->body, reply->length, "stored", stored, sizeof stored)) {
        log_usage("%s: 200, but its body is not cmcwh's, {\"stored\":1}: something else answers "
                  "here, and the event is with that",
                  address);
        return 1;
    }
    (void)printf("200: taken and safe ({\"stored\":1}); the event has the message id %s\n", id);
    return command_flush() != 0;
}

static int say_reply(const struct ask *ask, const char *address, const struct reply *reply,
                     const char *id) {
    struct told told;
    bool redirect = reply->status >= 300 && reply->status < 400 && reply->location[0] != '\0';

    if (reply->status == 200) {
        return say_taken(address, reply, id);
    }
    read_told(&told, reply);
    log_usage("%s: %d%s%s%s%s%s%s%s: %s", address, reply->status, redirect ? " to " : "",
              redirect ? reply->location : "", told.error[0] != '\0' ? " " : "", told.error,
              told.detail[0] != '\0' ? " (" : "", told.detail, told.detail[0] != '\0' ? ")" : "",
              remedy_of(ask, reply->status, told.error));
    return 1;
}

/* ---- The command ---- */

static bool read_url(struct ask *ask, const char *text) {
    const char *expected = url_parse(&ask->url, text);
    char shown[1024];

    if (expected == NULL) {
        return true;
    }
    (void)url_shown(text, shown, sizeof shown);
    if (url_user(text).length > 0) {
        log_usage("test: '%s': a user or password in it is seen by everybody who lists processes: "
                  "write 'basic USER:PASSWORD' into a file, and name that with --auth-file",
                  shown);
    } else {
        log_usage("test: '%s': expected %s", shown, expected);
    }
    return false;
}

static int run(struct ask *ask, const char *address, const struct kind *kind) {
    char id[96], bytes[REQUEST_MOST], body[1024];
    struct writer request = {.bytes = bytes, .size = sizeof bytes};
    struct reply reply;

    name_message(id, sizeof id);
    write_request(&request, ask, kind, id);
    if (request.full) {
        log_usage("test: the URL is too long");
        return 2;
    }
    reply_begin(&reply, body, sizeof body);
    if (!ask_send(ask, &request, &reply) && reply.status < 300) { /* a refusal is one in part too */
        log_usage("%s: %s", address, ask_fault(ask));
        return 1;
    }
    return say_reply(ask, address, &reply, id);
}

int command_test(int count, char **arguments) {
    static struct ask ask = {.command = "test"};
    const char *type = "form";
    const struct argument options[] = {{"--type", NULL, &type}, ASK_OPTIONS(ask)};
    const struct arguments what = {"test",
                                   usage,
                                   "--type form, json or multipart, --auth-file FILE, --ca FILE, "
                                   "--timeout SECONDS and one URL",
                                   options,
                                   sizeof options / sizeof *options,
                                   1,
                                   1};
    const struct kind *kind;
    int words = arguments_read(&what, count, arguments), result;

    if (words < 0) {
        return words == ARGUMENTS_HELP ? 0 : 2;
    }
    if (!read_url(&ask, arguments[0])) {
        return 2;
    }
    kind = find_kind(type);
    if (kind == NULL || !ask_prepare(&ask)) {
        return 2;
    }
    result = run(&ask, arguments[0], kind);
    ask_end(&ask);
    return result;
}
