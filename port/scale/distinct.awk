# Prints each event once, by its id: lines of JSON or of logfmt. It remembers all ids that it has seen.
# A line that has none (in syslog one may be cut) is printed as it is.
{
    line = $0
    if (line !~ /^\{/) gsub(/"([^"\\]|\\.)*"/, "", line) # a text may say ' id=' too
    id = match(line, /^\{"seq":[0-9]+,"id":"[0-9a-f]+| id=[0-9a-f]+/) ? substr(line, RSTART + RLENGTH - 16, 16) : NR
    if (!(id in seen)) print
    seen[id]
}
