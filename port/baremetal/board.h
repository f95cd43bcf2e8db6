/* What the example needs of a board. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Sends all bytes; waits while the UART is busy. */
void board_write(const void *bytes, size_t length);

/* The next byte that has come, -1: none has. */
int board_read(void);

/* Milliseconds since the reset. */
uint64_t board_ticks(void);

/* Bytes of the stack that have been used at most since the reset. */
size_t board_stack_used(void);

/* Ends the demo: an emulator exits, a board begins again. */
void board_end(void);

int main(void);

#endif
