/* The words of the status page. */
#include "admin/words.h"

#include "cmcwh.h"

const char *words(enum word word, enum language language) {
#define WORD(name, english, japanese) {english, japanese},
    static const struct {
        const char *english, *japanese;
    } texts[WORDS_COUNT] = {
#include "admin/words.def"
    };
#undef WORD

    return language_choose(language, texts[word].english, texts[word].japanese);
}

const char *words_bounce(unsigned number, enum language language) {
    static const char *const japanese[] = {"不明",
                                           "宛先ホスト不明",
                                           "宛先ユーザー不明",
                                           "再送タイムアウト",
                                           "ポリシーによる拒否",
                                           "メールボックス容量超過",
                                           "転送エラー",
                                           "受信サーバーのエラー",
                                           "メッセージサイズ超過",
                                           "宛先アドレスの形式エラー",
                                           "ブロックされた宛先",
                                           "配信停止済み"};
    unsigned known = number < sizeof japanese / sizeof *japanese ? number : 0;

    return language_choose(language, cmcwh_bounce_name(number),
                           number == CMCWH_BOUNCE_OTHER ? "その他の恒久的エラー" : japanese[known]);
}
