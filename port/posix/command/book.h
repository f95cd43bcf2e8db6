/* Tables that grow with what they are told, up to a limit, for commands that read logs. */
#ifndef CMCWH_BOOK_H
#define CMCWH_BOOK_H

#include "cmcwh.h"

/* Makes room for one item more of `size` bytes behind `count`, of `most` at most. False: there is
 * none; what was there stays. */
bool book_room(void **items, size_t count, size_t *room, size_t size, size_t most);

/* Texts that are told apart, numbered in the order in which they came. All zero at first. */
enum { BOOK_MOST = 1 << 20 }; /* texts */
#define BOOK_NONE UINT32_MAX

struct book {
    uint32_t count;
    /* Insides. */
    char *text;
    size_t text_used, text_room;
    uint32_t *ends; /* of each in text */
    size_t end_room;
    uint32_t *slots; /* number + 1, by hash */
    size_t slot_count;
};

/* The number of a text, a new one if it has not come before; BOOK_NONE: there is no room for it. */
uint32_t book_number(struct book *book, struct cmcwh_text text);

/* Good until another one is added. */
struct cmcwh_text book_text(const struct book *book, uint32_t number);

void book_free(struct book *book);

/* Identities of events that have come. All zero at first. */
enum { SEEN_MOST = 1 << 23 };

struct seen {
    uint64_t *ids; /* 0: none */
    size_t count, slot_count;
};

enum seen_result { SEEN_NEW, SEEN_BEFORE, SEEN_FULL /* not before, and it is not kept */ };
enum seen_result seen_add(struct seen *seen, uint64_t id);

void seen_free(struct seen *seen);

#endif
