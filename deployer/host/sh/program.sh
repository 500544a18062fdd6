#!/bin/bash
# Activation of a release, and the way back; see docs/how-it-works.md of deployer. Part of a release: do not edit.
# By hand, as root: run it without arguments to make this release the one that serves.
HERE=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
ID=${HERE%/.deployer} ID=${ID##*/}
# shellcheck source=/dev/null
. "$HERE/settings"
