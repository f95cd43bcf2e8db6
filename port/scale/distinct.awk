# Prints each event once, by its id: lines of JSON or of logfmt. It remembers all ids that it has seen.
match($0, /(^seq=[0-9]+ id=|^\{"seq":[0-9]+,"id":")[0-9a-f]+/) {
    id = substr($0, RSTART + RLENGTH - 16, 16)
    if (!(id in seen)) print
    seen[id]
}
