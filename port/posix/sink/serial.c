/* serial: a line, 8 data bits, no parity, one stop bit, no flow control. Not here: frames and
 * lines, which are encodings (cmcwh.c), and that one which broke off is ended (outlet.c). */
#include "sink/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "platform/number.h"
#include "platform/platform.h"

/* What only a line has. */
struct line {
    struct outlet outlet;
    unsigned baud;
    speed_t speed;  /* the same, as the system calls it */
    size_t written; /* bytes since the last sync */
    bool draining;  /* `drainer` has not ended yet */
    pthread_t drainer;
};

/* What was there before it may have broken off, or be noise. */
static const struct line at_first = {.baud = 115200, .speed = B115200, .outlet.torn = true};

static bool speed_of(uint64_t baud, speed_t *speed) {
    static const struct {
        unsigned baud;
        speed_t speed;
    } speeds[] = {
        {1200, B1200},       {2400, B2400},       {4800, B4800},       {9600, B9600},
        {19200, B19200},     {38400, B38400},     {57600, B57600},     {115200, B115200},
        {230400, B230400},   {460800, B460800},   {921600, B921600},   {1000000, B1000000},
        {1500000, B1500000}, {2000000, B2000000}, {3000000, B3000000}, {4000000, B4000000}};

    for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++) {
        if (speeds[i].baud == baud) {
            *speed = speeds[i].speed;
            return true;
        }
    }
    return false;
}

/* The device, whatever it is; a line without a carrier is not waited for. */
static int open_device(const struct sink *sink) {
    return open(sink->target, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

static int set_line(struct sink *sink, int descriptor) {
    const struct line *own = sink->own;
    struct termios line;

    if (tcgetattr(descriptor, &line) != 0) {
        return sink_trouble(sink, "is not a serial line", errno);
    }
    cfmakeraw(&line);
    line.c_cflag &= ~(tcflag_t)(CRTSCTS | CSTOPB);
    line.c_cflag |= CLOCAL | CREAD;
    if (cfsetispeed(&line, own->speed) != 0 || cfsetospeed(&line, own->speed) != 0 ||
        tcsetattr(descriptor, TCSANOW, &line) != 0) {
        return sink_trouble(sink, "cannot be set to this baud rate", errno);
    }
    return 0;
}

/* Closing would wait for a line that is stuck: what it has not sent, which nobody was told is safe,
 * is dropped. A terminal's other end may not have read what it has: that is not ours any more. */
static void serial_close(struct sink *sink) {
    const struct line *line = sink->own;
    int waiting = 0;

    if (ioctl(sink->descriptor, TIOCOUTQ, &waiting) == 0 ? waiting > 0
                                                         : line->draining || line->written > 0) {
        (void)tcflush(sink->descriptor, TCOFLUSH);
    }
    (void)close(sink->descriptor);
    sink->descriptor = -1;
}

/* A tcdrain, which knows no time-out: in a thread of its own it may take as long as it likes, and
 * has nothing that is anybody else's. */
struct drain {
    int descriptor, error;
};

static void *drain(void *context) {
    struct drain *drain = context;

    drain->error = tcdrain(drain->descriptor) == 0 ? 0 : errno;
    return drain;
}

/* 0, or an error number. */
static int begin_drain(const struct sink *sink) {
    struct line *line = sink->own;
    struct drain *context = malloc(sizeof *context);
    int error = ENOMEM;

    if (context != NULL) {
        context->descriptor = sink->descriptor;
        error = pthread_create(&line->drainer, NULL, drain, context);
    }
    if (error != 0) {
        free(context);
    }
    line->draining = error == 0;
    return error;
}

/* Is there one that has not ended? If it has, *error says how. */
static bool drains(struct line *line, int *error) {
    void *context;

    if (line->draining && pthread_tryjoin_np(line->drainer, &context) == 0) {
        *error = ((struct drain *)context)->error;
        free(context);
        line->draining = false;
    }
    return line->draining;
}

/* How many bytes have not left for the wire, or 1 where only tcdrain knows whether all have. -1
 * with sink->trouble. */
static int unsent(struct sink *sink) {
    struct line *line = sink->own;
    int error = 0, waiting = 0;

    if (!line->draining) {
        if (ioctl(sink->descriptor, TIOCOUTQ, &waiting) == 0) {
            return waiting;
        }
        error = errno == ENOTTY || errno == EINVAL ? begin_drain(sink) : errno;
    }
    if (drains(line, &error)) {
        return 1;
    }
    return error == 0 ? 0 : sink_trouble(sink, "the line broke", error);
}

/* A line that is not plugged in may come; what is there and is none will not become one. */
static enum outcome serial_look(struct sink *sink, bool reach) {
    enum outcome outcome = OUTCOME_RIGHT;
    struct stat status;
    int descriptor;

    (void)reach;
    if (stat(sink->target, &status) != 0) {
        return sink_unfit(sink, "cannot be opened", errno,
                          errno == ENOENT ? OUTCOME_FAILED : outcome_of(errno));
    }
    if (!S_ISCHR(status.st_mode)) {
        return sink_unfit(sink, "is not a serial line", 0, OUTCOME_WRONG);
    }
    descriptor = open_device(sink);
    if (descriptor < 0) {
        return sink_unfit(sink, "cannot be opened", errno, outcome_of(errno));
    }
    if (isatty(descriptor) == 0) {
        outcome = sink_unfit(sink, "is not a serial line", errno,
                             errno == ENOTTY ? OUTCOME_WRONG : OUTCOME_FAILED);
    }
    (void)close(descriptor);
    return outcome;
}

static int serial_open(struct sink *sink) {
    struct line *line = sink->own;
    int descriptor, error;

    if (drains(line, &error)) { /* of before: it is still stuck */
        return sink_trouble(sink, "takes nothing more", 0);
    }
    descriptor = open_device(sink);
    if (descriptor < 0) {
        return sink_trouble(sink, "cannot be opened", errno);
    }
    if (set_line(sink, descriptor) < 0) {
        (void)close(descriptor);
        return -1;
    }
    return outlet_take(sink, descriptor, -1);
}

/* What the line has not sent is dropped with it, wherever in a record that is. */
static int broke(struct sink *sink) {
    struct line *line = sink->own;

    line->outlet.torn = true;
    return -1;
}

static int serial_write(void *context, const void *bytes, size_t length) {
    struct sink *sink = context;
    struct line *line = sink->own;

    line->written += length;
    return outlet_write(sink, bytes, length) < 0 ? broke(sink) : 1;
}

/* Until the last byte has left for the wire: SINK_TIMEOUT from the last that was seen to leave, and
 * where none can be seen, from when the line has had the time for all of them. */
static int serial_sync(void *context) {
    struct sink *sink = context;
    struct line *line = sink->own;
    uint64_t start = platform_ticks(), needed = line->written * UINT64_C(10000) / line->baud;
    int waiting = unsent(sink), before = waiting;

    line->written = 0;
    for (; waiting > 0; waiting = unsent(sink)) {
        if (waiting != before) {
            start = platform_ticks();
            before = waiting;
            sink_moves(sink);
        }
        if (platform_ticks() - start > SINK_TIMEOUT + (line->draining ? needed : 0) ||
            sink_stopping(sink)) {
            (void)sink_trouble(sink, "takes nothing more", 0);
            return broke(sink);
        }
        (void)poll(NULL, 0, 2);
    }
    return waiting < 0 ? broke(sink) : 0;
}

static bool set_baud(struct sink *sink, const char *value) {
    struct line *line = sink->own;
    uint64_t number;

    if (!number_read(value, 0, UINT32_MAX, &number) || !speed_of(number, &line->speed)) {
        return false;
    }
    line->baud = (unsigned)number;
    return true;
}

static const struct sink_parameter parameters[] = {
    {"baud", "baud=RATE, such as 9600 or 115200", set_baud}, {NULL, NULL, NULL}};

const struct sink_medium sink_serial = {.scheme = "serial",
                                        .help = "serial:/dev/ttyS0",
                                        .encoding = CMCWH_ENCODE_JSON,
                                        .target = sink_path,
                                        .parameters = parameters,
                                        .own = &at_first,
                                        .own_size = sizeof at_first,
                                        .look = serial_look,
                                        .open = serial_open,
                                        .write = serial_write,
                                        .sync = serial_sync,
                                        .close = serial_close};
