/* A ring file that is looked at. Not here: what a ring file is (platform/ring_file.c). */
#include "command/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/log.h"
#include "platform/memory.h"

void view_close(struct view *view) {
    memory_free(view->records);
    free(view->links);
    view->records = NULL;
    view->links = NULL;
    ring_file_close(&view->file);
}

bool view_open(struct view *view, const char *path) {
    if (!ring_file_view(&view->file, path)) {
        return false;
    }
    view->records = memory_take(view->file.geometry.records, sizeof *view->records);
    view->links = calloc(view->file.geometry.records, sizeof *view->links);
    if (view->records == NULL || view->links == NULL) {
        log_usage("%s: not enough memory for its records", path);
        view_close(view);
        return false;
    }
    return true;
}

/* Reads both copies of the state. */
bool view_changed(struct view *view) {
    uint8_t states[2][CMCWH_STATE_SIZE];
    bool changed;

    for (unsigned copy = 0; copy < 2; copy++) {
        if (view->file.storage.read(&view->file, (1 + copy) * (uint64_t)view->file.geometry.block,
                                    states[copy], sizeof states[copy]) < 0) {
            return false;
        }
    }
    changed = memcmp(states, view->states, sizeof states) != 0;
    memcpy(view->states, states, sizeof states);
    return changed;
}

/* While a server writes to it, both copies of its state may seem damaged: then once more. */
int view_read(struct view *view, struct cmcwh_recovery *found) {
    struct cmcwh_ring_config config = {.records = view->records,
                                       .links = view->links,
                                       .capacity = view->file.geometry.records,
                                       .storage = &view->file.storage};
    int result, tries = 5;

    (void)view_changed(view);
    do {
        result = cmcwh_ring_open(&view->ring, &config, found);
    } while (result < 0 && view_changed(view) && tries-- > 0);
    if (result < 0) {
        log_usage("%s: %s", view->file.path, found->why != NULL ? found->why : strerror(errno));
        return -1;
    }
    if (found->damaged > 0) {
        log_usage("%s: skipped %llu damaged records", view->file.path,
                  (unsigned long long)found->damaged);
    }
    return cmcwh_ring_attach(&view->ring, NULL, true);
}
