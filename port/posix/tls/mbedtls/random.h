/* Numbers nobody can guess, for Mbed TLS. */
#ifndef CMCWH_MBEDTLS_RANDOM_H
#define CMCWH_MBEDTLS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/* Waits until the kernel has such numbers, and says so when that takes long: soon after a machine
 * has started it may. False: this kernel has none; one line has said so, with errno. Before the
 * first use. */
bool tls_random_begin(void);

/* As Mbed TLS calls it: fills `bytes`. 0; any thread. */
int tls_random(void *unused, unsigned char *bytes, size_t length);

#endif
