/* Memory for what is read from files in large pieces. */
#ifndef CMCWH_MEMORY_H
#define CMCWH_MEMORY_H

#include <stddef.h>

/* `count` items of this size, all zero, at an address that is a multiple of MEMORY_LINE: to any
 * other one the system may take five times as long to copy (x86-64: `rep movsb`). Where it is
 * large, the system gives it as it is written to. NULL: there is none, or nothing was asked for. */
enum { MEMORY_LINE = 64 };
void *memory_take(size_t count, size_t size);

/* NULL: nothing is done. */
void memory_free(void *memory);

#endif
