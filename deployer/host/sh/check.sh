# shellcheck shell=bash
# What a deploy would meet, before there is a release to stage. Needs lib.sh. Argument: PORT ("" for none); UNIT_TEXT is
# the unit as it would be. Prints "unit BASE64" (what systemd says against it) and "port TEXT" (who has the port).

check() {
    local said holder inode link process
    : "${UNIT_TEXT:?}"
    mkdir -p -- "$RUN_DIR"
    directory=$(mktemp -d -p "$RUN_DIR")
    trap 'rm -rf -- "$directory"' EXIT
    printf '%s' "$UNIT_TEXT" >"$directory/$UNIT"
    # The programs are not there yet; all else that it says about our unit counts.
    said=$(systemd-analyze --no-pager verify "$directory/$UNIT" 2>&1 >/dev/null </dev/null |
        grep -F -- "$UNIT" | grep -vF 'is not executable' | sed "s|$directory/||g" || true)
    [[ -z $said ]] || printf 'unit %s\n' "$(printf '%s' "$said" | base64 -w 0)"
    [[ -n $1 ]] || return 0
    # Listening sockets (state 0A) on the port, and the process that holds one.
    while read -r inode; do
        for link in /proc/[0-9]*/fd/*; do
            [[ $(readlink -- "$link" 2>/dev/null) == "socket:[$inode]" ]] || continue
            process=${link#/proc/} process=${process%%/*}
            holder=$(cat -- "/proc/$process/cgroup" 2>/dev/null || true)
            [[ $holder == */"$UNIT"* ]] && return 0
            printf 'port %s\n' "$(base64 -w 0 <<<"port $1 is taken by $(cat -- "/proc/$process/comm") (pid $process)")"
            return 0
        done
    done < <(awk -v port="$(printf '%04X' "$1")" '$4 == "0A" && $2 ~ ":" port "$" { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
}

check "$1"
