# shellcheck shell=bash
# The host program. It lies in each release as .deployer/activate and runs as the transient unit deployer-APP.service,
# so that nothing which happens to the client can stop it half way. By hand, as root: activate (no arguments) makes this
# release the one that serves.
# Needs lib.sh, health.sh, commit.sh, prune.sh and the release's settings.

PROGRAM=$ROOT/releases/$ID/.deployer/activate
: "${MIGRATE_TIMEOUT_S:=600}"

# tell EVENT KEY VALUE ...: an event for whoever follows, and a line in the journal of this activation.
tell() {
    local event=$1
    shift
    json_object event "$event" at "$(utc)" "$@"
    # Where /run is full, nobody hears of it; the work goes on.
    [[ -z ${EVENTS:-} ]] || { printf '%s\n' "$JSON" >>"$EVENTS"; } 2>/dev/null || true
    local line=$event:
    while (($#)); do
        line+=" $2"
        shift 2
    done
    # Where journald is gone, this is written to nobody; the work goes on.
    printf '%s\n' "$line" || true
}

phase() { tell phase phase "$1" text "${2:-}"; }
phase_ended() { tell phase_ended phase "$1" ok= "$2" text "${3:-}"; }

# ended VERDICT RELEASE TEXT: the last event.
ended() { tell end token "$TOKEN" verdict "$1" release "$2" before "$FROM" text "$3"; }

# settle_unfinished: an activation in the ledger without a verdict was cut off by a power cut; say so in the ledger.
settle_unfinished() {
    local token id
    [[ -e $LEDGER ]] || return 0
    token=$(ledger_lines '"event":"activating"' | tail -n 1 | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
    [[ -n $token ]] || return 0
    ledger_has "$token" && return 0
    id=$(ledger_lines "\"token\":\"$token\"" | tail -n 1 | sed -n 's/.*"id":"\([^"]*\)".*/\1/p')
    ledger event interrupted token "$token" id "$id"
}

# recover [boot]: finishes or undoes whatever was cut off. Called when the activation's unit ends, at boot, and before
# the next activation. Does nothing where nothing was under way, nor on a host that goes down: its next boot brings up the
# committed release, and finishes a commit.
recover() {
    local verdict text
    mkdir -p -- "$RUN_DIR" || true
    if is_going_down; then
        # Not every way down empties /run (systemctl soft-reboot).
        [[ -e $WRITE_AHEAD ]] || rm -f -- "$TRIAL_PATH" "$MARKER"
        return 0
    fi
    if [[ ${1:-} == boot ]]; then
        # Never beside an activation, which looks after its own. That one may be about to end without having finished: so
        # this is a failure, and systemd comes again as long as there is a record.
        exec 7>"$RUN_DIR/lock"
        flock -w 60 7 || return 1
        ! is_under_way || return 1
    fi
    if [[ -e $WRITE_AHEAD ]]; then
        read_record "$WRITE_AHEAD"
        ID=${RECORD[to]} TOKEN=${RECORD[token]} FROM=${RECORD[from]:-} EVENTS=$RUN_DIR/${RECORD[token]}.events
        WHYFOR=${RECORD[why]} WHO=${RECORD[who]:-} KEEP=${RECORD[keep]}
        if ! is_whole "$ID"; then
            undo_commit || return 1
            go_back
            text="its directory was removed while it was being committed${BACK_WHY:+; $BACK_WHY}"
            ledger_has "$TOKEN" || ledger_bad "$text" "$BACK"
            [[ -n $TRIAL_STAYS ]] || rm -f -- "$MARKER"
            sweep || true
            ended "$BACK" "$(committed_id)" "$text"
            return 0
        fi
        if ! finish_commit; then
            ended unfinished "$ID" "its commit cannot be finished now; that is tried again every 30 s ($WRITE_AHEAD says what is under way)"
            systemctl --no-block start -- "$GUARD_UNIT" 2>/dev/null || true
            return 1
        fi
        if [[ ${1:-} == boot ]]; then
            # A first deploy was not part of this boot; for all others this is a request that is already there.
            systemctl --no-block start -- "$UNIT"
        fi
        ended changed "$ID" "the commit was cut off and has been finished"
    elif [[ -e $MARKER ]]; then
        read_record "$MARKER"
        ID=${RECORD[to]} FROM=${RECORD[from]:-} TOKEN=${RECORD[token]} WHYFOR=${RECORD[why]} WHO=${RECORD[who]:-}
        EVENTS=$RUN_DIR/$TOKEN.events CURSOR=${RECORD[cursor]:-}
        phase "go back" "the activation was cut off"
        evidence
        go_back
        [[ $BACK == needs-person ]] && is_going_down && return 0
        verdict=$BACK text="the activation was cut off before it could commit${BACK_WHY:+; $BACK_WHY}"
        ledger_has "$TOKEN" || ledger_bad "$text" "$verdict"
        [[ -n $TRIAL_STAYS ]] || rm -f -- "$MARKER"
        ended "$verdict" "$(committed_id)" "$text"
    fi
    # What cannot be cleared away must hold up nothing.
    sweep || true
}

# launch TOKEN EXPECT WHYFOR KEEP MIGRATE(yes|no) WHO: starts the activation of this release as its own unit.
# Prints "cursor C" (where the journal stood before) and "launched TOKEN".
launch() {
    local frozen limit error why=$3 problem after
    problem=$(not_ours_alone)
    [[ -z $problem ]] || fail write "$problem" "on the host: chown root:root and chmod go-w it; or set [app] root to another directory"
    mkdir -p -- "$RUN_DIR"
    # One at a time: what settles the past must not meet the trial of another.
    exec 7>"$RUN_DIR/lock"
    flock -w 60 7 || refuse_busy
    is_under_way && refuse_busy
    [[ $(systemctl show -P ActiveState -- "$MIGRATE_UNIT") != activ* ]] ||
        fail busy "a migration of an activation that was cut off is still running" "on the host: journalctl -fu $MIGRATE_UNIT"
    # An activation that was killed together with its clean-up is settled first; in a process of its own, which ends at
    # what fails.
    "$PROGRAM" recover >/dev/null 7>&- ||
        fail stuck "an activation of $APP that was cut off can be neither finished nor undone" \
            "on the host: df -h / /run $ROOT; journalctl -n 50 -u $ACTIVATION_UNIT"
    settle_unfinished
    frozen=$(frozen_by)
    if [[ -n $frozen && $why != rollback ]]; then
        fail frozen "activations are frozen: $frozen" "deployer unlock"
    fi
    if [[ $(committed_id) != "$2" ]]; then
        fail stale "the committed release is now '$(committed_id)', not '$2' as it was when this was planned" \
            "look at it with: deployer status; then run the same command again"
    fi
    # One that was killed right behind its last rename has not come to tell of it.
    [[ -n $(ledger_lines "\"id\":\"$ID\"") ]] || ledger event staged id "$ID" version "${ID%-*}" who "$6" || true
    printf 'cursor %s\n' "$(journal_cursor)"
    limit=$(longest_s "$2")
    # By the release of before as well, should somebody remove this one. A line each: of what quotes and variables hold,
    # systemd 252 makes something else when it reloads a transient unit.
    after=(-p "ExecStopPost=-$PROGRAM recover")
    [[ -z $2 ]] || after+=(-p "ExecStopPost=-$ROOT/releases/$2/.deployer/activate recover")
    if ! error=$(systemd-run --quiet --collect --no-ask-password --unit="$ACTIVATION_UNIT" --service-type=exec \
        --description="Activation of $APP $ID" "${after[@]}" -p "RuntimeMaxSec=$limit" \
        -p "TimeoutStopSec=$limit" -p KillMode=mixed -p OOMScoreAdjust=-500 -p SyslogIdentifier=deployer \
        -- "$PROGRAM" run "${@//\$/\$\$}" 2>&1 </dev/null 7>&-); then # systemd expands variables
        is_under_way && refuse_busy
        fail host "systemd would not start the activation: $error"
    fi
    printf 'launched %s\n' "$1"
}

# longest_s FROM: prints how long an activation may take at the most: its migrations, two starts and two stops.
longest_s() {
    local migrate_ms timeout_ms=$TIMEOUT_MS before_ms
    to_ms "$MIGRATE_TIMEOUT_S"
    migrate_ms=$((${#MIGRATE[@]} * MS))
    before_ms=$( (load_release "$1" 2>/dev/null && printf '%s' "$TIMEOUT_MS") || true)
    ((${before_ms:-0} < timeout_ms)) || timeout_ms=$before_ms
    state "$UNIT"
    printf '%s' "$(((migrate_ms + 2 * timeout_ms + 2 * $(stop_limit_ms)) / 1000 + 600))"
}

refuse_busy() {
    local who=""
    [[ -e $MARKER ]] && who=$(sed -n 's/^who //p' "$MARKER" || true)
    fail busy "another activation of $APP is under way${who:+, started by $who}" \
        "follow it with: deployer attach; deploy and rollback wait for its end with --wait 15m"
}

# run ...: the activation itself, inside its unit.
run() {
    local frozen
    TOKEN=$1 EXPECT=$2 WHYFOR=$3 KEEP=$4 DO_MIGRATE=$5 WHO=$6
    FROM=$(committed_id) EVENTS=$RUN_DIR/$TOKEN.events
    find "$RUN_DIR" -name '*.events' ! -name "$TOKEN.events" -delete
    frozen=$(frozen_by)
    # Both were looked at before; the existence of our unit is the lock, so only what is seen from here on counts.
    if [[ $FROM != "$EXPECT" ]]; then
        ended stale "$FROM" "the committed release is now '$FROM', not '$EXPECT' as it was when this was planned"
        return 0
    fi
    if [[ -n $frozen && $WHYFOR != rollback ]]; then
        ended frozen "$FROM" "activations are frozen: $frozen"
        return 0
    fi
    CURSOR=$(journal_cursor)
    if ! ledger event activating token "$TOKEN" id "$ID" from "$FROM" why "$WHYFOR" who "$WHO"; then
        ended failed "$FROM" "$LEDGER cannot be written: $(room) free on $ROOT; the service was not touched"
        return 0
    fi
    if [[ $DO_MIGRATE == yes ]] && ! migrate; then
        evidence
        ledger_bad "$CAUSE" failed
        ended failed "$FROM" "$CAUSE; the service was not touched"
        return 0
    fi
    if try_out; then
        phase commit
        if begin_commit 2>"$RUN_DIR/error" || [[ -e $WRITE_AHEAD ]]; then
            # A failure in here ends the program; recover then goes on.
            finish_commit
            phase_ended commit true "$ID"
            make_room
            ended changed "$ID" ""
            return 0
        fi
        CAUSE="it is healthy, but its commit could not begin: $(tail -n 1 -- "$RUN_DIR/error" 2>/dev/null | grep . || echo "$(room) free on $ROOT")"
        phase_ended commit false "$CAUSE"
    fi
    is_going_down && return 0
    if [[ ! -e $MARKER ]]; then
        ledger_bad "$CAUSE" failed
        ended failed "$FROM" "$CAUSE; the service was not touched"
        return 0
    fi
    phase "go back"
    evidence
    read_record "$MARKER"
    local cause=$CAUSE
    go_back
    [[ $BACK == needs-person ]] && is_going_down && return 0
    ledger_bad "$cause" "$BACK"
    [[ -n $TRIAL_STAYS ]] || rm -f -- "$MARKER"
    make_room
    phase_ended "go back" "$([[ $BACK == needs-person ]] && echo false || echo true)" "${BACK_WHY:-$FROM}"
    ended "$BACK" "$(committed_id)" "$cause${BACK_WHY:+; going back: $BACK_WHY}"
}

# room: prints how much is free where releases are.
room() { df -h --output=avail -- "$ROOT" | tail -n 1 | tr -d ' '; }

# make_room: a failed release takes its place among those that are kept, so that failures do not fill a disk either.
make_room() { prune "$KEEP" >/dev/null || tell note level warning text "old releases could not be pruned"; }

# migrate: the release's one-off commands, as the service would run them.
migrate() {
    local command
    for command in "${MIGRATE[@]}"; do
        phase migrate "$command"
        if ! one_off "$MIGRATE_UNIT" "$MIGRATE_TIMEOUT_S" "$command" >/dev/null; then
            CAUSE="the migration $ENDED: $command"
            phase_ended migrate false "$CAUSE"
            return 1
        fi
        phase_ended migrate true
    done
    rm -rf -- "/run/systemd/system/$OURS:trial-.service.d"
}

# try_out: the release runs from a unit in /run, which a power cut forgets; 0 when it held.
try_out() {
    local foreign=no error
    phase start
    state "$UNIT"
    if [[ -z $FROM && ${STATE[LoadState]} != not-found ]]; then
        foreign=stopped
        [[ ${STATE[ActiveState]} == active || ${STATE[ActiveState]} == activating ]] && foreign=running
    fi
    if ! set_up_trial "$foreign" 2>"$RUN_DIR/error"; then
        CAUSE="the trial could not be set up: $(tail -n 1 -- "$RUN_DIR/error" 2>/dev/null | grep . ||
            printf 'systemd did not take the unit from /run, which has %s free' "$(df -h --output=avail -- /run | tail -n 1 | tr -d ' ')")"
        phase_ended start false "$CAUSE"
        return 1
    fi
    systemctl reset-failed -- "$UNIT" 2>/dev/null || true
    if ! error=$(manager --no-block restart -- "$UNIT" 2>&1); then
        CAUSE="systemd refused the unit: $error"
        phase_ended start false "$CAUSE"
        return 1
    fi
    phase_ended start true "$ID, on trial"
    phase health
    if watch "${STATE[InvocationID]:-}"; then
        phase_ended health true "healthy for $((SETTLE_MS / 1000)).$((SETTLE_MS % 1000 / 100)) s, no restart"
        return 0
    fi
    phase_ended health false "$CAUSE"
    return 1
}

# set_up_trial FOREIGN: 0 when systemd has the unit on trial, and nothing else, under the unit's name. Each step says for
# itself whether it is done: this stands where "set -e" does not reach.
set_up_trial() {
    put_text 0600 "$(record_text)
foreign $1
was ${STATE[InvocationID]:-}
cursor $CURSOR
" "$MARKER" &&
        keep_replaced "$UNIT_PATH" "${FROM:+$ROOT/releases/$FROM/.deployer/committed.service}" &&
        keep_replaced "$ENV_PATH" "${FROM:+$ROOT/releases/$FROM/.deployer/env}" &&
        directory 0755 "${TRIAL_PATH%/*}" &&
        put 0644 "$ROOT/releases/$ID/.deployer/trial.service" "$TRIAL_PATH" &&
        manager daemon-reload &&
        state "$UNIT" &&
        [[ ${STATE[FragmentPath]:-} == "$TRIAL_PATH" ]]
}

# field NAME JSON: sets FIELD to the value of one of our own events.
field() {
    local text='"'$1'":"(([^"\\]|\\.)*)"' word='"'$1'":([a-z]+)'
    FIELD=""
    if [[ $2 =~ $text ]]; then
        FIELD=${BASH_REMATCH[1]} FIELD=${FIELD//\\\"/\"} FIELD=${FIELD//\\n/ } FIELD=${FIELD//\\\\/\\}
    elif [[ $2 =~ $word ]]; then
        FIELD=${BASH_REMATCH[1]}
    fi
}

# say EVENT: prints an event for a person; sets VERDICT at the last one.
say() {
    local event phase text ok
    field event "$1" && event=$FIELD
    field phase "$1" && phase=$FIELD
    field text "$1" && text=$FIELD
    field ok "$1" && ok=$FIELD
    case $event in
        phase) printf '%s%s\n' "$phase" "${text:+: $text}" ;;
        phase_ended) printf '%s: %s%s\n' "$phase" "$([[ $ok == true ]] && echo ok || echo failed)" "${text:+, $text}" ;;
        end)
            field verdict "$1" && VERDICT=$FIELD
            field release "$1" && printf '%s%s; committed: %s\n' "$VERDICT" "${text:+: $text}" "${FIELD:-nothing}"
            ;;
        *) printf '  %s\n' "$text" ;;
    esac
}

# by_hand: for an administrator without our client. Ends with 0 when this release serves, 3 when a person is needed, else 1.
by_hand() {
    local token line said VERDICT="" over=""
    token=hand-$(date -u +%Y%m%dT%H%M%SZ)
    # A process of its own, so that what fails in it ends it. How many releases are to be kept is in the config, which is
    # not here: all are.
    if ! said=$("$PROGRAM" launch "$token" "$(committed_id)" rollback 1000000 no "${SUDO_USER:-root}, by hand on ${HOSTNAME:-the host}"); then
        field message "$said"
        printf '%s\n' "${FIELD:-the activation did not start}" >&2
        exit 1
    fi
    for _ in {1..50}; do
        [[ -e $RUN_DIR/$token.events ]] && break
        sleep 0.1
    done
    exec 5<"$RUN_DIR/$token.events"
    until [[ -n $over ]]; do
        # One look more after its unit has ended: its last words may come after the question.
        is_under_way || over=yes
        while IFS= read -r -u 5 line; do say "$line"; done
        [[ -n $over ]] || sleep 0.3
    done
    case $VERDICT in
        changed) exit 0 ;;
        needs-person) exit 3 ;;
        *) exit 1 ;;
    esac
}

main() {
    local verb=${1:-by_hand}
    (($#)) && shift
    case $verb in
        by_hand | launch | run | recover) "$verb" "$@" ;;
        check)
            state "$UNIT"
            # Names of its own: an activation may be under way, with a health command of another release.
            export CHECK_UNIT=$OURS:look-$$.service
            if check_once; then
                echo ok
            else
                printf '%s\n' "$WHY"
                exit 1
            fi
            ;;
        *) echo "usage: activate (as root, no arguments: make this release the one that serves)" >&2 && return 2 ;;
    esac
}

load_release "$ID"
main "$@"
