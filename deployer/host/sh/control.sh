# shellcheck shell=bash
# start, stop, restart of the service by a person. Needs lib.sh. Argument: VERB. Prints "state KEY=VALUE" lines at the end.

control() {
    local verb=$1 status=0 said key
    is_under_way && fail busy "an activation of $APP is under way" "follow it with: deployer attach"
    state "$UNIT"
    [[ ${STATE[LoadState]:-} != not-found ]] || fail absent "there is no $UNIT on this host" "deployer deploy"
    # Starts by hand count towards the start limit, and a refused restart would leave the service stopped.
    systemctl reset-failed -- "$UNIT" 2>/dev/null || true
    said=$(systemctl "$verb" -- "$UNIT" 2>&1 </dev/null) || status=$?
    sync_journal
    state "$UNIT"
    for key in ActiveState SubState Result NRestarts MainPID ExecMainStatus; do
        printf 'state %s=%s\n' "$key" "${STATE[$key]:-}"
    done
    ((status == 0)) || fail host "systemctl $verb $UNIT ended with status $status: $said" "deployer logs"
}

control "$@"
