#!/bin/bash
# Run a script that must not outlive its client: a follower of the journal, say.
#
# stdin: the script's size in bytes, a newline, the script; then nothing more until the client goes away, which ends the
# script. When it has ended, either way, what it started ends too (SIGTERM to its process group, SIGKILL three seconds
# later). Exit status: the script's.
set -euo pipefail

take() {
    local LC_ALL=C size
    IFS= read -r size && IFS= read -r -N "$size" followed
}
take || exit 97

exec 3<&0 </dev/null
set -m # a process group of its own
(eval "unset -v followed; exec 3<&-; set +m +euo pipefail; $followed") &
script=$!
set +m

end_group() {
    kill -TERM -- "-$script" || return 0
    for _ in {1..30}; do
        sleep 0.1
        kill -0 -- "-$script" || return 0
    done
    kill -KILL -- "-$script" || return 0
}

(
    # Silent on every stream, or it would keep the channel open after the script has ended.
    exec >/dev/null 2>&1
    while IFS= read -r _; do :; done <&3
    end_group
) &
watchdog=$!
exec 3<&-

status=0
wait "$script" || status=$?
kill "$watchdog" 2>/dev/null || true
end_group >/dev/null 2>&1
exit "$status"
