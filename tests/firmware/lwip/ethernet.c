/* The controller gives a frame as words: the first two bytes are its length, with themselves and
 * the checksum at the end; it takes one in the same way, but there the length is that of the data
 * behind the Ethernet header. It makes and checks the checksum itself. */
#include "ethernet.h"

#include <lwip/etharp.h>
#include <lwip/pbuf.h>
#include <stdbool.h>
#include <string.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define RCGC2            REGISTER(0x400fe108) /* clocks */
#define RECEIVE_CONTROL  REGISTER(0x40048008)
#define TRANSMIT_CONTROL REGISTER(0x4004800c)
#define DATA             REGISTER(0x40048010)
#define ADDRESS_LOW      REGISTER(0x40048014)
#define ADDRESS_HIGH     REGISTER(0x40048018)
#define FRAMES           REGISTER(0x40048034)
#define TRANSMIT         REGISTER(0x40048038)

enum { HEADER = 14, FRAME_MAX = 1514, LENGTH = 2, CHECKSUM = 4 };

static uint32_t frame[(LENGTH + FRAME_MAX + CHECKSUM + 3) / 4];
uint32_t ethernet_loss, ethernet_frames;

static bool lost(void) {
    static uint32_t seen;

    return ethernet_loss > 0 && ++seen % ethernet_loss == 0;
}

static err_t transmit(struct netif *netif, struct pbuf *p) {
    uint8_t *bytes = (uint8_t *)frame;
    uint32_t words = (LENGTH + p->tot_len + 3U) / 4;

    (void)netif;
    if (p->tot_len < HEADER || p->tot_len > FRAME_MAX) {
        return ERR_VAL;
    }
    if (lost()) {
        return ERR_OK;
    }
    while ((TRANSMIT & 1) != 0) {
    }
    frame[words - 1] = 0;
    bytes[0] = (uint8_t)(p->tot_len - HEADER);
    bytes[1] = (uint8_t)((p->tot_len - HEADER) >> 8);
    (void)pbuf_copy_partial(p, bytes + LENGTH, p->tot_len, 0);
    for (uint32_t i = 0; i < words; i++) {
        DATA = frame[i];
    }
    TRANSMIT = 1;
    return ERR_OK;
}

/* Reads a frame; its length, 0 when it is to be dropped. */
static uint16_t receive(void) {
    uint32_t first = DATA, length = first & 0xffff, words = (length + 3) / 4;

    frame[0] = first;
    for (uint32_t i = 1; i < words; i++) {
        uint32_t word = DATA;

        if (i < sizeof frame / sizeof *frame) {
            frame[i] = word;
        }
    }
    return length > sizeof frame || length < LENGTH + HEADER + CHECKSUM
               ? 0
               : (uint16_t)(length - LENGTH - CHECKSUM);
}

void ethernet_poll(struct netif *netif) {
    while ((FRAMES & 0x3f) > 0) {
        uint16_t length = receive();
        struct pbuf *p = length == 0 || lost() ? NULL : pbuf_alloc(PBUF_RAW, length, PBUF_POOL);

        ethernet_frames++;
        if (p != NULL) { /* without memory it is lost */
            (void)pbuf_take(p, (const uint8_t *)frame + LENGTH, length);
            if (netif->input(p, netif) != ERR_OK) {
                (void)pbuf_free(p);
            }
        }
    }
}

err_t ethernet_start(struct netif *netif) {
    static const uint8_t address[] = {0x02, 0, 0, 0, 0, 1}; /* nobody's: of local meaning */

    RCGC2 |= 1U << 28 | 1U << 30; /* the controller and its wires */
    (void)RCGC2;
    (void)RCGC2;
    ADDRESS_LOW = (uint32_t)address[3] << 24 | (uint32_t)address[2] << 16 |
                  (uint32_t)address[1] << 8 | address[0];
    ADDRESS_HIGH = (uint32_t)address[5] << 8 | address[4];
    TRANSMIT_CONTROL = 0x16; /* duplex, checksums, short frames are filled up; then on */
    TRANSMIT_CONTROL |= 1;
    RECEIVE_CONTROL = 0x18; /* no bad checksums, and what is left from before is forgotten */
    RECEIVE_CONTROL |= 1;
    memcpy(netif->hwaddr, address, sizeof address);
    netif->hwaddr_len = sizeof address;
    netif->mtu = FRAME_MAX - HEADER;
    netif->name[0] = 'e';
    netif->name[1] = 'n';
    netif->output = etharp_output;
    netif->linkoutput = transmit;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}
