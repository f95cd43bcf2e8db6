/* A ring on a storage that somebody has changed. The input is edits of a good image, of four bytes
 * each; the last byte tells which CRCs are put right, so that the edits get past them. Whatever is
 * opened gives records that are whole, each once and in order, takes new events and keeps them. */
#include "cmcwh.c"

#include "fuzz.h"

enum {
    CAPACITY = 8,
    BLOCK = 256,
    BODIES = 3 * BLOCK,
    SIZE = BODIES + CAPACITY * CMCWH_RECORD_SIZE
};

static uint8_t image[SIZE], base[SIZE];

static int image_read(void *context, uint64_t offset, void *bytes, size_t length) {
    (void)context;
    if (offset > SIZE || length > SIZE - offset) {
        return -1; /* the header says that there is more */
    }
    memcpy(bytes, image + offset, length);
    return 0;
}

static int image_write(void *context, uint64_t offset, const void *bytes, size_t length) {
    (void)context;
    if (offset > SIZE || length > SIZE - offset) {
        return -1;
    }
    memcpy(image + offset, bytes, length);
    return 0;
}

static int image_sync(void *context) {
    (void)context;
    return 0;
}

static const struct cmcwh_storage storage = {
    .read = image_read, .write = image_write, .sync = image_sync};

static struct cmcwh_ring ring;
static int reader;

static int open_ring(struct cmcwh_recovery *found) {
    static struct cmcwh_record records[CAPACITY];
    static uint32_t links[CAPACITY];
    struct cmcwh_ring_config config = {
        .records = records, .links = links, .capacity = CAPACITY, .storage = &storage};
    int result = cmcwh_ring_open(&ring, &config, found);

    if (result == CMCWH_OK) {
        reader = cmcwh_ring_attach(&ring, "sink", true);
        MUST(reader >= 0);
    }
    return result;
}

/* A request of `count` events; how many were taken, or an error. */
static int post(unsigned count) {
    static struct cmcwh_batch batch; /* an analyzer cannot tell that the ring lets it go */
    struct cmcwh_record *record;
    struct cmcwh_draft draft;
    int result;

    batch_begin(&batch, &ring);
    for (unsigned i = 0; i < count; i++) {
        record = batch_add(&batch);
        if (record == NULL) {
            batch_abort(&batch);
            return CMCWH_ERR_FULL;
        }
        draft_begin(&draft, record, CMCWH_BOUNCES);
        draft_text(&draft, CMCWH_TO, (struct cmcwh_text){"user@example.jp", 15});
        draft_close(&draft);
    }
    result = batch_commit(&batch, (struct cmcwh_text){"pro", 3}, (struct cmcwh_text){0});
    return result < 0 ? result : batch_confirm(&batch) < 0 ? CMCWH_ERR_STORAGE : result;
}

/* All that is there, in order; the last seq, 0 when there is nothing. */
static uint64_t read_all(unsigned *count) {
    struct cmcwh_record record;
    struct cmcwh_event event;
    uint64_t last = 0;

    for (*count = 0; cmcwh_ring_read(&ring, reader, &record) > 0; (*count)++) {
        fuzz_check_record(&record, false);
        cmcwh_record_read(&record, &event);
        MUST(event.seq > last);
        last = event.seq;
        MUST(*count < CAPACITY);
    }
    return last;
}

static void make_base(void) {
    struct cmcwh_geometry geometry = {.records = CAPACITY, .block = BLOCK};
    struct cmcwh_recovery found;
    unsigned count;

    MUST(cmcwh_storage_format(&storage, &geometry) == CMCWH_OK && geometry.size == SIZE);
    MUST(open_ring(&found) == CMCWH_OK);
    MUST(post(3) == 3 && post(2) == 2);
    (void)read_all(&count);
    MUST(cmcwh_ring_acknowledge(&ring, reader) == CMCWH_OK);
    MUST(post(2) == 2 && post(1) == 1 && post(3) == 3); /* goes round */
    MUST(cmcwh_ring_flush(&ring) == CMCWH_OK);
    memcpy(base, image, SIZE);
}

static void put_crc(uint8_t *bytes, size_t length) {
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        bytes[length + i] = (uint8_t)(~crc >> (8 * i));
    }
}

static void repair(unsigned which) {
    if (which & 1) {
        put_crc(image, CMCWH_STORAGE_HEADER - 4);
    }
    for (unsigned copy = 1; copy <= 2; copy++) {
        if (which >> copy & 1) {
            put_crc(image + copy * BLOCK, CMCWH_STATE_SIZE - 4);
        }
    }
    for (size_t i = 0; which & 8 && i < CAPACITY; i++) {
        uint8_t *record = image + BODIES + i * CMCWH_RECORD_SIZE;
        size_t length = record[28] | (size_t)record[29] << 8;

        if (length >= CMCWH_RECORD_HEADER + 4 && length <= CMCWH_RECORD_SIZE) {
            put_crc(record, length - 4);
        }
    }
}

static void edit(const uint8_t *op) {
    size_t to = (size_t)op[1] % CAPACITY, from = (size_t)op[2] % CAPACITY;
    uint8_t *records = image + BODIES;

    switch (op[0] % 8) {
    case 0: /* a whole record in another's place */
        memmove(records + to * CMCWH_RECORD_SIZE, records + from * CMCWH_RECORD_SIZE,
                CMCWH_RECORD_SIZE);
        break;
    case 1: /* none */
        memset(records + to * CMCWH_RECORD_SIZE, op[2], CMCWH_RECORD_SIZE);
        break;
    case 2: /* a byte of a record's header */
        records[to * CMCWH_RECORD_SIZE + op[2] % CMCWH_RECORD_HEADER] = op[3];
        break;
    case 3: /* a byte of a state */
        image[(1 + op[1] % 2) * BLOCK + op[2] % CMCWH_STATE_SIZE] = op[3];
        break;
    case 4: /* a byte of the header */
        image[op[2] % CMCWH_STORAGE_HEADER] = op[3];
        break;
    case 5: /* one state for both */
        memcpy(image + (1 + op[1] % 2) * BLOCK, image + (2 - op[1] % 2) * BLOCK, BLOCK);
        break;
    default: /* any byte */
        image[(op[1] << 8 | op[2]) % SIZE] = op[3];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct cmcwh_recovery found;
    unsigned count = 0, more = 0;
    uint64_t last;
    int result;

    if (base[0] == 0) {
        make_base();
    }
    memcpy(image, base, SIZE);
    for (size_t at = 0; at + 4 < length; at += 4) {
        edit(bytes + at);
    }
    repair(length > 0 ? bytes[length - 1] : 0);
    result = open_ring(&found);
    if (result != CMCWH_OK) { /* the header may also name another capacity, or more than there is */
        MUST(result == CMCWH_ERR_ARGUMENT || result == CMCWH_ERR_STORAGE ||
             (result == CMCWH_ERR_FORMAT && found.why != NULL));
        return 0;
    }
    last = read_all(&count);
    MUST(count <= found.kept);
    MUST(cmcwh_ring_acknowledge(&ring, reader) == CMCWH_OK);
    MUST(last < found.next_seq);
    MUST(post(2) == 2);
    MUST(cmcwh_ring_flush(&ring) == CMCWH_OK);
    MUST(open_ring(&found) == CMCWH_OK); /* what was wrong has been put right */
    last = read_all(&more);
    MUST(more == 2 && last == found.next_seq - 1 && found.damaged == 0 && found.dropped == 0);
    return 0;
}
