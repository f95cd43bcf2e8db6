/* An example: a webhook receiver without an operating system and without a heap, that writes
 * each event to the UART as a line of JSON. In a product lwIP calls the endpoint; here the demo
 * does, in pieces as a network would bring them. */
#include "board.h"
#include "cmcwh.h"
#include "demo.h"
#include "endpoint.h"
#include "lwip_shape.h"

#include <string.h>

enum { RECORDS = 8 };

static struct cmcwh_record records[RECORDS];
static uint32_t links[RECORDS];
static struct cmcwh_ring ring;
static struct cmcwh_sink sink;
static char buffer[CMCWH_ENCODED_MAX];

static const struct cmcwh_credential bearer = {CMCWH_BEARER, {"demo", 4}};
static const struct cmcwh_access access = {&bearer, 1};

static int uart_write(void *context, const void *bytes, size_t length) {
    (void)context;
    board_write(bytes, length);
    return 0;
}

static uint64_t ticks(void *context) {
    (void)context;
    return board_ticks();
}

/* What a product does whenever lwIP has nothing to do. */
static void drain(void) {
    int moved;

    while ((moved = cmcwh_sink_pump(&sink)) > 0) {
    }
    if (moved < 0) {
        cmcwh_ring_fail(&ring, sink.config.reader, 0);
    }
}

/* A 200 means: in the ring. With .confirm = true it means: on the UART, for the endpoint then
 * drains the ring before it answers. */
static bool start(void) {
    static const struct cmcwh_port port = {.ticks = ticks};
    const struct cmcwh_ring_config memory = {
        .records = records, .links = links, .capacity = RECORDS, .port = &port};
    struct cmcwh_sink_config uart = {.ring = &ring,
                                     .encoding = CMCWH_ENCODE_JSON,
                                     .write = uart_write,
                                     .buffer = buffer,
                                     .buffer_size = sizeof buffer};

    if (cmcwh_ring_init(&ring, &memory, 1) < 0) {
        return false;
    }
    uart.reader = cmcwh_ring_attach(&ring, NULL, true);
    return uart.reader >= 0 && cmcwh_sink_init(&sink, &uart) >= 0 &&
           endpoint_init(&ring, &access, drain) >= 0;
}

static void say(const char *text) {
    board_write(text, strlen(text));
}

/* Of lwIP, too, there is only one answer at a time. */
static char answer[1024];

void *mem_malloc(size_t size) {
    return size <= sizeof answer ? answer : NULL;
}

void mem_free(void *memory) {
    (void)memory;
}

/* Sends the body in chains of two pieces, of 1, 3, 9, 27, 81, 86, 101, ... bytes. */
static err_t send_body(void *connection, const struct demo_request *request) {
    static char bytes[2][157];
    size_t sent = 0, size = 1;
    err_t result = ERR_OK;

    while (result == ERR_OK && sent < request->sent) {
        struct pbuf pieces[2];

        for (size_t i = 0; i < 2; i++) {
            size_t left = request->sent - sent, length = size < left ? size : left;

            memcpy(bytes[i], request->body + sent, length);
            pieces[i].payload = bytes[i];
            pieces[i].next = NULL;
            pieces[i].len = pieces[i].tot_len = (u16_t)length;
            sent += length;
            size = size * 3 % sizeof *bytes;
        }
        if (pieces[1].len > 0) {
            pieces[0].next = &pieces[1];
            pieces[0].tot_len = (u16_t)(pieces[0].len + pieces[1].len);
        }
        result = httpd_post_receive_data(connection, pieces);
        memset(bytes, 0, sizeof bytes); /* they are lwIP's again */
    }
    return result;
}

/* The part of lwIP: one POST, and its answer on the UART: name, status line, body. */
static void post(const struct demo_request *request) {
    char answer_name[32] = "";
    struct fs_file file;
    u8_t window = 1;
    int connection;

    if (httpd_post_begin(&connection, request->uri, request->head, (u16_t)strlen(request->head),
                         (int)request->length, answer_name, sizeof answer_name,
                         &window) == ERR_OK) {
        (void)send_body(&connection, request);
        httpd_post_finished(&connection, answer_name, sizeof answer_name);
    }
    say("> ");
    say(request->name);
    if (fs_open_custom(&file, answer_name) == 0) {
        say(" no answer\n");
        return;
    }
    say(" ");
    board_write(file.data, (size_t)file.len);
    say("\n");
    fs_close_custom(&file);
}

static void say_number(size_t value) {
    char digit = (char)('0' + value % 10);

    if (value >= 10) {
        say_number(value / 10);
    }
    board_write(&digit, 1);
}

int main(void) {
    if (!start()) {
        say("a size in the configuration is wrong\n");
        return 1;
    }
    for (size_t i = 0; i < demo_count; i++) {
        post(&demo_requests[i]);
        if (demo_requests[i].drain) {
            drain();
        }
    }
    drain();
    say("stack ");
    say_number(board_stack_used());
    say("\nend\n");
    return 0;
}
