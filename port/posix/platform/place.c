/* Places that are in memory: file systems, and devices that others are on. Not here: what is to be
 * kept. */
#include "platform/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "platform/given.h"

/* As linux/magic.h has them, and the majors of linux/major.h; not every C library brings these. */
enum { TMPFS = 0x01021994, OVERLAY = 0x794c7630, RAM_DISK = 1, FLASH = 31 };

/* The first line of a file of the kernel's, "" if there is none. */
static void read_line(const char *path, char *line, size_t size) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = descriptor < 0 ? 0 : read(descriptor, line, size - 1);

    line[length < 0 ? 0 : length] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
}

static bool say(char why[PLACE_WHY], const char *place) {
    (void)snprintf(why, PLACE_WHY, "is on %.100s, which is memory", place);
    return true;
}

/* JFFS2 over block2mtd, or over memory that pretends to be flash. Of block2mtd the system says the
 * same, and rightly: what is synced stays in the machine's memory. */
static bool on_ram_flash(dev_t device, char why[PLACE_WHY]) {
    char path[64], type[16], name[80];

    if (major(device) != FLASH) {
        return false;
    }
    (void)snprintf(path, sizeof path, "/sys/class/mtd/mtd%u/type", minor(device));
    read_line(path, type, sizeof type);
    if (strcmp(type, "ram") != 0) {
        return false;
    }
    (void)snprintf(path, sizeof path, "/sys/class/mtd/mtd%u/name", minor(device));
    read_line(path, name, sizeof name);
    (void)snprintf(why, PLACE_WHY, "is on the flash '%s', which keeps in memory what is synced",
                   name);
    return true;
}

/* A block device that is memory: ram0, zram0. */
static bool on_ram_disk(dev_t device, char why[PLACE_WHY]) {
    char path[64], link[PATH_MAX], *name;
    ssize_t length;

    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(device), minor(device));
    length = readlink(path, link, sizeof link - 1);
    link[length < 0 ? 0 : length] = '\0';
    name = strrchr(link, '/');
    return (major(device) == RAM_DISK || (name != NULL && strncmp(name, "/zram", 5) == 0)) &&
           say(why, name != NULL ? name + 1 : "a RAM disk");
}

/* Takes away what the kernel writes as \040 and so on. */
static void unescape(char *text) {
    char *to = text;

    for (; *text != '\0'; text++) {
        if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && strlen(text) >= 4) {
            *to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 3;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

/* Where an overlay keeps what is written to it, in a line of mountinfo; NULL: that is of another
 * mount. */
static char *upper_in(char *line, dev_t device) {
    char number[32], *at = line, *end;

    (void)snprintf(number, sizeof number, "%u:%u ", major(device), minor(device));
    for (int field = 0; field < 2 && at != NULL; field++) {
        at = strchr(at, ' ');
        at = at == NULL ? NULL : at + 1;
    }
    if (at == NULL || strncmp(at, number, strlen(number)) != 0 ||
        (at = strstr(at, " - overlay ")) == NULL || (at = strstr(at, "upperdir=")) == NULL) {
        return NULL;
    }
    at += strlen("upperdir=");
    end = at + strcspn(at, ", \n");
    *end = '\0';
    unescape(at);
    return at;
}

/* The directory in which the overlay on this device keeps what is written. False: nobody says. */
static bool find_upper(dev_t device, char upper[PATH_MAX]) {
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    const char *found = NULL;
    size_t size = 0;

    while (mounts != NULL && found == NULL && getline(&line, &size, mounts) >= 0) {
        found = upper_in(line, device);
    }
    if (found != NULL) {
        (void)snprintf(upper, PATH_MAX, "%s", found);
    }
    free(line);
    if (mounts != NULL) {
        (void)fclose(mounts);
    }
    return found != NULL;
}

static bool fades(const char *directory, char why[PLACE_WHY]) {
    static const unsigned ramfs = 0x858458f6;
    struct statfs system;
    struct stat status;
    unsigned type;

    if (statfs(directory, &system) != 0 || stat(directory, &status) != 0) {
        return false;
    }
    type = (unsigned)system.f_type;
    return type == TMPFS   ? say(why, "tmpfs")
           : type == ramfs ? say(why, "ramfs")
                           : on_ram_flash(status.st_dev, why) || on_ram_disk(status.st_dev, why);
}

static bool is_overlay(const char *directory) {
    struct statfs system;

    return statfs(directory, &system) == 0 && (unsigned)system.f_type == OVERLAY;
}

bool place_fades(const char *path, char why[PLACE_WHY]) {
    char real[PATH_MAX], copy[PATH_MAX], upper[PATH_MAX];
    /* Of what is on an overlay, only a directory has its device. */
    const char *directory = given_directory(realpath(path, real) != NULL ? real : path, copy);
    struct stat status;
    int error = errno;
    bool fading = false;

    if (directory == NULL || (stat(path, &status) == 0 && !S_ISREG(status.st_mode))) {
        fading = false; /* a device or a pipe: what is written there goes on */
    } else if (is_overlay(directory)) {
        fading =
            stat(directory, &status) == 0 && find_upper(status.st_dev, upper) && fades(upper, why);
    } else {
        fading = fades(directory, why);
    }
    errno = error;
    return fading;
}
