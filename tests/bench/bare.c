/* The least that a civetweb handler can do: read the body, answer 200 in one write. The yardstick
 * for the server. Arguments: number of threads. Prints its port. */
#include <civetweb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER(connection)                                                                         \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"                                        \
    "Content-Length: 12\r\nConnection: " connection "\r\n\r\n"                                     \
    "{\"stored\":1}"

static int begin_request(struct mg_connection *connection) {
    static const char stays[] = ANSWER("keep-alive"), closes[] = ANSWER("close");
    const char *wish = mg_get_header(connection, "Connection");
    char bytes[4096];

    while (mg_read(connection, bytes, sizeof bytes) > 0) {
    }
    if (wish != NULL && strcmp(wish, "close") == 0) { /* civetweb does close it then */
        (void)mg_write(connection, closes, sizeof closes - 1);
    } else {
        (void)mg_write(connection, stays, sizeof stays - 1);
    }
    return 200;
}

int main(int count, char **arguments) {
    const char *settings[] = {"listening_ports",
                              "127.0.0.1:0",
                              "num_threads",
                              count > 1 ? arguments[1] : "4",
                              "enable_keep_alive",
                              "yes",
                              "keep_alive_timeout_ms",
                              "500",
                              "tcp_nodelay",
                              "1",
                              "connection_queue",
                              "256",
                              "listen_backlog",
                              "1024",
                              NULL};
    struct mg_callbacks callbacks = {.begin_request = begin_request};
    struct mg_server_port port;
    struct mg_context *context;

    (void)mg_init_library(0);
    context = mg_start(&callbacks, NULL, settings);
    if (context == NULL || mg_get_server_ports(context, 1, &port) != 1) {
        return 1;
    }
    printf("%d\n", port.port);
    (void)fflush(stdout);
    (void)pause();
    return 0;
}
