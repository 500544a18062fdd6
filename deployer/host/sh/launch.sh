# shellcheck shell=bash
# Starts an activation by the release's own program. Needs lib.sh. Arguments: ID, then what "activate launch" takes.

launch() {
    local id=$1 program=$ROOT/releases/$1/.deployer/activate
    shift
    [[ -x $program ]] || fail host "the release $id is not on this host (any more)" "deployer releases"
    exec "$program" launch "$@"
}

launch "$@"
