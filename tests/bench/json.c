/* The same work with other JSON libraries: a body is parsed, and the fields of each event are
 * copied into a record of 1 KiB, with an id. One thread. Unlike cmcwh they take the body whole, and
 * allocate. Arguments: shared objects of libraries and payload files. Times each in turn, so that
 * all have the same luck with the machine; of many the shortest counts. With `once` before them
 * each takes each body once, in the function `measured`, for a profiler that counts instructions.
 */
#include "hash.h"
#include "library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECORDS = 16384, CANDIDATES = 16, SLICE = 1 << 18 };

static struct cmcwh_record records[RECORDS], expected[RECORDS], others[RECORDS];
static uint32_t links[RECORDS], places[RECORDS], marks[2 * RECORDS];
static struct cmcwh_history history = {.places = places, .marks = marks, .mark_count = 2 * RECORDS};
static struct cmcwh_ring ring;
static struct cmcwh_parser parser;

static const struct shape {
    const char *name;
    unsigned events, rounds, capacity;
    bool pretty;
} shapes[] = {{"1 event", 1, 400, 256, false},
              {"100 events", 100, 400, 256, false},
              {"100 events, indented", 100, 400, 256, true},
              {"12 000 events", 12000, 15, RECORDS, false}};

enum { SHAPES = sizeof shapes / sizeof *shapes };

static void take_ours(const struct body *body, struct taken *taken) {
    uint64_t before = ring.next_seq;

    take_body(&parser, &ring, body, CMCWH_JSON);
    taken->used += (unsigned)(ring.next_seq - before);
}

static struct library candidates[CANDIDATES] = {{"cmcwh", take_ours}};
static size_t candidate_count = 1;

static void load_library(const char *path) {
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct library *found = object == NULL ? NULL : dlsym(object, "libraries");

    if (found == NULL) {
        die(dlerror());
        return;
    }
    while (found->name != NULL && candidate_count < CANDIDATES) {
        candidates[candidate_count++] = *found++;
    }
}

static void make_ring(const struct shape *shape) {
    struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = shape->capacity, .history = &history};

    if (cmcwh_ring_init(&ring, &config, 1) < 0) {
        die("the ring");
    }
}

/* What the others must have taken: the texts that cmcwh has. */
static void expect(const struct shape *shape, const struct body *body) {
    struct taken taken = {.records = expected, .hash = hash, .capacity = RECORDS};
    struct cmcwh_record record;
    int reader;

    make_ring(shape);
    reader = cmcwh_ring_attach(&ring, NULL, true);
    take_body(&parser, &ring, body, CMCWH_JSON);
    memset(expected, 0, sizeof expected);
    while (cmcwh_ring_read(&ring, reader, &record) > 0) {
        struct cmcwh_event event;

        cmcwh_record_read(&record, &event);
        begin_record(&taken);
        for (unsigned i = 0; i < FIELDS; i++) {
            put_field(&taken, event.texts[i].data, event.texts[i].length);
        }
    }
    make_ring(shape); /* without a reader: records are free again at once */
}

/* Every library must take the same; so each has also run once before it is measured. */
static void check(const struct shape *shape, const struct body *body) {
    expect(shape, body);
    for (size_t i = 0; i < candidate_count; i++) {
        struct taken taken = {.records = others, .hash = hash, .capacity = RECORDS};

        memset(others, 0, sizeof others);
        candidates[i].take(body, &taken);
        if (taken.used != shape->events ||
            (i > 0 && memcmp(others, expected, sizeof others) != 0)) {
            die(candidates[i].name);
        }
    }
}

/* A function of its own, so that a profiler can tell it. */
__attribute__((noinline)) static void measured(const struct library *library,
                                               const struct body *body, struct taken *taken,
                                               size_t times) {
    for (size_t i = 0; i < times; i++) {
        library->take(body, taken);
    }
}

/* A short body is taken several times between two looks at the clock; once before, since heap and
 * caches are as another library has left them. */
static void time_all(const struct shape *shape, const struct body *body, struct taken *taken) {
    double best[CANDIDATES] = {0};
    size_t times = SLICE / body->length + 1;

    for (unsigned round = 0; round < shape->rounds; round++) {
        for (size_t i = 0; i < candidate_count; i++) {
            double start, time;

            candidates[i].take(body, taken);
            start = now();
            measured(&candidates[i], body, taken, times);
            time = (now() - start) / (double)times;
            best[i] = round == 0 || time < best[i] ? time : best[i];
        }
    }
    for (size_t i = 0; i < candidate_count; i++) {
        printf("%-22s %-24s %9.0f events/s %6.0f MB/s %6.2f\n", shape->name, candidates[i].name,
               shape->events / best[i], (double)body->length / best[i] / 1e6, best[0] / best[i]);
    }
}

static void take_once(const struct shape *shape, const struct body *body, struct taken *taken) {
    for (size_t i = 0; i < candidate_count; i++) {
        printf("%s|%s|%u|%zu\n", shape->name, candidates[i].name, shape->events, body->length);
        candidates[i].take(body, taken);
        measured(&candidates[i], body, taken, 1);
    }
}

int main(int count, char **arguments) {
    bool once = count > 1 && strcmp(arguments[1], "once") == 0;
    int i = once ? 2 : 1;

    stay_here();
    for (; i < count && strstr(arguments[i], ".so") != NULL; i++) {
        load_library(arguments[i]);
    }
    load_events(count - i, arguments + i);
    if (!once) {
        printf("%-22s %-24s %18s %11s %6s\n", "body", "library", "", "", "cmcwh's 1");
    }
    for (size_t s = 0; s < SHAPES; s++) {
        struct body body = json_body(shapes[s].events, shapes[s].pretty);
        struct taken taken = {.records = others, .hash = hash, .capacity = shapes[s].capacity};

        check(&shapes[s], &body);
        (once ? take_once : time_all)(&shapes[s], &body, &taken);
        free(body.bytes);
    }
    return 0;
}
