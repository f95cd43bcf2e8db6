/* The ring on storage: what it looks like, what is refused, readers' places over restarts, damage,
 * failing calls. Power cuts have a test of their own. */
#define READ_AHEAD 3 /* several pieces, the last of which is shorter, and overlaps others */
#include "cmcwh.c"

#include "disk.h"

#include <stdio.h>
#include <string.h>

enum { CAPACITY = 8, LARGE = 64, BLOCK = 256 };

static const struct cmcwh_text no_text = {"", 0};
static struct disk disk;
static struct cmcwh_ring ring;
static struct cmcwh_recovery found;
static struct cmcwh_record records[LARGE];
static uint32_t links[LARGE];
static uint64_t ticks;
static unsigned wakes;
static int log_reader;

static uint64_t steady(void *context) {
    (void)context;
    return ticks;
}

static void waken(void *context) {
    (void)context;
    wakes++;
}

static const struct cmcwh_port port = {.ticks = steady, .wake = waken};

static int open_ring_of(uint32_t capacity) {
    struct cmcwh_ring_config config = {.records = records,
                                       .links = links,
                                       .capacity = capacity,
                                       .port = &port,
                                       .storage = &disk.storage};
    int result = cmcwh_ring_open(&ring, &config, &found);

    log_reader = result < 0 ? -1 : cmcwh_ring_attach(&ring, "log", true);
    return result;
}

static int open_ring(void) {
    return open_ring_of(CAPACITY);
}

static size_t disk_room(uint32_t capacity) {
    return 3 * BLOCK + (size_t)capacity * CMCWH_RECORD_SIZE;
}

static void new_ring_of(uint32_t capacity) {
    struct cmcwh_geometry geometry = {.records = capacity, .block = BLOCK};

    ticks = 1000;
    disk_init(&disk, disk_room(capacity));
    disk.forgets = capacity > CAPACITY; /* its list of writes is short */
    memset(disk.now, 0x5A, disk.size);  /* what was there before must not matter */
    assert_int_equal(cmcwh_storage_format(&disk.storage, &geometry), CMCWH_OK);
    assert_int_equal(geometry.size, disk.size);
    assert_int_equal(open_ring_of(capacity), CMCWH_OK);
}

static void new_ring(void) {
    new_ring_of(CAPACITY);
}

/* A request of `count` events whose `to` are `first`, `first` + 1, ...; shorter when the ring is
 * full. */
static struct cmcwh_batch hold(uint32_t count, uint32_t first) {
    struct cmcwh_record *record = NULL;
    struct cmcwh_batch batch;
    char to[16];
    struct cmcwh_draft draft;

    batch_begin(&batch, &ring);
    for (uint32_t i = 0; i < count && (record = batch_add(&batch)) != NULL; i++) {
        (void)snprintf(to, sizeof to, "%08u", (unsigned)(first + i));
        draft_begin(&draft, record, CMCWH_DELIVERIES);
        draft_text(&draft, CMCWH_TO, (struct cmcwh_text){to, 8});
        draft_close(&draft);
    }
    return batch;
}

/* Stores it; each event's `to` will be its seq when all goes well. */
static int store_events(uint32_t count, uint32_t first) {
    struct cmcwh_batch batch = hold(count, first);
    int result;

    assert_non_null(ring.config.records); /* it is open */
    result = batch.count < count ? CMCWH_ERR_FULL : batch_commit(&batch, no_text, no_text);
    if (result >= 0) {
        result = batch_confirm(&batch);
    }
    if (result < 0) {
        batch_abort(&batch);
    }
    return result;
}

/* Reads what a reader gets; each must be what was stored under its number. Returns how many. */
static uint32_t read_right(int reader, uint64_t *first) {
    struct cmcwh_record record;
    uint32_t count = 0;

    while (cmcwh_ring_read(&ring, reader, &record) > 0) {
        char to[16];

        assert_int_equal(cmcwh_record_check(&record), CMCWH_OK);
        (void)snprintf(to, sizeof to, "%08u", (unsigned)event_of(&record).seq);
        assert_field(&record, CMCWH_TO, to);
        if (count++ == 0 && first != NULL) {
            *first = event_of(&record).seq;
        }
    }
    return count;
}

static void acknowledge(int reader) {
    assert_int_equal(cmcwh_ring_acknowledge(&ring, reader), CMCWH_OK);
}

/* ---- The header ---- */

static void bad_formats(void **state) {
    struct cmcwh_geometry geometry = {.records = CAPACITY, .block = BLOCK};
    const uint32_t blocks[] = {0, 1, 128, 255, 257, 1u << 21};

    (void)state;
    disk_init(&disk, disk_room(CAPACITY));
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        geometry.block = blocks[i];
        assert_int_equal(cmcwh_storage_format(&disk.storage, &geometry), CMCWH_ERR_ARGUMENT);
    }
    geometry.block = BLOCK;
    geometry.records = 0;
    assert_int_equal(cmcwh_storage_format(&disk.storage, &geometry), CMCWH_ERR_ARGUMENT);
    assert_int_equal(disk.calls, 0);
    for (uint64_t n = 1;; n++) { /* fail the n-th call: half a ring is none */
        geometry.records = CAPACITY;
        disk_init(&disk, disk_room(CAPACITY));
        disk.fail_at = n;
        disk.fail_count = 1;
        if (cmcwh_storage_format(&disk.storage, &geometry) == CMCWH_OK) {
            break;
        }
        disk_load(&disk, disk.stable, disk.size);
        assert_int_equal(open_ring(), CMCWH_ERR_FORMAT);
    }
    assert_true(disk.calls > 10);
}

static void expect_refused(const char *why) {
    static uint8_t before[DISK_SIZE];

    memcpy(before, disk.now, disk.size);
    assert_int_equal(open_ring(), CMCWH_ERR_FORMAT);
    assert_non_null(strstr(found.why, why));
    assert_memory_equal(before, disk.now, disk.size);
}

/* Changes a number of the header, and mends its CRC by formatting anew what is left. */
static void change_header(size_t offset, uint8_t value) {
    uint32_t crc = UINT32_MAX;

    new_ring();
    disk.now[offset] = value;
    for (size_t i = 0; i < 60; i++) {
        crc ^= disk.now[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xEDB88320) : 0);
        }
    }
    for (int i = 0; i < 4; i++) {
        disk.now[60 + i] = (uint8_t)(~crc >> 8 * i);
    }
}

static void other_rings_are_refused(void **state) {
    (void)state;
    new_ring();
    disk.now[0] = 'X';
    expect_refused("no ring");
    new_ring();
    disk.now[17] ^= 1;
    expect_refused("header is damaged");
    change_header(8, CMCWH_STORAGE_VERSION + 1);
    expect_refused("another version");
    change_header(10, CMCWH_RECORD_VERSION + 1);
    expect_refused("another version");
    change_header(13, CMCWH_RECORD_SIZE / 512);
    expect_refused("another size");
    change_header(21, 0);
    expect_refused("readers");
    change_header(24, CMCWH_READERS_MAX + 1);
    expect_refused("readers");
    change_header(16, CAPACITY + 1);
    expect_refused("another number of records");
    new_ring();
    disk.now[BLOCK] ^= 1;
    disk.now[2 * BLOCK + 20] ^= 1;
    expect_refused("both copies");
}

static void bad_configs(void **state) {
    struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = CAPACITY, .storage = &disk.storage};

    (void)state;
    new_ring();
    assert_int_equal(cmcwh_ring_init(&ring, &config, 1), CMCWH_ERR_ARGUMENT);
    config.confirm = true;
    assert_int_equal(cmcwh_ring_open(&ring, &config, &found), CMCWH_ERR_ARGUMENT);
    config.confirm = false;
    config.storage = NULL;
    assert_int_equal(cmcwh_ring_open(&ring, &config, &found), CMCWH_ERR_ARGUMENT);
}

/* The layout that cmcwh.h documents, looked at byte by byte. */
static void layout(void **state) {
    const uint8_t *at = disk.now;

    (void)state;
    new_ring();
    assert_memory_equal(at, "CMCWRING\1\0\1\0\0\4\0\0\10\0\0\0\0\1\0\0\10\0\0\0", 28);
    assert_int_equal(store_events(2, 1), CMCWH_OK);
    assert_int_equal(cmcwh_ring_flush(&ring), CMCWH_OK);
    /* Formatted: 1; opened: 2; a request: 3; flushed: 4, into the first copy again. */
    assert_memory_equal(at + 2 * BLOCK, "CMCS\1\0\0\0\4\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\3", 25);
    assert_memory_equal(at + 3 * BLOCK, "CMCR\1\1\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2", 25);
    assert_memory_equal(at + 3 * BLOCK + CMCWH_RECORD_SIZE, "CMCR\1\1\0\0\2", 9);
}

/* ---- Restarts ---- */

static void goes_on_after_a_restart(void **state) {
    struct cmcwh_record record;
    uint64_t first = 0;
    int udp;

    (void)state;
    new_ring();
    assert_int_equal(store_events(3, 1), CMCWH_OK);
    assert_int_equal(cmcwh_ring_read(&ring, log_reader, &record), 1);
    acknowledge(log_reader);
    assert_int_equal(open_ring(), CMCWH_OK);
    assert_int_equal(found.kept, 2);
    assert_int_equal(found.next_seq, 4);
    assert_int_equal(read_right(log_reader, &first), 2);
    assert_int_equal(first, 2);
    acknowledge(log_reader);
    /* A reader of another name begins at what is held. */
    assert_int_equal(store_events(2, 4), CMCWH_OK);
    udp = cmcwh_ring_attach(&ring, "udp", false);
    assert_int_equal(read_right(udp, &first), 2);
    assert_int_equal(first, 4);
    acknowledge(udp);
    assert_int_equal(open_ring(), CMCWH_OK);
    udp = cmcwh_ring_attach(&ring, "udp", false);
    assert_int_equal(read_right(udp, NULL), 0);
    assert_int_equal(read_right(log_reader, &first), 2);
    assert_int_equal(first, 4);
}

static void two_readers_of_one_name(void **state) {
    struct cmcwh_record record;
    int second;

    (void)state;
    new_ring();
    second = cmcwh_ring_attach(&ring, "log", true);
    assert_int_equal(store_events(4, 1), CMCWH_OK);
    assert_int_equal(cmcwh_ring_read(&ring, second, &record), 1);
    acknowledge(second);
    assert_int_equal(open_ring(), CMCWH_OK);
    second = cmcwh_ring_attach(&ring, "log", true);
    assert_int_equal(read_right(log_reader, NULL), 4);
    assert_int_equal(read_right(second, NULL), 3);
}

/* Places of readers that are gone give way when there is no other. */
static void places_of_readers_that_are_gone(void **state) {
    char name[] = "reader 0";

    (void)state;
    new_ring();
    for (int i = 1; i < CMCWH_READERS_MAX; i++) {
        name[7] = (char)('0' + i);
        assert_true(cmcwh_ring_attach(&ring, name, true) >= 0);
    }
    assert_int_equal(store_events(1, 1), CMCWH_OK);
    assert_int_equal(open_ring(), CMCWH_OK);
    for (int i = 1; i < CMCWH_READERS_MAX; i++) {
        name[7] = (char)('a' + i);
        assert_true(cmcwh_ring_attach(&ring, name, true) >= 0);
    }
    assert_int_equal(cmcwh_ring_attach(&ring, "one more", true), CMCWH_ERR_ARGUMENT);
    assert_int_equal(read_right(1, NULL), 1);
}

static void wraps_for_long(void **state) {
    uint32_t seq = 1;

    (void)state;
    new_ring();
    for (uint32_t round = 0; round < 300; round++) {
        uint32_t count = 1 + round % CAPACITY;

        assert_int_equal(store_events(count, seq), CMCWH_OK);
        assert_int_equal(read_right(log_reader, NULL), count);
        acknowledge(log_reader);
        seq += count;
        if (round % 7 == 0) {
            assert_int_equal(open_ring(), CMCWH_OK);
            assert_int_equal(found.next_seq, seq);
            assert_int_equal(found.kept + found.dropped + found.damaged, 0);
        }
    }
}

/* A required reader that does nothing fills the ring; a besteffort one loses the oldest events. */
static void a_full_ring(void **state) {
    struct cmcwh_ring_state figures;
    struct cmcwh_batch batch;
    uint32_t seq = 1;
    int udp;

    (void)state;
    new_ring();
    udp = cmcwh_ring_attach(&ring, "udp", false);
    for (; seq <= CAPACITY; seq++) {
        assert_int_equal(store_events(1, seq), CMCWH_OK);
    }
    batch_begin(&batch, &ring);
    assert_null(batch_add(&batch));
    assert_int_equal(read_right(log_reader, NULL), CAPACITY);
    acknowledge(log_reader);
    for (; seq <= 3 * CAPACITY; seq++) {
        assert_int_equal(store_events(1, seq), CMCWH_OK);
        assert_int_equal(read_right(log_reader, NULL), 1);
        acknowledge(log_reader);
    }
    cmcwh_ring_state(&ring, &figures);
    assert_true(figures.lost[udp] >= 2 * CAPACITY && figures.lost[udp] < 3 * CAPACITY);
    assert_int_equal(read_right(udp, NULL), 3 * CAPACITY - figures.lost[udp]);
}

/* What was delivered can still be looked at, until its place is needed. */
static void looking_at_a_ring(void **state) {
    struct cmcwh_batch batch;
    uint64_t first = 0, calls;

    (void)state;
    new_ring();
    assert_int_equal(store_events(6, 1), CMCWH_OK);
    (void)read_right(log_reader, NULL);
    acknowledge(log_reader);
    assert_int_equal(store_events(4, 7), CMCWH_OK);
    calls = disk.calls;
    disk.storage.write = NULL;
    assert_int_equal(open_ring(), CMCWH_OK);
    assert_int_equal(read_right(log_reader, &first), CAPACITY);
    assert_int_equal(first, 3);
    acknowledge(log_reader);
    assert_int_equal(cmcwh_ring_flush(&ring), CMCWH_OK);
    batch_begin(&batch, &ring);
    assert_null(batch_add(&batch));
    assert_int_equal(disk.calls, calls);
}

/* Records that a request of several events has taken and not needed are no newer for it. */
static void looking_at_all_that_a_ring_holds(void **state) {
    uint64_t first = 0;

    (void)state;
    new_ring_of(LARGE);
    for (uint32_t i = 0; i < LARGE; i++) {
        assert_int_equal(store_events(2, 1 + 2 * i), CMCWH_OK);
        assert_int_equal(read_right(log_reader, NULL), 2);
        acknowledge(log_reader);
    }
    disk.storage.write = NULL;
    assert_int_equal(open_ring_of(LARGE), CMCWH_OK);
    assert_int_equal(read_right(log_reader, &first), LARGE);
    assert_int_equal(first, LARGE + 1);
}

/* A server that goes on while somebody looks: between any two pieces that are read it may store
 * events, in places that the reading has passed, or has still before it. */
static struct {
    uint32_t piece, pause, burst, lag; /* after `pause` pieces it stores `burst` events each time */
    struct cmcwh_batch late;           /* takes its places now, and its numbers later */
} server;

static void serve_some(void) {
    struct cmcwh_record record;
    struct cmcwh_ring_state figures;

    for (uint32_t i = 0; i < server.burst; i++) {
        if (server.late.count > 0 && i % 5 == 4) {
            assert_true(batch_commit(&server.late, no_text, no_text) >= 0);
            assert_true(batch_confirm(&server.late) >= 0);
            server.late.count = 0;
        } else if (server.late.count == 0 && i % 7 == 3) {
            server.late = hold(2, 0);
        }
        assert_int_equal(store_events(1 + i % 3, 0), CMCWH_OK);
        cmcwh_ring_state(&ring, &figures);
        for (uint32_t n = server.lag; n < figures.behind[log_reader]; n++) {
            assert_int_equal(cmcwh_ring_read(&ring, log_reader, &record), 1);
        }
        acknowledge(log_reader);
    }
}

static int read_while_it_serves(void *context, uint64_t offset, void *bytes, size_t length) {
    enum { PIECE = 512 }; /* half a record */
    size_t done = 0;

    while (done < length) {
        size_t piece = length - done < PIECE ? length - done : PIECE;

        if (++server.piece % server.pause == 0) {
            serve_some();
        }
        assert_int_equal(disk.storage.read(context, offset + done, (uint8_t *)bytes + done, piece),
                         0);
        done += piece;
    }
    return 0;
}

/* All that somebody still has to get is there, and only of what was delivered some may be gone. */
static void look_at_it(void) {
    static struct cmcwh_record seen[LARGE];
    static uint32_t seen_links[LARGE];
    static struct cmcwh_ring view;
    struct cmcwh_storage storage = {.context = &disk, .read = read_while_it_serves};
    struct cmcwh_ring_config config = {
        .records = seen, .links = seen_links, .capacity = LARGE, .storage = &storage};
    struct cmcwh_recovery seen_of_it;
    struct cmcwh_record record;
    uint64_t before = ring.next_seq, next = 0;
    int reader;

    assert_int_equal(cmcwh_ring_open(&view, &config, &seen_of_it), CMCWH_OK);
    assert_int_equal(seen_of_it.damaged, 0);
    assert_true(seen_of_it.next_seq >= before && seen_of_it.low <= seen_of_it.next_seq);
    reader = cmcwh_ring_attach(&view, NULL, true);
    while (cmcwh_ring_read(&view, reader, &record) > 0) {
        uint64_t seq = event_of(&record).seq;

        assert_int_equal(cmcwh_record_check(&record), CMCWH_OK);
        assert_true(seq == next || (seq > next && seq <= seen_of_it.low));
        next = seq + 1;
    }
    assert_true(next == seen_of_it.next_seq || seen_of_it.low == seen_of_it.next_seq);
}

static void looking_at_a_ring_that_wraps(void **state) {
    (void)state;
    for (uint32_t pause = 1; pause < 140; pause += 1 + pause / 2) {
        for (uint32_t burst = 1; burst < 2 * LARGE; burst = 3 * burst + 1) {
            new_ring_of(LARGE);
            memset(&server, 0, sizeof server);
            server.pause = pause;
            server.burst = burst;
            server.lag = (pause + burst) % 40;
            serve_some();
            look_at_it();
        }
    }
}

/* Requests of the same moment share a sync, and keep their order. Those that wait while one of them
 * does the work are woken. */
static void group_commit(void **state) {
    struct cmcwh_batch batches[3];
    uint64_t syncs;
    unsigned before;

    (void)state;
    new_ring();
    syncs = disk.syncs;
    for (uint32_t i = 0; i < 3; i++) {
        batches[i] = hold(2, 1 + 2 * i);
        assert_int_equal(batch_commit(&batches[i], no_text, no_text), 2);
        assert_int_equal(read_right(log_reader, NULL), 0);
    }
    before = wakes;
    assert_int_equal(batch_confirm(&batches[1]), CMCWH_OK);
    assert_true(wakes > before);
    assert_int_equal(batch_confirm(&batches[0]), CMCWH_OK);
    assert_int_equal(batch_confirm(&batches[2]), CMCWH_OK);
    assert_int_equal(disk.syncs, syncs + 1);
    assert_int_equal(read_right(log_reader, NULL), 6);
}

/* A request that changes its mind between commit and confirm. */
static void aborted_before_it_is_written(void **state) {
    struct cmcwh_batch first, second;

    (void)state;
    new_ring();
    first = hold(3, 99);
    assert_int_equal(batch_commit(&first, no_text, no_text), 3);
    second = hold(2, 1);
    assert_int_equal(batch_commit(&second, no_text, no_text), 2);
    batch_abort(&first);
    assert_int_equal(batch_confirm(&second), CMCWH_OK);
    assert_int_equal(read_right(log_reader, NULL), 2);
    acknowledge(log_reader);
    assert_int_equal(store_events(CAPACITY, 3), CMCWH_OK);
}

/* ---- Damage ---- */

/* Every bit of a ring, one after the other: what can still be read is right, what cannot is said.
 */
static void a_bit_flipped_anywhere(void **state) {
    static uint8_t image[DISK_SIZE];
    static const uint32_t readers_place = 3;
    unsigned refused = 0, damaged = 0;

    (void)state;
    new_ring();
    assert_int_equal(store_events(4, 1), CMCWH_OK);
    (void)read_right(log_reader, NULL);
    acknowledge(log_reader);
    assert_int_equal(store_events(2, 5), CMCWH_OK);
    assert_int_equal(store_events(3, 7), CMCWH_OK);
    assert_int_equal(cmcwh_ring_flush(&ring), CMCWH_OK);
    assert_int_equal(open_ring(), CMCWH_OK); /* both copies of the state know all of it */
    assert_int_equal(cmcwh_ring_flush(&ring), CMCWH_OK);
    memcpy(image, disk.stable, disk.size);
    for (size_t bit = 0; bit < 8 * disk.size; bit++) {
        int result;
        uint32_t got;

        disk_load(&disk, image, disk.size);
        disk.now[bit / 8] ^= (uint8_t)(1 << bit % 8);
        result = open_ring();
        if (result < 0) {
            assert_int_equal(result, CMCWH_ERR_FORMAT);
            assert_true(bit / 8 < CMCWH_STORAGE_HEADER);
            refused++;
            continue;
        }
        got = read_right(log_reader, NULL);
        assert_int_equal(got + found.damaged, 2 + readers_place);
        assert_int_equal(found.next_seq, 10);
        damaged += found.damaged;
        if (found.damaged > 0) { /* and it goes on */
            acknowledge(log_reader);
            assert_int_equal(store_events(CAPACITY, 10), CMCWH_OK);
            assert_int_equal(read_right(log_reader, NULL), CAPACITY);
        }
    }
    assert_int_equal(refused, 8 * CMCWH_STORAGE_HEADER);
    assert_true(damaged > 8 * 5 * CMCWH_RECORD_HEADER);
}

/* Damage in the oldest record, while a reader stands still and the ring fills behind it. */
static void damage_keeps_its_number(void **state) {
    uint64_t first = 0;

    (void)state;
    new_ring();
    assert_int_equal(store_events(CAPACITY - 2, 1), CMCWH_OK);
    assert_int_equal(cmcwh_ring_flush(&ring), CMCWH_OK);
    for (int at = 0; at < 3; at++) {
        disk.now[3 * BLOCK + (size_t)at * 2 * CMCWH_RECORD_SIZE + 90] ^= 4;
    }
    for (uint32_t restart = 0; restart < 3; restart++) {
        assert_int_equal(open_ring(), CMCWH_OK);
        assert_int_equal(found.damaged, 3);
        assert_int_equal(found.kept, CAPACITY - 5 + restart);
        if (restart < 2) {
            assert_int_equal(store_events(1, CAPACITY - 1 + restart), CMCWH_OK);
        }
    }
    assert_int_equal(read_right(log_reader, &first), CAPACITY - 3);
    acknowledge(log_reader);
    assert_int_equal(store_events(CAPACITY, CAPACITY + 1), CMCWH_OK);
    assert_int_equal(open_ring(), CMCWH_OK);
    assert_int_equal(found.damaged, 0);
    assert_int_equal(read_right(log_reader, &first), CAPACITY);
    assert_int_equal(first, CAPACITY + 1);
}

/* All that is left is damaged: the reader goes past it by itself. */
static void nothing_but_damage(void **state) {
    struct cmcwh_ring_state figures;

    (void)state;
    new_ring();
    assert_int_equal(store_events(2, 1), CMCWH_OK);
    assert_int_equal(cmcwh_ring_flush(&ring), CMCWH_OK);
    disk.now[3 * BLOCK + 85] ^= 1;
    disk.now[3 * BLOCK + CMCWH_RECORD_SIZE + 9] ^= 1;
    assert_int_equal(open_ring(), CMCWH_OK);
    assert_int_equal(found.damaged, 2);
    assert_int_equal(read_right(log_reader, NULL), 0);
    cmcwh_ring_state(&ring, &figures);
    assert_int_equal(figures.behind[log_reader], 0);
    assert_int_equal(store_events(1, 3), CMCWH_OK);
    assert_int_equal(read_right(log_reader, NULL), 1);
}

/* A request that was dropped must not come back because a torn write of another one, with the same
 * numbers, fills in what its own torn write had lacked. */
static void what_was_dropped_stays_away(void **state) {
    uint8_t *slot = disk.now + 3 * BLOCK;
    static uint8_t torn[CMCWH_RECORD_SIZE];

    (void)state;
    for (int first_bytes = 1; first_bytes <= 16; first_bytes++) {
        new_ring();
        assert_int_equal(store_events(1, 77), CMCWH_OK);
        memcpy(torn, slot, sizeof torn);
        new_ring();
        memcpy(slot, torn, sizeof torn);
        memset(slot, 0, (size_t)first_bytes);
        assert_int_equal(open_ring(), CMCWH_OK);
        assert_int_equal(found.next_seq, 1);
        memcpy(slot, torn, (size_t)first_bytes); /* the head of another seq 1 */
        assert_int_equal(open_ring(), CMCWH_OK);
        assert_int_equal(found.next_seq, 1);
        assert_int_equal(read_right(log_reader, NULL), 0);
    }
}

/* Numbers that nothing ours would have written: no crash, no loop. */
static void forged_images(void **state) {
    uint64_t random = 7;
    static uint8_t image[DISK_SIZE];

    (void)state;
    new_ring();
    assert_int_equal(store_events(CAPACITY, 1), CMCWH_OK);
    memcpy(image, disk.now, disk.size);
    for (int round = 0; round < 2000; round++) {
        disk_load(&disk, image, disk.size);
        for (uint32_t i = 0; i < CAPACITY;
             i++) { /* whole records in wrong places, twice, or far off */
            uint32_t from = below(&random, CAPACITY);

            memcpy(disk.now + 3 * BLOCK + i * CMCWH_RECORD_SIZE,
                   image + 3 * BLOCK + from * CMCWH_RECORD_SIZE, CMCWH_RECORD_SIZE);
        }
        assert_int_equal(open_ring(), CMCWH_OK);
        assert_int_equal(read_right(log_reader, NULL), found.kept);
        acknowledge(log_reader);
        assert_int_equal(store_events(CAPACITY, (uint32_t)found.next_seq), CMCWH_OK);
        assert_int_equal(read_right(log_reader, NULL), CAPACITY);
    }
}

/* ---- Failing calls ---- */

/* The n-th call fails, and `count` in all, for every n: what was refused is never read, what was
 * acknowledged always is, and when the storage works again, so does the ring. */
static bool fail_from(uint64_t n, uint64_t count) {
    uint32_t seq = 1, refused = 0;
    uint64_t first = 0, calls;

    new_ring();
    calls = disk.calls;
    disk.random = n;
    disk.fail_at = calls + n;
    disk.fail_count = count;
    for (uint32_t round = 0; round < 12; round++) {
        uint32_t size = 1 + round % 2;

        ticks += 40000;
        if (store_events(size, seq) == CMCWH_OK) {
            seq += size;
        } else {
            refused++;
        }
        if (round % 4 == 3) {
            (void)read_right(log_reader, NULL);
            acknowledge(log_reader);
            (void)cmcwh_ring_flush(&ring);
        }
    }
    if (disk.calls < disk.fail_at) {
        return false;
    }
    disk.fail_at = 0;
    ticks += 40000;
    assert_int_equal(store_events(1, seq++), CMCWH_OK);
    assert_int_equal(read_right(log_reader, &first), 1);
    assert_int_equal(open_ring(), CMCWH_OK);
    assert_int_equal(found.damaged + found.dropped, 0);
    assert_int_equal(found.next_seq, seq);
    assert_true(read_right(log_reader, &first) >= 1);
    assert_true(refused <= count);
    return true;
}

static void every_call_fails_once(void **state) {
    uint64_t n = 1;

    (void)state;
    while (fail_from(n, 1)) {
        n++;
    }
    assert_true(n > 30);
}

static void every_call_fails_for_a_while(void **state) {
    uint64_t n = 1;

    (void)state;
    for (uint64_t count = 2; count < 12; count += 3) {
        for (n = 1; fail_from(n, count); n++) {
        }
    }
    assert_true(n > 30);
}

static void check_refused_is_gone(const uint8_t *image) {
    static struct disk kept;

    kept = disk;
    disk_load(&disk, image, disk.size);
    assert_int_equal(open_ring(), CMCWH_OK);
    assert_int_equal(found.next_seq, 2);
    assert_int_equal(read_right(log_reader, NULL), 1);
    disk = kept;
}

/* Once the refusal is said, and the storage works again, no power cut brings the request back. */
static void refused_is_gone(void **state) {
    uint64_t random = 3;
    uint64_t n;

    (void)state;
    for (n = 1;; n++) {
        new_ring();
        assert_int_equal(store_events(1, 1), CMCWH_OK);
        disk.fail_at = disk.calls + n;
        disk.fail_count = 1;
        if (store_events(2, 66) == CMCWH_OK) {
            break;
        }
        (void)disk_cuts(&disk, &random, check_refused_is_gone);
    }
    assert_true(n > 3);
}

/* Opening fails at every call of its own, and works when asked again. */
static void opening_fails(void **state) {
    static uint8_t image[DISK_SIZE];
    uint64_t n;

    (void)state;
    new_ring();
    assert_int_equal(store_events(3, 1), CMCWH_OK);
    disk.now[3 * BLOCK + 90] ^= 1; /* dropped, so that there is something to write */
    memcpy(image, disk.now, disk.size);
    for (n = 1;; n++) {
        disk_load(&disk, image, disk.size);
        disk.fail_at = n;
        disk.fail_count = 1;
        if (open_ring() == CMCWH_OK) {
            break;
        }
        disk.fail_at = 0;
        assert_int_equal(open_ring(), CMCWH_OK);
        assert_int_equal(found.next_seq, 1);
        assert_int_equal(read_right(log_reader, NULL), 0);
    }
    assert_true(n > 3);
}

static struct cmcwh_batch behind;

static void commit_late(struct disk *failing) {
    failing->cut = NULL;
    assert_int_equal(batch_commit(&behind, no_text, no_text), 1);
}

/* A request that came while another one's write failed: it is refused at once, not tried. */
static void refused_with_the_one_before(void **state) {
    struct cmcwh_batch first;
    uint64_t calls;

    (void)state;
    new_ring();
    behind = hold(1, 99);
    first = hold(1, 98);
    assert_int_equal(batch_commit(&first, no_text, no_text), 1);
    disk.cut = commit_late;
    disk.fail_at = disk.calls + 1;
    disk.fail_count = 1;
    assert_int_equal(batch_confirm(&first), CMCWH_ERR_STORAGE);
    calls = disk.calls;
    assert_int_equal(batch_confirm(&behind), CMCWH_ERR_STORAGE);
    assert_int_equal(disk.calls, calls);
    batch_abort(&first);
    batch_abort(&behind);
    ticks += 1000;
    assert_int_equal(store_events(2, 1), CMCWH_OK);
    assert_int_equal(read_right(log_reader, NULL), 2);
}

static struct cmcwh_batch written; /* at that moment */
static unsigned called;

static void count_call(void *context) {
    (void)context;
    called++;
}

static void ask_late(struct disk *disk_in_use) {
    disk_in_use->cut = NULL;
    assert_int_equal(batch_commit(&behind, no_text, no_text), 1);
    assert_int_equal(batch_confirm(&behind), CMCWH_PENDING);
    assert_int_equal(called, 0);
}

/* A request that came while another one was written, and does not wait: it is called to go on. */
static void called_when_the_storage_is_free(void **state) {
    (void)state;
    new_ring();
    called = 0;
    behind = hold(1, 2);
    behind.settled = count_call;
    written = hold(1, 1);
    assert_int_equal(batch_commit(&written, no_text, no_text), 1);
    disk.cut = ask_late;
    assert_int_equal(batch_confirm(&written), CMCWH_OK);
    assert_int_equal(called, 1);
    assert_int_equal(batch_confirm(&behind), CMCWH_OK);
    assert_int_equal(called, 1);
    assert_int_equal(read_right(log_reader, NULL), 2);
}

static struct cmcwh_batch last;

static void ask_both_late(struct disk *disk_in_use) {
    ask_late(disk_in_use);
    assert_int_equal(batch_commit(&last, no_text, no_text), 1);
    assert_int_equal(batch_confirm(&last), CMCWH_PENDING);
}

/* Whoever was called to go on, and is given up instead, leaves it to the next. */
static void given_up_when_called(void **state) {
    (void)state;
    new_ring();
    called = 0;
    behind = hold(1, 99);
    last = hold(1, 2);
    behind.settled = last.settled = count_call;
    written = hold(1, 1);
    assert_int_equal(batch_commit(&written, no_text, no_text), 1);
    disk.cut = ask_both_late;
    assert_int_equal(batch_confirm(&written), CMCWH_OK);
    assert_int_equal(called, 1);
    batch_abort(&behind);
    assert_int_equal(called, 2);
    assert_int_equal(batch_confirm(&last), CMCWH_OK);
    assert_int_equal(called, 2);
    assert_int_equal(read_right(log_reader, NULL), 2);
}

static void lose_patience(struct disk *disk_in_use) {
    disk_in_use->cut = NULL;
    assert_int_equal(batch_commit(&behind, no_text, no_text), 1);
    ticks += 99;
    assert_int_equal(batch_confirm(&behind), CMCWH_PENDING);
    ticks++;
    assert_int_equal(batch_confirm(&behind), CMCWH_ERR_STORAGE);
    batch_abort(&behind);
    assert_int_equal(batch_confirm(&written), CMCWH_PENDING); /* who knows what is there? */
}

/* A storage that takes its time is waited for so long, unless it is just writing the events. */
static void waiting_has_an_end(void **state) {
    (void)state;
    new_ring();
    ring.config.confirm_wait = 100;
    behind = hold(1, 99);
    written = hold(1, 1);
    assert_int_equal(batch_commit(&written, no_text, no_text), 1);
    disk.cut = lose_patience;
    assert_int_equal(batch_confirm(&written), CMCWH_OK);
    assert_int_equal(read_right(log_reader, NULL), 1);
    acknowledge(log_reader);
    assert_int_equal(store_events(CAPACITY, 2), CMCWH_OK);
}

static unsigned reads_left;

static int read_some(void *context, uint64_t offset, void *bytes, size_t length) {
    if (reads_left == 0) {
        return -1;
    }
    reads_left--;
    memcpy(bytes, ((struct disk *)context)->now + offset, length);
    return 0;
}

/* Header, both states, records: whichever cannot be read, nothing is opened. */
static void reading_fails(void **state) {
    const unsigned all = 3 + (CAPACITY + READ_AHEAD - 1) / READ_AHEAD;

    (void)state;
    new_ring();
    disk.storage.read = read_some;
    for (unsigned reads = 0; reads < all; reads++) {
        reads_left = reads;
        assert_int_equal(open_ring(), CMCWH_ERR_STORAGE);
    }
    reads_left = all;
    assert_int_equal(open_ring(), CMCWH_OK);
}

/* In the place of an acknowledged record stands one of a number that is yet to come. It must be
 * gone for good when that number has been given to another. */
static void a_later_number_in_the_wrong_place(void **state) {
    static uint8_t later[CMCWH_RECORD_SIZE], image[DISK_SIZE];
    uint8_t *slot = disk.now + 3 * BLOCK;
    int result;

    (void)state;
    new_ring();
    assert_int_equal(store_events(CAPACITY, 1), CMCWH_OK);
    (void)read_right(log_reader, NULL);
    acknowledge(log_reader);
    assert_int_equal(store_events(3, 9), CMCWH_OK);
    memcpy(later, slot + 2 * CMCWH_RECORD_SIZE, sizeof later); /* seq 11 */
    new_ring();
    assert_int_equal(store_events(1, 1), CMCWH_OK);
    assert_int_equal(store_events(2, 2), CMCWH_OK); /* the state knows of the first now */
    memcpy(slot, later, sizeof later);
    memcpy(image, disk.now, disk.size);
    for (uint64_t n = 1;; n++) {
        disk_load(&disk, image, disk.size);
        disk.fail_at = n;
        disk.fail_count = 1;
        result = open_ring();
        disk.fail_at = 0;
        if (result == CMCWH_OK) {
            assert_true(n > 1);
            break;
        }
        assert_int_equal(result, CMCWH_ERR_STORAGE);
    }
    assert_int_equal(found.damaged, 1);
    assert_int_equal(found.next_seq, 4);
    assert_int_equal(read_right(log_reader, NULL), 2);
    acknowledge(log_reader);
    assert_int_equal(store_events(1, 4), CMCWH_OK);
    assert_int_equal(open_ring(), CMCWH_OK);
    assert_int_equal(found.dropped + found.damaged, 0);
    assert_int_equal(found.next_seq, 5);
    disk_load(&disk, image, disk.size); /* and whoever only looks is not shown it */
    disk.storage.write = NULL;
    assert_int_equal(open_ring(), CMCWH_OK);
    assert_int_equal(read_right(log_reader, NULL), 2);
}

/* While it fails, requests are refused at once, for longer and longer. */
static void pauses_grow(void **state) {
    struct cmcwh_ring_state figures;
    uint32_t pause = 100;
    uint64_t calls;

    (void)state;
    new_ring();
    disk.fail_at = 1;
    disk.fail_count = 1000000;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(store_events(1, 1), CMCWH_ERR_STORAGE);
        cmcwh_ring_state(&ring, &figures);
        assert_int_equal(figures.retry, pause);
        calls = disk.calls;
        ticks += pause - 1;
        assert_int_equal(store_events(1, 1), CMCWH_ERR_STORAGE);
        assert_int_equal(disk.calls, calls);
        ticks++;
        pause = pause < 15000 ? 2 * pause : 30000;
    }
    cmcwh_ring_state(&ring, &figures);
    assert_true(figures.in_use <= CAPACITY);
    disk.fail_at = 0;
    assert_int_equal(store_events(CAPACITY, 1), CMCWH_OK);
    assert_int_equal(read_right(log_reader, NULL), CAPACITY);
}

/* Storage that needs no sync, such as FRAM. */
static void without_sync(void **state) {
    (void)state;
    new_ring();
    disk.storage.sync = NULL;
    assert_int_equal(open_ring(), CMCWH_OK);
    disk.storage.sync = NULL;
    for (uint32_t seq = 1; seq < 50; seq++) {
        assert_int_equal(store_events(1, seq), CMCWH_OK);
        assert_int_equal(read_right(log_reader, NULL), 1);
        acknowledge(log_reader);
    }
    assert_int_equal(open_ring(), CMCWH_OK);
    assert_int_equal(found.next_seq, 50);
    assert_int_equal(found.kept, 0);
}

/* What is in the memory that a ring is given does not matter, wherever it has no event. */
static void memory_of_any_content(void **state) {
    (void)state;
    for (unsigned garbage = 0; garbage < 256; garbage += 51) {
        new_ring_of(LARGE);
        for (uint32_t seq = 1; seq <= 20; seq += 4) {
            assert_int_equal(store_events(4, seq), CMCWH_OK);
        }
        memset(records, (int)garbage, sizeof records);
        memset(links, (int)garbage, sizeof links);
        assert_int_equal(open_ring_of(LARGE), CMCWH_OK);
        assert_int_equal(found.kept, 20);
        assert_int_equal(read_right(log_reader, NULL), 20);
        for (uint32_t seq = 21; seq <= LARGE; seq++) {
            assert_int_equal(store_events(1, seq), CMCWH_OK);
        }
        assert_int_equal(store_events(1, LARGE + 1), CMCWH_ERR_FULL);
        assert_int_equal(read_right(log_reader, NULL), LARGE - 20);
        assert_int_equal(open_ring_of(LARGE), CMCWH_OK);
        assert_int_equal(read_right(log_reader, NULL), LARGE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_formats),
        cmocka_unit_test(other_rings_are_refused),
        cmocka_unit_test(bad_configs),
        cmocka_unit_test(layout),
        cmocka_unit_test(goes_on_after_a_restart),
        cmocka_unit_test(two_readers_of_one_name),
        cmocka_unit_test(places_of_readers_that_are_gone),
        cmocka_unit_test(wraps_for_long),
        cmocka_unit_test(a_full_ring),
        cmocka_unit_test(looking_at_a_ring),
        cmocka_unit_test(looking_at_all_that_a_ring_holds),
        cmocka_unit_test(looking_at_a_ring_that_wraps),
        cmocka_unit_test(group_commit),
        cmocka_unit_test(aborted_before_it_is_written),
        cmocka_unit_test(a_bit_flipped_anywhere),
        cmocka_unit_test(damage_keeps_its_number),
        cmocka_unit_test(nothing_but_damage),
        cmocka_unit_test(what_was_dropped_stays_away),
        cmocka_unit_test(forged_images),
        cmocka_unit_test(every_call_fails_once),
        cmocka_unit_test(every_call_fails_for_a_while),
        cmocka_unit_test(refused_is_gone),
        cmocka_unit_test(opening_fails),
        cmocka_unit_test(refused_with_the_one_before),
        cmocka_unit_test(called_when_the_storage_is_free),
        cmocka_unit_test(given_up_when_called),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(reading_fails),
        cmocka_unit_test(a_later_number_in_the_wrong_place),
        cmocka_unit_test(pauses_grow),
        cmocka_unit_test(without_sync),
        cmocka_unit_test(memory_of_any_content),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
