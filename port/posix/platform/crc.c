#include "platform/crc.h"

/* Only where it is asked for: what finds out what a processor can is 4 KB. */
#if defined CMCWH_CRC32 && defined __x86_64__

#include <wmmintrin.h>

/* Intel, "Fast CRC computation for generic polynomials using PCLMULQDQ instruction" (2009), with
 * the constants for bits in the order of IEEE 802.3. What a message's front adds to its remainder
 * does not change when each 64 bits of it are multiplied by what x to the power of a distance
 * leaves, and added that much later: so four times 128 bits, 512 further on, and in the end each to
 * the next. */
#define FAST __attribute__((target("sse2,pclmul")))

/* Two products at once. */
FAST static inline __m128i fold(__m128i sum, __m128i factors, __m128i later) {
    __m128i low = _mm_clmulepi64_si128(sum, factors, 0x00);
    __m128i high = _mm_clmulepi64_si128(sum, factors, 0x11);

    return _mm_xor_si128(_mm_xor_si128(low, high), later);
}

FAST static inline __m128i load(const uint8_t *bytes) {
    return _mm_loadu_si128((const void *)bytes);
}

/* What 128 bits leave (Barrett). */
FAST static uint32_t reduce(__m128i sum, __m128i factors) {
    const __m128i lows = _mm_set_epi32(0, -1, 0, -1), shorter = _mm_set_epi64x(0, 0x163cd6124);
    const __m128i polynomial = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    __m128i rest;

    sum = _mm_xor_si128(_mm_srli_si128(sum, 8), _mm_clmulepi64_si128(sum, factors, 0x10));
    rest = _mm_srli_si128(sum, 4);
    sum = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(sum, lows), shorter, 0x00), rest);
    rest = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(sum, lows), polynomial, 0x10), lows);
    sum = _mm_xor_si128(sum, _mm_clmulepi64_si128(rest, polynomial, 0x00));
    return (uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(sum, 4));
}

/* At least 64 bytes, in whole 16. */
FAST static uint32_t crc_of(uint32_t crc, const uint8_t *bytes, size_t length) {
    const __m128i by_512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
    const __m128i by_128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    __m128i sums[4];

    for (unsigned i = 0; i < 4; i++) {
        sums[i] = load(bytes + 16 * i);
    }
    sums[0] = _mm_xor_si128(sums[0], _mm_cvtsi32_si128((int)crc));
    for (bytes += 64, length -= 64; length >= 64; bytes += 64, length -= 64) {
        for (unsigned i = 0; i < 4; i++) {
            sums[i] = fold(sums[i], by_512, load(bytes + 16 * i));
        }
    }
    for (unsigned i = 1; i < 4; i++) {
        sums[0] = fold(sums[0], by_128, sums[i]);
    }
    for (; length >= 16; bytes += 16, length -= 16) {
        sums[0] = fold(sums[0], by_128, load(bytes));
    }
    return reduce(sums[0], by_128);
}

size_t crc_fast(uint32_t *crc, const uint8_t *bytes, size_t length) {
    if (length < 64 || !__builtin_cpu_supports("pclmul")) {
        return 0;
    }
    length -= length % 16;
    *crc = crc_of(*crc, bytes, length);
    return length;
}

#elif defined CMCWH_CRC32 && defined __AARCH64EL__ && defined __linux__

#include <string.h>
#include <sys/auxv.h>

size_t crc_fast(uint32_t *crc, const uint8_t *bytes, size_t length) {
    enum { HAS_CRC32 = 1 << 7 }; /* HWCAP_CRC32 */
    size_t taken = 0;

    if ((getauxval(AT_HWCAP) & HAS_CRC32) == 0) {
        return 0;
    }
    for (; length - taken >= 8; taken += 8) {
        uint64_t word;

        memcpy(&word, bytes + taken, sizeof word);
        __asm__(".arch_extension crc\n\tcrc32x %w0, %w0, %x1" : "+r"(*crc) : "r"(word));
    }
    return taken;
}

#else

size_t crc_fast(uint32_t *crc, const uint8_t *bytes, size_t length) {
    (void)crc;
    (void)bytes;
    (void)length;
    return 0;
}

#endif
