/* Both ways of simdjson. The DOM one checks the whole body, as all others here do; the on-demand
 * one checks what it is asked for. The parser keeps its memory from one body to the next, and reads
 * a few bytes behind the body: json_body leaves room for that. */
#include "library.h"

#include <simdjson.h>

using namespace simdjson;

static void take_dom(const struct body *body, struct taken *taken) {
    static dom::parser parser;
    dom::element root;
    dom::array events;
    std::string_view type, text;

    if (parser.parse(body->bytes, body->length, false).get(root) || root["event_type"].get(type) ||
        root["event"][type].get(events)) {
        return;
    }
    for (dom::element one : events) {
        begin_record(taken);
        for (const char *field : fields) {
            if (!one[field].get(text)) {
                put_field(taken, text.data(), text.size());
            }
        }
    }
}

static void take_on_demand(const struct body *body, struct taken *taken) {
    static ondemand::parser parser;
    padded_string_view padded(body->bytes, body->length, body->length + SIMDJSON_PADDING);
    ondemand::document root;
    ondemand::array events;
    std::string_view type, text;

    if (parser.iterate(padded).get(root) || root["event_type"].get(type) ||
        root["event"][type].get(events)) {
        return;
    }
    for (auto found : events) {
        ondemand::object one;

        if (found.get(one)) {
            return;
        }
        begin_record(taken);
        for (const char *field : fields) {
            if (!one[field].get(text)) {
                put_field(taken, text.data(), text.size());
            }
        }
    }
}

static const std::string dom_name = "simdjson DOM, " + get_active_implementation()->name();

const struct library libraries[] = {
    {dom_name.c_str(), take_dom}, {"simdjson on-demand", take_on_demand}, {nullptr, nullptr}};
