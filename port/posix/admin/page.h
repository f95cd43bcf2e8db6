/* The status page: everything an operator wants to know first, on one screen, in HTML or as text.
 */
#ifndef CMCWH_PAGE_H
#define CMCWH_PAGE_H

#include "admin/language.h"
#include "admin/status.h"
#include "admin/views.h"

/* No page in HTML is longer; together with the head of its answer that is less than 16 KiB. */
enum { PAGE_MAX = 15744 };

/* What HTML of it may do, as Content-Security-Policy. */
extern const char page_policy[];

/* The view at "/". Any thread; takes the ring's lock for a moment again and again. */
const char *page_show(const struct view_of *of, struct writer *out);

/* ---- The steps of it ---- */

struct page_view {
    struct cmcwh_ring *ring; /* where the last failures are looked up */
    enum language language;
    bool text;        /* text/plain; else text/html */
    bool hide;        /* addresses: only their domains are seen */
    bool hide_always; /* so it is configured: nothing offers to show them */
};

/* Sets what the request asks for: the language (lang=, else Accept-Language), whether it is text,
 * as for whoever does not name text/html, and whether addresses are hidden (hide=addresses). */
void page_asked(struct page_view *view, const struct request *request);

void page_write(struct writer *writer, const struct status *status, const struct page_view *view);

#endif
