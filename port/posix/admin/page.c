/* The status page: in which language and form it is wanted. */
#include "admin/page.h"

#include <string.h>

/* What a browser prefers, unless the query says otherwise. */
static enum language wanted_language(const struct request *request) {
    struct cmcwh_text accepted = request->headers[REQUEST_ACCEPT_LANGUAGE];

    return request_accepts(accepted, "ja") > request_accepts(accepted, "en") ? JAPANESE : ENGLISH;
}

void page_asked(struct page_view *view, const struct request *request) {
    struct cmcwh_text query = request->query, accepted = request->headers[REQUEST_ACCEPT];
    struct request_parameter parameter;
    int taken;

    view->text = request_accepts(accepted, "text/html") <= request_accepts(accepted, "text/plain");
    view->language = wanted_language(request);
    view->hide = view->hide_always;
    while ((taken = request_parameter(&query, &parameter)) != 0) {
        const char *value = parameter.value;

        if (taken < 0) {
            continue; /* what cannot be read asks for nothing */
        }
        if (request_is(parameter.name, "lang") && strcmp(value, "ja") == 0) {
            view->language = JAPANESE;
        } else if (request_is(parameter.name, "lang") && strcmp(value, "en") == 0) {
            view->language = ENGLISH;
        } else if (request_is(parameter.name, "hide") && strcmp(value, "addresses") == 0) {
            view->hide = true;
        }
    }
}

const char *page_show(const struct view_of *of, struct writer *out) {
    struct page_view view = {.ring = of->ring, .hide_always = of->hide};

    page_asked(&view, of->request);
    page_write(out, of->status, &view);
    return view.text ? "text/plain; charset=utf-8" : "text/html; charset=utf-8";
}
