/* Files that a person names: options, credentials, certificates, keys. Whatever such a name leads
 * to, nothing waits for it, and one line says what is wrong with it. */
#ifndef CMCWH_GIVEN_H
#define CMCWH_GIVEN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Longer files are not what they are taken for; nor are longer lines. */
enum { GIVEN_MOST = 131072, GIVEN_LINE = 1023 };

/* Opens a regular file, with the flags of open(). -1: *fault says what is there instead, or why it
 * cannot be opened; errno is the system's error (ENOENT: nothing is there), EINVAL when it is no
 * regular file. */
int given_open(const char *path, int flags, const char **fault);

/* Makes one, for reading and writing, where nothing is, not even a link. -1: *fault says why not.
 */
int given_make(const char *path, mode_t mode, const char **fault);

/* The directory that a path is in, in `copy`. NULL, with errno: the path is too long. */
const char *given_directory(const char *path, char copy[PATH_MAX]);

/* May a file be made there? 0, or the error. */
int given_makable(const char *path);

/* Puts the name of a file on the disk, as fsync() does what is in it. False, with errno. */
bool given_sync_name(const char *path);

/* Says so when this process may not read a file (NULL: none) that it will read again. */
void given_say_unreadable(const char *option, const char *path);

/* Does the name (no link) still lead to the file that is open? */
bool given_is(const char *path, int descriptor);

/* Is it one of systemd's credentials, a file in $CREDENTIALS_DIRECTORY? */
bool given_is_credential(const char *path);

struct given {
    const char *option, *path; /* for messages */
    char *bytes;               /* all of them, and a zero */
    size_t length;
    mode_t mode;

    /* For given_line. */
    char *next;
    unsigned line; /* the number of the line that was read last */
};

/* Reads a whole file of text. It has no zero byte; its lines end in LF or CR LF. False: one line
 * has said what is wrong, errno is the system's error, EINVAL when it has none, and given_free need
 * not be called. */
bool given_read(struct given *given, const char *option, const char *path);

/* The next line without its end, to be changed as one likes. NULL: there is none, or it is too
 * long, and *fault says so. */
char *given_line(struct given *given, const char **fault);

/* Says what is wrong with the file (line 0) or a line of it. Returns false, with errno EINVAL. */
bool given_wrong(const struct given *given, unsigned line, const char *fault);

/* The system does not give what the file needs: says `what` (NULL: the error). Returns false, with
 * errno as `error`. */
bool given_failed(const struct given *given, const char *what, int error);

/* What was in it may have been secret: nothing of it stays in memory. Leaves errno alone. */
void given_free(struct given *given);

#endif
