# page.awk: makes of page.html what page_html.c takes in, with any awk: TEXT("...") for what is sent as it
# stands, WORD("...", name) where {{=name}} follows, PART("...", name) for {{name}}, and PAGE_POLICY. Indentation, empty lines
# and comments that have lines of their own are left out.

# As in a C string. A '?' too: "??=" would be another character.
function quoted(text) {
    gsub(/[\\"?]/, "\\\\&", text)
    gsub(/\n/, "\\n", text)
    return text
}

# C99 promises 4095 characters of a string.
function text(piece) {
    piece = quoted(piece)
    if (length(held) + length(piece) > 3000) flush()
    held = held piece
}

function flush() {
    if (held != "") printf "TEXT(\"%s\")\n", held
    held = ""
}

BEGIN { marks = split(" = ; => ; === ; !== ; <= ; > ; + ; * ; ? ; : ; || ; ||= ; && ;, ;) {;while (;for (;if (", spaced, ";") }

{ sub(/^[ \t]+/, "") }

/^<!--/ || /^\/\*/ { comment = 1 }
comment {
    if (/-->$/ || /\*\/$/) comment = 0
    next
}
/^$/ { next }

/^<meta http-equiv="Content-Security-Policy"/ {
    sub(/^.*content="/, "")
    sub(/">$/, "")
    printf "#define PAGE_POLICY \"%s\"\n", quoted($0)
    next
}

# A script is the same without the spaces around its marks: no text in it has one of these.
/^<script>/ { script = 1 }
/^<\/script>/ { script = 0 }
script {
    for (i = 1; i <= marks; i++) {
        while ((at = index($0, spaced[i])) > 0) {
            mark = spaced[i]
            gsub(/ /, "", mark)
            $0 = substr($0, 1, at - 1) mark substr($0, at + length(spaced[i]))
        }
    }
}

{
    while (match($0, /\{\{=?[a-z_]+\}\}/)) {
        name = substr($0, RSTART + 2, RLENGTH - 4)
        text(substr($0, 1, RSTART - 1))
        if (name ~ /^=/) printf "WORD(\"%s\", %s)\n", held, substr(name, 2)
        else printf "PART(\"%s\", %s)\n", held, name
        held = ""
        $0 = substr($0, RSTART + RLENGTH)
    }
    text($0 "\n")
}

END { flush() }
