/* Files of credentials. Not here: which kinds are of use where (door/auth.c, sink/secrets.c). */
#include "platform/credentials.h"

#include <string.h>
#include <sys/stat.h>

/* systemd lets the service's user read its credentials by an ACL, whose mask stands where the
 * rights of the group would: the directory keeps everybody else out. */
static mode_t forbidden(const char *path) {
    return given_is_credential(path) ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
}

bool credentials_read(struct given *file, const char *option, const char *path) {
    if (!given_read(file, option, path)) {
        return false;
    }
    if ((file->mode & forbidden(path)) == 0) {
        return true;
    }
    given_free(file);
    return given_wrong(file, 0, "others may read it; make it private with chmod 600");
}

char *credentials_line(struct given *file, const char **fault) {
    char *line;

    while ((line = given_line(file, fault)) != NULL) {
        line += strspn(line, " \t");
        for (char *end = line + strlen(line); end > line && (end[-1] == ' ' || end[-1] == '\t');) {
            *--end = '\0';
        }
        if (*line != '\0' && *line != '#') {
            break;
        }
    }
    return line;
}

char *credentials_split(char *line) {
    char *end = line + strcspn(line, " \t"), *rest = end + strspn(end, " \t");

    *end = '\0';
    return rest;
}

bool credentials_kind(const char *word, enum cmcwh_credential_kind *kind) {
    static const struct {
        const char *word;
        enum cmcwh_credential_kind kind;
    } kinds[] = {{"basic", CMCWH_BASIC},
                 {"bearer", CMCWH_BEARER},
                 {"api_key", CMCWH_API_KEY},
                 {"chain", CMCWH_CHAIN}};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(word, kinds[i].word) == 0) {
            *kind = kinds[i].kind;
            return true;
        }
    }
    return false;
}

/* RFC 4648, section 4. False when it does not fit. */
static bool base64(char *out, size_t room, const char *in, size_t length) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if ((length + 2) / 3 * 4 + 1 > room) {
        return false;
    }
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        unsigned long bits = (unsigned long)(unsigned char)in[i] << 16;

        bits |= left > 1 ? (unsigned long)(unsigned char)in[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned char)in[i + 2] : 0;
        *out++ = letters[bits >> 18 & 63];
        *out++ = letters[bits >> 12 & 63];
        *out++ = left > 1 ? letters[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? letters[bits & 63] : '=';
    }
    *out = '\0';
    return true;
}

const char *credentials_secret(enum cmcwh_credential_kind kind, const char *text, char *out,
                               size_t room) {
    size_t length = strlen(text);

    if (kind == CMCWH_BASIC && strchr(text, ':') == NULL) {
        return "expected: basic USER:PASSWORD";
    }
    if (kind == CMCWH_BASIC) {
        return base64(out, room, text, length) ? NULL : "this secret is too long";
    }
    if (length == 0) {
        return "the secret is missing";
    }
    if (length >= room) {
        return "this secret is too long";
    }
    memcpy(out, text, length + 1);
    return NULL;
}
