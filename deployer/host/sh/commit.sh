# shellcheck shell=bash
# Making a release the committed one, and going back to the one that is. Both can be cut off anywhere and done again.
# Needs lib.sh and health.sh.

# Where a record (write-ahead or trial marker) is kept: "key value" lines.
declare -A RECORD
read_record() {
    local key value
    RECORD=()
    while read -r key value; do
        RECORD[$key]=$value
    done <"$1"
}

record_text() {
    printf 'to %s\nfrom %s\ntoken %s\nwhy %s\nkeep %s\nwho %s\n' "$ID" "$FROM" "$TOKEN" "$WHYFOR" "$KEEP" "$WHO"
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

# install_guard: what finishes a commit at boot, before the service starts. It runs the program of the release that is
# being committed, which is complete and stays.
install_guard() {
    local text wants=/etc/systemd/system/multi-user.target.wants
    text="# Written by deployer: finishes a commit that a power cut interrupted.
[Unit]
Description=Finish an interrupted commit of $APP
ConditionPathExists=$WRITE_AHEAD
RequiresMountsFor=$ROOT
Before=$UNIT

[Service]
Type=oneshot
ExecStart=$ROOT/releases/$ID/.deployer/activate recover boot
TimeoutStartSec=120

[Install]
WantedBy=multi-user.target
"
    put_text 0644 "$text" "/etc/systemd/system/$GUARD_UNIT" || return 1
    directory 0755 "$wants" || return 1
    [[ -L $wants/$GUARD_UNIT ]] || { ln -sfT -- "../$GUARD_UNIT" "$wants/$GUARD_UNIT" && sync -- "$wants"; }
}

# begin_commit: from here on the way is forward only. Everything of the release is on the disk since staging.
begin_commit() {
    install_guard && put_text 0600 "$(record_text)"$'\n' "$WRITE_AHEAD"
}

# finish_commit: carries the write-ahead record out; each step can be repeated.
finish_commit() {
    local release wants
    read_record "$WRITE_AHEAD"
    ID=${RECORD[to]} FROM=${RECORD[from]:-} TOKEN=${RECORD[token]} WHYFOR=${RECORD[why]} KEEP=${RECORD[keep]} WHO=${RECORD[who]:-}
    release=$ROOT/releases/$ID/.deployer
    if [[ ! -x $release/activate ]]; then
        tell note level error text "the release $ID that was being committed is gone; $WRITE_AHEAD is left for you"
        return 1
    fi
    put 0600 "$release/env" "$ENV_PATH" || return 1
    put 0644 "$release/committed.service" "$UNIT_PATH" || return 1
    point_current "$ID" || return 1
    rm -f -- "$TRIAL_PATH" || return 1
    systemctl enable --quiet -- "$UNIT" || return 1
    for wants in /etc/systemd/system /etc/systemd/system/*.wants /etc/systemd/system/*.requires; do
        [[ ! -d $wants ]] || sync -- "$wants" || return 1
    done
    systemctl daemon-reload || return 1
    ledger_has "$TOKEN" || ledger event good token "$TOKEN" id "$ID" from "$FROM" why "$WHYFOR" who "$WHO" || return 1
    # The marker first: without the record, it would have a committed release taken back.
    rm -f -- "$MARKER" && remove "$WRITE_AHEAD"
}

# drop_trial: systemd sees the committed unit again; what runs is not touched. A reload that is refused (/run is full) does
# no harm where systemd had never loaded the trial.
drop_trial() {
    rm -f -- "$TRIAL_PATH" "$TRIAL_PATH.deployer-new"
    systemctl daemon-reload && return 0
    state "$UNIT"
    [[ ${STATE[FragmentPath]:-} != "$TRIAL_PATH" ]]
}

# restore_missing ID: what a person deleted of the committed release is put back; what was edited is left as it is.
restore_missing() {
    local release=$ROOT/releases/$1/.deployer
    [[ -e $ENV_PATH || ! -e $release/env ]] || put 0600 "$release/env" "$ENV_PATH"
    if [[ ! -e $UNIT_PATH && -e $release/committed.service ]]; then
        put 0644 "$release/committed.service" "$UNIT_PATH" && systemctl daemon-reload
    fi
}

# go_back: the release (or unit) of before serves again. Needs RECORD of the trial. Sets BACK to the verdict:
# rolled-back, stopped (nothing to go back to) or needs-person, and BACK_WHY.
go_back() {
    local old from=${RECORD[from]:-} foreign=${RECORD[foreign]:-no}
    BACK=rolled-back BACK_WHY=""
    # Stopped as its own unit says (time limit, ExecStop=): without a unit file systemd would do it by its defaults.
    [[ -n $from || $foreign == running ]] || systemctl stop -- "$UNIT" 2>/dev/null || true
    if ! drop_trial; then
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
    if [[ -n $from && ! -e $ROOT/releases/$from/.deployer/settings ]]; then
        BACK=needs-person BACK_WHY="the release $from is no longer there"
        return 0
    fi
    # The watch below is for the release of before: its checks, its directory.
    local ID=$from
    if [[ -n $from ]]; then
        load_release "$from"
    else
        no_checks
    fi
    if ! BACK_WHY=$(systemctl --no-block restart -- "$UNIT" 2>&1); then
        BACK=needs-person
    elif watch "$old"; then
        BACK_WHY=""
    else
        BACK=needs-person BACK_WHY=$CAUSE
    fi
}

# evidence: keeps it if there is room; for want of it the way back must not fail.
evidence() { keep_evidence || tell note level warning text "the evidence of the failed start could not be kept"; }

# ledger_bad CAUSE END: the verdict of a trial that did not hold; likewise.
ledger_bad() {
    ledger event bad token "$TOKEN" id "$ID" from "$FROM" why "$WHYFOR" who "$WHO" cause "$1" end "$2" ||
        tell note level warning text "$LEDGER could not be written"
}

# keep_evidence: what the failed start left in the journal and in systemd, with the release, for root alone.
keep_evidence() {
    local directory=$ROOT/releases/$ID/.deployer/evidence file
    directory 0700 "$directory" || return 1
    systemctl show --no-pager -- "$UNIT" >"$directory/$TOKEN.state" 2>/dev/null || true
    journalctl --sync 2>/dev/null || true
    if [[ -n ${CURSOR:-} ]]; then
        matches
        # Not --after-cursor: where the line at the cursor is another unit's, systemd 252 passes over the first of ours.
        journalctl --no-pager -q -o short-iso --cursor="$CURSOR" "${MATCHES[@]}" 2>/dev/null |
            tail -n 1000 >"$directory/$TOKEN.journal" || true
    fi
    # The last five are enough.
    for file in $(find "$directory" -name '*.journal' -printf '%T@ %f\n' | sort -rn | sed -n '6,$s/.* //p'); do
        rm -f -- "$directory/$file" "$directory/${file%.journal}.state"
    done
}
