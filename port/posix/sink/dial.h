/* How a sink gets its bytes out: a peer is reached, a descriptor waited for, all of it written.
 * What is said to the peer belongs to the sink that speaks the protocol. */
#ifndef CMCWH_DIAL_H
#define CMCWH_DIAL_H

#include "sink/sink.h"

#include <netdb.h>

/* Opens sink->descriptor to a HOST:PORT, SOCK_STREAM or SOCK_DGRAM, within SINK_TIMEOUT. It does
 * not block. 0, or -1 with sink->trouble. */
int dial(struct sink *sink, const char *peer, int type);

/* The addresses of a peer, to be freed with freeaddrinfo. NULL: sink->trouble says why not. */
struct addrinfo *dial_find(struct sink *sink, const char *host, const char *port, int type);

/* For `look`: is the host known? It may be later, as after a power cut that everything had:
 * OUTCOME_FAILED. */
enum outcome dial_known(struct sink *sink, const char *host, const char *port);

/* For `look` of media that dial. */
enum outcome dial_look(struct sink *sink, bool reach);

/* For `target` of media that dial: HOST:PORT, perhaps behind "//", which is taken away. */
const char *dial_target(char *text);

/* Waits for these events of poll(), or an error there, until ticks are `until` or the sink is to
 * stop: false. Without events only for an error. */
bool dial_wait(const struct sink *sink, int descriptor, short events, uint64_t until);

/* Has the peer closed the connection? Some of what it has sent is dropped: it never takes long. */
bool dial_hung_up(int descriptor);

/* Writes all, to a file, a line or a socket; of datagrams it is one. Returns how many bytes were
 * taken; when these are not all, sink->trouble says why: `broken` and the reason, or that for
 * SINK_TIMEOUT nothing was taken. The descriptor does not block, unless it is a regular file or
 * sink->shared: then as much is written at a time as cannot block. */
size_t send_most(struct sink *sink, const void *bytes, size_t length, const char *broken);

/* The same: 0, or -1 when these are not all. */
int send_all(struct sink *sink, const void *bytes, size_t length, const char *broken);

#endif
