# shellcheck shell=bash
# Making a release the committed one, and going back to the one that is. Both can be cut off anywhere and done again.
# Needs lib.sh, health.sh and masked.sh.

# Where a record (write-ahead or trial marker) is kept: "key value" lines.
declare -A RECORD
read_record() {
    local key value
    RECORD=()
    while read -r key value; do
        [[ -z $key ]] || RECORD[$key]=$value
    done <"$1"
}

record_text() {
    # A name that somebody gave himself may hold anything.
    printf 'to %s\nfrom %s\ntoken %s\nwhy %s\nkeep %s\nwho %s\n' "$ID" "$FROM" "$TOKEN" "$WHYFOR" "$KEEP" "${WHO//[[:cntrl:]]/?}"
}

# load_release ID: takes over a release's settings.
load_release() {
    no_checks
    # shellcheck source=/dev/null
    . "$ROOT/releases/$1/.deployer/settings"
}

# keep_replaced FILE KNOWN: a file that is not what we put there (somebody's own, or edited) is kept before it is replaced.
keep_replaced() {
    local copy
    [[ -e $1 ]] || return 0
    [[ -n $2 && -e $2 ]] && cmp -s -- "$1" "$2" && return 0
    directory 0700 "$ROOT/replaced" || return 1
    copy=$ROOT/replaced/$(date -u +%Y%m%dT%H%M%SZ)-${1##*/}
    put 0600 "$1" "$copy" || return 1
    tell note level warning text "$1 was not as we had left it; a copy is kept as $copy"
}

# is_whole ID: does the release have all that committing it takes?
is_whole() {
    local release=$ROOT/releases/$1/.deployer
    [[ -n $1 && -x $release/activate && -f $release/settings && -f $release/env && -f $release/committed.service ]]
}

# install_guard: what finishes a commit at boot, before the service starts, and tries again where that fails. It runs the
# program of the release that is being committed, or of the one before should somebody have removed that.
install_guard() {
    local text wants=/etc/systemd/system/multi-user.target.wants new=$PROGRAM old=$ROOT/releases/$FROM/.deployer/activate
    text="# Written by deployer: finishes a commit that a power cut interrupted.
[Unit]
Description=Finish an interrupted commit of $APP
ConditionPathExists=$WRITE_AHEAD
RequiresMountsFor=$ROOT
Before=$UNIT

[Service]
Type=oneshot
ExecStart=/bin/bash -c 'for program in $new $old; do [ -x \$\$program ] && exec \$\$program recover boot; done; exit 1'
TimeoutStartSec=600
Restart=on-failure
RestartSec=30

[Install]
WantedBy=multi-user.target
"
    put_text 0644 "$text" "/etc/systemd/system/$GUARD_UNIT" || return 1
    directory 0755 "$wants" && sync -- "${wants%/*}" || return 1
    [[ -L $wants/$GUARD_UNIT ]] || { ln -sfT -- "../$GUARD_UNIT" "$wants/$GUARD_UNIT" && sync -- "$wants"; }
}

# ready_link ID: the link to a release, under a name beside its own.
ready_link() { ln -sfT -- "releases/$1" "$ROOT/current.deployer-new"; }

# begin_commit: all that can fail, and then the record; from there on the way is forward only, by renames that need no
# room. Everything of the release is on the disk since staging.
begin_commit() {
    local release=$ROOT/releases/$ID/.deployer path
    is_whole "$ID" || { echo "the release $ID is no longer there" >&2 && return 1; }
    for path in "$ROOT/current" "$ENV_PATH" "$UNIT_PATH"; do
        [[ ! -d $path || -L $path ]] || { echo "$path is a directory that is not ours: move it away" >&2 && return 1; }
    done
    # Room for the ledger's line, should the disk be full by then.
    if install_guard && directory 0755 "${ENV_PATH%/*}" && ready 0600 "$release/env" "$ENV_PATH" &&
        ready 0644 "$release/committed.service" "$UNIT_PATH" && ready_link "$ID" &&
        head -c 4096 /dev/zero >"$RESERVE" && sync -- "$RESERVE" &&
        put_text 0600 "$(record_text)"$'\n' "$WRITE_AHEAD"; then
        return 0
    fi
    [[ -e $WRITE_AHEAD ]] || rm -f -- "$RESERVE" {"$ENV_PATH","$UNIT_PATH","$ROOT/current"}.deployer-new
    return 1
}

# take MODE SOURCE DESTINATION: what was made ready, or made anew where that is gone.
take() { { [[ -e $3.deployer-new ]] && rename "$3"; } || put "$@"; }

# finish_commit: carries the write-ahead record out; each step can be repeated.
finish_commit() {
    local release wants
    read_record "$WRITE_AHEAD"
    ID=${RECORD[to]} FROM=${RECORD[from]:-} TOKEN=${RECORD[token]} WHYFOR=${RECORD[why]} KEEP=${RECORD[keep]} WHO=${RECORD[who]:-}
    release=$ROOT/releases/$ID/.deployer
    is_whole "$ID" || return 1
    take 0600 "$release/env" "$ENV_PATH" || return 1
    take 0644 "$release/committed.service" "$UNIT_PATH" || return 1
    ready_link "$ID" && rename "$ROOT/current" || return 1
    rm -f -- "$TRIAL_PATH" || return 1
    if ! manager enable --quiet --no-reload -- "$UNIT" && [[ $(systemctl is-enabled -- "$UNIT" 2>/dev/null) != enabled ]]; then
        tell note level warning text "$UNIT could not be enabled: it will not start at boot"
    fi
    for wants in /etc/systemd/system /etc/systemd/system/*.wants /etc/systemd/system/*.requires; do
        [[ ! -d $wants ]] || sync -- "$wants" || return 1
    done
    # The process that proved itself goes on all the same.
    manager daemon-reload || tell note level warning text "systemd would not reload its units: $(df -h --output=avail -- /run | tail -n 1 | tr -d ' ') free on /run"
    # Somebody may have removed it meanwhile: what is not there is not good, and recover goes back.
    is_whole "$ID" || return 1
    ledger_good || { rm -f -- "$RESERVE" && ledger_good; } || return 1
    # The marker first: without the record, it would have a committed release taken back.
    rm -f -- "$MARKER" "$RESERVE" && remove "$WRITE_AHEAD"
}

ledger_good() { ledger_has "$TOKEN" || ledger event good token "$TOKEN" id "$ID" from "$FROM" why "$WHYFOR" who "$WHO"; }

# undo_commit: somebody removed the release that was being committed; what the one before had is put back. Needs RECORD.
undo_commit() {
    local old=$ROOT/releases/$FROM/.deployer
    if is_whole "$FROM"; then
        put 0600 "$old/env" "$ENV_PATH" && put 0644 "$old/committed.service" "$UNIT_PATH" && ready_link "$FROM" &&
            rename "$ROOT/current" || return 1
    fi
    rm -f -- "$RESERVE" && remove "$WRITE_AHEAD"
}

# sweep: what a power cut has left of files that were not yet renamed, and of releases that came or went just then.
sweep() {
    local path
    rm -f -- "$RESERVE" {"$ROOT/current","$WRITE_AHEAD","$FROZEN","$UNIT_PATH","$ENV_PATH","$TRIAL_PATH","/etc/systemd/system/$GUARD_UNIT"}.deployer-new
    rm -rf -- "/run/systemd/system/$OURS:trial-.service.d"
    sweep_stagings
    find "$RUN_DIR" -mindepth 1 -maxdepth 1 -name 'tmp.*' -mmin +60 -exec rm -rf -- {} +
    for path in "$ROOT"/releases/.pruned-*; do
        [[ -d $path ]] || continue
        rm -rf --one-file-system -- "$path"
        [[ $(ledger_lines "\"id\":\"${path##*/.pruned-}\"" | tail -n 1) == *'"event":"pruned"'* ]] ||
            ledger event pruned id "${path##*/.pruned-}"
    done
}

# drop_trial: systemd sees the committed unit again; what runs is not touched. A reload that is refused (/run is full) does
# no harm where systemd had never loaded the trial.
drop_trial() {
    rm -f -- "$TRIAL_PATH" "$TRIAL_PATH.deployer-new"
    manager daemon-reload && return 0
    state "$UNIT"
    [[ ${STATE[FragmentPath]:-} != "$TRIAL_PATH" ]]
}

# restore_missing ID: what a person deleted of the committed release is put back; what was edited is left as it is.
restore_missing() {
    local release=$ROOT/releases/$1/.deployer
    [[ -e $ENV_PATH || ! -e $release/env ]] || put 0600 "$release/env" "$ENV_PATH"
    if [[ ! -e $UNIT_PATH && -e $release/committed.service ]]; then
        put 0644 "$release/committed.service" "$UNIT_PATH" && manager daemon-reload
    fi
}

# go_back: the release (or unit) of before serves again. Needs RECORD of the trial. Sets BACK to the verdict:
# rolled-back, stopped (nothing to go back to) or needs-person, and BACK_WHY.
go_back() {
    local old from=${RECORD[from]:-} foreign=${RECORD[foreign]:-no}
    BACK=rolled-back BACK_WHY="" TRIAL_STAYS=""
    # Stopped as its own unit says (time limit, ExecStop=): without a unit file systemd would do it by its defaults.
    [[ -n $from || $foreign == running ]] || systemctl stop -- "$UNIT" 2>/dev/null || true
    # What fills /run may be the service's own runtime directory, which goes with it.
    if ! drop_trial && { systemctl stop -- "$UNIT" 2>/dev/null || true; ! drop_trial; }; then
        TRIAL_STAYS=yes
        BACK=needs-person BACK_WHY="systemd would not reload its units: $(df -h --output=avail -- /run | tail -n 1 | tr -d ' ') free on /run"
        return 0
    fi
    systemctl reset-failed -- "$UNIT" 2>/dev/null || true
    state "$UNIT"
    old=${STATE[InvocationID]:-}
    if [[ -n $from ]]; then
        restore_missing "$from"
    elif [[ $foreign != running ]]; then
        systemctl stop -- "$UNIT" 2>/dev/null || true
        systemctl reset-failed -- "$UNIT" 2>/dev/null || true
        [[ $foreign == stopped ]] || BACK=stopped
        return 0
    fi
    if [[ -n ${RECORD[was]:-} && ${RECORD[was]} == "$old" ]] && is_up; then
        # The trial never got as far as replacing the process.
        return 0
    fi
    if [[ -n $from ]] && ! is_whole "$from"; then
        go_further_back "$from" && return 0
        systemctl stop -- "$UNIT" 2>/dev/null || true
        BACK=needs-person BACK_WHY="the release $from is no longer there, nor a good one before it that serves: the service is stopped"
        return 0
    fi
    # The watch below is for the release of before: its checks, its directory.
    local ID=$from
    if [[ -n $from ]]; then
        load_release "$from"
    else
        no_checks
    fi
    if ! BACK_WHY=$(manager --no-block restart -- "$UNIT" 2>&1); then
        BACK=needs-person
    elif watch "$old"; then
        BACK_WHY=""
    else
        BACK=needs-person BACK_WHY=$CAUSE
    fi
}

# go_further_back LOST: the committed release is gone as well; the last good one that is there is tried and committed. 0
# when it serves.
go_further_back() {
    local lost=$1 old ID WHYFOR=rollback TOKEN=$TOKEN-further PROGRAM
    ID=$(rollback_target)
    PROGRAM=$ROOT/releases/$ID/.deployer/activate
    is_whole "$ID" || return 1
    load_release "$ID"
    tell note level warning text "$lost is no longer there; trying $ID, which was good before it"
    state "$UNIT"
    old=${STATE[InvocationID]:-}
    if put 0644 "$ROOT/releases/$ID/.deployer/trial.service" "$TRIAL_PATH" && manager daemon-reload &&
        manager --no-block restart -- "$UNIT" && watch "$old" && begin_commit && finish_commit; then
        BACK_WHY="$lost is no longer there, so $ID serves, which was good before it"
        return 0
    fi
    drop_trial || true
    return 1
}

# evidence: keeps it if there is room; for want of it the way back must not fail.
evidence() { keep_evidence || tell note level warning text "the evidence of the failed start could not be kept"; }

# ledger_bad CAUSE END: the verdict of a trial that did not hold; likewise.
ledger_bad() {
    ledger event bad token "$TOKEN" id "$ID" from "$FROM" why "$WHYFOR" who "$WHO" cause "$1" end "$2" ||
        tell note level warning text "$LEDGER could not be written"
}

# keep_evidence: what the failed start left in the journal and in systemd, with the release, for root alone. For it is read,
# copied and sent around, no value that was delivered is in it.
keep_evidence() {
    local directory=$ROOT/releases/$ID/.deployer/evidence file
    [[ -d ${directory%/*} ]] && directory 0700 "$directory" || return 1
    systemctl show --no-pager -- "$UNIT" 2>/dev/null | masked >"$directory/$TOKEN.state" || true
    sync_journal
    if [[ -n ${CURSOR:-} ]]; then
        matches
        # Not --after-cursor: where the line at the cursor is another unit's, systemd 252 passes over the first of ours.
        # --all: a line with a carriage return, or of no UTF-8, would come as "[32B blob data]".
        timeout 20 journalctl --no-pager -q --all -o short-iso --cursor="$CURSOR" "${MATCHES[@]}" 2>/dev/null |
            tail -n 1000 | masked >"$directory/$TOKEN.journal" || true
    fi
    # The last five are enough.
    for file in $(find "$directory" -name '*.journal' -printf '%T@ %f\n' | sort -rn | sed -n '6,$s/.* //p'); do
        rm -f -- "$directory/$file" "$directory/${file%.journal}.state"
    done
}
