/* What endpoint.c takes from lwIP 2.1 (httpd.h, fs.h, pbuf.h, mem.h), in the same shape, so that
 * the demo and the unit tests need no network stack. -DWITH_LWIP takes lwIP's own headers, and
 * checks what lwipopts.h says, and with it httpd.c: lwip_options.h, which has what it must, is not
 * included here then, or nothing would be found missing. */
#ifndef LWIP_SHAPE_H
#define LWIP_SHAPE_H

#ifdef WITH_LWIP

#include <lwip/apps/fs.h>
#include <lwip/apps/httpd.h>
#include <lwip/apps/httpd_opts.h>
#include <lwip/mem.h>
#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <stdbool.h>

#if !LWIP_HTTPD_SUPPORT_POST
#error "lwipopts.h: LWIP_HTTPD_SUPPORT_POST must be 1: a webhook is a POST"
#endif
#if !LWIP_HTTPD_CUSTOM_FILES
#error "lwipopts.h: LWIP_HTTPD_CUSTOM_FILES must be 1: the answers are such files"
#endif
#if !LWIP_HTTPD_SUPPORT_REQUESTLIST
#error "lwipopts.h: LWIP_HTTPD_SUPPORT_REQUESTLIST must be 1: a head may come in several segments"
#endif
#if LWIP_HTTPD_POST_MANUAL_WND
#error "lwipopts.h: LWIP_HTTPD_POST_MANUAL_WND must be 0: the endpoint does not move the window"
#endif
#if LWIP_HTTPD_POST_MAX_RESPONSE_URI_LEN < 16
#error "lwipopts.h: LWIP_HTTPD_POST_MAX_RESPONSE_URI_LEN must be 16 at least, for an answer's name"
#endif
#ifndef HTTP_IS_DATA_VOLATILE
#error "lwipopts.h: HTTP_IS_DATA_VOLATILE(hs) must be TCP_WRITE_FLAG_COPY, or answers get mixed"
#elif !(HTTP_IS_DATA_VOLATILE(0) & TCP_WRITE_FLAG_COPY)
#error "lwipopts.h: HTTP_IS_DATA_VOLATILE(hs) must be TCP_WRITE_FLAG_COPY, or answers get mixed"
#endif
#if HTTPD_LIMIT_SENDING_TO_2MSS
#error "lwipopts.h: HTTPD_LIMIT_SENDING_TO_2MSS must be 0: an answer is sent in one go"
#endif
#ifndef lwip_strnstr
#error "lwipopts.h: lwip_strnstr must be endpoint_find: heads may be written in lower case"
#endif
#if TCP_SND_BUF < 544
#error "lwipopts.h: TCP_SND_BUF must be 544 at least: an answer is sent in one go"
#endif
#if TCP_SND_QUEUELEN < 16
#error                                                                                             \
    "lwipopts.h: TCP_SND_QUEUELEN must be 16 at least: an answer is sent in one go, also to a small MSS"
#endif

/* A connection of the HTTP server is one of TCP. */
#define ENDPOINT_REFUSED_MAX MEMP_NUM_TCP_PCB

/* Is it certain that no TCP connection belongs to it any more? */
static inline bool connection_lost(const void *connection) {
#if LWIP_ALTCP
    (void)connection; /* what is between the two, TLS perhaps, does not tell */
    return false;
#else
    const struct tcp_pcb *pcb = tcp_active_pcbs;

    while (pcb != NULL && pcb->callback_arg != connection) {
        pcb = pcb->next;
    }
    return pcb == NULL;
#endif
}

#else

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lwip_options.h"

typedef int8_t err_t;
enum { ERR_OK = 0, ERR_VAL = -6 };

typedef uint8_t u8_t;
typedef uint16_t u16_t;

struct pbuf {
    struct pbuf *next;
    void *payload;
    u16_t tot_len, len;
};

/* The pieces of the demo are not allocated. */
static inline u8_t pbuf_free(struct pbuf *p) {
    (void)p;
    return 1;
}

enum { FS_FILE_FLAGS_HEADER_INCLUDED = 1 };
struct fs_file {
    const char *data;
    int len;
    int index;
    void *pextension;
    u8_t flags;
};

err_t httpd_post_begin(void *connection, const char *uri, const char *http_request,
                       u16_t http_request_len, int content_len, char *response_uri,
                       u16_t response_uri_len, u8_t *post_auto_wnd);
err_t httpd_post_receive_data(void *connection, struct pbuf *p);
void httpd_post_finished(void *connection, char *response_uri, u16_t response_uri_len);

/* Memory for one answer at a time, until it has been sent; NULL: there is none now. */
void *mem_malloc(size_t size);
void mem_free(void *memory);

#define ENDPOINT_REFUSED_MAX 4

static inline bool connection_lost(const void *connection) {
    (void)connection;
    return false;
}

#endif

/* lwIP calls them, and declares them where nobody else can see it. */
int fs_open_custom(struct fs_file *file, const char *name);
void fs_close_custom(struct fs_file *file);

#endif
