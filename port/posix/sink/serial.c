/* serial: a line, 8 data bits, no parity, one stop bit, no flow control. Not here: frames and
 * lines, which are encodings (cmcwh.c). */
#include "sink/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "platform/platform.h"

/* What only a line has. */
struct line {
    unsigned baud;
    bool torn; /* a record broke off: to be ended before the next */
};

static const struct line at_first = {.baud = 115200};

static bool speed_of(unsigned baud, speed_t *speed) {
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

static int set_line(struct sink *sink) {
    const struct line *own = sink->own;
    struct termios line;
    speed_t speed;

    if (tcgetattr(sink->descriptor, &line) != 0) {
        return sink_trouble(sink, "is not a serial line", errno);
    }
    if (!speed_of(own->baud, &speed)) {
        return sink_trouble(sink, "there is no such baud rate", 0);
    }
    cfmakeraw(&line);
    line.c_cflag &= ~(tcflag_t)(CRTSCTS | CSTOPB);
    line.c_cflag |= CLOCAL | CREAD;
    if (cfsetispeed(&line, speed) != 0 || cfsetospeed(&line, speed) != 0 ||
        tcsetattr(sink->descriptor, TCSANOW, &line) != 0) {
        return sink_trouble(sink, "cannot be set to this baud rate", errno);
    }
    return 0;
}

static void serial_close(struct sink *sink) {
    (void)tcflush(sink->descriptor, TCOFLUSH); /* closing would wait for a line that is stuck */
    (void)close(sink->descriptor);
    sink->descriptor = -1;
}

static int put(struct sink *sink, const void *bytes, size_t length) {
    return send_all(sink, bytes, length, "the line broke");
}

static int serial_open(struct sink *sink) {
    struct line *line = sink->own;
    char end = sink->encoding == CMCWH_ENCODE_BINARY ? '\0' : '\n';

    sink->descriptor = open(sink->target, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (sink->descriptor < 0) {
        return sink_trouble(sink, "cannot be opened", errno);
    }
    /* What broke off before must not run into what comes. */
    if (set_line(sink) < 0 || (line->torn && put(sink, &end, 1) < 0)) {
        serial_close(sink);
        return -1;
    }
    line->torn = false;
    return 0;
}

static int serial_write(void *context, const void *bytes, size_t length) {
    struct sink *sink = context;
    struct line *line = sink->own;

    line->torn = true;
    if (put(sink, bytes, length) < 0) {
        return -1;
    }
    line->torn = false;
    return 0;
}

/* Until the last byte has left for the wire. */
static int serial_sync(void *context) {
    struct sink *sink = context;
    struct line *line = sink->own;
    uint64_t start = platform_ticks();
    int waiting = 0, before = 0;

    while (ioctl(sink->descriptor, TIOCOUTQ, &waiting) == 0 && waiting > 0) {
        if (waiting != before) {
            start = platform_ticks();
            before = waiting;
        } else if (platform_ticks() - start > SINK_TIMEOUT) {
            line->torn = true;
            return sink_trouble(sink, "takes nothing more", 0);
        }
        (void)poll(NULL, 0, 2);
    }
    return 0;
}

static bool set_baud(struct sink *sink, const char *value) {
    struct line *line = sink->own;
    uint64_t number;
    bool right = sink_number(value, 0, 4000000, &number);

    line->baud = (unsigned)number;
    return right;
}

static const struct sink_parameter parameters[] = {
    {"baud", "baud=RATE, such as 9600 or 115200", set_baud}, {NULL, NULL, NULL}};

const struct sink_medium sink_serial = {.scheme = "serial",
                                        .help = "serial:/dev/ttyS0?baud=115200",
                                        .encoding = CMCWH_ENCODE_JSON,
                                        .target = sink_path,
                                        .parameters = parameters,
                                        .own = &at_first,
                                        .own_size = sizeof at_first,
                                        .open = serial_open,
                                        .write = serial_write,
                                        .sync = serial_sync,
                                        .close = serial_close};
