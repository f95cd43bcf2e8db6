/* The snapshot for programs: /status.json. */
#ifndef CMCWH_STATUS_JSON_H
#define CMCWH_STATUS_JSON_H

#include "admin/status.h"
#include "platform/writer.h"

/* One JSON object, whatever the texts are of which it is made. Its members are described in
 * port/prometheus/README.md; later versions may add some. 64 KiB at most. */
void status_json_write(struct writer *writer, const struct status *status);

#endif
