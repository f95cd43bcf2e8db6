/* What the port reads from a network or a person, before the portable part sees anything: the first
 * byte chooses the reader, the rest is what it reads. Whoever refuses says why in one line. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <strings.h>
#include <unistd.h>

#include "admin/events.h"
#include "admin/gate.h"
#include "door/auth.h"
#include "platform/log.h"
#include "command/line.h"
#include "command/options.h"
#include "command/source.h"
#include "door/look.h"
#include "door/proxy.h"
#include "platform/reply.h"
#include "platform/url.h"
#include "sink/refusal.h"
#include "sink/secrets.h"
#include "sink/sink.h"

enum { LONGEST = 16384 };

/* ---- The log: counted, not written ---- */

static unsigned lines;

void log_set_level(enum cmcwh_level level) {
    (void)level;
}

bool log_says(enum cmcwh_level level) {
    (void)level;
    return true;
}

void log_line(enum cmcwh_level level, const char *format, ...) {
    (void)level;
    (void)format;
    lines++;
}

bool log_failure(const char *what, int error) {
    (void)what;
    (void)error;
    lines++;
    return false;
}

void log_usage(const char *format, ...) {
    (void)format;
    lines++;
}

void log_plain(const char *format, ...) {
    (void)format;
    lines++;
}

void log_asked(const char *format, ...) {
    (void)format;
    lines++;
}

/* ---- Readers ---- */

static void is_address(const char *text) {
    unsigned char bytes[16];

    MUST(inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1);
}

/* A header is the same whatever follows it, and no part of one is taken for it. */
static void read_proxy_header(const char *bytes, size_t length) {
    union network_address peer = {.any.sa_family = AF_UNSPEC}, again = peer;
    int header = proxy_header(bytes, length, &peer);

    MUST(header >= PROXY_WRONG && header <= PROXY_HEADER_MAX);
    MUST(header <= 0 || (size_t)header <= length);
    MUST(header > 0 || peer.any.sa_family == AF_UNSPEC);
    MUST(peer.any.sa_family == AF_UNSPEC || peer.any.sa_family == AF_INET ||
         peer.any.sa_family == AF_INET6);
    for (int part = 0; part < header; part++) {
        MUST(proxy_header(bytes, (size_t)part, &again) == PROXY_MORE);
    }
    MUST(header <= 0 || proxy_header(bytes, (size_t)header, &again) == header);
    MUST(header <= 0 || again.any.sa_family == peer.any.sa_family);
}

static void read_forwarded(char *text) {
    struct mg_request_info info = {.num_headers = 1, .http_headers = {{"X-Forwarded-For", text}}};
    char address[CMCWH_ADDRESS_SIZE] = "10.0.0.1";
    struct network network;
    struct proxies proxies = {&network, 1};

    MUST(network_parse(&network, "10.0.0.0/8"));
    proxy_forwarded(&proxies, &info, address);
    is_address(address);
}

static void read_addresses(char *text) {
    char host[32], port[8], address[INET6_ADDRSTRLEN];
    struct sockaddr_storage listener;
    struct network network;
    socklen_t length;

    if (network_parse(&network, text)) {
        MUST(network.bits <= 128);
        MUST(inet_ntop(AF_INET6, network.address, address, sizeof address) != NULL);
        MUST(network_contains(&network, 1, address));
    }
    if (network_split(text, host, sizeof host, port, sizeof port)) {
        MUST(strlen(host) > 0 && strlen(host) < strlen(text) && strtoul(port, NULL, 10) <= 65535);
    }
    if (network_listener(text, &listener, &length)) {
        MUST(listener.ss_family == AF_INET || listener.ss_family == AF_INET6);
        MUST(length == (listener.ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                      : sizeof(struct sockaddr_in6)));
    }
}

/* A file that holds these bytes. */
static const char *file_of(const char *bytes, size_t length) {
    static int descriptor = -1;
    static char path[32];

    if (descriptor < 0) {
        descriptor = memfd_create("fuzz", MFD_CLOEXEC);
        MUST(descriptor >= 0 && fchmod(descriptor, 0600) == 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    }
    MUST(ftruncate(descriptor, 0) == 0);
    MUST(pwrite(descriptor, bytes, length, 0) == (ssize_t)length);
    return path;
}

static void read_config(const char *bytes, size_t length) {
    static struct options options;
    char word[64], *words[] = {word};
    enum options_result result;

    (void)snprintf(word, sizeof word, "--config=%s", file_of(bytes, length));
    result = options_read(&options, 1, words);
    MUST(result == OPTIONS_RUN || result == OPTIONS_WRONG);
    MUST(lines == (result == OPTIONS_WRONG));
    if (result == OPTIONS_RUN) {
        MUST(options.listeners > 0 && options.listeners <= LISTEN_MAX);
        MUST(options.sinks > 0 && options.sinks <= CMCWH_READERS_MAX);
        MUST(options.networks <= OPTIONS_NETWORKS && options.proxy_count <= OPTIONS_NETWORKS);
        MUST(options.path[0] == '/' && options.workers > 0 && options.body_max > 0);
        MUST(options.text_used <= OPTIONS_TEXT);
    }
}

/* The command line: words, each ended by a zero. */
static void read_arguments(char *bytes, size_t length) {
    static struct options options;
    char *words[64];
    enum options_result result;
    int count = 0;

    for (size_t at = 0; at < length && count < 64; at += strlen(bytes + at) + 1) {
        words[count++] = bytes + at;
        if (strstr(bytes + at, "config") != NULL) {
            return; /* no file of this machine */
        }
    }
    result = options_read(&options, count, words);
    MUST(lines == (result == OPTIONS_WRONG));
}

static void read_credentials(const char *bytes, size_t length) {
    struct auth *auth = auth_read(AUTH_WEBHOOKS, file_of(bytes, length));

    MUST(lines == (auth == NULL));
    if (auth != NULL) {
        MUST(auth->access.count > 0 && auth->access.count <= AUTH_LINES_MAX);
        for (size_t i = 0; i < auth->access.count; i++) {
            struct cmcwh_text secret = auth->access.credentials[i].secret;

            MUST(secret.length > 0 && secret.length <= CMCWH_SECRET_MAX);
            MUST(strlen(secret.data) == secret.length);
        }
        auth_use(AUTH_WEBHOOKS, auth);
        auth_use(AUTH_WEBHOOKS, NULL);
    }
}

/* What goes to a peer is headers and nothing else: each line ends, and none is one of ours. */
static void are_headers(const char *headers) {
    const char *line = headers, *end;

    for (; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
        const char *colon = strstr(line, ": ");

        MUST(colon != NULL && colon > line && colon + 2 < end);
        MUST(strncasecmp(line, "Host:", 5) != 0 && strncasecmp(line, "Content-Length:", 15) != 0);
        for (const char *at = line; at < end; at++) {
            MUST((unsigned char)*at >= ' ' || *at == '\t');
        }
    }
    MUST(*line == '\0');
}

/* A list of what a sink shows its peer; the first byte says by which protocol. */
static void read_list(const char *bytes, size_t length) {
    static const struct sink_parameter parameters[] = {{"headers", "", secrets_set_list},
                                                       {NULL, NULL, NULL}};
    static const struct sink_medium medium = {.parameters = parameters};
    bool http = length == 0 || bytes[0] == 'h';
    struct secret_files files = {.list = file_of(bytes + (length > 0), length - (length > 0))};
    const struct sink sink = {.uri = "x", .medium = &medium, .own = &files};
    struct secrets *secrets = secrets_load(&sink, http ? SECRETS_HTTP : SECRETS_MQTT, false);

    MUST(lines == (secrets == NULL));
    if (secrets != NULL) {
        are_headers(secrets->headers);
        MUST(http ? secrets->user[0] == '\0' : secrets->user[0] != '\0');
        MUST(http || secrets->headers[0] == '\0');
        MUST(secrets->headers[0] != '\0' || secrets->api_key[0] != '\0' || !http);
    }
    secrets_unload(secrets);
}

static void read_uri(const char *text) {
    static struct sink sink;
    bool right = sink_parse(&sink, text, true);

    MUST(lines == !right);
    MUST(!right || (sink.medium != NULL && sink.encoding <= CMCWH_ENCODE_RFC3164));
    if (right) {
        sink_free(&sink);
    }
}

/* Until the whole is there, no part of it may wait for more than it; nor for what is there, or it
 * would be looked at again and again. */
static void read_request(const char *bytes, size_t length) {
    size_t whole, need = 0;

    if (look_request(bytes, length, length, 1 << 20, &whole) == LOOK_WHOLE) {
        MUST(whole > 0 && whole <= length && whole <= LOOK_WHOLE_MAX);
        for (size_t part = 0; part < whole; part++) {
            enum look look = look_request(bytes, part, part, 1 << 20, &need);

            MUST(look == LOOK_PIECES || (look == LOOK_WAITS && need > part && need <= whole));
        }
    } else if (look_request(bytes, length, length, 1 << 20, &whole) == LOOK_WAITS) {
        MUST(whole > length && whole <= LOOK_WHOLE_MAX + 1);
        MUST(look_request(bytes, length, whole, 1 << 20, &need) != LOOK_WAITS);
    }
}

static void read_record(const unsigned char *bytes, size_t length) {
    size_t whole = 0, need = 0;
    enum look look = look_record(bytes, length, length, &whole);

    MUST(look == LOOK_WHOLE || (look == LOOK_WAITS && whole > length));
    for (size_t part = 1; part < length && look == LOOK_WHOLE; part++) {
        MUST(look_record(bytes, part, part, &need) == LOOK_WHOLE ||
             (need > part && need <= length));
    }
}

static void is_within(struct cmcwh_text text, const char *bytes, int length) {
    MUST(text.data == NULL ? text.length == 0
                           : text.data >= bytes && text.data + text.length <= bytes + length);
}

/* A request to the admin port. No part of a good head is taken for one, or refused; a bad one stays
 * bad. */
static void read_admin(const char *bytes, size_t length) {
    static struct gate gate;
    static struct cmcwh_ring ring;
    static struct cmcwh_record records[1];
    static uint32_t links[1];
    const struct cmcwh_ring_config config = {.records = records, .links = links, .capacity = 1};
    char text[512];
    struct writer why = {.bytes = text, .size = sizeof text};
    struct request request;
    struct events events;
    const char *fault;
    int whole = request_read(&request, bytes, length, &fault);

    MUST(whole <= (int)length && (whole >= 0 || fault != NULL));
    MUST(whole >= 0 || whole == -400 || whole == -431 || whole == -505);
    if (whole <= 0) {
        return;
    }
    for (int i = 0; i < REQUEST_HEADERS; i++) {
        is_within(request.headers[i], bytes, whole);
    }
    is_within(request.path, bytes, whole);
    is_within(request.query, bytes, whole);
    MUST(gate_check(&gate, &request, "192.0.2.1", 0).status / 100 != 5);
    MUST(request_accepts(request.headers[REQUEST_ACCEPT], "text/html") <= 1000);
    MUST(cmcwh_ring_init(&ring, &config, 1) == CMCWH_OK);
    MUST(events_ask(&events, &ring, &request, EVENTS_SENT, &why) == (why.used == 0));
    MUST(!why.full);
    for (int part = 0; part < whole; part++) {
        MUST(request_read(&request, bytes, (size_t)part, &fault) == 0);
    }
}

/* What was read of a line where it stands is what the parser makes of it. */
static void compare(const struct cmcwh_event *a, const struct cmcwh_event *b) {
    MUST(a->seq == b->seq && a->batch == b->batch && a->received == b->received && a->id == b->id);
    MUST(a->batch_size == b->batch_size && a->kind == b->kind && a->status == b->status);
    MUST(a->severity == b->severity && a->truncated == b->truncated);
    for (unsigned i = 0; i < CMCWH_FIELDS; i++) {
        MUST(a->texts[i].length == b->texts[i].length);
        MUST(a->texts[i].length == 0 ||
             memcmp(a->texts[i].data, b->texts[i].data, a->texts[i].length) == 0);
    }
}

static bool take_event(void *count, struct source_event *found) {
    const struct cmcwh_record *record = source_record(found);
    char line[CMCWH_ENCODED_MAX];
    struct cmcwh_event event;
    size_t text = 0;

    MUST(record != NULL && cmcwh_record_check(record) == CMCWH_OK);
    cmcwh_record_read(record, &event);
    compare(&found->says, &event);
    MUST(found->line.data == NULL ||
         (cmcwh_encode(record, CMCWH_ENCODE_JSON, NULL, line) == found->line.length &&
          memcmp(line, found->line.data, found->line.length) == 0));
    for (unsigned i = 0; i < CMCWH_FIELDS; i++) {
        text += event.texts[i].length;
    }
    MUST(text <= CMCWH_RECORD_TEXT && event.kind <= CMCWH_BLOCKS && event.status <= 99);
    MUST(event.truncated >> CMCWH_FIELDS == 0);
    *(unsigned *)count += 1;
    return true;
}

/* A log, whatever is in it: either it is read, or one line says why not. */
static void read_source(const char *bytes, size_t length) {
    unsigned count = 0;
    const struct source_reader reader = {.take = take_event, .context = &count};
    enum source_result result = source_read(file_of(bytes, length), &reader);

    MUST(result == SOURCE_READ || (result == SOURCE_FAILED && lines > 0));
    MUST(lines <= 2);
}

/* Does a member have a name with a number, because another has the one without? It may be longer
 * than the one that was sent, and need not fit again. Of a type that is not known, and that was cut
 * as a whole, a part of the word `other` may come. */
static bool is_strange(const char *line) {
    if (strstr(line, ",\"event_type\":\"other\"") != NULL &&
        strstr(line, ",\"truncated\":[") != NULL) {
        return true;
    }
    for (const char *at = line; (at = strstr(at, ",\"event")) != NULL; at++) {
        if (at[7] >= '0' && at[7] <= '9') {
            return true;
        }
    }
    return false;
}

static void write_line(const struct cmcwh_record *record, char line[CMCWH_ENCODED_MAX]) {
    size_t length = cmcwh_encode(record, CMCWH_ENCODE_JSON, NULL, line);

    MUST(line[length - 1] == '\n');
    line[length - 1] = '\0';
}

/* The line of a record comes out as the same line when it is read again; so it does the next time
 * in any case. */
static void read_again(const struct cmcwh_record *record) {
    static struct cmcwh_parser parser;
    static char first[CMCWH_ENCODED_MAX], again[CMCWH_ENCODED_MAX], third[CMCWH_ENCODED_MAX];
    struct cmcwh_record made;

    write_line(record, first);
    memcpy(third, first, sizeof first);
    MUST(line_read(&parser, third, &made));
    MUST(cmcwh_record_check(&made) == CMCWH_OK);
    write_line(&made, again);
    MUST(strcmp(first, again) == 0 || is_strange(first));
    memcpy(third, again, sizeof again);
    MUST(line_read(&parser, third, &made));
    write_line(&made, third);
    MUST(strcmp(again, third) == 0);
}

/* The body of a webhook. */
static void read_body(const char *bytes, size_t length) {
    enum { MOST = 8 };
    static struct cmcwh_record records[MOST], record;
    static struct cmcwh_parser parser;
    uint32_t links[MOST];
    struct cmcwh_ring ring;
    const struct cmcwh_ring_config config = {.records = records, .links = links, .capacity = MOST};
    int reader;

    MUST(cmcwh_ring_init(&ring, &config, 1) == CMCWH_OK);
    reader = cmcwh_ring_attach(&ring, NULL, true);
    cmcwh_parser_init(&parser, &ring, CMCWH_JSON);
    (void)cmcwh_parser_feed(&parser, bytes, length);
    if (cmcwh_parser_end(&parser) > 0 && cmcwh_parser_commit(&parser) > 0) {
        while (cmcwh_ring_read(&ring, reader, &record) > 0) {
            read_again(&record);
        }
    }
    cmcwh_parser_abort(&parser);
}

/* In pieces of `step` bytes. */
static void read_pieces(struct reply *reply, char *body, size_t room, const char *bytes,
                        size_t length, size_t step) {
    reply_begin(reply, body, room);
    for (size_t at = 0; at < length && reply->state < REPLY_WHOLE;) {
        size_t part = length - at < step ? length - at : step;
        size_t taken = reply_feed(reply, bytes + at, part);

        MUST(taken <= part && (taken == part || reply->state >= REPLY_WHOLE));
        at += taken;
    }
    MUST(reply->length <= room && (reply->state == REPLY_WRONG) == (reply->fault != NULL));
}

/* What is said of one is a line that fits, and so does the pause that it asks for. */
static void read_refusal(const struct reply *reply) {
    enum { HOUR = 3600000 };
    char text[64];

    memset(text, '\n', sizeof text);
    refusal_explain(reply, text, sizeof text);
    MUST(memchr(text, '\0', sizeof text) != NULL && strpbrk(text, "\r\n\x1B") == NULL);
    MUST(refusal_pause(reply, 0) <= HOUR && refusal_pause(reply, UINT64_MAX) <= HOUR);
}

/* A reply is the same in whatever pieces it comes. */
static void read_reply(const char *bytes, size_t length) {
    char whole_body[32], body[32];
    struct reply whole, reply;

    read_pieces(&whole, whole_body, sizeof whole_body, bytes, length, length);
    for (size_t step = 1; step < length && step < 8; step++) {
        read_pieces(&reply, body, sizeof body, bytes, length, step);
        MUST(reply.state == whole.state && reply.status == whole.status);
        MUST(reply.length == whole.length && reply.cut == whole.cut);
        MUST(memcmp(body, whole_body, reply.length) == 0);
    }
    reply_end(&whole);
    MUST(whole.state == REPLY_WHOLE || whole.state == REPLY_WRONG);
    read_refusal(&whole);
}

/* Nothing of an address begins another line; what is decoded is no longer than it was. */
static void read_url(const char *text) {
    char decoded[LONGEST + 1];
    struct url url;

    if (url_decode(text, decoded, sizeof decoded)) {
        MUST(strlen(decoded) <= strlen(text));
    }
    if (url_parse(&url, text) == NULL) {
        MUST(url.host[0] != '\0' && url.path[0] == '/' && strpbrk(text, " \r\n") == NULL);
        MUST(strtoul(url.port, NULL, 10) <= 65535 && strlen(url.authority) <= strlen(text));
    }
}

/* `text` is followed by a zero, but for those that are given their length alone. False: there is no
 * such kind. */
static bool read_kind(uint8_t kind, char *text, size_t length) {
    switch (kind) {
    case 'h':
        return read_proxy_header(text, length), true;
    case 'f':
        return read_forwarded(text), true;
    case 'n':
        return read_addresses(text), true;
    case 'c':
        return read_config(text, length), true;
    case 'o':
        return read_arguments(text, length + 1), true;
    case 'a':
        return read_credentials(text, length), true;
    case 's':
        return read_uri(text), true;
    case 'g':
        return read_request(text, length), true;
    case 'q':
        return read_admin(text, length), true;
    case 't':
        return read_record((const unsigned char *)text, length), true;
    case 'k':
        return read_list(text, length), true;
    case 'b':
        return read_body(text, length), true;
    case 'l':
        return read_source(text, length), true;
    case 'r':
        return read_reply(text, length), true;
    case 'u':
        return read_url(text), true;
    default:
        return false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char *text;
    bool known;

    if (length == 0 || length > LONGEST) {
        return -1;
    }
    text = malloc(length); /* with nothing behind it that may be read */
    MUST(text != NULL);
    memcpy(text, bytes + 1, length - 1);
    text[length - 1] = '\0';
    if (bytes[0] == 'h' || bytes[0] == 'q') { /* not even a zero */
        text = realloc(text, length > 1 ? length - 1 : 1);
        MUST(text != NULL);
    }
    lines = 0;
    known = read_kind(bytes[0], text, length - 1);
    free(text);
    return known ? 0 : -1;
}
