/* lwIP for a board with 64 KiB of RAM, of which the endpoint needs half. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#include "port/baremetal/lwip_options.h"

#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN         0
#define LWIP_SOCKET          0
#define LWIP_UDP             0
#define LWIP_ARP             1
#define LWIP_ICMP            1
#define IP_REASSEMBLY        0
#define IP_FRAG              0
#define LWIP_SINGLE_NETIF    1
#define LWIP_STATS           1 /* the test looks whether memory is lost */
#define LWIP_STATS_LARGE     0
#define LINK_STATS           0
#define ETHARP_STATS         0
#define IP_STATS             0
#define ICMP_STATS           0
#define TCP_STATS            0

/* What comes is in pieces of a pool, what goes in the heap: neither can starve the other. */
#define MEM_ALIGNMENT           4
#define MEM_SIZE                (8 * 1024)
#define PBUF_POOL_SIZE          40
#define PBUF_POOL_BUFSIZE       128
#define MEMP_NUM_PBUF           4
#define MEMP_NUM_TCP_PCB        16
#define MEMP_NUM_TCP_PCB_LISTEN 1
#define MEMP_NUM_TCP_SEG        48

#define TCP_MSS             536
#define TCP_WND             (4 * TCP_MSS)
#define TCP_SND_BUF         (2 * TCP_MSS)
#define TCP_QUEUE_OOSEQ     1
#define TCP_OOSEQ_MAX_PBUFS 12

/* A head of 1023 bytes, also in segments of 100 bytes, of two pbufs each. */
#define LWIP_HTTPD_REQ_QUEUELEN   24
#define LWIP_HTTPD_MAX_REQ_LENGTH 1023

#define HTTPD_FSDATA_FILE "no_files.h"

#endif
