/* Which addresses should not be mailed again: those that bounced for good once, and those that
 * bounced otherwise three times within 30 days. */
#ifndef CMCWH_SUPPRESS_H
#define CMCWH_SUPPRESS_H

#include "command/book.h"

enum {
    SUPPRESS_TIMES = 3,
    SUPPRESS_DAYS = 30,
    SUPPRESS_BOUNCES = 1 << 22, /* most that are kept */
    SUPPRESS_ADDRESS = 320      /* most bytes of an address (RFC 5321) */
};

struct suppress_bounce {
    uint32_t address; /* its number in the book */
    uint32_t number;  /* enum cmcwh_bounce, 0: unknown */
    uint64_t time;    /* ms since 1970 */
};

/* All zero at first. */
struct suppress {
    struct book addresses; /* their domains in small letters */
    struct suppress_bounce *bounces;
    size_t count, room;
    uint64_t nameless; /* bounces without a whole address */
};

/* Keeps a bounce, in any order of time. Addresses are the same when their domains are, whatever the
 * case of letters, and their local parts in every letter (RFC 5321, section 2.4). False: there is
 * no room for more. */
bool suppress_add(struct suppress *suppress, const struct cmcwh_event *event);

/* One bounce with this number is enough: the address does not work, or does not want mail. */
bool suppress_permanent(unsigned number);

/* What an address is listed with. */
struct suppress_case {
    unsigned number; /* the reason: of the last permanent bounce, or else of the last one */
    size_t bounces;  /* all of them */
    uint64_t first, last;
};

/* Judges the bounces of one address, sorted by time. False: it may be mailed again. */
bool suppress_judge(const struct suppress_bounce *bounces, size_t count,
                    struct suppress_case *found);

/* Calls `list` for each address that is to be listed, in the order in which they came. */
void suppress_list(struct suppress *suppress,
                   void (*list)(struct cmcwh_text address, const struct suppress_case *found));

void suppress_free(struct suppress *suppress);

#endif
