/* Addresses, as text and as bytes. Not here: any socket. */
#include "platform/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An address of either family in the 16 bytes of IPv6. */
static bool address_parse(uint8_t *bytes, const char *text, bool *four) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

    *four = inet_pton(AF_INET, text, bytes + 12) == 1;
    if (*four) {
        memcpy(bytes, mapped, sizeof mapped);
        return true;
    }
    return inet_pton(AF_INET6, text, bytes) == 1;
}

bool network_is_address(const char *text) {
    uint8_t bytes[16];
    bool four;

    return address_parse(bytes, text, &four);
}

bool network_parse(struct network *network, const char *text) {
    char address[64], *end;
    const char *slash = strchr(text, '/');
    size_t length = slash == NULL ? strlen(text) : (size_t)(slash - text);
    unsigned long bits;
    bool four;

    if (length >= sizeof address) {
        return false;
    }
    memcpy(address, text, length);
    address[length] = '\0';
    if (!address_parse(network->address, address, &four)) {
        return false;
    }
    network->bits = 128;
    if (slash == NULL) {
        return true;
    }
    bits = strtoul(slash + 1, &end, 10);
    if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > (four ? 32 : 128)) {
        return false;
    }
    network->bits = (unsigned)bits + (four ? 96 : 0);
    return true;
}

static bool inside(const struct network *network, const uint8_t *address) {
    unsigned whole = network->bits / 8, rest = network->bits % 8;

    return memcmp(network->address, address, whole) == 0 &&
           (rest == 0 || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0);
}

bool network_contains(const struct network *networks, size_t count, const char *address) {
    uint8_t bytes[16];
    bool four;

    if (!address_parse(bytes, address, &four)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (inside(&networks[i], bytes)) {
            return true;
        }
    }
    return false;
}

bool network_loopback(const char *address) {
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static bool split(const char *text, char *host, size_t host_size, char *port, size_t port_size) {
    const char *colon = strrchr(text, ':'), *end = colon;

    if (colon == NULL || colon == text || strlen(colon + 1) == 0 ||
        strlen(colon + 1) >= port_size) {
        return false;
    }
    if (*text == '[') {
        text++;
        if (*--end != ']') {
            return false;
        }
    }
    if (end <= text || (size_t)(end - text) >= host_size) {
        return false;
    }
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return strspn(port, "0123456789") == strlen(port) && strtoul(port, NULL, 10) <= 65535;
}

bool network_split(const char *text, char *host, size_t host_size, char *port, size_t port_size) {
    return split(text, host, host_size, port, port_size) && strtoul(port, NULL, 10) > 0;
}

bool network_secure(const char *text) {
    size_t length = strlen(text);

    return length > 0 && text[length - 1] == 's';
}

bool network_listener(const char *text, struct sockaddr_storage *address, socklen_t *length) {
    char plain[80] = "", host[64], port[8];
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;

    memset(address, 0, sizeof *address);
    if (strlen(text) >= sizeof plain) {
        return false;
    }
    (void)snprintf(plain, sizeof plain, "%.*s", (int)strlen(text) - network_secure(text), text);
    if (!split(plain, host, sizeof host, port, sizeof port)) {
        return false;
    }
    if (*text == '[') {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)strtoul(port, NULL, 10));
        *length = sizeof *six;
        return inet_pton(AF_INET6, host, &six->sin6_addr) == 1;
    }
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    *length = sizeof *four;
    return inet_pton(AF_INET, host, &four->sin_addr) == 1;
}
