/* The options of `cmcwh serve`, from the command line and from --config. */
#ifndef CMCWH_OPTIONS_H
#define CMCWH_OPTIONS_H

#include "cmcwh.h"
#include "door/listen.h"
#include "platform/network.h"

enum { OPTIONS_NETWORKS = 32, OPTIONS_HOSTS = 8, OPTIONS_TEXT = 16384 };

/* Texts point into the arguments, or into `text`. */
struct options {
    const char *listen[LISTEN_MAX];
    unsigned listeners;
    const char *path;
    const char *auth_file;
    const char *tls_cert, *tls_key;
    struct network allow[OPTIONS_NETWORKS];
    unsigned networks;
    struct network proxies[OPTIONS_NETWORKS];
    unsigned proxy_count;
    const char *admin; /* NULL: there is none */
    const char *admin_auth_file;
    const char *admin_host[OPTIONS_HOSTS];
    unsigned admin_hosts;
    bool hide_addresses;
    const char *sink[CMCWH_READERS_MAX];
    unsigned sinks;
    const char *ring;      /* a file, NULL: memory */
    uint32_t ring_records; /* 0: not said */
    bool sync;
    uint32_t gather; /* ms that a request waits for others to share a sync; 0: not at all */
    uint32_t workers, connections, slow_requests;
    uint64_t body_max;
    uint32_t body_timeout, store_timeout; /* seconds */
    uint32_t keep_alive;                  /* seconds; 0: no connection is kept */
    uint32_t quiet_after;                 /* seconds; 0: any silence is good */
    int summary_at;                       /* minute of the day; -1: never */
    const char *pid_file;
    const char *user;
    enum cmcwh_level log_level;
    bool check;              /* --check-config */
    bool unread;             /* some of --config could not be read */
    char text[OPTIONS_TEXT]; /* values of --config files */
    size_t text_used;
};

enum options_result {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_WRONG,
    OPTIONS_FAILED /* --config may be read next time, though nobody mends anything */
};

/* Reads arguments (without the program's name and the subcommand). When they are wrong, one line
 * has said which and what was expected. */
enum options_result options_read(struct options *options, int count, char **arguments);

/* The table of options, for --help. */
void options_print(void);

#endif
