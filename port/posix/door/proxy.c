/* Whom a proxy speaks for. Not here: reading from its connection (door.c). */
#include "door/proxy.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool proxy_trusts(const struct proxies *proxies, const char *address) {
    return proxies->count > 0 && network_contains(proxies->networks, proxies->count, address);
}

/* ---- PROXY protocol, by its specification (HAProxy, "The PROXY protocol", versions 1 and 2) ----
 */

static void set_peer(union network_address *peer, int family, const void *address, unsigned port) {
    memset(peer, 0, sizeof *peer);
    peer->any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        memcpy(&peer->four.sin_addr, address, sizeof peer->four.sin_addr);
        peer->four.sin_port = htons((uint16_t)port);
    } else {
        memcpy(&peer->six.sin6_addr, address, sizeof peer->six.sin6_addr);
        peer->six.sin6_port = htons((uint16_t)port);
    }
}

static bool port_number(const char *text, unsigned *port) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *port = (unsigned)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value <= 65535;
}

/* Cuts a line into `count` words with one space between. */
static bool split(char *line, const char **words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char *space = line == NULL ? NULL : strchr(line, ' ');

        words[i] = line;
        if ((space == NULL) != (i == count - 1)) {
            return false;
        }
        if (space != NULL) {
            *space++ = '\0';
        }
        line = space;
    }
    return true;
}

/* "PROXY TCP4 SOURCE DESTINATION PORT PORT" and CR LF. */
static int header_one(const char *bytes, size_t length, union network_address *peer) {
    enum { LONGEST = 107, FAMILY = 1, SOURCE, DESTINATION, FROM, TO, WORDS };
    char line[LONGEST + 1];
    const char *words[WORDS], *end = memchr(bytes, '\n', length < LONGEST ? length : LONGEST);
    unsigned char address[16];
    unsigned from, to;
    int family;

    if (end == NULL) {
        return length < LONGEST ? PROXY_MORE : PROXY_WRONG;
    }
    (void)snprintf(line, sizeof line, "%.*s", (int)(end - 1 - bytes), bytes);
    if (end[-1] != '\r') {
        return PROXY_WRONG;
    }
    if (strncmp(line, "PROXY UNKNOWN", 13) == 0) {
        return (int)(end + 1 - bytes);
    }
    if (!split(line, words, WORDS) || !port_number(words[FROM], &from) ||
        !port_number(words[TO], &to)) {
        return PROXY_WRONG;
    }
    family = strcmp(words[FAMILY], "TCP6") == 0 ? AF_INET6 : AF_INET;
    if ((family == AF_INET && strcmp(words[FAMILY], "TCP4") != 0) ||
        inet_pton(family, words[DESTINATION], address) != 1 ||
        inet_pton(family, words[SOURCE], address) != 1) {
        return PROXY_WRONG;
    }
    set_peer(peer, family, address, from);
    return (int)(end + 1 - bytes);
}

static int header_two(const unsigned char *bytes, size_t length, union network_address *peer) {
    enum { FIXED = 16, TCP4 = 0x11, TCP6 = 0x21, LOCAL = 0x20, PROXY = 0x21 };
    size_t size;

    if (length < FIXED) {
        return PROXY_MORE;
    }
    size = (size_t)bytes[14] << 8 | bytes[15];
    if ((bytes[12] != LOCAL && bytes[12] != PROXY) || FIXED + size > PROXY_HEADER_MAX) {
        return PROXY_WRONG;
    }
    if (length < FIXED + size) {
        return PROXY_MORE;
    }
    if (bytes[12] == PROXY && bytes[13] == TCP4 && size >= 12) {
        set_peer(peer, AF_INET, bytes + FIXED, (unsigned)bytes[FIXED + 8] << 8 | bytes[FIXED + 9]);
    } else if (bytes[12] == PROXY && bytes[13] == TCP6 && size >= 36) {
        set_peer(peer, AF_INET6, bytes + FIXED,
                 (unsigned)bytes[FIXED + 32] << 8 | bytes[FIXED + 33]);
    } /* others have no address of use here: the proxy's own stays */
    return (int)(FIXED + size);
}

int proxy_header(const char *bytes, size_t length, union network_address *peer) {
    static const char one[] = "PROXY ", two[] = "\r\n\r\n\0\r\nQUIT\n";
    size_t first = length < sizeof one - 1 ? length : sizeof one - 1;
    size_t second = length < sizeof two - 1 ? length : sizeof two - 1;

    if (memcmp(bytes, one, first) == 0) {
        return first < sizeof one - 1 ? PROXY_MORE : header_one(bytes, length, peer);
    }
    if (memcmp(bytes, two, second) == 0) {
        return second < sizeof two - 1 ? PROXY_MORE
                                       : header_two((const unsigned char *)bytes, length, peer);
    }
    return PROXY_NONE;
}

/* ---- X-Forwarded-For ---- */

/* The last address of a list that ends at `end`, which moves before it; "" when it is none. Some
 * proxies add a port, and put IPv6 in brackets. */
static void last_address(const char *list, size_t *end, char address[CMCWH_ADDRESS_SIZE]) {
    size_t start, length;
    char *colon;

    while (*end > 0 && strchr(" \t,", list[*end - 1]) != NULL) {
        --*end;
    }
    start = *end;
    while (start > 0 && strchr(" \t,", list[start - 1]) == NULL) {
        start--;
    }
    length = *end - start;
    *end = start;
    (void)snprintf(address, CMCWH_ADDRESS_SIZE, "%.*s", (int)(length < 64 ? length : 64),
                   list + start);
    if (address[0] == '[') {
        memmove(address, address + 1, strlen(address));
        address[strcspn(address, "]")] = '\0';
    } else if ((colon = strchr(address, ':')) != NULL && strchr(colon + 1, ':') == NULL) {
        *colon = '\0';
    }
    if (!network_is_address(address)) {
        address[0] = '\0';
    }
}

/* Are both texts the same address? */
static bool same(const char *one, const char *other) {
    struct network network;

    return network_parse(&network, one) && network_contains(&network, 1, other);
}

bool proxy_forwarded(const struct proxies *proxies, const struct mg_request_info *info,
                     char address[CMCWH_ADDRESS_SIZE]) {
    char known[CMCWH_ADDRESS_SIZE];

    memcpy(known, address, sizeof known);
    for (int i = info->num_headers; i-- > 0 && proxies->count > 0;) {
        const char *list = info->http_headers[i].value;
        size_t end = strlen(list);

        if (strcasecmp(info->http_headers[i].name, "X-Forwarded-For") != 0) {
            continue;
        }
        while (end > 0 && proxy_trusts(proxies, known)) {
            bool its_own = strcmp(known, address) == 0;

            last_address(list, &end, known);
            if (known[0] == '\0' || (its_own && same(known, address))) {
                return false; /* nothing before it can be relied on */
            }
        }
    }
    if (proxies->count == 0 || strcmp(known, address) == 0 || proxy_trusts(proxies, known)) {
        return false;
    }
    memcpy(address, known, sizeof known);
    return true;
}
