# shellcheck shell=bash
# Starts an activation by the release's own program. Needs lib.sh. Arguments: ID, then what "activate launch" takes.
# Prints "was INVOCATION" (of the service, until now), then what that prints.

launch() {
    local id=$1 program=$ROOT/releases/$1/.deployer/activate
    shift
    [[ -x $program ]] || fail stale "the release $id is not on this host (any more)" "deployer releases"
    printf 'was %s\n' "$(systemctl show -P InvocationID -- "$UNIT")"
    exec "$program" launch "$@"
}

launch "$@"
