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
RESERVE=$ROOT/committing.reserve
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

# ready MODE SOURCE DESTINATION: the file, complete and on the disk, under a name beside its own. Root's own file, closed
# from the first byte.
ready() {
    local new=$3.deployer-new
    rm -f -- "$new" && cat -- "$2" >"$new" && chmod -- "$1" "$new" && sync -- "$new" && return 0
    rm -f -- "$new"
    return 1
}

# rename DESTINATION: what was made ready gets its name, also when the power goes then.
rename() { mv -fT -- "$1.deployer-new" "$1" && sync -- "${1%/*}"; }

# put MODE SOURCE DESTINATION: whole or not at all.
put() { ready "$1" "$2" "$3" && rename "$3"; }

# put_text MODE TEXT DESTINATION: the same for a text.
put_text() {
    local new=$3.deployer-new
    rm -f -- "$new" && printf '%s' "$2" >"$new" && chmod -- "$1" "$new" && sync -- "$new" && rename "$3" && return 0
    rm -f -- "$new"
    return 1
}

# remove FILE: gone, also after a power cut.
remove() { rm -f -- "$1" && sync -- "${1%/*}"; }

# sweep_stagings: what stagings that died have left behind; a living one holds a lock on its directory.
sweep_stagings() {
    local directory fd
    for directory in "$ROOT"/releases/.staging-*; do
        [[ -d $directory ]] || continue
        exec {fd}<"$directory"
        if flock -n "$fd"; then rm -rf --one-file-system -- "$directory"; fi
        exec {fd}<&-
    done
}

# directory MODE PATH: makes it where it is missing; parents are open to read.
directory() { [[ -d $2 ]] || { (umask 022 && mkdir -p -- "$2") && chmod -- "$1" "$2"; }; }

# committed_id: prints the id of the committed release, or nothing. A link of somebody else's, to a directory without our
# mark, is none; one to a directory that is gone may be.
committed_id() {
    local link
    link=$(readlink -- "$ROOT/current" 2>/dev/null) || return 0
    [[ $link == releases/* && (! -e $ROOT/$link || -e $ROOT/$link/.deployer) ]] || return 0
    printf '%s' "${link##*/}"
}

# not_ours_alone: prints why somebody else than root could change what we run as root, or nothing: they own a directory on
# the way there, or may write to it. A sticky one (/tmp) keeps others' hands off what root has in it.
not_ours_alone() {
    local path mode owner group
    for path in "$ROOT"/{releases,incoming,replaced} "$(realpath -m -- "$ROOT")"; do
        while :; do
            if [[ -e $path ]]; then
                read -r mode owner group < <(stat -L -c '%a %u %g' -- "$path")
                if [[ $owner != 0 ]]; then
                    printf '%s belongs to %s, not to root: whoever owns it could change what runs' "$path" "$(stat -L -c %U -- "$path")"
                    return 0
                fi
                if (((8#$mode & 8#1000) == 0 && (8#$mode & 8#002 || (8#$mode & 8#020 && group != 0)))); then
                    printf '%s may be written to by others than root (mode %s): they could change what runs' "$path" "$mode"
                    return 0
                fi
            fi
            [[ $path != / ]] || break
            path=${path%/*} path=${path:-/}
        done
    done
}

# ledger KEY VALUE ...: appends one line, durably; a torn last line is closed first, so that only it is lost.
ledger() {
    local is_new=""
    [[ -s $LEDGER ]] || is_new=yes
    json_object at "$(utc)" "$@"
    # By its bytes: a file system may give back NULs for what it had not yet written.
    if [[ -s $LEDGER && $(tail -c 1 -- "$LEDGER" | od -An -tx1) != " 0a" ]]; then
        printf '\n' >>"$LEDGER" || return 1
    fi
    if ! { printf '%s\n' "$JSON" >>"$LEDGER" && sync -- "$LEDGER"; }; then
        take_back_half "$JSON"
        return 1
    fi
    [[ -z $is_new ]] || sync -- "$ROOT"
}

# take_back_half LINE: a line of the ledger for which there was no room does not stay as a half one.
take_back_half() {
    local half
    half=$(tail -n 1 -- "$LEDGER" 2>/dev/null) || return 0
    [[ -n $half && $1 == "$half"* && $(tail -c 1 -- "$LEDGER" | od -An -tx1) != " 0a" ]] || return 0
    truncate -s "-${#half}" -- "$LEDGER" || true
}

# ledger_lines TEXT: prints the whole lines of the ledger that have it; a torn one says nothing.
ledger_lines() {
    [[ ! -e $LEDGER ]] || grep -aF -- "$1" "$LEDGER" | grep -a '^{.*}$' || true
}

# ledger_has TOKEN: is there a verdict for this activation?
ledger_has() { ledger_lines "\"token\":\"$1\"" | grep -qaE '"event":"(good|bad|interrupted|refused)"'; }

# properties ARGUMENT ...: sets PROPERTIES to what "systemctl show" says. Asked again where systemd does not answer, as
# while it executes itself anew: no answer is not "inactive".
properties() {
    for _ in {1..50}; do
        PROPERTIES=$(systemctl show --no-pager "$@" 2>/dev/null) && [[ -n $PROPERTIES ]] && return 0
        sleep 0.2
    done
    PROPERTIES=""
    return 1
}

# manager VERB ARGUMENT ...: systemctl, asked three times where it fails, for the same reason.
manager() {
    local said
    for _ in 1 2 3; do
        said=$(systemctl "$@" 2>&1 </dev/null) && return 0
        sleep 0.5
    done
    printf '%s\n' "$said" >&2
    return 1
}

# state UNIT: fills the array STATE with what systemd says of it; "unknown" where it says nothing for ten seconds.
declare -A STATE
state() {
    local line
    STATE=([LoadState]=unknown [ActiveState]=unknown [SubState]=unknown)
    properties -p LoadState,ActiveState,SubState,Result,NRestarts,InvocationID,MainPID \
        -p ExecMainCode,ExecMainStatus,StatusText,Job,RemainAfterExit,UnitFileState,FragmentPath,NeedDaemonReload \
        -p StateChangeTimestamp,TimeoutStopUSec,Type,MemoryCurrent -- "$1" || return 0
    while IFS= read -r line; do
        STATE[${line%%=*}]=${line#*=}
    done <<<"$PROPERTIES"
}

# is_under_way: is an activation running now? Where systemd does not answer: yes.
is_under_way() {
    properties -p ActiveState -- "$ACTIVATION_UNIT" || return 0
    [[ $PROPERTIES == ActiveState=@(active|activating|deactivating|reloading) ]]
}

# is_going_down: is the host shutting down or rebooting? systemd starts nothing then, and forgets what is in /run.
is_going_down() { [[ $(systemctl is-system-running 2>/dev/null) == stopping ]]; }

# journal_cursor: prints where the journal ends now; nothing where there is no journal.
journal_cursor() {
    timeout 10 journalctl -n 0 --show-cursor --no-pager 2>/dev/null | sed -n 's/^-- cursor: //p' || true
}

# sync_journal: what was said so far is in the journal; a journald that hangs must hold up nothing.
sync_journal() { timeout 5 journalctl --sync 2>/dev/null || true; }

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
