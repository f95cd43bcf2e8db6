/* What endpoint.c takes from lwIP 2 (lwip/apps/httpd.h, lwip/apps/fs.h, lwip/pbuf.h), in the same
 * shape, so that the example needs no network stack. -DWITH_LWIP takes lwIP's own headers; its
 * lwipopts.h then needs LWIP_HTTPD_SUPPORT_POST 1, LWIP_HTTPD_CUSTOM_FILES 1, and
 * HTTP_IS_DATA_VOLATILE(hs) TCP_WRITE_FLAG_COPY: the answer's buffer is used again before the
 * sender has acknowledged it. */
#ifndef LWIP_SHAPE_H
#define LWIP_SHAPE_H

#ifdef WITH_LWIP

#include <lwip/apps/fs.h>
#include <lwip/apps/httpd.h>
#include <lwip/pbuf.h>

#else

#include <stdint.h>

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
    u8_t flags;
};
int fs_open_custom(struct fs_file *file, const char *name);
void fs_close_custom(struct fs_file *file);

err_t httpd_post_begin(void *connection, const char *uri, const char *http_request,
                       u16_t http_request_len, int content_len, char *response_uri,
                       u16_t response_uri_len, u8_t *post_auto_wnd);
err_t httpd_post_receive_data(void *connection, struct pbuf *p);
void httpd_post_finished(void *connection, char *response_uri, u16_t response_uri_len);

#endif

#endif
