/* The endpoint in lwIP's own HTTP server: every event is on the UART before its sender hears of it.
 * Lines that begin with # answer the test, which steers by commands on the UART, a letter, a number
 * and a newline. */
#include "ethernet.h"
#include "port/baremetal/board.h"
#include "port/baremetal/endpoint.h"

#include <lwip/apps/httpd.h>
#include <lwip/init.h>
#include <lwip/stats.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>
#include <string.h>

enum { RECORDS = 8 };

static struct cmcwh_record records[RECORDS];
static uint32_t links[RECORDS];
static struct cmcwh_ring ring;
static struct cmcwh_sink sink;
static char buffer[CMCWH_ENCODED_MAX];
static struct netif netif;

static const struct cmcwh_credential bearer = {CMCWH_BEARER, {"demo", 4}};
static const struct cmcwh_access access = {&bearer, 1};

static uint32_t failures; /* of the UART that are to come */
static uint64_t ahead;    /* ms that have not passed, for the endpoint only */

static void say(const char *text) {
    board_write(text, strlen(text));
}

static void say_number(uint32_t value) {
    char digit = (char)('0' + value % 10);

    if (value >= 10) {
        say_number(value / 10);
    }
    board_write(&digit, 1);
}

void board_fail(const char *what) {
    say("# failed: ");
    say(what);
    say("\n");
    board_end();
}

u32_t sys_now(void) {
    return (u32_t)board_ticks();
}

static uint64_t ticks(void *context) {
    (void)context;
    return board_ticks() + ahead;
}

static int uart_write(void *context, const void *bytes, size_t length) {
    (void)context;
    if (failures > 0) {
        failures--;
        return -1;
    }
    board_write(bytes, length);
    return 0;
}

static void drain(void) {
    int moved;

    while ((moved = cmcwh_sink_pump(&sink)) > 0) {
    }
    if (moved < 0) {
        cmcwh_ring_fail(&ring, sink.config.reader, 0);
    }
}

static bool start_endpoint(void) {
    static const struct cmcwh_port port = {.ticks = ticks};
    const struct cmcwh_ring_config memory = {
        .records = records, .links = links, .capacity = RECORDS, .confirm = true, .port = &port};
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

/* The address that qemu's user network has for it. */
static void start_network(void) {
    ip4_addr_t address, mask, gateway;

    IP4_ADDR(&address, 10, 0, 2, 15);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 10, 0, 2, 2);
    lwip_init();
    (void)netif_add(&netif, &address, &mask, &gateway, NULL, ethernet_start, ethernet_input);
    netif_set_default(&netif);
    netif_set_up(&netif);
    httpd_init();
}

static void say_figure(const char *name, uint32_t value) {
    say(name);
    say_number(value);
}

static void say_figures(void) {
    say_figure(" heap=", (uint32_t)lwip_stats.mem.used);
    say_figure(" heap_most=", (uint32_t)lwip_stats.mem.max);
    say_figure(" pool=", lwip_stats.memp[MEMP_PBUF_POOL]->used);
    say_figure(" pool_most=", lwip_stats.memp[MEMP_PBUF_POOL]->max);
    say_figure(" segments=", lwip_stats.memp[MEMP_TCP_SEG]->used);
    say_figure(" connections=", lwip_stats.memp[MEMP_TCP_PCB]->used);
    say_figure(" records=", ring.in_use);
    say_figure(" frames=", ethernet_frames);
    say_figure(" stack=", (uint32_t)board_stack_used());
}

static void obey(char command, uint32_t number) {
    say("# ");
    board_write(&command, 1);
    switch (command) {
    case 'm': /* of frames; the MSS is 40 less, in both directions */
        netif.mtu = (u16_t)number;
        break;
    case 'l':
        ethernet_loss = number;
        break;
    case 'u':
        failures = number;
        break;
    case 't':
        ahead += number;
        break;
    case 's':
        say_figures();
        break;
    default:
        board_end();
    }
    say("\n");
}

static void listen(void) {
    static char command;
    static uint32_t number;
    int byte = board_read();

    if (byte == '\n') {
        obey(command, number);
        number = 0;
    } else if (byte >= '0' && byte <= '9') {
        number = 10 * number + (uint32_t)(byte - '0');
    } else if (byte >= 0) {
        command = (char)byte;
    }
}

int main(void) {
    if (!start_endpoint()) {
        board_fail("a size in the configuration is wrong");
    }
    start_network();
    say("# ready\n");
    for (;;) {
        ethernet_poll(&netif);
        sys_check_timeouts();
        listen();
    }
}
