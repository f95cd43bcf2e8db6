/* What the endpoint needs of lwIP's options: to be included by a product's lwipopts.h. endpoint.c
 * does not compile without these. Besides, a head must have room: LWIP_HTTPD_MAX_REQ_LENGTH (1023)
 * bytes in LWIP_HTTPD_REQ_QUEUELEN pbufs, which at 5 are few when segments are small. */
#ifndef LWIP_OPTIONS_H
#define LWIP_OPTIONS_H

#include <stddef.h>

#define LWIP_HTTPD_SUPPORT_POST 1
#define LWIP_HTTPD_CUSTOM_FILES 1

/* lwIP closes an answer's file when all is written, long before all is acknowledged. */
#define HTTP_IS_DATA_VOLATILE(hs) TCP_WRITE_FLAG_COPY

/* An answer that is written in several goes ends when an acknowledgement comes. lwIP 2.1 then loses
 * the pbuf of the bytes that came with it, until there is none left. */
#define HTTPD_LIMIT_SENDING_TO_2MSS 0
#define TCP_SND_QUEUELEN            16

/* lwIP's server looks for "Content-Length: " in this spelling only; senders and proxies may write
 * "content-length: ". */
#define lwip_strnstr endpoint_find

/* Where `word` begins within the first `length` bytes of `text`, which may end sooner with a zero;
 * NULL: nowhere. Upper and lower case are the same. */
char *endpoint_find(const char *text, const char *word, size_t length);

#endif
