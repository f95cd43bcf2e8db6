/* What packed.awk has packed, as text again. */
#include "admin/packed.h"

/* The right halves of pairs wait until their left ones are written. Each waits for a lower symbol
 * than its pair's: so there are never more of them than symbols. */
static void write_symbol(struct writer *writer, const uint8_t *packed, uint8_t symbol) {
    const unsigned literals = packed[0];
    const uint8_t *bytes = packed + 2, *pairs = bytes + literals;
    uint8_t waiting[256];
    size_t count = 0;

    waiting[count++] = symbol;
    while (count > 0) {
        symbol = waiting[--count];
        while (symbol >= literals) {
            const uint8_t *pair = pairs + 2 * (symbol - literals);

            waiting[count++] = pair[1];
            symbol = pair[0];
        }
        writer_bytes(writer, (const char *)bytes + symbol, 1);
    }
}

void packed_write(struct writer *writer, const uint8_t *packed, unsigned text) {
    const uint8_t *symbol = packed + 2 + packed[0] + 2 * packed[1];

    while (text > 0) {
        text -= *symbol++ == 0 ? 1 : 0;
    }
    for (; *symbol != 0; symbol++) {
        write_symbol(writer, packed, *symbol);
    }
}
