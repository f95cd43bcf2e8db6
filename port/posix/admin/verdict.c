/* Is all well? Not here: the counting (status.c), and how it is shown. */
#include "admin/verdict.h"

#include <inttypes.h>
#include <string.h>

#include "admin/day.h"
#include "platform/log.h"

/* ---- The verdict ---- */

static void add(struct verdict *verdict, enum verdict_cause cause, unsigned sink) {
    enum verdict_colour colour = cause < VERDICT_BESTEFFORT ? VERDICT_RED : VERDICT_AMBER;

    verdict->reasons[verdict->count++] = (struct verdict_reason){cause, colour, sink};
    verdict->colour = colour > verdict->colour ? colour : verdict->colour;
}

static void add_if(struct verdict *verdict, bool is_so, enum verdict_cause cause) {
    if (is_so) {
        add(verdict, cause, 0);
    }
}

/* ms from then until now; what is yet to come, since the clock was set, is now. */
static uint64_t age(const struct status *status, uint64_t then) {
    return status->now > then ? status->now - then : 0;
}

/* Was it within the hour? */
static bool lately(const struct status *status, uint64_t then) {
    return then != 0 && age(status, then) < VERDICT_LATELY;
}

static bool works(const struct status *status, const struct status_sink *sink) {
    return sink->state == STATUS_WORKS ||
           (sink->state == STATUS_OPENING && age(status, status->started) < VERDICT_OPENING);
}

/* Is it so of the sink? */
typedef bool is_so_of(const struct status *status, const struct status_sink *sink);

static bool required_fails(const struct status *status, const struct status_sink *sink) {
    return sink->required && !works(status, sink);
}

static bool besteffort_fails(const struct status *status, const struct status_sink *sink) {
    return !sink->required && !works(status, sink);
}

/* One that fails, or has filled the ring, is told so. */
static bool is_behind(const struct status *status, const struct status_sink *sink) {
    uint32_t behind = status->ring.behind[sink->reader], capacity = status->ring.capacity;

    return works(status, sink) && behind > capacity / 2 && (!sink->required || behind < capacity);
}

static bool has_lost(const struct status *status, const struct status_sink *sink) {
    return lately(status, sink->last_loss);
}

static bool has_rejected(const struct status *status, const struct status_sink *sink) {
    return lately(status, sink->last_rejected);
}

static void add_sinks(struct verdict *verdict, const struct status *status, is_so_of *is_so,
                      enum verdict_cause cause) {
    for (unsigned i = 0; i < status->sink_count; i++) {
        if (is_so(status, &status->sinks[i])) {
            add(verdict, cause, i);
        }
    }
}

static bool is_full(const struct status *status) {
    const struct status_sink *slowest;

    return status_waiting(status, &slowest) >= status->ring.capacity && slowest != NULL;
}

/* Records that only besteffort sinks have not taken fill it, and are no danger. */
static bool has_peaked(const struct status *status) {
    bool some = false;

    for (unsigned i = 0; i < status->sink_count; i++) {
        const struct status_sink *sink = &status->sinks[i];

        if (!sink->required && status->ring.behind[sink->reader] > status->ring.capacity / 2) {
            return false;
        }
        some = some || sink->required;
    }
    return some && (uint64_t)status->ring_peak_hour * 5 > (uint64_t)status->ring.capacity * 4;
}

/* What has not come since the start counts from there. */
static bool is_silent(const struct status *status) {
    uint64_t last = status->events.last_event;

    return status->quiet_after != 0 &&
           age(status, last != 0 ? last : status->started) > status->quiet_after;
}

static bool has_expired(const struct status *status) {
    return status->certificate_end != 0 && status->certificate_end <= status->now;
}

static bool expires(const struct status *status) {
    return status->certificate_end > status->now &&
           status->certificate_end - status->now < VERDICT_SOON;
}

void verdict_of(struct verdict *verdict, const struct status *status) {
    memset(verdict, 0, sizeof *verdict);
    add_if(verdict, status->storage_fails, VERDICT_STORAGE);
    add_if(verdict, is_full(status), VERDICT_FULL);
    add_sinks(verdict, status, required_fails, VERDICT_SINK);
    add_if(verdict, lately(status, status->last_unavailable), VERDICT_UNAVAILABLE);
    add_if(verdict, has_expired(status), VERDICT_EXPIRED);
    add_sinks(verdict, status, besteffort_fails, VERDICT_BESTEFFORT);
    add_sinks(verdict, status, is_behind, VERDICT_BEHIND);
    add_sinks(verdict, status, has_lost, VERDICT_LOST);
    add_sinks(verdict, status, has_rejected, VERDICT_REJECTED);
    add_if(verdict, has_peaked(status), VERDICT_PEAK);
    add_if(verdict, is_silent(status), VERDICT_SILENCE);
    add_if(verdict, status->last_unauthorized > status->server.last_ok, VERDICT_UNAUTHORIZED);
    add_if(verdict, expires(status), VERDICT_EXPIRES);
    add_if(verdict, status->reload.time != 0 && !status->reload.good, VERDICT_RELOAD);
}

/* ---- Words ---- */

const char *verdict_colour_name(enum verdict_colour colour) {
    static const char *const names[] = {"ok", "amber", "red"};

    return names[colour];
}

const char *verdict_colour_word(enum verdict_colour colour, enum language language) {
    static const char *const words[][2] = {LANGUAGE_TEXTS("OK", "正常"),
                                           LANGUAGE_TEXTS("Attention", "注意"),
                                           LANGUAGE_TEXTS("Trouble", "異常")};

    return words[colour][language];
}

const char *verdict_cause_name(enum verdict_cause cause) {
    static const char *const names[VERDICT_CAUSES] = {[VERDICT_STORAGE] = "storage_failing",
                                                      [VERDICT_FULL] = "ring_full",
                                                      [VERDICT_SINK] = "sink_failing",
                                                      [VERDICT_UNAVAILABLE] = "answered_503",
                                                      [VERDICT_EXPIRED] = "certificate_expired",
                                                      [VERDICT_BESTEFFORT] =
                                                          "besteffort_sink_failing",
                                                      [VERDICT_BEHIND] = "sink_behind",
                                                      [VERDICT_LOST] = "sink_lost_events",
                                                      [VERDICT_REJECTED] = "sink_rejected_events",
                                                      [VERDICT_PEAK] = "ring_peak",
                                                      [VERDICT_SILENCE] = "silence",
                                                      [VERDICT_UNAUTHORIZED] = "answered_401",
                                                      [VERDICT_EXPIRES] = "certificate_expires",
                                                      [VERDICT_RELOAD] = "reload_failed"};

    return names[cause];
}

/* Text that may be long, cut at a character. */
static void put_cut(struct writer *writer, const char *text) {
    enum { MOST = 160 };
    size_t length = strlen(text);

    if (length <= MOST) {
        writer_text(writer, text);
        return;
    }
    for (length = MOST; ((unsigned char)text[length] & 0xC0) == 0x80; length--) {
    }
    writer_bytes(writer, text, length);
    writer_text(writer, "...");
}

/* What is written of a reason, and with what. */
struct telling {
    struct writer *writer;
    const struct status *status;
    const struct status_sink *sink; /* the reason's, NULL: it is of none */
    enum language language;
};

static void say(const struct telling *t, const char *english, const char *japanese) {
    writer_text(t->writer, language_choose(t->language, english, japanese));
}

static void say_number(const struct telling *t, uint64_t number) {
    writer_print(t->writer, "%" PRIu64, number);
}

static void say_ago(const struct telling *t, uint64_t then) {
    language_ago(t->writer, t->status->now, then, t->language);
}

static void say_sink(const struct telling *t) {
    say(t, "sink '", "書き出し先 '");
    put_cut(t->writer, t->sink->uri);
    writer_text(t->writer, "' ");
}

/* ---- What is the matter ---- */

static void tell_failing(const struct telling *t) {
    const struct status_sink *sink = t->sink;
    uint64_t since = sink->failing_since != 0 ? sink->failing_since : t->status->started;

    say_sink(t);
    say(t, "has not worked for ", "が ");
    language_span(t->writer, age(t->status, since), t->language);
    say(t, ": ", "前から動いていません: ");
    if (sink->trouble[0] != '\0') {
        put_cut(t->writer, sink->trouble);
    } else {
        say(t, "it could not be opened yet", "まだ開けていません");
    }
}

/* So many records of so many. */
static void tell_share(const struct telling *t, uint32_t records) {
    if (t->language == JAPANESE) {
        writer_print(t->writer, "全 %" PRIu32 " 件中 %" PRIu32 " 件", t->status->ring.capacity,
                     records);
    } else {
        writer_print(t->writer, "%" PRIu32 " of %" PRIu32 " records", records,
                     t->status->ring.capacity);
    }
}

static void tell_full(const struct telling *t) {
    const struct status_sink *slowest;
    struct telling of = *t;

    (void)status_waiting(t->status, &slowest);
    of.sink = slowest;
    say(t, "the ring is full, and waits for ", "リングが満杯で、");
    say_sink(&of);
    say(t, "to take its records", "への書き出し待ち");
}

static void tell_behind(const struct telling *t) {
    say_sink(t);
    say(t, "is behind: ", "が遅れています: リングの");
    tell_share(t, t->status->ring.behind[t->sink->reader]);
    say(t, " in the ring wait for it", "が書き出し待ち");
}

/* Events that the sink does not have: when the last of them was told, and how many they are. */
static void tell_missing(const struct telling *t, uint64_t last, uint64_t number) {
    say_ago(t, last);
    say(t, ", ", "、起動から ");
    say_number(t, number);
    say(t, " since the start", " 件）");
}

static void tell_lost(const struct telling *t) {
    say_sink(t);
    say(t, "lost events ", "がイベントを取りこぼしました（");
    tell_missing(t, t->sink->last_loss, t->status->ring.lost[t->sink->reader]);
}

static void tell_rejected(const struct telling *t) {
    say_sink(t);
    say(t, "was refused events for good ", "の相手がイベントの受け取りを拒みました（");
    tell_missing(t, t->sink->last_rejected, t->sink->rejected);
}

static void tell_peak(const struct telling *t) {
    say(t, "the ring was nearly full within the last hour: ", "直近 1 時間でリングが満杯近くに: ");
    tell_share(t, t->status->ring_peak_hour);
    say(t, " were in use", "を使用");
}

static void tell_silence(const struct telling *t) {
    if (t->status->events.last_event == 0) {
        say(t, "no event has come since the start ", "起動（");
        say_ago(t, t->status->started);
        say(t, "", "）から受信がありません");
    } else {
        say(t, "no event has come for ", "受信が ");
        language_span(t->writer, age(t->status, t->status->events.last_event), t->language);
        say(t, "", "ありません");
    }
}

static void tell_time(const struct telling *t, uint64_t time) {
    day_local(t->writer, time);
    writer_text(t->writer, " ");
    day_zone(t->writer, time);
}

static void tell_certificate(const struct telling *t, bool expired) {
    uint64_t end = t->status->certificate_end;

    if (expired) {
        say(t, "the certificate expired ", "証明書の期限が切れています（");
        say_ago(t, end);
        say(t, ", on ", "、");
    } else {
        say(t, "the certificate ends in ", "証明書の期限まで ");
        language_span(t->writer, end - t->status->now, t->language);
        say(t, ", on ", "（");
    }
    tell_time(t, end);
    say(t, "", "）");
}

static void tell_unavailable(const struct telling *t) {
    say(t, "a webhook got 503 ", "Webhook に 503 を返しました（");
    say_ago(t, t->status->last_unavailable);
    say(t, "", "）");
}

static void tell_unauthorized(const struct telling *t) {
    say(t, "wrong or no credentials came ", "認証エラー（401）がありました（");
    say_ago(t, t->status->last_unauthorized);
    say(t, ", and no webhook has been taken since", "）。その後の受信はありません");
}

static void tell_reload(const struct telling *t) {
    say(t, "the reload ", "再読み込みに失敗（");
    say_ago(t, t->status->reload.time);
    say(t, " failed: ", "）: ");
    put_cut(t->writer, t->status->reload.said);
}

static void tell(const struct telling *t, enum verdict_cause cause) {
    switch (cause) {
    case VERDICT_STORAGE:
        say(t, "the ring's file cannot be written", "リングのファイルに書き込めません");
        break;
    case VERDICT_FULL:
        tell_full(t);
        break;
    case VERDICT_SINK:
    case VERDICT_BESTEFFORT:
        tell_failing(t);
        break;
    case VERDICT_UNAVAILABLE:
        tell_unavailable(t);
        break;
    case VERDICT_EXPIRED:
    case VERDICT_EXPIRES:
        tell_certificate(t, cause == VERDICT_EXPIRED);
        break;
    case VERDICT_BEHIND:
        tell_behind(t);
        break;
    case VERDICT_LOST:
        tell_lost(t);
        break;
    case VERDICT_REJECTED:
        tell_rejected(t);
        break;
    case VERDICT_PEAK:
        tell_peak(t);
        break;
    case VERDICT_SILENCE:
        tell_silence(t);
        break;
    case VERDICT_UNAUTHORIZED:
        tell_unauthorized(t);
        break;
    case VERDICT_RELOAD:
        tell_reload(t);
        break;
    case VERDICT_CAUSES:
        break;
    }
}

static struct telling telling_of(struct writer *writer, const struct verdict_reason *reason,
                                 const struct status *status, enum language language) {
    bool sinks = reason->cause == VERDICT_SINK || reason->cause == VERDICT_BESTEFFORT ||
                 reason->cause == VERDICT_BEHIND || reason->cause == VERDICT_LOST ||
                 reason->cause == VERDICT_REJECTED;

    return (struct telling){writer, status, sinks ? &status->sinks[reason->sink] : NULL, language};
}

void verdict_reason(struct writer *writer, const struct verdict_reason *reason,
                    const struct status *status, enum language language) {
    const struct telling t = telling_of(writer, reason, status, language);

    tell(&t, reason->cause);
}

/* ---- What to do ---- */

static void advise_sink(const struct telling *t) {
    if (!t->sink->required) {
        say(t,
            "Webhooks are taken all the same; what does not fit in the ring meanwhile is lost to "
            "this sink. ",
            "Webhook の受信は続きますが、リングに入りきらない分はこの書き出し先には残りません。");
    } else if (t->status->confirms) {
        say(t, "Webhooks get 503 until it works. ", "復旧するまで Webhook には 503 を返します。");
    } else {
        say(t, "Events wait in the ring until it works; once that is full, webhooks get 503. ",
            "復旧するまでイベントはリングで待ち、満杯になると Webhook に 503 を返します。");
    }
    say(t, "Mend what its error says; it is tried again by itself, and at once after SIGHUP.",
        "エラーの原因を取り除いてください。自動で再試行し、SIGHUP を送るとすぐに試します。");
}

static void advise_behind(const struct telling *t) {
    say(t, "It takes events more slowly than they come. If that goes on, ",
        "イベントの到着より書き出しが遅く、続くと");
    if (t->sink->required) {
        say(t, "webhooks get 503", " Webhook に 503 を返します");
    } else {
        say(t, "it loses the oldest ones", "古いものから取りこぼします");
    }
    say(t, ": make it faster, or --ring-records larger.",
        "。書き出し先を速くするか、--ring-records を増やしてください。");
}

/* For causes for which it is always the same. */
static const char *const advice[VERDICT_CAUSES][2] = {
    [VERDICT_STORAGE] = LANGUAGE_TEXTS(
        "Webhooks get 503. The log says why: see to room, rights and the disk; if "
        "the file was deleted, restart cmcwh.",
        "Webhook には 503 を返しています。原因はログにあります。空き容量、権限、ディスク"
        "を確かめてください。ファイルを消した場合は cmcwh を再起動してください。"),
    [VERDICT_FULL] = LANGUAGE_TEXTS(
        "Webhooks get 503, and Customers Mail Cloud sends them again. See to the "
        "sink; a larger --ring-records bridges a longer time.",
        "Webhook には 503 を返し、Customers Mail Cloud が再送します。書き出し先を復旧"
        "してください。--ring-records を増やすと長く持ちこたえます。"),
    [VERDICT_UNAVAILABLE] =
        LANGUAGE_TEXTS("Customers Mail Cloud sends it again. The refusals and the log say "
                       "why; this goes away an hour after the last one.",
                       "Customers Mail Cloud が再送します。理由は拒否の一覧とログにあります。"
                       "最後の 503 から 1 時間で消えます。"),
    [VERDICT_EXPIRED] =
        LANGUAGE_TEXTS("Senders refuse it. Put a new one in its place, then send SIGHUP.",
                       "送信側は接続を拒みます。証明書を更新し、SIGHUP を送ってください。"),
    [VERDICT_LOST] = LANGUAGE_TEXTS(
        "It did not work, or was slow, for longer than the ring could keep events for "
        "it. With policy=required nothing is lost, and webhooks get 503 instead. "
        "This goes away an hour after the last loss.",
        "リングが持ちこたえるより長く、止まっていたか遅れていました。policy=required なら"
        "取りこぼさず、代わりに Webhook に 503 を返します。最後の取りこぼしから 1 時間で"
        "消えます。"),
    [VERDICT_REJECTED] = LANGUAGE_TEXTS(
        "The log has the answer. With dead=PATH they are in that file, for cmcwh cat; without it "
        "they are gone for this sink. This goes away an hour after the last one.",
        "応答はログにあります。dead=PATH があればそのファイルに残り（cmcwh cat で読めます）、"
        "なければこの書き出し先には残りません。最後の拒否から 1 時間で消えます。"),
    [VERDICT_PEAK] = LANGUAGE_TEXTS(
        "A larger burst would get 503: make --ring-records larger, or the slowest "
        "sink faster. This goes away after an hour.",
        "さらに多く届くと 503 を返します。--ring-records を増やすか、最も遅い書き出し先を"
        "速くしてください。1 時間で消えます。"),
    [VERDICT_SILENCE] =
        LANGUAGE_TEXTS("If mails were sent meanwhile: look at the webhook's settings in Customers "
                       "Mail Cloud's console, at the firewall, and at the refusals.",
                       "その間にメールを送っていたなら、Customers Mail Cloud の管理画面の Webhook "
                       "設定、ファイアウォール、拒否の一覧を確かめてください。"),
    [VERDICT_UNAUTHORIZED] =
        LANGUAGE_TEXTS("The refusals say from where. If that is Customers Mail Cloud: "
                       "compare the credentials in its console with --auth-file.",
                       "送信元は拒否の一覧にあります。Customers Mail Cloud なら、管理画面の認証"
                       "情報と --auth-file を見比べてください。"),
    [VERDICT_EXPIRES] = LANGUAGE_TEXTS("Put a new one in its place, then send SIGHUP.",
                                       "証明書を更新し、SIGHUP を送ってください。"),
    [VERDICT_RELOAD] = LANGUAGE_TEXTS(
        "Mend the file (serve --check-config says what is wrong with it), then send SIGHUP.",
        "ファイルを直し（serve --check-config が誤りを示します）、SIGHUP を送ってください。"),
};

void verdict_remedy(struct writer *writer, const struct verdict_reason *reason,
                    const struct status *status, enum language language) {
    const struct telling t = telling_of(writer, reason, status, language);

    if (reason->cause == VERDICT_SINK || reason->cause == VERDICT_BESTEFFORT) {
        advise_sink(&t);
    } else if (reason->cause == VERDICT_BEHIND) {
        advise_behind(&t);
    } else {
        writer_text(writer, advice[reason->cause][language]);
    }
}

/* ---- The whole ---- */

/* The most records that wait for one sink. */
static uint32_t most_behind(const struct status *status) {
    uint32_t most = 0;

    for (unsigned i = 0; i < status->sink_count; i++) {
        uint32_t behind = status->ring.behind[status->sinks[i].reader];

        most = behind > most ? behind : most;
    }
    return most;
}

static void tell_well(const struct telling *t) {
    uint32_t behind = most_behind(t->status);

    if (t->status->events.last_event != 0) {
        say(t, "last event ", "最終受信 ");
        say_ago(t, t->status->events.last_event);
    } else {
        say(t, "no event since the start ", "起動（");
        say_ago(t, t->status->started);
        say(t, "", "）から受信なし");
    }
    if (behind == 0) {
        say(t, ", sinks up to date", "、書き出しに遅れなし");
    } else {
        say(t, ", records still to be written: ", "、書き出し待ち ");
        say_number(t, behind);
        say(t, "", " 件");
    }
}

void verdict_sentence(struct writer *writer, const struct verdict *verdict,
                      const struct status *status, enum language language) {
    const struct telling t = {writer, status, NULL, language};

    writer_text(writer, verdict_colour_word(verdict->colour, language));
    say(&t, ": ", " — ");
    if (verdict->count == 0) {
        tell_well(&t);
        return;
    }
    verdict_reason(writer, &verdict->reasons[0], status, language);
    if (verdict->count > 1) {
        say(&t, " (and ", "（ほか ");
        say_number(&t, verdict->count - 1);
        say(&t, " more)", " 件）");
    }
}

/* One line of the log. */
static void end_line(struct writer *line) {
    line->bytes[line->used] = '\0';
    line->used = 0;
    log_asked("%s", line->bytes);
}

void verdict_log(const struct status *status) {
    char text[1024];
    struct writer line = {.bytes = text, .size = sizeof text - 1};
    struct verdict verdict;

    verdict_of(&verdict, status);
    if (verdict.count == 0) {
        verdict_sentence(&line, &verdict, status, ENGLISH);
        end_line(&line);
    }
    for (unsigned i = 0; i < verdict.count; i++) {
        const struct verdict_reason *reason = &verdict.reasons[i];

        writer_print(&line, "%s: ", verdict_colour_word(reason->colour, ENGLISH));
        verdict_reason(&line, reason, status, ENGLISH);
        writer_text(&line, ". ");
        verdict_remedy(&line, reason, status, ENGLISH);
        end_line(&line);
    }
}
