# shellcheck shell=bash
# Prints the list of files of a release, as it was staged (base64 of gzip). Needs lib.sh. Argument: ID.

files() {
    local list=$ROOT/releases/$1/.deployer/files.gz
    [[ -e $list ]] || return 0
    base64 -w 0 -- "$list"
}

files "$1"
