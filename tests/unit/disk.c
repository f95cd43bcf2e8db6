#include "disk.h"

#include <string.h>

static bool fails(struct disk *disk) {
    disk->calls++;
    return disk->fail_at != 0 && disk->calls >= disk->fail_at &&
           disk->calls < disk->fail_at + disk->fail_count;
}

static void power(struct disk *disk) {
    if (disk->cut != NULL) {
        disk->cut(disk);
    }
}

static int disk_read(void *context, uint64_t offset, void *bytes, size_t length) {
    struct disk *disk = context;

    assert_true(offset + length <= disk->size);
    memcpy(bytes, disk->now + offset, length);
    return 0;
}

static int disk_write(void *context, uint64_t offset, const void *bytes, size_t length) {
    struct disk *disk = context;
    bool failed;

    power(disk);
    failed = fails(disk);
    if (failed) {
        length = below(&disk->random, (uint32_t)length + 1);
    }
    assert_true(offset + length <= disk->size);
    memcpy(disk->now + offset, bytes, length);
    if (disk->forgets) {
        return failed ? -1 : 0;
    }
    assert_true(disk->written < DISK_WRITES && disk->log_used + length <= sizeof disk->log);
    memcpy(disk->log + disk->log_used, bytes, length);
    disk->writes[disk->written++] = (struct disk_write){(size_t)offset, length};
    disk->log_used += length;
    power(disk);
    return failed ? -1 : 0;
}

static int disk_sync(void *context) {
    struct disk *disk = context;

    power(disk);
    if (fails(disk)) {
        return -1; /* what was written may still be lost */
    }
    memcpy(disk->stable, disk->now, disk->size);
    disk->written = 0;
    disk->log_used = 0;
    disk->syncs++;
    power(disk);
    return 0;
}

void disk_init(struct disk *disk, size_t size) {
    assert_true(size <= DISK_SIZE);
    memset(disk, 0, sizeof *disk);
    disk->size = size;
    disk->random = 1;
    disk->storage = (struct cmcwh_storage){disk, disk_read, disk_write, disk_sync};
}

void disk_load(struct disk *disk, const uint8_t *image, size_t size) {
    disk_init(disk, size);
    memcpy(disk->now, image, size);
    memcpy(disk->stable, image, size);
}

/* ---- Images ---- */

struct images {
    const struct disk *disk;
    uint8_t image[DISK_SIZE];
    void (*check)(const uint8_t *image);
    unsigned count;
};

static void begin(struct images *images) {
    memcpy(images->image, images->disk->stable, images->disk->size);
}

static void check(struct images *images) {
    images->check(images->image);
    images->count++;
}

static const uint8_t *bytes_of(const struct disk *disk, size_t index) {
    const uint8_t *at = disk->log;

    for (size_t i = 0; i < index; i++) {
        at += disk->writes[i].length;
    }
    return at;
}

static void apply(struct images *images, size_t index) {
    const struct disk_write *write = &images->disk->writes[index];

    memcpy(images->image + write->offset, bytes_of(images->disk, index), write->length);
}

static void whole_writes(struct images *images) {
    size_t count = images->disk->written;

    for (size_t i = 0; i <= count; i++) { /* the first i, the last i: none and all among them */
        begin(images);
        for (size_t k = 0; k < i; k++) {
            apply(images, k);
        }
        check(images);
        begin(images);
        for (size_t k = count - i; k < count; k++) {
            apply(images, k);
        }
        check(images);
    }
    for (size_t i = 0; i < count; i++) { /* one alone, all but one */
        begin(images);
        apply(images, i);
        check(images);
        begin(images);
        for (size_t k = 0; k < count; k++) {
            if (k != i) {
                apply(images, k);
            }
        }
        check(images);
    }
}

static void torn_writes(struct images *images, uint64_t *random) {
    for (size_t i = 0; i < images->disk->written; i++) {
        const struct disk_write *write = &images->disk->writes[i];
        size_t cut = below(random, (uint32_t)write->length + 1);
        size_t end = cut + below(random, (uint32_t)(write->length - cut) + 1);

        for (int garbage = 0; garbage < 2; garbage++) {
            begin(images);
            for (size_t k = 0; k < images->disk->written; k++) {
                if (k != i) {
                    apply(images, k);
                }
            }
            memcpy(images->image + write->offset, bytes_of(images->disk, i), cut);
            for (size_t k = cut; garbage && k < end; k++) {
                images->image[write->offset + k] = (uint8_t)next_random(random);
            }
            check(images);
        }
    }
}

/* The pages that writes have touched. */
static size_t touched(const struct disk *disk, uint16_t *pages) {
    static bool seen[DISK_SIZE / DISK_PAGE];
    size_t count = 0;

    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < disk->written; i++) {
        const struct disk_write *write = &disk->writes[i];

        for (size_t page = write->offset / DISK_PAGE;
             write->length > 0 && page <= (write->offset + write->length - 1) / DISK_PAGE; page++) {
            if (!seen[page]) {
                seen[page] = true;
                pages[count++] = (uint16_t)page;
            }
        }
    }
    return count;
}

static void take_page(struct images *images, size_t page) {
    memcpy(images->image + page * DISK_PAGE, images->disk->now + page * DISK_PAGE, DISK_PAGE);
}

static void drop_page(struct images *images, size_t page) {
    memcpy(images->image + page * DISK_PAGE, images->disk->stable + page * DISK_PAGE, DISK_PAGE);
}

static void whole_pages(struct images *images, uint64_t *random) {
    uint16_t pages[DISK_SIZE / DISK_PAGE];
    size_t count = touched(images->disk, pages);
    unsigned sets = count <= 7 ? 1u << count : 16;

    for (unsigned set = 0; set < sets; set++) {
        uint64_t chosen = count <= 7 ? set : next_random(random);

        begin(images);
        for (size_t i = 0; i < count; i++) {
            if (chosen >> (i % 64) & 1) {
                take_page(images, pages[i]);
            }
        }
        check(images);
    }
    for (size_t i = 0; count > 7 && i < count; i++) {
        begin(images);
        take_page(images, pages[i]);
        check(images);
        memcpy(images->image, images->disk->now, images->disk->size);
        drop_page(images, pages[i]);
        check(images);
    }
}

unsigned disk_cuts(const struct disk *disk, uint64_t *random,
                   void (*check_image)(const uint8_t *)) {
    struct images images = {.disk = disk, .check = check_image};

    whole_writes(&images);
    torn_writes(&images, random);
    whole_pages(&images, random);
    return images.count;
}
