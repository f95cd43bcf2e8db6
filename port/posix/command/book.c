/* Tables that grow. Not here: what is in them. */
#include "command/book.h"

#include <stdlib.h>
#include <string.h>

bool book_room(void **items, size_t count, size_t *room, size_t size, size_t most) {
    size_t wanted = *room < 64 ? 64 : 2 * *room;
    void *more;

    if (count < *room) {
        return true;
    }
    if (count >= most) {
        return false;
    }
    wanted = wanted < most ? wanted : most;
    more = realloc(*items, wanted * size);
    if (more == NULL) {
        return false;
    }
    *items = more;
    *room = wanted;
    return true;
}

/* ---- Texts ---- */

enum { TEXT_MOST = 1 << 26 }; /* bytes */

/* FNV-1a. */
static uint64_t hash_of(struct cmcwh_text text) {
    uint64_t hash = UINT64_C(0xCBF29CE484222325);

    for (size_t i = 0; i < text.length; i++) {
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001B3);
    }
    return hash ^ hash >> 32;
}

struct cmcwh_text book_text(const struct book *book, uint32_t number) {
    uint32_t begin = number == 0 ? 0 : book->ends[number - 1];

    return (struct cmcwh_text){book->text + begin, book->ends[number] - begin};
}

/* Where a text is, or would be. */
static size_t slot_of(const struct book *book, struct cmcwh_text text) {
    size_t slot = (size_t)hash_of(text) & (book->slot_count - 1);

    while (book->slots[slot] != 0) {
        struct cmcwh_text other = book_text(book, book->slots[slot] - 1);

        if (other.length == text.length && memcmp(other.data, text.data, text.length) == 0) {
            break;
        }
        slot = (slot + 1) & (book->slot_count - 1);
    }
    return slot;
}

/* At least half of the slots are empty. */
static bool grow_slots(struct book *book) {
    size_t count = book->slot_count == 0 ? 128 : 2 * book->slot_count;
    uint32_t *slots;

    if (2 * (size_t)(book->count + 1) <= book->slot_count) {
        return true;
    }
    slots = calloc(count, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    free(book->slots);
    book->slots = slots;
    book->slot_count = count;
    for (uint32_t i = 0; i < book->count; i++) {
        book->slots[slot_of(book, book_text(book, i))] = i + 1;
    }
    return true;
}

static bool add_text(struct book *book, struct cmcwh_text text) {
    void *bytes = book->text, *ends = book->ends;
    bool right = text.length <= TEXT_MOST - book->text_used &&
                 book_room(&ends, book->count, &book->end_room, sizeof *book->ends, BOOK_MOST);

    book->ends = ends;
    while (right && book->text_room - book->text_used < text.length) {
        right = book_room(&bytes, book->text_room, &book->text_room, 1, TEXT_MOST);
    }
    book->text = bytes;
    if (right) {
        memcpy(book->text + book->text_used, text.data, text.length);
        book->text_used += text.length;
        book->ends[book->count++] = (uint32_t)book->text_used;
    }
    return right;
}

uint32_t book_number(struct book *book, struct cmcwh_text text) {
    size_t slot;

    if (!grow_slots(book)) {
        return BOOK_NONE;
    }
    slot = slot_of(book, text);
    if (book->slots[slot] == 0) {
        if (!add_text(book, text)) {
            return BOOK_NONE;
        }
        book->slots[slot] = book->count;
    }
    return book->slots[slot] - 1;
}

void book_free(struct book *book) {
    free(book->text);
    free(book->ends);
    free(book->slots);
    *book = (struct book){.count = 0};
}

/* ---- Identities ---- */

/* Where an id is, or would be. They are hashes. */
static size_t place_of(const struct seen *seen, uint64_t id) {
    size_t place = (size_t)id & (seen->slot_count - 1);

    while (seen->ids[place] != 0 && seen->ids[place] != id) {
        place = (place + 1) & (seen->slot_count - 1);
    }
    return place;
}

static bool grow_seen(struct seen *seen) {
    size_t count = seen->slot_count == 0 ? 1024 : 2 * seen->slot_count;
    struct seen larger = {.slot_count = count};

    if (2 * (seen->count + 1) <= seen->slot_count) {
        return true;
    }
    larger.ids = seen->count < SEEN_MOST ? calloc(count, sizeof *larger.ids) : NULL;
    if (larger.ids == NULL) {
        return false;
    }
    for (size_t i = 0; i < seen->slot_count; i++) {
        if (seen->ids[i] != 0) {
            larger.ids[place_of(&larger, seen->ids[i])] = seen->ids[i];
        }
    }
    larger.count = seen->count;
    free(seen->ids);
    *seen = larger;
    return true;
}

enum seen_result seen_add(struct seen *seen, uint64_t id) {
    bool room = grow_seen(seen);
    size_t place;

    id = id == 0 ? 1 : id;
    if (seen->slot_count == 0) {
        return SEEN_FULL;
    }
    place = place_of(seen, id);
    if (seen->ids[place] == id) {
        return SEEN_BEFORE;
    }
    if (!room) {
        return SEEN_FULL;
    }
    seen->ids[place] = id;
    seen->count++;
    return SEEN_NEW;
}

void seen_free(struct seen *seen) {
    free(seen->ids);
    *seen = (struct seen){.count = 0};
}
