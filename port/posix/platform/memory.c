/* What calloc gives, from a line of the processor's cache on. Before it stands where that begins.
 */
#include "platform/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MORE = MEMORY_LINE + sizeof(void *) };

void *memory_take(size_t count, size_t size) {
    char *whole, *at;

    if (count == 0 || size == 0 || count > (SIZE_MAX - MORE) / size) {
        return NULL;
    }
    whole = calloc(1, count * size + MORE);
    if (whole == NULL) {
        return NULL;
    }
    at = whole + sizeof whole;
    at += (MEMORY_LINE - (uintptr_t)at % MEMORY_LINE) % MEMORY_LINE;
    memcpy(at - sizeof whole, &whole, sizeof whole);
    return at;
}

void memory_free(void *memory) {
    char *whole;

    if (memory != NULL) {
        memcpy(&whole, (char *)memory - sizeof whole, sizeof whole);
        free(whole);
    }
}
