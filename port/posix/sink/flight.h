/* Messages that were sent and are not acknowledged yet. A peer may acknowledge them in any order;
 * events have been taken up to the first of which it has not. */
#ifndef CMCWH_FLIGHT_H
#define CMCWH_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

enum { FLIGHT_MOST = 1000, FLIGHT_TOPIC = 84 };

struct flight_message {
    uint64_t seq; /* of its event; 0: it is about none */
    uint16_t id;  /* its own, unique among those in flight */
    bool landed;
    char topic[FLIGHT_TOPIC]; /* as much of it as people need */
};

struct flight {
    struct flight_message *messages; /* in the order in which they were sent */
    unsigned room, first, count;
};

/* Makes room for so many, up to FLIGHT_MOST. False: no memory. */
bool flight_open(struct flight *flight, unsigned room);

/* They are no longer waited for. */
void flight_close(struct flight *flight);

/* One more was sent. There must be room. */
void flight_add(struct flight *flight, uint16_t id, uint64_t seq, const char *topic);

/* The one with this id that has not landed; NULL: there is none. */
struct flight_message *flight_find(const struct flight *flight, uint16_t id);

/* It was acknowledged. Returns the event up to which all have now been, 0: none more. */
uint64_t flight_land(struct flight *flight, struct flight_message *message);

#endif
