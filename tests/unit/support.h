/* What the unit tests share: a ring on static memory, ways to feed a body, texts to compare. */
#ifndef CMCWH_TEST_SUPPORT_H
#define CMCWH_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmcwh.h"

/* cmocka's header does not say that a check that fails leaves the test. An analyzer must know. */
#ifdef __clang_analyzer__
#undef assert_true
#undef assert_false
#undef assert_non_null
#undef assert_int_equal
#undef fail_msg
#define assert_true(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            __builtin_trap();                                                                      \
        }                                                                                          \
    } while (0)
#define assert_false(condition)  assert_true(!(condition))
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_int_equal(a, b)   assert_true((a) == (b))
#define fail_msg(...)            __builtin_trap()
#endif

enum { RING_MAX = 8192 };

/* A ring with one required reader, on memory that all tests of a program use in turn. */
struct fixture {
    struct cmcwh_ring ring;
    struct cmcwh_port port;
    struct cmcwh_parser parser;
    uint64_t now;
    int reader;
};

/* An empty ring of `capacity` records; time stands at 2023-01-25T05:03:06.120Z. */
void fixture_init(struct fixture *fixture, uint32_t capacity, bool confirm);

/* Feeds a body in pieces of `step` bytes and ends it. */
int feed(struct fixture *fixture, enum cmcwh_format format, const char *body, size_t length,
         size_t step);

/* Feeds a body in one piece, ends and commits it. Returns what the first failing step returned. */
int post(struct fixture *fixture, enum cmcwh_format format, const char *body);

/* The next record, which must be there and whole; acknowledged at once. */
struct cmcwh_record take(struct fixture *fixture);

/* No record is left. */
void assert_empty(struct fixture *fixture);

/* What the record says; one of its texts; whether that was cut. */
struct cmcwh_event event_of(const struct cmcwh_record *record);
struct cmcwh_text field_text(const struct cmcwh_record *record, enum cmcwh_field field);
bool field_cut(const struct cmcwh_record *record, enum cmcwh_field field);

/* The text of a field. */
void assert_field(const struct cmcwh_record *record, enum cmcwh_field field, const char *text);

/* Do both say the same of the same event, whenever it was received and whatever was cut? */
bool same_event(const struct cmcwh_record *a, const struct cmcwh_record *b);

/* The record encoded, ended by a zero; good until the next call. */
const char *encoded(const struct cmcwh_record *record, enum cmcwh_encoding encoding);

/* The records, all of one event type, as CMC would post them: a body of this format (not
 * multipart), ended by a zero; good until the next call. */
const char *posted(const struct cmcwh_record *all, size_t count, enum cmcwh_format format);

/* A whole file of tests/payloads, ended by a zero; good until the next call. */
const char *payload(const char *name, size_t *length);

/* `count` times `text`, then a zero, at `out`. Returns the end. */
char *repeat(char *out, const char *text, size_t count);

/* The next of a sequence of numbers that `random` begins: xorshift64*. */
uint64_t next_random(uint64_t *random);
uint32_t below(uint64_t *random, uint32_t limit);

#endif
