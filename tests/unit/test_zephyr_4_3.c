/* port/zephyr with the names that Zephyr's HTTP server had before 4.4. */
#define ZEPHYR_VERSION_CODE ((4 << 16) | (3 << 8))
#include "test_zephyr.c"
