# shellcheck shell=bash
# What every program of ours on a host shares: time, JSON, atomic files, systemd's view of a unit, the ledger.
# Needs APP and ROOT. Host tools: bash, coreutils, tar, util-linux, systemd >= 247.

set -Eeuo pipefail
# The command as it is written, without what its variables hold.
trap 'printf "%s: status %s at: %s\n" "${FUNCNAME[0]:-main}" "$?" "$BASH_COMMAND" >&2' ERR
umask 077
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
: "${APP:?}" "${ROOT:?}"

UNIT=$APP.service
UNIT_PATH=/etc/systemd/system/$UNIT
ENV_PATH=/etc/default/$APP.env
TRIAL_PATH=/run/systemd/system.control/$UNIT
LEDGER=$ROOT/ledger.jsonl
WRITE_AHEAD=$ROOT/committing
FROZEN=$ROOT/frozen
RUN_DIR=/run/deployer/$APP
MARKER=$RUN_DIR/trial
# "@" would make an instance of them; ":" is as good to read and means nothing to systemd. No app has one in its name:
# so the drop-ins of one-off units (deployer-APP:run-.service.d) are for no unit of another app, whatever it is called.
OURS=deployer-${APP//@/::}
ACTIVATION_UNIT=$OURS.service
MIGRATE_UNIT=$OURS:trial-migrate.service
GUARD_UNIT=deployer-recover@$APP.service

# Milliseconds of a clock that nobody sets: uptime.
now_ms() {
    local up rest
    read -r up rest </proc/uptime
    : "$rest"
    NOW_MS=$((10#${up/./} * 10))
}

# to_ms SECONDS: sets MS; seconds may have a fraction.
to_ms() {
    local whole=${1%%.*} part=000
    [[ $1 == *.* ]] && part=${1#*.}000
    MS=$((10#$whole * 1000 + 10#${part:0:3}))
}

utc() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# json_text TEXT: sets JSON to the quoted text.
json_text() {
    local s=$1
    s=${s//\\/\\\\}
    s=${s//\"/\\\"}
    s=${s//$'\n'/\\n}
    s=${s//$'\t'/\\t}
    s=${s//[[:cntrl:]]/?}
    JSON=\"$s\"
}

# json_object KEY VALUE ...: sets JSON to an object; a KEY that ends in "=" takes its VALUE as JSON, unquoted.
json_object() {
    local out="" key
    while (($#)); do
        key=$1
        if [[ $key == *= ]]; then
            JSON=$2 key=${key%=}
        else
            json_text "$2"
        fi
        out+=${out:+,}\"$key\":$JSON
        shift 2
    done
    JSON="{$out}"
}

# fail CODE MESSAGE [HINT]: tells the client why and ends. CODE is one of the words that deployer/host/replies.py knows.
fail() {
    json_object code "$1" message "$2" hint "${3:-}"
    printf 'error %s\n' "$JSON"
    exit 64
}

# Each of these says by its status whether it is done: callers may stand where "set -e" does not reach.

# put MODE SOURCE DESTINATION: whole or not at all, also when the power goes. Root's own file, closed from the first byte.
put() {
    local new=$3.deployer-new
    if ! { rm -f -- "$new" && cat -- "$2" >"$new" && chmod -- "$1" "$new" && sync -- "$new" && mv -fT -- "$new" "$3"; }; then
        rm -f -- "$new"
        return 1
    fi
    sync -- "${3%/*}"
}

# put_text MODE TEXT DESTINATION: the same for a text.
put_text() { put "$1" <(printf '%s' "$2") "$3"; }

# point_current ID: rename(2) of a new link over the old one.
point_current() {
    rm -f -- "$ROOT/current.deployer-new" &&
        ln -s -- "releases/$1" "$ROOT/current.deployer-new" &&
        mv -fT -- "$ROOT/current.deployer-new" "$ROOT/current" &&
        sync -- "$ROOT"
}

# remove FILE: gone, also after a power cut.
remove() { rm -f -- "$1" && sync -- "${1%/*}"; }

# directory MODE PATH: makes it where it is missing; parents are open to read.
directory() { [[ -d $2 ]] || { (umask 022 && mkdir -p -- "$2") && chmod -- "$1" "$2"; }; }

# committed_id: prints the id of the committed release, or nothing.
committed_id() {
    local link
    link=$(readlink -- "$ROOT/current" 2>/dev/null) || return 0
    printf '%s' "${link##*/}"
}

# ledger KEY VALUE ...: appends one line, durably; a torn last line is closed first, so that only it is lost.
ledger() {
    json_object at "$(utc)" "$@"
    if [[ -s $LEDGER && -n $(tail -c 1 -- "$LEDGER") ]]; then
        printf '\n' >>"$LEDGER"
    fi
    printf '%s\n' "$JSON" >>"$LEDGER" && sync -- "$LEDGER"
}

# ledger_has TOKEN: is there a verdict for this activation?
ledger_has() {
    [[ -e $LEDGER ]] && grep -F -- "\"token\":\"$1\"" "$LEDGER" | grep -qE '"event":"(good|bad|interrupted|refused)"'
}

# state UNIT: fills the array STATE with what systemd says of it.
declare -A STATE
state() {
    local line
    STATE=()
    while IFS= read -r line; do
        STATE[${line%%=*}]=${line#*=}
    done < <(systemctl show --no-pager -p LoadState,ActiveState,SubState,Result,NRestarts,InvocationID,MainPID \
        -p ExecMainCode,ExecMainStatus,StatusText,Job,RemainAfterExit,UnitFileState,FragmentPath,NeedDaemonReload \
        -p StateChangeTimestamp,TimeoutStopUSec,Type,MemoryCurrent -- "$1")
}

# is_under_way: is an activation running now?
is_under_way() {
    local active
    active=$(systemctl show -P ActiveState -- "$ACTIVATION_UNIT")
    [[ $active == active || $active == activating || $active == deactivating || $active == reloading ]]
}

# is_going_down: is the host shutting down or rebooting? systemd starts nothing then, and forgets what is in /run.
is_going_down() { [[ $(systemctl is-system-running 2>/dev/null) == stopping ]]; }

# journal_cursor: prints where the journal ends now; nothing where there is no journal.
journal_cursor() {
    journalctl -n 0 --show-cursor --no-pager 2>/dev/null | sed -n 's/^-- cursor: //p' || true
}

# matches: sets MATCHES to what journalctl takes for all that is said by the service and its migrations, and about them.
# As its -u, but for one thing: of a process that was gone before journald looked at it, such as one that could not make
# its sandbox, only the UNIT= field tells where a line belongs. _UID=0 keeps others from claiming it.
matches() {
    local unit
    MATCHES=()
    for unit in "$UNIT" "$MIGRATE_UNIT"; do
        MATCHES+=("_SYSTEMD_UNIT=$unit" + _UID=0 "UNIT=$unit" + _UID=0 "OBJECT_SYSTEMD_UNIT=$unit" + _UID=0 "COREDUMP_UNIT=$unit" +)
    done
    unset 'MATCHES[-1]'
}

# frozen_by: prints the freeze (one JSON object) if it holds now.
frozen_by() {
    local until
    [[ -e $FROZEN ]] || return 0
    until=$(sed -n 's/.*"until_s":\([0-9]*\).*/\1/p' "$FROZEN")
    if [[ -z $until ]] || (($(date +%s) < until)); then
        head -n 1 -- "$FROZEN"
    fi
}
