/* The system's certificates, from its files. Not here: what vouches for whom. */
#include "tls/mbedtls/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <mbedtls/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/given.h"

/* Longer certificates sign nothing. */
enum { LONGEST = 8192 };

struct search {
    const mbedtls_x509_crt *chain;
    mbedtls_x509_crt *found;
    size_t length; /* of the text of a certificate, so far */
    unsigned char text[LONGEST], bytes[LONGEST / 4 * 3];
};

/* A name that is in it at all is its subject's, or that of who has signed it. */
static bool may_sign(const unsigned char *bytes, size_t length, const mbedtls_x509_crt *chain) {
    for (; chain != NULL; chain = chain->next) {
        if (memmem(bytes, length, chain->issuer_raw.p, chain->issuer_raw.len) != NULL) {
            return true;
        }
    }
    return false;
}

static void take(struct search *search) {
    size_t length;

    if (mbedtls_base64_decode(search->bytes, sizeof search->bytes, &length, search->text,
                              search->length) == 0 &&
        may_sign(search->bytes, length, search->chain)) {
        (void)mbedtls_x509_crt_parse_der(search->found, search->bytes, length);
    }
}

static bool begins(const char *line, const char *with) {
    return strncmp(line, with, strlen(with)) == 0;
}

static void look_through(struct search *search, FILE *file) {
    char line[256];
    bool within = false;

    while (fgets(line, sizeof line, file) != NULL) {
        size_t length = strlen(line);

        if (begins(line, "-----BEGIN CERTIFICATE-----")) {
            within = true;
            search->length = 0;
        } else if (within && begins(line, "-----END")) {
            take(search);
            within = false;
        } else if (within && length <= sizeof search->text - search->length) {
            memcpy(search->text + search->length, line, length);
            search->length += length;
        } else {
            within = false;
        }
    }
}

static bool search_file(struct search *search, const char *path) {
    const char *fault;
    int descriptor = given_open(path, O_RDONLY, &fault);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "r");

    if (file != NULL) {
        look_through(search, file);
        (void)fclose(file);
    } else if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return descriptor >= 0;
}

static void search_files(struct search *search) {
    static const char *const usual[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"};
    const char *given = secure_getenv("SSL_CERT_FILE");

    if (given != NULL) {
        (void)search_file(search, given);
        return;
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual && !search_file(search, usual[i]); i++) {
    }
}

/* Such as "3513523f.0". */
static bool is_hash(const char *name) {
    return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' &&
           name[9 + strspn(name + 9, "0123456789")] == '\0';
}

static void search_directory(struct search *search, const char *path) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    char file[4096];

    if (directory == NULL) {
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (is_hash(entry->d_name) &&
            snprintf(file, sizeof file, "%s/%s", path, entry->d_name) < (int)sizeof file) {
            (void)search_file(search, file);
        }
    }
    (void)closedir(directory);
}

static void search_directories(struct search *search) {
    const char *given = secure_getenv("SSL_CERT_DIR");
    char *paths = strdup(given != NULL ? given : "/etc/ssl/certs"), *rest = paths, *path;

    while (rest != NULL && (path = strsep(&rest, ":")) != NULL) {
        search_directory(search, path);
    }
    free(paths);
}

void tls_system_find(enum tls_system where, const mbedtls_x509_crt *chain,
                     mbedtls_x509_crt *found) {
    struct search *search = malloc(sizeof *search);

    if (search != NULL) {
        search->chain = chain;
        search->found = found;
        (where == TLS_SYSTEM_FILE ? search_files : search_directories)(search);
        free(search);
    }
}
