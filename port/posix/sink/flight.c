/* Messages in flight: a ring of them. Not here: any protocol. */
#include "sink/flight.h"

#include <stdio.h>
#include <stdlib.h>

bool flight_open(struct flight *flight, unsigned room) {
    *flight = (struct flight){.messages = calloc(room, sizeof *flight->messages), .room = room};
    return flight->messages != NULL;
}

void flight_close(struct flight *flight) {
    free(flight->messages);
    *flight = (struct flight){0};
}

static struct flight_message *at(const struct flight *flight, unsigned i) {
    return &flight->messages[(flight->first + i) % flight->room];
}

void flight_add(struct flight *flight, uint16_t id, uint64_t seq, const char *topic) {
    struct flight_message *message = at(flight, flight->count++);

    *message = (struct flight_message){.seq = seq, .id = id};
    (void)snprintf(message->topic, sizeof message->topic, "%s", topic);
}

/* Mostly it is the first. */
struct flight_message *flight_find(const struct flight *flight, uint16_t id) {
    for (unsigned i = 0; i < flight->count; i++) {
        if (at(flight, i)->id == id && !at(flight, i)->landed) {
            return at(flight, i);
        }
    }
    return NULL;
}

uint64_t flight_land(struct flight *flight, struct flight_message *message) {
    uint64_t seq = 0;

    message->landed = true;
    while (flight->count > 0 && at(flight, 0)->landed) {
        seq = at(flight, 0)->seq != 0 ? at(flight, 0)->seq : seq;
        flight->first = (flight->first + 1) % flight->room;
        flight->count--;
    }
    return seq;
}
