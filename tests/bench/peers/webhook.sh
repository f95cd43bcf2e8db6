#!/bin/sh
# The command of webhook: what jq makes of the body (file $BODY) is appended in one write, so that lines of
# other commands cannot come between.
set -eu
lines=$(jq -c '
    .event_type as $type | .server_composition as $composition |
    (.event | if type == "string" then fromjson else . end)[$type][] |
    {event_type: $type, server_composition: ($composition // "")} +
        ({status, created, messageId, from, to, returnPath, subject, reason, sourceIp, senderIp, apiData} |
            map_values(. // ""))' "$BODY")
[ -n "$lines" ]
printf '%s\n' "$lines" >>"$LOG"
[ "$SYNC" = 0 ] || sync -d "$LOG"
