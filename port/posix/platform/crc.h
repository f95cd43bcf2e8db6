/* CRC-32 with the instructions of a processor: what cmcwh.h says of CMCWH_CRC32. */
#ifndef CMCWH_PORT_CRC_H
#define CMCWH_PORT_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Takes bytes from the front into *crc, and returns how many: 0 where the processor cannot. */
size_t crc_fast(uint32_t *crc, const uint8_t *bytes, size_t length);

#endif
