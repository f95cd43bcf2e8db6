/* What lwIP wants to know of compiler and board. */
#ifndef ARCH_CC_H
#define ARCH_CC_H

#include <stdint.h>
#include <stdlib.h>

/* Ends the test with a line that says what is wrong. */
void board_fail(const char *what);

#define BYTE_ORDER              LITTLE_ENDIAN
#define LWIP_NO_UNISTD_H        1
#define LWIP_PLATFORM_DIAG(x)   ((void)0)
#define LWIP_PLATFORM_ASSERT(x) board_fail(x)

/* It chooses the port of a connection that is opened from here: a server opens none. */
#define LWIP_RAND() 0

#endif
