/* How a command shows a record. Not here: where it has it from. */
#include "command/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmcwh.h"
#include "platform/log.h"

int command_print(const struct cmcwh_record *record, int encoding) {
    static char line[CMCWH_ENCODED_MAX];
    size_t length = cmcwh_encode(record, (enum cmcwh_encoding)encoding, NULL, line);

    if (fwrite(line, 1, length, stdout) != length) {
        log_usage("standard output: %s", strerror(errno));
        return -1;
    }
    return 0;
}
