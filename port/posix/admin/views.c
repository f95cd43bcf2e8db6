/* The paths of the admin port that are one answer each. Not here: what is in one; streams
 * (events.c). */
#include "admin/views.h"

#include <stddef.h>

#include "admin/metrics.h"
#include "admin/page.h"
#include "admin/status_json.h"

static const char *view_metrics(const struct view_of *of, struct writer *out) {
    struct cmcwh_text accept = of->request->headers[REQUEST_ACCEPT];
    unsigned wish = request_accepts(accept, "application/openmetrics-text");
    bool openmetrics = wish > 0 && wish >= request_accepts(accept, "text/plain");

    metrics_write(out, of->status, openmetrics);
    return metrics_type(openmetrics);
}

static const char *view_status_json(const struct view_of *of, struct writer *out) {
    status_json_write(out, of->status);
    return "application/json";
}

static const struct view views[] = {{"/", page_policy, page_show},
                                    {"/metrics", NULL, view_metrics},
                                    {"/status.json", NULL, view_status_json}};

const struct view *view_find(struct cmcwh_text path) {
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        if (request_is(path, views[i].path)) {
            return &views[i];
        }
    }
    return NULL;
}
