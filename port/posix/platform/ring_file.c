/* A ring in a file. A new one is made under another name, so that half a ring is never found. Not
 * here: what is in it (cmcwh.c). */
#include "platform/ring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/descriptor.h"
#include "platform/given.h"
#include "platform/log.h"
#include "platform/platform.h"

/* Parts that are written apart from each other share no page. */
enum { BLOCK = 4096 };

static const char MAGIC[] = "CMCWRING"; /* how one begins */

/* ---- Does it hang? ---- */

static uint32_t odd_ticks(void) {
    return (uint32_t)platform_ticks() | 1;
}

/* A call of the system begins. */
static void begin(struct ring_file *file) {
    __atomic_store_n(&file->begun, odd_ticks(), __ATOMIC_RELAXED);
}

/* It has returned, and errno is what it said. */
static void end(struct ring_file *file) {
    int error = errno;

    __atomic_store_n(&file->begun, 0, __ATOMIC_RELAXED);
    if (__atomic_exchange_n(&file->hangs, false, __ATOMIC_RELAXED)) {
        log_line(CMCWH_LOG_INFO, "ring '%s': its storage answers again", file->path);
    }
    errno = error;
}

void ring_file_watch(struct ring_file *file, uint32_t ms) {
    uint32_t begun = __atomic_load_n(&file->begun, __ATOMIC_RELAXED), passed = odd_ticks() - begun;

    /* More would be of a call that has just begun. */
    if (begun != 0 && passed >= ms && passed <= INT32_MAX &&
        !__atomic_exchange_n(&file->hangs, true, __ATOMIC_RELAXED)) {
        log_line(CMCWH_LOG_ERROR,
                 "ring '%s': its storage hangs: a call of the system has not returned for %" PRIu32
                 " s; requests get 503",
                 file->path, passed / 1000);
    }
}

bool ring_file_fails(const struct ring_file *file) {
    return __atomic_load_n(&file->fails, __ATOMIC_RELAXED) ||
           (__atomic_load_n(&file->hangs, __ATOMIC_RELAXED) &&
            __atomic_load_n(&file->begun, __ATOMIC_RELAXED) != 0);
}

/* ---- What the ring calls ---- */

/* Says a failure once, and its end. Returns `result`. */
static int note(struct ring_file *file, const char *what, int result) {
    if (result < 0 && file->failing == 0) {
        log_line(CMCWH_LOG_ERROR, "ring '%s': cannot be %s: %s; requests get 503", file->path, what,
                 errno == ENOENT ? "it was deleted, and a restart makes a new one"
                                 : strerror(errno));
        file->failing = platform_ticks();
        __atomic_store_n(&file->fails, true, __ATOMIC_RELAXED);
    }
    if (result < 0) {
        (void)__atomic_fetch_add(&file->faults, 1, __ATOMIC_RELAXED);
    }
    return result;
}

/* What is in a file without a name is gone with the process. */
static int named(const struct ring_file *file) {
    struct stat status;

    if (fstat(file->descriptor, &status) == 0 && status.st_nlink == 0) {
        errno = ENOENT;
        return -1;
    }
    return 0;
}

static void works(struct ring_file *file) {
    if (file->failing != 0) {
        uint64_t failed = platform_ticks() - file->failing;

        log_line(CMCWH_LOG_INFO, "ring '%s': works again after %" PRIu64 ".%u s", file->path,
                 failed / 1000, (unsigned)(failed % 1000 / 100));
        file->failing = 0;
        __atomic_store_n(&file->fails, false, __ATOMIC_RELAXED);
    }
}

static int file_read(void *context, uint64_t offset, void *bytes, size_t length) {
    const struct ring_file *file = context;
    char *to = bytes;

    while (length > 0) {
        ssize_t got = pread(file->descriptor, to, length, (off_t)offset);

        if (got > 0) {
            to += got;
            offset += (uint64_t)got;
            length -= (size_t)got;
        } else if (got == 0) {
            errno = ENODATA;
            return -1;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

static int write_all(int descriptor, uint64_t offset, const void *bytes, size_t length) {
    const char *from = bytes;

    while (length > 0) {
        ssize_t written = pwrite(descriptor, from, length, (off_t)offset);

        if (written > 0) {
            from += written;
            offset += (uint64_t)written;
            length -= (size_t)written;
        } else if (written == 0 || errno != EINTR) {
            errno = written == 0 ? EIO : errno;
            return -1;
        }
    }
    return 0;
}

static int file_write(void *context, uint64_t offset, const void *bytes, size_t length) {
    struct ring_file *file = context;
    int result;

    begin(file);
    result = write_all(file->descriptor, offset, bytes, length);
    end(file);
    if (result >= 0 && file->storage.sync == NULL) { /* nothing asks later */
        result = named(file);
        if (result >= 0) {
            works(file);
        }
    }
    return note(file, "written", result);
}

static int file_sync(void *context) {
    struct ring_file *file = context;
    uint64_t start = platform_microseconds();
    int synced, result;
    uint32_t took;

    begin(file);
    synced = descriptor_sync(file->descriptor);
    end(file);
    result = note(file, "synced", synced == 0 ? named(file) : synced);
    took = (uint32_t)(platform_microseconds() - start);
    /* One at a time syncs, others read. */
    __atomic_store_n(&file->sync_time, file->sync_time - file->sync_time / 8 + took / 8,
                     __ATOMIC_RELAXED);
    timer_add(&file->syncs, took);
    if (result >= 0) {
        works(file);
    }
    return result;
}

/* ---- Opening ---- */

static enum outcome refuse(const struct ring_file *file, const char *what) {
    log_line(CMCWH_LOG_ERROR, "ring '%s': %s", file->path, what);
    return OUTCOME_WRONG;
}

static enum outcome refuse_with(const struct ring_file *file, const char *what, int error) {
    log_line(CMCWH_LOG_ERROR, "ring '%s': %s: %s", file->path, what, strerror(error));
    return outcome_of(error);
}

static char zeros[1 << 16]; /* never written to: takes no memory */

/* Takes all the room that the file will ever need, so that no event finds the disk full. */
static int fill(int descriptor, uint64_t size) {
    for (uint64_t offset = 0; offset < size; offset += sizeof zeros) {
        size_t length = size - offset < sizeof zeros ? (size_t)(size - offset) : sizeof zeros;

        if (write_all(descriptor, offset, zeros, length) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Into a file of zeros. A ring is cleared in small pieces: to write them takes several times as
 * long as to fill the file. */
static int write_to_zeros(void *context, uint64_t offset, const void *bytes, size_t length) {
    if (length <= sizeof zeros && memcmp(bytes, zeros, length) == 0) {
        return 0;
    }
    return file_write(context, offset, bytes, length);
}

/* As log files: for its owner, and its group unless the umask says otherwise. Before other threads
 * start, whose files would have another mask meanwhile. */
static mode_t mode_of_new(void) {
    mode_t mask = umask(S_IRWXG | S_IRWXO);

    (void)umask(mask);
    return (S_IRUSR | S_IWUSR | S_IRGRP) & ~mask;
}

/* Makes the file under the name `made`, which is locked, and gives it its own. */
static enum outcome make(struct ring_file *file, const char *made, uint32_t records) {
    struct cmcwh_geometry geometry = {.records = records, .block = BLOCK};
    uint64_t size = 3 * (uint64_t)BLOCK + (uint64_t)records * CMCWH_RECORD_SIZE;
    struct cmcwh_storage storage = file->storage;

    storage.write = write_to_zeros;
    if (fill(file->descriptor, size) != 0 || cmcwh_storage_format(&storage, &geometry) < 0 ||
        fsync(file->descriptor) != 0 || rename(made, file->path) != 0) {
        int error = errno;

        (void)unlink(made);
        return refuse_with(file, "cannot be made", error);
    }
    /* Not before: what a power cut leaves of it is known by its mode. */
    if (fchmod(file->descriptor, mode_of_new()) != 0 || fsync(file->descriptor) != 0) {
        return refuse_with(file, "its mode cannot be set", errno);
    }
    if (!given_sync_name(file->path)) {
        return refuse_with(file, "its directory cannot be synced", errno);
    }
    log_line(CMCWH_LOG_INFO, "ring '%s': made, %" PRIu32 " records, %" PRIu64 " bytes", file->path,
             records, geometry.size);
    return OUTCOME_RIGHT;
}

static enum outcome busy(const struct ring_file *file, const char *what) {
    (void)refuse(file, what);
    return OUTCOME_FAILED;
}

static enum outcome lock(struct ring_file *file) {
    return flock(file->descriptor, LOCK_EX | LOCK_NB) == 0 ? OUTCOME_RIGHT
                                                           : busy(file, "another process uses it");
}

/* Is it what a power cut leaves of one that was being made? There is one name for it, it is private
 * to us, and begins with zeros, or as a ring does. */
static bool left_over(int descriptor) {
    char begin[8];
    ssize_t length = pread(descriptor, begin, sizeof begin, 0);
    struct stat status;

    return fstat(descriptor, &status) == 0 && status.st_nlink == 1 && status.st_uid == geteuid() &&
           (status.st_mode & 07777) == 0600 && length >= 0 &&
           (memcmp(begin, zeros, (size_t)length) == 0 ||
            (length == sizeof begin && memcmp(begin, MAGIC, sizeof begin) == 0));
}

/* Takes away what an earlier process has left there. True: somebody works on it. */
static bool clear(const char *made) {
    const char *fault;
    int descriptor = given_open(made, O_RDWR | O_NOFOLLOW, &fault);
    bool used = false;

    if (descriptor >= 0) {
        used = flock(descriptor, LOCK_EX | LOCK_NB) != 0 || !given_is(made, descriptor);
        if (!used && left_over(descriptor)) {
            (void)unlink(made);
        }
        (void)close(descriptor);
    }
    return used;
}

enum { MADE_MAX = PATH_MAX + 8 };

/* Under which name it is made. */
static void name_made(const struct ring_file *file, char made[MADE_MAX]) {
    (void)snprintf(made, MADE_MAX, "%s.new", file->path);
}

static enum outcome refuse_link(const struct ring_file *file) {
    return refuse(file, "is a link that leads nowhere");
}

static enum outcome refuse_made(const struct ring_file *file, const char *made, int error) {
    log_line(CMCWH_LOG_ERROR, "ring '%s': cannot be made: %s: %s%s", file->path, made,
             strerror(error), error == EEXIST ? ": move it away" : "");
    return outcome_of(error);
}

/* A new one, under another name. */
static enum outcome create(struct ring_file *file, uint32_t records) {
    char made[MADE_MAX];
    const char *fault;
    struct stat status;
    enum outcome outcome;

    name_made(file, made);
    if (clear(made)) {
        return busy(file, "another process is just making it");
    }
    file->descriptor = given_make(made, 0600, &fault);
    if (file->descriptor < 0) {
        return refuse_made(file, made, errno);
    }
    outcome = lock(file);
    if (outcome != OUTCOME_RIGHT) {
        return outcome;
    }
    if (!given_is(made, file->descriptor)) { /* it has been cleared before it was locked */
        return busy(file, "another process is just making it");
    }
    /* Whoever held the lock before may have made it meanwhile; a link that leads nowhere is
     * somebody's too. */
    if (lstat(file->path, &status) == 0) {
        (void)unlink(made);
        return S_ISLNK(status.st_mode) ? refuse_link(file)
                                       : busy(file, "another process is just making it");
    }
    return make(file, made, records);
}

/* Does it have another size than it says, or than was asked for? Says how in `text`. */
static bool misfits(const struct ring_file *file, uint32_t records, off_t size, char *text,
                    size_t room) {
    if ((uint64_t)size != file->geometry.size) {
        (void)snprintf(text, room,
                       "it has %lld bytes where its header says %" PRIu64 ": it was truncated, or "
                       "is not whole",
                       (long long)size, file->geometry.size);
        return true;
    }
    if (records != 0 && records != file->geometry.records) {
        (void)snprintf(text, room,
                       "it holds %" PRIu32 " records, --ring-records says %" PRIu32
                       ": leave that option out",
                       file->geometry.records, records);
        return true;
    }
    return false;
}

/* Is the file one that can be opened? Asked when it is locked: before, its size may change. */
static enum outcome check(struct ring_file *file, uint32_t records) {
    const char *why = NULL;
    struct stat status;
    char text[160];

    if (fstat(file->descriptor, &status) != 0) {
        return refuse_with(file, "cannot be looked at", errno);
    }
    if (status.st_size < CMCWH_STORAGE_HEADER) {
        why = "it is no ring of cmcwh";
    } else if (cmcwh_storage_probe(&file->storage, &file->geometry, &why) == CMCWH_ERR_STORAGE) {
        return refuse_with(file, "cannot be read", errno);
    }
    if (why == NULL && misfits(file, records, status.st_size, text, sizeof text)) {
        why = text;
    }
    if (why != NULL && file->storage.write != NULL) {
        log_line(CMCWH_LOG_ERROR, "ring '%s': %s; " RING_FILE_ANEW, file->path, why);
        return OUTCOME_WRONG;
    }
    return why == NULL ? OUTCOME_RIGHT : refuse(file, why);
}

static bool prepare(struct ring_file *file, const char *path) {
    *file = (struct ring_file){
        .path = path, .descriptor = -1, .storage = {.context = file, .read = file_read}};
    timer_init(&file->syncs);
    return strlen(path) < PATH_MAX || refuse(file, "the path is too long") == OUTCOME_RIGHT;
}

/* It holds addresses of people, and whoever can write to it can make up events. */
static enum outcome check_mode(const struct ring_file *file) {
    struct stat status;

    if (fstat(file->descriptor, &status) != 0) {
        return refuse_with(file, "cannot be looked at", errno);
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return refuse(file, "others than its owner may write to it: chmod 640, or 600");
    }
    if ((status.st_mode & S_IROTH) != 0) {
        log_line(CMCWH_LOG_WARN, "ring '%s': everybody may read it: chmod 640, or 600", file->path);
    }
    return OUTCOME_RIGHT;
}

/* One that is there. */
static enum outcome open_old(struct ring_file *file, uint32_t records) {
    enum outcome outcome = lock(file);

    outcome = outcome != OUTCOME_RIGHT ? outcome : check(file, records);
    return outcome != OUTCOME_RIGHT ? outcome : check_mode(file);
}

enum outcome ring_file_open(struct ring_file *file, const char *path, uint32_t records, bool sync) {
    enum outcome outcome;
    const char *fault;

    if (!prepare(file, path)) {
        return OUTCOME_WRONG;
    }
    file->storage.write = file_write;
    file->storage.sync = file_sync;
    file->descriptor = given_open(path, O_RDWR, &fault);
    if (file->descriptor >= 0) {
        outcome = open_old(file, records);
    } else if (errno == ENOENT) {
        outcome = create(file, records != 0 ? records : RING_FILE_RECORDS);
        outcome = outcome != OUTCOME_RIGHT ? outcome : check(file, records);
    } else {
        outcome = outcome_of(errno);
        (void)refuse(file, fault);
    }
    if (!sync) {
        file->storage.sync = NULL;
    }
    if (outcome != OUTCOME_RIGHT) {
        ring_file_close(file);
    }
    return outcome;
}

/* Could one be made? What stands under the name for it is not locked: who is just making it must
 * not find that. */
static enum outcome look_at_making(const struct ring_file *file) {
    char made[MADE_MAX];
    struct stat status;
    const char *fault;
    int error = given_makable(file->path), descriptor;
    bool foreign;

    if (error != 0) {
        return refuse_with(file, "cannot be made", error);
    }
    if (lstat(file->path, &status) == 0 && S_ISLNK(status.st_mode)) {
        return refuse_link(file);
    }
    name_made(file, made);
    if (lstat(made, &status) != 0) {
        return OUTCOME_RIGHT;
    }
    descriptor = given_open(made, O_RDWR | O_NOFOLLOW, &fault);
    foreign = descriptor < 0 || !left_over(descriptor);
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return foreign ? refuse_made(file, made, EEXIST) : OUTCOME_RIGHT;
}

enum outcome ring_file_look(const char *path, uint32_t records) {
    struct ring_file file;
    enum outcome outcome;
    const char *fault;

    if (!prepare(&file, path)) {
        return OUTCOME_WRONG;
    }
    file.storage.write = file_write; /* which is not called */
    file.descriptor = given_open(path, O_RDWR, &fault);
    if (file.descriptor >= 0) {
        outcome = check(&file, records);
        outcome = outcome != OUTCOME_RIGHT ? outcome : check_mode(&file);
        ring_file_close(&file);
        return outcome;
    }
    if (errno != ENOENT) {
        return refuse(&file, fault);
    }
    return look_at_making(&file);
}

bool ring_file_view(struct ring_file *file, const char *path) {
    const char *fault;

    if (!prepare(file, path)) {
        return false;
    }
    file->descriptor = given_open(path, O_RDONLY, &fault);
    if (file->descriptor < 0) {
        (void)refuse(file, fault);
        return false;
    }
    if (check(file, 0) != OUTCOME_RIGHT) {
        ring_file_close(file);
        return false;
    }
    return true;
}

void ring_file_close(struct ring_file *file) {
    if (file->descriptor >= 0) {
        (void)close(file->descriptor);
        file->descriptor = -1;
    }
}

bool ring_file_is(const char *path) {
    char magic[sizeof MAGIC] = "";
    const char *fault;
    int descriptor = given_open(path, O_RDONLY, &fault);
    bool is = descriptor >= 0 && pread(descriptor, magic, sizeof MAGIC - 1, 0) > 0 &&
              strcmp(magic, MAGIC) == 0;

    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return is;
}
