# shellcheck shell=bash
# Everything the client wants to know of a host, in one go, changing nothing. Needs lib.sh and prune.sh.
# Arguments: USER DIGEST WANT_ENV(yes|no) WANT_HEALTH(yes|no)
# Prints "fact NAME BASE64", "release ID IDENTITY DIGEST PINNED SIZE", "tool NAME" for what is missing, and "done" at last.

fact() { printf 'fact %s %s\n' "$1" "$(printf '%s' "$2" | base64 -w 0)"; }
fact_file() { printf 'fact %s %s\n' "$1" "$(base64 -w 0 -- "$2" 2>/dev/null || true)"; }

# nearest PATH: the closest existing directory at or above it.
nearest() {
    local path=$1
    while [[ ! -d $path ]]; do path=${path%/*}; path=${path:-/}; done
    printf '%s' "$path"
}

# read_only_of PATH...: the first that lies, or would lie, on a read-only file system.
read_only_of() {
    local path
    for path; do
        ! findmnt -no OPTIONS -T "$(nearest "$path")" 2>/dev/null | grep -qE '(^|,)ro(,|$)' || { printf '%s' "$path"; return; }
    done
}

# differs FILE KNOWN: same, edited or missing.
differs() {
    if [[ ! -e $1 ]]; then printf missing
    elif cmp -s -- "$1" "$2"; then printf same
    else printf edited; fi
}

probe() {
    local user=$1 digest=$2 want_env=$3 want_health=$4 tool place id release key current size token
    for tool in bash tar gzip sha256sum base64 flock systemctl systemd-run systemd-analyze journalctl awk sed grep find; do
        command -v "$tool" >/dev/null || printf 'tool %s\n' "$tool"
    done
    export TZ=UTC # for the times that systemctl prints
    fact systemd "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
    fact system_state "$(systemctl is-system-running 2>/dev/null || true)"
    fact machine "$(uname -m)"
    # shellcheck source=/dev/null
    fact os "$(. /etc/os-release 2>/dev/null && printf '%s' "${PRETTY_NAME:-}")"
    fact hostname "${HOSTNAME:-}"
    fact now_s "$(date +%s)"
    fact group "$(id -gn -- "$user" 2>/dev/null || true)"
    place=$(nearest "$ROOT")
    fact free_bytes "$(df --output=avail -B 1 -- "$place" | tail -n 1 | tr -d ' ')"
    fact free_inodes "$(df --output=iavail -- "$place" | tail -n 1 | tr -d ' ')"
    fact read_only "$(read_only_of "$ROOT" "$UNIT_PATH" "$ENV_PATH")"
    if [[ -L $ROOT || ( -e $ROOT && ! -d $ROOT ) ]]; then
        fact root_problem "$ROOT is not a directory of its own"
    elif [[ -d $ROOT/current && ! -L $ROOT/current ]]; then
        fact root_problem "$ROOT/current is a directory that is not ours: move it away"
    else
        fact root_problem "$(not_ours_alone)"
    fi
    # Before the files are compared: should it be over at the end, they were perhaps compared in the midst of an exchange.
    if [[ -e $WRITE_AHEAD ]] || is_under_way; then fact exchanging yes; fi
    current=$(committed_id)
    fact committed "$current"
    state "$UNIT"
    for key in LoadState ActiveState SubState Result NRestarts MainPID ExecMainStatus UnitFileState FragmentPath StateChangeTimestamp \
        MemoryCurrent NeedDaemonReload; do
        fact "unit.$key" "${STATE[$key]:-}"
    done
    if [[ ${STATE[MainPID]:-0} != 0 ]]; then
        release=$(readlink -- "/proc/${STATE[MainPID]}/cwd" 2>/dev/null || true)
        [[ $release == "$ROOT"/releases/* ]] && release=${release#"$ROOT"/releases/} && fact running "${release%%/*}"
    fi
    if [[ -n $current ]]; then
        release=$ROOT/releases/$current/.deployer
        [[ -d $release ]] || fact drift.release missing
        fact drift.unit "$(differs "$UNIT_PATH" "$release/committed.service")"
        fact drift.env "$(differs "$ENV_PATH" "$release/env")"
        fact_file unit "$release/committed.service"
        [[ $want_env == yes ]] && fact_file env "$ENV_PATH"
    else
        [[ -e $UNIT_PATH ]] && fact foreign_unit "$UNIT_PATH"
        [[ -e $ENV_PATH ]] && fact foreign_env "$ENV_PATH"
    fi
    while IFS= read -r id; do
        release=$ROOT/releases/$id/.deployer
        size=$(sed -n 's/.*"unpacked_bytes": *\([0-9]*\).*/\1/p' "$release/manifest.json" | head -n 1) || continue
        printf 'release %s %s %s %s %s\n' "$id" "$(cat -- "$release/identity")" "$(cat -- "$release/digest")" \
            "$([[ -e $release/pinned ]] && echo yes || echo no)" "${size:-0}"
    done < <(release_ids)
    [[ -e $LEDGER ]] && printf 'fact ledger %s\n' "$(tail -c 2000000 -- "$LEDGER" | base64 -w 0)"
    [[ -e $WRITE_AHEAD ]] && fact_file committing "$WRITE_AHEAD"
    if [[ -e $MARKER ]]; then
        fact_file trial "$MARKER"
        token=$(sed -n 's/^token //p' "$MARKER")
        grep -qsF '"phase":"go back"' "$RUN_DIR/$token.events" && fact going_back yes
    fi
    is_under_way && fact under_way yes
    fact frozen "$(frozen_by)"
    if [[ -n $digest && -e $ROOT/incoming/$digest.part ]]; then
        fact incoming_bytes "$(stat -c %s -- "$ROOT/incoming/$digest.part")"
    fi
    if [[ $want_health == yes && -x $ROOT/releases/$current/.deployer/activate && ${STATE[ActiveState]:-} == active ]]; then
        fact health "$("$ROOT/releases/$current/.deployer/activate" check 2>&1 | tail -n 1 || true)"
    fi
    printf 'done\n'
}

probe "$@"
