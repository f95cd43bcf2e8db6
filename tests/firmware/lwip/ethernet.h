/* The Ethernet controller of the LM3S6965, polled. */
#ifndef ETHERNET_H
#define ETHERNET_H

#include <lwip/netif.h>
#include <stdint.h>

/* Of this many frames, those that come and those that go, one is lost; 0: none. */
extern uint32_t ethernet_loss;

/* Frames that have come. */
extern uint32_t ethernet_frames;

/* For netif_add. */
err_t ethernet_start(struct netif *netif);

/* Hands lwIP the frames that have come. */
void ethernet_poll(struct netif *netif);

#endif
