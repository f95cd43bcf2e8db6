/* cmcwh status: what a running cmcwh says of itself at its admin port, with the exit status and the
 * first line of a monitoring plugin. Not here: what is well and what is not (admin/verdict.c). */
#include "command/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/arguments.h"
#include "command/ask.h"
#include "command/json.h"
#include "platform/log.h"

#define DEFAULT_ADDRESS "127.0.0.1:8081"

static const char usage[] =
    "usage: cmcwh status [--json] [--auth-file FILE] [--ca FILE] [--timeout SECONDS]\n"
    "                    [ADDR]\n"
    "Asks a running cmcwh at its admin port (--admin) how it is: ADDR is HOST:PORT,\n"
    "HOST:PORTs for HTTPS, or a URL (" DEFAULT_ADDRESS "). The first line fits Nagios and\n"
    "Icinga; the status page follows, as text.\n"
    "  --json            prints /status.json instead\n"
    "  --auth-file FILE  credentials, as in --admin-auth-file\n"
    "  --ca FILE         trust the certificates in FILE (PEM), and those that one of\n"
    "                    them has signed, instead of those that the system trusts\n"
    "  --timeout SECONDS for each request (10)\n"
    "Exit status, as of a monitoring plugin: 0 all is well, 1 somebody should look,\n"
    "2 trouble, or it does not answer, 3 not known, also wrong usage.\n";

/* Exit statuses of plugins. */
enum { OK, WARNING, CRITICAL, UNKNOWN };

enum { BODY_MOST = 65536, REQUEST_MOST = 4096, TEXT_MOST = 1024 };

static struct ask ask = {.command = "status"};
static const char *address = DEFAULT_ADDRESS; /* as given */

/* ---- The address ---- */

/* HOST:PORT, HOST:PORTs or a URL of the port, as a URL. */
static bool read_address(void) {
    static char text[320];
    char shown[320];
    size_t length = strlen(address);
    bool url = strstr(address, "://") != NULL;
    bool secure = !url && length > 0 && address[length - 1] == 's';

    (void)snprintf(text, sizeof text, "%s%.*s",
                   url      ? ""
                   : secure ? "https://"
                            : "http://",
                   (int)length - secure, address);
    if (length >= sizeof text - sizeof "https://" || url_parse(&ask.url, text) != NULL ||
        strcmp(ask.url.path, "/") != 0 || (!url && strrchr(text, ':') < text + 6)) {
        log_usage("status: '%s': expected HOST:PORT, HOST:PORTs for HTTPS, or http(s)://HOST:PORT",
                  url_shown(address, shown, sizeof shown));
        return false;
    }
    return true;
}

/* ---- Asking ---- */

static bool get(const char *path, const char *accept, struct reply *reply) {
    char bytes[REQUEST_MOST];
    struct writer request = {.bytes = bytes, .size = sizeof bytes};

    writer_text(&request, "GET ");
    writer_text(&request, path);
    writer_text(&request, " HTTP/1.1\r\nHost: ");
    writer_text(&request, ask.url.authority);
    writer_print(&request, "\r\nAccept: %s\r\nUser-Agent: cmcwh/" CMCWH_VERSION "\r\n", accept);
    ask_authorization(&ask, &request);
    writer_text(&request, "Connection: close\r\n\r\n");
    return ask_send(&ask, &request, reply);
}

/* ---- Telling ---- */

/* Nothing of it acts on a terminal; a line of a plugin ends at '|'. */
static void print_plain(const char *text, size_t length, bool one_line) {
    bool c1 = false; /* the byte before was the first of one of them in UTF-8 */

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i],
                      next = i + 1 < length ? (unsigned char)text[i + 1] : 0;

        if (c1 || c == 0x7F || (c < ' ' && (one_line || c != '\n')) ||
            (c == 0xC2 && (next & 0xE0) == 0x80)) {
            (void)printf("\\x%02x", c);
            c1 = !c1 && c == 0xC2;
        } else {
            (void)putchar(one_line && c == '|' ? '/' : c);
        }
    }
}

/* The first line of a plugin. */
static int print_first(int status, const char *text) {
    static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

    (void)printf("CMCWH %s - ", words[status]);
    print_plain(text, strlen(text), true);
    return status;
}

static int print_fault(int status, const char *text) {
    char line[TEXT_MOST];

    (void)snprintf(line, sizeof line, "%s: %s", address, text);
    (void)print_first(status, line);
    (void)putchar('\n');
    return status;
}

/* Who does not answer is in trouble; who cannot be asked is not known. */
static int say_unreached(void) {
    enum client_fault fault = ask.client.fault;

    return print_fault(fault == CLIENT_REFUSED || fault == CLIENT_FAR || fault == CLIENT_LATE ||
                               fault == CLIENT_BROKEN
                           ? CRITICAL
                           : UNKNOWN,
                       ask_fault(&ask));
}

static int say_refused(const struct reply *reply) {
    static const struct {
        int status;
        const char *what;
    } known[] = {
        {400, "does the port want HTTPS? Then HOST:PORTs, or https://"},
        {401, "credentials are missing or wrong: --auth-file must have those of --admin-auth-file"},
        {403, "it does not know this name as its own: ask by its address in numbers, or start it "
              "with --admin-host NAME"},
        {404, "is this the port of --admin, and of this version?"},
        {429, "too many wrong credentials have come from here: wait a minute"},
    };
    const char *what = "is this the port of --admin?";
    char text[160];

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        what = known[i].status == reply->status ? known[i].what : what;
    }
    (void)snprintf(text, sizeof text, "%d: %s", reply->status, what);
    return print_fault(UNKNOWN, text);
}

/* How many there are, for graphs. */
static void print_figures(const struct reply *reply) {
    static const struct {
        const char *name, *path, *unit;
    } figures[] = {{"events", "events.stored", "c"}, {"ring", "ring.in_use", ""}};
    char value[32], most[32];

    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        if (json_find(reply->body, reply->length, figures[i].path, value, sizeof value) &&
            strspn(value, "0123456789") == strlen(value)) {
            (void)printf("%s%s=%s%s", i == 0 ? " | " : " ", figures[i].name, value,
                         figures[i].unit);
        }
    }
    if (json_find(reply->body, reply->length, "ring.capacity", most, sizeof most) &&
        strspn(most, "0123456789") == strlen(most)) {
        (void)printf(";;;0;%s", most);
    }
    (void)putchar('\n');
}

/* What the verdict's colour is for a plugin. */
static int status_of(const struct reply *reply) {
    static const char *const colours[] = {"ok", "amber", "red"};
    char colour[16] = "";

    if (reply->cut ||
        !json_find(reply->body, reply->length, "verdict.colour", colour, sizeof colour)) {
        return UNKNOWN;
    }
    for (int i = OK; i < UNKNOWN; i++) {
        if (strcmp(colour, colours[i]) == 0) {
            return i;
        }
    }
    return UNKNOWN;
}

/* The page but for its first line, if that says nothing else than `sentence`. */
static void print_page(char *body, const char *sentence) {
    struct reply reply;
    size_t skipped = 0;

    reply_begin(&reply, body, BODY_MOST);
    if (get("/", "text/plain", &reply) && reply.status == 200 &&
        strncmp(reply.type, "text/plain", 10) == 0) {
        const char *end = memchr(body, '\n', reply.length);
        size_t line = end == NULL ? reply.length : (size_t)(end - body);

        if (line == strlen(sentence) && memcmp(body, sentence, line) == 0) {
            skipped = line + (end != NULL);
        }
        print_plain(body + skipped, reply.length - skipped, false);
    }
}

/* The sentence begins with the word of its colour, for which a plugin has its own. */
static int print_verdict(const struct reply *reply, int status, char sentence[TEXT_MOST]) {
    const char *behind;

    if (!json_find(reply->body, reply->length, "verdict.sentence", sentence, TEXT_MOST)) {
        return print_fault(UNKNOWN, "what came is no status of cmcwh");
    }
    behind = strstr(sentence, ": ");
    (void)print_first(status, behind == NULL ? sentence : behind + 2);
    print_figures(reply);
    return status;
}

/* What comes is kept in `body`. */
static int run(bool json, char *body) {
    struct reply reply;
    int status;

    reply_begin(&reply, body, BODY_MOST);
    if (!get("/status.json", "application/json", &reply)) {
        return say_unreached();
    }
    if (reply.status != 200) {
        return say_refused(&reply);
    }
    status = status_of(&reply);
    if (status == UNKNOWN) {
        return print_fault(status, "what came is no status of cmcwh");
    }
    if (json) {
        print_plain(body, reply.length, false);
    } else {
        char sentence[TEXT_MOST];

        status = print_verdict(&reply, status, sentence);
        if (status != UNKNOWN) {
            print_page(body, sentence);
        }
    }
    return command_flush() == 0 ? status : UNKNOWN;
}

int command_status(int count, char **arguments) {
    bool json = false;
    const struct argument options[] = {{"--json", &json, NULL}, ASK_OPTIONS(ask)};
    const struct arguments what = {.command = "status",
                                   .usage = usage,
                                   .expected = "--json, --auth-file FILE, --ca FILE, --timeout "
                                               "SECONDS, and one ADDR",
                                   .options = options,
                                   .option_count = sizeof options / sizeof *options,
                                   .most = 1};
    int words = arguments_read(&what, count, arguments), status = UNKNOWN;
    char *body;

    if (words < 0) {
        return words == ARGUMENTS_HELP ? OK : UNKNOWN;
    }
    address = words > 0 ? arguments[0] : address;
    if (!read_address() || !ask_prepare(&ask)) {
        return UNKNOWN;
    }
    body = malloc(BODY_MOST);
    if (body != NULL) {
        status = run(json, body);
        free(body);
    } else {
        (void)print_fault(UNKNOWN, "out of memory");
    }
    ask_end(&ask);
    return status;
}
