/* What civetweb and the portable part do with one request. Not here: sockets, TLS, and who waits
 * for what (door.c). */
#include "door/exchange.h"

#include <civetweb.h>
#include <stdlib.h>
#include <string.h>

#include "door/civetweb_extra.h"
#include "platform/platform.h"

struct exchange *exchange_of(const struct mg_connection *connection) {
    return mg_get_user_connection_data(connection);
}

/* In place of civetweb's own: what is to be sent is kept. */
int mg_write(struct mg_connection *connection, const void *bytes, size_t length) {
    struct exchange *exchange = exchange_of(connection);
    size_t room = sizeof exchange->out - exchange->out_length;

    length = length < room ? length : room;
    memcpy(exchange->out + exchange->out_length, bytes, length);
    exchange->out_length += length;
    return (int)length;
}

/* In place of civetweb's own: nobody calls it, for the server has a `read` of ours. */
int mg_read(struct mg_connection *connection, void *bytes, size_t length) {
    (void)connection;
    (void)bytes;
    (void)length;
    return -1;
}

struct exchange *exchange_open(size_t count, struct cmcwh_server *server, struct timer *times) {
    struct exchange *exchanges = calloc(count, sizeof *exchanges);
    struct mg_context *context = cmcwh_civetweb_open(count);

    if (exchanges == NULL || context == NULL) {
        cmcwh_civetweb_close(context);
        free(exchanges);
        return NULL;
    }
    exchanges[0].server = server;
    exchanges[0].times = times;
    exchanges[0].context = context;
    return exchanges;
}

struct exchange *exchange_make(struct exchange *exchanges, size_t number) {
    const struct exchange *first = &exchanges[0];
    struct exchange *exchange = &exchanges[number];

    exchange->server = first->server;
    exchange->times = first->times;
    exchange->context = first->context;
    exchange->civetweb = cmcwh_civetweb_connection(first->context, number);
    return exchange;
}

void exchange_close(struct exchange *exchanges) {
    if (exchanges != NULL) {
        cmcwh_civetweb_close(exchanges[0].context);
        free(exchanges);
    }
}

static void start_clock(struct exchange *exchange) {
    exchange->since = exchange->times == NULL ? 0 : platform_microseconds();
}

static void stop_clock(const struct exchange *exchange) {
    if (exchange->times != NULL) {
        timer_add(exchange->times, platform_microseconds() - exchange->since);
    }
}

void exchange_begin(struct exchange *exchange, bool secure, const char *peer, unsigned port) {
    cmcwh_civetweb_place(exchange->civetweb, exchange->context, exchange->buffer,
                         sizeof exchange->buffer, exchange);
    cmcwh_civetweb_begin(exchange->civetweb, secure, peer, port);
    exchange->begun = exchange->ended = false;
    exchange->out_length = exchange->sent = 0;
    start_clock(exchange);
}

char *exchange_room(struct exchange *exchange, size_t *room) {
    return cmcwh_civetweb_room(exchange->civetweb, room);
}

void exchange_came(struct exchange *exchange, size_t length) {
    cmcwh_civetweb_came(exchange->civetweb, length);
    exchange->ended = exchange->ended || length == 0;
}

int exchange_read(const struct exchange *exchange, const char **bytes) {
    size_t length = cmcwh_civetweb_body(exchange->civetweb, bytes);

    return length > 0 ? (int)length : exchange->ended ? 0 : CMCWH_PENDING;
}

void exchange_took(struct exchange *exchange, size_t length) {
    cmcwh_civetweb_took(exchange->civetweb, length);
}

static enum exchange_state answered(struct exchange *exchange, int status) {
    stop_clock(exchange);
    exchange->begun = false;
    if (exchange->auth != NULL) {
        auth_release(exchange->auth);
        exchange->auth = NULL;
    }
    return !cmcwh_civetweb_closes(exchange->civetweb) ? EXCHANGE_STAYS
           : status == 200                            ? EXCHANGE_CLOSES
                                                      : EXCHANGE_REFUSES;
}

enum exchange_state exchange_refuse(struct exchange *exchange, int status) {
    (void)cmcwh_server_refuse(exchange->server, &exchange->worker, exchange->civetweb, status);
    return answered(exchange, status);
}

enum exchange_state exchange_go_on(struct exchange *exchange) {
    struct auth *auth;
    int status;

    if (!exchange->begun) {
        status = cmcwh_civetweb_request(exchange->civetweb, exchange->ended);
        if (status == 0) {
            return EXCHANGE_READS;
        }
        if (status != 200) {
            return exchange_refuse(exchange, status);
        }
        exchange->begun = true;
        exchange->auth = auth_hold(AUTH_WEBHOOKS);
    }
    auth = exchange->auth;
    status = cmcwh_server_handle(exchange->server, &exchange->worker,
                                 auth == NULL ? NULL : &auth->access, exchange->civetweb);
    return status == CMCWH_PENDING   ? EXCHANGE_READS
           : status == CMCWH_STORING ? EXCHANGE_STORES
                                     : answered(exchange, status);
}

bool exchange_empty(const struct exchange *exchange) {
    return !exchange->begun && cmcwh_civetweb_empty(exchange->civetweb);
}

void exchange_drop(struct exchange *exchange) {
    if (exchange->begun) {
        exchange->ended = true;
        (void)exchange_go_on(exchange);
    }
}

size_t exchange_again(struct exchange *exchange) {
    exchange->out_length = exchange->sent = 0;
    start_clock(exchange);
    return cmcwh_civetweb_next(exchange->civetweb);
}
