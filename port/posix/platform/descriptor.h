/* Writing without waiting where others write too, standard output and standard error; and what is
 * safe in a file. */
#ifndef CMCWH_DESCRIPTOR_H
#define CMCWH_DESCRIPTOR_H

#include <stddef.h>
#include <sys/types.h>

/* One more way, with open()'s `flags`, into what the descriptor is open to: unlike a copy it has
 * flags of its own, so that it can be non-blocking while that of the others is not. -1, with errno:
 * a socket cannot be opened, nor what is another user's, nor a FIFO that nobody reads (ENXIO). */
int descriptor_again(int descriptor, int flags);

/* What can be written at once, where no other way was to be had. -1 with EAGAIN: nothing. */
ssize_t descriptor_try(int descriptor, const void *bytes, size_t length);

/* As fdatasync(). -1 with EROFS: the file system was made read-only while the file was open, as
 * before a reset by force; ext4 then says that it is done, and has done nothing. */
int descriptor_sync(int descriptor);

#endif
