/* The address of something that speaks HTTP. Not here: what it resolves to. */
#include "platform/url.h"

#include <stdio.h>
#include <string.h>

#include "platform/network.h"

/* In a request's first line nothing else may stand (RFC 3986, section 2). */
static bool is_plain(const char *text) {
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7F ||
            strchr("\"<>\\^`{|}#", *text) != NULL) {
            return false;
        }
    }
    return true;
}

/* HOST, HOST:PORT, [ADDR], [ADDR]:PORT. */
static bool split(struct url *url, const char *authority) {
    char whole[sizeof url->authority];
    const char *colon = strrchr(authority, ':'), *bracket = strchr(authority, ']');
    bool has_port = colon != NULL && (bracket == NULL || colon > bracket);

    (void)snprintf(whole, sizeof whole, "%.*s:%s",
                   has_port ? (int)(colon - authority) : (int)strlen(authority), authority,
                   has_port      ? colon + 1
                   : url->secure ? "443"
                                 : "80");
    return strpbrk(authority, "@?") == NULL &&
           (authority[0] == '[' || strchr(authority, ':') == NULL ||
            strchr(authority, ':') == colon) &&
           network_split(whole, url->host, sizeof url->host, url->port, sizeof url->port);
}

const char *url_parse(struct url *url, const char *text) {
    static const char host_expected[] =
        "HOST or HOST:PORT behind '//', a port from 1 to 65535, and no user";
    size_t scheme, length;

    *url = (struct url){.secure = strncmp(text, "https://", 8) == 0, .path = "/"};
    scheme = url->secure ? 8 : 7;
    if (!url->secure && strncmp(text, "http://", 7) != 0) {
        return "https://HOST[:PORT]/PATH or http://...";
    }
    if (!is_plain(text)) {
        return "no '#', blanks as %20, and what else has no place in a URL as % with two digits";
    }
    length = strcspn(text + scheme, "/");
    if (length >= sizeof url->authority - sizeof ":65535") {
        return host_expected;
    }
    memcpy(url->authority, text + scheme, length);
    if (text[scheme + length] == '/') {
        url->path = text + scheme + length;
    }
    return split(url, url->authority) ? NULL : host_expected;
}

/* A password may hold what would end an authority: then there is no port where one should be. */
static bool has_odd_port(const char *authority, size_t length) {
    const char *colon = memchr(authority, ':', length);

    return authority[0] != '[' && colon != NULL &&
           strspn(colon + 1, "0123456789") < length - (size_t)(colon + 1 - authority);
}

struct cmcwh_text url_user(const char *text) {
    const char *colon = strchr(text, ':'), *begin, *at;
    size_t length;

    if (colon == NULL || strncmp(colon, "://", 3) != 0) {
        return (struct cmcwh_text){text, 0};
    }
    begin = colon + 3;
    length = strcspn(begin, "/?#");
    at = memrchr(begin, '@', length);
    if (at == NULL && has_odd_port(begin, length)) {
        at = strrchr(begin, '@');
    }
    return (struct cmcwh_text){begin, at == NULL ? 0 : (size_t)(at + 1 - begin)};
}

const char *url_shown(const char *text, char *out, size_t size) {
    static const char more[] = "...";
    struct cmcwh_text user = url_user(text);
    int length = user.length == 0 ? snprintf(out, size, "%s", text)
                                  : snprintf(out, size, "%.*s***@%s", (int)(user.data - text), text,
                                             user.data + user.length);

    if ((size_t)length >= size && size >= sizeof more) {
        memcpy(out + size - sizeof more, more, sizeof more);
    }
    return out;
}

static int digit_of(char c) {
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);

    return at == NULL ? -1 : (int)(at - digits);
}

int url_byte(const char *digits) {
    int high = digit_of(digits[0]), low = high < 0 ? -1 : digit_of(digits[1]);

    return low < 0 || high + low == 0 ? -1 : high * 16 + low;
}

bool url_decode(const char *text, char *out, size_t size) {
    size_t used = 0;

    for (; *text != '\0' && used + 1 < size; text++) {
        int byte = *text == '%' ? url_byte(text + 1) : (unsigned char)*text;

        if (byte < 0) {
            return false;
        }
        text += *text == '%' ? 2 : 0;
        out[used++] = (char)byte;
    }
    out[used] = '\0';
    return *text == '\0';
}
