/* The LM3S6965 (Cortex-M3, 256 KiB of flash, 64 KiB of RAM): reset, UART 0, the time, the end.
 */
#include "board.h"

#include <stdint.h>
#include <string.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define RCGC1          REGISTER(0x400fe104) /* clocks of the UARTs */
#define RCGC2          REGISTER(0x400fe108) /* clocks of the ports */
#define GPIOA_AFSEL    REGISTER(0x40004420)
#define GPIOA_DEN      REGISTER(0x4000451c)
#define UART_DATA      REGISTER(0x4000c000)
#define UART_FLAGS     REGISTER(0x4000c018)
#define UART_BAUD      REGISTER(0x4000c024)
#define UART_BAUD_FINE REGISTER(0x4000c028)
#define UART_LINE      REGISTER(0x4000c02c)
#define UART_CONTROL   REGISTER(0x4000c030)
#define TICK_CONTROL   REGISTER(0xe000e010)
#define TICK_RELOAD    REGISTER(0xe000e014)
#define TICK_VALUE     REGISTER(0xe000e018)
#define RESET          REGISTER(0xe000ed0c)

enum { FLAG_BUSY = 1 << 3, FLAG_NOTHING = 1 << 4, FLAG_FULL = 1 << 5 };

enum { UNUSED_STACK = 0xa5 };

/* Of the linker script. */
extern uint8_t link_stack[], link_stack_top[];
extern uint8_t link_data[], link_data_end[], link_data_image[];
extern uint8_t link_bss[], link_bss_end[];

/* 115200 8N1 at 12 MHz: 12e6 / 16 / 115200 is 6 and 33 / 64. The oscillator that runs after a reset
 * is only roughly that fast; a product starts its crystal first. */
static void uart_start(void) {
    RCGC1 |= 1;
    RCGC2 |= 1;
    (void)RCGC2; /* the clock needs some cycles before the ports answer */
    (void)RCGC2;
    GPIOA_AFSEL |= 3;
    GPIOA_DEN |= 3;
    UART_BAUD = 6;
    UART_BAUD_FINE = 33;
    UART_LINE = 0x70;
    UART_CONTROL = 0x301;
}

int board_read(void) {
    return (UART_FLAGS & FLAG_NOTHING) != 0 ? -1 : (int)(UART_DATA & 0xff);
}

static volatile uint64_t milliseconds;

static void tick(void) {
    milliseconds++;
}

/* From the processor's 12 MHz, with an interrupt. */
static void tick_start(void) {
    TICK_RELOAD = 12000 - 1;
    TICK_VALUE = 0;
    TICK_CONTROL = 7;
}

/* The interrupt may come between the two halves of a number: then it is read again. */
uint64_t board_ticks(void) {
    uint64_t first, second = milliseconds;

    do {
        first = second;
        second = milliseconds;
    } while (first != second);
    return first;
}

void board_write(const void *bytes, size_t length) {
    const uint8_t *at = bytes;

    for (size_t i = 0; i < length; i++) {
        while ((UART_FLAGS & FLAG_FULL) != 0) {
        }
        UART_DATA = at[i];
    }
}

/* The linker's symbols are no parts of one object, so as numbers. */
static size_t distance(const uint8_t *from, const uint8_t *to) {
    return (uintptr_t)to - (uintptr_t)from;
}

size_t board_stack_used(void) {
    size_t size = distance(link_stack, link_stack_top), unused = 0;

    while (unused < size && link_stack[unused] == UNUSED_STACK) {
        unused++;
    }
    return size - unused;
}

void board_end(void) {
    while ((UART_FLAGS & FLAG_BUSY) != 0) {
    }
    RESET = 0x05fa0004;
    for (;;) {
    }
}

static void fault(void) {
    static const char message[] = "fault\n";

    board_write(message, sizeof message - 1);
    board_end();
}

static void reset(void) {
    /* All but the end, where this function's own frame is. */
    memset(link_stack, UNUSED_STACK, distance(link_stack, link_stack_top) - 64);
    memcpy(link_data, link_data_image, distance(link_data, link_data_end));
    memset(link_bss, 0, distance(link_bss, link_bss_end));
    uart_start();
    tick_start();
    (void)main();
    board_end();
}

/* The processor reads its first stack and where to go from here. No interrupt is used
 * but that of the time. */
static const struct {
    void *stack;
    void (*handlers[15])(void);
} vectors __attribute__((section(".vectors"), used)) = {
    link_stack_top,
    {reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, tick}};
