/* Constant texts, packed: packed.awk makes them of string literals when the port is built.
 *
 * Each is made of symbols, one byte each. The lowest stand for a byte each, the others for two
 * lower symbols. Symbol 0 ends a text, and is in no pair. What is packed holds, one after the
 * other: how many symbols stand for a byte, how many for a pair, these bytes, these pairs, and the
 * texts. */
#ifndef CMCWH_PACKED_H
#define CMCWH_PACKED_H

#include "platform/writer.h"

/* Writes the text with this number, from 0 on; there must be one. */
void packed_write(struct writer *writer, const uint8_t *packed, unsigned text);

#endif
