/* The words of the status page. */
#include "admin/words.h"

#include <string.h>

#include "cmcwh.h"

/* Each word in English, then in Japanese, each with its zero. A table of pointers to them would be
 * more than half as large again. */
#define WORD(name, english, japanese) english "\0" japanese "\0"
static const char texts[] =
#include "admin/words.def"
    ;
#undef WORD

const char *words(enum word word, enum language language) {
    const char *text = texts;

    for (unsigned before = 2U * word + (language == JAPANESE ? 1 : 0); before > 0; before--) {
        text += strlen(text) + 1;
    }
    return text;
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
