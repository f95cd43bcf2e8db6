/* A stub of the header that Zephyr's build makes. */
#ifndef STUB_ZEPHYR_VERSION_H
#define STUB_ZEPHYR_VERSION_H

#define ZEPHYR_VERSION(major, minor, patch) (((major) << 16) | ((minor) << 8) | (patch))
#ifndef ZEPHYR_VERSION_CODE
#define ZEPHYR_VERSION_CODE ZEPHYR_VERSION(4, 4, 0)
#endif

#endif
