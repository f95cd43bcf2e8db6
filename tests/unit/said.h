/* The log of the port's tests: lines are kept for a test to look at, not printed. Linked in place
 * of port/posix/platform/log.c. */
#ifndef CMCWH_TEST_SAID_H
#define CMCWH_TEST_SAID_H

/* All lines of all threads since the last look, and forgets them; good until the next call. */
const char *said(void);

/* The lines since the last look contain `text`. */
void assert_said(const char *text);

/* As assert_said, for what another thread will say: waits for it, and forgets the lines then. */
void await_said(const char *text);

/* No line has come since the last look. */
void assert_quiet(void);

/* A new file under /tmp with these bytes and this mode; gone when the program ends. Returns its
 * path, which is good until four more are made. */
const char *file_of(const char *bytes, size_t length, unsigned mode);

#endif
