/* Power cuts: a random workload of concurrent, aborted, large and wrapping requests, and readers
 * that lag, on a storage that loses power before and after every write and sync, in every way that
 * disk_cuts knows. Each time the ring is opened again: what was acknowledged is there, once and in
 * order, and nothing is there in part.
 *
 * CMCWH_SEEDS=N (32) runs N workloads, CMCWH_SEED=N only that one. A failure names its seed. */
#define READ_AHEAD 3 /* several pieces, the last of which is shorter, and overlaps others */
#include "cmcwh.c"

#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 12, BLOCK = 256, OPEN = 3, STEPS = 150, EVENTS_MOST = 4096, GATHER = 250 };

static const struct cmcwh_text no_text = {"", 0};

/* A ring on a disk, and the readers of this test. */
struct machine {
    struct disk disk;
    struct cmcwh_ring ring;
    struct cmcwh_record records[CAPACITY];
    uint32_t links[CAPACITY];
    struct cmcwh_recovery found;
    int log, udp; /* readers: required, besteffort */
};

struct request {
    struct cmcwh_batch batch;
    uint32_t number; /* names its events */
    bool open, committed;
};

/* What must be true of the storage, whenever the power goes. */
struct model {
    uint32_t events[EVENTS_MOST]; /* of each seq: number of its request << 8 | its index in it */
    uint64_t acknowledged;        /* seqs before this were answered with 200 */
    uint64_t place;               /* of the required reader */
    uint64_t read;                /* it has read up to here */
    uint64_t stable_place;        /* at the last sync */
    uint64_t syncs;               /* of the disk, so far */
    struct request requests[OPEN];
    uint32_t queue[OPEN]; /* committed, not confirmed: indices of requests */
    uint32_t queued;
};

static struct machine running, reopened, again;
static struct model model;

/* An image that the workload goes on with after its current step, as if the power had gone then. */
static struct crash {
    bool chosen;
    uint8_t image[DISK_SIZE];
    struct model model;
} crash;

static uint64_t seed, luck, ticks;
static unsigned images, second_cuts, acknowledged_events, reboots, gathered;

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("CMCWH_SEED=%llu, call %llu: %s", (unsigned long long)seed,                   \
                     (unsigned long long)running.disk.calls, #condition);                          \
        }                                                                                          \
    } while (0)

static uint64_t steady(void *context) {
    (void)context;
    return ticks;
}

static const struct cmcwh_port port = {.ticks = steady};

/* In every other workload requests wait for others to share a sync with. */
static void open_machine(struct machine *machine) {
    struct cmcwh_ring_config config = {.records = machine->records,
                                       .links = machine->links,
                                       .capacity = CAPACITY,
                                       .port = &port,
                                       .storage = &machine->disk.storage,
                                       .gather = seed % 2 == 0 ? GATHER : 0};

    memset(machine->records, 0xA5, sizeof machine->records);
    memset(machine->links, 0xA5, sizeof machine->links);
    MUST(cmcwh_ring_open(&machine->ring, &config, &machine->found) == CMCWH_OK);
    machine->log = cmcwh_ring_attach(&machine->ring, "log", true);
    machine->udp = cmcwh_ring_attach(&machine->ring, "udp", false);
    MUST(machine->log >= 0 && machine->udp >= 0);
}

/* Fills a record in a way that tells it from all others. */
static void fill(struct cmcwh_record *record, uint32_t name) {
    static char text[1024];
    char to[16];
    struct cmcwh_draft draft;

    (void)snprintf(to, sizeof to, "%08x", (unsigned)name);
    memset(text, 'a' + (int)(name % 26), sizeof text);
    draft_begin(&draft, record, CMCWH_DELIVERIES);
    draft_text(&draft, CMCWH_TO, (struct cmcwh_text){to, 8});
    draft_text(&draft, CMCWH_SUBJECT,
               (struct cmcwh_text){text, name * UINT32_C(2654435761) % sizeof text});
    draft_close(&draft);
}

static uint32_t name_of(const struct cmcwh_record *record) {
    char to[9] = "";

    MUST(field_text(record, CMCWH_TO).length == 8);
    memcpy(to, field_text(record, CMCWH_TO).data, 8);
    return (uint32_t)strtoul(to, NULL, 16);
}

/* ---- Looking at what is left ---- */

/* Which seqs, from the acknowledged ones on, would the waiting requests have, and who are they? */
static uint32_t expected_name(uint64_t seq, uint64_t *batch_end) {
    uint64_t at = model.acknowledged;

    if (seq < at) {
        *batch_end = at;
        return model.events[seq % EVENTS_MOST];
    }
    for (uint32_t i = 0; i < model.queued; i++) {
        const struct request *request = &model.requests[model.queue[i]];

        if (seq < at + request->batch.count) {
            *batch_end = at + request->batch.count;
            return request->number << 8 | (uint32_t)(seq - at);
        }
        at += request->batch.count;
    }
    fail_msg("CMCWH_SEED=%llu: seq %llu was never stored", (unsigned long long)seed,
             (unsigned long long)seq);
    return 0;
}

/* Reads all that a reader gets: seqs without a gap, the right events, whole requests. Returns one
 * more than the last seq. */
static uint64_t read_all(struct machine *machine, int reader, uint64_t least) {
    uint64_t next = machine->found.next_seq, seq = 0, batch_end = least;
    struct cmcwh_record record;

    while (cmcwh_ring_read(&machine->ring, reader, &record) > 0) {
        MUST(cmcwh_record_check(&record) == CMCWH_OK);
        MUST(seq == 0 || event_of(&record).seq == seq + 1);
        if (seq == 0) {
            MUST(event_of(&record).seq >= least);
        }
        seq = event_of(&record).seq;
        MUST(name_of(&record) == expected_name(seq, &batch_end));
    }
    MUST(seq == 0 || seq + 1 == next);
    MUST(seq == 0 || batch_end == next);
    return next;
}

/* The seq that a reader gets first; one more than the last when there is none. */
static uint64_t first_of(struct machine *machine, int reader) {
    uint64_t first = machine->found.next_seq;
    struct cmcwh_record record;

    if (cmcwh_ring_read(&machine->ring, reader, &record) > 0) {
        first = event_of(&record).seq;
    }
    cmcwh_ring_fail(&machine->ring, reader, 0);
    return first;
}

/* The required reader gets everything that it had not taken; and nothing again that it had taken
 * before the last sync. */
static void check_machine(struct machine *machine) {
    MUST(machine->found.damaged == 0);
    MUST(machine->found.next_seq >= model.acknowledged);
    MUST(first_of(machine, machine->log) <= model.place);
    (void)read_all(machine, machine->log, model.stable_place);
    (void)read_all(machine, machine->udp, 1);
}

/* A machine that has started again works: one more request gets the next number. */
static void use_machine(struct machine *machine) {
    uint64_t next = machine->found.next_seq;
    struct cmcwh_record record;
    struct cmcwh_batch batch;

    MUST(cmcwh_ring_acknowledge(&machine->ring, machine->log) == CMCWH_OK);
    MUST(cmcwh_ring_acknowledge(&machine->ring, machine->udp) == CMCWH_OK);
    batch_begin(&batch, &machine->ring);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        struct cmcwh_record *free_record = batch_add(&batch);

        MUST(free_record != NULL);
        fill(free_record, UINT32_C(0xFFFFFF00) | i);
    }
    MUST(batch_commit(&batch, no_text, no_text) == CAPACITY);
    ticks += GATHER;
    MUST(batch_confirm(&batch) == CMCWH_OK);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        MUST(cmcwh_ring_read(&machine->ring, machine->log, &record) == 1);
        MUST(event_of(&record).seq == next + i && (name_of(&record) & 0xFF) == i);
    }
    MUST(cmcwh_ring_read(&machine->ring, machine->log, &record) == 0);
}

static void check_second(const uint8_t *image) {
    disk_load(&again.disk, image, running.disk.size);
    open_machine(&again);
    check_machine(&again);
}

/* The power goes once more, while the ring is being opened. */
static void cut_again(struct disk *disk) {
    second_cuts += disk_cuts(disk, &luck, check_second);
}

static void check_image(const uint8_t *image) {
    bool second = below(&luck, 300) == 0;

    if (!crash.chosen && below(&luck, 1500) == 0) {
        crash.chosen = true;
        memcpy(crash.image, image, running.disk.size);
        crash.model = model;
    }
    disk_load(&reopened.disk, image, running.disk.size);
    reopened.disk.cut = second ? cut_again : NULL;
    open_machine(&reopened);
    reopened.disk.cut = NULL;
    check_machine(&reopened);
    if (below(&luck, 20) == 0) {
        use_machine(&reopened);
    }
}

static void cut(struct disk *disk) {
    if (disk->syncs != model.syncs) {
        model.syncs = disk->syncs;
        model.stable_place = model.place;
    }
    images += disk_cuts(disk, &luck, check_image);
}

/* ---- The workload ---- */

static void begin_request(struct request *request, uint32_t number) {
    batch_begin(&request->batch, &running.ring);
    request->number = number;
    request->open = true;
    request->committed = false;
}

static void add_events(struct request *request, uint32_t count) {
    while (count-- > 0) {
        struct cmcwh_record *record = batch_add(&request->batch);

        if (record == NULL) {
            batch_abort(&request->batch);
            request->open = false;
            return;
        }
        fill(record, request->number << 8 | (request->batch.count - 1));
    }
}

static void commit(uint32_t index) {
    struct request *request = &model.requests[index];

    if (request->batch.count > 0) {
        MUST(batch_commit(&request->batch, no_text, no_text) == (int)request->batch.count);
        request->committed = true;
        model.queue[model.queued++] = index;
    }
}

/* Everything that waits becomes stable, as one group. */
static void confirm(void) {
    uint64_t seq = model.acknowledged;

    if (model.queued == 0) {
        return;
    }
    gathered += cmcwh_ring_gathered(&running.ring, false) > 0;
    while (cmcwh_ring_gathered(&running.ring, false) > 0) {
        uint64_t calls = running.disk.calls;

        MUST(batch_confirm(&model.requests[model.queue[0]].batch) == CMCWH_PENDING);
        MUST(running.disk.calls == calls);
        ticks += GATHER / 2;
    }
    MUST(batch_confirm(&model.requests[model.queue[0]].batch) == CMCWH_OK);
    for (uint32_t i = 0; i < model.queued; i++) {
        struct request *request = &model.requests[model.queue[i]];

        MUST(batch_confirm(&request->batch) == CMCWH_OK);
        MUST(request->batch.first_seq == seq);
        for (uint32_t k = 0; k < request->batch.count; k++) {
            model.events[seq++ % EVENTS_MOST] = request->number << 8 | k;
        }
        request->open = false;
    }
    acknowledged_events += (unsigned)(seq - model.acknowledged);
    model.acknowledged = seq;
    model.queued = 0;
}

/* The required reader reads up to `count` events. */
static void read_some(uint32_t count) {
    struct cmcwh_record record;

    while (count-- > 0 && cmcwh_ring_read(&running.ring, running.log, &record) > 0) {
        MUST(event_of(&record).seq == model.read);
        MUST(name_of(&record) == model.events[model.read++ % EVENTS_MOST]);
    }
}

static void acknowledge(void) {
    model.place = model.read; /* from the call on, that is the truth */
    MUST(cmcwh_ring_acknowledge(&running.ring, running.log) == CMCWH_OK);
}

static void fail_reader(void) {
    model.read = model.place;
    cmcwh_ring_fail(&running.ring, running.log, 0);
}

static void take_besteffort(void) {
    struct cmcwh_record record;

    for (uint32_t count = below(&luck, 6); count > 0; count--) {
        if (cmcwh_ring_read(&running.ring, running.udp, &record) > 0) {
            MUST(name_of(&record) == model.events[event_of(&record).seq % EVENTS_MOST]);
        }
    }
    MUST(cmcwh_ring_acknowledge(&running.ring, running.udp) == CMCWH_OK);
}

/* The machine comes up on what the power cut has left. */
static void reboot(void) {
    uint64_t batch_end;

    model = crash.model;
    disk_load(&running.disk, crash.image, running.disk.size);
    running.disk.cut = NULL;
    open_machine(&running);
    check_machine(&running);
    for (uint64_t seq = model.acknowledged; seq < running.found.next_seq; seq++) {
        model.events[seq % EVENTS_MOST] = expected_name(seq, &batch_end);
    }
    cmcwh_ring_fail(&running.ring, running.log, 0);
    cmcwh_ring_fail(&running.ring, running.udp, 0);
    model.acknowledged = running.found.next_seq;
    model.read = model.place = model.stable_place = first_of(&running, running.log);
    memset(model.requests, 0, sizeof model.requests);
    model.queued = 0;
    model.syncs = running.disk.syncs;
    running.disk.cut = cut;
    crash.chosen = false;
    reboots++;
}

static void step(uint32_t number) {
    uint32_t index = below(&luck, OPEN);
    struct request *request = &model.requests[index];

    switch (below(&luck, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (!request->open) {
            begin_request(request, number);
            add_events(request, below(&luck, 10) == 0 ? CAPACITY : 1 + below(&luck, 4));
        }
        if (request->open && !request->committed && below(&luck, 3) > 0) {
            commit(index);
        }
        break;
    case 4:
        if (request->open && !request->committed) {
            batch_abort(&request->batch);
            request->open = false;
        }
        break;
    case 5:
    case 6:
        confirm();
        break;
    case 7:
    case 8:
        read_some(1 + below(&luck, 8));
        if (below(&luck, 2) == 0) {
            acknowledge();
        }
        break;
    case 9:
        acknowledge();
        break;
    case 10:
        take_besteffort();
        break;
    default:
        if (below(&luck, 2) == 0) {
            fail_reader();
        } else {
            MUST(cmcwh_ring_flush(&running.ring) == CMCWH_OK);
        }
    }
    if (crash.chosen) {
        reboot();
    }
}

static void run(uint64_t with_seed) {
    struct cmcwh_geometry geometry = {.records = CAPACITY, .block = BLOCK};

    seed = with_seed;
    luck = with_seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    memset(&model, 0, sizeof model);
    model.acknowledged = model.read = model.place = model.stable_place = 1;
    crash.chosen = false;
    disk_init(&running.disk, 3 * BLOCK + CAPACITY * CMCWH_RECORD_SIZE);
    MUST(cmcwh_storage_format(&running.disk.storage, &geometry) == CMCWH_OK);
    MUST(geometry.size == running.disk.size);
    open_machine(&running);
    model.syncs = running.disk.syncs;
    running.disk.cut = cut;
    for (uint32_t i = 1; i <= STEPS; i++) {
        step(i);
    }
}

static uint64_t number_from(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void nothing_acknowledged_is_lost(void **state) {
    uint64_t first = number_from("CMCWH_SEED", 1), seeds = number_from("CMCWH_SEEDS", 32);

    (void)state;
    if (getenv("CMCWH_SEED") != NULL) {
        seeds = 1;
    }
    for (uint64_t i = 0; i < seeds; i++) {
        run(first + i);
    }
    printf(
        "# %u cuts, %u more during recovery, %u reboots, %u events acknowledged, 0 lost; %u groups "
        "waited for others\n",
        images, second_cuts, reboots, acknowledged_events, gathered);
    assert_true(images > 1000 && acknowledged_events > 10);
    assert_true(seeds == 1 || gathered > seeds); /* every other run waits for others */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_acknowledged_is_lost)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
