/* cmcwh: receives the webhooks of Customers Mail Cloud (CMC) on small devices.
 *
 * This header is the manual of the portable part. Data flows one way:
 *
 *   bytes -> text -> events -> records -> ring -> encoders -> sinks
 *
 *   struct cmcwh_parser   takes a request body in pieces and writes its events into the ring
 *   struct cmcwh_ring     holds records in memory that the caller gives
 *   struct cmcwh_sink     reads committed records, encodes and writes them
 *   cmcwh_authorized ...  what an endpoint needs besides, in any HTTP server: see HTTP
 *   struct cmcwh_server   answers HTTP with civetweb (left out by CMCWH_NO_SERVER)
 *
 * The whole life of it in a device, with error handling left out:
 *
 *   static struct cmcwh_record records[16];  // all the memory there is
 *   static uint32_t links[16];
 *   static struct cmcwh_ring ring;
 *   static struct cmcwh_sink sink;
 *   static struct cmcwh_parser parser;
 *   static char buffer[CMCWH_ENCODED_MAX], body[CMCWH_ANSWER_MAX];
 *   struct cmcwh_port port = {.now = clock_ms};
 *   struct cmcwh_ring_config memory = {
 *       .records = records, .links = links, .capacity = 16, .port = &port};
 *   struct cmcwh_sink_config uart = {
 *       .ring = &ring, .write = uart_write, .buffer = buffer, .buffer_size = sizeof buffer};
 *
 *   cmcwh_ring_init(&ring, &memory, 1);                      // at the start
 *   uart.reader = cmcwh_ring_attach(&ring, NULL, true);
 *   cmcwh_sink_init(&sink, &uart);
 *
 *   cmcwh_parser_init(&parser, &ring, CMCWH_JSON);           // for each request
 *   cmcwh_parser_feed(&parser, bytes, length);               // as often as bytes come
 *   result = cmcwh_parser_end(&parser);
 *   if (result >= 0) result = cmcwh_parser_commit(&parser);
 *   cmcwh_parser_answer(&parser, result, &answer);           // 200, or what is wrong
 *   send(answer.status, body, cmcwh_answer_body(&answer, body));
 *   if (result < 0) cmcwh_parser_abort(&parser);
 *
 *   if (cmcwh_sink_pump(&sink) < 0) cmcwh_ring_fail(&ring, uart.reader, 0);  // when there is time
 *
 * Nothing here allocates memory, uses stdio, keeps state in globals or calls the operating
 * system; what is needed from the platform is given in struct cmcwh_port.
 *
 * Words used throughout:
 *   bytes owned by the caller stay the caller's; a pointer given to an init function must stay
 *   valid until the object is no longer used;
 *   "one thread" means one at a time, not always the same;
 *   lengths and sizes are in bytes, times in milliseconds, unless said otherwise.
 */
#ifndef CMCWH_H
#define CMCWH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CMCWH_VERSION "0.1.0"

/* Changes when code written against this header must change: major << 16 | minor. */
#define CMCWH_API_VERSION 0x00000002

/* Changes when the bytes of a record change; stored in every record. */
#define CMCWH_RECORD_VERSION 1

/* Changes when the layout of a ring on storage changes; stored in its header. */
#define CMCWH_STORAGE_VERSION 1

/* ---- Build switches ------------------------------------------------------------------------
 * Define them on the compiler's command line, the same for every file that includes this header.
 */

/* A small firmware can leave parts out. Compile with -ffunction-sections, link with --gc-sections.
 *
 *   CMCWH_NO_SERVER     the server on civetweb
 *   CMCWH_NO_FORMS      the two kinds of forms (their bodies are refused with CMCWH_ERR_FORM), and
 *                       the end of a chain (cmcwh_parser_chain: CMCWH_ERR_CHAIN)
 *   CMCWH_NO_STORAGE    rings on storage (cmcwh_ring_open refuses with CMCWH_ERR_ARGUMENT)
 *   CMCWH_NO_LOGFMT     logfmt, syslog and CMCWH_ENCODE_CMC (cmcwh_encode gives nothing, and a sink
 *                       with them is refused with CMCWH_ERR_ARGUMENT)
 *   CMCWH_NO_FRAMES     CMCWH_ENCODE_BINARY (as those), and sinks that write by write_record
 *                       (CMCWH_ERR_ARGUMENT)
 *   CMCWH_NO_COUNTERS   what a ring counts and remembers (its history stays empty, and so does
 *                       cmcwh_server_counters.errors)
 *   CMCWH_NO_GATHER     requests that wait for others (a ring with config.gather is refused with
 *                       CMCWH_ERR_ARGUMENT)
 *   CMCWH_NO_THREADS    locks and waiting, in a program with one thread and without the server (a
 *                       ring whose port has a lock is refused with CMCWH_ERR_ARGUMENT; of a port
 *                       only `now` and `ticks` are used)
 *   CMCWH_NO_SHORTCUTS  what is there for speed only: then a request takes more than twice as long.
 *                       With -Os it is left out by itself, unless CMCWH_SHORTCUTS is defined
 */
#if defined __OPTIMIZE_SIZE__ && !defined CMCWH_SHORTCUTS && !defined CMCWH_NO_SHORTCUTS
#define CMCWH_NO_SHORTCUTS
#endif

/* Bytes of a record: a power of two from 256 to 4096. Larger keeps more of long reasons and
 * subjects; the ring needs this much per event. */
#ifndef CMCWH_RECORD_SIZE
#define CMCWH_RECORD_SIZE 1024
#endif

/* Bytes of a body that the parser holds at a time. A JSON string longer than this is cut, to
 * seven eighths of it. At least twice the record. */
#ifndef CMCWH_WINDOW_SIZE
#if CMCWH_RECORD_SIZE > 2048
#define CMCWH_WINDOW_SIZE (2 * CMCWH_RECORD_SIZE)
#else
#define CMCWH_WINDOW_SIZE 4096
#endif
#endif

/* How deep arrays and objects may nest in a body (RFC 8259 section 9 allows a limit). An event
 * needs 4; more is only for members that are skipped. At most 64. */
#ifndef CMCWH_DEPTH_MAX
#define CMCWH_DEPTH_MAX 32
#endif

/* jsmn tokens that the parser holds at a time: 20 bytes each. More than CMCWH_DEPTH_MAX + 8. */
#ifndef CMCWH_TOKENS
#define CMCWH_TOKENS 128
#endif

/* Sinks that can read one ring. Each costs some 32 bytes in struct cmcwh_ring. */
#ifndef CMCWH_READERS_MAX
#define CMCWH_READERS_MAX 8
#endif

/* Longest secret (API key, Bearer token, base64 of user:password) that can be configured, and
 * longest event type and server composition that are kept: at least 32. */
#ifndef CMCWH_SECRET_MAX
#define CMCWH_SECRET_MAX 255
#endif

/* CRC-32 tables: 8 takes 8 KiB of constants and is some five times as fast as 1 (1 KiB); 0, as with
 * -Os, takes 64 bytes. */
#ifndef CMCWH_CRC_SLICES
#ifdef __OPTIMIZE_SIZE__
#define CMCWH_CRC_SLICES 0
#else
#define CMCWH_CRC_SLICES 8
#endif
#endif

/* The name of a function of this kind, for processors or devices that compute CRC-32 themselves: it
 * takes as many bytes from the front into *crc as it likes, and returns how many; tables take the
 * rest. *crc is the register of IEEE 802.3, reflected: all ones at first, to be inverted by the
 * caller in the end. Any thread. The daemon's is in port/posix/platform/crc.c. */
#ifdef CMCWH_CRC32
size_t CMCWH_CRC32(uint32_t *crc, const uint8_t *bytes, size_t length);
#endif

/* CMCWH_PREFETCH: the name of what takes an address and has the memory there come near the
 * processor without waiting for it, as __builtin_prefetch of gcc and clang. Worth it where a ring
 * is larger than the processor's cache. Not defined: nothing is asked for. */

/* Bytes of a buffer in struct cmcwh_worker, in which answers are made and, without
 * cmcwh_server_config.read, bodies are read: at least 1024. */
#ifndef CMCWH_READ_SIZE
#define CMCWH_READ_SIZE 4096
#endif

/* ---- Results -------------------------------------------------------------------------------
 * One rule: a function that can fail returns a number, >= 0 when it succeeded, one of these when
 * not. Each function names the ones that it returns.
 */
enum cmcwh_result {
    CMCWH_OK = 0,
    CMCWH_ERR_JSON = -1,        /* "malformed_json": not JSON (RFC 8259) in UTF-8 (RFC 3629) */
    CMCWH_ERR_FORM = -2,        /* "malformed_form": not application/x-www-form-urlencoded, or
                                   not multipart/form-data */
    CMCWH_ERR_DEPTH = -3,       /* "too_deep": nested deeper than CMCWH_DEPTH_MAX */
    CMCWH_ERR_MISSING = -4,     /* "missing_field": good JSON, but a member of a CMC event lacks */
    CMCWH_ERR_TYPE = -5,        /* "wrong_type": good JSON, but a member is of another type */
    CMCWH_ERR_EVENT_TYPE = -6,  /* "event_type_mismatch": event_type and the key in event differ */
    CMCWH_ERR_FULL = -7,        /* "ring_full": no room for the whole request now */
    CMCWH_ERR_STORAGE = -8,     /* "storage_failed": the ring's storage, or without one a required
                                   sink, could not take the events */
    CMCWH_ERR_RECORD = -9,      /* "damaged_record": not a record, or its CRC does not match */
    CMCWH_ERR_ARGUMENT = -10,   /* "bad_argument": a value in a config is out of its range */
    CMCWH_ERR_WRITE = -11,      /* "write_failed": a sink's write or sync function failed */
    CMCWH_ERR_FORMAT = -12,     /* "not_a_ring": the storage holds no ring that can be opened */
    CMCWH_PENDING = -13,        /* "pending": no success yet and no failure either: ask again */
    CMCWH_ERR_NOBODY = -14,     /* "unauthorized": credentials are missing */
    CMCWH_ERR_WRONG = -15,      /* "unauthorized": credentials are wrong */
    CMCWH_ERR_MEDIA_TYPE = -16, /* "unsupported_media_type": a Content-Type that is not taken */
    CMCWH_STORING = -17,        /* "storing": as pending, for events that are whole */
    CMCWH_ERR_EVENTS = -18,     /* "too_many_events": more than the ring has records: the request
                                   can never be taken */
    CMCWH_ERR_CHAIN = -19 /* "malformed_chain": Cmcwh-Events is not one entry for each event */
};

/* The name that enum cmcwh_result has in quotes, as HTTP answers carry it; "ok" for results >= 0.
 * Static text. */
const char *cmcwh_result_name(int result);

/* A view of bytes that somebody else owns. Not terminated by a zero. */
struct cmcwh_text {
    const char *data;
    size_t length;
};

/* ---- Platform ------------------------------------------------------------------------------
 * What the platform gives. `context` is handed to every function. Every function may be NULL
 * in a program with one thread: then nothing is locked, waiting gives up at once, the time is 0,
 * and what has failed may be tried again at once.
 */
struct cmcwh_port {
    void *context;

    /* Milliseconds since 1970-01-01 00:00 UTC. Called by any thread, with and without the
     * lock held. */
    uint64_t (*now)(void *context);

    /* Milliseconds that only go forward, from any start; NULL: now() is used. Called with and
     * without the lock held. */
    uint64_t (*ticks)(void *context);

    /* A lock that is not recursive. It is held for microseconds, never across a call of a
     * sink's function. */
    void (*lock)(void *context);
    void (*unlock)(void *context);

    /* Called with the lock held: lets it go, sleeps until wake() or for `ms` at most, takes it
     * again. May return early. Returns false when the time is over. */
    bool (*wait)(void *context, uint32_t ms);

    /* Called with the lock held: ends every wait(). */
    void (*wake)(void *context);

    /* Lets some 50 microseconds pass. Called without the lock, before a sync that others may want
     * to share. May be NULL, as in a program with threads too. */
    void (*nap)(void *context);
};

/* ---- Record --------------------------------------------------------------------------------
 * One event in CMCWH_RECORD_SIZE bytes, the same on every processor. Numbers are little-endian.
 *
 *   offset size
 *        0    4  magic "CMCR"
 *        4    1  version of this layout, CMCWH_RECORD_VERSION
 *        5    1  kind, enum cmcwh_kind
 *        6    1  status code, see struct cmcwh_event
 *        7    1  reserved, 0
 *        8    8  seq: number of the stored event, from 1, without gaps
 *       16    8  batch: seq of the first event of the same request
 *       24    4  batch size: events of that request
 *       28    2  length: bytes in use, header, texts and CRC
 *       30    2  truncated: bit f is set when the text of field f was cut
 *       32    8  received: milliseconds since 1970-01-01 00:00 UTC
 *       40    8  id: hash of what identifies the event, see struct cmcwh_event
 *       48   28  length of the text of each field, 2 bytes each, in the order of enum cmcwh_field
 *       76    4  reserved, 0
 *       80    n  the texts, in the same order, UTF-8, packed
 *     80+n    4  CRC-32 (IEEE 802.3, as zlib's crc32) of all bytes before it
 *     84+n       zeros up to CMCWH_RECORD_SIZE
 *
 * When the texts do not fit, they give way in the order reason, subject, apiData, members,
 * server_composition, event_type, the IPs, created, status, returnPath, from, to, messageId: cut at
 * a character boundary (members: at a member) and marked.
 */
#define CMCWH_RECORD_MAGIC  "CMCR"
#define CMCWH_RECORD_HEADER 80
#define CMCWH_RECORD_CRC    4
#define CMCWH_RECORD_TEXT   (CMCWH_RECORD_SIZE - CMCWH_RECORD_HEADER - CMCWH_RECORD_CRC)

struct cmcwh_record {
    uint8_t bytes[CMCWH_RECORD_SIZE];
};

enum cmcwh_kind {
    CMCWH_OTHER = 0,      /* an event type that was not known when this was written */
    CMCWH_DELIVERIES = 1, /* CMC documentation, "event webhook", v1 and v2 */
    CMCWH_BOUNCES = 2,    /* CMC documentation, "event webhook", v1 and v2 */
    CMCWH_BLOCKS = 3      /* CMC names it without saying what is in it: all members are kept */
};

/* Status codes of deliveries. A bounce has one of enum cmcwh_bounce, or 0 if that is unknown. */
enum cmcwh_status {
    CMCWH_UNKNOWN = 0,
    CMCWH_QUEUED = 1,
    CMCWH_SUCCEEDED = 2,
    CMCWH_FAILED = 3,
    CMCWH_DEFERRED = 4
};

/* Why a mail came back: CMC's own numbers. */
enum cmcwh_bounce {
    CMCWH_BOUNCE_UNKNOWN_HOST = 1,
    CMCWH_BOUNCE_UNKNOWN_USER = 2,
    CMCWH_BOUNCE_RESEND_TIMEOUT = 3,
    CMCWH_BOUNCE_POLICY = 4,   /* rejected by it */
    CMCWH_BOUNCE_CAPACITY = 5, /* the mailbox is over it */
    CMCWH_BOUNCE_FORWARDING = 6,
    CMCWH_BOUNCE_SERVER = 7,  /* an error of the one that receives */
    CMCWH_BOUNCE_SIZE = 8,    /* the message is too large */
    CMCWH_BOUNCE_ADDRESS = 9, /* its format */
    CMCWH_BOUNCE_BLOCKED = 10,
    CMCWH_BOUNCE_UNSUBSCRIBED = 11,
    CMCWH_BOUNCE_OTHER = 99 /* another permanent error */
};

/* What such a number means, for people: "unknown host"; "unknown" for any other number. Static
 * text; any thread. */
const char *cmcwh_bounce_name(unsigned number);

/* The texts of a record, in the order in which they are stored: that of CMC's own requests. */
enum cmcwh_field {
    CMCWH_REASON,
    CMCWH_SOURCE_IP,
    CMCWH_RETURN_PATH, /* v1: envelopeFrom */
    CMCWH_CREATED,     /* "YYYY-MM-DD HH:MM:SS" in the time zone set in CMC's console */
    CMCWH_SUBJECT,
    CMCWH_API_DATA,
    CMCWH_MESSAGE_ID,
    CMCWH_FROM,
    CMCWH_TO, /* v1: envelopeTo */
    CMCWH_SENDER_IP,
    CMCWH_STATUS,
    CMCWH_MEMBERS, /* blocks and unknown kinds: JSON members that are no other field, a newline
                      after each */
    CMCWH_EVENT_TYPE,
    CMCWH_SERVER_COMPOSITION,
    CMCWH_FIELDS /* how many there are */
};

/* CMC's spelling of a field, as in JSON and logfmt; "" for CMCWH_MEMBERS. Static text. */
const char *cmcwh_field_name(enum cmcwh_field field);

/* Is this a whole record: lengths, CRC, texts in UTF-8, members as such? CMCWH_OK, or
 * CMCWH_ERR_RECORD. What comes from a ring or a deframer is. */
int cmcwh_record_check(const struct cmcwh_record *record);

/* What a record says. */
struct cmcwh_event {
    uint64_t seq;      /* number of the stored event, from 1, without gaps */
    uint64_t batch;    /* seq of the first event of the same request */
    uint64_t received; /* milliseconds since 1970-01-01 00:00 UTC */

    /* Hash over event type, message id, to, status and created, as stored: the same when CMC sends
     * the event again, so that a reader can drop repeats. */
    uint64_t id;

    uint32_t batch_size; /* events of that request */
    enum cmcwh_kind kind;

    /* enum cmcwh_status for deliveries, enum cmcwh_bounce for bounces (0: unknown), otherwise 0. */
    unsigned status;

    /* For syslog (RFC 5424 table 2): 6 queued, succeeded and unknown ones, 5 deferred, 4 blocks, 3
     * failed and bounces. */
    unsigned severity;

    unsigned truncated; /* bit f is set when the text of field f was cut */

    /* The text of each field; empty when the event had none. Parts of the record. */
    struct cmcwh_text texts[CMCWH_FIELDS];
};

/* Reads a record that has passed cmcwh_record_check. Any thread. */
void cmcwh_record_read(const struct cmcwh_record *record, struct cmcwh_event *event);

/* The event type as a request would name it: whole for a kind that is known, though its text gave
 * way to longer ones; never empty. A part of the record, or static text; any thread. */
struct cmcwh_text cmcwh_event_type(const struct cmcwh_event *event);

/* ---- Storage -------------------------------------------------------------------------------
 * Where a ring is kept so that it outlives the power: a file, FRAM, battery-backed RAM, a flash
 * translation layer. What it must promise:
 *
 *   - write() touches the bytes it names and no others, also when the power fails during it;
 *   - after a sync() that returned 0, all that was written before it is there for good;
 *   - until then each write may be there, be missing, or be there in part or garbled, in any order.
 *
 * Nothing more: no atomic unit, no order of writes. Bytes that come back changed are found by
 * CRC-32. All calls come from one thread at a time, never with the port's lock held. Layout, with
 * blocks of a size that is chosen when the ring is made (so that no two of these parts share what
 * the storage writes at a time); numbers are little-endian, the same on every processor:
 *
 *   offset                       size
 *   0                              64  header, written once
 *   block                      up to block  state, first copy
 *   2 * block                  up to block  state, second copy
 *   3 * block + i * record size       record i
 *
 *   header: 0 magic "CMCWRING", 8 CMCWH_STORAGE_VERSION (2 bytes), 10 CMCWH_RECORD_VERSION (2),
 *           12 record size (4), 16 records (4), 20 block (4), 24 CMCWH_READERS_MAX
 *           (4), 28 zeros, 60 CRC-32 of bytes 0 to 59
 *   state:  0 magic "CMCS", 4 n, how many readers (4), 8 generation (8): the larger one counts,
 *           16 low (8): seq of the oldest event that is kept, 24 end (8): one more than the newest
 *           event that was known to be on the storage; then for each reader 8 bytes of its name's
 *           hash and 8 of its place, the seq of the first event that it has not acknowledged;
 *           then the CRC-32 of all before it
 *
 * A request's records are written, then the state copy that is not the last synced one, then all
 * is synced: several requests at once, in the order of seq. So after a crash everything from low
 * to end is there, and what lacks is damage; behind end come whole requests, without a gap, then
 * parts of those that were never acknowledged. The places of readers are written when they
 * acknowledge (with config.gather not before), and synced with the next request or by
 * cmcwh_ring_flush.
 */
struct cmcwh_storage {
    void *context;

    /* Each does all of `length` bytes: 0, or negative. May block, for a bounded time. */
    int (*read)(void *context, uint64_t offset, void *bytes, size_t length);

    /* NULL: the ring can only be looked at, see cmcwh_ring_open. */
    int (*write)(void *context, uint64_t offset, const void *bytes, size_t length);

    /* NULL: what was written is there for good (FRAM), or need not be. */
    int (*sync)(void *context);
};

#define CMCWH_STORAGE_HEADER 64
#define CMCWH_STATE_SIZE     (36 + 16 * CMCWH_READERS_MAX)

/* What a header says. */
struct cmcwh_geometry {
    uint32_t records;
    uint32_t block;       /* a power of two: CMCWH_STATE_SIZE to 2^20 */
    uint32_t record_size; /* of the program that made it */
    uint64_t size;        /* bytes in all */
};

/* Makes an empty ring: clears every record, and writes the header last. The records and the block
 * of *geometry are read, the rest is set. CMCWH_OK, CMCWH_ERR_ARGUMENT or CMCWH_ERR_STORAGE. */
int cmcwh_storage_format(const struct cmcwh_storage *storage, struct cmcwh_geometry *geometry);

/* Reads the header. CMCWH_OK; CMCWH_ERR_STORAGE (read failed); CMCWH_ERR_FORMAT: no ring that this
 * program can open, *why (static text, may be NULL) says why. */
int cmcwh_storage_probe(const struct cmcwh_storage *storage, struct cmcwh_geometry *geometry,
                        const char **why);

/* ---- Ring ----------------------------------------------------------------------------------
 * A fixed number of records in memory of the caller. A request takes free records, fills and
 * commits them in one step, or gives them back; requests do not wait for each other. Each
 * reader (a sink) has a place of its own.
 *
 * A required reader keeps its records: when all are in use, requests get CMCWH_ERR_FULL. A
 * reader that is not required loses the oldest ones instead, counted.
 *
 * With `confirm`, committed events are safe only when every required reader has taken them
 * (cmcwh_parser_commit waits for that), and readers that are not required see them only then:
 * events that are taken back reach no sink that had not been asked to keep them.
 *
 * With `storage`, committed events are safe when they are on it, and readers see them only then.
 * Requests that are confirmed at the same time share one write and one sync.
 *
 * Every function may be called by any thread, unless it says otherwise.
 */
struct cmcwh_ring;    /* see Insides */
struct cmcwh_history; /* see History */

struct cmcwh_ring_config {
    /* `capacity` records and as many links; 1 to 2^30. Contents do not matter; on storage, records
     * that are zero are not written to before events come to them, but for the last 64. */
    struct cmcwh_record *records;
    uint32_t *links;
    uint32_t capacity;

    /* May be NULL in a program with one thread. */
    const struct cmcwh_port *port;

    /* Committed events are safe only when the required readers have taken them. false: a commit is
     * final. Not together with storage. */
    bool confirm;

    /* NULL: the ring lives in memory only. */
    const struct cmcwh_storage *storage;

    /* How many ms a request waits for a free record while others drain, 0: not at all. More than
     * `room_waiters` at a time (0: any number) wait only while some come free: with one fewer than
     * there are threads, one is left to refuse requests when a reader stands still. */
    uint32_t room_wait, room_waiters;

    /* How many ms a request waits to be safe, 0: as long as it takes. Then it fails with
     * CMCWH_ERR_STORAGE: with confirm by cmcwh_ring_stall for each required reader that has not
     * taken it; with storage unless it is just being written, for that cannot be taken back. */
    uint32_t confirm_wait;

    /* How many ms a committed request waits for others that are to share its sync, 0: not at all;
     * confirm_wait begins after that. With storage all that come meanwhile are written and synced
     * together, once. With confirm required readers see none of them before, and sync them
     * together. Sooner when the ring has no room for more. Needs a clock: without one nobody waits.
     * Whose time is over goes on where its port waits, or when it is confirmed again; of those that
     * are to be called (cmcwh_server_config.settled) cmcwh_ring_gathered calls one. */
    uint32_t gather;

    /* What the ring counts and remembers beyond what readers are still to get: see History. NULL:
     * nothing. */
    struct cmcwh_history *history;
};

/* Makes an empty ring in memory (config->storage is NULL); the next event is number `first_seq` (1
 * for a new one). CMCWH_OK, or CMCWH_ERR_ARGUMENT. Before any other thread knows of it. */
int cmcwh_ring_init(struct cmcwh_ring *ring, const struct cmcwh_ring_config *config,
                    uint64_t first_seq);

/* What cmcwh_ring_open has found. */
struct cmcwh_recovery {
    uint64_t next_seq;
    uint32_t kept;    /* records that some reader may still have to take */
    uint32_t dropped; /* requests that were there in part: never acknowledged */
    uint32_t damaged; /* records that were acknowledged and cannot be read; they are skipped */
    uint64_t low;     /* every event before this number has been taken by all who must */
    const char *why;  /* with CMCWH_ERR_FORMAT: static text */
};

/* Opens the ring that config->storage holds; config->capacity must be that of its header. Reads
 * every record once. Requests that were never acknowledged and are not whole are removed for good
 * before this returns. CMCWH_OK, CMCWH_ERR_ARGUMENT, CMCWH_ERR_STORAGE (read, write or sync
 * failed), CMCWH_ERR_FORMAT (nothing was changed). Before any other thread knows of it.
 * When storage->write is NULL, the ring is one to look at: its readers get every event that can
 * still be read, delivered or not, and nothing can be committed. The storage may be in use by
 * another process meanwhile. Between the events before found->low some may lack: later ones have
 * taken their places, which need not happen in the order of their numbers. */
int cmcwh_ring_open(struct cmcwh_ring *ring, const struct cmcwh_ring_config *config,
                    struct cmcwh_recovery *found);

/* With config.gather and storage: calls whoever has waited long enough for others to share a sync,
 * and then stores for all. With `enough` nobody waits any longer, as at the end, or when no more
 * can come; those who come later do. Returns in how many ms it is to be called again, 0 or
 * UINT32_MAX: not until a request is CMCWH_STORING again. */
uint32_t cmcwh_ring_gathered(struct cmcwh_ring *ring, bool enough);

/* Adds a reader. It begins at the oldest record still held, or, when the storage knows a place
 * under its `name` (NULL: none is kept), there. Its number (>= 0), or CMCWH_ERR_ARGUMENT when
 * there are CMCWH_READERS_MAX. Attach all readers before the first commit. */
int cmcwh_ring_attach(struct cmcwh_ring *ring, const char *name, bool required);

/* Makes the readers' places stable. To be called when all is quiet, and at the end. CMCWH_OK
 * (also when there is nothing to do), or CMCWH_ERR_STORAGE. */
int cmcwh_ring_flush(struct cmcwh_ring *ring);

/* Copies the next record of a reader and moves on. 1, or 0 when there is none. A reader is used
 * by one thread. */
int cmcwh_ring_read(struct cmcwh_ring *ring, int reader, struct cmcwh_record *record);

/* Waits until there is something to read, `ms` at most. true when there is. */
bool cmcwh_ring_wait(struct cmcwh_ring *ring, int reader, uint32_t ms);

/* All that was read is written for good; the ring may use its place again. CMCWH_OK, or
 * CMCWH_ERR_STORAGE: with confirm another required reader failed meanwhile, and some of it was
 * taken back; what is still valid will be read again. */
int cmcwh_ring_acknowledge(struct cmcwh_ring *ring, int reader);

/* What was read and not acknowledged could not be written: it will be read again; with confirm
 * and a required reader it is taken back instead, and for `retry` ms (without a clock: 0) requests
 * are refused at once. Acknowledging ends the failure. */
void cmcwh_ring_fail(struct cmcwh_ring *ring, int reader, uint32_t retry);

/* The same by another thread than the reader's, which hangs: with confirm it lets those go who wait
 * for it. What the reader has read and not acknowledged is not to count any more, even if it was
 * written: its cmcwh_ring_acknowledge returns CMCWH_ERR_STORAGE, and cmcwh_sink_pump undoes it. */
void cmcwh_ring_stall(struct cmcwh_ring *ring, int reader, uint32_t retry);

struct cmcwh_ring_state {
    uint32_t capacity, in_use;          /* records */
    uint32_t peak;                      /* most that were in use at a time since the start */
    uint64_t fulls;                     /* requests that found no room */
    uint64_t stored;                    /* seq of the newest event, 0 if there is none */
    uint64_t safe;                      /* every event up to this one is safe, 0: none yet */
    uint32_t behind[CMCWH_READERS_MAX]; /* records that a reader has not acknowledged */
    uint64_t lost[CMCWH_READERS_MAX];   /* records that a reader did not get */
    bool failed[CMCWH_READERS_MAX];
    uint32_t retry; /* ms until requests are taken again after a failure, 0: now */
};

/* Figures for people, all of one instant. */
void cmcwh_ring_state(struct cmcwh_ring *ring, struct cmcwh_ring_state *state);

/* ---- History -------------------------------------------------------------------------------
 * What a ring knows of the events that have passed: how many, by the hour, and which of them it
 * still holds. Events count when they are safe, once each: one that is taken back never does.
 *
 *   static struct cmcwh_record records[256];
 *   static uint32_t links[256], places[256], marks[512];
 *   static struct cmcwh_history history = {
 *       .places = places, .marks = marks, .mark_count = 512};
 *   struct cmcwh_ring_config memory = {.records = records, .links = links, .capacity = 256,
 *                                      .port = &port, .history = &history};
 *
 * With a history, records that are free again are used in turn, so that what was delivered stays to
 * be looked at until the ring has come round to it. A ring on storage finds its history again: what
 * cmcwh_ring_open reads is counted anew. With CMCWH_NO_COUNTERS all of it stays empty.
 */

/* The hours that are told apart. */
#define CMCWH_HOURS 48

/* What is counted of events: each counts as one of the first 21, and besides as TRUNCATED if a text
 * of it was cut. */
enum cmcwh_count {
    CMCWH_COUNT_DELIVERIES = 0, /* and its enum cmcwh_status */
    CMCWH_COUNT_BOUNCES = 5,    /* and its number, 0 to 11; 12 for CMCWH_BOUNCE_OTHER */
    CMCWH_COUNT_BLOCKS = 18,
    CMCWH_COUNT_OTHER = 19,
    CMCWH_COUNT_REPEATS = 20, /* of whatever kind: the ring still held an event with the same id */
    CMCWH_COUNT_TRUNCATED = 21,
    CMCWH_COUNTS /* how many there are */
};

/* As what an event counts, one of the first 20, if it is no repeat. Any thread. */
unsigned cmcwh_count_of(const struct cmcwh_event *event);

/* The event type of a count as CMC spells it, "deliveries", "bounces", "blocks", or "other"; "" for
 * REPEATS and TRUNCATED. Static text; any thread. */
const char *cmcwh_count_type(unsigned count);

/* What a count says besides: of deliveries "queued" (and so on) or "unknown", of bounces what
 * cmcwh_bounce_name says; otherwise "". Static text; any thread. */
const char *cmcwh_count_status(unsigned count);

/* CMC's number of the bounces that count there; 0 when it is unknown, and for counts of others. Any
 * thread. */
unsigned cmcwh_count_bounce(unsigned count);

/* The events that were received within an hour. */
struct cmcwh_hour {
    uint32_t hour; /* hours since 1970-01-01 00:00 UTC; 0: none, or there was no clock */
    uint32_t counts[CMCWH_COUNTS];
};

struct cmcwh_counters {
    uint64_t since; /* when counting began: milliseconds since 1970-01-01 00:00 UTC */
    bool at_least;  /* found again on storage, which did not hold every older event any more */
    uint64_t
        last_event; /* when the newest event was received, a repeat or not; 0: there was none */
    uint64_t totals[CMCWH_COUNTS];

    /* In no order. Hour h stands in hours[h % CMCWH_HOURS], until another one does: those that are
     * too old, or yet to come after a clock was set back, are for the reader to leave out. */
    struct cmcwh_hour hours[CMCWH_HOURS];
};

/* Belongs to one ring. Before cmcwh_ring_init or cmcwh_ring_open the caller sets: */
struct cmcwh_history {
    uint32_t *places; /* as many as the ring has records; contents do not matter */

    /* By which repeats are known: `mark_count` of them, a power of two, at least twice the records
     * of the ring; contents do not matter. NULL and 0: nothing counts as a repeat. */
    uint32_t *marks;
    uint32_t mark_count;

    /* All else is the ring's. */
    struct cmcwh_counters counters; /* the totals without what the hours hold */
    uint64_t received;              /* of the event that was counted last */
    uint32_t hour; /* index in hours[] of that; CMCWH_HOURS: too long ago for any */
    uint32_t next; /* the oldest record that is not safe yet, or CMCWH_NONE */
};

/* A copy of what was counted, all of one instant. All zero when the ring has no history. Any
 * thread. */
void cmcwh_ring_counters(struct cmcwh_ring *ring, struct cmcwh_counters *counters);

/* Copies the event with this number, delivered or not, if it is safe and the ring still holds it.
 * 1, or 0: it does not (any more), or has no history. What may be found is not older than the last
 * `capacity` of numbers up to cmcwh_ring_state's `safe`. Any thread. */
int cmcwh_ring_look(struct cmcwh_ring *ring, uint64_t seq, struct cmcwh_record *record);

/* ---- Parser --------------------------------------------------------------------------------
 * Takes one request body in pieces of any size and writes its events into the ring, not yet
 * committed. Memory does not grow with the body. A string that is longer than its place is cut
 * and marked, never refused.
 *
 *   cmcwh_parser_init(&parser, &ring, CMCWH_JSON);
 *   while (there are bytes) if (cmcwh_parser_feed(&parser, bytes, n) < 0) goto bad;
 *   if (cmcwh_parser_end(&parser) < 0) goto bad;
 *   if (cmcwh_parser_commit(&parser) < 0) goto bad;      (200; a device with one thread: see below)
 *   bad: cmcwh_parser_abort(&parser);                    (see cmcwh_parser_error)
 *
 * When a device with one thread may answer 200, and how many events it then speaks of:
 *
 *   A ring in memory: the events are in RAM, and a sink that fails gets them again.
 *
 *       stored = cmcwh_parser_commit(&parser);             >= 0: 200
 *       at any later time, for each sink:
 *           if (cmcwh_sink_pump(&sink) < 0) cmcwh_ring_fail(&ring, reader, 0);
 *
 *   A ring with `confirm`: every required sink has written them.
 *
 *       stored = cmcwh_parser_commit(&parser);
 *       while (stored == CMCWH_PENDING) {
 *           for each sink, the required ones first:
 *               if (cmcwh_sink_pump(&sink) < 0) cmcwh_ring_fail(&ring, reader, retry);
 *           stored = cmcwh_parser_confirm(&parser);
 *       }                                                  >= 0: 200
 *
 *   A ring on storage: they are there, and a sink that fails gets them again, also after a restart.
 *
 *       stored = cmcwh_parser_commit(&parser);             >= 0: 200
 *       later as in memory
 *
 *   One with several parsers may spare its storage, or its sink, by `gather`: then the commit is
 *   pending at first, other requests go on meanwhile, and each is confirmed until that says more.
 *
 *   Below 0 in all of them: cmcwh_parser_abort, and the answer is 503.
 *
 * A multipart body needs its boundary, from Content-Type, between init and the first feed:
 *
 *   if (cmcwh_parser_boundary(&parser, boundary) < 0) goto bad;
 *
 * What it takes for a request (CMC documentation, "event webhook"): an object, or a form, with
 * `event_type`, `server_composition`, `event` and perhaps `api_key`, in any order, other members
 * ignored. `event` is an object (in a form: its JSON text) whose member named as event_type is a
 * list of events. Of repeated members the last one counts.
 */
enum cmcwh_format {
    CMCWH_JSON,     /* application/json */
    CMCWH_FORM,     /* application/x-www-form-urlencoded */
    CMCWH_MULTIPART /* multipart/form-data (RFC 7578) */
};

struct cmcwh_parser; /* see Insides */

/* What is wrong with a body. */
struct cmcwh_error {
    int result;         /* enum cmcwh_result */
    uint64_t offset;    /* in the body as it was sent, also for forms, from 0; for CMCWH_ERR_CHAIN
                           in the header */
    const char *detail; /* a sentence; static text */
    char field[32];     /* the member it is about, or "" */
};

/* Longest boundary of a multipart body (RFC 2046, section 5.1.1). */
#define CMCWH_BOUNDARY_MAX 70

/* Starts a request. The parser may be used again after commit or abort. `ring` must have been
 * initialised. One thread per parser. */
void cmcwh_parser_init(struct cmcwh_parser *parser, struct cmcwh_ring *ring,
                       enum cmcwh_format format);

/* The boundary of a CMCWH_MULTIPART body: after init, before the first feed. It is copied.
 * CMCWH_OK; CMCWH_ERR_ARGUMENT: not 1 to CMCWH_BOUNDARY_MAX characters of RFC 2046, or not now. A
 * multipart body without its boundary is refused with CMCWH_ERR_FORM, and so is a part with more
 * than 1 KiB (or CMCWH_WINDOW_SIZE) of headers. Parts of other names are skipped unseen. */
int cmcwh_parser_boundary(struct cmcwh_parser *parser, struct cmcwh_text boundary);

/* The request comes from another cmcwh, and is believed (cmcwh_chained): after init, before the
 * first feed. `events` is the value of its header Cmcwh-Events: for each event of the body, in the
 * same order and with commas between,
 *
 *   ID@MS or ID@MS/MASK    id in 16 hexadecimal digits; received, in ms since 1970 up to the year
 *                          9999, in decimal ones; truncated in up to 4 hexadecimal ones
 *
 * Each event takes its id and `received` from there, and is marked as cut there too. The text stays
 * the caller's, until the commit. If it is anything else, or has an entry too few or too many, the
 * request fails with CMCWH_ERR_CHAIN, the error's field is "Cmcwh-Events", and its offset one in
 * `events`. */
void cmcwh_parser_chain(struct cmcwh_parser *parser, struct cmcwh_text events);

/* Takes the next piece of the body; the bytes are the caller's again on return. CMCWH_OK, or
 * CMCWH_ERR_JSON, _FORM, _DEPTH, _MISSING, _TYPE, _EVENT_TYPE, _FULL, _EVENTS, _CHAIN. After an
 * error the parser refuses everything with the same one until it is aborted. What is wrong with a
 * form is told by cmcwh_parser_end only. */
int cmcwh_parser_feed(struct cmcwh_parser *parser, const void *bytes, size_t length);

/* The body is whole. Returns how many events it holds, or an error of cmcwh_parser_feed. Only the
 * caller knows that a body is whole (Content-Length, last chunk): a body that was cut short must be
 * aborted. */
int cmcwh_parser_end(struct cmcwh_parser *parser);

/* After cmcwh_parser_end: commits the events, waits until their fate is known, and returns how many
 * are safe. CMCWH_ERR_STORAGE: none of them was taken. CMCWH_PENDING, with a port that cannot wait:
 * with config.confirm a required sink has still to take them: pump, then cmcwh_parser_confirm; with
 * config.gather others may still come: go on with these, then cmcwh_parser_confirm.
 * CMCWH_ERR_ARGUMENT: they were committed before. */
int cmcwh_parser_commit(struct cmcwh_parser *parser);

/* Asks again what became of committed events. How many are safe; CMCWH_PENDING; CMCWH_ERR_STORAGE:
 * none of them was taken; CMCWH_ERR_ARGUMENT: nothing was committed. */
int cmcwh_parser_confirm(struct cmcwh_parser *parser);

/* Gives all records back. Allowed at any time after init, also twice. While the events are pending
 * it does not take them from the sinks: rather let a sink that is stuck fail (cmcwh_ring_fail,
 * cmcwh_ring_stall), and confirm. */
void cmcwh_parser_abort(struct cmcwh_parser *parser);

/* The last error; its result is CMCWH_OK when there was none. Belongs to the parser. */
const struct cmcwh_error *cmcwh_parser_error(const struct cmcwh_parser *parser);

/* After cmcwh_parser_end: the API key that the body held, empty if none. Belongs to the parser.
 * One that is too long to be right comes cut to CMCWH_SECRET_MAX + 1 bytes. */
struct cmcwh_text cmcwh_parser_api_key(const struct cmcwh_parser *parser);

/* ---- Encoders ------------------------------------------------------------------------------
 * One record to text or bytes. Control characters (C0, DEL, C1), line separators and marks of
 * direction are escaped as in JSON everywhere, so that no event can forge a line, turn one round,
 * or forge a terminal sequence or a header. CMCWH_ENCODE_CMC, which a program reads, escapes what
 * JSON must have escaped and nothing else. Outside of records an event type is as cmcwh_event_type
 * has it, also where its text gave way.
 * All return the bytes written; `out` must have room for CMCWH_ENCODED_MAX. Any thread.
 */
#define CMCWH_ENCODED_MAX (6 * CMCWH_RECORD_SIZE + 768)

enum cmcwh_encoding {
    CMCWH_ENCODE_JSON,    /* an object and a newline */
    CMCWH_ENCODE_LOGFMT,  /* key=value pairs and a newline, values quoted when needed; first what
                             it is read for: event_type, status, bounce, to, reason */
    CMCWH_ENCODE_BINARY,  /* the record's bytes in use in a COBS frame, ended by a zero byte */
    CMCWH_ENCODE_RFC5424, /* a syslog message with logfmt as its text, no newline */
    CMCWH_ENCODE_RFC6587, /* a message of RFC 5424, before it its length and a space (TCP) */
    CMCWH_ENCODE_RFC3164, /* the form that local syslog daemons expect on their socket */

    /* The object that CMC sends for the event in a request, without a newline. It has CMC's
     * members in CMC's order: of deliveries all, of bounces all but the IPs where those are empty,
     * of others those that are not empty, and their own. From a request with
     *   {"server_composition":"...","event_type":"...","event":{"...":[object,object]}}
     * whose event type is what cmcwh_event_type says, a parser makes the same records again but for
     * seq, batch, received, and what is said of texts that were cut before. */
    CMCWH_ENCODE_CMC
};

/* The least that a syslog message may be limited to. */
#define CMCWH_SYSLOG_LEAST 240

/* Who speaks in a syslog message, and how long it may be. NULL texts become "-" or are left out. */
struct cmcwh_syslog {
    const char *hostname;
    const char *process_id;
    unsigned facility;  /* 0 to 23 (RFC 5424 table 1); 1: user, 2: mail, 3: daemon */
    int32_t utc_offset; /* minutes east of UTC; for RFC 3164, whose time is local */

    /* Bytes that no message exceeds, its header included, but not the length that RFC 6587 puts
     * before it: CMCWH_SYSLOG_LEAST or more. 0: 1024 for RFC 3164, which knows no more; 1180 for
     * RFC 5424, a datagram that links take whole; 8192 for RFC 6587.
     * What would be longer is made to fit. Its longest texts are cut, each to the same length and
     * at a character. When that is 96 bytes, what stands last is left out instead, down to the five
     * items that come first: of these something always comes. The message then ends in `cut=` and
     * the names of what is cut, with the first that is left out and "members" for those of the
     * event's own. hostname may take a quarter of a message, process_id a sixteenth. */
    uint32_t max;
};

/* `syslog` may be NULL for the encodings that are not syslog's. */
size_t cmcwh_encode(const struct cmcwh_record *record, enum cmcwh_encoding encoding,
                    const struct cmcwh_syslog *syslog, char *out);

/* Finds records in a stream of frames, after noise and loss too. One thread. */
struct cmcwh_deframer {
    uint64_t records;
    uint64_t skipped; /* bytes that belonged to no good frame */
    uint32_t used;    /* bytes of the frame that is coming in */
    bool overflow;
    uint8_t frame[CMCWH_RECORD_SIZE + CMCWH_RECORD_SIZE / 254 + 2];
};

void cmcwh_deframer_init(struct cmcwh_deframer *deframer);

/* Takes bytes up to and with the end of the next good frame. Returns how many were taken, and
 * sets *found when `record` holds a checked record. Call again with what is left. */
size_t cmcwh_deframer_feed(struct cmcwh_deframer *deframer, const void *bytes, size_t length,
                           struct cmcwh_record *record, bool *found);

/* At the end of the stream: counts an unfinished frame as skipped. */
void cmcwh_deframer_end(struct cmcwh_deframer *deframer);

/* ---- Filter --------------------------------------------------------------------------------
 * Which events somebody wants: a list of words with commas between, and nothing else. An event
 * passes when any of the words names it:
 *
 *   deliveries, bounces, blocks            all events of this type
 *   other                                  all events of a type that is not known
 *   queued, succeeded, failed, deferred    deliveries with this status
 *   bounces:2                              bounces with this number, see enum cmcwh_bounce
 *   bounces:0                              bounces whose number is none of these
 *
 * So "bounces,failed" is all that did not arrive; "deliveries,failed" is the same as "deliveries",
 * for a second word never takes away what the first one named; and a delivery with a status that is
 * not known passes with "deliveries" only.
 */
struct cmcwh_filter {
    uint32_t events; /* bit n: events that count as n in enum cmcwh_count; 0: every event */
};

/* Reads such a list. CMCWH_OK; CMCWH_ERR_ARGUMENT: *at (may be NULL) is where the word begins that
 * is none of these, or where one lacks, and the filter is as it was. Any thread. */
int cmcwh_filter_parse(struct cmcwh_filter *filter, struct cmcwh_text list, size_t *at);

/* Any thread. */
bool cmcwh_filter_passes(const struct cmcwh_filter *filter, const struct cmcwh_event *event);

/* ---- Sinks ---------------------------------------------------------------------------------
 * Reads a ring for one reader and writes to one place. A UART or a file has `write`, as the example
 * at the top. A broker that wants each event under a topic, and says later that it has it:
 *
 *   static int publish(void *context, const struct cmcwh_record *record, const void *bytes,
 *                      size_t length) {
 *       struct cmcwh_event event;
 *
 *       cmcwh_record_read(record, &event);
 *       if (broker_publish(context, topic_of(&event), bytes, length) < 0) return -1;
 *       return broker_in_flight(context) >= 20;                // enough: let it acknowledge them
 *   }
 *
 *   static int settle(void *context) { return broker_wait_acknowledged(context); }
 *
 *   struct cmcwh_sink_config onward = {
 *       .ring = &ring, .context = &broker, .write_record = publish, .sync = settle,
 *       .buffer = buffer, .buffer_size = sizeof buffer};
 */
struct cmcwh_sink_config {
    struct cmcwh_ring *ring;
    int reader; /* from cmcwh_ring_attach */
    enum cmcwh_encoding encoding;
    const struct cmcwh_syslog *syslog; /* for the syslog encodings */

    void *context;

    /* Writes all bytes; may block, for a bounded time. 0: as many writes as there is something for,
     * up to a quarter of the ring, may share a sync; positive, or without a sync: enough for now;
     * negative: they could not all be written. */
    int (*write)(void *context, const void *bytes, size_t length);

    /* Instead of write, for a medium that has to know what it writes: called for each event with
     * its record, whose CRC is set, beside what `encoding` makes of it; both are good until it
     * returns. 0; positive: enough for now: once this request is through, all is synced and
     * acknowledged, which else is done when there is nothing left to read; negative as of write.
     * NULL: there is write. */
    int (*write_record)(void *context, const struct cmcwh_record *record, const void *bytes,
                        size_t length);

    /* Ends one or more writes that belong together (whole requests) and makes them stable: 0,
     * or negative. NULL: nothing to do. */
    int (*sync)(void *context);

    /* Takes back what was written since the sync before the last write, so that it is as if it
     * had never been; the same records come again, or their requests have failed. Called after a
     * failed write or sync, and after a sync whose records were taken back meanwhile. NULL: the
     * medium cannot. */
    void (*undo)(void *context);

    /* One record per write (datagrams) instead of as many as the buffer holds. */
    bool single;

    /* Only events that pass are written; the others are taken and acknowledged like them, so that
     * with a required reader "taken" means: every event that passes is written. NULL: all pass. */
    const struct cmcwh_filter *filter;

    /* At least CMCWH_ENCODED_MAX; more lets a write carry more records. */
    char *buffer;
    size_t buffer_size;
};

struct cmcwh_sink {
    struct cmcwh_sink_config config;
    uint64_t delivered; /* records written and acknowledged */
    struct cmcwh_record record;
};

/* CMCWH_OK, or CMCWH_ERR_ARGUMENT. */
int cmcwh_sink_init(struct cmcwh_sink *sink, const struct cmcwh_sink_config *config);

/* Takes what there is to read, until the medium has enough, and always whole requests: encode,
 * write, sync, acknowledge. Returns how many records it has taken, with those that do not pass the
 * filter: of these nothing is written, and when no other came, nothing is synced or undone; how
 * many were written, sink->delivered tells. 0 when there were none, or when they were taken back
 * meanwhile and undone (see cmcwh_ring_acknowledge); CMCWH_ERR_WRITE: then nothing was acknowledged
 * and everything undone, and the caller calls cmcwh_ring_fail. One thread per sink. */
int cmcwh_sink_pump(struct cmcwh_sink *sink);

/* ---- HTTP ----------------------------------------------------------------------------------
 * What the endpoint needs of HTTP, in whatever HTTP server it stands: may this sender post, what
 * is in the body, and what is answered. Nothing here reads from a connection or writes to one. Any
 * thread. A POST to the endpoint's path, whose head has come:
 *
 *   struct cmcwh_answer answer;
 *   struct cmcwh_content content;
 *
 *   if (cmcwh_authorized(&access, authorization, &answer) == CMCWH_OK &&
 *       cmcwh_content_type(content_type, &content, &answer) == CMCWH_OK) {
 *       cmcwh_parser_init(&parser, &ring, content.format);
 *       if (content.format == CMCWH_MULTIPART)
 *           cmcwh_parser_boundary(&parser, content.boundary);
 *       if (there is a Cmcwh-Events && cmcwh_chained(&access, authorization))
 *           cmcwh_parser_chain(&parser, cmcwh_events);
 *       feed, end and commit it as in Parser; `result` is what the last call returned
 *       cmcwh_parser_answer(&parser, result, &answer);
 *       if (result < 0) cmcwh_parser_abort(&parser);
 *   }
 *   send answer.status, cmcwh_http_reason(answer.status), Content-Type: application/json, and
 *   what cmcwh_answer_body makes of it; with 401 WWW-Authenticate, with 503 Retry-After.
 */

/* What is answered. Refusals of your own are made as {.status = 413, .error = "too_large",
 * .detail = "..."}. The texts stay their owner's. */
struct cmcwh_answer {
    int status;         /* of HTTP */
    int stored;         /* with 200: how many events are safe; with others all that follows: */
    const char *error;  /* a word, */
    const char *detail; /* a sentence, */
    const char *field; /* the member of the body, or the header, it is about, NULL or "" if none, */
    uint64_t offset;   /* and, if has_offset, where in the body, or in that header */
    bool has_offset;
};

/* What stands behind the status in an answer's first line: "Content Too Large" for 413. "Error" for
 * statuses that the endpoint does not use. Static text. */
const char *cmcwh_http_reason(int status);

/* What to answer when `result` was the last that this parser's functions returned. `answer` is good
 * until the parser is used again, aborting it excepted. */
void cmcwh_parser_answer(const struct cmcwh_parser *parser, int result,
                         struct cmcwh_answer *answer);

/* Most bytes of an answer's body. */
#define CMCWH_ANSWER_MAX 384

/* The body of an answer, a JSON object: {"stored":3} or {"error":"...","detail":"..."}. `out` must
 * have room for CMCWH_ANSWER_MAX. Returns the bytes written. Texts are escaped, and cut where they
 * are longer than an answer may be. */
size_t cmcwh_answer_body(const struct cmcwh_answer *answer, char *out);

/* What a Content-Type says of a body. */
struct cmcwh_content {
    enum cmcwh_format format;
    struct cmcwh_text boundary; /* of multipart: a part of the header's value */
};

/* Reads the value of the header Content-Type (empty: there is none). CMCWH_OK, or, with `answer`
 * filled in: CMCWH_ERR_MEDIA_TYPE: it is none of the three, or with CMCWH_NO_FORMS a form;
 * CMCWH_ERR_FORM: a multipart without one good boundary. */
int cmcwh_content_type(struct cmcwh_text value, struct cmcwh_content *content,
                       struct cmcwh_answer *answer);

/* Who may post. The texts belong to the caller. */
struct cmcwh_credential {
    enum cmcwh_credential_kind {
        CMCWH_BASIC,   /* base64 of USER:PASSWORD, as the header carries it (RFC 7617) */
        CMCWH_BEARER,  /* the token (RFC 6750) */
        CMCWH_API_KEY, /* the value of the body's api_key */
        CMCWH_CHAIN    /* the token (RFC 6750) of another cmcwh, which says of the events it posts
                          what they are called and when they were received: see cmcwh_chained */
    } kind;
    struct cmcwh_text secret;
};

/* Whoever brings one of these may post; without any, everybody may. A request may bring two, one in
 * Authorization and one as the body's api_key: if either is wrong it is refused, even if the other
 * is right. A kind (Basic, Bearer, API key) of which none stands here is not looked at; the tokens
 * of chains are Bearer ones. */
struct cmcwh_access {
    const struct cmcwh_credential *credentials;
    size_t count;
};

/* Is this value of the header Authorization (empty: there is none) right? `access` may be NULL for
 * no credentials. CMCWH_OK, or, with `answer` filled in:
 *   CMCWH_PENDING     the head says nothing, but an API key is among the credentials: read the body
 *                     and ask cmcwh_authorized_key, or send the answer if you would not
 *   CMCWH_ERR_NOBODY  no credentials of a configured kind are there
 *   CMCWH_ERR_WRONG   those that are there are wrong: somebody may be guessing
 * Takes the same time wherever a secret differs. */
int cmcwh_authorized(const struct cmcwh_access *access, struct cmcwh_text authorization,
                     struct cmcwh_answer *answer);

/* Is this value of Authorization that of another cmcwh (CMCWH_CHAIN)? Then, and not otherwise, the
 * value of the header Cmcwh-Events, if there is one, is for cmcwh_parser_chain: everybody else
 * could call an event what it is not. Asked once cmcwh_authorized has found nothing wrong. Takes
 * the same time wherever a secret differs. */
bool cmcwh_chained(const struct cmcwh_access *access, struct cmcwh_text authorization);

/* Is the body's api_key right too? Asked when an API key may be among the credentials, after
 * cmcwh_parser_end and before cmcwh_parser_commit; `head` is what cmcwh_authorized returned,
 * CMCWH_OK or CMCWH_PENDING. CMCWH_OK, CMCWH_ERR_NOBODY, CMCWH_ERR_WRONG. */
int cmcwh_authorized_key(const struct cmcwh_access *access, int head,
                         const struct cmcwh_parser *parser, struct cmcwh_answer *answer);

/* Bytes of an address as text, with the zero at its end. */
#define CMCWH_ADDRESS_SIZE 48

/* Wrong credentials: a peer that has sent CMCWH_TRIES of them within CMCWH_TRIES_TIME milliseconds
 * gets 429 for the rest of that time, whatever it sends. In IPv6 a /64 counts as one peer. The
 * CMCWH_PEERS peers that did so last are remembered, and those that get 429 before others. */
#define CMCWH_TRIES      10
#define CMCWH_TRIES_TIME 60000
#define CMCWH_PEERS      32

/* Who has sent wrong credentials of late; all zero at first. One thread at a time. */
struct cmcwh_tries; /* see Insides */

/* How many ms the peer with this address, as text, gets 429; 0: it may try. `now`: any milliseconds
 * that only go forward. */
uint32_t cmcwh_tries_wait(const struct cmcwh_tries *tries, const char *address, uint64_t now);

/* cmcwh_authorized, or cmcwh_authorized_key, has returned CMCWH_ERR_WRONG for this peer. */
void cmcwh_tries_wrong(struct cmcwh_tries *tries, const char *address, uint64_t now);

/* ---- Server --------------------------------------------------------------------------------
 * The HTTP endpoint, on top of civetweb: reads a request, feeds the parser, answers. Starting
 * civetweb, threads and sockets are the platform's. Needs civetweb 1.15 or later.
 */
#ifndef CMCWH_NO_SERVER

struct mg_connection;

enum cmcwh_level { CMCWH_LOG_ERROR, CMCWH_LOG_WARN, CMCWH_LOG_INFO, CMCWH_LOG_DEBUG };

/* A request that was not answered with 200. No secret is in it. */
struct cmcwh_refusal {
    const char *peer; /* its address */
    const char *path; /* as the sender wrote it: not to be printed as it is */
    const struct cmcwh_answer *answer;
};

struct cmcwh_server_config {
    struct cmcwh_ring *ring;
    const char *path;  /* of the endpoint, "/mails" */
    uint64_t body_max; /* longest body taken */

    /* For so many seconds a connection may rest between two requests: answers tell it to the client
     * as `Keep-Alive: timeout=`, and whoever closes connections must wait longer than that, for a
     * client such as Apache HttpClient, which CMC uses, writes its next POST into a connection that
     * was closed in silence, and does not repeat it. 0: every answer says `Connection: close`. */
    uint32_t keep_alive;

    /* The rest may be NULL; called by civetweb's worker threads. */
    void *context;

    /* What is wrong with the head of a request as it was sent (400), NULL: nothing. Civetweb reads
     * heads that RFC 9112 forbids, some otherwise than a proxy before it. Without this function
     * only what civetweb's interface shows is checked. */
    const char *(*head_fault)(void *context, const struct mg_connection *connection);

    /* Whose request is it? Replaces `address`, civetweb's remote_addr, when that is a proxy which
     * says for whom it asks. */
    void (*peer)(void *context, const struct mg_connection *connection,
                 char address[CMCWH_ADDRESS_SIZE]);

    /* May this peer post (403)? */
    bool (*allow)(void *context, const char *address);

    /* The bytes of the body that have come and are not taken yet, as they were sent, with the
     * framing of chunks: how many are at *bytes, which stay until took() is called; 0: the sender
     * has ended; CMCWH_PENDING: none are there yet, see cmcwh_server_handle. NULL: the body is read
     * with mg_read, which waits, and decodes chunks but for extensions and trailers. */
    int (*read)(void *context, struct mg_connection *connection, const char **bytes);
    void (*took)(void *context, struct mg_connection *connection, size_t length);

    /* NULL: cmcwh_server_handle waits until it is known whether the events are safe. Otherwise it
     * does not, but returns CMCWH_STORING, and then this is called once, by any thread, with the
     * ring's lock held: it must be short, and call nothing of cmcwh. */
    void (*settled)(void *context, struct mg_connection *connection);

    /* Will this connection be closed after its answer, because it cannot rest as long as keep_alive
     * promises, or civetweb cannot go on with it? Then the answer says so. */
    bool (*closing)(void *context, const struct mg_connection *connection);

    /* A request was refused: for the operator. Any thread. */
    void (*refused)(void *context, const struct cmcwh_refusal *refusal);
};

struct cmcwh_server; /* see Insides */

/* What one request at a time needs: as many as there are threads that answer, and with config.read
 * as many as may be pending. Too large for a stack; all zero at first. */
struct cmcwh_worker;

/* The statuses that are counted, in this order; the last counts all others. */
#define CMCWH_STATUS_LIST                                                                          \
    { 200, 400, 401, 403, 404, 405, 408, 411, 413, 415, 422, 429, 431, 503, 0 }
#define CMCWH_STATUSES 15

/* The words that answers other than 200 carry as their error are counted too; the last counts all
 * others. */
#define CMCWH_ERRORS 24

/* The word whose requests errors[i] counts: "malformed_json", "not_found", "storage_failed";
 * "other" for the last and beyond. Static text; any thread. */
const char *cmcwh_error_name(unsigned i);

struct cmcwh_server_counters {
    uint64_t requests, events; /* answered; stored */
    uint64_t answers[CMCWH_STATUSES];
    uint64_t errors[CMCWH_ERRORS];
    uint64_t last_request, last_ok; /* when one was answered, and with 200: milliseconds since
                                       1970-01-01 00:00 UTC, 0: none was */
};

/* CMCWH_OK, or CMCWH_ERR_ARGUMENT: also for a ring with storage or config.confirm whose port cannot
 * wait, since an answer must wait for them. */
int cmcwh_server_init(struct cmcwh_server *server, const struct cmcwh_server_config *config);

/* Reads one request, stores its events, answers: the HTTP status, which civetweb's begin_request
 * callback returns in turn. `worker` is the request's until then. CMCWH_PENDING, with config.read
 * only: the body is not all there; call again, from any thread, with the same arguments, when more
 * of it is, or end the request with cmcwh_server_refuse. CMCWH_STORING, with config.settled only:
 * it is not known yet what is to be answered; call again when that is called, and when the ring's
 * confirm_wait is over; with the ring's `gather` see cmcwh_ring_gathered. `access` (NULL: everybody
 * may post) must stay as it is until the request is answered. */
int cmcwh_server_handle(struct cmcwh_server *server, struct cmcwh_worker *worker,
                        const struct cmcwh_access *access, struct mg_connection *connection);

/* Answers a request that is not even one, or that is pending and has to go: 400, 408 (late), 431
 * (its head), 503 (no place for it), 505. Takes nothing of it. In civetweb's http_error callback,
 * which returns what this returns (0: answered). One that is being stored (CMCWH_STORING) is not
 * waited for any longer: 503, or 200 if it has been stored by now; not while another thread may
 * just be writing it, so only at the end, when no other thread handles requests. */
int cmcwh_server_refuse(struct cmcwh_server *server, struct cmcwh_worker *worker,
                        struct mg_connection *connection, int status);

/* From now on requests get 503; those that have begun are answered as usual. */
void cmcwh_server_stop(struct cmcwh_server *server);

/* Waits until no request is in flight, `ms` at most. true when there is none. */
bool cmcwh_server_drain(struct cmcwh_server *server, uint32_t ms);

/* A copy of the counters, all of one instant. */
void cmcwh_server_count(struct cmcwh_server *server, struct cmcwh_server_counters *counters);

#endif /* CMCWH_NO_SERVER */

/* ---- Insides -------------------------------------------------------------------------------
 * All from here on is there for `sizeof` only: it changes without notice. Whoever holds one of
 * these may read its `config`, which is as it was given.
 */
#define CMCWH_NONE UINT32_MAX

/* A request's hold on the ring. One thread. */
struct cmcwh_batch {
    struct cmcwh_ring *ring;
    uint32_t first, last;
    uint32_t count;
    uint32_t spare, spares; /* taken from the ring, not used yet */
    /* Before the commit; NULL: whoever confirms waits. Called once, with the lock held, when a
     * batch that was found pending is to be confirmed again. */
    void (*settled)(void *context);
    void *context;
    /* After the commit: */
    uint64_t first_seq;
    uint64_t since; /* ticks from which on it waits to be safe; before that, for others */
    int outcome;
    bool parked; /* it was found pending */
    struct cmcwh_batch *next_waiting;
};

/* A sink's place. */
struct cmcwh_reader {
    bool attached, required, failed;
    bool spoiled;     /* what it has read was taken back in part */
    uint32_t next;    /* the record that is read next, CMCWH_NONE when there is none */
    uint32_t oldest;  /* the first that was not acknowledged */
    uint64_t lost;    /* evicted before they were read */
    uint64_t retry;   /* with confirm: no request before these ticks */
    uint64_t evicted; /* read, not acknowledged, and evicted since */
    uint64_t name;    /* hash, 0: none */
    uint64_t place;   /* on storage, while it is not attached */
};

/* The storage's side of a ring. */
struct cmcwh_keeper {
    uint64_t generation;
    uint64_t low; /* records from this seq on are kept by the state that is synced */
    uint32_t block;
    uint32_t copy;       /* of the state: the one that is synced, 0 or 1 */
    bool busy;           /* a thread is using the storage */
    bool dirty;          /* the places differ from those that were written */
    bool unsynced;       /* places were written, not synced */
    uint32_t last_group; /* how many requests shared the last sync */
    uint32_t pause;      /* ms, 0: it works */

    /* NULL: the ring lives in memory only. */
    const struct cmcwh_keeping *keeping;

    uint64_t retry;   /* no request before these ticks */
    uint32_t tainted; /* chain of records whose write failed, to be cleared before use */
    uint32_t tainted_count;
};

struct cmcwh_ring {
    struct cmcwh_ring_config config;
    uint32_t head, tail; /* committed, oldest to newest */
    uint32_t free;      /* in memory the first free record, on storage where to look for the next */
    uint32_t free_last; /* in memory: of the chain that begins there */
    uint32_t in_use, peak;
    uint32_t waiting_readers, room_waiters;
    uint64_t next_seq, fulls;
    uint64_t moved;              /* with room_waiters: when records were last taken or freed */
    struct cmcwh_batch *waiting; /* committed, not confirmed; oldest first */
    int readers_end;             /* behind the last that is attached */
    struct cmcwh_reader readers[CMCWH_READERS_MAX];
    struct cmcwh_keeper keeper;
};

/* Where we are in a multipart body. */
struct cmcwh_multipart {
    uint8_t state;
    uint8_t length;   /* of the delimiter */
    uint8_t matched;  /* bytes of the delimiter that have just come */
    uint8_t borrowed; /* how many of them came before the value began */
    bool named;       /* the part has a Content-Disposition */
    char delimiter[4 + CMCWH_BOUNDARY_MAX];
};

/* A text of a request that is kept until its end. */
struct cmcwh_kept {
    uint16_t length;
    bool truncated;
    char text[CMCWH_SECRET_MAX + 1];
};

/* Validates and decodes text that comes in pieces. */
struct cmcwh_decoder {
    uint32_t code;     /* what has come of an escape or a character */
    uint16_t high;     /* a high surrogate that waits for its low one */
    uint8_t escape;    /* 0, or where in an escape we are */
    uint8_t more;      /* continuation bytes to come */
    uint8_t low, top;  /* range of the next continuation byte */
    bool json;         /* escapes count, and control characters are refused */
    const char *fault; /* what is wrong */
};

/* A record that is being built. */
struct cmcwh_draft {
    struct cmcwh_record *record; /* NULL: none */
    unsigned used;               /* bytes of text */
    unsigned squeezed;           /* bit f: the text of field f found too little room */
    unsigned highest;            /* one more than the last field that has text */
};

/* An array or object of a body. */
struct cmcwh_container {
    uint8_t place; /* what it is to us */
    bool object;
};

/* Of some processors a short instruction reaches only what stands near the beginning, a byte not so
 * far as a word: so bytes come first, and what is large comes last. */
struct cmcwh_parser {
    bool failed; /* nothing more is taken */
    uint8_t format;

    /* The JSON: what may come next, and where in the grammar of a number that is longer than the
     * window. */
    uint8_t expect, number;
    bool skipping; /* inside a string or number that is longer than the window */
    bool ending;   /* the text is complete */

    /* The events: what the current member is to us. */
    uint8_t member;
    uint8_t hint;      /* which member of an event is likely next */
    uint8_t list_kind; /* of the events in the list that was found */
    bool have_event, have_list;
    bool capturing;
    struct cmcwh_container inside; /* the innermost that is open */

    /* The form: where we are in it, and what has come of a %XX. */
    uint8_t form_state, hex_digits, hex;

    uint16_t capture;             /* where the member begins that is being kept as JSON */
    struct cmcwh_decoder decoder; /* of what is longer than the window, or in a form */
    struct cmcwh_batch batch;

    /* The window, and how many containers are open at its beginning. */
    uint32_t depth;
    uint32_t used;     /* bytes in the window */
    uint32_t cut;      /* index, CMCWH_NONE when nothing is left out */
    uint32_t position; /* of window[0] in `escaped`, a ring of bits */
    uint32_t tried;    /* form: bytes of the window that were looked at in vain */

    struct cmcwh_draft draft; /* of the event that is being read */
    uint64_t root_offset, event_offset, list_offset, key_offset;
    struct cmcwh_error error;

    struct cmcwh_container open[CMCWH_DEPTH_MAX + 1]; /* from the outermost, which is none, on */

    /* Of the body. */
    uint64_t offset;  /* of its next byte */
    uint64_t origin;  /* of window[0] */
    uint64_t skipped; /* bytes that are left out of the window at `cut` */

    struct cmcwh_text chain; /* without data: it is none */
    struct cmcwh_multipart multipart;
    struct cmcwh_kept key; /* the current name */
    struct cmcwh_kept list, event_type, composition, api_key;

    int tokens[5 * CMCWH_TOKENS];           /* of jsmn, whose header need not be known here */
    uint8_t escaped[CMCWH_WINDOW_SIZE / 8]; /* form: was this byte of the window sent as %XX? */
    char window[CMCWH_WINDOW_SIZE];
};

/* A peer that has sent wrong credentials. */
struct cmcwh_peer {
    char name[24];
    uint32_t wrong; /* 0: nobody */
    uint64_t since; /* ticks of the first */
};

struct cmcwh_tries {
    struct cmcwh_peer peers[CMCWH_PEERS];
};

#ifndef CMCWH_NO_SERVER

struct cmcwh_server {
    struct cmcwh_server_config config;
    struct cmcwh_server_counters counters;
    struct cmcwh_tries tries;
    uint32_t in_flight;
    bool stopping;
};

/* Where a chunked body is. */
struct cmcwh_chunks {
    uint64_t left;
    uint16_t skipped;
    uint8_t state, digits;
};

#define CMCWH_HEADERS 9

/* One request and what will be answered. */
struct cmcwh_exchange {
    struct cmcwh_server *server;
    struct cmcwh_worker *worker;
    const struct cmcwh_access *access;
    struct mg_connection *connection;
    const struct mg_request_info *info;
    struct cmcwh_text headers[CMCWH_HEADERS]; /* the first of each; without data: there is none */
    uint8_t header_counts[CMCWH_HEADERS];
    char peer[CMCWH_ADDRESS_SIZE];
    int head;   /* what cmcwh_authorized said */
    bool begun; /* it has been looked at, and is not answered yet */
    bool committed;

    /* The body. */
    struct cmcwh_content content;
    struct cmcwh_chunks chunks;
    bool chunked;
    bool unread; /* some of it has not been read, or it is not known where it ends */
    uint64_t length, received;

    struct cmcwh_answer answer;
    uint64_t answered;    /* when: milliseconds since 1970 */
    bool stopping;        /* the server is: the connection does not stay */
    uint32_t retry_after; /* seconds */
};

struct cmcwh_worker {
    struct cmcwh_parser parser;
    struct cmcwh_exchange exchange;
    char bytes[CMCWH_READ_SIZE];
};

#endif /* CMCWH_NO_SERVER */

#ifdef __cplusplus
}
#endif

#endif /* CMCWH_H */
