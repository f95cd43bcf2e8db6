/* Which addresses should not be mailed again. Not here: where bounces come from, and how the list
 * is printed. */
#include "command/suppress.h"

#include <stdlib.h>
#include <string.h>

bool suppress_permanent(unsigned number) {
    return number == CMCWH_BOUNCE_UNKNOWN_HOST || number == CMCWH_BOUNCE_UNKNOWN_USER ||
           number == CMCWH_BOUNCE_ADDRESS || number == CMCWH_BOUNCE_BLOCKED ||
           number == CMCWH_BOUNCE_UNSUBSCRIBED || number == CMCWH_BOUNCE_OTHER;
}

/* The address of a bounce, its domain in small letters. Its length; 0: it is none, or not whole. */
static size_t address_of(const struct cmcwh_event *event, char out[SUPPRESS_ADDRESS]) {
    struct cmcwh_text to = event->texts[CMCWH_TO];
    bool domain = false;

    if ((event->truncated & 1U << CMCWH_TO) != 0 || to.length > SUPPRESS_ADDRESS) {
        return 0;
    }
    for (size_t i = to.length; i > 0; i--) {
        char c = to.data[i - 1];
        bool capital = c >= 'A' && c <= 'Z';

        out[i - 1] = !domain && capital ? (char)(c + ('a' - 'A')) : c;
        domain = domain || c == '@';
    }
    return domain ? to.length : 0;
}

bool suppress_add(struct suppress *suppress, const struct cmcwh_event *event) {
    char address[SUPPRESS_ADDRESS];
    size_t length = address_of(event, address);
    void *bounces = suppress->bounces;
    uint32_t number;
    bool room;

    if (length == 0) {
        suppress->nameless++;
        return true;
    }
    number = book_number(&suppress->addresses, (struct cmcwh_text){address, length});
    room = number != BOOK_NONE && book_room(&bounces, suppress->count, &suppress->room,
                                            sizeof *suppress->bounces, SUPPRESS_BOUNCES);
    suppress->bounces = bounces;
    if (room) {
        suppress->bounces[suppress->count++] =
            (struct suppress_bounce){number, event->status, event->received};
    }
    return room;
}

bool suppress_judge(const struct suppress_bounce *bounces, size_t count,
                    struct suppress_case *found) {
    const uint64_t within = SUPPRESS_DAYS * UINT64_C(86400000);
    bool permanent = false, often = false;

    *found = (struct suppress_case){.number = bounces[count - 1].number,
                                    .bounces = count,
                                    .first = bounces[0].time,
                                    .last = bounces[count - 1].time};
    for (size_t i = 0; i < count; i++) {
        if (suppress_permanent(bounces[i].number)) {
            permanent = true;
            found->number = bounces[i].number;
        }
        often = often || (i + 1 >= SUPPRESS_TIMES &&
                          bounces[i].time - bounces[i + 1 - SUPPRESS_TIMES].time <= within);
    }
    return permanent || often;
}

static int order(const void *one, const void *other) {
    const struct suppress_bounce *a = one, *b = other;

    return a->address != b->address ? (a->address > b->address) - (a->address < b->address)
           : a->time != b->time     ? (a->time > b->time) - (a->time < b->time)
                                    : (a->number > b->number) - (a->number < b->number);
}

void suppress_list(struct suppress *suppress,
                   void (*list)(struct cmcwh_text address, const struct suppress_case *found)) {
    struct suppress_case found;

    if (suppress->count > 0) {
        qsort(suppress->bounces, suppress->count, sizeof *suppress->bounces, order);
    }
    for (size_t begin = 0, end; begin < suppress->count; begin = end) {
        uint32_t address = suppress->bounces[begin].address;

        for (end = begin; end < suppress->count && suppress->bounces[end].address == address;) {
            end++;
        }
        if (suppress_judge(suppress->bounces + begin, end - begin, &found)) {
            list(book_text(&suppress->addresses, address), &found);
        }
    }
}

void suppress_free(struct suppress *suppress) {
    book_free(&suppress->addresses);
    free(suppress->bounces);
    *suppress = (struct suppress){.count = 0};
}
