/* What is counted, for Prometheus and those who read its formats. */
#ifndef CMCWH_METRICS_H
#define CMCWH_METRICS_H

#include "admin/status.h"
#include "platform/writer.h"

/* The names and what they mean are in port/prometheus/README.md, and in the HELP of each. No label
 * has anything of a mail or of a peer. In OpenMetrics 1.0, or in Prometheus' text format 0.0.4;
 * 48 KiB at most. */
void metrics_write(struct writer *writer, const struct status *status, bool openmetrics);

/* The Content-Type of each. */
const char *metrics_type(bool openmetrics);

#endif
