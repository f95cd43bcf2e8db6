# packed.awk: packs texts at build time, with any awk that takes bytes for characters (LC_ALL=C). It reads the string
# literals of a .def or .inc file, in their order, and writes what packed.h describes, as numbers for C. The two bytes
# that stand side by side most often become one symbol, again and again, until there is no symbol left for more.
# Lines that begin as a comment does, or with #, are left out.

function fail(what) {
    printf "packed.awk: %s: line %d: %s\n", FILENAME, FNR, what | "cat >&2"
    failed = 1
    exit 1
}

function plain(text,    out, at, mark) {
    while ((at = index(text, "\\")) > 0) {
        mark = substr(text, at + 1, 1)
        if (mark !~ /[n"?\\]/) fail("only \\n \\\" \\? and \\\\ are known here")
        out = out substr(text, 1, at - 1) (mark == "n" ? "\n" : mark)
        text = substr(text, at + 2)
    }
    return out text
}

# Literals with nothing but blanks between them are one text.
function end_text() {
    if (begun) all = all text END_MARK
    begun = 0
    text = ""
}

function tally(pair, by) {
    if (length(pair) == 2 && index(pair, END_MARK) == 0) counts[pair] += by
}

# Which of those that are equal must not depend on the awk.
function most_often(    pair, best, most) {
    most = 2
    best = ""
    for (pair in counts) {
        if (counts[pair] > most || (counts[pair] == most && (best "") > (pair ""))) {
            most = counts[pair]
            best = pair
        }
    }
    return best
}

function replace(pair, by,    out, rest, at, left, right) {
    out = ""
    rest = all
    while ((at = index(rest, pair)) > 0) {
        out = out substr(rest, 1, at - 1)
        left = substr(out, length(out), 1)
        right = substr(rest, at + 2, 1)
        tally(left substr(pair, 1, 1), -1)
        tally(substr(pair, 2, 1) right, -1)
        tally(left by, 1)
        tally(by right, 1)
        out = out by
        rest = substr(rest, at + 2)
    }
    all = out rest
    delete counts[pair]
}

function put(number) {
    printf "%d,%s", number, (++written % 24 == 0 ? "\n" : "")
}

BEGIN { END_MARK = sprintf("%c", 1) }

/^#/ || /^\/\*/ || /^ \*/ { next }

{
    while (match($0, /"([^"\\]|\\.)*"/)) {
        if (substr($0, 1, RSTART - 1) ~ /[^ \t]/) end_text()
        text = text plain(substr($0, RSTART + 1, RLENGTH - 2))
        begun = 1
        $0 = substr($0, RSTART + RLENGTH)
    }
    if ($0 ~ /[^ \t]/) end_text()
}

END {
    if (failed) exit 1
    end_text()

    for (i = 1; i <= length(all); i++) {
        used[substr(all, i, 1)] = 1
        tally(substr(all, i, 2), 1)
    }

    # A byte that is in no text is taken for a pair while it is made; symbol 0 is the end of a text.
    symbols[END_MARK] = 0
    literals = 1
    for (i = 2; i < 256; i++) {
        byte = sprintf("%c", i)
        if (byte in used) {
            symbols[byte] = literals
            values[literals++] = i
        } else free[++frees] = byte
    }
    pairs = 0
    while (pairs < frees && (pair = most_often()) != "") {
        made[pairs] = pair
        symbols[free[pairs + 1]] = literals + pairs
        pairs++
        replace(pair, free[pairs])
    }

    put(literals)
    put(pairs)
    for (i = 0; i < literals; i++) put(values[i])
    for (i = 0; i < pairs; i++) {
        put(symbols[substr(made[i], 1, 1)])
        put(symbols[substr(made[i], 2, 1)])
    }
    for (i = 1; i <= length(all); i++) {
        if (!((byte = substr(all, i, 1)) in symbols)) fail("this awk does not take bytes for characters: take mawk")
        put(symbols[byte])
    }
    print ""
}
