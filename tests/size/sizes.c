/* The size of an array here is the RAM that a part needs: read from the object's symbols. */
#include "cmcwh.h"

#define SIZE(name, type) char size_##name[sizeof(type)]

SIZE(parser, struct cmcwh_parser);
SIZE(ring, struct cmcwh_ring);
SIZE(batch, struct cmcwh_batch);
SIZE(sink, struct cmcwh_sink);
SIZE(deframer, struct cmcwh_deframer);
char size_record_and_link[sizeof(struct cmcwh_record) + sizeof(uint32_t)];
char size_sink_buffer[CMCWH_ENCODED_MAX];
