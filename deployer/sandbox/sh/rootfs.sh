#!/bin/bash
# Build a root file system once: CACHE/rootfs/NAME is complete or not there, whoever builds, dies or waits.
# usage: rootfs.sh CACHE NAME SUITE MIRROR PACKAGES [PROXY_VARIABLE=VALUE ...]   as root, in its own mount namespace
set -euo pipefail
umask 022

cache=$1 name=$2 suite=$3 mirror=$4 packages=$5
shift 5
here=$(dirname -- "$(realpath -- "$0")")
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Only root may pass: there are set-uid programs in the trees, which nobody updates.
mkdir -p -- "$cache/rootfs"
chmod 0700 -- "$cache/rootfs"
cd -- "$cache/rootfs"
[[ ! -d $name ]] || exit 0

# Children inherit the lock: it lasts as long as anything still writes.
exec 9>"$name.lock"
flock --nonblock 9 || { echo "somebody else builds the $suite root file system: waiting for it" && flock 9; }
[[ ! -d $name ]] || exit 0

building=$name.building
rm -rf --one-file-system -- "$building"
# What mmdebstrap has started may outlive it for a moment, and write on while we remove.
remove_building() {
    local _
    for _ in {1..300}; do
        rm -rf --one-file-system -- "$building" 2>/dev/null || true
        sleep 0.1
        [[ -e $building ]] || return 0
    done
}
trap remove_building EXIT
# timeout(1) hands a signal on twice, to us and to our group: the second would end what the first began.
trap 'trap "" HUP INT TERM; exit 143' HUP INT TERM

echo "building a $suite root file system from $mirror (once, about half a minute)"
env "$@" mmdebstrap --mode=root --format=directory --variant=minbase --include="$packages" \
    --aptopt='Acquire::Retries "3"' --aptopt='APT::Sandbox::User "root"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$building" "deb [signed-by=$keyring] $mirror $suite main"
chroot "$building" /bin/bash -s <"$here/furnish.sh"
sync -f "$building"
mv -T -- "$building" "$name"
trap - EXIT HUP INT TERM
echo "the $suite root file system is ready"
